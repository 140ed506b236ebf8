"""A look back at a day on which somebody stood who was unlinked since says that it does not know (L85, R19)."""

import os
from datetime import timedelta
from operator import methodcaller

import pytest
from support.people import GAID, IDFV, phone

from gateway.desk import history, notices
from gateway.desk.forgetting import erasure
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.desk.kept_request import KeptRequest
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import ChoiceKind, Erasing, NoticeKind, Purpose, Told

DAY = timedelta(days=1)
denies_sale = methodcaller("denies", Purpose.SALE)


class Days:
    """Of a story, each counted from its beginning."""

    def __init__(self, story):
        self.story, self.begun = story, story.at

    def go_to(self, day):
        self.story.at = self.begun + day * DAY

    def unlinks(self, *subjects):
        order = ErasureOrder(Erasing.UNLINK, subjects, self.story.at)
        self.story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))

    def looks(self, subject, day):
        """What was denied of sale on a day; None: nobody knows."""
        at = milliseconds(self.begun + day * DAY)
        found = self.story.do(lambda tx: history.rebuild(tx.db, [subject.key], at))
        return None if Purpose.SALE in found.forgotten.purposes else any(map(denies_sale, found.standings))


@pytest.fixture
def days(story):
    return Days(story)


def test_of_what_an_account_had_whose_no_it_was(days, story, who):
    account, mobile, other = who("account", "alice"), who("gaid", GAID), who("idfv", IDFV)
    story.links(account, mobile)
    story.says(account)
    story.says(other)
    days.go_to(100)
    assert days.looks(mobile, 50) is True
    days.unlinks(account)
    assert [days.looks(mobile, day) for day in (-1, 50, 100)] == [False, None, True]
    assert days.looks(other, 50) is True


def test_of_a_mailbox_whose_no_another_spelling_took_back(days, story, who):
    dotted, plain = who("email", "jane.doe@gmail.com"), who("email", "janedoe@gmail.com")
    story.says(dotted)
    days.go_to(10)
    story.says(plain, "opt_in")
    days.go_to(100)
    assert [days.looks(dotted, day) for day in (5, 50)] == [True, False]
    days.unlinks(plain)
    assert [days.looks(dotted, day) for day in (5, 50, 100)] == [None, None, False]


def test_of_what_had_it_through_an_account_that_is_there_still_and_not_of_what_came_later(days, story, who):
    account, number, mobile, newer = who("account", "bob"), who("phone", phone(1)), who("gaid", GAID), who("idfv", IDFV)
    story.links(account, number, mobile)
    story.says(number)
    story.says(newer, "opt_out", Purpose.PROFILING)
    days.go_to(60)
    story.links(account, newer)
    days.go_to(100)
    days.unlinks(number)
    assert [days.looks(each, 50) for each in (mobile, account)] == [None, None]
    assert days.looks(mobile, 100) is True
    assert days.looks(newer, 50) is False


def test_a_no_of_their_own_is_known_whatever_notice_they_had_with_somebody(days, story, who):
    account, number = who("account", "alice"), who("phone", phone(1))
    story.says(number)
    days.go_to(20)
    story.links(account, number)
    days.go_to(30)
    of = (account, NoticeKind.PRIVACY, story.at.date(), Told.SENT, story.at, os.urandom(16))
    story.do(lambda tx: notices.note_told(tx, *of))
    days.go_to(100)
    days.unlinks(account)
    assert [days.looks(number, day) for day in (-1, 5, 50, 100)] == [False, True, True, True]


def test_a_no_that_was_entered_late_is_known_on_every_day(days, story, who):
    number = who("phone", phone(1))
    story.says(number, "opt_out", Purpose.PROFILING)
    days.go_to(10)
    kept = KeptRequest(os.urandom(16), (number,), Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "form", story.at))
    days.go_to(11)
    story.releases(number)
    days.go_to(20)
    assert story.do(kept.enter_once)
    assert [days.looks(number, day) for day in (5, 10, 20)] == [False, True, True]
