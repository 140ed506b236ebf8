"""An entry that waited until others were made has no say in what came before which moment (R5, R19)."""

import os
from datetime import timedelta

import pytest
from support.people import email, phone

from gateway.desk import history
from gateway.desk.forgetting import erasure
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.desk.kept_request import KeptRequest
from gateway.ledger.acts.holders import held_since, last_before
from gateway.ledger.subjects import Choice
from gateway.terms import ChoiceKind, Erasing, Purpose

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


class PassedByDate:
    """A number that its account had until a date, at which others speak too."""

    def __init__(self, story, who):
        self.story, self.account, self.place = story, who("account", "alice"), who("phone", phone(1))
        self.stranger, self.begun, self.until = who("email", email(1)), story.now, story.now + 3_600_000
        story.links(self.account, self.place, until=self.until)  # entry 0

    def waits(self, subject):
        """A no of somebody that is accepted a second before the date."""
        self.story.at += HOUR - SECOND
        choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "form", self.story.at)
        return KeptRequest(os.urandom(16), (subject,), choice)

    def goes_on(self):
        """Its next holder, and somebody else."""
        self.story.at += HOUR
        written = self.story.says(self.place, "opt_out", details={"note": "called twice"})
        self.story.says(self.stranger, "limit")
        self.story.at += HOUR
        return written.seq

    def enters(self, kept):
        assert self.story.do(kept.enter_once)

    def since(self):
        return self.story.do(lambda tx: held_since(tx.db, self.place.key, self.story.now))

    def last(self, at):
        return self.story.do(lambda tx: last_before(tx.db, at, self.story.now))


@pytest.fixture
def by_date(story, who):
    return PassedByDate(story, who)


def test_whoever_has_a_number_next_is_shown_and_forgotten_all_the_same(by_date, folder):
    kept = by_date.waits(by_date.stranger)
    own = by_date.goes_on()
    assert by_date.since() == own
    by_date.enters(kept)
    assert by_date.since() == own
    story, place = by_date.story, by_date.place
    assert story.do(lambda tx: history.shown_to_holder(tx.db, place.key, story.at)) == [own]
    story.do(lambda tx: erasure.erase(tx, ErasureOrder(Erasing.DETAILS, [place], story.at), os.urandom(16)))
    assert story.rows("SELECT sealed FROM detail WHERE seq = ?", own) == [(None,)]


def test_there_were_no_more_entries_at_a_moment_because_one_was_entered_later(by_date):
    kept = by_date.waits(by_date.stranger)
    own = by_date.goes_on()
    by_date.enters(kept)
    by_date.story.says(by_date.stranger, "limit")
    assert by_date.story.do(lambda tx: history.position_at(tx.db, by_date.until)) == own


def test_several_lines_are_passed_over_together(by_date):
    lines = [by_date.waits(by_date.stranger)]
    lines.append(KeptRequest(os.urandom(16), (by_date.account, by_date.stranger), lines[0].choice))
    own = by_date.goes_on()
    for each in lines:
        by_date.enters(each)
    assert by_date.since() == own


def test_what_was_said_late_of_the_number_itself_is_its_old_holders(by_date):
    kept = by_date.waits(by_date.place)
    by_date.goes_on()
    by_date.enters(kept)
    [last] = by_date.story.rows("SELECT max(seq) FROM detail WHERE key = ?", by_date.place.key)[0]
    assert by_date.since() > last


def test_nothing_of_before_is_anybodys_where_a_clock_was_ahead(by_date):
    story = by_date.story
    story.at += 4 * HOUR
    story.says(by_date.stranger)
    story.at -= 4 * HOUR - timedelta(minutes=1)
    before = story.says(by_date.place).seq
    story.at += HOUR
    own = story.says(by_date.place, "limit").seq
    assert by_date.since() == own == before + 1


def test_an_entry_that_is_older_than_all_is_before_none(by_date):
    assert by_date.last(by_date.begun) == -1
    assert by_date.last(by_date.begun + 1) == 0
