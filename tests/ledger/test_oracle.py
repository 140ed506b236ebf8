"""Universes that are made up: after every act and at earlier moments the fold told what the sides of records say, and
the fold told blindly of every act, say what the fold of the whole log says, by the same seeds in every run. SOAK=1 goes
on for ORACLE_SECONDS (a quarter of an hour) with further seeds, on every processor.

That a fold with a fault is found is shown by plants: folds that overlook a kind of record or take it for another.
"""

import itertools
import os
import time
from multiprocessing import get_context

import pytest
from support.blind import Alongside
from support.examples import QUICK, SOAK
from support.mutants import by_hand, is_found, mutants, of_histories
from support.oracle import Folded, Tally, Universe, lived, smallest, told
from support.universes import KINDS, NEVER_BEHIND, acts_of, universe_of

from gateway.fold import fold
from gateway.fold.record import (
    AgeTold,
    GrantSaid,
    LinkSaid,
    NamesLearnt,
    NoticeGiven,
    Released,
    SaidIn,
    SaidOut,
    ScreenVoided,
    StateSaid,
)

pytestmark = pytest.mark.slow  # a minute; the histories by hand are the quick look

LENGTH = 200
UNIVERSES = 3 if QUICK else 9 if SOAK else 4
SECONDS = float(os.environ.get("ORACLE_SECONDS", "900"))  # of the long run of each process
RARELY = 10  # acts: so often the long run compares, every key then; what differs is looked for act by act behind it
BLIND = 2 if QUICK else 6 if SOAK else 2
MANY = 12  # universes in which a plant is found at the latest
FEWER = 60  # acts of such a one


def first_of(tally):
    """The first difference as short as it gets, for whoever reads the failure."""
    return [told(smallest(each, Folded)) for each in tally.found[:1]]


def test_the_fold_told_blindly_says_it_too(figure):
    """Of every act, with no ledger before it that leaves out what is no news; nobody is forgotten."""
    tally = Tally()
    for seed in range(BLIND):
        who, acts = acts_of(seed, LENGTH, tally.pairs, without=("unlink",))
        tally.universes += 1
        Universe(seed, who, Alongside(), tally, moments=False).tell(acts)
    figure("oracle, the fold alone", str(tally))
    assert [str(each) for each in tally.found] == []


def goes_on(first: int, step: int) -> Tally:
    """The long run of one process: each makes its own pairs of kinds even."""
    tally, ends, seed = Tally(), time.monotonic() + SECONDS, first
    while time.monotonic() < ends and not tally.found:
        lived(seed, LENGTH, Folded(), tally, compare_every=RARELY)
        seed += step
    return tally


def test_the_fold_of_sides_stands_as_the_whole_log_after_every_act_of_any_universe(figure):
    tally, spent, processes = Tally(), -time.process_time(), os.cpu_count() or 1
    for seed in range(UNIVERSES):
        lived(seed, LENGTH, Folded(), tally)
    rate = tally.acts / (spent + time.process_time()) * 3600
    if SOAK:
        with get_context("fork").Pool(processes) as pool:
            starts = [(UNIVERSES + process, processes) for process in range(processes)]
            for each in pool.starmap(goes_on, starts, chunksize=1):
                tally.add(each)
    figure("oracle", str(tally))
    each = rate / (len(KINDS) ** 2 - len(NEVER_BEHIND))
    figure("oracle, an hour of one processor at this rate", f"{rate:.0f} acts, a pair of kinds {each:.0f} times")
    assert first_of(tally) == []
    assert QUICK or tally.kinds.keys() == {*KINDS}


def test_any_two_kinds_of_acts_come_one_behind_the_other():
    """But those that cannot (`NEVER_BEHIND`), and within few universes; the long run meets each hundreds of times."""
    tally = Tally()
    for seed in range(MANY * MANY):
        acts_of(seed, LENGTH, tally.pairs)
    never = {(one, other) for one in KINDS for other in KINDS} - tally.pairs.keys()
    assert never == NEVER_BEHIND.keys()
    even = MANY * MANY * LENGTH / len(KINDS) ** 2
    assert min(tally.pairs.values()) > even / 3, "none of them much less often than others"


def test_a_universe_is_the_same_whenever_its_seed_is_taken():
    assert acts_of(7, 50) == acts_of(7, 50) != acts_of(13, 50)
    assert len(universe_of(3)) <= 12 < len(universe_of(4)), "a library has more accounts than a row keeps apart"


def finds(make, **how):
    """The first difference that an implementation shows, within some universes."""
    for seed in range(MANY):
        found = lived(seed, FEWER, make(), Tally(), **how)
        if found:
            return found
    return None


def overlooking(kind):
    return lambda record, get: {} if isinstance(record.said, kind) else fold(record, get)


def taking(kind, **otherwise):
    """A fold that takes each record of a kind for one that says otherwise."""

    def planted(record, get):
        said = record.said
        return fold(record._replace(said=said._replace(**otherwise)) if isinstance(said, kind) else record, get)

    return planted


def of_a_thing(kind):
    """A fold that takes what an account says for a thing's."""
    return lambda record, get: fold(record._replace(account=False) if isinstance(record.said, kind) else record, get)


PLANTS = {
    "an opt-out of nobody's": overlooking(SaidOut),
    "an opt-in that lifts nothing": overlooking(SaidIn),
    "links that are not heard of": overlooking(LinkSaid),
    "numbers that are never given back": overlooking(Released),
    "names that are not learnt": overlooking(NamesLearnt),
    "screens that are never voided": overlooking(ScreenVoided),
    "states that never begin": overlooking(StateSaid),
    "grants that are not given": overlooking(GrantSaid),
    "notices that reach nobody": overlooking(NoticeGiven),
    "ages that nobody hears": overlooking(AgeTold),
    "a claim that is a whole link": taking(LinkSaid, claimed=False),
    "a whole link that is a claim": taking(LinkSaid, claimed=True),
    "links without an end": taking(LinkSaid, until=None),
    "a mailbox of one spelling": taking(NamesLearnt, mailbox=None),
    "no looser forms": taking(NamesLearnt, looser=()),
    "an account that opts in as a thing does": of_a_thing(SaidIn),
    "a yes on no screen": taking(SaidIn, screen=""),
}


def test_the_fold_as_it_is_shows_nothing_where_the_plants_are_looked_for():
    assert finds(Folded) is None


@pytest.mark.parametrize("plant", PLANTS)
def test_the_control_a_fold_with_a_fault_is_found(plant):
    assert finds(lambda: Folded(PLANTS[plant])) is not None


def test_a_difference_is_made_as_short_as_it_gets():
    """A fold that does not know how numbers are given back, told in a handful of acts."""
    forgetful = lambda: Folded(overlooking(Released))  # noqa: E731
    short = smallest(finds(forgetful), forgetful)
    assert any(act["act"] == "release" for act in short.acts)
    assert len(short.acts) <= 8


def test_a_mutant_of_the_fold_is_found_and_the_fold_itself_is_not():
    """support/mutants.py, by some histories alone."""
    among = of_histories(by_hand()[:40])
    assert not any(case.finds() for case in among)
    found = (mutant for mutant in mutants() if mutant.what == "call left out" and is_found(mutant, among))
    assert len([*itertools.islice(found, 5)]) == 5
