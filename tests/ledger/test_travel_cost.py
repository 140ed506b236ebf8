"""What one more browser of an account costs."""

import os

import pytest
from support.lives import PEOPLE

from gateway.ledger.acts import folded_people, links, records
from gateway.ledger.acts.folded_people import FoldedPeople
from gateway.ledger.subjects import Choice
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind

ACCOUNT = PEOPLE.account("ann")
FEW, MANY = 30, 120  # browsers


def one_more(tx, at):
    """A browser that is new, says no by its signal, and is the account's from then on."""
    browser = PEOPLE.browser(os.urandom(16).hex())
    choice = Choice(ChoiceKind.OPT_OUT, tuple(SIGNAL_PURPOSES), "gpc", at)
    for subject in (browser, ACCOUNT):
        records.hear_signal(tx, subject, choice, os.urandom(16))
    links.tie(tx, ACCOUNT, [browser, ACCOUNT], int(at.timestamp() * 1000))
    return browser


def steps(do, at):
    """What one more browser takes of SQLite, in tens of its instructions."""
    taken = []

    def job(tx):
        tx.db.set_progress_handler(lambda: taken.append(1) and None, 10)
        one_more(tx, at)
        tx.db.set_progress_handler(None, 0)

    do(job)
    return len(taken)


def growth(do, at):
    """How many times as much one more takes where there are four times as many."""
    taken = []
    for number in range(1, MANY + 1):
        if number in (FEW, MANY):
            taken.append(steps(do, at))
        else:
            do(lambda tx: one_more(tx, at))
    return taken[1] / taken[0]


@pytest.mark.slow
def test_one_more_browser_takes_no_more_where_there_are_many(do, story, figure):
    times = growth(do, story.at)
    figure("one more browser of an account", f"{times:.2f} times the work where there are four times as many")
    assert times < 1.3


@pytest.mark.slow
def test_the_control_where_everybody_connected_is_folded_again_it_takes_as_much_more(do, story, monkeypatch):
    for room in (records, links):
        monkeypatch.setattr(room, "people_of", lambda tx, keys: FoldedPeople(tx.db, keys))
    assert folded_people.people_of is not records.people_of
    assert growth(do, story.at) > 2
