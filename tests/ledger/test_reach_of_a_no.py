"""Whom a no reaches, whose recipients are told of it, are those who read it once it is said; and since when a number is
its present holder's is told by the log's rows as by the fold.
"""

from collections import Counter

import pytest
from support.acts import Play, accepted
from support.examples import SOAK
from support.oracle import Folded
from support.universes import acts_of

from gateway.desk import recipients_to_tell
from gateway.fold import fold, reading
from gateway.fold.record import Record, SaidOut
from gateway.fold.state import Slate
from gateway.ledger.acts.folded_people import FoldedPeople
from gateway.ledger.acts.holders import released_since
from gateway.ledger.subjects import milliseconds
from gateway.terms import Purpose

LENGTH, EVERY, LATER = 160, 40, 10**6
SEEDS = range(12 if SOAK else 3)
pytestmark = pytest.mark.slow


def lived(seed, every):
    """A universe, with the fold of all of it, each so many acts."""
    who, acts = acts_of(seed, LENGTH, Counter())
    play, whole = Play(who), Folded()
    for number in accepted(play, acts):
        if number % every == 0:
            whole.caught_up(play, milliseconds(play.at))
            yield play, whole.state


def readers(state, key, *, account):
    """Who reads a no that is said of a key now."""
    said = Record(LATER, LATER, key, SaidOut((Purpose.SALE,), "form"), account)
    after = {**state, **fold(said, state.get)}
    slate = Slate(after.get)
    everybody = [place for place in after if isinstance(place, bytes) and len(place) == len(key)]
    return {each for each in everybody if any(no.bit.seq == LATER for no in reading.read_noes(slate, each))}


def differences(seed):
    found, reached = [], 0
    for play, state in lived(seed, EVERY):
        for name, key in play.keys.items():
            account = play.who.get(name) is not None and play.who[name].is_account
            mine = recipients_to_tell.reached_by_no(FoldedPeople(play.ledger.db, [key]).slate(), key)
            wanted = readers(state, key, account=account)
            found += [] if mine == wanted else [(name, len(mine - wanted), len(wanted - mine))]
            reached += len(wanted) - 1
    assert reached > 0
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_a_no_reaches_whoever_reads_it_and_nobody_else(seed):
    assert differences(seed) == []


def test_the_control_that_sends_a_no_up_to_whoever_has_only_an_apps_word_for_it(monkeypatch):
    def claimed_too(slate, keys, at=None):
        return {each for key in keys for each in slate.row(key).accounts if slate.edge(each, key).lives()}

    monkeypatch.setattr(recipients_to_tell, "roads", claimed_too)
    assert any(differences(seed) for seed in SEEDS)


def test_the_control_that_forgets_other_names(monkeypatch):
    monkeypatch.setattr(recipients_to_tell, "family", lambda slate, key: {key})
    assert any(differences(seed) for seed in SEEDS)


@pytest.mark.parametrize("seed", range(0, 12, 3 if SOAK else 6))
def test_a_number_is_its_present_holders_since_the_entry_that_the_fold_knows(seed):
    given_back = 0
    for play, state in lived(seed, EVERY // 4):
        slate = Slate(state.get)
        since = {name: slate.row(key).since for name, key in play.keys.items()}
        assert {name: released_since(play.ledger.db, key) for name, key in play.keys.items()} == since
        given_back += sum(map(bool, since.values()))
    assert given_back > 10
