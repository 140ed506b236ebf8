"""What is to be said anew of somebody who is forgotten, so that everybody near them stands as before: found by what
they read before and after, however that had come to them. Called by an unlink (`erasure_by_unlink`). Writes nothing.

What stays is of nobody who is known: of each forgotten one a random key says it. What came through an account that is
no more came through what that had: the row names it, and that one's own yes lifts it. What a mailbox said in a spelling
that is no more is as if it had been said in another one that is there.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from gateway.choice.law import AGES
from gateway.desk.forgetting.people_near import NoRow, PeopleNear
from gateway.fold import fold
from gateway.fold.kin import edges_of, family, mates, with_looser
from gateway.fold.record import KeptAge, KeptEnd, KeptNo, KeptNotice, KeptRevoked, KeyAge, Record
from gateway.fold.state import NO_RECORD, Bit, Get, Place
from gateway.terms import NoticeKind, Purpose

Stays = tuple[bytes, KeptNo | KeptEnd | KeptRevoked | KeptAge | KeptNotice]  # with whom


class FoldedOn:
    """What is folded already, and more records behind it."""

    def __init__(self, get: Get, seq: int, at: int) -> None:
        self._get, self._more = get, dict[Place, object]()
        self.seq, self.at = seq, at

    def get(self, place: Place) -> object:
        return self._more[place] if place in self._more else self._get(place)

    def say(self, stays: Iterable[Stays]) -> list[Stays]:
        """Those that changed anything."""
        return [each for each in [*stays] if self._changes(Record(self.seq, self.at, *each))]

    def _changes(self, record: Record) -> bool:
        changes = fold(record, self.get)
        self._more.update(changes)
        return bool(changes)


class ForgottenPeople:
    """Who is forgotten, as they were before: by whose names what they said stays. `own`: their keys; `near`: all that
    read anything of them, but themselves.
    """

    def __init__(self, own: Collection[bytes], near: Collection[bytes], before: PeopleNear) -> None:
        self.own, self.near, self.before = {*own}, near, before
        self.still = {key: min(others) for key in self.own if (others := mates(before.slate, key).keys() - self.own)}
        self._strangers = defaultdict[bytes, bytes](lambda: os.urandom(16))
        self._ways = {key: self._had(key) for key in self.own if before.row(key).members}

    def _had(self, account: bytes) -> dict[bytes, set[bytes]]:
        """Every key that an account reached, looser forms too, with what it had through which it did."""
        found, slate = defaultdict[bytes, set[bytes]](set), self.before.slate
        for member in self.before.row(account).members:
            if member not in self.own and slate.edge(account, member).begun != NO_RECORD:
                for key in with_looser(slate, family(slate, member)):
                    found[key].add(member)
        return found

    def stays(self, row: NoRow) -> list[NoRow]:
        """As it is to be said anew."""
        key, purpose, origin, via = row
        if via not in self.own:
            unknown = self.still.get(origin) or self._strangers[origin] if origin in self.own else origin
            return [NoRow(key, purpose, unknown, via)]
        if via in self.still:
            return [NoRow(key, purpose, self.still[via], self.still[via])]
        stranger = self._strangers[via]  # through one that is no more all are one
        return [NoRow(key, purpose, stranger, way) for way in sorted(self._ways.get(via, {}).get(key, {stranger}))]

    def ended(self, after: PeopleNear) -> Iterator[Stays]:
        """What other spellings of a mailbox had said, until one of these said something else."""
        for key in self.near:
            was, now = self.before.row(key), after.row(key)
            lifted = {each for each, bit in now.own.items() if self._stands(bit) and not self._stands(was.own[each])}
            lifted |= {each for each in self._sent(key, after) if each not in was.ins}
            for purpose in sorted(lifted | now.ins.keys() - was.ins.keys()):
                if purpose in lifted:
                    yield key, KeptEnd(purpose, no=True, screen=self._screen(key, purpose))
                else:
                    yield key, KeptEnd(purpose, no=False, screen=now.ins[purpose].screen)

    def _stands(self, bit: Bit) -> bool:
        return bit.denies(self.before.slate.voids)

    def _any_stands(self, bits: Iterable[Bit]) -> bool:
        """But for what a state's list says, which nobody's yes but its holder's own ever lifted."""
        return any(self._stands(bit) for bit in bits if not bit.is_order())

    def _sent(self, key: bytes, after: PeopleNear) -> Iterator[Purpose]:
        """What it had sent up to accounts, and was lifted there."""
        for account, _, edge in edges_of(after.slate, (key,)):
            was = self.before.slate.edge(account, key).up
            for purpose, bits in edge.up.items() if edge.up != was else ():
                own = self.before.row(key).own.get(purpose)
                before = (*was.get(purpose, ()), own) if own else was.get(purpose, ())
                if self._any_stands(bits) and not self._any_stands(before):
                    yield purpose

    def _screen(self, key: bytes, purpose: Purpose) -> str:
        """The one by which it is lifted; should that be voided, it is there again."""
        own = self.before.row(key).own.get(purpose)
        covers = [each for each in own.covers if each.by in self.own] if own else []
        held = [each for each in covers if each.screen not in self.before.slate.voids]
        return max(held, key=lambda each: each.seq).screen if held else ""

    def noes(self, after: PeopleNear) -> set[NoRow]:
        """What others had got from these or through these, and would have no more."""
        read = ((key, self.before.noes(key)) for key in self.near)
        lost = {row for key, noes in read if noes for row in noes - after.noes(key)}
        lost |= {row for key in self.near for row in self._passed(key, after)}
        return {each for row in lost for each in self.stays(row)}

    def _passed(self, key: bytes, after: PeopleNear) -> Iterator[NoRow]:
        """What accounts passed on by links that are gone; what else they passed on comes back with what is theirs."""
        roads = self.before.roads(key)
        for account, name in roads.keys() - after.roads(key).keys() if roads else ():
            for purpose, origins in self.before.through(key, account, roads[account, name]):
                if account in self.own:
                    yield from (NoRow(key, purpose, account, account) for _ in islice(origins, 1))
                else:
                    yield from (NoRow(key, purpose, origin, account) for origin in origins)

    def in_doubt(self, after: PeopleNear) -> Iterator[Stays]:
        """Where somebody would be denied less all the same."""
        for key in self.near:
            for purpose in sorted(self.before.denied(key) - after.denied(key)):
                yield key, KeptNo(purpose, self._strangers[key], key)

    def revoked(self, after: PeopleNear) -> Iterator[Stays]:
        """What others had allowed a recipient, until a no of these."""
        for key in self.near:
            if after.row(key).grants:
                yield from (
                    (key, KeptRevoked(grant)) for grant in sorted(after.grants(key) - self.before.grants(key), key=str)
                )

    def told(self, after: PeopleNear) -> Iterator[Stays]:
        """What others were told through these; and that they were told nothing, for what these got had come back."""
        for key in self.near:
            was, now = self.before.row(key).told, after.row(key).told
            for notice in NoticeKind:
                if now.get(notice, 0) != (day := was.get(notice, 0)):
                    yield key, KeptNotice(notice, day)

    def ages(self, after: PeopleNear) -> Iterator[Stays]:
        """How old others are through these: nobody gets older by it."""
        for key in self.near:
            parts = self._ages(key)
            if not parts or after.row(key).age == (age := _youngest_of(parts)):
                continue
            was, now = self.before.standing(key), after.standing(key)
            if age.fixed or _rank(now.age_band) > _rank(was.age_band) or (was.grown and not now.grown):
                yield key, KeptAge(age)

    def _ages(self, key: bytes) -> list[KeyAge]:
        """Its own, and those that it has from these."""
        rows = [self.before.row(each) for each in family(self.before.slate, key) if each == key or each in self.own]
        rows += [self.before.row(account) for account, _ in self.before.roads(key) if account in self.own]
        return [row.age for row in rows if row.age]


def _youngest_of(ages: Collection[KeyAge]) -> KeyAge:
    band = min((each.band for each in ages), key=AGES.index)
    youngest = min((each.youngest for each in ages), key=AGES.index)
    return KeyAge(band, youngest, any(each.fixed for each in ages))


def _rank(band: str | None) -> int:
    return len(AGES) if band is None else AGES.index(band)
