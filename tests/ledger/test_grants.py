"""What a person allowed one recipient or programme opens that and nothing else (R7, R28, 11 CCR 7025(c)(4))."""

from datetime import timedelta

import pytest
from support.people import GAID, phone

from gateway.choice.question import Grant
from gateway.ledger.acts import records
from gateway.terms import CHOOSABLE, DataClass, GrantKind, Purpose

POINT = {"recipient": "teemo", "data_class": DataClass.PRECISE_GEO}


@pytest.fixture
def me(who):
    return who("phone", phone(1))


@pytest.fixture
def use(story):
    return lambda *subjects, to="bank": story.do(
        lambda tx: records.use_acts(tx, [key for subject in subjects for key in subject.keys], to, story.now)
    )


class TestSendingItThere:
    @pytest.fixture(autouse=True)
    def directed(self, story, me):
        return story.says(me, "direct", Purpose.SERVICE, recipient="bank")

    def test_is_one_act_towards_one_recipient_and_no_choice(self, story, me, directed):
        assert story.grants(me) == [Grant("bank", Purpose.SERVICE, None, directed.seq, GrantKind.DIRECTED)]
        assert (story.standing(me).own, story.standing(me).granted) == (0, True)
        assert story.leaves()[-1]["to"] == "bank"

    def test_is_good_for_ten_minutes(self, story, me, use):
        story.at += timedelta(minutes=10, milliseconds=-1)
        assert len(story.grants(me)) == 1
        story.at += timedelta(milliseconds=1)
        assert story.grants(me) == []
        assert not use(me)

    def test_is_used_up_by_one_disclosure(self, story, me, use):
        assert [use(me), use(me)] == [True, False]
        assert story.grants(me) == []
        assert not story.standing(me).granted

    def test_is_not_used_up_by_another_recipient_or_person(self, story, me, who, use):
        assert not use(me, to="teemo")
        assert not use(who("phone", phone(2)))
        assert len(story.grants(me)) == 1

    def test_twice_before_it_happened_is_once(self, story, me, use):
        story.says(me, "direct", recipient="bank")
        assert [use(me), use(me)] == [True, False]

    def test_of_one_class_and_of_all_of_them_is_had_by_one_row(self, story, me):
        story.says(me, "direct", recipient="bank", data_class=DataClass.CONTACT)
        story.says(me, "direct", recipient="bank")
        had = [
            story.do(lambda tx, row=row: records.claim_act(tx, me.keys, "bank", row, story.now))
            for row in (b"one", b"two", b"one")
        ]
        assert had == [True, False, True]

    def test_is_not_ended_by_an_opt_out(self, story, me):
        story.says(me, "opt_out", *CHOOSABLE)
        assert [grant.kind for grant in story.grants(me)] == ["directed"]

    def test_reaches_nothing_else_that_the_person_has(self, story, me, who):
        story.links(who("account", "a"), me)
        story.says(me, "direct", recipient="bank")
        assert story.grants(who("account", "a")) == []


class TestKeepingAProgramme:
    @pytest.fixture(autouse=True)
    def kept(self, story, me):
        return story.says(me, "keep_programme", Purpose.SALE, Purpose.SHARING, recipient="bonus")

    def test_is_a_grant_of_each_purpose_and_no_choice(self, story, me):
        assert {(grant.recipient, grant.purpose, grant.kind) for grant in story.grants(me)} == {
            ("bonus", Purpose.SALE, GrantKind.PROGRAMME),
            ("bonus", Purpose.SHARING, GrantKind.PROGRAMME),
        }
        assert story.sales(me) == ["none"]

    def test_lifts_no_opt_out_that_there_is(self, story, me):
        story.says(me)
        story.says(me, "keep_programme", recipient="bonus")
        assert story.sales(me) == ["opted_out"]
        assert len(story.grants(me)) == 1

    def test_ends_with_an_opt_out_of_the_purpose_and_with_no_other(self, story, me):
        story.says(me, "opt_out", Purpose.MARKETING_MAIL)
        assert len(story.grants(me)) == 2
        story.says(me, "opt_out", Purpose.SALE)
        assert story.grants(me) == []

    def test_ends_with_the_opt_out_of_the_account(self, story, me, who):
        story.links(who("account", "a"), me)
        story.says(who("account", "a"))
        assert story.grants(me) == []


def test_an_opt_in_and_a_programme_of_one_name_are_two_grants(story, me):
    story.says(me, "opt_in", **POINT)
    story.says(me, "keep_programme", recipient="teemo")
    assert [grant.kind for grant in story.grants(me)] == ["programme", "opted_in"]


def test_a_limit_ends_a_precise_point_and_no_act(story, who):
    device = who("gaid", GAID)
    story.says(device, "opt_in", **POINT)
    story.says(device, "direct", recipient="bank", data_class=DataClass.PRECISE_GEO)
    story.says(device, "limit", Purpose.SENSITIVE)
    assert [grant.kind for grant in story.grants(device)] == ["directed"]


def test_what_was_granted_can_be_read_from_the_entry(story, who):
    story.says(who("gaid", GAID), "opt_in", **POINT, ui="settings-3")
    [leaf] = story.leaves()
    assert (leaf["to"], leaf["p"], leaf["c"], leaf["ui"]) == ("teemo", ["sale"], ["precise_geo"], "settings-3")
