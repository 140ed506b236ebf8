"""Accounts of so many that a few speak for all: whoever reads them learns what they would learn from everybody, whatever
is said of whom, and reads no more where there are a hundred times as many. Shown to fail where a change is overlooked,
and where those who speak for themselves leave no speaker.
"""

import random

import pytest
from support.any_acts import DIGESTS, KEYS, acts
from support.examples import SOAK
from support.folding import key
from support.states import ListedLog

from gateway.fold import reading
from gateway.fold.record import LinkSaid, Record, SaidIn, SaidOut, ScreenVoided
from gateway.state import fronts, lookup
from gateway.state.fronts import CrowdedAccount, crowd_key, crowd_of, unpack_crowd
from gateway.state.upkeep import HostState
from gateway.terms import SIGNAL_PURPOSES

LATER = 10**13
UNIVERSES, LENGTH = 12 if SOAK else 8, 150
ACCOUNT = key("ann")


@pytest.fixture(params=[2, 4])
def few(request, monkeypatch):
    """Many accounts are of many, and so few of those speak."""
    monkeypatch.setattr(fronts, "CROWD", 2)
    monkeypatch.setattr("gateway.state.transactions.FORMS._forms", {})  # those of before are of other limits
    monkeypatch.setattr(fronts, "READ", 8)
    monkeypatch.setattr(fronts, "SPEAKERS", request.param)
    monkeypatch.setattr(fronts, "KEPT", request.param + 1)


def looked_at(folder, seeds=range(UNIVERSES)):
    """(keys that stand otherwise than all that lies there says, how many were read by speakers, lists that are not
    those of all).
    """
    wrong, spoken, lists = [], 0, []
    for seed in seeds:
        state, log, rng = HostState(folder / str(seed)), ListedLog(), random.Random(seed)
        records = list(acts(seed, LENGTH))
        while records and not wrong:
            some = rng.choice((1, 1, 1, 4))
            log.extend(records[:some])
            del records[:some]
            state.catch_up(log)
            for each in (*KEYS, *DIGESTS):
                found, of_few = stands(state, each)
                spoken += of_few
                wrong += [] if found else [(seed, each)]
            lists += wrong_lists(state)
        state.close()
        if wrong:
            break
    return wrong, spoken, lists


def stands(state, asked):
    """(whether it stands as all that lies there says, whether an account of many was read for it)."""
    with state.moment() as moment, state.moment() as other:
        standing = moment.standing(asked, LATER)
        wanted = reading.standing_of(asked, other.get, LATER) if other.get(asked) else None
        few = any(row is not None and place not in moment._found for place, row in moment._few.items())
        return standing == wanted and moment.latest <= moment.head.position, few


def wrong_lists(state):
    with state.moment() as moment:
        found = []
        for account in KEYS:
            packed, row = moment._txn.get(crowd_key(account)), moment.get(account)
            many = row is not None and fronts.has_many(row)
            if many != (packed is not None):
                found.append(account)
            elif many:
                kept, _ = unpack_crowd(packed)
                made = crowd_of(account, row.members, moment.get, moment._last)
                same = {each: count for each, count in kept.counts.items() if count} == made.counts
                last = all(kept.last[each] == made.last[each][: len(kept.last[each])] for each in made.counts)
                found += [] if same and last and not kept.is_short() else [account]
        return found


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_whoever_is_read_by_speakers_stands_as_all_say(tmp_path, figure):
    wrong, spoken, lists = looked_at(tmp_path)
    figure(f"accounts of many, {fronts.SPEAKERS} speak", f"{spoken} keys were read so in {UNIVERSES} universes")
    assert (wrong, lists) == ([], [])
    assert spoken > UNIVERSES * 1000 / 12


RARE = 45  # a universe in which a fault that few show is seen early on
PLANTS = {
    "changes that are overlooked": (CrowdedAccount, "change", lambda *_: None),
    "those who speak for themselves are not counted": (lookup, "speaks_for_few", lambda *_: True),
    "lists that are never made again": (CrowdedAccount, "is_short", lambda _: False),
}


@pytest.mark.slow
@pytest.mark.parametrize("few", [2], indirect=True)
@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", PLANTS)
def test_the_control_speakers_with_a_fault_are_found(tmp_path, monkeypatch, name):
    monkeypatch.setattr(fronts, "KEPT", 2)
    monkeypatch.setattr(*PLANTS[name])
    wrong, _, _ = looked_at(tmp_path, [RARE, *(seed for seed in range(60) if seed != RARE)])
    assert wrong != []


def of_browsers(count):
    """Ann has so many browsers, of which every third said no."""
    for number in range(count):
        yield Record(2 * number, 1, key(f"browser {number}"), LinkSaid(ACCOUNT, 0))
        if number % 3 == 1:
            yield Record(2 * number + 1, 1, key(f"browser {number}"), SaidOut(SIGNAL_PURPOSES, "form"))


@pytest.fixture
def of_many(tmp_path):
    made = []

    def of(count):
        state, log = HostState(tmp_path / str(count)), ListedLog(of_browsers(count))
        state.catch_up(log)
        made.append(state)
        return state, log

    yield of
    for each in made:
        each.close()


def read_for(state, asked):
    """How many places."""
    with state.moment() as moment:
        assert moment.standing(asked, LATER).denies(SIGNAL_PURPOSES[0])
        return len(moment._found) + len(moment._few)


@pytest.mark.parametrize("asked", [key("browser 1"), key("browser 2"), ACCOUNT])
def test_a_check_reads_no_more_of_an_account_that_has_many_times_as_many(of_many, asked):
    few, many = (read_for(of_many(count)[0], asked) for count in (100, 2000))
    assert few == many < 64


def test_the_control_screens_that_are_not_known_are_found(of_many, monkeypatch):
    honest = CrowdedAccount.change

    def forgets(crowd, *said):
        honest(crowd, *said)
        crowd.screens = 0

    monkeypatch.setattr(CrowdedAccount, "change", forgets)
    with pytest.raises(AssertionError):
        test_who_has_many_and_takes_all_back_is_free_and_a_void_of_that_screen_brings_them_back(of_many)


def test_who_has_many_and_takes_all_back_is_free_and_a_void_of_that_screen_brings_them_back(of_many):
    state, log = of_many(100)
    log.extend([Record(300, 1, ACCOUNT, SaidIn(SIGNAL_PURPOSES, "screen"), account=True)])
    state.catch_up(log)
    with state.moment() as moment:
        assert not moment.standing(key("browser 2"), LATER).denies(SIGNAL_PURPOSES[0])
        assert len(moment._found) < 64
    log.extend([Record(301, 1, b"", ScreenVoided("screen"))])
    state.catch_up(log)
    with state.moment() as moment:
        assert moment.standing(key("browser 2"), LATER).denies(SIGNAL_PURPOSES[0])
        assert stands(state, key("browser 2"))[0]
