"""A page that has something to write and finds no place: what is written behind its answer, and what is not."""

import asyncio

import pytest
from support.door import Door

from gateway.web.shell import fair_queue
from gateway.web.shell.fair_queue import Sources, Turns
from gateway.web.shell.peer import Peers

pytestmark = pytest.mark.anyio
HELD, OTHER = [("X-Forwarded-For", "192.0.2.1")], [("X-Forwarded-For", "192.0.2.2")]
HONORED = "sale=?0, sharing=?0, targeted_ads=?0, status=honored"
NOTHING_SAID = "sale=?1, sharing=?1, targeted_ads=?1, status=none"
OFF = "OptanonConsent=isGpcEnabled=0&groups=C0001%3A1%2CC0004%3A0"  # and nobody can tell by whom: a state
ON = OFF.replace("C0004%3A0", "C0004%3A1") + "&interactionCount=1"


class HeldAddress:
    """A door before which one address has all of its places taken."""

    def __init__(self, house) -> None:
        self.turns = Turns(Sources(Peers(("127.0.0.1",)), house.consent.clock))
        self.door = Door(house, turns=self.turns)
        self.browser = self.door.sealed(denied=frozenset())
        self._source = self.turns.sources.of({"client": ("192.0.2.1", 1), "headers": [], "scheme": "http"})
        assert self.turns.queue.takes(self._source, fair_queue.WRITING_EACH)

    async def say(self, cookie, headers=OTHER) -> str:
        """What the site is told of a page with this cookie."""
        await self.door.send(headers, cookie=f"{cookie}; {self.browser}")
        return self.door.site.consent

    async def give_back(self) -> None:
        """And what waited is written."""
        async with self.turns.running():
            self.turns.queue.give_back(self._source, fair_queue.WRITING_EACH)


@pytest.fixture
def held(house, monkeypatch):
    monkeypatch.setattr(fair_queue, "PAGE_SECONDS", 0.05)
    return HeldAddress(house)


async def test_what_a_page_ends_is_not_ended_behind_its_answer_but_by_the_next_page(held, monkeypatch):
    await held.say(OFF)
    await held.say(ON, HELD)  # answered, and not written
    assert await held.say(OFF) == HONORED  # nothing new: it stands
    monkeypatch.setattr(fair_queue, "PAGE_SECONDS", 5)
    await held.give_back()
    assert await held.say("a=b") == HONORED, "a no that was answered is followed by no yes"
    await held.say(ON)
    assert await held.say("a=b") == NOTHING_SAID


async def test_what_a_page_denies_is_written_behind_its_answer(held, monkeypatch):
    assert await held.say(OFF, HELD) == HONORED
    assert await held.say("a=b") == NOTHING_SAID
    monkeypatch.setattr(fair_queue, "PAGE_SECONDS", 5)
    await held.give_back()
    assert await held.say("a=b") == HONORED


async def nothing(behind):
    pass


async def test_of_many_that_are_too_many_at_once_each_sender_keeps_one(monkeypatch):
    monkeypatch.setattr(fair_queue, "PAGE_SECONDS", 0.05)
    monkeypatch.setattr(fair_queue, "BEHIND", 5)
    turns = Turns(Sources(Peers(("127.0.0.1",)), lambda: pytest.fail("no clock")))
    monkeypatch.setattr(turns.sources, "of", lambda scope: scope["of"])
    for source in (b"a", b"b"):
        assert turns.queue.takes(source, fair_queue.WRITING_EACH)
    senders = [b"a"] * 9 + [b"b"]
    kept = await asyncio.gather(*(turns.write({"of": source}, nothing) for source in senders))
    assert (kept[:9].count(True), kept[9]) == (4, True)
    for source in (b"a", b"b"):
        turns.queue.give_back(source, fair_queue.WRITING_EACH)
    async with turns.running():
        pass
    assert (turns.queue._taken, turns.queue.waiting, turns._of_each) == (0, 0, {})


async def test_beyond_the_bound_nothing_waits_behind_an_answer_and_the_next_page_says_it_again(held, monkeypatch):
    monkeypatch.setattr(fair_queue, "BEHIND", 0)
    assert await held.turns.write({"client": ("192.0.2.1", 1), "headers": [], "scheme": "http"}, nothing), (
        "its only one"
    )
    assert await held.say(OFF, HELD) == HONORED
    await asyncio.sleep(0)
    assert held.turns.queue.waiting == 1
    assert b'gateway_forms_refused_total{why="signal_not_kept"} 1.0' in held.door.metrics.text()
    await held.give_back()
    assert await held.say("a=b") == NOTHING_SAID
    assert await held.say(OFF) == HONORED
    assert await held.say("a=b") == HONORED
    assert (held.turns.queue._taken, held.turns.queue._held) == (0, {})


async def test_what_has_its_turn_is_written_whatever_waits(monkeypatch):
    monkeypatch.setattr(fair_queue, "PAGE_SECONDS", 0.05)
    monkeypatch.setattr(fair_queue, "BEHIND", 0)
    turns = Turns(Sources(Peers(("127.0.0.1",)), lambda: pytest.fail("no clock")))
    monkeypatch.setattr(turns.sources, "of", lambda _: b"a")
    assert turns.queue.takes(b"a", fair_queue.WRITING_EACH)
    may, written = asyncio.Event(), []

    async def writes(behind):
        await may.wait()
        written.append(behind)

    page = asyncio.create_task(turns.write({}, writes))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    turns.queue.give_back(b"a", fair_queue.WRITING_EACH)
    assert await page
    may.set()
    async with turns.running():
        pass
    assert written == [False]
