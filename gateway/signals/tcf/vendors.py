"""Lists of vendor ids as bits (bitfields, ranges in their three codings, publisher restrictions), for `tc_string`.

A range is held against its limits before an id is made of it, since a short string can name millions: ids rise, none is
over the list's own maximum, and all lists of a string together make at most `MAX_ID`.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import compress
from operator import index
from typing import TypedDict

from gateway.signals.bits import MAX_ID, Bits, Unreadable, bits_of, fibonacci_range_bits, number_bits, runs

ONE = ord("1")
ZEROS_AND_ONES = bytes.maketrans(b"01", b"\x00\x01")
MAX_ENTRIES = 4095  # the count of a range has 12 bits
PURPOSES = 24  # one bit each in every purpose field (IAB TCF v2)
RESTRICTION_TYPES = 3  # 0 not allowed, 1 require consent, 2 require legitimate interest; 3 is reserved
MAX_RESTRICTIONS = PURPOSES * RESTRICTION_TYPES


class Restriction(TypedDict):
    """`key`: the purpose. `ids`: the vendors whom the publisher restricts for it."""

    key: int
    type: int
    ids: list[int]


class SegmentBits(Bits):
    """A reader over the segments of one string, one after another. `left`: how many ids may still be made."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        super().__init__("")
        self.left = MAX_ID

    def turn_to(self, segment: str) -> None:
        self.text = bits_of(segment)
        self.at = 0

    def make(self, first: int, last: int) -> range:
        """The ids from `first` to `last`, counted. Raises `Unreadable` where too many were made."""
        self.left -= last - first + 1
        if self.left < 0:
            raise Unreadable("range")
        return range(first, last + 1)


@dataclass(frozen=True, slots=True)
class Ranges:
    """One coding of ranges. `read` takes the highest id allowed; `write` takes rising ids."""

    read: Callable[[SegmentBits, int], list[int]]
    write: Callable[[list[int]], str]


def _read_fixed(bits: SegmentBits, limit: int) -> list[int]:
    ids: list[int] = []
    last = 0
    for _ in range(bits.number(12)):
        group = bits.flag()
        first = bits.number(16)
        end = bits.number(16) if group else first
        if not last < first <= end <= limit:
            raise Unreadable("range")
        ids.extend(bits.make(first, end))
        last = end
    return ids


def _write_fixed(ids: list[int]) -> str:
    spans = runs(ids)
    entries = [
        "1" + number_bits(first, 16) + number_bits(last, 16) if last > first else "0" + number_bits(first, 16)
        for first, last in spans
    ]
    return number_bits(len(spans), 12) + "".join(entries)


def _read_fibonacci(bits: SegmentBits, limit: int) -> list[int]:
    ids = bits.fibonacci_range(bits.left, limit)
    bits.left -= len(ids)
    return ids


def _read_with_default(bits: SegmentBits, limit: int) -> list[int]:
    default = bits.flag()
    listed = _read_fixed(bits, limit)
    return sorted(set(bits.make(1, limit)).difference(listed)) if default else listed


FIXED = Ranges(_read_fixed, _write_fixed)
FIBONACCI = Ranges(_read_fibonacci, fibonacci_range_bits)
# TCF v1.1: a bit in front says what the vendors have that are not listed.
WITH_DEFAULT = Ranges(_read_with_default, lambda ids: "0" + _write_fixed(ids))


def read_vendors(bits: SegmentBits, ranges: Ranges) -> list[int]:
    """Maximum (16 bits), is-range (1 bit), then that many bits or a range. Raises `Unreadable`."""
    most = bits.number(16)
    if bits.flag():
        return ranges.read(bits, most)
    end = bits.at + most
    if end > len(bits.text):
        raise Unreadable("truncated")
    field = bits.text[bits.at : end].encode("ascii").translate(ZEROS_AND_ONES)
    bits.at = end
    return list(compress(range(1, most + 1), field))


def write_vendors(vendors: Iterable[int], ranges: Ranges) -> str:
    """The shorter of bitfield and range; the range where they tie, as cmpapi does. Raises `ValueError`."""
    ids = _rising(vendors)
    most = ids[-1] if ids else 0
    if len(runs(ids)) <= MAX_ENTRIES and len(entries := ranges.write(ids)) <= most:
        return number_bits(most, 16) + "1" + entries
    field = bytearray(b"0" * most)
    for vendor in ids:
        field[vendor - 1] = ONE
    return number_bits(most, 16) + "0" + field.decode("ascii")


def read_restrictions(bits: SegmentBits, read_ids: Callable[[SegmentBits], list[int]]) -> list[Restriction]:
    """Count (12 bits), then for each: purpose (6), type (2), ids. Raises `Unreadable`."""
    count = bits.number(12)
    if count > MAX_RESTRICTIONS:
        raise Unreadable("restriction")
    return [_read_restriction(bits, read_ids) for _ in range(count)]


def _read_restriction(bits: SegmentBits, read_ids: Callable[[SegmentBits], list[int]]) -> Restriction:
    purpose, kind = bits.number(6), bits.number(2)
    if not 1 <= purpose <= PURPOSES or kind >= RESTRICTION_TYPES:
        raise Unreadable("restriction")
    return {"key": purpose, "type": kind, "ids": read_ids(bits)}


def write_restrictions(restrictions: Collection[Restriction], write_ids: Callable[[list[int]], str]) -> str:
    """The same backwards. Raises `ValueError` for a purpose, a type or an id that cannot be read again."""
    if len(restrictions) > MAX_RESTRICTIONS:
        raise ValueError(f"{len(restrictions)} restrictions are more than {MAX_RESTRICTIONS}")
    parts = [number_bits(len(restrictions), 12)]
    for restriction in restrictions:
        purpose, kind, ids = restriction["key"], restriction["type"], restriction["ids"]
        if purpose not in range(1, PURPOSES + 1) or kind not in range(RESTRICTION_TYPES):
            raise ValueError(f"no restriction of type {kind} on purpose {purpose}")
        parts.append(number_bits(purpose, 6) + number_bits(kind, 2) + write_ids(_rising(ids)))
    return "".join(parts)


def _rising(vendors: Iterable[int]) -> list[int]:
    ids = sorted({index(vendor) for vendor in vendors})
    if ids and not 1 <= ids[0] <= ids[-1] <= MAX_ID:
        raise ValueError(f"vendor ids are from 1 to {MAX_ID}")
    return ids
