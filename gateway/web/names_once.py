"""JSON of a caller's, where a name may stand twice in one object: of two, one reader takes the first and another the
last, and the one that was not taken may be the opt-out (RFC 8259 section 4 leaves it open, RFC 7493 forbids it).

Where a slip could allow, such a body is refused. Where it could lose an opt-out, both are kept: lists and objects are
joined, and what differs otherwise has no one value and reads as one of a wrong type.
"""

import json
from collections.abc import Callable
from typing import Any

import orjson

Members = list[tuple[str, object]]
ESCAPED_QUOTE = rb"\u0022"  # is written back as \", so quotes cannot be counted
LONGEST_NAME = 64  # of a name in an error's text


class Twice(ValueError):
    """`name` stands twice in one object."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name[:LONGEST_NAME]


class TooDeep(ValueError):
    """Nested so deeply that nobody can tell."""


def strict(body: bytes) -> Any:
    """JSON of any shape. Raises `Twice`, `TooDeep`, and `orjson.JSONDecodeError`."""
    return _read(body, _refuse)


def joined(body: bytes) -> Any:
    """JSON of any shape, with all that was said under one name. Raises `TooDeep`, and `orjson.JSONDecodeError`."""
    return _read(body, _join)


def _read(body: bytes, hook: Callable[[Members], dict[str, object]]) -> Any:
    """Names that were dropped took their quotes along: writing what was read and counting costs a thousandth of reading
    it in Python.
    """
    found = orjson.loads(body)
    if ESCAPED_QUOTE not in body and body.count(b'"') == _quotes(found):
        return found
    try:
        return json.loads(body, object_pairs_hook=hook, parse_int=orjson.loads)
    except RecursionError:
        raise TooDeep("nested too deeply") from None


def _quotes(found: object) -> int:
    try:
        return orjson.dumps(found).count(b'"')
    except orjson.JSONEncodeError:  # deeper than it writes, though not than it reads
        return -1


def _refuse(members: Members) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in members:
        if name in found:
            raise Twice(name)
        found[name] = value
    return found


def _join(members: Members) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in members:
        found[name] = _both(found[name], value) if name in found else value
    return found


def _both(one: object, other: object) -> object:
    if isinstance(one, list) and isinstance(other, list):
        return one + other
    if isinstance(one, dict) and isinstance(other, dict):
        return _join([*one.items(), *other.items()])
    return one if one == other and type(one) is type(other) else [one, other]
