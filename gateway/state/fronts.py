"""What is kept ready of a key beside what was said of it, so that a check reads little: fronts, and for accounts of
many who speaks for them. Made by whoever writes the state; read by checks, and by whoever compares (`comparison`).

A front says what stands of a key, so that a check unpacks one row's first bytes and joins nothing. What it says is what
the fold reads (`lasting_standing`); no rule is written a second time. Here is only whom a change reaches, wider than
need be, and where so much would be read that no front is kept: there each check reads for itself.

Nobody reads all members of an account that has very many: of each there is kept which of them were the last to send up
a no to each purpose. Whoever reads what an account passes on leaves out what they said (`fold.kin.passed_on`). So where
fewer than `SPEAKERS` keys say something for themselves, so many of the last ones are as good as all: one is left who
denies where anybody does, and none of those who are left out came later. Nothing here says what a no means, or what
lifts one but the cover that lies on it; where a void uncovers some, all are read again.
"""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import msgspec

from gateway.choice.standing import Standing
from gateway.fold.kin import Alike, alike, family, mates, roots
from gateway.fold.reading import lasting_standing
from gateway.fold.state import EMPTY, HEAD, NO_EDGE, NO_RECORD, Bit, Get, KeyRow, LinkEdge, Place, Slate
from gateway.state.packed_rows import (
    UNREADABLE,
    NotAState,
    no_front,
    pack_front,
    pack_tail,
    screen_bits,
    unpack_tail,
)
from gateway.terms import Purpose

CROWD = 64  # names, spellings, looser forms of one key, or what one account has: about 5 ms for all fronts of a change
READ = 4096  # edges of accounts, for one front or beside `CROWD` a place for all of one transaction: about 80 ms
SPEAKERS = 16  # read for each purpose: about 100 us (tests/bench/state_bench.py). Another number is another format
KEPT = 2 * SPEAKERS  # at most, so that not each that is lifted makes it look at all again
BEHIND = b"crowd"  # what it lies under, behind the account's key

Speaker = tuple[int, bytes]  # the record that brought the no to the account, who sent it


class PlacesRead(dict[Place, Any]):
    """What lay in each place that was read."""

    def __init__(self, get: Get) -> None:
        super().__init__()
        self._get = get

    def __missing__(self, place: Place) -> Any:
        found = self[place] = self._get(place)
        return found


class Fronts:
    """The fronts of one transaction, once all of it is folded. `get`: what lies in a place; `changed`: the position of
    its last change; `crowds`: the keys that became crowded in it, whose others may still have fronts.
    """

    def __init__(self, get: Get, changed: Mapping[Place, int], crowds: set[bytes]) -> None:
        self._get, self._changed, self._crowds = get, changed, crowds
        self._kin: dict[bytes, set[bytes]] = {}
        self._plain: dict[bytes, Alike | None] = {}
        self._fronts: dict[tuple[int, Alike], bytes] = {}
        self._tails: dict[Alike, bytes] = {}
        self._bounds: dict[frozenset[bytes], int | None] = {}
        self._screens: dict[Place, int] = {}
        self._left = READ  # edges that may be read

    def reached(self, places: Collection[Place]) -> set[bytes]:
        """The keys that read something of what lies in these places."""
        found = set[bytes]()
        self._left += CROWD * len(places)
        for key in {*chain.from_iterable((each,) if isinstance(each, bytes) else each for each in places)}:
            members = self._row(key).members
            for each in (key, *members) if members and self._is_open(key) else (key,):
                if each not in found:
                    found |= self._kin_of(each)
        forms = [(each, looser) for each in found if (looser := self._row(each).looser)]
        return found.union(*(looser for each, looser in forms if self._is_open(each)))

    def front_of(self, key: bytes) -> bytes:
        """What is kept before its row."""
        own, alike = self._changed[key], self.alike(key)
        if alike is None:
            return self._made(key, own)
        if (own, alike) not in self._fronts:
            self._fronts[own, alike] = self._made(key, own)
        return self._fronts[own, alike]

    def alike(self, key: bytes) -> Alike | None:
        """By what names have the same front and the same row (`kin.alike`)."""
        if key not in self._plain:
            self._plain[key] = alike(self._row(key))
        return self._plain[key]

    def tail(self, key: bytes) -> bytes:
        """What is kept behind that: of the dozen digests of one identifier packed once."""
        alike = self.alike(key)
        if alike is None:
            return pack_tail(self._row(key))
        if alike not in self._tails:
            self._tails[alike] = pack_tail(self._row(key))
        return self._tails[alike]

    def _made(self, key: bytes, own: int) -> bytes:
        if not self._is_kept(key):
            return no_front(own, crowded=has_many(self._row(key)))
        return self.read_front(key, own)

    def read_front(self, key: bytes, own: int = 0) -> bytes:
        """What it is where one is kept, whatever there is to read for it."""
        return pack_front(own, *self._read(key))

    def _read(self, key: bytes) -> tuple[int, Standing, int, int]:
        """As a front says it: the last change of all that is read, what stands, until when linked, the screens."""
        read = PlacesRead(self._get)
        read[HEAD] = None  # as if no screen was voided: a front tells on which it rests
        standing, linked = lasting_standing(key, read.__getitem__)
        moved = screens = 0
        for place, found in read.items():
            if found is not None:
                moved = max(moved, self._changed[place])
                screens |= self._screens_of(place, found)
        return moved, standing, linked, screens

    def _row(self, key: bytes) -> KeyRow:
        return self._get(key) or EMPTY

    def _is_open(self, key: bytes) -> bool:
        """Whether others may have a front beyond it."""
        return key in self._crowds or not is_crowded(self._row(key))

    def _kin_of(self, key: bytes) -> set[bytes]:
        """All that are connected with a key by names and mailboxes: more than it ever reads."""
        if (kin := self._kin.get(key)) is not None:
            return kin
        kin, todo = {key}, [] if self._row(key).is_alone() else [key]
        while todo:
            row = self._row(each := todo.pop())
            if self._is_open(each):
                beside = {*row.names, *row.targets, *row.spellings, *((row.box,) if row.box else ())} - kin
                kin |= beside
                todo += beside
        if len(kin) > 1:
            self._kin |= dict.fromkeys((each for each in kin if not is_crowded(self._row(each))), kin)
        return kin

    def _is_kept(self, key: bytes) -> bool:
        """Whether what is read for a key is within bounds."""
        own = self._row(key)
        if own.is_alone() and not own.owners:
            return not is_crowded(own)
        kin = frozenset(self._kin_of(key).union(*(self._kin_of(owner) for owner in own.owners)))
        if kin not in self._bounds:
            self._bounds[kin] = self._edges_of(kin)
        many = self._bounds[kin]
        self._left -= many or 0
        return many is not None and self._left >= 0

    def _edges_of(self, kin: Iterable[bytes]) -> int | None:
        """How many there are to read; None: too many, or somebody is crowded."""
        many, accounts = 0, set[bytes]()
        for row in map(self._row, kin):
            accounts.update(row.accounts)
            if is_crowded(row) or len(accounts) > READ:
                return None
        for row in map(self._row, accounts):
            many += len(row.members)
            if is_crowded(row) or many > READ:
                return None
        return many

    def _screens_of(self, place: Place, found: Any) -> int:
        bits = self._screens.get(place)
        if bits is None:
            bits = self._screens[place] = screen_bits({*_screens(found)})
        return bits


def is_crowded(row: KeyRow) -> bool:
    """Whether what changes in it is not carried on to the fronts of others, which are none."""
    named = len(row.names) + len(row.targets) + len(row.looser) + len(row.owners) + len(row.spellings)
    return named + len(row.members) > CROWD


def has_many(row: KeyRow) -> bool:
    """Whether an account has so many members that not all are read (`CrowdedAccount`)."""
    return len(row.members) > CROWD


def _screens(found: KeyRow | LinkEdge) -> Iterator[str]:
    """Those of each yes in a row or an edge."""
    if isinstance(found, KeyRow):
        bits = chain(found.own.values(), found.orders.values(), found.kept.values())
        yield from (allowed.screen for allowed in found.ins.values())
    else:
        bits = chain(*found.up.values(), *found.down.values())
    for bit in bits:
        for cover in bit.covers:
            yield cover.screen


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
