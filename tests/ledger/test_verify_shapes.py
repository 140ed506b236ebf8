"""A leaf that is read by its shape says what it says when it is parsed."""

import os
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.ledger import entry, verify_shapes
from gateway.ledger.subjects import milliseconds
from gateway.ledger.verify_shapes import Shapes
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind

AT = datetime(2026, 11, 24, 12, 0, 59, tzinfo=UTC)
WORDS = st.sampled_from(["", "US-CA", "web", "gpc", 'a",s":"b', "é", "\\", ',"i":"'])
KINDS = st.sampled_from([ChoiceKind.OPT_OUT, ChoiceKind.LIMIT, ChoiceKind.OPT_IN, ChoiceKind.LINKED])
LEAF = st.tuples(
    KINDS, st.lists(st.sampled_from(SIGNAL_PURPOSES), max_size=3), WORDS, WORDS, WORDS, WORDS, st.integers(0, 3)
)
# Where a byte is changed, and into what; most leaves stay as they are.
CHANGE = st.one_of(st.none(), st.tuples(st.integers(0, 400), st.sampled_from(b'"\\,:}{dist aA1-_Z\x00\x1f\xff')))


def says(leaf):
    return len(leaf.get("p", ())) or None


def made(leaf):
    kind, purposes, source, place, manner, ui, minutes = leaf
    event, at = os.urandom(16), AT + timedelta(minutes=minutes)
    body = entry.choice(
        event=event,
        kind=kind,
        purposes=purposes,
        source=source,
        at=at,
        subject=os.urandom(32),
        details=os.urandom(32),
        place=place,
        manner=manner,
        ui=ui,
    )
    return body, milliseconds(at), event


def changed(body, change):
    if change is None:
        return body
    at = change[0] % len(body)
    return body[:at] + bytes([change[1]]) + body[at + 1 :]


def parsed(body):
    """None: not to be read at all."""
    try:
        leaf = orjson.loads(body)
    except ValueError:
        return None
    return leaf if isinstance(leaf, dict) else None


def constant(leaf):
    return {name: value for name, value in leaf.items() if name not in "dist"}


@given(st.lists(LEAF, min_size=1, max_size=6), st.lists(st.tuples(LEAF, CHANGE), min_size=1, max_size=8))
@example([(ChoiceKind.OPT_OUT, [], "gpc", "", "", "", 0)], [((ChoiceKind.OPT_OUT, [], "gpc", "", "", "", 0), (49, 92))])
def test_a_shape_says_what_parsing_says_and_of_what_it_is_not_sure_nothing(met, leaves):
    known = Shapes(says)
    for leaf in met:
        body, _, _ = made(leaf)
        known.meet(body, orjson.loads(body))
    rows = [made(leaf) for leaf, _ in leaves]
    rows = [(changed(body, change), at, event) for (body, at, event), (_, change) in zip(rows, leaves, strict=True)]
    for (body, at, event), shape in zip(rows, known.of(*zip(*rows, strict=True)), strict=True):
        if shape:
            leaf = parsed(body)
            assert leaf is not None
            assert constant(leaf) == shape.leaf
            assert shape.own == says(leaf)
            assert (leaf["i"], leaf["t"]) == (entry.b64(event), verify_shapes.minute(at // 60_000).decode())


@given(st.lists(LEAF, min_size=1, max_size=8))
def test_what_was_met_is_known_again(leaves):
    """Control: the short way is taken, wherever a leaf ends as most do."""
    known = Shapes(says)
    for body, _, _ in map(made, leaves):
        known.meet(body, orjson.loads(body))
    rows = [made(leaf) for leaf in leaves]
    found = known.of(*zip(*rows, strict=True))
    assert [shape is None for shape in found] == [leaf[5] != "" for leaf in leaves]


def one(event=None, at=None, body=None):
    known, (plain, when, right) = Shapes(says), made((ChoiceKind.OPT_OUT, SIGNAL_PURPOSES, "gpc", "", "", "", 0))
    known.meet(plain, orjson.loads(plain))
    return known.of([body(plain) if body else plain], [at or when], [right if event is None else event])


def test_an_event_of_another_or_a_time_of_another_minute_is_not_known():
    assert one()[0]
    for wrong in (
        {"event": os.urandom(16)},
        {"event": b"short"},
        {"at": milliseconds(AT) + 60_000},
        {"body": lambda body: body.replace(b'{"d":"', b'{"d": ')},
        {"body": lambda body: body.replace(b'"v":1}', b'"v":2}')},
    ):
        assert one(**wrong) == [None], wrong


def test_a_leaf_with_a_member_twice_is_never_a_shape():
    body, at, event = made((ChoiceKind.OPT_OUT, SIGNAL_PURPOSES, "gpc", "", "", "", 0))
    twice = body.replace(b',"p":', b',"i":"' + entry.b64(event).encode() + b'","p":')
    known = Shapes(says)
    known.meet(twice, orjson.loads(twice))
    assert known.of([twice], [at], [event]) == [None]


@pytest.mark.slow
def test_of_very_many_shapes_the_last_are_kept():
    known = Shapes(says)
    for number in range(verify_shapes.MOST + 2):
        body, at, event = made((ChoiceKind.OPT_OUT, (), f"s{number:05d}", "", "", "", 0))
        known.meet(body, orjson.loads(body))
    assert known.of([body], [at], [event])[0]
    assert len(known._layouts[len(body)][0].shapes) == 2
