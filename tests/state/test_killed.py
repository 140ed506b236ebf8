"""Whoever folds may be killed at any point, and whoever reads meanwhile reads one moment: what lies in the state is
what the fold makes of as many records as its position says. Shown to fail where rows and position are written apart.
"""

import random

import pytest
from support import state_processes
from support.examples import SOAK
from support.state_processes import FEW, NOW, Told, finish_apart, folds, reads
from support.states import ListedLog, records_of_universe, wrongs

from gateway.state import upkeep
from gateway.state.transactions import StateWrite
from gateway.state.upkeep import HostState

pytestmark = pytest.mark.slow

ROUNDS = 50 if SOAK else 30


def killed(tmp_path, planted=False):
    """(the rounds after which the state was not whole, how many were killed, how many left part of the records). With
    a planted fault it ends at the first.
    """
    rng, found, dead, parts = random.Random(19), [], 0, 0
    records, folder = records_of_universe(5, 80), None
    folding = Told(folds, records, planted)
    for number in range(ROUNDS):
        if folder is None:
            folder = tmp_path / f"{planted}{number}"
            begun(folder)
        where = rng.choice(("call", "commit"))
        status = folding(folder, where, rng.randrange({"call": 400, "commit": 6}[where]))
        assert status in {0, 9}
        dead += status == 9
        state = HostState(folder)
        found += [number] if wrongs(state, records, NOW) else []
        with state.moment() as moment:
            position = moment.head.position
        state.close()
        parts += 0 < position < len(records)
        folder = None if position == len(records) or number in found else folder
        if planted and found:
            break
    folding.end()
    return found, dead, parts


def begun(folder):
    """Of a log that has nothing yet."""
    state = HostState(folder)
    state.catch_up(ListedLog())
    state.close()


def test_whoever_folds_is_killed_anywhere_and_the_map_is_whole(tmp_path, figure):
    found, dead, parts = killed(tmp_path)
    figure("state, killed while it was folded", f"{dead} of {ROUNDS} rounds, {parts} with a part of the log in it")
    assert found == []
    assert dead > ROUNDS / 2
    assert parts > ROUNDS / 4


def test_the_control_a_position_that_is_written_apart_from_its_rows_is_found_by_kills(tmp_path):
    assert killed(tmp_path, planted=True)[0] != []


@pytest.fixture
def two_readers(tmp_path):
    """Of a state that follows one log and then, behind the first 20 records, another one."""
    records = records_of_universe(2, 60)
    logs = [ListedLog(records), ListedLog([*records[:20], *records_of_universe(5, 40)])]
    state = HostState(tmp_path)
    state.catch_up(ListedLog())
    readers = [Told(reads, tmp_path, logs) for _ in range(2)]
    assert all(each()[0]["read"] for each in readers)
    yield state, logs, readers
    for each in readers:
        each.end()
    state.close()


def followed(state, logs, readers):
    """Few records at a time; now and then it waits until both have read."""
    log = ListedLog()
    for each in logs:
        log.replace(each.records[:20])
        for at in range(20, len(each.records), FEW):
            log.extend(each.records[at : at + FEW])
            state.catch_up(log)
            if at % 2:
                [reader() for reader in readers]


def test_two_processes_read_one_moment_each_time_while_a_third_one_writes(two_readers, figure):
    state, logs, readers = two_readers
    followed(state, logs, readers)
    answers = [each() for each in readers]
    for tally, seen in answers:
        assert tally["wrong"] == 0
        assert (1, len(logs[1].records)) in seen, "it goes over to the generation that took the place of its own"
    figure(
        "state, read by two while one writes", "; ".join(f"{tally}, {len(seen)} positions" for tally, seen in answers)
    )


def test_the_control_two_processes_notice_rows_that_are_there_before_their_position(two_readers, monkeypatch):
    state, logs, readers = two_readers
    monkeypatch.setattr(StateWrite, "finish", finish_apart)
    monkeypatch.setattr(state_processes, "between", lambda: [each() for each in readers])
    monkeypatch.setattr(upkeep, "SLICE", FEW)
    state.catch_up(logs[0])
    assert all(each()[0]["wrong"] for each in readers)
