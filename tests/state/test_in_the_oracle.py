"""The oracle's universes with the state in between: after every act, and after its process ended at random moments and
another one went on, each key stands as the fold kept as a dict says and as the ledger's own rules do.
"""

import pytest
from support import states
from support.examples import QUICK
from support.mended import KNOWN, mended
from support.oracle import Tally, lived
from support.states import InTheState, wrongs

from gateway.fold import fold
from gateway.ledger import ledger_log
from gateway.ledger.ledger_log import PLACES, LedgerLog
from gateway.state import component, packed_rows, transactions

pytestmark = pytest.mark.slow

LENGTH, UNIVERSES = 100, 2 if QUICK else 6
LATER = 10**13


def through_the_state(tmp_path, universes=UNIVERSES, length=LENGTH):
    """(what was looked at, the implementations)."""
    tally, found = Tally(), []
    with mended():
        for seed in range(universes):
            found.append(InTheState(tmp_path / str(seed), seed))
            lived(seed, length, found[-1], tally, declared=KNOWN, moments=False)
    return tally, found


def test_everybody_stands_in_the_state_as_in_the_fold_and_in_the_rules(tmp_path, figure):
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


def planted_fold(record, get):
    """Overlooks every eleventh record."""
    return {} if record.seq % 11 == 10 else fold(record, get)


def keeps_nothing(self):
    """Of changes of edges nothing comes to the map."""
    for place in [each for each in self._changed if isinstance(each, tuple)]:
        del self._changed[place]
    HONEST_PUT(self)


def reads_from_the_next_entry(self, after):
    """Passes over what was learnt at the place of the last one."""
    return HONEST_READ(self, after and (after // PLACES + 1) * PLACES)


HONEST_READ = LedgerLog.read
HONEST_PUT = transactions.StateWrite._put_places
PLANTS = {
    "a state that overlooks records": (transactions, "fold", planted_fold),
    "a log that does not say that older records changed": (
        ledger_log,
        "CHANGES",
        "SELECT told, of FROM record WHERE place >= ? AND false",
    ),
    "a component that ends at its names": (component, "_neighbours", lambda row: {*row.names, *row.targets}),
    "a log that is read from the next entry on": (LedgerLog, "read", reads_from_the_next_entry),
    "edges that are not kept": (transactions.StateWrite, "_put_places", keeps_nothing),
    "a front that counts though others are heard": (packed_rows, "_is_heard_alone", lambda row: True),
    "a front that knows no screens": (packed_rows, "screen_bits", lambda screens: 0),
}


@pytest.mark.parametrize("name", PLANTS)
def test_the_control_a_state_with_a_fault_is_found(tmp_path, monkeypatch, name):
    monkeypatch.setattr(*PLANTS[name])
    with pytest.raises(AssertionError) as found:
        through_the_state(tmp_path, universes=60)  # until it shows: the rarest does in one of seven
    assert found.traceback[-1].path.name == states.__file__.rpartition("/")[2]
