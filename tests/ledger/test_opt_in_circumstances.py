"""An opt-in keeps how it was given until the person says something else (11 CCR 7025(c)(3), 7070)."""

import json

import pytest
from support.people import GAID, phone

from gateway.choice.standing import IN, SHIFT
from gateway.keys import seals
from gateway.terms import SIGNAL_PURPOSES, Purpose

BIT = IN << SHIFT[Purpose.SALE]


@pytest.fixture
def account(who):
    return who("account", "a")


def test_an_opt_in_by_a_parent_with_a_signal_in_sight_says_so(story, account):
    story.says(account, "opt_in", informed=True, parental=True, ui="settings-3")
    standing = story.standing(account)
    assert (standing.own, standing.informed, standing.parental) == (BIT, BIT, BIT)


def test_another_opt_in_says_nothing_of_that(story, account):
    story.says(account, "opt_in")
    standing = story.standing(account)
    assert (standing.own, standing.informed, standing.parental) == (BIT, 0, 0)


def test_only_an_account_is_known_to_a_later_signal(story, who):
    """7025(c)(3): while the consumer is known."""
    for subject in (who("phone", phone(1)), who("gaid", GAID)):
        story.says(subject, "opt_in", informed=True, parental=True)
        standing = story.standing(subject)
        assert (standing.informed, standing.parental) == (0, BIT)


@pytest.mark.parametrize("kind", ["opt_in", "opt_out", "withdraw"])
def test_any_later_choice_ends_it(story, account, kind):
    story.says(account, "opt_in", informed=True, parental=True, ui="settings-3")
    story.says(account, kind)
    standing = story.standing(account)
    assert (standing.informed, standing.parental) == (0, 0)


def test_a_choice_about_another_purpose_does_not_end_it(story, account):
    story.says(account, "opt_in", informed=True)
    story.says(account, "opt_out", Purpose.MARKETING_MAIL)
    assert story.standing(account).informed == BIT


def test_the_public_entry_names_the_screen_and_the_sealed_one_who_said_it(story, account, do):
    written = story.says(account, "opt_in", informed=True, parental=True, ui="settings-3")
    leaf = story.leaves()[-1]
    assert leaf["ui"] == "settings-3"
    assert not {"informed", "parental"} & set(leaf)
    [(person, sealed)] = story.rows("SELECT person, sealed FROM detail WHERE seq = ?", written.seq)
    details = seals.open_seal([do(lambda tx: tx.persons.keys(person)).details], written.event, sealed)[32:]
    assert json.loads(details)["informed"] is json.loads(details)["parental"] is True


class TestASignalAfterIt:
    @pytest.fixture(autouse=True)
    def out_before(self, story, account):
        story.hears(account, *SIGNAL_PURPOSES)

    def test_does_not_undo_what_was_said_in_its_sight_again_and_again(self, story, account):
        story.says(account, "opt_in", informed=True)
        assert [story.hears(account, *SIGNAL_PURPOSES) for _ in range(3)] == [None] * 3
        assert story.sales(account) == ["opted_in"]

    def test_undoes_what_was_said_without_it(self, story, account):
        story.says(account, "opt_in")
        assert story.hears(account, *SIGNAL_PURPOSES) is not None
        assert story.sales(account) == ["opted_out"]

    def test_of_another_purpose_is_written(self, story, account):
        story.says(account, "opt_in", informed=True)
        assert story.hears(account, Purpose.PROFILING) is not None

    def test_undoes_it_where_the_rest_was_not_answered(self, story, who):
        other = who("account", "b")
        story.says(other, "opt_in", informed=True)
        assert story.hears(other, *SIGNAL_PURPOSES) is not None
        assert story.sales(other) == ["opted_out"]
