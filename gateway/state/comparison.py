"""Whether what lies in a state is what the fold gives, place by place: for whoever holds a host's state against its log
(`app.state_check`). Reads only.

Two foldings of one log give the same rows and edges, but not always the same bytes: the members of a map stand in the
order in which they were put, which is another one where somebody was folded again, and where a row was written and read
in between. So what is not the same as bytes is unpacked, and compared as the fold would see it. Positions are left out:
they tell when this host folded. A front may be missing, for how much is read for fronts in one transaction is bounded;
one that is there says what the fold reads.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.fold import fold
from gateway.fold.reading import lasting_standing
from gateway.fold.record import Record, SaidOut
from gateway.fold.state import NO_EDGE, Get, KeyRow, LinkEdge, Place
from gateway.state.fronts import Fronts, crowd_key, crowd_of, has_many, unpack_crowd
from gateway.state.lookup import StateMoment
from gateway.state.packed_rows import (
    CHANGED,
    EDGE_BYTES,
    HEAD_KEY,
    KEY_BYTES,
    NotAState,
    is_of_many,
    pack_edge,
    pack_front,
    pack_number,
    pack_tail,
    says_all,
    tail_of,
    unpack_edge,
    unpack_tail,
)

POSITIONS = 2 * CHANGED.size  # bytes, with which a row begins
SOMEBODY, SOME_RECORD = b"\xfe\xca" * 8, 2**48 + 3  # that nothing else in a row looks like


class _Undated(dict[Place, int]):
    """What position anything changed at is not compared."""

    def __missing__(self, _: Place) -> int:
        return 0


UNDATED = _Undated()


class LoneNo:
    """The row of somebody who said one no, and hangs together with nobody, as bytes behind its positions."""

    def __init__(self, said: SaidOut) -> None:
        state = fold(Record(SOME_RECORD, 0, SOMEBODY, said), dict[Place, Any]().get)
        standing, linked = lasting_standing(SOMEBODY, state.get)
        packed = pack_front(0, 0, standing, linked, 0)[POSITIONS:] + pack_tail(state[SOMEBODY])
        self._before, after = packed.split(SOMEBODY)
        self._after = after.split(pack_number(SOME_RECORD))

    def packed(self, key: bytes, seq: int) -> bytes:
        return self._before + key + pack_number(seq).join(self._after)


class StateComparison:
    """`rows`, `edges`, `crowds`: that are as they ought to be, or at least there."""

    def __init__(self, moment: StateMoment) -> None:
        self.rows = self.edges = self.crowds = 0
        self._moment = moment

    def is_lone(self, key: bytes, seq: int, no: LoneNo) -> bool:
        """Whether a row is that of such a no. Where it is not it may still be right, and is compared with others."""
        packed = self._moment.packed(key)
        same = packed is not None and packed[POSITIONS:] == no.packed(key, seq)
        self.rows += same
        return same

    def differing(self, keys: Sequence[bytes], get: Get) -> Iterator[Place]:
        """Of some keys that hang together, and what the fold gives of them, the places where something else lies."""
        fronts = Fronts(get, UNDATED, set())
        for key in keys:
            row: KeyRow | None = get(key)
            packed = self._moment.packed(key)
            self.rows += packed is not None and row is not None
            if (row is None) != (packed is None):
                yield key
            if row is None or packed is None:
                continue
            made = fronts.front_of(key)[POSITIONS:] + fronts.tail(key)
            if packed[POSITIONS:] != made and not _is_row(key, row, packed, get):
                yield key
            if has_many(row) and not self._is_crowd(key, row, get):
                yield key
            for member in row.members:
                if not self._is_edge(key, member, get((key, member)) or NO_EDGE):
                    yield key, member

    def _is_edge(self, account: bytes, member: bytes, edge: LinkEdge) -> bool:
        packed = self._moment.packed(account + member)
        if packed is None:
            return False
        self.edges += 1
        if packed[CHANGED.size :] == pack_edge(edge, 0)[CHANGED.size :]:
            return True
        try:
            return unpack_edge(packed)[0] == edge
        except NotAState:
            return False

    def _is_crowd(self, account: bytes, row: KeyRow, get: Get) -> bool:
        """Whether those who speak for all of an account's members do so."""
        packed = self._moment.packed(crowd_key(account))
        if packed is None:
            return False
        self.crowds += 1
        try:
            crowd, tail = unpack_crowd(packed)
            alike = unpack_tail(tail) == row._replace(members={})
        except NotAState:
            return False
        return alike and crowd.speaks_as(crowd_of(account, row.members, get, UNDATED), row.members)

    def head(self) -> bytes | None:
        """As it lies there."""
        return self._moment.packed(HEAD_KEY)

    def is_full(self) -> bool:
        """Whether all that lies there was compared."""
        sizes = Counter(map(len, self._moment.places()))
        there = sizes[KEY_BYTES], sizes[EDGE_BYTES], sizes[len(crowd_key(SOMEBODY))]
        return there == (self.rows, self.edges, self.crowds)

    def places(self) -> Iterator[Place]:
        """All rows and edges that lie there."""
        for key in self._moment.places():
            if len(key) in {KEY_BYTES, EDGE_BYTES}:
                yield key if len(key) == KEY_BYTES else (key[:KEY_BYTES], key[KEY_BYTES:])


def _is_row(key: bytes, row: KeyRow, packed: bytes, get: Get) -> bool:
    try:
        if unpack_tail(tail_of(packed)) != row:
            return False
        if not says_all(packed):
            return is_of_many(packed) == has_many(row)
    except NotAState:
        return False
    front = Fronts(get, UNDATED, set()).read_front(key)
    return packed[POSITIONS : len(packed) - len(tail_of(packed))] == front[POSITIONS:]
