"""What is kept ready of each key equals what is read for it, whatever is said of whom."""

import random

import pytest
from support.any_acts import DIGESTS, KEYS, acts
from support.examples import SOAK
from support.states import ListedLog, as_dict, unpack_row

from gateway.fold.state import EMPTY, HEAD
from gateway.state import fronts, transactions
from gateway.state.fronts import Fronts
from gateway.state.packed_rows import BEGINNING, STANDS, tail_of, unpack_edge
from gateway.state.transactions import StateWrite
from gateway.state.upkeep import HostState

UNIVERSES, LENGTH = 18 if SOAK else 6, 150


def wrong_fronts(state):
    """(The keys whose front is another one than is made of all that lies there, how many have none though they might,
    for too many were to be made at once, and how many have one).
    """
    found, last, packed_rows = {}, {}, {}
    with state.moment() as moment:
        for place, packed in moment._txn.cursor():
            if len(place) not in {16, 32}:
                continue
            where = bytes(place) if len(place) == 16 else (bytes(place[:16]), bytes(place[16:]))
            found[where], last[where] = (unpack_row if len(place) == 16 else unpack_edge)(packed)
            if len(place) == 16:
                packed_rows[where] = packed
    others = [
        each
        for each, packed in packed_rows.items()
        if Fronts(found.get, last, set()).front_of(each) + tail_of(packed) != packed
    ]
    stand = [each for each, packed in packed_rows.items() if BEGINNING.unpack_from(packed)[2] & STANDS]
    return [each for each in others if each in stand], len(set(others) - set(stand)), len(stand)


def looked_at(folder, universes=UNIVERSES):
    """(Wrong fronts, keys without one that might have one, with one, keys); it ends at the first that is wrong."""
    spared = kept = met = 0
    for seed in range(universes):
        state, log, rng = HostState(folder / str(seed)), ListedLog(), random.Random(seed)
        records = list(acts(seed, LENGTH))
        while records:
            some = rng.choice((1, 1, 1, 4))
            log.extend(records[:some])
            del records[:some]
            state.catch_up(log)
            wrong, late, stand = wrong_fronts(state)
            spared, kept, met = spared + late, kept + stand, met + len(KEYS) + len(DIGESTS)
            if wrong:
                state.close()
                return wrong, spared, kept, met
        state.close()
    return [], spared, kept, met


@pytest.mark.slow
def test_each_front_is_as_if_made_anew_of_all_that_lies_there(tmp_path, crowd, figure):
    wrong, spared, kept, met = looked_at(tmp_path)
    figure(f"fronts, a crowd is {crowd}", f"{kept} of {met} keys looked at had one, {spared} might have had one")
    assert wrong == []
    assert kept > met * 0.05
    assert (spared > 0) == (crowd < len(KEYS)), "where few belong together nobody waits for a front"


def without(way):
    """Reached as if rows did not know of one way to others."""

    def row(self, key):
        return (self._get(key) or EMPTY)._replace(**{way: {} if way != "box" else None})

    return row


@pytest.mark.slow
def test_where_rows_are_replaced_by_others_all_fronts_are_as_if_made_anew(tmp_path, crowd):
    """Among them those who have lost whoever was between them."""
    for seed in range(UNIVERSES):
        assert replaced(tmp_path / str(seed), seed) == []


def replaced(folder, seed):
    """The wrong fronts after one key's acts were taken out of the log."""
    state, log, rng = HostState(folder), ListedLog(acts(seed, LENGTH)), random.Random(seed)
    state.catch_up(log)
    gone = rng.choice(KEYS)
    before, after = as_dict(log.records), as_dict(each for each in log.records if each.key != gone)
    found = {each: after.get(each) for each in before if each != HEAD and after.get(each) != before[each]}
    with StateWrite(state._current()) as write:
        write.replace(found, len(log.records))
        write.finish(log.root(len(log.records)), len(log.records), len(log.records))
    wrong = wrong_fronts(state)[0]
    state.close()
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("way", ["members", "names", "targets", "box", "spellings", "looser"])
def test_the_control_a_way_that_is_overlooked_is_found(tmp_path, monkeypatch, way):
    honest = Fronts.reached

    def overlooks(self, places):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Fronts, "_row", without(way))
            found = honest(self, places)
        self._kin.clear()
        return found

    monkeypatch.setattr(Fronts, "reached", overlooks)
    assert looked_at(tmp_path, 60)[0] != []


@pytest.mark.slow
def test_the_control_one_who_becomes_crowded_unnoticed_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(fronts, "CROWD", 5)
    monkeypatch.setattr("gateway.state.transactions.FORMS._forms", {})  # those of before are of other limits
    monkeypatch.setattr(transactions, "is_crowded", lambda row: False)
    assert looked_at(tmp_path, 60)[0] != []
