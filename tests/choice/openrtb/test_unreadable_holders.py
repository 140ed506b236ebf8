"""A bid request whose `regs`, `user` or `device` is none: what nobody can read in it may be an opt-out."""

import json

import pytest

from gateway.choice.openrtb import reading
from gateway.signals.hear import from_call
from gateway.terms import SIGNAL_PURPOSES

PATHS = [path for path, *_ in reading.HOLDERS]
ODD = [[{"gpc": 1}], json.dumps({"gpc": 1}), 1, True, 1.5, [[]], [None]]
NO_CHILD = [None, 0, "0", "", False]
CHILD = [1, "1", True, -1, 2, 1.5, "x", [], {}, {"value": 0}, "true"]


def bid(path, value) -> dict:
    whole = {"id": "1", "regs": {"ext": {}}, "user": {"ext": {}}, "device": {"ext": {}}}
    holder = whole
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return whole


def heard(request):
    return [from_call(signals) for signals in reading.said_in_bid(request).signals]


@pytest.mark.parametrize("path", PATHS, ids=".".join)
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_what_holds_signals_and_is_no_object_denies(path, value):
    found = heard(bid(path, value))
    assert frozenset().union(*(each.denied for each in found)) >= frozenset(SIGNAL_PURPOSES)
    assert any(each.malformed for each in found), "and is counted"


@pytest.mark.parametrize("path", PATHS, ids=".".join)
@pytest.mark.parametrize("value", [None, "", [], {}], ids=repr)
def test_an_empty_one_says_nothing(path, value):
    assert not any(each.denied or each.malformed for each in heard(bid(path, value)))


@pytest.mark.parametrize("path", [("regs", "coppa"), ("regs", "ext", "coppa")], ids=".".join)
@pytest.mark.parametrize("value", [*NO_CHILD, *CHILD], ids=repr)
def test_whoever_may_be_a_child_is_one(path, value):
    is_none = any(value is each for each in NO_CHILD)
    assert reading.said_in_bid(bid(path, value)).age == (None if is_none else "under_13")
