"""What an unlink leaves is found before its transaction: it is used only where nobody near said anything meanwhile."""

import os
from datetime import timedelta

import pytest
from support.acts import Play
from support.people import gaid, named

from gateway.desk.forgetting import erasure, erasure_by_unlink
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.desk.forgetting.erasure_by_unlink import UnlinkPlan
from gateway.terms import Erasing, Purpose

WHO = {
    "account": named("account", "an account"), "other": named("account", "another account"),
    "home": named("browser", "a" * 16), "work": named("browser", "b" * 16), "new": named("browser", "c" * 16),
    "phone": named("gaid", gaid(1)), "stranger": named("gaid", gaid(2)), "far": named("browser", "d" * 16),
}  # fmt: skip
FAMILY = ["home", "work", "phone"]
NO = {"act": "choose", "kind": "opt_out", "purposes": ["sale"]}
MEANWHILE = {
    "its own no": {**NO, "who": "account"},
    "the no of one that it has": {**NO, "who": "home"},
    "one more": {"act": "link", "account": "account", "identifiers": ["new"]},
    "one less": {"act": "link_end", "account": "account", "identifiers": ["work"]},
    "another account of one that it has": {"act": "link", "account": "other", "identifiers": ["phone"]},
    "a screen that was voided": {"act": "void", "screen": "a screen"},
    "a choice that was voided": {"act": "void", "entries": ["far"]},
    "somebody else who was unlinked": {"act": "erase", "mode": "unlink", "who": "far"},
}


def lived():
    play = Play(WHO)
    play.act({"act": "link", "account": "account", "identifiers": FAMILY})
    play.act({**NO, "who": "far", "id": "far"})
    return play


def planned(play):
    order = ErasureOrder(Erasing.UNLINK, play.all_of("account"), play.clock())
    with play.ledger.reading() as db:
        return order, erasure.plan(db, order)


def carried_out(play, order, found):
    play.commit(lambda tx: erasure.erase(tx, order, os.urandom(16), found))
    play.at += timedelta(seconds=1)


def is_used(play, order, found, monkeypatch):
    anew, plan_unlink = [], erasure_by_unlink.plan_unlink
    monkeypatch.setattr(erasure_by_unlink, "plan_unlink", lambda *given: anew.append(1) or plan_unlink(*given))
    carried_out(play, order, found)
    return not anew


def denied(play, *names):
    return {name for name in names if Purpose.SALE in play.standing_of(name)["deny"]}


def test_it_is_used_where_a_stranger_alone_said_anything(monkeypatch):
    play = lived()
    play.act({**NO, "who": "account"})
    order, found = planned(play)
    play.act({**NO, "who": "stranger"})
    assert is_used(play, order, found, monkeypatch)
    assert denied(play, *FAMILY, "account") == {*FAMILY}


@pytest.mark.parametrize("act", MEANWHILE.values(), ids=MEANWHILE)
def test_it_is_not_used_where_anybody_near_did_or_what_is_older_is_another_one(act, monkeypatch):
    play = lived()
    order, found = planned(play)
    play.act(act)
    assert not is_used(play, order, found, monkeypatch)


def test_it_is_not_used_where_too_much_was_said(monkeypatch):
    play = lived()
    order, found = planned(play)
    play.act({**NO, "who": "stranger"})
    monkeypatch.setattr(erasure_by_unlink, "SAID_MEANWHILE", 0)
    assert not is_used(play, order, found, monkeypatch)


def said_meanwhile():
    """The account says no, and gets one more browser, between the two."""
    play = lived()
    order, found = planned(play)
    play.act({"act": "link", "account": "account", "identifiers": ["new"]})
    play.act({**NO, "who": "account"})
    carried_out(play, order, found)
    return denied(play, *FAMILY, "new")


def test_a_no_that_came_meanwhile_stays_with_all_that_the_account_had():
    assert said_meanwhile() == {*FAMILY, "new"}


def test_a_plan_that_is_used_whatever_was_said_meanwhile_loses_that_no(monkeypatch):
    monkeypatch.setattr(UnlinkPlan, "holds", lambda *_: True)
    assert said_meanwhile() < {*FAMILY, "new"}
