"""Codes as they are kept: used up, over, counted."""

import pytest

from gateway.consent import codes
from gateway.consent.codes import (
    AN_ADDRESS,
    AN_ENTRY_HOUR,
    GOOD_FOR,
    MINUTE,
    STAYS_GOOD,
    TRIES,
    CodeKept,
    Hashed,
)

NOW = 1_900_000_000_000


def code(ticket=b"t1", address=b"a1", digest=b"right"):
    return Hashed(ticket, address, digest)


WRONG = code(digest=b"wrong")


@pytest.fixture
def kept(do):
    """What a job says of one code."""

    def keep(which=None, now=NOW, everybody=1000):
        return do(lambda tx: codes.keep_code(tx, which or code(), now, everybody))

    return keep


@pytest.fixture
def enter(do):
    return lambda which=None, now=NOW: do(lambda tx: codes.enter_code(tx, which or code(), now))


def test_a_code_is_good_once(kept, enter):
    assert kept()
    assert enter() is None
    assert enter() == 0


def test_a_code_is_over_after_its_minutes(kept, enter):
    kept()
    assert enter(now=NOW + GOOD_FOR * MINUTE + 1) == 0
    assert enter(now=NOW + GOOD_FOR * MINUTE) is None


def test_a_code_dies_of_wrong_tries_and_the_right_one_comes_too_late(kept, enter):
    kept()
    assert [enter(WRONG) for _ in range(TRIES)] == [4, 3, 2, 1, 0]
    assert enter() == 0


def test_a_person_who_mistypes_may_go_on(kept, enter):
    kept()
    assert enter(WRONG) == TRIES - 1
    assert enter() is None


def test_a_code_is_good_with_its_ticket_and_for_its_address_alone(kept, enter):
    kept()
    assert enter(code(ticket=b"t2")) == 0
    assert enter(code(address=b"a2")) == 0
    assert enter() is None, "and nobody else's try uses it up"


def test_an_address_gets_so_many_an_hour_and_then_again(kept):
    sent = [kept(code(ticket=bytes([n]))) for n in range(AN_ADDRESS + 1)]
    assert sent == [CodeKept.SEND] * AN_ADDRESS + [CodeKept.OLDER]
    assert kept(code(ticket=b"other", address=b"a2")) is CodeKept.SEND, "somebody else's is another matter"
    assert kept(code(ticket=b"soon"), now=NOW + STAYS_GOOD * MINUTE + 1) is CodeKept.SEND, "none stays good"
    assert kept(code(ticket=b"later"), now=NOW + AN_ENTRY_HOUR * MINUTE + 1) is CodeKept.SEND


def test_whoever_asks_when_enough_were_sent_enters_one_that_lies_there(kept, enter):
    for number in range(AN_ADDRESS):
        kept(code(ticket=bytes([number]), digest=b"code %d" % number))
    assert kept(code(ticket=b"hers", digest=b"never sent")) is CodeKept.OLDER
    assert enter(code(ticket=b"hers", digest=b"never sent")) == TRIES - 1
    assert enter(code(ticket=b"hers", digest=b"")) == TRIES - 2
    assert enter(code(ticket=b"hers", digest=b"code 1")) is None
    assert enter(code(ticket=bytes([1]), digest=b"code 1")) == 0, "it is used up"


def test_everybody_together_gets_so_many_an_hour(kept):
    sent = [kept(code(ticket=bytes([n]), address=bytes([n])), everybody=2) for n in range(3)]
    assert sent == [CodeKept.SEND, CodeKept.SEND, CodeKept.FULL]


def test_what_could_not_be_sent_counts_for_nothing(kept, enter, do):
    for _ in range(AN_ADDRESS + 1):
        assert kept()
        do(lambda tx: codes.take_back_code(tx, b"t1"))
    assert enter() == 0


def test_what_a_clock_sent_that_was_ahead_uses_up_nobodys_hour(kept):
    ahead = NOW + 365 * 24 * AN_ENTRY_HOUR * MINUTE
    assert [kept(code(ticket=bytes([n])), now=ahead, everybody=2) for n in range(3)][2] is CodeKept.FULL
    assert kept(everybody=2) is CodeKept.SEND


def test_what_is_an_hour_old_is_gone_with_the_next_code(kept, do):
    kept()
    kept(code(ticket=b"t2", address=b"a2"), now=NOW + AN_ENTRY_HOUR * MINUTE + 1)
    assert do(lambda tx: tx.db.execute("SELECT ticket FROM code").fetchall()) == [(b"t2",)]
