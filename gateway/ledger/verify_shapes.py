"""Makes `gateway verify` fast: entries that differ only in `d`, `i`, `s` and `t` are parsed once per pattern; these
four members have a fixed length and place, and are cut out instead of parsing JSON again.

What is said of a leaf here is what `orjson.loads` gives, which a property test compares; where that is not sure it is
parsed.
"""

import binascii
import string
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Any

import orjson

from gateway.ledger import entry
from gateway.ledger.subjects import moment

OPENS, CLOSES = b'{"d":"', b'","v":1}'
COMMITMENT, EVENT, TIME = 43, 22, 17  # letters: base64url of 32 and of 16 bytes, a time to the minute
D, T = slice(len(OPENS), len(OPENS) + COMMITMENT), slice(-len(CLOSES) - TIME, -len(CLOSES))
PARTS = "{0}s{1}s{5}s{2}s{6}s{1}s{7}s{3}s{4}s"  # opens, `d`, constant, `i`, constant, `s`, constant, `t`, closes
EVENT_BYTES = 16
LETTERS = (string.ascii_letters + string.digits + "-_").encode()
URL = bytes.maketrans(b"+/", b"-_")
VARYING = "dist"
MOST = 4096  # shapes: kinds, purposes, sources and places of one operator are some hundreds

Leaf = dict[str, Any]
Constant = tuple[bytes, bytes, bytes]
Columns = tuple[Sequence[bytes], Sequence[int], Sequence[Any]]  # bodies, times, events


@dataclass(slots=True, eq=False)  # one is looked for among many: by itself, not by its members
class LeafShape:
    """`leaf`: its members but the four that vary. `own`: the bits of somebody's first entry of it (`Fold.says`)."""

    leaf: Leaf
    own: int | None


class LeafLayout:
    """Where `i` and `s` begin in leaves of one length; and the shapes that have them there, by what is constant."""

    def __init__(self, length: int, i: int, s: int) -> None:
        self.i, self.s = i, s
        self.shapes: dict[Constant, LeafShape] = {}
        between = i - D.stop, s - i - EVENT, length + T.start - s - COMMITMENT
        self._parts = Struct(PARTS.format(len(OPENS), COMMITMENT, EVENT, TIME, len(CLOSES), *between))

    def constant(self, body: bytes) -> Constant:
        """What a leaf has between what varies."""
        _, _, d_i, _, i_s, _, s_t, _, _ = self._parts.unpack(body)
        return d_i, i_s, s_t

    def find(self, places: Sequence[int], columns: Columns, found: list[LeafShape | None]) -> Sequence[int]:
        """Puts the shapes of the leaves in some places into `found`. Returns the places of others."""
        bodies, ats, events = ([*map(column.__getitem__, places)] for column in columns)
        opens, ds, d_i, ids, i_s, subjects, s_t, times, closes = zip(
            *self._parts.iter_unpack(b"".join(bodies)), strict=True
        )
        shapes = self._shapes(d_i, i_s, s_t)
        if None in shapes:
            known = [place for place, shape in zip(places, shapes, strict=True) if shape]
            left = self.find(known, columns, found) if known else ()
            return [*left, *(place for place, shape in zip(places, shapes, strict=True) if shape is None)]
        count = len(places)
        if (
            opens.count(OPENS) == count == closes.count(CLOSES)
            and not b"".join(ds + subjects).translate(None, LETTERS)
            and _are(ids, events)
            and _were(times, ats)
        ):
            for place, shape in zip(places, shapes, strict=True):
                found[place] = shape
        return ()

    def _shapes(self, *constants: tuple[bytes, ...]) -> list[LeafShape | None]:
        count = len(constants[0])
        if all(each.count(each[0]) == count for each in constants):  # of a browser's signal most are of one
            return [self.shapes.get((constants[0][0], constants[1][0], constants[2][0]))] * count
        return [*map(self.shapes.get, zip(*constants, strict=True))]


class Shapes:
    """The shapes that were met so far."""

    def __init__(self, says: Callable[[Leaf], int | None]) -> None:
        self._says = says
        self._layouts: dict[int, list[LeafLayout]] = {}  # by the length of a leaf
        self._met = 0

    def of(self, bodies: Sequence[bytes], ats: Sequence[int], events: Sequence[bytes | None]) -> list[LeafShape | None]:
        """The shape of each leaf that is of a known one, and has that event and its time (Unix milliseconds). What
        comes with None for an event is not looked at.
        """
        found: list[LeafShape | None] = [None] * len(bodies)
        alike = defaultdict[int, list[int]](list)
        for place, length in enumerate(map(len, bodies)):
            alike[length].append(place)
        for length, places in alike.items():
            left: Sequence[int] = (
                places if None not in events else [place for place in places if events[place] is not None]
            )
            for layout in self._layouts.get(length, ()):
                left = layout.find(left, (bodies, ats, events), found) if left else left
        return found

    def meet(self, body: bytes, leaf: Leaf) -> None:
        """A leaf that was parsed: the next of its shape need not be."""
        i, s = body.find(b',"i":"') + 6, body.find(b',"s":"') + 6
        cut = (body[D], body[i : i + EVENT], body[s : s + COMMITMENT], body[T])
        if cut != tuple(str(leaf.get(name)).encode() for name in VARYING) or not _is_flat(leaf):
            return
        if not (body.startswith(OPENS) and body.endswith(CLOSES) and entry.canonical(leaf) == body):
            return
        if self._met >= MOST:
            self._layouts, self._met = {}, 0
        layouts = self._layouts.setdefault(len(body), [])
        layout = next((each for each in layouts if (each.i, each.s) == (i, s)), None)
        if layout is None:
            layouts.append(layout := LeafLayout(len(body), i, s))
        kept = {name: value for name, value in leaf.items() if name not in VARYING}
        layout.shapes[layout.constant(body)] = LeafShape(kept, self._says(kept))
        self._met += 1


def _were(times: Sequence[bytes], ats: Sequence[int]) -> bool:
    """Whether each is the minute of the other."""
    first = min(ats) // 60_000
    if first == max(ats) // 60_000:
        return times.count(minute(first)) == len(ats)
    return [*times] == [minute(at // 60_000) for at in ats]


def _is_flat(leaf: Leaf) -> bool:
    """Nothing in it is another object, whose members could have the same names."""
    return all(isinstance(value, str | int | list) for value in leaf.values()) and b"{" not in orjson.dumps(
        [*leaf.values()]
    )


def _are(ids: Sequence[bytes], events: Sequence[bytes]) -> bool:
    """Whether each is base64url of the other: all at once. Two zero bytes make 16 into 18, which are 24 letters."""
    if {*map(len, events)} != {EVENT_BYTES}:
        return False
    joined = binascii.b2a_base64(b"\x00\x00".join(events) + b"\x00\x00", newline=False)
    return joined.translate(URL) == b"AA".join(ids) + b"AA"


@lru_cache(maxsize=4096)
def minute(minutes: int) -> bytes:
    """A time as a public entry tells it."""
    return entry.minute(moment(minutes * 60_000)).encode()
