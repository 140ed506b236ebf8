"""People are told; what bounced told nobody (R15, 47 CFR 64.2008)."""

import os
from datetime import date, timedelta

import pytest
from support.people import GAID, IDFV, email, phone

from gateway.desk import notices
from gateway.desk.forgetting import erasure
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.fold.state import Slate
from gateway.ledger import schema
from gateway.ledger.acts.folded_people import folded_alone
from gateway.ledger.audit import verify
from gateway.ledger.log_records import all_sides
from gateway.ledger.side import all_mentions, sum_of_mentions
from gateway.terms import Erasing, NoticeKind, Told

DAY = date(2026, 11, 20)


@pytest.fixture
def tell(story):
    def tell_(subject, day=DAY, outcome=Told.SENT, notice=NoticeKind.PRIVACY):
        return story.do(lambda tx: notices.note_told(tx, subject, notice, day, outcome, story.at, os.urandom(16)))

    return tell_


@pytest.fixture
def account(who):
    return who("account", "a")


@pytest.fixture
def days(story):
    return lambda *subjects: [story.standing(subject).told for subject in subjects]


@pytest.mark.parametrize("outcome", [Told.SENT, Told.SHOWN])
def test_who_was_sent_or_shown_a_notice_was_told_on_that_day(story, who, tell, outcome):
    mail = who("email", email(1))
    tell(mail, outcome=outcome)
    standing = story.standing(mail)
    assert (standing.told, standing.cpni_told) == (DAY, None)


def test_a_notice_that_bounced_is_recorded_and_told_nobody(story, who, tell):
    mail = who("email", email(1))
    tell(mail, outcome=Told.BOUNCED)
    assert story.standing(mail).told is None
    assert [leaf["e"] for leaf in story.leaves()] == ["told"]


def test_a_notice_that_came_back_told_nobody_once_its_ledger_was_taken_back_and_brought_up_to_date(
    story, who, account, tell
):
    """Whoever was sent it again since was told; so is whoever asks after the mailbox by another of its names."""
    mail, device = who("email", email(1)), who("gaid", GAID)
    tell(mail, outcome=Told.BOUNCED)  # with which its names are learnt
    story.links(account, device)
    for each in (account, mail):
        tell(each)
        tell(each, outcome=Told.BOUNCED)
    tell(mail)

    def told(tx):
        slate = Slate(folded_alone(tx.db, {each.key for each in (account, device, mail)}).get)
        return [slate.row(each.key).told for each in (account, device, mail)]

    def goes_back_and_forth(tx):
        before = [*all_sides(tx.db)], {*all_mentions(tx.db)}
        schema.EMPTIED[schema.BOUNCES](tx.db)
        assert told(tx) == [{NoticeKind.PRIVACY: DAY.toordinal()}] * 3, "an older release tells so"
        schema.FILLED[schema.BOUNCES](tx.db)
        assert ([*all_sides(tx.db)], {*all_mentions(tx.db)}) == before
        assert sum_of_mentions(tx.db) == sum(map(hash, all_mentions(tx.db)))
        found = verify.examine(tx.db, lambda _: None, tx.persons).different
        assert [each for each in found if "told" in each] == []
        return told(tx)

    assert story.do(goes_back_and_forth) == [{}, {}, {NoticeKind.PRIVACY: DAY.toordinal()}]


def test_of_a_notice_that_came_back_nothing_is_told_of_whoever_was_unlinked(story, account, tell):
    tell(account)
    tell(account, outcome=Told.BOUNCED)
    order = ErasureOrder(Erasing.UNLINK, (account,), story.at)
    story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))

    def goes_back_and_forth(tx):
        before = [*all_sides(tx.db)]
        schema.EMPTIED[schema.BOUNCES](tx.db)
        schema.FILLED[schema.BOUNCES](tx.db)
        return before == [*all_sides(tx.db)]

    assert story.do(goes_back_and_forth)


@pytest.mark.parametrize("sent", [DAY, DAY - timedelta(days=9)])
def test_a_notice_that_comes_back_after_it_was_reported_as_sent_told_nobody(story, who, account, tell, days, sent):
    """By the day of it, or the one on which it came back."""
    mail, device = who("email", email(1)), who("gaid", GAID)
    story.links(account, mail, device)
    tell(account, sent)
    tell(account, outcome=Told.BOUNCED)
    assert days(account, mail, device) == [None] * 3
    tell(account)
    assert days(account, mail, device) == [DAY] * 3, "sent again, on that same day"


def test_what_came_back_is_no_later_notice_and_not_the_other_one(story, who, tell):
    mail = who("email", email(1))
    for notice in NoticeKind:
        tell(mail, notice=notice)
    tell(mail, DAY - timedelta(days=1), Told.BOUNCED)
    assert story.standing(mail).told == DAY
    tell(mail, outcome=Told.BOUNCED, notice=NoticeKind.CPNI)
    assert (story.standing(mail).told, story.standing(mail).cpni_told) == (DAY, None)


def test_a_notice_that_comes_back_takes_nothing_from_what_others_were_told(story, who, account, tell, days):
    """Of the mailbox that it was sent to, alone; of what an account has, not by an app's word."""
    mail, device = who("email", email(1)), who("gaid", GAID)
    story.links(account, mail)
    story.links(account, device, claimed=True)
    for each in (account, device):
        tell(each)
    tell(mail, outcome=Told.BOUNCED)
    assert days(mail, account, device) == [None, DAY, DAY]
    tell(account, outcome=Told.BOUNCED)
    assert days(account, device) == [None, DAY]


@pytest.mark.parametrize("forgets", [False, True])
def test_a_notice_that_comes_back_told_nobody_whom_the_account_had_then(story, who, account, tell, days, forgets):
    """Also behind the end of their link, and if the account is unlinked; a later notice counts."""
    device, app = who("gaid", GAID), who("idfv", IDFV)
    story.links(account, device, app)
    tell(account, DAY - timedelta(days=9))
    for each in (device, app):
        story.unlinks(account, each)
    tell(app)
    tell(account, DAY - timedelta(days=4), Told.BOUNCED)
    if forgets:
        order = ErasureOrder(Erasing.UNLINK, (account,), story.at)
        story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    assert days(account, device, app) == [None, None, DAY]


def test_a_notice_that_comes_back_told_nobody_whom_an_app_claims_for_the_account_since(story, who, account, tell, days):
    device = who("gaid", GAID)
    story.links(account, device)
    tell(account)
    story.unlinks(account, device)
    story.links(account, device, claimed=True)
    tell(account, outcome=Told.BOUNCED)
    assert days(account, device) == [None, None]


def test_a_notice_that_comes_back_takes_nothing_from_who_has_the_number_since_it_was_given_back(
    story, who, account, tell, days
):
    number, newer = who("phone", phone(1)), who("account", "b")
    story.links(account, number)
    tell(account)
    story.releases(number)
    story.links(newer, number)
    tell(newer)
    tell(account, outcome=Told.BOUNCED)
    assert days(account, number, newer) == [None, DAY, DAY]


def test_the_notice_about_network_information_is_another_one(story, who, tell):
    tell(who("email", email(1)), notice=NoticeKind.CPNI)
    standing = story.standing(who("email", email(1)))
    assert (standing.told, standing.cpni_told) == (None, DAY)


@pytest.mark.parametrize("days", [(0, -3), (-3, 0)])
def test_the_later_day_holds_in_whichever_order_they_were_reported(story, who, tell, days):
    for offset in days:
        tell(who("email", email(1)), DAY + timedelta(days=offset))
    assert story.standing(who("email", email(1))).told == DAY


def test_an_account_is_told_for_all_that_it_has_by_every_name(story, who, account, tell, days):
    mail, device = who("email", email(1)), who("gaid", GAID)
    story.links(account, mail, device)
    tell(account)
    assert days(account, mail, device) == [DAY] * 3
    [hashed] = story.lookup.seen([mail.keys[1]]).standings
    assert hashed.told == DAY


def test_a_mailbox_is_told_for_itself_alone(story, who, account, tell, days):
    mail, device = who("email", email(1)), who("gaid", GAID)
    story.links(account, mail, device)
    tell(mail)
    assert days(mail, account, device) == [DAY, None, None]


def test_what_an_account_gets_later_was_told_nothing(story, who, account, tell, days):
    tell(account)
    story.links(account, who("gaid", GAID))
    assert days(account, who("gaid", GAID)) == [DAY, None]


def test_what_an_account_has_no_more_is_not_told(story, who, account, tell, days):
    story.links(account, who("gaid", GAID))
    story.unlinks(account, who("gaid", GAID))
    tell(account)
    assert days(who("gaid", GAID)) == [None]


def test_who_gets_a_released_number_was_told_nothing(story, who, tell, days):
    """R5: the new holder inherits neither the choice nor the history."""
    number = who("phone", phone(1))
    tell(number)
    story.releases(number)
    assert days(number) == [None]


def test_nobody_is_told_on_a_day_to_come(who, tell, story):
    with pytest.raises(ValueError, match="not past"):
        tell(who("email", email(1)), story.at.date() + timedelta(days=1))
    assert story.leaves() == []


def test_the_entry_tells_the_notice_and_the_day_and_no_person(story, who, tell):
    tell(who("email", email(1)), notice=NoticeKind.CPNI)
    [leaf] = story.leaves()
    assert (leaf["e"], leaf["k"], leaf["day"]) == ("told", "cpni", "2026-11-20")
    assert email(1) not in str(leaf)
    assert "sent" not in str(leaf)
