"""Nobody gets older by a caller's word, nor by being unlinked; only the desk may say so (R14)."""

import json
import os
from datetime import timedelta
from hashlib import sha256

import pytest
from support.people import GAID, email, phone

from gateway.choice.law import AGES
from gateway.keys import seals
from gateway.ledger.acts import records

CHILD, TEEN, OLDER, ADULT = AGES


@pytest.fixture
def say(story):
    def say_(subject, band, *, may_rise=False):
        return story.do(lambda tx: records.say_age(tx, subject, band, story.at, os.urandom(16), may_rise=may_rise))

    return say_


@pytest.fixture
def age(story):
    return lambda *subjects: [story.standing(subject).age_band for subject in subjects]


@pytest.fixture
def account(who):
    return who("account", "a")


@pytest.fixture
def mail(who):
    return who("email", email(1))


@pytest.fixture
def tablet(who):
    return who("gaid", GAID)


def test_an_age_is_on_record_once_it_was_said(story, mail, say, age):
    assert age(mail) == [None]
    say(mail, TEEN)
    assert age(mail) == [TEEN]
    assert not story.standing(mail).grown


def test_a_younger_word_holds_and_an_older_one_changes_nothing(mail, say, age):
    assert say(mail, OLDER) is not None
    assert say(mail, TEEN) is not None
    assert say(mail, TEEN) is None
    assert say(mail, ADULT) is None
    assert age(mail) == [TEEN]


def test_the_desk_may_say_older_and_that_somebody_was_younger_once_stays(story, mail, say, age):
    say(mail, TEEN)
    say(mail, ADULT, may_rise=True)
    assert age(mail) == [ADULT]
    assert story.standing(mail).grown


def test_a_word_that_is_no_band_is_refused(mail, say, story):
    with pytest.raises(ValueError, match="under_13"):
        say(mail, "34")
    assert story.leaves() == []


def test_all_names_of_an_identifier_are_as_old_as_it_is(story, mail, say):
    say(mail, TEEN)
    assert {standing.age_band for standing in story.lookup.seen(mail.keys).standings} == {TEEN}


def test_a_familys_tablet_is_as_young_as_its_youngest_account(story, who, account, tablet, say, age):
    child = who("account", "b")
    story.links(account, tablet)
    story.links(child, tablet)
    say(account, ADULT)
    assert age(tablet) == [ADULT]
    say(child, CHILD)
    assert age(tablet, account, child) == [CHILD, ADULT, CHILD]


def test_an_account_does_not_get_younger_by_a_tablet(story, account, tablet, say, age):
    story.links(account, tablet)
    say(tablet, CHILD)
    assert age(account) == [None]


def test_a_link_brings_the_accounts_age_with_it(story, account, tablet, say, age):
    say(account, TEEN)
    story.links(account, tablet)
    assert age(tablet) == [TEEN]


def test_when_the_desk_says_that_an_account_is_older_its_things_are_older_too(story, account, tablet, say, age):
    story.links(account, tablet)
    say(account, TEEN)
    say(account, ADULT, may_rise=True)
    assert age(tablet) == [ADULT]
    assert story.standing(tablet).grown


class TestWhenALinkEnds:
    @pytest.fixture(autouse=True)
    def teens(self, story, account, tablet, say):
        story.links(account, tablet)
        say(account, TEEN)

    def test_nobody_gets_older(self, story, account, tablet, say, age):
        story.unlinks(account, tablet)
        assert age(tablet) == [TEEN]
        say(account, ADULT, may_rise=True)
        assert age(tablet) == [TEEN]

    def test_by_a_release_neither(self, story, tablet, age):
        story.releases(tablet)
        assert age(tablet) == [TEEN]

    def test_by_its_date_neither_though_nothing_is_written_then(self, story, who, account, say, age):
        number = who("phone", phone(1))
        story.links(account, number, until=story.now + 5000)
        say(account, CHILD)
        story.at += timedelta(seconds=9)
        story.says(number)
        assert age(number) == [CHILD]

    def test_what_becomes_of_the_account_later_is_not_the_tablets(self, story, account, tablet, say, age):
        story.unlinks(account, tablet)
        say(account, CHILD)
        assert age(tablet) == [TEEN]


def test_a_desk_that_says_older_speaks_of_every_name(who, story, mail, say, age):
    hashed = who("email_sha256", sha256(email(1).encode()).hexdigest())
    say(hashed, CHILD)
    say(mail, TEEN)
    assert age(mail) == [CHILD]
    say(mail, ADULT, may_rise=True)
    assert age(mail, hashed) == [ADULT, ADULT]


def test_the_band_stands_in_the_sealed_details_and_not_in_the_entry(story, mail, say, do):
    written = say(mail, TEEN)
    [leaf] = story.leaves()
    assert leaf["e"] == "age"
    assert TEEN not in str(leaf)
    [(person, sealed)] = story.rows("SELECT person, sealed FROM detail")
    details = seals.open_seal([do(lambda tx: tx.persons.keys(person)).details], written.event, sealed)[32:]
    assert json.loads(details)["band"] == TEEN
