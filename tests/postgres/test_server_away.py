"""The server is away under load, for a minute under SOAK=1: killed, started anew in two ways, standing still, cut off or
acknowledging bytes and silent. Checks are answered and deny, every opt-out is taken, and in the end each has been
entered.
"""

import threading
import time

import psycopg
import pytest
from support import example, postgres_server
from support.examples import SOAK
from support.people import gaid, named
from support.postgres_proxy import PostgresProxy
from support.service import service
from support.wire import call

pytestmark = pytest.mark.slow
AWAY = 60.0 if SOAK else 7.5  # longer than it takes to find out that nobody answers
DENIES = 2.0  # seconds after which no check allows
CONFIG = '[recipients.teemo]\nunlinked = "allow"\n'
SAID = "SELECT count(*), count(DISTINCT request), count(DISTINCT key) FROM gateway_ledger.detail"
STRANGER = 900_000


class Load:
    """Two who opt out, one person after the other, and one who checks somebody who never did."""

    def __init__(self, url):
        self.url, self.over = url, threading.Event()
        self.entered, self.kept, self.refused, self.checked = [], [], [], []
        targets = [(self.opts_out, 10_000), (self.opts_out, 20_000), (self.checks, STRANGER)]
        self.threads = [threading.Thread(target=target, args=(first,)) for target, first in targets]
        for each in self.threads:
            each.start()

    def opts_out(self, number):
        while not self.over.is_set():
            number += 1
            body = {"identifiers": [named("gaid", gaid(number))], "choice": "opt_out"}
            status, _ = call(f"{self.url}/v1/choices", body, headers={"Idempotency-Key": f"one-{number}"})
            {201: self.entered, 202: self.kept}.get(status, self.refused).append(number)
            time.sleep(0.02)

    def checks(self, number):
        body = {"identifiers": [named("gaid", gaid(number))], "recipient": "teemo", "place": "US-CA", "data": ["ad_id"]}
        while not self.over.is_set():
            asked = time.monotonic()
            status, answer = call(f"{self.url}/v1/check", body)
            self.checked.append((asked, time.monotonic(), status == 200 and answer["allowed"], status))
            time.sleep(0.02)

    def stop(self):
        self.over.set()
        for each in self.threads:
            each.join(60)

    def allows(self):
        return bool(self.checked) and self.checked[-1][2]


def until(look, seconds=60):
    ends = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < ends
        time.sleep(0.05)


def away(proxy):
    proxy.go_away()
    return lambda: setattr(proxy, "away", False)


def silent(proxy):
    """Bytes are acknowledged, and there is no answer."""
    proxy.frozen = True
    return lambda: setattr(proxy, "frozen", False)


@pytest.fixture
def proxy(postgres, monkeypatch):
    made = PostgresProxy(postgres_server.fresh_url(postgres))
    monkeypatch.setenv("GATEWAY_STORE__URL", made.url)
    yield made
    made.close()


@pytest.mark.parametrize("goes", [away, silent])
def test_while_the_server_is_away_checks_deny_and_every_opt_out_is_taken_and_later_entered(
    proxy, tmp_path, goes, figure
):
    config = tmp_path / "config.toml"
    config.write_text(example.over(CONFIG))
    with service(tmp_path, "--config", str(config)) as running:
        load = Load(running.url)
        try:
            until(lambda: load.allows() and len(load.entered) > 4)
            comes_back, gone = goes(proxy), time.monotonic()
            time.sleep(AWAY)
            back = time.monotonic()
            comes_back()
            until(load.allows)
        finally:
            load.stop()
        _, ready = call(f"{running.url}/readyz?strict", key="")
    meanwhile = [each for each in load.checked if gone < each[0] < back]
    longest = max((end - began for began, end, *_ in meanwhile), default=AWAY)
    with psycopg.connect(proxy.url) as db:
        told = db.execute(SAID).fetchone()
    taken = len(load.entered) + len(load.kept)
    figure(
        f"server {goes.__name__} for {AWAY:.0f} s",
        f"{taken} opt-outs taken, {len(load.kept)} beside, {told[0]} entered; {len(meanwhile)} checks, longest {longest:.1f} s",
    )
    assert load.refused == []
    assert load.kept, "nobody noticed that it was away"
    assert [each for each in meanwhile if each[2] and each[0] > gone + DENIES] == []
    assert {status for *_, status in load.checked} == {200}
    assert longest < DENIES * 2
    assert told == (taken,) * 3, ready


def test_nobody_waits_for_which_entry_decided_where_the_server_says_nothing_any_more(proxy, tmp_path):
    """By a key that may know it. The loop that answers one answers all."""
    config = tmp_path / "config.toml"
    config.write_text(example.over(CONFIG))
    with service(tmp_path, "--config", str(config)) as running:
        said_no = {"identifiers": [named("gaid", gaid(1))]}
        call(f"{running.url}/v1/choices", said_no | {"choice": "opt_out"}, headers={"Idempotency-Key": "one"})

        def asked():
            began = time.monotonic()
            _, answer = call(f"{running.url}/v1/check", said_no | {"recipient": "teemo", "data": ["ad_id"]})
            return answer, time.monotonic() - began

        until(lambda: asked()[0]["because"]["event"])
        comes_back = silent(proxy)
        answers = [asked() for _ in range(4)]
        comes_back()
        assert not any(answer["allowed"] or answer["because"]["event"] for answer, _ in answers)
        assert max(seconds for _, seconds in answers) < DENIES / 2
        until(lambda: asked()[0]["because"]["event"])
