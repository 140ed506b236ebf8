"""What one more browser of an account costs, and that a row made from what came to it alone is the row made anew."""

import contextlib
import os
import random

import pytest
from support.any_life import KEYS, Lives
from support.lives import PEOPLE, Ledger

from gateway.ledger import links, records, standing_rows, travel
from gateway.ledger.subjects import Choice
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind

ROW = "SELECT own, travelled, seq FROM standing WHERE key = ?"
ACCOUNT = PEOPLE.account("ann")


def rows(db):
    return [db.execute(ROW, (key,)).fetchone() or (0, 0, None) for key in KEYS]


def stale(lives):
    """The keys whose rows are others once they are made anew."""
    before = rows(lives.db)
    lives.db.execute("SAVEPOINT anew")
    standing_rows.recompute(lives.tx, KEYS, 0)
    after = rows(lives.db)
    lives.db.execute("ROLLBACK TO anew")
    lives.db.execute("RELEASE anew")
    return [key for key, one, other in zip(KEYS, before, after, strict=True) if one != other]


def stale_in(seed, acts=40):
    luck = random.Random(seed)
    lives = Lives()
    with contextlib.closing(lives.db):
        for _ in range(acts):
            lives.do(*(luck.randrange(200) for _ in range(4)))
            if found := stale(lives):
                return found
    return []


@pytest.mark.parametrize("seed", range(12))
def test_after_any_act_every_row_is_as_if_it_were_made_anew(seed):
    assert stale_in(seed) == []


def test_control_a_row_that_does_not_learn_what_came_is_found(monkeypatch):
    def forgets(came, key, denies):
        came[key] = standing_rows.Came()

    monkeypatch.setattr(travel, "_note", forgets)
    assert any(stale_in(seed) for seed in range(12))


def one_more(ledger):
    """A browser that is new, says no by its signal, and is the account's from then on."""
    now, browser = ledger.now(), PEOPLE.browser(os.urandom(16).hex())
    choice = Choice(ChoiceKind.OPT_OUT, tuple(SIGNAL_PURPOSES), "gpc", ledger.at)
    for subject in (browser, ACCOUNT):
        records.hear(ledger.tx, subject, choice, os.urandom(16))
    links.tie(ledger.tx, ACCOUNT, [browser, ACCOUNT], now)
    return browser


def steps(ledger):
    """What one more browser takes of SQLite, in hundreds of its instructions."""
    taken = []
    ledger.db.set_progress_handler(lambda: taken.append(1) and None, 100)
    one_more(ledger)
    ledger.db.set_progress_handler(None, 0)
    return len(taken)


def growth(fewer=30, more=120):
    """How many times as much one more takes where there are four times as many."""
    ledger, taken = Ledger({}), []
    with contextlib.closing(ledger.db):
        for number in range(more):
            if number + 1 in (fewer, more):
                taken.append(steps(ledger))
            else:
                one_more(ledger)
    return taken[1] / taken[0]


@pytest.mark.slow
def test_one_more_browser_takes_as_much_more_as_there_are_more_of_them(figure):
    times = growth()
    figure("one more browser of an account", f"{times:.1f} times the work where there are four times as many")
    assert times < 5


@pytest.mark.slow
def test_control_when_all_that_ever_travelled_is_read_again_it_takes_more_than_that(monkeypatch):
    monkeypatch.setattr(travel, "recompute", lambda tx, keys, now, came=None: standing_rows.recompute(tx, keys, now))
    assert growth() > 6
