"""Whoever is denied something new was said something of, or somebody whom they are connected with, since."""

from collections import Counter

import pytest
from support.acts import Play, accepted
from support.examples import SOAK
from support.oracle import Folded
from support.universes import acts_of

from gateway.fold import reading
from gateway.fold.record import Record
from gateway.ledger.acts import folded_people
from gateway.ledger.acts.folded_people import SaidSince
from gateway.ledger.acts.office_acts import ORDER_ABROAD
from gateway.ledger.subjects import milliseconds
from gateway.terms import CHOOSABLE

LENGTH, EVERY = 160, 5
SEEDS = range(12 if SOAK else 3)


def unnoticed(seed):
    """Whom an act denied something, and of whom nothing seems to have been said."""
    who, acts = acts_of(seed, LENGTH, Counter())
    play, whole, found, before, position, newly = Play(who), Folded(), [], {}, 0, 0
    for number in accepted(play, acts):
        if number % EVERY:
            continue
        now = milliseconds(play.at)
        whole.caught_up(play, now)
        after = {name: denied(whole, key, now) for name, key in play.keys.items()}
        since = play.commit(lambda tx, position=position: SaidSince(tx, position))
        for name, denies in after.items():
            if denies - before.get(name, frozenset()):
                newly += 1
                found += [] if since.was_said(play.keys[name], position) else [(number, name)]
        before, position = after, play.ledger.tx.size
    assert newly > 10
    return found


def denied(whole, key, now):
    standing = reading.standing_of(key, whole.state.get, now)
    return frozenset(purpose for purpose in CHOOSABLE if standing.denies(purpose))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_whoever_is_denied_something_new_is_noticed(seed):
    assert unnoticed(seed) == []


@pytest.mark.slow
def test_the_control_that_asks_for_entries_about_themselves_alone(monkeypatch):
    monkeypatch.setattr(folded_people, "connected_people", lambda db, keys, told=None: {*keys})
    assert any(unnoticed(seed) for seed in SEEDS)


def test_of_a_stranger_nothing_was_said():
    play = Play({"phone": {"type": "phone", "value": "+14155550101"}})
    play.act({"act": "choose", "kind": "opt_out", "who": ["phone"], "purposes": ["sale"]})
    since = play.commit(lambda tx: SaidSince(tx, 0))
    assert since.was_said(play.keys["phone"], 0)
    assert not since.was_said(play.keys["phone"], 1)
    assert not since.was_said(b"nobody" + bytes(10), 0)


@pytest.mark.parametrize("first", [0, 2])
def test_what_is_told_beside_an_older_entry_was_said_when_it_came(first):
    play, listed = Play({"phone": {"type": "phone", "value": "+14155550101"}}), b"listed" + bytes(10)
    for purpose in ("sale", "sharing"):
        play.act({"act": "choose", "kind": "opt_out", "who": ["phone"], "purposes": [purpose]})
    now = milliseconds(play.at)
    play.commit(lambda tx: tx.say([Record(0, now, listed, ORDER_ABROAD)], now))
    since = play.commit(lambda tx: SaidSince(tx, first))
    assert since.was_said(listed, 2)
    assert not since.was_said(play.keys["phone"], 2)
