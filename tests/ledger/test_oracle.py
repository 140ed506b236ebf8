"""The fold against the ledger's own rules (support/oracle.py), in universes that are made up: after every act and at
earlier moments, by the same seeds in every run. SOAK=1 goes on for an hour with further seeds, on every processor.

That it finds what is wrong is shown by plants: folds that overlook a kind of record or take it for another, and a
replay that leaves something out.
"""

import os
import time
from multiprocessing import get_context

import pytest
from support.blind import Alongside
from support.examples import QUICK, SOAK
from support.mended import KNOWN, MENDED, mended
from support.mutants import by_hand, is_found, mutants, of_histories
from support.oracle import Folded, Replayed, Tally, Universe, lived, smallest, told
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
from gateway.ledger.happenings import NAMES, LinkHappening

pytestmark = pytest.mark.slow  # a minute; the histories by hand are the quick look

LENGTH = 200
UNIVERSES = 3 if QUICK else 9
SECONDS = float(os.environ.get("ORACLE_SECONDS", "3600"))  # of the long run of each process
RARELY = 10  # acts: so often the long run compares, every key then; what differs is looked for act by act behind it
BLIND = 2 if QUICK else 6
MANY = 12  # universes in which a plant is found at the latest
FEWER = 60  # acts of such a one


def first_of(tally):
    """The first difference as short as it gets, for whoever reads the failure."""
    return [told(smallest(each, Folded, declared=KNOWN)) for each in tally.found[:1]]


def test_the_fold_told_blindly_says_it_too(figure):
    """Of every act, with no ledger before it that leaves out what is no news; nobody is forgotten."""
    tally = Tally()
    with mended():
        for seed in range(BLIND):
            who, acts = acts_of(seed, LENGTH, tally.pairs, without=("unlink",))
            tally.universes += 1
            Universe(seed, who, Alongside(), tally, declared=KNOWN, moments=False).tell(acts)
    figure("oracle, the fold alone", str(tally))
    assert [str(each) for each in tally.found] == []


def goes_on(first: int, step: int) -> Tally:
    """The long run of one process: each makes its own pairs of kinds even."""
    tally, ends, seed = Tally(), time.monotonic() + SECONDS, first
    while time.monotonic() < ends and not tally.found:
        lived(seed, LENGTH, Folded(), tally, declared=KNOWN, compare_every=RARELY)
        seed += step
    return tally


def test_the_fold_says_what_the_rules_say_after_every_act_of_any_universe(figure):
    tally, spent, processes = Tally(), -time.process_time(), os.cpu_count() or 1
    with mended():
        for seed in range(UNIVERSES):
            lived(seed, LENGTH, Folded(), tally, declared=KNOWN)
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
    with mended():
        for seed in range(MANY):
            found = lived(seed, FEWER, make(), Tally(), declared=KNOWN, **how)
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


@pytest.mark.parametrize(
    "leaves_out",
    [lambda each: each.phase == NAMES, lambda each: isinstance(each.act, LinkHappening)],
    ids=["names", "links"],
)
def test_the_control_a_replay_without_a_rule_is_found(leaves_out):
    found = finds(lambda: Replayed(leaves_out), compare_every=20)
    assert found is not None


def test_a_difference_is_made_as_short_as_it_gets():
    """A fold that does not know how numbers are given back, told in a handful of acts."""
    forgetful = lambda: Folded(overlooking(Released))  # noqa: E731
    with mended():
        short = smallest(finds(forgetful), forgetful, declared=KNOWN)
    assert any(act["act"] == "release" for act in short.acts)
    assert len(short.acts) <= 8


@pytest.mark.parametrize("word", MENDED)
def test_what_is_mended_in_the_rules_is_needed_still(word):
    """Without it the two differ; the day they do not, the word goes, and the history's `differs` with it."""
    with mended(word):
        assert any(lived(seed, LENGTH, Folded(), Tally(), declared=KNOWN) for seed in range(2 * MANY))


def test_a_mutant_of_the_fold_is_found_and_the_fold_itself_is_not():
    """support/mutants.py, by some histories alone."""
    among = of_histories(by_hand()[:40])
    assert not any(case.finds() for case in among)
    assert sum(is_found(mutant, among) for mutant in mutants() if mutant.what == "call left out") >= 5
