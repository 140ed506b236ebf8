"""Accounts with so many members that nobody reads them all: of each there is kept, beside its row, which of its members
were the last to send up a no to each purpose. Kept by whoever writes the state, read by checks for whom no front is.

Whoever reads what an account passes on leaves out what they said themselves (`fold.kin.passed_on`). So where fewer than
`SPEAKERS` keys say something for themselves, so many of the last ones are as good as all: one is left who denies where
anybody does, and none of those who are left out came later. Nothing here says what a no means, or what lifts one but
the cover that lies on it; where a void uncovers some, all are read again.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from gateway.fold.kin import family, mates, roots
from gateway.fold.state import NO_EDGE, NO_RECORD, Bit, Get, KeyRow, LinkEdge, Slate
from gateway.state.packed_rows import UNREADABLE, NotAState, pack_tail, screen_bits, unpack_tail
from gateway.terms import Purpose

SPEAKERS = 16  # read for each purpose: about 100 us (tests/bench/state_bench.py). Another number is another format
KEPT = 2 * SPEAKERS  # at most, so that not each that is lifted makes it look at all again
BEHIND = b"crowd"  # what it lies under, behind the account's key

Speaker = tuple[int, bytes]  # the record that brought the no to the account, who sent it


class CrowdedAccount:
    """One of them. `moved`: the position of the last change of anything that was sent up."""

    def __init__(self) -> None:
        self.moved = 0
        self.screens = 0  # the bits of those that anything sent up ever rested on
        self.plain = True  # no cover holds for some identifiers alone
        self.known: bytes | None = None  # somebody whom it has or had by a record
        self.counts: dict[Purpose, int] = {}  # of all whose no denies
        self.last: dict[Purpose, list[Speaker]] = {}  # of those the last ones, the latest first
        self._lost = False

    def pack(self, row: KeyRow) -> bytes:
        tail = pack_tail(row._replace(members={}))
        return _pack([self.moved, self.screens, self.plain, self.known, self.counts, self.last, tail])

    def change(self, member: bytes, was: LinkEdge, now: LinkEdge, at: int) -> None:
        """An edge is another one since a position."""
        before, after = _came(was), _came(now)
        for purpose in before.keys() | after.keys():
            self._list(purpose, member, after.get(purpose), had=purpose in before)
        covers = [cover for bit in _bits(now) for cover in bit.covers]
        self.screens |= screen_bits({cover.screen for cover in covers})
        self.plain = self.plain and not any(cover.only for cover in covers)
        self.moved = max(self.moved, at)
        if now.begun != NO_RECORD:
            self.known = self.known or member
        elif self.known == member:
            self._lost = True

    def _list(self, purpose: Purpose, member: bytes, came: int | None, *, had: bool) -> None:
        before, count = self.last.get(purpose, []), self.counts.get(purpose, 0)
        listed = [each for each in before if each[1] != member]
        if came is not None and (len(before) == count or (listed and (came, member) > listed[-1])):
            listed = sorted([*listed, (came, member)], reverse=True)[:KEPT]
        self.last[purpose], self.counts[purpose] = listed, count + (came is not None) - had

    def is_short(self) -> bool:
        """Whether it can only be made again from all."""
        lists = ((len(self.last[each]), count) for each, count in self.counts.items())
        return self._lost or any(listed < min(count, SPEAKERS) for listed, count in lists)

    def speaks_as(self, other: "CrowdedAccount", members: Container[bytes]) -> bool:
        """Whether it is as good as one that was made from all members now."""
        counts = [{each: count for each, count in crowd.counts.items() if count} for crowd in (self, other)]
        return (
            counts[0] == counts[1]
            and self.last.keys() == self.counts.keys()
            and not self.is_short()
            and all(listed == other.last.get(each, [])[: len(listed)] for each, listed in self.last.items())
            and (self.known is None) == (other.known is None)
            and (self.known is None or self.known in members)
            and self.plain <= other.plain
            and not other.screens & ~self.screens
        )

    def speakers(self) -> dict[bytes, int]:
        """In place of all members."""
        found = {member: came for listed in self.last.values() for came, member in listed[:SPEAKERS]}
        return found if self.known is None else {self.known: 0, **found}


def crowd_key(account: bytes) -> bytes:
    """Under which key of the environment it lies: no row's and no edge's."""
    return account + BEHIND


def crowd_of(account: bytes, members: Iterable[bytes], get: Get, moved: Mapping[Any, int]) -> CrowdedAccount:
    """Made from all. `moved`: the position of the last change of each that was got."""
    made = CrowdedAccount()
    for member in members:
        edge = get((account, member))
        if edge is not None:
            made.change(member, NO_EDGE, edge, moved[account, member])
    return made


def unpack_crowd(packed: bytes) -> tuple[CrowdedAccount, bytes]:
    """With what lies behind the front of its row, without members. Raises `NotAState`."""
    made = CrowdedAccount()
    try:
        made.moved, made.screens, made.plain, made.known, made.counts, made.last, tail = _CROWD.decode(packed)
    except UNREADABLE as error:
        raise NotAState("an account of many cannot be read") from error
    return made, tail


def read_crowd(packed: bytes, voided: int) -> tuple[KeyRow, int] | None:
    """The row of an account with the speakers in place of its members, and its last change; None: all are to be read.
    `voided`: the bits of the screens that are.
    """
    crowd, tail = unpack_crowd(packed)
    if not crowd.plain or crowd.screens & voided:
        return None
    return unpack_tail(tail)._replace(members=crowd.speakers()), crowd.moved


def speaks_for_few(slate: Slate, key: bytes) -> bool:
    """Whether what is left out, of all that is read for a key, leaves a speaker of each account."""
    return all(len(_apart(slate, each)) < SPEAKERS for each in (key, *slate.row(key).owners))


def _apart(slate: Slate, key: bytes) -> set[bytes]:
    others = (family(slate, mate) for root in roots(slate, key) for mate in mates(slate, root))
    return family(slate, key).union(*others)


def _bits(edge: LinkEdge) -> Iterator[Bit]:
    for bits in edge.up.values():
        yield from bits


def _came(edge: LinkEdge) -> dict[Purpose, int]:
    """The last no to each purpose that denies."""
    found = dict[Purpose, int]()
    for purpose, bits in edge.up.items():
        if came := [bit.came for bit in bits if not bit.covers]:
            found[purpose] = max(came)
    return found


_pack = msgspec.msgpack.Encoder().encode
_CROWD = msgspec.msgpack.Decoder(
    tuple[int, int, bool, bytes | None, dict[Purpose, int], dict[Purpose, list[tuple[int, bytes]]], bytes]
)
