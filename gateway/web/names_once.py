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
    quotes = _quotes(found)
    if ESCAPED_QUOTE not in body and body.count(b'"') == quotes:
        return found
    return json.loads(body, object_pairs_hook=hook, parse_int=orjson.loads)


def _quotes(found: object) -> int:
    try:
        return orjson.dumps(found).count(b'"')
    except orjson.JSONEncodeError:  # deeper than it writes, 254: what is nested so would end a reader's own stack
        raise TooDeep("nested too deeply") from None


def _refuse(members: Members) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in members:
        if name in found:
            raise Twice(name)
        found[name] = value
    return found


def _join(members: Members) -> dict[str, object]:
    said: dict[str, list[object]] = {}
    for name, value in members:
        said.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else _all(values) for name, values in said.items()}


def _all(values: list[object]) -> object:
    """What was said under one name, where null says nothing. Each value is looked at once, however many there are."""
    values = [value for value in values if value is not None] or [None]
    if all(isinstance(value, dict) for value in values):
        return _join([item for value in values if isinstance(value, dict) for item in value.items()])
    if any(isinstance(value, list) for value in values):
        return [each for value in values for each in (value if isinstance(value, list) else [value])]
    first = values[0]
    return first if all(type(value) is type(first) and value == first for value in values) else values
