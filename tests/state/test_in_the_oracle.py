"""The oracle's universes with the state in between: after every act, and after its process ended at random moments and
another one went on, each key stands as the fold kept as a dict says.
"""

import pytest
from support import states
from support.examples import QUICK, SOAK
from support.oracle import Tally, lived
from support.states import InTheState, wrongs

from gateway.fold import fold
from gateway.fold.state import FOR_EVER
from gateway.ledger import log_records
from gateway.ledger.log_records import PLACES, LedgerLog
from gateway.state import fronts, transactions, upkeep
from gateway.state.fronts import Fronts

pytestmark = pytest.mark.slow

LENGTH, UNIVERSES = 100, 2 if QUICK else 20 if SOAK else 3
SMALL = 3  # a crowd, where nobody has as many as one
LATER = 10**13


def through_the_state(tmp_path, universes=UNIVERSES, length=LENGTH):
    """(what was looked at, the implementations)."""
    tally, found = Tally(), []
    for seed in range(universes):
        found.append(InTheState(tmp_path / str(seed), seed))
        lived(seed, length, found[-1], tally, moments=False)
    return tally, found


def test_everybody_stands_in_the_state_as_in_the_fold(tmp_path, figure):
    tally, lives = through_the_state(tmp_path)
    fronts = sum(each.fronts for each in lives)
    asked, opened = sum(each.asked for each in lives), sum(each.opened for each in lives)
    figure(
        "oracle, the state in between", f"{asked} keys, {fronts} by their front alone, opened {opened} times; {tally}"
    )
    assert [str(each) for each in tally.found] == []
    assert fronts > 100
    for each in lives:
        assert wrongs(each.kept, each.folded, LATER, len(each.folded)) == []
        each.kept.close()


@pytest.fixture
def soon_crowded(monkeypatch):
    """Many keys come to have more beside them than is carried on to their fronts."""
    monkeypatch.setattr(fronts, "CROWD", SMALL)
    monkeypatch.setattr("gateway.state.transactions.FORMS._forms", {})  # those of before are of other limits
    monkeypatch.setattr(fronts, "READ", 2 * SMALL)


@pytest.mark.usefixtures("soon_crowded")
def test_where_so_many_belong_together_that_no_front_is_kept_they_stand_so_too(tmp_path, figure):
    tally, lives = through_the_state(tmp_path)
    asked, found = sum(each.asked for each in lives), sum(each.fronts for each in lives)
    figure("oracle, crowded", f"{asked} keys, {found} by their front alone; {len(tally.found)} differences")
    assert [str(each) for each in tally.found] == []
    assert 100 < found < 0.8 * asked
    for each in lives:
        each.kept.close()


def planted_fold(record, get):
    """Overlooks every eleventh record."""
    return {} if record.seq % 11 == 10 else fold(record, get)


def keeps_nothing(self):
    """Of changes of edges nothing comes to the map."""
    HONEST_PUT(self)
    for place in self._changed:
        if isinstance(place, tuple):
            self._txn.delete(b"".join(place))


def reads_from_the_next_entry(self, after):
    """Passes over what was learnt at the place of the last one."""
    return HONEST_READ(self, after and (after // PLACES + 1) * PLACES)


def own_front_alone(self, places):
    """Whoever else reads what changed is forgotten."""
    return {key for place in places for key in ((place,) if isinstance(place, bytes) else place)}


def no_looser_forms(self, places):
    return {key for key in HONEST_REACHED(self, places) if not self._row(key).owners or key in places}


def linked_for_ever(own, moved, standing, linked, screens):
    return HONEST_FRONT(own, moved, standing, FOR_EVER if linked else 0, screens)


def moved_by_its_own_row(own, moved, *rest):
    return HONEST_FRONT(own, own, *rest)


HONEST_REACHED, HONEST_FRONT = Fronts.reached, fronts.pack_front
HONEST_READ = LedgerLog.read
HONEST_PUT = transactions.StateWrite._put_places
PLANTS = {
    "a state that overlooks records": (transactions, "fold", planted_fold),
    "a log that does not say that older records changed": (
        log_records,
        "CHANGES",
        "SELECT place, anew FROM side WHERE place >= ? AND false",
    ),
    "a component that ends at its names": (upkeep, "_neighbours", lambda row: {*row.names, *row.targets}),
    "a log that is read from the next entry on": (LedgerLog, "read", reads_from_the_next_entry),
    "edges that are not kept": (transactions.StateWrite, "_put_places", keeps_nothing),
    "fronts that are left as they were when others changed": (Fronts, "reached", own_front_alone),
    "fronts that hear of no other name": (Fronts, "_kin_of", lambda self, key: {key}),
    "fronts of looser forms that are left as they were": (Fronts, "reached", no_looser_forms),
    "a front that knows no screens": (fronts, "screen_bits", lambda screens: 0),
    "a front that knows no end of a link": (fronts, "pack_front", linked_for_ever),
    "a front that changed when its own row did": (fronts, "pack_front", moved_by_its_own_row),
}


@pytest.mark.parametrize("name", PLANTS)
def test_the_control_a_state_with_a_fault_is_found(tmp_path, monkeypatch, name):
    monkeypatch.setattr(*PLANTS[name])
    is_found(tmp_path)


@pytest.mark.usefixtures("soon_crowded")
def test_the_control_fronts_that_stay_when_a_key_becomes_crowded_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(transactions, "is_crowded", lambda row: False)
    is_found(tmp_path)


def is_found(tmp_path):
    with pytest.raises(AssertionError) as found:
        through_the_state(tmp_path, universes=60)  # until it shows: the rarest does in one of seven
    assert found.traceback[-1].path.name == states.__file__.rpartition("/")[2]
