"""Fronts: what stands of a key, kept before its row, so that a check unpacks one row's first bytes and joins nothing.
Made by whoever writes the state, for each key that reads something of what a transaction changed.

What a front says is what the fold reads (`lasting_standing`); no rule is written a second time. Here is only whom a
change reaches, wider than need be, and where so much would be read that no front is kept: there each check reads for
itself.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from gateway.choice.standing import Standing
from gateway.fold.kin import Alike, alike
from gateway.fold.reading import lasting_standing
from gateway.fold.state import EMPTY, HEAD, Get, KeyRow, LinkEdge, Place
from gateway.state.packed_rows import no_front, pack_front, screen_bits

CROWD = 64  # names, spellings, looser forms of one key, or what one account has: about 5 ms for all fronts of a change
READ = 4096  # edges of accounts, for one front or beside `CROWD` a place for all of one transaction: about 80 ms


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
    """Whether an account has so many members that not all are read (`crowded_accounts`)."""
    return len(row.members) > CROWD


def _screens(found: KeyRow | LinkEdge) -> Iterator[str]:
    """Those of each yes in a row or an edge."""
    if isinstance(found, KeyRow):
        bits = chain(found.own.values(), found.kept.values())
        yield from (allowed.screen for allowed in found.ins.values())
    else:
        bits = chain(*found.up.values(), *found.down.values())
    for bit in bits:
        for cover in bit.covers:
            yield cover.screen
