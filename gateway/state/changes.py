"""What changed in the state, in the order of the log: for copies of it, which go on from where they are. Kept in the
state itself by whoever writes it, read by the feed (`web.api.feed`).

Beside the rows lies, under each position, which places changed there last: each place that is there stands once, so
whoever reads from nothing reads all. Of what went the last ones are known, until the pages are made anew without them;
whoever knows only what was before those begins anew (`floor`).
"""

import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import lmdb
import msgspec

from gateway.state.packed_rows import CHANGED, NotAState

AT = b"\xff" * 17  # before a position: behind all rows and edges, so that what is added lies in full pages
GONE_KEY = b"gone"
MOST_GONE = 1024  # of what went: so many a copy may have to hear of at once
MOVED_AT = 8  # where a front says when what it says moved last
EDGE_BYTES = 32  # two keys
Gone = tuple[int, list[tuple[int, bytes]]]  # the floor; what went, with the position at which it did


class PlaceChanges:
    """Where the places that one transaction writes stood among the changes, and where they stand now. A place is told
    by what it lies under.
    """

    def __init__(self, txn: lmdb.Transaction) -> None:
        self._txn = txn
        self._left = defaultdict[int, set[bytes]](set)
        self._come = defaultdict[int, list[bytes]](list)
        self._gone: list[tuple[int, bytes]] = []

    def put(self, place: bytes, packed: bytes, before: bytes | None) -> None:
        """Writes it, and what it is known by. `before`: what lies there."""
        at = changed_at(place, packed)
        if before is None or changed_at(place, before) != at:
            self._leave(place, before)
            self._come[at].append(place)
        self._txn.put(place, packed)

    def put_first(self, rows: Sequence[tuple[bytes, bytes]], cursor: lmdb.Cursor) -> None:
        """The same of places where nothing lies, each with what is to. `cursor`: of the transaction."""
        come, last = self._come, CHANGED.unpack_from
        for place, packed in rows:
            come[last(packed, 0 if len(place) == EDGE_BYTES else MOVED_AT)[0]].append(place)
        cursor.putmulti([*rows])

    def delete(self, place: bytes, position: int) -> None:
        """At a position of the log."""
        before = self._txn.pop(place)
        if before is not None:
            self._leave(place, before)
            self._gone.append((position, place))

    def _leave(self, place: bytes, before: bytes | None) -> None:
        if before is not None:
            at = changed_at(place, before)
            if place in self._come.get(at, ()):  # it came in this transaction
                self._come[at].remove(place)
            else:
                self._left[at].add(place)

    def finish(self) -> None:
        """Once all was put."""
        for at in self._left.keys() | self._come.keys():
            left = self._left[at]
            there = [place for place in _placed(self._txn.get(key_at(at), b"")) if place not in left] + self._come[at]
            if there:
                self._txn.put(key_at(at), b"".join(bytes((len(place),)) + place for place in there))
            else:
                self._txn.delete(key_at(at))
        if self._gone:
            floor, gone = read_gone(self._txn)
            gone += self._gone
            floor = max((at for at, _ in gone[:-MOST_GONE]), default=floor)
            self._txn.put(GONE_KEY, _pack((floor, gone[-MOST_GONE:])))


class ChangedPart(NamedTuple):
    """Position by position, the places that changed there last, or went. `upto`: whoever has these has everything up to
    that position; `floor`: of what went before it nothing is known.
    """

    changed: list[tuple[int, list[bytes]]]
    upto: int
    floor: int


def read_changes(txn: lmdb.Transaction, after: int, limit: int, head: int) -> ChangedPart:
    """Whole positions, until there are so many places. `head`: of the state. Raises `NotAState`."""
    found, many = list[tuple[int, list[bytes]]](), 0
    floor, gone = read_gone(txn)
    for at, places in _changes_after(txn, after, gone):
        if found and many >= limit:
            return ChangedPart(found, found[-1][0], floor)
        found.append((at, places))
        many += len(places)
    return ChangedPart(found, head, floor)


def _changes_after(
    txn: lmdb.Transaction, after: int, gone: list[tuple[int, bytes]]
) -> Iterator[tuple[int, list[bytes]]]:
    """Position by position."""
    went = ((at, [place]) for at, place in sorted(gone) if at > after)
    with txn.cursor() as cursor:
        found = cursor.iternext() if cursor.set_range(key_at(after + 1)) else ()
        changed = ((int.from_bytes(key[len(AT) :], "big"), [*_placed(places)]) for key, places in found)
        for at, both in groupby(merge(went, changed, key=itemgetter(0)), itemgetter(0)):
            yield at, [place for _, places in both for place in places]


def read_gone(txn: lmdb.Transaction) -> Gone:
    """The floor, and what went behind it. Raises `NotAState`."""
    try:
        found: Gone = _GONE.decode(txn.get(GONE_KEY, NOTHING_GONE))
    except msgspec.DecodeError as error:
        raise NotAState("what went cannot be read") from error
    return found


def forget_gone(txn: lmdb.Transaction, floor: int = 0) -> None:
    """Nothing is known any more of what went; `floor`: nor of anything that went before a position."""
    before, gone = read_gone(txn)
    txn.put(GONE_KEY, _pack((max([before, floor, *(at for at, _ in gone)]), [])))


def changed_at(place: bytes, packed: bytes) -> int:
    """The position behind the last record that changed what lies in a place, or for a row what stands of it."""
    at: int = CHANGED.unpack_from(packed, 0 if len(place) == EDGE_BYTES else MOVED_AT)[0]
    return at


def own_change_at(row: bytes) -> int:
    """The position behind the last record that changed a row itself."""
    at: int = CHANGED.unpack_from(row)[0]
    return at


def key_at(position: int) -> bytes:
    return AT + struct.pack(">Q", position)


def _placed(packed: Any) -> Iterator[bytes]:
    at = 0
    while at < len(packed):
        ends = at + 1 + packed[at]
        yield packed[at + 1 : ends]
        at = ends


_pack = msgspec.msgpack.Encoder().encode
_GONE = msgspec.msgpack.Decoder(tuple[int, list[tuple[int, bytes]]])
NOTHING_GONE = _pack((0, []))
