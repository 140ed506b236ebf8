"""Somebody is forgotten: everybody near them stands exactly as before, whatever had happened, and what an unlink reads to
know that is what checks read.
"""

from collections import Counter

import pytest
from support.acts import Play, Refused, shown
from support.examples import SOAK
from support.oracle import Folded
from support.universes import acts_of

from gateway.choice.law import RANKS
from gateway.desk.forgetting.kept_rows import ForgottenPeople
from gateway.desk.forgetting.people_near import PeopleNear
from gateway.fold import kin, reading
from gateway.fold.state import Slate
from gateway.ledger.subjects import milliseconds
from gateway.terms import CHOOSABLE

LENGTH = 150  # acts
UNIVERSES = range(18 if SOAK else 9)  # of each kind one, with clocks that step and without


def stands(state, key, now):
    """But for what the links to somebody who is forgotten gave, and for which devices say no: what of them denied stays a no."""
    standing, grants = reading.standing_of(key, state.get, now), reading.grants_of(key, state.get, now)
    return {what: said for what, said in shown(standing, grants).items() if what not in {"linked", "states"}}


def whole(play):
    folded = Folded()
    folded.caught_up(play, milliseconds(play.at))
    return folded.state


def belongs_to(state, keys):
    """With the names of their identifiers, but for one that is another's too; and looser forms that are nobody else's."""
    slate = Slate(state.get)
    names = {name for key in keys for name in kin.family(slate, key)}
    names = {name for name in names if name in keys or slate.row(name).targets.keys() <= names}
    forms = {form for name in names for form in slate.row(name).looser}
    return names | {form for form in forms if slate.row(form).owners.keys() <= names and is_unheard_of(slate.row(form))}


def left_at_digests(before, key, forgotten, now):
    """What somebody who is forgotten denied whoever asked by a digest that another identifier of the same value has
    too: it stays there as a no of nobody, so that the other one is denied by it, whatever its own yes had lifted.
    """
    slate = Slate(before.get)
    shared = kin.family(slate, key) - {key}
    of_both = [each for each in forgotten if shared & kin.family(slate, each)]
    return frozenset().union(*(stands(before, each, now)["deny"] for each in of_both))


def is_unheard_of(row):
    return not (row.own or row.accounts or row.names or row.targets or row.ins or row.states or row.age or row.told)


def lived(seed):
    """Each time that somebody was forgotten in a universe, with what stood before it."""
    who, acts = acts_of(seed, LENGTH, Counter())
    play = Play(who)
    for act in acts:
        before = whole(play) if act.get("mode") == "unlink" else None
        try:
            play.act(act)
        except Refused:
            continue
        if before is not None:
            yield play, act, before


@pytest.mark.parametrize("seed", UNIVERSES)
def test_everybody_near_somebody_who_is_forgotten_stands_as_before_and_an_unlink_reads_of_them_what_checks_read(seed):
    looked = 0
    for play, act, before in lived(seed):
        reads_what_checks_read(play, before)
        after, now = whole(play), milliseconds(play.at)
        forgotten = belongs_to(before, {play.who[name].key for name in act["who"]})
        for name, key in play.keys.items():
            if key in forgotten:
                continue
            was, is_now = stands(before, key, now), stands(after, key, now)
            younger = (
                RANKS[is_now["age"]] < RANKS[was["age"]]
            )  # by an app's word, of which there is no account to know better
            was |= {"age": is_now["age"], "grown": is_now["grown"]} if younger else {}
            was |= {"deny": was["deny"] | (is_now["deny"] & left_at_digests(before, key, forgotten, now))}
            assert is_now == was, (
                seed,
                len(play.done),
                name,
                act,
            )
            looked += was["deny"] > frozenset()
    assert looked


def reads_what_checks_read(play, before):
    near, now = PeopleNear(before.get), milliseconds(play.at)
    for key in play.keys.values():
        standing = reading.standing_of(key, before.get, now)
        assert near.denied(key) == {each for each in CHOOSABLE if standing.denies(each)}


def test_where_nothing_is_found_that_stays_whoever_was_denied_is_denied_all_the_same(monkeypatch):
    """What an unlink finds out is looked at once more: in doubt it says a no of its own."""
    monkeypatch.setattr(ForgottenPeople, "noes", lambda *_: set())
    looked = 0
    for play, act, before in lived(0):
        after, now = whole(play), milliseconds(play.at)
        forgotten = belongs_to(before, {play.who[name].key for name in act["who"]})
        for key in play.keys.values():
            if key not in forgotten:
                was, is_now = stands(before, key, now)["deny"], stands(after, key, now)["deny"]
                assert was <= is_now
                looked += bool(was)
    assert looked
