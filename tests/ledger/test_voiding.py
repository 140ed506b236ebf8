"""A consent that was got by a screen that is no fair question never was (11 CCR 7004(b), L51)."""

from datetime import timedelta

import pytest
from support.people import GAID, email, phone

from gateway.choice.standing import Standing
from gateway.fold import reading
from gateway.ledger.acts import office_acts
from gateway.ledger.acts.folded_people import FoldedPeople
from gateway.ledger.entry import b64
from gateway.terms import DataClass, Purpose

OUT, IN, NONE = "opted_out", "opted_in", "none"
DARK = {"ui": "dark"}
WHY = b"h" * 32


@pytest.fixture
def void(story):
    """How many consents there were, where it is voided for the first time."""
    return lambda ui="dark": story.do(
        lambda tx: office_acts.void_consents(tx, ui, WHY, story.at) and office_acts.consents_of(tx.db, ui)
    )


@pytest.fixture
def me(who):
    return who("phone", phone(1))


@pytest.fixture
def account(who):
    return who("account", "a")


@pytest.fixture
def device(who):
    return who("gaid", GAID)


def test_who_had_never_chosen_has_never_chosen_again(story, me, void):
    story.says(me, "opt_in", **DARK)
    assert void() == 1
    assert story.sales(me) == [NONE]
    assert story.standing(me) == Standing()


def test_who_had_opted_out_before_is_opted_out_again_since_that_day(story, me, void):
    first = story.says(me)
    story.at += timedelta(days=1)
    story.says(me, "opt_in", **DARK)
    story.at += timedelta(days=1)
    void()
    assert story.sales(me) == [OUT]
    folded = story.do(lambda tx: FoldedPeople(tx.db, [me.key]))
    assert reading.last_outs(me.key, folded.get)[Purpose.SALE] == first.seq


def test_a_fair_screens_consent_stays(story, me, who, void):
    story.says(me, "opt_in", ui="fair")
    story.says(who("email", email(1)), "opt_in")
    assert void() == 0
    assert story.sales(me, who("email", email(1))) == [IN, IN]


def test_a_choice_that_came_after_it_stays_though_what_it_replaced_is_counted(story, me, void):
    story.says(me, "opt_in", **DARK)
    story.says(me, "opt_in", ui="fair")
    assert void() == 1
    assert story.sales(me) == [IN]


def test_another_purpose_stays(story, me, void):
    story.says(me, "opt_in", Purpose.SHARING, ui="fair")
    story.says(me, "opt_in", **DARK)
    void()
    assert story.standing(me).opted_in(Purpose.SHARING)


def test_the_entry_is_about_no_person_and_written_once(story, me, void):
    story.says(me, "opt_in", **DARK)
    assert [void(), void()] == [1, 0]
    _, leaf = story.leaves()
    assert set(leaf) == {"v", "i", "e", "ui", "h", "t"}
    assert (leaf["e"], leaf["ui"], leaf["h"]) == ("consent_voided", "dark", b64(WHY))
    assert story.rows("SELECT count(*) FROM detail WHERE seq = 1") == [(0,)]


def test_grants_of_the_screen_are_taken_back_and_others_not(story, device, who, void):
    point = {"recipient": "teemo", "data_class": DataClass.PRECISE_GEO}
    story.says(device, "opt_in", **point, **DARK)
    story.says(who("gaid", GAID.replace("d", "e")), "opt_in", **point, ui="fair")
    story.says(device, "keep_programme", recipient="bonus", **DARK)
    assert void() == 2
    assert story.grants(device) == []
    assert len(story.grants(who("gaid", GAID.replace("d", "e")))) == 1


class TestWhatItHadLifted:
    @pytest.fixture(autouse=True)
    def had(self, story, account, me, device):
        story.links(account, me, device)

    def test_from_an_account_and_its_things_comes_back(self, story, account, me, device, void):
        story.says(me)
        story.says(me, "opt_in", **DARK)
        assert story.sales(me, account, device) == [IN, NONE, NONE]
        void()
        assert story.sales(me, account, device) == [OUT, OUT, OUT]

    def test_by_an_account_comes_back_from_the_phone_that_had_said_it(self, story, account, me, device, void):
        story.says(me)
        story.says(account, "opt_in", **DARK)
        assert story.sales(account, me, device) == [IN, OUT, NONE]
        void()
        assert story.sales(account, me, device) == [OUT, OUT, OUT]

    def test_by_an_account_that_had_opted_out_comes_back_everywhere(self, story, account, me, device, void):
        story.says(account)
        story.says(account, "opt_in", **DARK)
        assert story.sales(account, me, device) == [IN, NONE, NONE]
        void()
        assert story.sales(account, me, device) == [OUT, OUT, OUT]

    def test_for_another_purpose_by_a_fair_screen_stays_lifted(self, story, account, me, device, void):
        story.says(me)
        story.says(account, "opt_in", Purpose.SHARING, ui="fair")
        story.says(account, "opt_in", **DARK)
        void()
        assert story.sales(device) == [OUT]
        assert not story.standing(device).denies(Purpose.SHARING)

    def test_comes_back_where_the_link_has_ended_since(self, story, account, me, device, void):
        """Without that screen the deny would have stayed on both sides of the link's end."""
        story.says(me)
        story.at += timedelta(seconds=1)
        story.says(me, "opt_in", **DARK)
        story.at += timedelta(seconds=1)
        story.unlinks(account, me)
        story.at += timedelta(seconds=1)
        void()
        assert story.sales(me, account, device) == [OUT, OUT, OUT]

    def test_comes_back_from_a_phone_that_the_account_had_let_go_before(self, story, account, me, device, void):
        story.says(me)
        story.at += timedelta(seconds=1)
        story.unlinks(account, me)
        story.at += timedelta(seconds=1)
        story.says(account, "opt_in", **DARK)
        assert story.sales(account, me, device) == [IN, OUT, NONE]
        story.says(me, "opt_out", Purpose.MARKETING_MAIL)
        void()
        assert story.sales(account, me, device) == [OUT, OUT, OUT]
        assert not story.standing(account).denies(Purpose.MARKETING_MAIL), "it was gone when it said that"

    def test_comes_back_from_a_phone_let_go_that_said_it_again(self, story, account, me, device, void):
        story.says(me)
        story.at += timedelta(seconds=1)
        story.unlinks(account, me)
        story.at += timedelta(seconds=1)
        story.says(me)
        story.says(account, "opt_in", **DARK)
        void()
        assert story.sales(account, me, device) == [OUT, OUT, OUT]

    def test_comes_back_to_a_phone_let_go_whose_account_said_no_again(self, story, account, me, void):
        story.says(account)
        story.at += timedelta(seconds=1)
        story.unlinks(account, me)
        story.at += timedelta(seconds=1)
        story.says(account)
        story.says(me, "opt_in", **DARK)
        void()
        assert story.sales(account, me) == [OUT, OUT]

    def test_comes_back_to_what_the_account_has_got_since(self, story, account, me, who, void):
        story.says(me)
        story.says(me, "opt_in", **DARK)
        story.links(account, who("email", email(1)))
        void()
        assert story.sales(who("email", email(1))) == [OUT]

    def test_comes_back_where_it_had_stayed_after_a_links_end(self, story, account, me, void):
        story.says(account)
        story.at += timedelta(seconds=1)
        story.unlinks(account, me)
        assert story.sales(me) == [OUT]
        story.says(me, "opt_in", **DARK)
        assert story.sales(me) == [IN]
        story.at += timedelta(seconds=1)
        void()
        assert story.sales(me) == [OUT]

    def test_reaches_the_earlier_holder_and_not_who_has_the_number_now(self, story, account, me, who, void):
        """R5."""
        story.says(me)
        story.at += timedelta(seconds=1)
        story.says(me, "opt_in", **DARK)
        story.at += timedelta(seconds=1)
        story.releases(me)
        story.at += timedelta(seconds=1)
        story.links(who("account", "b"), me)
        void()
        assert story.sales(me, account, who("account", "b")) == [OUT, OUT, NONE]
        story.links(who("account", "c"), me)
        assert story.sales(who("account", "c")) == [NONE]


def test_looser_forms_are_denied_again(story, me, void):
    story.says(me)
    story.says(me, "opt_in", **DARK)

    def looser():
        return [standing.states()["sale"] for standing in story.lookup.seen(me.looser).standings]

    assert me.looser
    assert set(looser()) == {NONE}
    void()
    assert set(looser()) == {OUT}


def test_a_screen_is_void_for_every_reader(story, void):
    assert not story.lookup.voided("dark")
    void()
    assert story.lookup.voided("dark")
    assert not story.lookup.voided("fair")
    assert not story.do(lambda tx: office_acts.is_void(tx, ""))


def test_finding_who_consented_there_reads_no_whole_table(story, me):
    story.says(me, "opt_in", **DARK)

    def plans(tx):
        asked: list[str] = []
        tx.db.set_trace_callback(asked.append)
        office_acts.void_consents(tx, "dark", WHY, story.at)
        office_acts.consents_of(tx.db, "dark")
        tx.db.set_trace_callback(None)
        read = [sql for sql in asked if sql.startswith(("SELECT", "DELETE", "UPDATE"))]
        return [row[3] for sql in read for row in tx.db.execute(f"EXPLAIN QUERY PLAN {sql}")]

    found = story.do(plans)
    assert found
    tables = [plan for plan in found if plan.startswith("SCAN") and "subquery" not in plan]
    assert {*tables} <= {"SCAN voided_ui", "SCAN given"}, "but that of the screens that were voided, and what was found"
