"""What stood at an earlier moment, where the clocks of two machines differ: in doubt a no did (L85)."""

import hashlib
import os
from datetime import timedelta

import pytest
from support.people import GAID, IDFV, email, phone

from gateway.desk import history
from gateway.ledger.acts import device_states, office_acts
from gateway.ledger.acts.office_acts import Belief
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, Purpose

MINUTE = timedelta(minutes=1)
SALE = Purpose.SALE
BELIEF = Belief(hashlib.sha256(b"forged").digest(), ("Ada Park", "Ben Cole"))


class Clocks:
    """A story of two machines: each act by a clock that differs from the true one by so many minutes."""

    def __init__(self, story):
        self.story, self.true = story, story.at

    def by(self, minutes):
        self.story.at = self.true + minutes * MINUTE
        return self.story

    def passes(self, minutes=1):
        self.true += minutes * MINUTE

    def at(self, minutes, *subjects):
        """As the officer is told of a moment, so many minutes from now."""
        now, keys = milliseconds(self.true + minutes * MINUTE), [each.key for each in subjects]
        return self.story.do(lambda tx: history.rebuild(tx.db, keys, now))

    def says(self, minutes, *subjects, purpose=SALE):
        """What is said of a purpose to whoever looks."""
        standings = self.at(minutes, *subjects).standings
        if any(each.denies(purpose) for each in standings):
            return "no"
        return "yes" if any(each.opted_in(purpose) for each in standings) else ""


@pytest.fixture
def clocks(story):
    return Clocks(story)


@pytest.fixture
def people(who):
    return who("phone", phone(1)), who("email", email(1))


def test_a_no_by_a_clock_that_ran_ahead_stood_once_others_were_entered_behind_it(clocks, people):
    number, other = people
    no = clocks.by(3).says(number)
    assert clocks.says(2, number) == "", "nothing is behind it that was by then"
    clocks.passes()
    clocks.by(0).says(other)
    assert [clocks.says(minutes, number) for minutes in (-1, 0, 1, 2, 9)] == ["", "no", "no", "no", "no"]
    assert [each.seq for each in clocks.at(1, number).standings] == [no.seq]
    assert clocks.at(1, number).position == 2


def test_a_no_by_a_clock_that_was_behind_is_told_from_its_own_moment_on(clocks, people):
    number, other = people
    clocks.by(0).says(other)
    clocks.passes()
    clocks.by(-3).says(number)
    clocks.passes(60)
    clocks.by(0).says(other, "limit")
    assert [clocks.says(minutes, number) for minutes in (-65, -64, -63, -60, 0)] == ["", "", "no", "no", "no"]


def test_what_was_said_behind_the_last_entry_of_by_then_was_not_said(clocks, people):
    number, other = people
    clocks.by(0).says(other)
    clocks.passes()
    clocks.by(3).says(number)
    assert [clocks.says(minutes, number) for minutes in (-1, 0, 2, 3)] == ["", "", "", "no"]


def test_no_clock_is_taken_to_differ_by_more_than_five_minutes(clocks, people):
    number, other = people
    clocks.by(7).says(number)
    clocks.passes()
    clocks.by(0).says(other)
    assert [clocks.says(minutes, number) for minutes in (-1, 0, 1, 6)] == ["", "", "no", "no"]


def test_a_yes_by_a_clock_that_ran_ahead_takes_back_no_no_and_is_none_until_its_moment(clocks, people):
    number, other = people
    clocks.by(0).says(number)
    clocks.passes()
    clocks.by(3).says(number, "opt_in")
    clocks.by(3).says(other, "opt_in", Purpose.SENSITIVE)
    clocks.passes()
    clocks.by(0).says(other, "opt_out")
    assert [clocks.says(minutes, number) for minutes in (0, 1, 2, 3)] == ["no", "no", "yes", "yes"]
    assert [clocks.says(minutes, other, purpose=Purpose.SENSITIVE) for minutes in (1, 2)] == ["", "yes"]


def test_a_yes_by_a_clock_that_was_right_is_still_one(clocks, people):
    number, other = people
    clocks.by(0).says(number, "opt_in")
    clocks.by(3).says(number, "opt_out", Purpose.PROFILING)
    clocks.passes()
    clocks.by(0).says(other)
    assert clocks.says(0, number) == "yes"
    assert clocks.says(0, number, purpose=Purpose.PROFILING) == "no"


def test_a_no_reaches_who_was_linked_by_a_clock_that_ran_ahead(clocks, who):
    account, mobile, other = who("account", "alice"), who("gaid", GAID), who("idfv", IDFV)
    clocks.by(0).says(account)
    clocks.by(3).links(account, mobile)
    clocks.passes()
    clocks.by(0).says(other)
    assert clocks.says(0, mobile) == "no"


def test_a_state_that_a_clock_ahead_began_decides_by_its_entry(clocks, who):
    tablet, other = who("gaid", GAID), who("idfv", IDFV)
    began = Choice(ChoiceKind.STATE_BEGAN, SIGNAL_PURPOSES, "device", clocks.by(3).at)
    clocks.story.do(lambda tx: device_states.begin_state(tx, tablet, began, os.urandom(16)))
    clocks.passes()
    clocks.by(0).says(other)
    assert [(each.denies(SALE), each.seq) for each in clocks.at(0, tablet).standings] == [(True, 0)]


def test_what_was_allowed_one_recipient_is_over_by_a_no_of_a_clock_that_ran_ahead(clocks, people):
    number, other = people
    clocks.by(0).says(number, "opt_in", Purpose.SENSITIVE, recipient="adco")
    clocks.by(0).says(number, "opt_in", SALE)
    clocks.passes()
    clocks.by(0).says(other)
    assert [each.recipient for each in clocks.at(0, number).grants] == ["adco"]
    clocks.by(3).says(number, "opt_out", Purpose.SENSITIVE)
    clocks.passes()
    clocks.by(0).says(other, "limit")
    assert [each.recipient for each in clocks.at(-1, number).grants] == ["adco"]
    assert clocks.at(0, number).grants == ()


def test_a_yes_is_none_that_a_clock_ahead_voided_and_a_no_stays(clocks, people):
    number, other = people
    yes, no = clocks.by(0).says(number, "opt_in").seq, clocks.by(0).says(number, "opt_out", Purpose.PROFILING).seq
    clocks.passes()
    at = clocks.by(3).at
    clocks.story.do(lambda tx: office_acts.void_choices(tx, [yes, no], BELIEF, at))
    clocks.passes()
    clocks.by(0).says(other)
    assert [clocks.says(minutes, number) for minutes in (-1, 0, 3)] == ["yes", "", ""]
    assert [clocks.says(minutes, number, purpose=Purpose.PROFILING) for minutes in (-1, 0, 2)] == ["no", "no", ""]


def test_a_record_of_which_a_clock_ahead_voided_the_only_yes_is_still_one_that_was_told_nothing(clocks, people):
    number, other = people
    yes = clocks.by(0).says(number, "opt_in", Purpose.SENSITIVE).seq
    clocks.passes()
    at = clocks.by(3).at
    clocks.story.do(lambda tx: office_acts.void_choices(tx, [yes], BELIEF, at))
    clocks.passes()
    clocks.by(0).says(other)
    assert [(each.own, each.told) for each in clocks.at(0, number).standings] == [(0, None)]
    assert clocks.at(3, number).standings == ()
