"""A process that is forked from one with the state open: it reads nothing in its parent's name, and ends none of its
parent's readings.
"""

import multiprocessing

import pytest
from support.states import ListedLog

from gateway.state import environment
from gateway.state.environment import StateMap, StateRefused
from gateway.state.upkeep import HostState

FORK = multiprocessing.get_context("fork")


class Kept(dict):
    """Environments that a child does not leave to its parent."""

    def clear(self):
        pass


@pytest.fixture
def state(tmp_path):
    made = HostState(tmp_path)
    made.catch_up(ListedLog())
    yield made
    made.close()


def live(state, line):
    """What a child does that knows nothing of its parent's reading: it reads, and closes what it has."""
    try:
        with state.moment() as moment:
            line.send(moment.head.position)
    except StateRefused as refused:
        line.send(str(refused))
    state.close()


def asked(state):
    """What a child of this process reads."""
    ours, theirs = FORK.Pipe()
    child = FORK.Process(target=live, args=(state, theirs))
    child.start()
    said = ours.recv()
    child.join()
    return said


def readers(state):
    return state._held.env.readers()


def test_a_child_is_refused_and_its_parent_reads_on(state):
    with state.moment() as moment:
        before = readers(state)
        assert "forked" in asked(state)
        assert (readers(state), moment.head.position) == (before, 0)
    with state.moment() as moment:
        assert moment.head.position == 0


def test_the_control_a_child_that_keeps_what_its_parent_opened_ends_its_readings(state, monkeypatch):
    monkeypatch.setattr(StateMap, "leave", lambda _: None)
    monkeypatch.setattr(environment, "_open", Kept(environment._open))
    with state.moment():
        before = readers(state)
        assert asked(state) == 0
        assert readers(state) != before
