"""Faults in the fold that a tired engineer could make and that would hurt a person, planted one by one
(support/planted_faults.json): the history that each names finds it, and finds nothing in the fold as it is.
"""

import json
from functools import partial
from itertools import chain
from pathlib import Path

import pytest
from support.acts import Play
from support.blind import Blind, is_blind
from support.mutants import HERE, become, exit_code
from support.oracle import Folded

from gateway.ledger.subjects import milliseconds

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent.parent
FAULTS = json.loads((TESTS / "support" / "planted_faults.json").read_text(encoding="utf-8"))
TOLD = json.loads((TESTS / "vectors" / "histories.json").read_text(encoding="utf-8"))["histories"]
HISTORIES = {history["name"]: history for history in TOLD}
LONGEST = 20  # seconds
FOUND = 3  # an exit code that nothing else has: a fault that raises, or does not end, is none that hurts in silence


def plant(fault):
    there = (HERE / f"{fault['room']}.py").read_text(encoding="utf-8")
    become(fault["room"], compile(there.replace(fault["was"], fault["becomes"]), f"{fault['room']}.py", "exec"))


def is_wrong(history):
    """Whether somebody does not stand as it tells: told to the fold alone, and by the records of a ledger."""
    return any(chain(wrong_alone(history) if is_blind(history) else (), wrong_by_the_log(history)))


def wrong_by_the_log(history):
    play, other = Play(history["who"]), Folded()
    for act in history["acts"]:
        play.act(act)
        if act.get("then"):
            other.caught_up(play, milliseconds(play.at))
            yield from play.wrongs(act["then"], partial(said_by, play, other))


def said_by(play, other, name):
    return play.joined(name, lambda key: other.standing_of(key, milliseconds(play.at)))


def wrong_alone(history):
    play = Blind(history["who"])
    for act in history["acts"]:
        play.act(act)
        yield from play.wrongs(act.get("then", {}))


def is_found(fault):

    def finds():
        plant(fault)
        return FOUND if is_wrong(HISTORIES[fault["found_by"]]) else 0

    return exit_code(finds, LONGEST) == FOUND


@pytest.mark.parametrize("fault", FAULTS, ids=[fault["fault"] for fault in FAULTS])
def test_the_control_a_fault_that_would_hurt_somebody_is_found_by_its_history(fault):
    assert (HERE / f"{fault['room']}.py").read_text(encoding="utf-8").count(fault["was"]) == 1, "plant it anew"
    assert is_found(fault)


def test_no_history_finds_a_fault_in_the_fold_as_it_is():
    assert [name for name in {fault["found_by"] for fault in FAULTS} if is_wrong(HISTORIES[name])] == []


def test_there_are_as_many_faults_as_were_asked_for_and_no_two_are_one():
    assert len({(fault["room"], fault["was"], fault["becomes"]) for fault in FAULTS}) == len(FAULTS) >= 25
