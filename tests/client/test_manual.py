"""The example of `gateway help ask`, run against the real service as it stands there."""

import re
import time
from importlib import resources

import httpx2
import pytest
from support.people import gaid, named
from support.service import service

from gateway.client import Client

pytestmark = pytest.mark.slow


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (resources.files("gateway") / "manual" / "ask.md").read_text(), re.DOTALL)


def example() -> str:
    return examples()[0]


def test_the_example_sends_for_whoever_may_be_sent_and_says_so(tmp_path, monkeypatch):
    sent, contextual = [], []
    monkeypatch.setenv("GATEWAY_SHARE__SEND_WINDOW_MS", "2000")  # a busy machine does not use it up
    with service(tmp_path) as running:
        code = example().replace("http://127.0.0.1:8081", running.url).replace("timeout_ms=25", "timeout_ms=30000")
        there = {"KEY": "dev.dev", "send": sent.append, "send_contextual": contextual.append}
        exec(code, there)
        with httpx2.Client(base_url=running.url, headers={"Authorization": "Bearer dev.dev"}) as keyed:
            there["bid"](gaid(1), "US-NY")
            body = {"identifiers": [named("gaid", gaid(1))], "choice": "opt_out"}
            assert keyed.post("/v1/choices", json=body).status_code == 201
            there["bid"](gaid(1), "US-NY")
            there["client"].close()
            time.sleep(0.5)
            [told] = keyed.post("/v1/access", json={"identifiers": [named("gaid", gaid(1))]}).json()["disclosures"]
    assert (sent, contextual) == ([{"ad_id": gaid(1)}], ["opted_out"])
    assert (told["recipient"], told["outcome"], told["count"]) == ("advertisers", "sent", 1)


def test_the_example_sends_rows_that_are_handed_back_and_what_was_sent_is_not_handed_back_again(tmp_path, monkeypatch):
    delivered = []
    monkeypatch.setenv("GATEWAY_SHARE__SEND_WINDOW_MS", "2000")
    monkeypatch.setenv("GATEWAY_RECIPIENTS__TEEMO__UNLINKED", "allow")
    who = {"identifiers": [named("gaid", gaid(1))], "place": "US-NY", "data": {"ad_id": gaid(1)}}
    rows = [{"id": f"r{number}", **who} for number in range(3)]
    with service(tmp_path) as running, Client(running.url, key="dev.dev", timeout_ms=30_000) as client:
        there = {"client": client, "deliver": delivered.append}
        exec(examples()[1], there)
        assert there["night"](rows)
        deadline = time.monotonic() + 60
        while {one.outcome for one in client.share("teemo", rows)} != {"duplicate"}:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert [set(row) for row in delivered] == [{"ad_id", "row"}] * 3
