"""A COMMIT that is cut at every byte of its way to the server and back: what became of it is not known, the no is kept
beside the ledger or asked again by its ids, and in the end each is entered once.
"""

import asyncio
import contextlib
import time
from datetime import UTC, datetime

import psycopg
import pytest
from support import inside, postgres_server
from support.examples import SOAK
from support.people import gaid, named
from support.postgres_proxy import Cut, PostgresProxy

from gateway.app.composition import migrate, open_house
from gateway.desk.emergency import Emergency
from gateway.desk.kept_request import KeptRequest
from gateway.ledger.subjects import Choice
from gateway.terms import ALL_PURPOSES, ChoiceKind

pytestmark = pytest.mark.slow
STEP = 3 if SOAK else 9
MOST = 200  # bytes: more than a COMMIT or its answer has
SAID = "SELECT count(*), count(DISTINCT request), count(DISTINCT key) FROM gateway_ledger.detail"


@pytest.fixture
def proxy(postgres, tmp_path):
    made = PostgresProxy(postgres_server.fresh_url(postgres))
    migrate(tmp_path / "data", url=made.url)
    yield made
    made.close()


class Crowd:
    """People who say no, one after the other, through a proxy that cuts."""

    def __init__(self, house, proxy):
        self.house, self.proxy, self.asked = house, proxy, []

    def says_no(self, key=""):
        number = len(self.asked)
        self.asked.append(key or f"key-{number}")
        return asyncio.run(self.house.consent.choose(*self.words(number), key=self.asked[-1], body=b"no"))

    def words(self, number):
        subjects = self.house.consent.people.name([named("gaid", gaid(number))]).subjects
        return subjects, Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "api", datetime.now(UTC))

    def cut_everywhere(self, **of):
        """One person at each byte, until there are no more bytes. How many were cut, how many answered as entered."""
        (where,) = of
        cuts = entered = 0
        for byte in range(0, MOST, STEP):
            self.proxy.cut = cut = Cut(**{where: byte})
            entered += not self.says_no().waits
            assert cut.done.wait(10), "no COMMIT went through the proxy"
            if cut.missed:
                break
            cuts += 1
        return cuts, entered

    def settled(self):
        """Once nothing waits, everybody asks again by the same ids, and gets the answer that is there."""
        until(lambda: not self.house.consent.emergency.waiting())
        until(self.house.consent.emergency.path.exists)  # beside this machine's checkpoint
        for number, key in enumerate(self.asked):
            again = asyncio.run(self.house.consent.choose(*self.words(number), key=key, body=b"no"))
            assert again.replayed, number

    def said(self, url):
        with psycopg.connect(url) as db:
            return db.execute(SAID).fetchone()


def until(look, seconds=60):
    ends = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < ends
        time.sleep(0.02)


@contextlib.contextmanager
def crowd(proxy, tmp_path):
    with open_house(tmp_path / "data", inside.settings(), dev=True) as house:
        yield Crowd(house, proxy)


def test_cut_at_every_byte_none_is_lost_and_none_is_doubled(proxy, tmp_path, figure):
    with crowd(proxy, tmp_path) as people:
        asked, answered = people.cut_everywhere(request=0), people.cut_everywhere(reply=0)
        assert min(asked[0], answered[0]) > 30 // STEP
        people.settled()
        told = people.said(proxy.url)
        figure("COMMIT cut", f"{asked[0]} on its way, {answered[0]} on the way back, of {told[0]} none lost or doubled")
        assert told == (len(people.asked),) * 3


def test_who_never_hears_of_a_commit_is_told_in_time_and_entered_once(proxy, tmp_path):
    """Nobody ends the connection: its bytes are acknowledged, and there is no answer."""
    with crowd(proxy, tmp_path) as people:
        for cut in (Cut(request=0, silent=True), Cut(reply=0, silent=True)):
            proxy.cut, began = cut, time.monotonic()
            assert people.says_no().waits
            assert time.monotonic() - began < 10
            assert cut.done.is_set()
            until(
                lambda: not people.house.consent.emergency.waiting()
            )  # else the next cuts what a new connection proves
        people.settled()
        assert people.said(proxy.url) == (2, 2, 2)


def test_the_control_without_a_place_beside_the_ledger_somebody_is_lost(proxy, tmp_path, monkeypatch):
    monkeypatch.setattr(Emergency, "keep", lambda *_: None)
    with crowd(proxy, tmp_path) as people:
        proxy.cut = Cut(request=0)
        assert people.says_no().waits
        assert people.said(proxy.url)[0] == 0


def test_the_control_what_is_entered_without_a_look_is_entered_twice(proxy, tmp_path, monkeypatch):
    monkeypatch.setattr(KeptRequest, "enter_once", lambda kept, tx: bool(kept.enter(tx)))
    with crowd(proxy, tmp_path) as people:
        proxy.cut = Cut(reply=0)
        assert people.says_no().waits
        until(lambda: people.said(proxy.url)[0] > 1)
