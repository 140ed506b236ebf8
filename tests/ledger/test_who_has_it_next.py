"""The next holder of a number or mailbox neither sees nor takes anything of the one before, however it passed on (R5)."""

import asyncio
import os
from datetime import timedelta

import pytest
from support.people import GAID, email, phone

from gateway.desk import access, disclosures, history
from gateway.desk.disclosures import Intended
from gateway.desk.forgetting import erasure
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.ledger.store import SqliteStore
from gateway.ledger.subjects import milliseconds
from gateway.terms import Erasing, Purpose

HOUR = timedelta(hours=1)


class Passing:
    """A number or mailbox that an account had and that somebody else has now. `said`: what was said on it before;
    `own`: since.
    """

    def __init__(self, story, who, folder, place, how):
        self.story, self.folder, self.place = story, folder, place
        self.old, self.new = who("account", "old"), who("account", "new")
        story.links(self.old, place)
        self.said = self.says("opt_out")
        self.left("teemo")
        self._passes(how)
        self.own = self.says("limit")
        self.left("matching")

    def _passes(self, how):
        self.later()
        if how == "released":
            self.story.releases(self.place)
        elif how != "a new link":
            self.story.unlinks(self.old, self.place)
        self.later()
        if how != "an ended link":
            self.story.links(self.new, self.place)

    def later(self):
        self.story.at += HOUR

    def says(self, kind):
        self.later()
        return self.story.says(self.place, kind, Purpose.SALE, details={"note": f"{kind} by letter"})

    def left(self, recipient):
        row = Intended(f"row-{recipient}", self.place.key, ("ad_id",))

        def job(tx):
            batch = disclosures.intend(tx, recipient, [Purpose.SALE], [row], self.story.at)
            disclosures.mark(tx, recipient, batch, [row], "sent")

        self.story.do(job)

    def erases(self, mode):
        self.later()
        order = ErasureOrder(Erasing(mode), [self.place], self.story.at)
        return self.story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))

    def keys(self):
        people = {each for (each,) in self.story.rows("SELECT person FROM detail")}
        return self.story.do(lambda tx: {each: tx.persons.keys(each) for each in people}).__getitem__

    def report(self, proved):
        found = access.read_access(SqliteStore(self.folder), [proved], self.story.at)
        keys = self.keys()
        return access.unseal_access(found, {person: keys(person) for person in found.persons})

    def notes(self, proved):
        return [entry.details.get("note") for entry in self.report(proved).entries]

    def shown(self):
        who = self.place.kind, self.place.value
        found = asyncio.run(history.events(self.folder, self.place.key, self.keys(), who, now=self.story.at))
        return [event.body["e"] for event in found]

    def opening(self, written):
        found = history.openings_of(self.folder, [written.event], self.place, self.keys(), self.story.at)
        return found.get(written.event)


WAYS = ("released", "an ended link", "an ended link and a new one", "a new link")  # the first is the control


@pytest.fixture(params=WAYS)
def how(request):
    return request.param


@pytest.fixture(params=["phone", "email"])
def passed(story, who, folder, how, request):
    place = who(request.param, {"phone": phone(1), "email": email(1)}[request.param])
    return Passing(story, who, folder, place, how)


def test_sees_only_what_was_said_since(passed):
    assert passed.notes(passed.place) == ["limit by letter"]
    assert passed.shown() == ["limit"]


def test_opens_no_entry_of_the_one_before(passed):
    assert passed.opening(passed.said) is None
    assert passed.opening(passed.own) is not None


def test_has_the_details_forgotten_of_their_own_alone(passed):
    passed.erases("erase_details")
    assert [row for row in passed.notes(passed.old) if row] == ["opt_out by letter"]
    assert [each.recipient for each in passed.report(passed.old).received] == ["teemo"]
    assert passed.story.rows("SELECT sealed IS NULL FROM detail WHERE seq = ?", passed.own.seq) == [(1,)]
    assert passed.notes(passed.place) == []
    assert passed.story.sales(passed.place, passed.old) == ["opted_out", "opted_out"]


def test_is_unlinked_alone(passed):
    passed.erases("unlink")
    assert passed.notes(passed.old) == ["opt_out by letter"]
    assert [each.recipient for each in passed.report(passed.old).received] == ["teemo"]
    assert passed.story.rows("SELECT seq FROM detail WHERE seq = ?", passed.said.seq) == [(passed.said.seq,)]
    assert passed.story.rows("SELECT seq FROM detail WHERE seq = ?", passed.own.seq) == []
    assert passed.story.sales(passed.place, passed.old) == ["opted_out", "opted_out"]


class SamePerson:
    """Somebody who said something on a mailbox or number before it was last linked to an account of theirs."""

    def __init__(self, story, who, place, how):
        self.story, self.place = story, place
        self.accounts = [who("account", "one"), who("account", "two")][: 2 if how == "to a second account" else 1]
        if how == "again to the same account":
            self._links(self.accounts[0])
            self.story.at += HOUR
            story.unlinks(self.accounts[0], place)
        elif how == "to a second account":
            self._links(self.accounts[0])
        self.story.at += HOUR
        self.said = story.says(place, "opt_out", Purpose.SALE, details={"note": "by letter"})
        story.do(self._left)
        self._links(self.accounts[-1])

    def _left(self, tx):
        row = Intended("row", self.place.key, (f"{self.place.kind}_hash",))
        batch = disclosures.intend(tx, "teemo", [Purpose.SALE], [row], self.story.at)
        disclosures.mark(tx, "teemo", batch, [row], "sent")

    def _links(self, account):
        self.story.at += HOUR
        self.story.links(account, self.place)

    def erases(self, mode):
        self.story.at += HOUR
        named = self.accounts if mode == "child_found" else [*self.accounts, self.place]
        order = ErasureOrder(Erasing(mode), named, self.story.at)
        self.story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))


@pytest.mark.parametrize("how", ["for the first time", "again to the same account", "to a second account"])
@pytest.mark.parametrize("kind", ["phone", "email"])
@pytest.mark.parametrize("mode", [*Erasing])
def test_who_linked_it_after_they_said_something_is_forgotten_whole(story, who, kind, how, mode):
    one = SamePerson(story, who, who(kind, {"phone": phone(1), "email": email(1)}[kind]), how)
    one.erases(mode)
    left = story.rows("SELECT sealed FROM detail WHERE seq = ?", one.said.seq)
    assert left == ([] if mode == "unlink" else [(None,)])
    if mode != "child_found":  # what its account alone leads to has no name that a recipient knows
        assert story.rows("SELECT recipient FROM outbox WHERE word = 'delete'") == [("teemo",)]
        assert story.rows("SELECT count(*) FROM disclosure WHERE key = ?", one.place.key) == [(0,)]


@pytest.mark.parametrize("mode", [*Erasing])
def test_the_account_it_came_to_proves_nothing_about_the_one_before(passed, how, mode):
    passed.later()
    named = [passed.place] if how == "an ended link" else [passed.new, passed.place]
    order = ErasureOrder(Erasing(mode), named, passed.story.at)
    passed.story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    [(sealed,)] = passed.story.rows("SELECT sealed FROM detail WHERE seq = ?", passed.said.seq)
    assert sealed is not None


@pytest.mark.parametrize("whose", ["before", "also", "alone", "named"])
def test_what_was_said_on_a_child_s_tablet_while_it_was_another_s_is_not_forgotten_with_the_child(story, who, whose):
    """The first two; that it was theirs alone is the control, and so is that the tablet was named."""
    child, other, tablet = who("account", "child"), who("account", "other"), who("gaid", GAID)
    if whose != "alone":
        story.links(other, tablet)
    before = story.says(tablet, details={"note": "of before"})
    story.at += HOUR
    if whose == "before":
        story.unlinks(other, tablet)
    story.links(child, tablet)
    story.at += HOUR
    since = story.says(tablet, "limit", details={"note": "of now"})
    named = [child, tablet] if whose == "named" else [child]
    order = ErasureOrder(Erasing.CHILD, named, story.at)
    story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    kept = story.rows(f"SELECT sealed IS NOT NULL FROM detail WHERE seq IN ({before.seq}, {since.seq}) ORDER BY seq")
    assert kept == [(int(whose in ("before", "also")),), (0,)]
    assert story.sales(tablet, child) == ["opted_out", "opted_out"]


@pytest.mark.parametrize("hours", [3, 40])
@pytest.mark.parametrize("over", [True, False], ids=["", "control"])
def test_what_somebody_else_said_is_not_forgotten_with_a_child_whose_link_is_over_by_its_date(story, who, hours, over):
    """However long it takes until the log confirms that the date is past."""
    child, other, number = who("account", "child"), who("account", "other"), who("phone", phone(1))
    story.links(child, number, until=milliseconds(story.at + 5 * HOUR) if over else None)
    story.at += 6 * HOUR
    if over:
        story.links(other, number)
    story.at += HOUR
    said = story.says(number, details={"note": "another one's letter"})
    story.at += hours * HOUR
    order = ErasureOrder(Erasing.CHILD, [child], story.at)
    story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    [(kept,)] = story.rows("SELECT sealed IS NOT NULL FROM detail WHERE seq = ?", said.seq)
    assert kept == over
    assert story.sales(number, child) == ["opted_out", "opted_out"]
