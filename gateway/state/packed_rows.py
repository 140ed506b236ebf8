"""What lies in the state under each of its places, as bytes: a row, an edge, the head. Written and read by its
transactions.

A row and an edge begin with a front of fixed size and go on with all that the fold keeps. Where nobody else is heard in
a row (`ALONE`) its front says what stands, and nothing is unpacked. It counts every yes as it was given: whoever rests
on a screen that is voided since is read from behind the front.
"""

import struct
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from gateway.choice.law import AGES
from gateway.choice.standing import Standing
from gateway.fold.reading import standing_of
from gateway.fold.state import KeyRow, LinkEdge, Place

FORMAT = 1  # of the bytes
FOLD = 1  # the number of the fold's rules: a state that another one made is not gone on with
HEAD_KEY = b"head"  # no key and no edge: those have 16 and 32 bytes
LEFT_KEY = b"left"  # there while pages may hold what was replaced: LMDB uses them again or never
# last change, flags, screens; own, travelled, informed, parental, age, told, CPNI told
FRONT = struct.Struct("<QBQIIIIBII")
CHANGED = struct.Struct("<Q")  # all that an edge's front has
STANDS_FROM = 17  # where what a standing is made from begins
ALONE, GROWN, GRANTED = 1, 2, 4
NO_AGE, NOTHING_SAID = 255, Standing()
# format, fold, epoch, position, last void, screens voided, root
HEAD = struct.Struct("<BHIQQQ32s")


class NotAState(ValueError):
    """Bytes of another format, or cut short. Nothing may be read from them."""


class StateHead(NamedTuple):
    """Which log the state follows, and how far. `position`: the log's own behind the last record that was folded;
    `root`: the log's there; `voided`: the position behind the last record that voided a screen.
    """

    log: str
    position: int = 0
    root: bytes = bytes(32)
    epoch: int = 0
    fold: int = FOLD
    voided: int = 0
    voids: Mapping[str, int] = MappingProxyType({})

    @property
    def screens(self) -> int:
        return screen_bits(self.voids)

    def pack(self) -> bytes:
        fixed = HEAD.pack(FORMAT, self.fold, self.epoch, self.position, self.voided, self.screens, self.root)
        return fixed + _pack([self.log, dict(self.voids)])


def unpack_head(packed: bytes | None) -> StateHead:
    """Raises `NotAState`."""
    if packed is None or len(packed) < HEAD.size or packed[0] != FORMAT:
        raise NotAState("it has no head that can be read")
    _, number, epoch, position, voided, _, root = HEAD.unpack_from(packed)
    log, voids = _HEAD_TAIL.decode(packed[HEAD.size :])
    return StateHead(log, position, root, epoch, number, voided, voids)


def place_key(place: Place) -> bytes:
    """Under which key of the environment it lies: edges stand behind the row of their account."""
    return place if isinstance(place, bytes) else place[0] + place[1]


def pack_row(key: bytes, row: KeyRow, changed: int) -> bytes:
    """`changed`: the position behind the record that did it."""
    rows: dict[Place, Any] = {key: row}
    alone = _is_heard_alone(row)
    said = standing_of(key, rows.get, 0) if alone else NOTHING_SAID
    flags = ALONE * alone | GROWN * said.grown | GRANTED * said.granted
    age = NO_AGE if said.age_band is None else AGES.index(said.age_band)
    days = (day.toordinal() if day else 0 for day in (said.told, said.cpni_told))
    screens = screen_bits(_screens(row))
    return FRONT.pack(
        changed, flags, screens, said.own, said.travelled, said.informed, said.parental, age, *days
    ) + _pack(row)


def pack_edge(edge: LinkEdge, changed: int) -> bytes:
    return CHANGED.pack(changed) + _pack(edge)


def unpack_row(packed: bytes) -> tuple[KeyRow, int]:
    """With the position of its last change. Raises `NotAState`."""
    try:
        return _ROW.decode(memoryview(packed)[FRONT.size :]), CHANGED.unpack_from(packed)[0]
    except (msgspec.DecodeError, struct.error) as error:
        raise NotAState("a row cannot be read") from error


def unpack_edge(packed: bytes) -> tuple[LinkEdge, int]:
    """With the position of its last change. Raises `NotAState`."""
    try:
        return _EDGE.decode(memoryview(packed)[CHANGED.size :]), CHANGED.unpack_from(packed)[0]
    except (msgspec.DecodeError, struct.error) as error:
        raise NotAState("an edge cannot be read") from error


def front_standing(packed: bytes, screens: int) -> Standing | None:
    """What stands where its front alone says it; None: it has to be read from all that is heard in it. `screens`: the
    bits of those that are voided. Raises `NotAState`.
    """
    if len(packed) < FRONT.size:
        raise NotAState("a row cannot be read")
    _, flags, rests_on = _BEGINNING(packed)
    if not flags & ALONE or rests_on & screens:
        return None
    return _standing(packed[STANDS_FROM : FRONT.size], flags)


def last_change(packed: bytes) -> int:
    """Of a row or an edge, as a position of the log."""
    number: int = CHANGED.unpack_from(packed)[0]
    return number


def screen_bits(screens: Mapping[str, Any] | set[str]) -> int:
    """A bit a screen, out of 64: those of different screens may be the same."""
    bits = 0
    for each in screens:
        bits |= 1 << (crc32(each.encode()) & 63)
    return bits


@lru_cache(maxsize=8192)  # most people chose nothing or one thing
def _standing(said: bytes, flags: int) -> Standing:
    own, travelled, informed, parental, age, told, cpni = _SAID.unpack(said)
    days = (date.fromordinal(day) if day else None for day in (told, cpni))
    band = None if age == NO_AGE else AGES[age]
    granted, grown = bool(flags & GRANTED), bool(flags & GROWN)
    return Standing(own, travelled, band, None, False, granted, frozenset(), informed, parental, grown, *days)


def _is_heard_alone(row: KeyRow) -> bool:
    """Whether its standing is that of this row. One with states is not: they are told by their sources' names."""
    return row.is_alone() and not (row.owners or row.members or row.states)


def _screens(row: KeyRow) -> set[str]:
    bits = [*row.own.values(), *row.kept.values()]
    return {cover.screen for bit in bits for cover in bit.covers} | {each.screen for each in row.ins.values()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError


_pack = msgspec.msgpack.Encoder(enc_hook=_plain).encode
_ROW, _EDGE = msgspec.msgpack.Decoder(KeyRow), msgspec.msgpack.Decoder(LinkEdge)
_HEAD_TAIL = msgspec.msgpack.Decoder(tuple[str, dict[str, int]])
_BEGINNING, _SAID = struct.Struct("<QBQ").unpack_from, struct.Struct("<IIIIBII")
