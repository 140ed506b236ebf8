"""Records are read from a ledger as it is today: the fold of them gives what people said."""

from datetime import timedelta

import pytest
from support.acts import InMemory
from support.lives import PEOPLE, Ledger
from support.people import GAID, email, named, phone

from gateway.fold import fold, reading, record
from gateway.ledger import log_records, side
from gateway.ledger.acts import holders, links, records
from gateway.ledger.log_records import records_of
from gateway.ledger.subjects import milliseconds
from gateway.terms import ChoiceKind, Purpose

WHO = {
    "ann": named("account", "ann"), "bob": named("account", "bob"), "phone": named("phone", phone(1)),
    "mail": named("email", email(1)), "jane": named("email", "jane.doe@gmail.com"), "tablet": named("gaid", GAID),
}  # fmt: skip
SALE = Purpose.SALE
DAY = 86_400_000  # milliseconds: a link outlives its date by as much, for clocks may be wrong


@pytest.fixture
def ledger():
    told = Ledger({name: PEOPLE.name([said]).subjects[0] for name, said in WHO.items()})
    yield told
    told.db.close()


def folded(ledger, *more):
    state = {}
    for each in records_of(ledger.db, *more):
        state.update(fold(each, state.get))
    return state


def standing(ledger, state, name):
    return reading.standing_of(ledger.subjects[name].key, state.get, milliseconds(ledger.at))


def denied(ledger, state):
    """(name, purpose) of the noes that stand."""
    return {
        (name, purpose)
        for name in WHO
        for purpose in (SALE, Purpose.SENSITIVE)
        if standing(ledger, state, name).denies(purpose)
    }


def lived(ledger):
    ledger.link("ann", "phone")
    ledger.link("ann", "jane")
    ledger.link("bob", "tablet")
    ledger.choose(ChoiceKind.OPT_OUT, "phone", SALE)
    ledger.allow("tablet", Purpose.SENSITIVE)
    ledger.choose(ChoiceKind.OPT_OUT, "ann", Purpose.SENSITIVE)
    ledger.begin("tablet", SALE, "device")
    ledger.unlink("ann", "phone")
    ledger.choose(ChoiceKind.OPT_IN, "ann", SALE)
    ledger.release("phone")
    ledger.link("bob", "phone")


STAND = {
    ("ann", Purpose.SENSITIVE), ("jane", Purpose.SENSITIVE),
    ("phone", Purpose.SENSITIVE),  # what Ann had said when she had it
    ("phone", SALE),  # said it, and was given back: it stays there and goes to nobody
    ("tablet", SALE),  # says so itself
}  # fmt: skip


def test_the_fold_of_a_ledgers_records_is_what_people_said(ledger):
    lived(ledger)
    assert denied(ledger, folded(ledger)) == STAND


def test_a_fold_that_forgets_a_record_does_not_pass(ledger):
    """The control."""
    lived(ledger)
    whole = records_of(ledger.db)
    choices = [each for each in whole if isinstance(each.said, record.SaidOut | record.SaidIn)]
    assert len(choices) == 3
    for left_out in choices:
        state = {}
        for each in whole:
            if each is not left_out:
                state.update(fold(each, state.get))
        assert denied(ledger, state) != STAND


def test_records_are_read_until_a_moment(ledger):
    lived(ledger)
    then = milliseconds(ledger.at)
    before = records_of(ledger.db)
    ledger.choose(ChoiceKind.OPT_OUT, "mail", SALE)
    assert records_of(ledger.db, then) == before
    assert len(records_of(ledger.db)) > len(before)


def test_a_link_over_its_date_ends_before_the_first_record_a_day_behind_it(ledger):
    now = ledger.now()
    links.link_identifiers(
        ledger.tx, ledger.subjects["ann"], [ledger.subjects["phone"]], links.Span(now, now + 1000), now
    )
    ledger.choose(ChoiceKind.OPT_OUT, "ann", SALE)
    ledger.at += timedelta(milliseconds=DAY + 1000)
    for _ in range(2):  # the second says that the first was made by no clock that was ahead for a moment
        ledger.choose(ChoiceKind.OPT_OUT, "bob", SALE)
        ledger.at += timedelta(hours=1)
    ledger.choose(ChoiceKind.OPT_OUT, "ann", Purpose.SENSITIVE)
    noes = {("ann", SALE), ("ann", Purpose.SENSITIVE), ("phone", SALE), ("bob", SALE)}
    assert denied(ledger, folded(ledger)) == noes
    said = [each for each in records_of(ledger.db) if isinstance(each.said, record.LinkSaid)]
    assert [each.seq for each in said] == [0, 4]


def test_an_act_and_its_use_are_records(ledger):
    now = ledger.now()
    phone_key = ledger.subjects["phone"].key
    ledger.choose(ChoiceKind.DIRECT, "phone", Purpose.SERVICE)
    assert records.use_acts(ledger.tx, [phone_key], "", now + 1)
    assert isinstance(records_of(ledger.db)[-1].said, record.ActUsed)
    assert reading.grants_of(phone_key, folded(ledger).get, now + 2) == []


FEW = {"SCAN CONSTANT ROW", "SCAN w", "SCAN r", "SCAN mention_run"}  # what is asked for, and the runs of mentions
READ = [
    *((log_records, name) for name in ("FROM", "SINCE", "OF_ENTRIES", "VOIDED_OF", "VOIDED_AHEAD")),
    *((log_records, name) for name in ("BEFORE", "CHANGES", "MADE", "WHOSE", "LAST_PLACE")),
    *((side, name) for name in ("LAST_PIECES", "AMONG", "NEXT", "SMALL")),
    (records, "OVER"),
    (holders, "ENDED"),
]


@pytest.mark.parametrize(("room", "name"), READ, ids=lambda each: each if isinstance(each, str) else "")
def test_nobody_is_looked_for_by_a_look_at_everybody(room, name):
    """As long as a ledger is, an answer and a no would take."""
    sql = getattr(room, name).format(marks="(?, ?)" if room is side else "?, ?", small=-1)
    db = InMemory().db
    plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))]
    assert plan
    assert {step for step in plan if step.startswith("SCAN")} <= FEW
