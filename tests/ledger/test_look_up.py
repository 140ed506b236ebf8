"""What checks look up is what the state of this host says, and only while somebody vouches for it."""

import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from support.people import GAID, phone

from gateway.choice.question import Grant
from gateway.choice.standing import Stale
from gateway.ledger import entry
from gateway.ledger.acts import device_states, links, office_acts, records
from gateway.ledger.subjects import Choice, milliseconds
from gateway.state.environment import StateRefused
from gateway.state.lookup import Reached, StateMoment, earliest
from gateway.state.upkeep import HostState
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, ChoiceKind, DataClass, Purpose

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOBODYS = b"x" * 16


@pytest.fixture
def lookup(house):
    return house.consent.checks._lookup


def write(house, subject, *, kind=ChoiceKind.OPT_OUT, purpose=Purpose.SALE, **more):
    choice = Choice(kind, (purpose,), "api", AT, **more)
    return house.writer.submit(lambda tx: records.write_choice(tx, subject, choice, os.urandom(16))).result(60)


def linked(house, account, *things, until=None):
    now = milliseconds(AT)
    span = links.Span(now - 10, until)
    return house.writer.submit(lambda tx: links.link_identifiers(tx, account, things, span, now)).result(60)


def test_a_stranger_has_no_row(lookup):
    assert lookup.seen([NOBODYS]).standings == ()
    assert lookup.seen([]).standings == ()
    assert lookup.grants([NOBODYS]) == []
    assert lookup.links_of(NOBODYS) == lookup.words_of(NOBODYS) == []


def test_an_opted_out_phone_reads_as_denied_with_the_entry_that_did_it(house, lookup, who):
    write(house, who("phone", phone(2)))
    written = write(house, who("phone", phone(1)))
    [standing] = lookup.seen([written.key], numbered=True).standings
    assert [purpose for purpose in CHOOSABLE if standing.own_denies(purpose)] == [*SIGNAL_PURPOSES]
    assert (standing.seq, standing.linked, standing.granted, standing.age_band) == (1, False, False, None)
    assert lookup.seen([written.key]).standings[0].seq is None


def test_a_device_that_tells_its_state_reads_as_denied_by_the_entry_that_last_began_it(house, lookup, who):
    tablet, choice = who("gaid", GAID), Choice(ChoiceKind.STATE_BEGAN, SIGNAL_PURPOSES, "device", AT)
    ended = replace(choice, kind=ChoiceKind.STATE_ENDED)

    def tell(act, said):
        house.writer.submit(lambda tx: act(tx, tablet, said, os.urandom(16))).result(60)

    tell(device_states.begin_state, choice)
    tell(device_states.end_state, ended)
    assert [standing.seq for standing in lookup.seen([tablet.key], numbered=True).standings] == [None]
    tell(device_states.begin_state, choice)
    for key in tablet.keys:
        assert [standing.seq for standing in lookup.seen([key], numbered=True).standings] == [2], "by any of its names"
    assert lookup.seen([tablet.key]).standings[0].seq is None


def test_where_nobody_says_in_time_which_entry_began_a_state_it_denies_as_it_did(house, lookup, who, monkeypatch):
    def says_nothing(*_):
        raise Stale

    tablet, choice = who("gaid", GAID), Choice(ChoiceKind.STATE_BEGAN, SIGNAL_PURPOSES, "device", AT)
    house.writer.submit(lambda tx: device_states.begin_state(tx, tablet, choice, os.urandom(16))).result(60)
    [told] = lookup.seen([tablet.key], numbered=True).standings
    monkeypatch.setattr(lookup._facts, "began", says_nothing)
    assert lookup.seen([tablet.key], numbered=True).standings == (replace(told, seq=None),)
    assert told.seq == 0


def test_many_keys_are_answered_in_one_reading(house, lookup, who):
    keys = [write(house, who("phone", phone(number))).key for number in range(5)]
    assert len(lookup.seen([*keys, NOBODYS]).standings) == 5


def test_what_a_person_granted_names_the_recipient_and_the_class(house, lookup, who):
    gaid = who("gaid", GAID)
    write(house, gaid, kind=ChoiceKind.OPT_IN, recipient="teemo", data_class=DataClass.PRECISE_GEO)
    assert lookup.grants([gaid.key]) == [Grant("teemo", Purpose.SALE, DataClass.PRECISE_GEO, 0)]
    [standing] = lookup.seen([gaid.key]).standings
    assert standing.granted
    assert not standing.opted_in(Purpose.SALE)


def test_a_linked_phone_is_known_as_linked_until_the_link_ends(house, lookup, who):
    account, number = who("account", "a1"), who("phone", phone(1))
    linked(house, account, number)
    assert [standing.linked for standing in lookup.seen([number.key, account.key]).standings] == [True, True]
    assert lookup.tied(account.key, number.key)
    assert lookup.links_of(number.key) == [(account.key, False, True)]
    linked(house, account, number, until=milliseconds(AT))
    assert [standing.linked for standing in lookup.seen([number.key]).standings] == [False]
    assert not lookup.tied(account.key, number.key)
    assert lookup.links_of(number.key) == [(account.key, False, False)], "it had it once"


def test_the_position_counts_every_entry(house, lookup, who):
    assert lookup.seen([]).position == 0
    write(house, who("phone", phone(1)))
    write(house, who("phone", phone(1)))
    house.writer.submit(lambda tx: tx.append(b"{}")).result(60)
    assert lookup.seen([]).position == 3


def test_a_change_is_noticed_of_whom_it_is_about_and_of_nobody_else(house, lookup, who):
    ann, bob = who("phone", phone(1)), who("phone", phone(2))
    before = lookup.seen([ann.key, bob.key]).reached
    write(house, ann)
    assert lookup.changed_since([ann.key], before)
    assert not lookup.changed_since([bob.key], before)
    assert not lookup.changed_since([ann.key], lookup.seen([ann.key]).reached)


def test_of_two_generations_nobody_knows_the_earlier():
    assert earliest([Reached("a", 2), Reached("a", 1)]) == Reached("a", 1)
    assert earliest([Reached("a", 2), Reached("b", 1)]) is None
    assert earliest([Reached("a", 2), None]) is None
    assert earliest([]) is None


def test_a_version_is_another_one_after_each_change_and_each_proof(house, lookup, who):
    first = lookup.version()
    write(house, who("phone", phone(1)))
    second = lookup.version()
    assert first != second
    lookup._vouches.prove()
    assert lookup.version() != second


def test_a_screen_that_was_voided_is_known(house, lookup):
    house.writer.submit(lambda tx: office_acts.void_consents(tx, "dark", bytes(32), AT)).result(60)
    assert lookup.voided("dark")
    assert not lookup.voided("light")


def test_an_entry_is_found_by_its_number_and_only_if_it_is_about_somebody(house, lookup, who):
    written = write(house, who("phone", phone(1)))
    house.writer.submit(lambda tx: tx.append(b"{}")).result(60)
    assert lookup.event(0) == entry.b64(written.event)
    assert lookup.event(1) is None
    assert lookup.event(99) is None


ASKED = {
    "seen": [[NOBODYS]], "grants": [[NOBODYS]], "event": [0], "links_of": [NOBODYS], "words_of": [NOBODYS],
    "tied": [NOBODYS, NOBODYS], "alone": ["mark", NOBODYS, [NOBODYS]], "changed_since": [[NOBODYS], Reached("", 0)],
    "version": [], "log": [], "voided": ["dark"],
}  # fmt: skip


@pytest.mark.parametrize("ask", ASKED)
def test_a_state_for_which_nobody_vouched_lately_gives_no_answer(lookup, ask):
    lookup._vouches.fresh_until = 0.0
    with pytest.raises(Stale):
        getattr(lookup, ask)(*ASKED[ask])


@pytest.mark.parametrize("ask", [each for each in ASKED if each != "event"])
def test_a_state_that_is_not_as_far_as_what_was_proved_gives_no_answer(house, lookup, who, ask):
    """As one that a process made of a server in whose place another one leads."""
    write(house, who("phone", phone(1)))
    lookup._vouches.reaches = lookup.seen([]).reached.position
    getattr(lookup, ask)(*ASKED[ask])
    lookup._vouches.reaches += 1
    with pytest.raises(Stale):
        getattr(lookup, ask)(*ASKED[ask])


def test_a_proof_says_how_far_what_is_read_goes(house, lookup, who):
    write(house, who("phone", phone(1)))
    lookup._vouches.prove()
    assert lookup._vouches.reaches == lookup.seen([]).reached.position > 0


@pytest.mark.parametrize("ask", [each for each in ASKED if each != "event"])
def test_an_answer_read_while_the_proof_ran_out_is_not_given(lookup, monkeypatch, ask):
    monkeypatch.setattr(type(lookup._vouches), "stands", lambda *_: False)
    with pytest.raises(Stale):
        getattr(lookup, ask)(*ASKED[ask])


def test_a_proof_that_came_while_a_process_was_paused_vouches_for_nothing_that_was_read_before(lookup, monkeypatch):
    vouches, clock = lookup._vouches, [0.0]
    monkeypatch.setattr(vouches, "_clock", lambda: clock[0])
    vouches.fresh_until = 1.0
    proof = vouches.proof()
    assert vouches.stands(proof)
    clock[0] = 60.0  # stopped for a minute, and the watch was the first to go on
    vouches.fresh_until = 61.0
    assert vouches.fresh()
    assert not vouches.stands(proof)


@pytest.mark.parametrize("ask", [each for each in ASKED if each != "event"])
def test_a_state_that_is_behind_gives_no_answer(house, lookup, ask):
    house.keeper.state.deny()
    with pytest.raises(Stale):
        getattr(lookup, ask)(*ASKED[ask])


@pytest.mark.parametrize("error", [OverflowError("a day that no calendar has"), ValueError("x"), KeyError("a band")])
def test_rows_that_make_no_sense_are_no_answer_and_no_fault_of_the_server(lookup, monkeypatch, error):
    def read(*_):
        raise error

    monkeypatch.setattr(StateMoment, "standings", read)
    with pytest.raises(Stale, match=type(error).__name__):
        lookup.seen([NOBODYS])


def test_one_that_cannot_be_read_is_no_empty_answer(lookup, monkeypatch):
    def refuse(_):
        raise StateRefused("torn")

    monkeypatch.setattr(HostState, "moment", refuse)
    with pytest.raises(Stale, match="torn"):
        lookup.seen([NOBODYS])
