"""What went and is heard of late: a replica, or another process of this host, answers from a copy, and hands over a
batch of its answers later. Each batch counts once, gaps are noticed, and recipients are told what they missed
meanwhile. `consent.disclosing` calls it, and `consent.share` of rows that left after all.

Meanwhile its person may have been erased, a number given back, a no said. Whatever may have been erased after the
answer is counted in its entry and written about nobody. Position: how many entries the replica knew of, never more than
there were when it answered.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from gateway.choice.row_shape import is_held
from gateway.desk import suppression
from gateway.desk.disclosures import DESPITE_NO, Counted, Intended
from gateway.desk.recipient_holdings import Left
from gateway.desk.recipients_to_tell import (
    Got,
    Identified,
    ToldWord,
    identified,
    is_outside,
    names_of,
    tell_recipients,
    word_for,
)
from gateway.ledger import entry
from gateway.ledger.acts.folded_people import StandingPeople, is_without_row, people_of
from gateway.ledger.acts.holders import since_when
from gateway.ledger.schema import rows_of
from gateway.ledger.subjects import Subject, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.terms import CHOOSABLE, Erasing

SPOOL_KEPT = timedelta(days=400)  # of a spool that nobody hands over any more
SKEW = 6_000  # milliseconds: a replica's clock against ours
KNOWN_BEFORE = "SELECT 1 FROM detail WHERE key = ? AND seq < ? LIMIT 1"
ERASED = "SELECT identifier, seq FROM erased WHERE identifier IN ({marks})"


class Numbered(NamedTuple):
    """`spool` 16 random bytes, another one at each start; `number` from 1 on, without a gap; `name`: of the key."""

    spool: bytes
    name: str
    number: int


def batches_missing(tx: Transaction, batch: Numbered, at: datetime) -> int | None:
    """How many batches before this one never came; None: this one came before and counts no second time."""
    row = tx.db.execute("SELECT last FROM handed_over WHERE spool = ?", (batch.spool,)).fetchone()
    last = row[0] if row else 0
    if batch.number <= last:
        return None
    tx.db.execute("DELETE FROM handed_over WHERE at < ?", (milliseconds(at - SPOOL_KEPT),))
    tx.db.execute(
        "INSERT INTO handed_over VALUES (?, ?, ?, ?) ON CONFLICT (spool) DO UPDATE SET"
        " last = excluded.last, at = excluded.at",
        (batch.spool, batch.name, batch.number, milliseconds(at)),
    )
    return int(batch.number - last - 1)


def note_lost(tx: Transaction, name: str, batches: int, answers: int | None, at: datetime) -> int:
    """The entry about what a replica answered and nobody will ever have on record. `answers` None: nobody can tell how
    many.
    """
    return tx.append(entry.lost(event=os.urandom(16), by=name, batches=batches, count=answers, at=at))


class LateSend(NamedTuple):
    """What may have gone of somebody, who may be gone since. `left`: all that went with it, of whoever is gone."""

    one: Counted
    is_gone: bool = False
    left: tuple[Left, ...] = ()


class HandedGone:
    """Who may have been erased since a batch was answered: nothing is written about them. Who was unlinked has left no
    trace by which to tell; whoever was not known before may be one of them.
    """

    def __init__(self, tx: Transaction, position: int, skew: int = SKEW) -> None:
        self.position = position
        self._skew = skew
        self._tx = tx
        last = tx.db.execute("SELECT seq, at FROM erasure ORDER BY seq DESC LIMIT 1").fetchone()
        self._last: tuple[int, int] = last or (-1, -1)
        self._places, self._strangers = dict[int, int](), dict[tuple[bytes, int], bool]()

    @property
    def erased_since(self) -> bool:
        """Whether anybody was."""
        return self._last[0] >= self.position

    def is_gone(self, one: Counted) -> bool:
        """Whether its person may have been."""
        if self._erased(one.at, (one.key,)):
            return True
        if not self._may_be(one.at) or self._unlinked < (before := self._before(one.at)):
            return False
        if (one.key, before) not in self._strangers:
            found = self._tx.db.execute(KNOWN_BEFORE, (one.key, before)).fetchone()
            self._strangers[one.key, before] = found is None
        return self._strangers[one.key, before]

    def part(self, one: Counted, row: Intended, own: Sequence[bytes]) -> tuple[Intended | None, list[LateSend]]:
        """A send as it was announced, without whoever of its people was erased meanwhile: an identifier is gone by any
        of its names, for an erasure by a digest names no address. `one`: how it counts; `own`: keys of all whom it
        names. Returns the row under the first who is left, None where nobody is, and whom it is to be told of.
        """
        names: dict[bytes, tuple[bytes, ...]] = {row.key: (row.key,)}
        for each in row.left:  # an address goes by the key of its digest, which may be named too
            names[each.named] = (*names.get(each.named, (each.named,)), *each.names)
        erased = self._erased(one.at, {*own, *chain.from_iterable(names.values())})
        gone, doubted = self._gone(one, names, erased, own)
        here = [key for key in names if key not in gone]
        out = erased.union(doubted, *(names[key] for key in gone)).difference(*(names[key] for key in here))
        whose = dict.fromkeys(gone.values())
        if erased.isdisjoint(whose):
            whose |= dict.fromkeys(sorted(erased)[:1])  # who was only named, of whom nothing left
        told = [LateSend(replace(one, key=name), True, row.left if name in erased else ()) for name in whose]
        if not here:
            return None, told
        left = (replace(each, keys=tuple(key for key in each.keys if key not in out)) for each in row.left)
        kept = replace(row, key=here[0], left=tuple(each for each in left if each.named not in gone))
        beside = {*own}.difference(here, out, *names.values()) if kept.left else ()  # of no more than that it names
        return kept, [*told, *(LateSend(replace(one, key=key)) for key in (*here, *sorted(beside)))]

    def _gone(
        self, one: Counted, names: Mapping[bytes, Sequence[bytes]], erased: set[bytes], own: Sequence[bytes]
    ) -> tuple[dict[bytes, bytes], set[bytes]]:
        """Those who are, each by which name; and who may have been unlinked, of whom none is on record behind a first
        person who is gone.
        """
        gone = {key: name for key, its in names.items() for name in reversed(its) if name in erased}
        theirs = {name: by for key, by in gone.items() for name in names[key]}
        gone = {key: theirs[key] for key in names if key in theirs} | gone  # another digest of the same
        doubted = set[bytes]()
        if one.key in gone or self.is_gone(one):
            doubted = {key for key in {*names, *own} - erased if self.is_gone(replace(one, key=key))}
            gone = {key: key for key in names if key in doubted} | gone
        return gone, doubted

    def _may_be(self, answered: int) -> bool:
        return self._last[0] >= self.position or self._last[1] >= answered - self._skew

    def _erased(self, answered: int, keys: Collection[bytes]) -> set[bytes]:
        """Those of these keys whose person was erased since an answer."""
        found = rows_of(self._tx.db, ERASED, keys) if self._may_be(answered) else ()
        return {key for key, seq in found if seq > self._before(answered)}

    @cached_property
    def _unlinked(self) -> int:
        """The last entry by which somebody was."""
        (seq,) = self._tx.db.execute("SELECT max(seq) FROM erasure WHERE mode = ?", (Erasing.UNLINK,)).fetchone()
        return -1 if seq is None else int(seq)

    def _before(self, answered: int) -> int:
        """A place in the log from before an answer, whose time is in Unix milliseconds by the replica's clock."""
        if answered not in self._places:  # once a second: a list that deletes leaves many, and they lie by number
            sql = "SELECT min(seq) FROM erasure WHERE at >= ?"
            (seq,) = self._tx.db.execute(sql, (answered - self._skew,)).fetchone()
            self._places[answered] = self.position if seq is None else min(self.position, int(seq))
        return self._places[answered]


def tell_late(tx: Transaction, late: Sequence[LateSend], at: datetime) -> list[Counted]:
    """Recipients that got something of somebody who has said no, or was erased, since: nobody knew, so they were not
    told with the others. Only by names that are kept, or went with it. Returns those of which there are none: they are
    told at the person's next call, which names them; or never, of whoever was erased.
    """
    late = [each for each in _once_each(late) if each.is_gone or not is_without_row(tx, each.one.key)]
    people = people_of(tx, [each.one.key for each in late if not each.is_gone])
    told, untold = list[tuple[Identified, ToldWord]](), list[Counted]()
    for each in late:
        word = ToldWord.DELETE if each.is_gone else _stopped_by(tx, people, each.one)
        if word is not None:
            found = [held for held in (_of_erased if each.is_gone else _of_held)(tx, each) if held.identifiers]
            told += [(held, word) for held in found]
            untold += [] if found else [each.one]
    tell_recipients(tx, told, at)
    for each in late:
        _keep_digests(tx, each)
    return untold


def _once_each(late: Iterable[LateSend]) -> list[LateSend]:
    """Of what went of one person to a recipient: one each, despite a no or not, and of whoever is gone."""
    gone, here = dict[tuple[object, ...], LateSend](), dict[tuple[object, ...], LateSend]()
    left = defaultdict[tuple[object, ...], dict[object, Left]](dict)
    for each in late:
        one, place = each.one, (each.one.key, each.one.recipient, each.one.classes)
        if each.is_gone:
            gone[place] = each
            left[place] |= {(item.named, *item.forms.items()): item for item in each.left}
        else:
            here[*place, one.purposes, one.outcome == DESPITE_NO] = each
    return [*(each._replace(left=(*left[place].values(),)) for place, each in gone.items()), *here.values()]


def _stopped_by(tx: Transaction, people: StandingPeople, counted: Counted) -> ToldWord | None:
    standing = people.standing(counted.key, counted.at)
    said = frozenset(purpose for purpose in CHOOSABLE if standing.denies(purpose))
    what = (frozenset(counted.purposes), frozenset(counted.classes))
    third = is_outside(tx, counted.recipient)
    return word_for(said, *what, third=third) if said else None


def _of_held(tx: Transaction, late: LateSend) -> Iterator[Identified]:
    counted = late.one
    own = {counted.key: since_when(tx)(counted.key)}
    for each in identified(tx, names_of(tx, (), own), own):
        if each.got.recipient == counted.recipient:  # what went despite a no came behind whatever it was told
            yield each._replace(got=each.got._replace(batch=tx.size)) if counted.outcome == DESPITE_NO else each


def _of_erased(tx: Transaction, late: LateSend) -> Iterator[Identified]:
    """As the erasure would have found it: all that went with them, and by what it left of them."""
    counted = late.one
    got = Got(counted.recipient, frozenset(counted.classes), frozenset(counted.purposes), tx.size)
    for each in late.left:
        yield Identified(got, each.forms, each.named, counted.key)
    known = names_of(tx, (), {counted.key: 0}).get(counted.key, {})
    to = tx.recipients.get(counted.recipient)
    listed = {kind: value for kind, value in known.items() if is_held(kind, counted.classes, to)}
    yield Identified(got, listed, counted.key, counted.key)


def _keep_digests(tx: Transaction, late: LateSend) -> None:
    """As the erasure would have, of what went of their own: the recipient is told of a later no too."""
    key = late.one.key
    for each in late.left:
        for kind, value in each.forms.items() if key in (each.named, *each.names) else ():
            for name in {key, each.named}:  # a later no finds it by either
                suppression.keep_suppression(tx, Subject(kind, value, (name,)))
