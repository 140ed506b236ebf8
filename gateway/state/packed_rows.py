"""What lies in the state under each of its places, as bytes: a row, an edge, the head; and which places changed behind
each position of the log. Written and read by its transactions, and for copies by the feed (`web.api.feed`).

A row begins with a front and goes on with all that the fold keeps. The front says what stands of its key, joined over
all that is read for it (`fronts`), so that a check unpacks nothing else. It counts every yes as it was given: whoever
rests on a screen that is voided is read from rows and edges.

Under each position lies which places changed there last: each place that is there stands once, so whoever reads from
nothing reads all. Of what went the last ones are known, until the pages are made anew without them; whoever knows only
what was before those begins anew (`floor`).
"""

import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from heapq import merge
from itertools import groupby
from operator import itemgetter
from types import GenericAlias, MappingProxyType
from typing import Any, NamedTuple, get_type_hints
from zlib import crc32

import lmdb
import msgspec

from gateway.choice.identity import AD_ID_DIGESTS
from gateway.choice.law import AGES
from gateway.choice.standing import Standing
from gateway.fold.state import NOTHING, Allowed, Bit, KeyRow, LinkEdge, Place
from gateway.terms import Purpose

FORMAT = 11  # of the bytes
# The number of the fold's rules, those of its readings too: a state that another one made is not gone on with. Raised
# with a version of the ledger, so that machines of two releases never answer from one ledger by two folds.
FOLD = 8
HEAD_KEY = b"head"  # no key and no edge: those have 16 and 32 bytes
KEY_BYTES, EDGE_BYTES = 16, 32  # of a key, and of two
LEFT_KEY = b"left"  # how often pages were left with what was replaced, which LMDB uses again or never
BEGINNING = struct.Struct("<QQBQQ")  # last change of the row, of all that is read for it; flags, screens, linked until
# own, travelled, informed, parental, age, told, CPNI told; bytes of what follows: held, and behind a blank the places
SAID = struct.Struct("<IIIIBIIB")
CHANGED = struct.Struct("<Q")  # all that an edge's front has
FRONT_SIZE = BEGINNING.size + SAID.size  # at least
STANDS, GROWN, GRANTED, LINKED, CROWDED = 1, 2, 4, 8, 16
NO_AGE = 255
NO_WORDS = frozenset[str]()
PLACES = {purpose: 1 << place for place, purpose in enumerate(Purpose)}  # another order is another format
ANY_DIGEST = frozenset(AD_ID_DIGESTS)
# format, fold, epoch, position, entries, last void, screens voided, root
HEAD = struct.Struct("<BHIQQQQ32s")
AT = b"\xff" * 17  # before a position: behind all rows and edges, so that what is added lies in full pages
GONE_KEY = b"gone"
MOST_GONE = 1024  # of what went: so many a copy may have to hear of at once
MOVED_AT = 8  # where a front says when what it says moved last
Gone = tuple[int, list[tuple[int, bytes]]]  # the floor; what went, with the position at which it did


class NotAState(ValueError):
    """Bytes of another format, or cut short. Nothing may be read from them."""


class AnothersFormat(NotAState):
    """What another version of the gateway writes: whole, as far as anybody here can tell."""


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)  # what msgspec says of bytes that it did not write


class StateHead(NamedTuple):
    """Which log the state follows, and how far. `position`: the log's own behind the last record that was folded;
    `root`: the log's there, `entries`: how many it had there, as others count them; `voided`: the position behind the
    last record that voided a screen; `alone`: the kinds of which a digest of an ad id was ever named without the id,
    or may have been.
    """

    log: str
    position: int = 0
    root: bytes = bytes(32)
    epoch: int = 0
    fold: int = FOLD
    voided: int = 0
    voids: Mapping[str, int] = MappingProxyType({})
    entries: int = 0
    alone: frozenset[str] = ANY_DIGEST

    @property
    def screens(self) -> int:
        return screen_bits(self.voids)

    def pack(self) -> bytes:
        counted = (self.position, self.entries, self.voided)
        fixed = HEAD.pack(FORMAT, self.fold, self.epoch, *counted, self.screens, self.root)
        return fixed + _pack([self.log, dict(self.voids), sorted(self.alone)])


def unpack_head(packed: bytes | None) -> StateHead:
    """Raises `NotAState`."""
    if packed is None or len(packed) < HEAD.size:
        raise NotAState("it has no head that can be read")
    if packed[0] != FORMAT:
        raise AnothersFormat(f"it has the format {packed[0]}, ours is {FORMAT}")
    _, number, epoch, position, entries, voided, _, root = HEAD.unpack_from(packed)
    try:
        log, voids, alone = _HEAD_TAIL.decode(packed[HEAD.size :])
    except UNREADABLE as error:
        raise NotAState("its head cannot be read") from error
    return StateHead(log, position, root, epoch, number, voided, voids, entries, alone)


def place_key(place: Place) -> bytes:
    """Under which key of the environment it lies: edges stand behind the row of their account."""
    return place if isinstance(place, bytes) else place[0] + place[1]


def pack_front(own: int, moved: int, standing: Standing, linked: int, screens: int) -> bytes:
    """`own`: the position behind the record that changed the row last; `moved`: behind the last one that changed what
    was read for `standing`; `screens`: the bits of those that it rests on. `no_front` of what does not fit in there.
    """
    try:
        return _pack_front(own, moved, standing, linked, screens)
    except (struct.error, ValueError):
        return no_front(own)


def _pack_front(own: int, moved: int, standing: Standing, linked: int, screens: int) -> bytes:
    words = [*standing.held, *standing.places]
    if any(not word or "," in word or " " in word for word in words):
        raise ValueError("they could not be told apart")
    flags = STANDS | GROWN * standing.grown | GRANTED * standing.granted
    age = NO_AGE if standing.age_band is None else AGES.index(standing.age_band)
    days = (day.toordinal() if day else 0 for day in (standing.told, standing.cpni_told))
    held = b" ".join(",".join(sorted(each)).encode() for each in (standing.held, standing.places)) if words else b""
    bits = (standing.own, standing.travelled, standing.informed, standing.parental)
    return BEGINNING.pack(own, moved, flags, screens, linked) + SAID.pack(*bits, age, *days, len(held)) + held


def no_front(own: int, *, crowded: bool = False) -> bytes:
    """Of a key for which each check reads rows and edges. `crowded`: not all of its members (`fronts`)."""
    return BEGINNING.pack(own, own, CROWDED * crowded, 0, 0) + bytes(SAID.size)


def is_of_many(packed: bytes) -> bool:
    """Whether a row is that of an account of whose members not all are read. Raises `NotAState`."""
    if len(packed) < FRONT_SIZE:
        raise NotAState("a row cannot be read")
    return bool(_BEGINNING(packed)[2] & CROWDED)


def says_all(front: bytes) -> bool:
    """Whether it says what stands of its key, so that it is another one where that is."""
    return bool(_BEGINNING(front)[2] & STANDS)


def moved_at(front: bytes, position: int) -> bytes:
    """The same, of what moved at a position of the log."""
    return front[: CHANGED.size] + CHANGED.pack(position) + front[2 * CHANGED.size :]


def pack_tail(row: KeyRow) -> bytes:
    """All that stands behind the front."""
    own, orders, ins, *rest = row
    return _pack([_joined(own), _joined(orders), _joined(ins), *[{} if each is NOTHING else each for each in rest]])


def tail_of(packed: bytes) -> bytes:
    """Raises `NotAState`."""
    if len(packed) < FRONT_SIZE:
        raise NotAState("a row cannot be read")
    return packed[FRONT_SIZE + packed[FRONT_SIZE - 1] :]


def pack_number(number: int) -> bytes:
    """As it stands in a row."""
    return _pack(number)


def pack_edge(edge: LinkEdge, changed: int) -> bytes:
    *rest, up, down = edge
    return CHANGED.pack(changed) + _pack([*rest, _joined(up), _joined(down)])


def unpack_tail(tail: bytes) -> KeyRow:
    """Raises `NotAState`."""
    try:
        own, orders, ins, *rest = _ROW.decode(tail)
    except UNREADABLE as error:
        raise NotAState("a row cannot be read") from error
    return KeyRow._make((_spread(own), _spread(orders), _spread(ins), *rest))


def unpack_edge(packed: bytes) -> tuple[LinkEdge, int]:
    """With the position of its last change. Raises `NotAState`."""
    try:
        *rest, up, down = _EDGE.decode(memoryview(packed)[CHANGED.size :])
        return LinkEdge._make((*rest, _spread(up), _spread(down))), CHANGED.unpack_from(packed)[0]
    except (*UNREADABLE, struct.error) as error:
        raise NotAState("an edge cannot be read") from error


def front_standing(packed: bytes, screens: int, now: int) -> tuple[Standing, int] | None:
    """What stands of its key, with the position of the last change of all that this was read from; None: it has to be
    read. `screens`: the bits of those that are voided. Raises `NotAState`.
    """
    if len(packed) < FRONT_SIZE:
        raise NotAState("a row cannot be read")
    _, moved, flags, rests_on, linked = _BEGINNING(packed)
    if not flags & STANDS or rests_on & screens:
        return None
    said = packed[BEGINNING.size : FRONT_SIZE + packed[FRONT_SIZE - 1]]
    try:
        return _standing(said, flags | LINKED if linked > now else flags), moved
    except (ValueError, IndexError, OverflowError) as error:
        raise NotAState("a row cannot be read") from error


def screen_bits(screens: Mapping[str, Any] | set[str]) -> int:
    """A bit a screen, out of 64: those of different screens may be the same."""
    bits = 0
    for each in screens:
        bits |= 1 << (crc32(each.encode()) & 63)
    return bits


@lru_cache(maxsize=8192)  # most people chose nothing or one thing
def _standing(said: bytes, flags: int) -> Standing:
    own, travelled, informed, parental, age, told, cpni, _ = SAID.unpack_from(said)
    day, cpni_day = (date.fromordinal(each) if each else None for each in (told, cpni))
    band = None if age == NO_AGE else AGES[age]
    granted, grown, linked = bool(flags & GRANTED), bool(flags & GROWN), bool(flags & LINKED)
    held, places = map(_words, said[SAID.size :].decode().split(" ")) if len(said) > SAID.size else (NO_WORDS, NO_WORDS)
    facts = (held, informed, parental, grown, day, cpni_day, places)
    return Standing(own, travelled, band, None, linked, granted, *facts)


def _words(joined: str) -> frozenset[str]:
    return frozenset(joined.split(",")) if joined else NO_WORDS


def _joined(said: Mapping[Purpose, Any]) -> list[tuple[Any, int]]:
    """What is the same for several purposes once, with a bit for each of those."""
    joined: dict[Any, int] = {}
    for purpose, each in said.items():
        joined[each] = joined.get(each, 0) | PLACES[purpose]
    return list(joined.items())


def _spread(joined: list[tuple[Any, int]]) -> Mapping[Purpose, Any]:
    return {purpose: each for each, places in joined for purpose in _purposes(places)} if joined else NOTHING


@lru_cache(maxsize=1024)
def _purposes(places: int) -> tuple[Purpose, ...]:
    return tuple(purpose for purpose, place in PLACES.items() if place & places)


def _form(kind: type, **joined: Any) -> Any:
    """How the members of a row or an edge are written, in their order."""
    pairs = {name: GenericAlias(list, GenericAlias(tuple, (each, int))) for name, each in joined.items()}
    return GenericAlias(tuple, tuple((get_type_hints(kind) | pairs).values()))


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
_ROW = msgspec.msgpack.Decoder(_form(KeyRow, own=Bit, orders=Bit, ins=Allowed))
_EDGE = msgspec.msgpack.Decoder(_form(LinkEdge, up=tuple[Bit, ...], down=tuple[Bit, ...]))
_HEAD_TAIL = msgspec.msgpack.Decoder(tuple[str, dict[str, int], frozenset[str]])
_BEGINNING = BEGINNING.unpack_from
_GONE = msgspec.msgpack.Decoder(Gone)
NOTHING_GONE = _pack((0, []))
