"""What another process of the same folder answered is counted behind a no that it did not know of."""

import asyncio
import contextlib
import sqlite3
from datetime import timedelta

import pytest
from support.people import GAID, named

from gateway.consent.asked import Ask
from gateway.consent.decisions import Decisions, Stands
from gateway.consent.disclosing import UNTOLD, Disclosing
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.ledger.subjects import Choice
from gateway.terms import ChoiceKind, Erasing, Purpose

pytestmark = pytest.mark.anyio
ME = named("gaid", GAID)


class There:
    """Another process: it answered a bid, and has not written that down yet. `told`: recipient, what became of it."""

    def __init__(self, house):
        consent, self.told = house.consent, []
        decisions = Decisions(house.secrets, consent.recipients)
        self.disclosing = Disclosing(
            consent.checks, consent.people, house.writer, decisions, consent.clock, timedelta(0), self.tell
        )
        ask = Ask(("advertisers",), [ME], data=("ad_id",), place="US-NY")
        self.disclosing.record(ask, consent.checks.check(ask), Stands.SENT)

    def tell(self, recipient, word, count):
        self.told += [(recipient, word)] * count


def rows(folder):
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return db.execute("SELECT count(*) FROM disclosed").fetchone()[0]


async def opt_out(house):
    consent = house.consent
    choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "form", consent.clock())
    await consent.choose(consent.people.name([ME]).subjects, choice)


async def test_a_recipient_that_got_something_right_before_a_no_is_on_record_and_yet_to_be_told(house, folder):
    there = There(house)
    await opt_out(house)
    assert await asyncio.to_thread(there.disclosing.write)
    assert there.told == [("advertisers", "sent"), ("advertisers", UNTOLD)]
    assert rows(folder) == 1


@pytest.mark.parametrize("said", [False, True])
async def test_the_control_nobody_is_yet_to_be_told_where_nothing_was_said_or_all_was_counted_before(house, said):
    there = There(house)
    assert await asyncio.to_thread(there.disclosing.write)
    if said:
        await opt_out(house)
    assert there.told == [("advertisers", "sent")]


async def test_who_was_erased_meanwhile_has_no_record_made_of_them(house, folder):
    there = There(house)
    await house.consent.erase(
        ErasureOrder(Erasing.UNLINK, house.consent.people.name([ME]).subjects, house.consent.clock())
    )
    assert await asyncio.to_thread(there.disclosing.write)
    assert rows(folder) == 0
