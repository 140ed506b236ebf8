import os
from datetime import UTC, datetime

import pytest
from support.people import GAID, phone

from gateway.choice.question import Grant
from gateway.ledger import entry, links, records, schema
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.subjects import Choice, milliseconds
from gateway.mirror.lookup import RowUnreadable, Stale
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, ChoiceKind, DataClass, Purpose

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def lookup(house):
    return house.consent.checks._lookup


def write(house, subject, *, kind=ChoiceKind.OPT_OUT, purpose=Purpose.SALE, **more):
    choice = Choice(kind, (purpose,), "api", AT, **more)
    return house.writer.submit(lambda tx: records.write(tx, subject, choice, os.urandom(16))).result(60)


def test_a_stranger_has_no_row(lookup):
    assert lookup.seen([b"x" * 16]).standings == ()
    assert lookup.seen([]).standings == ()
    assert lookup.grants([b"x" * 16]) == []


def test_an_opted_out_phone_reads_as_denied_with_the_entry_that_did_it(house, lookup, who):
    write(house, who("phone", phone(2)))
    written = write(house, who("phone", phone(1)))
    [standing] = lookup.seen([written.key]).standings
    assert [purpose for purpose in CHOOSABLE if standing.own_denies(purpose)] == [*SIGNAL_PURPOSES]
    assert (standing.seq, standing.linked, standing.granted, standing.age_band) == (1, False, False, None)


def test_many_keys_are_answered_in_one_reading(house, lookup, who):
    keys = [write(house, who("phone", phone(number))).key for number in range(5)]
    assert len(lookup.seen([*keys, b"x" * 16]).standings) == 5


def test_what_a_person_granted_names_the_recipient_and_the_class(house, lookup, who):
    gaid = who("gaid", GAID)
    write(house, gaid, kind=ChoiceKind.OPT_IN, recipient="teemo", data_class=DataClass.PRECISE_GEO)
    assert lookup.grants([gaid.key]) == [Grant("teemo", Purpose.SALE, DataClass.PRECISE_GEO, 0)]
    [standing] = lookup.seen([gaid.key]).standings
    assert standing.granted
    assert not standing.opted_in(Purpose.SALE)


def test_a_linked_phone_is_known_as_linked_until_the_link_ends(house, lookup, who):
    account, number = who("account", "a1"), who("phone", phone(1))
    now = milliseconds(AT)

    def link(until):
        span = links.Span(now - 10, until)
        return house.writer.submit(lambda tx: links.link(tx, account, [number], span, now)).result(60)

    link(None)
    assert [standing.linked for standing in lookup.seen([number.key, account.key]).standings] == [True, True]
    link(now)
    assert [standing.linked for standing in lookup.seen([number.key]).standings] == [False]


def test_the_position_counts_every_entry(house, lookup, who):
    assert lookup.seen([]).position == 0
    write(house, who("phone", phone(1)))
    write(house, who("phone", phone(1)))
    assert lookup.seen([]).position == 2


def test_an_entry_is_found_by_its_number_and_only_if_it_is_about_somebody(house, lookup, who):
    written = write(house, who("phone", phone(1)))
    house.writer.submit(lambda tx: tx.append(b"{}")).result(60)
    assert lookup.event(0) == entry.b64(written.event)
    assert lookup.event(1) is None
    assert lookup.event(99) is None


@pytest.mark.parametrize("ask", ["seen", "grants", "event"])
def test_a_store_that_proved_nothing_lately_gives_no_answer(lookup, ask):
    lookup._watch.fresh_until = 0.0
    arguments = {"seen": [[b"x" * 16]], "grants": [[b"x" * 16]], "event": [0]}[ask]
    with pytest.raises(Stale):
        getattr(lookup, ask)(*arguments)


def test_an_answer_read_while_the_proof_ran_out_is_not_given(lookup, monkeypatch):
    answers = iter([True, False])
    monkeypatch.setattr(type(lookup._watch), "fresh", lambda _: next(answers))
    with pytest.raises(Stale):
        lookup.seen([])


def test_rows_that_cannot_be_read_are_unreadable_and_never_an_empty_answer(lookup, monkeypatch):
    def refuse(folder):
        raise LedgerRefused("damaged")

    monkeypatch.setattr(schema, "open_to_read", refuse)
    lookup.close()
    with pytest.raises(RowUnreadable, match="LedgerRefused"):
        lookup.seen([b"x" * 16])


def test_the_file_is_opened_anew_after_it_was_lost_and_found(lookup):
    lookup.seen([])
    first = lookup._db
    lookup.seen([])
    assert lookup._db is first
    lookup._watch.generation += 1
    lookup.seen([])
    assert lookup._db is not first


@pytest.mark.parametrize("keys", [[], [b"x" * 16], [bytes([n]) * 16 for n in range(40)]], ids=len)
def test_no_question_reads_a_whole_table_however_many_people_there_are(lookup, keys):
    """A visitor without any identifier once cost a scan of every standing."""
    lookup.seen([])
    asked: list[str] = []
    lookup._db.set_trace_callback(asked.append)
    lookup.seen(keys)
    lookup.changed_since(keys, 0)
    lookup.grants(keys)
    lookup.tied(b"x" * 16, b"y" * 16)
    lookup._db.set_trace_callback(None)
    plans = [row[3] for sql in asked for row in lookup._db.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert [plan for plan in plans if "SCAN" in plan and plan not in {"SCAN h", "SCAN head"}] == []
