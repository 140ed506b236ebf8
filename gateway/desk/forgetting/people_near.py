"""What keys read of each other at one moment, for whoever compares it with another one: an unlink, which asks what
others would lose by it (`kept_rows`). As `gateway.fold.reading` reads them, but for what an account passes on, which is
looked at once for all that it has: an account with 300 browsers has 90,000 noes to be read one by one.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from gateway.choice.standing import Standing
from gateway.fold.kin import all_names, edges_of, family, passed_on, speakers
from gateway.fold.reading import NoPlace, lasting_standing, read_noes, revoked
from gateway.fold.record import GrantName, KeptNo
from gateway.fold.state import NO_RECORD, NOTHING, Get, KeyRow, LinkEdge, Slate
from gateway.terms import CHOOSABLE, Purpose


class NoRow(NamedTuple):
    """A no as one key has it from elsewhere: who said it, and what it came through, which is the account, else the one
    who said it.
    """

    key: bytes
    purpose: Purpose
    origin: bytes
    via: bytes

    def said(self) -> KeptNo:
        return KeptNo(self.purpose, self.origin, self.via)


class PeopleNear:
    """`get`: what is folded, exact for all keys that are asked about and for the accounts that have them."""

    def __init__(self, get: Get) -> None:
        self.slate = Slate(get)
        self._lone = cache(lambda place: _without_members(get(place)))
        self._alone = Slate(self._lone)
        self._roads: dict[bytes, dict[tuple[bytes, bytes], LinkEdge]] = {}
        self._passed: dict[bytes, dict[Purpose, dict[bytes, int]]] = {}
        self._read: dict[bytes, tuple[set[NoRow], set[Purpose]]] = {}

    def row(self, key: bytes) -> KeyRow:
        return self.slate.row(key)

    def noes(self, key: bytes) -> set[NoRow]:
        """Those that stand, but for its own and for what accounts pass on that have it now."""
        return self._met(key)[0]

    def _met(self, key: bytes) -> tuple[set[NoRow], set[Purpose]]:
        """With the purposes that it denies itself."""
        if key not in self._read:
            slate = self.slate if self.row(key).members else self._alone
            rows, own = set[NoRow](), set[Purpose]()
            for each in read_noes(slate, key):
                if not each.holds(slate.voids):
                    continue
                if each.place is NoPlace.OWN:
                    own.add(each.purpose)
                else:
                    via = key if each.place is NoPlace.UP else each.via or each.bit.who
                    rows.add(NoRow(key, each.purpose, each.bit.who, via))
            self._read[key] = rows, own
        return self._read[key]

    def roads(self, key: bytes) -> dict[tuple[bytes, bytes], LinkEdge]:
        """By which it reads what accounts pass on: (account, name) and their edge. A looser form has its owners'."""
        if key not in self._roads:
            names = family(self.slate, key).union(*(speakers(self.slate, each) for each in self.row(key).owners))
            edges = edges_of(self.slate, names)
            self._roads[key] = {(account, name): edge for account, name, edge in edges if edge.lives()}
        return self._roads[key]

    def through(self, key: bytes, account: bytes, edge: LinkEdge) -> Iterator[tuple[Purpose, Iterator[bytes]]]:
        """What it reads by one of these: of each purpose who said no."""
        apart = {key}.union(*(all_names(self.slate, each) for each in (key, *self.row(key).owners)))
        for purpose, origins in self.passed(account).items():
            yield purpose, (each for each, came in origins.items() if came > edge.past and each not in apart)

    def passed(self, account: bytes) -> dict[Purpose, dict[bytes, int]]:
        """What an account passes on and stands: who said no, and the last record that brought it there."""
        if account not in self._passed:
            found = self._passed[account] = {}
            for purpose, bit in passed_on(self.slate, account, (), NO_RECORD):
                if bit.denies(self.slate.voids):
                    origins = found.setdefault(purpose, {})
                    origins[bit.who] = max(bit.came, origins.get(bit.who, NO_RECORD))
        return self._passed[account]

    def denied(self, key: bytes) -> set[Purpose]:
        """All purposes that a check of it is denied for."""
        rows, own = self._met(key)
        found = own | {each.purpose for each in rows}
        for (account, _), edge in self.roads(key).items():
            found |= {purpose for purpose, origins in self.through(key, account, edge) if any(origins)}
        if any(self.row(each).states for each in family(self.slate, key)):
            found |= {each for each in CHOOSABLE if self.standing(key).denies(each)}
        return found

    def reads(self, key: bytes, purpose: Purpose, origin: bytes) -> bool:
        """Whether somebody's no stands there, whatever it came through."""
        if any((each.purpose, each.origin) == (purpose, origin) for each in self.noes(key)):
            return True
        return any(origin in self.passed(account).get(purpose, ()) for account, _ in self.roads(key))

    def standing(self, key: bytes) -> Standing:
        """Without what accounts pass on: for its age, and for what devices say."""
        return lasting_standing(key, self._lone)[0]

    def grants(self, key: bytes) -> set[GrantName]:
        """Those that no later no has ended, and that are no child's own."""
        grants = self.row(key).grants
        return {each for each in grants if not grants[each].child} - revoked(self.slate, key) if grants else set()


def _without_members(found: Any) -> Any:
    """An account as one that passes nothing on."""
    if isinstance(found, KeyRow) and found.members:
        return found._replace(own=NOTHING, orders=NOTHING, kept=NOTHING, members=NOTHING)
    return found
