"""Where somebody said that they are, with a choice (R13): told to the fold alone."""

import msgspec
import pytest
from support.folding import Log, key

from gateway.fold.record import GrantSaid, Record, SaidPruned
from gateway.ledger.side import pack_side, read_side
from gateway.terms import GrantKind, Purpose

OREGON, YORK = "US-OR", "US-NY"


@pytest.fixture
def log():
    return Log()


def places(log, name):
    return log.standing(name).places


def test_each_choice_says_where_its_person_is_and_adds_to_those_before(log):
    log.no("phone", place=OREGON)
    log.yes("phone", place=YORK)
    log.say("phone", GrantSaid("teemo", (Purpose.SALE,), None, GrantKind.OPTED_IN, place=f"{OREGON},DE"))
    assert places(log, "phone") == {OREGON, YORK, "DE"}


@pytest.mark.parametrize("nowhere", ["", "ZZ", "US", "US-XX", "XA-B", "unknown"])
def test_who_names_no_place_with_a_law_is_where_they_were(log, nowhere):
    log.no("phone", place=OREGON)
    log.no("phone", place=nowhere)
    assert places(log, "phone") == {OREGON}


def test_another_spelling_of_a_mailbox_is_where_it_is(log):
    log.named("plus", mailbox="box")
    log.named("plain", mailbox="box")
    log.no("plus", place=OREGON)
    assert places(log, "plain") == {OREGON}


def test_whoever_makes_up_places_for_somebody_fills_no_row_and_hides_no_state(log):
    for number in range(1000):
        log.no("phone", place=f"DE-{number}")
    log.no("phone", place=f"{OREGON},FR-1")
    assert {OREGON, "DE", "FR"} <= places(log, "phone")
    assert len(places(log, "phone")) <= 64 + 3


def test_what_an_account_has_or_had_is_where_the_account_is(log):
    """A phone is in the same hands when its link ends, as for a no and an age."""
    log.link("ann", "phone")
    log.no("ann", place=OREGON)
    assert places(log, "phone") == {OREGON}
    log.end("ann", "phone")
    log.no("ann", place=YORK)
    assert places(log, "phone") == {OREGON}
    assert places(log, "ann") == {OREGON, YORK}
    log.release("phone")
    assert places(log, "phone") == set()


def test_what_an_app_alone_spoke_for_is_nowhere_once_that_is_over(log):
    log.no("ann", place=OREGON)
    log.link("ann", "phone", claimed=True)
    assert places(log, "phone") == {OREGON}
    log.link("ann", "phone", until=log.at, claimed=True)
    assert places(log, "phone") == set()


def test_a_form_that_recipients_hash_is_where_each_is_whose_form_it_is_and_their_accounts(log):
    log.named("dotted", looser=["plain"])
    log.link("ann", "dotted")
    log.no("ann", place=OREGON)
    log.no("dotted", place="DE")
    assert places(log, "plain") == {OREGON, "DE"}


def test_an_account_is_not_where_something_that_it_has_was(log):
    log.no("phone", place=OREGON)
    log.link("ann", "phone")
    assert places(log, "ann") == set()


def test_whoever_gets_a_number_anew_is_not_where_its_holder_was(log):
    log.no("phone", place=OREGON)
    log.release("phone")
    assert places(log, "phone") == set()


def test_a_choice_that_was_pruned_says_still_where_its_person_is(log):
    log.say("phone", SaidPruned("", OREGON))
    assert places(log, "phone") == {OREGON}


def test_what_says_no_place_is_packed_as_releases_of_before_read_it(log):
    packed = [pack_side([Record(0, 0, key("phone"), SaidPruned("", place))], 0, 1) for place in ("", OREGON)]
    without, told = (msgspec.msgpack.decode(read_side(each).said[0].fields) for each in packed)
    assert (without, told) == ([""], ["", OREGON])
