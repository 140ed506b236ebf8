"""Bookkeeping for batches of answers that replicas, or other processes of this host, hand over later: each counts
once, gaps are noticed, and nothing is written about people who were erased in the meantime. `consent.disclosing` calls
it.

A replica answers from a copy and says so later. Meanwhile its person may have been erased, a number given back, a no
said. Whatever may have been erased after the answer is counted in its entry and written about nobody. Position: how
many entries the replica knew of, never more than there were when it answered.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from gateway.choice.row_shape import is_held
from gateway.desk import recipients_to_tell
from gateway.desk.disclosures import DESPITE_NO, Counted
from gateway.desk.recipients_to_tell import Got, Identified, ToldWord
from gateway.ledger import entry
from gateway.ledger.acts.folded_people import StandingPeople, people_of
from gateway.ledger.acts.holders import had_since
from gateway.ledger.subjects import milliseconds
from gateway.ledger.transaction import Transaction
from gateway.terms import CHOOSABLE, Erasing

KEPT = timedelta(days=400)  # of a spool that nobody hands over any more
SKEW = 6_000  # milliseconds: a replica's clock against ours
KNOWN_BEFORE = "SELECT 1 FROM detail WHERE key = ? AND seq < ? LIMIT 1"


class Numbered(NamedTuple):
    """`spool` 16 random bytes, another one at each start; `number` from 1 on, without a gap; `name`: of the key."""

    spool: bytes
    name: str
    number: int


def missing(tx: Transaction, batch: Numbered, at: datetime) -> int | None:
    """How many batches before this one never came; None: this one came before and counts no second time."""
    row = tx.db.execute("SELECT last FROM handed_over WHERE spool = ?", (batch.spool,)).fetchone()
    last = row[0] if row else 0
    if batch.number <= last:
        return None
    tx.db.execute("DELETE FROM handed_over WHERE at < ?", (milliseconds(at - KEPT),))
    tx.db.execute(
        "INSERT INTO handed_over VALUES (?, ?, ?, ?) ON CONFLICT (spool) DO UPDATE SET"
        " last = excluded.last, at = excluded.at",
        (batch.spool, batch.name, batch.number, milliseconds(at)),
    )
    return int(batch.number - last - 1)


def lost(tx: Transaction, name: str, batches: int, answers: int | None, at: datetime) -> int:
    """The entry about what a replica answered and nobody will ever have on record. `answers` None: nobody can tell how
    many.
    """
    return tx.append(entry.lost(event=os.urandom(16), by=name, batches=batches, count=answers, at=at))


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

    @property
    def erased_since(self) -> bool:
        """Whether anybody was."""
        return self._last[0] >= self.position

    def is_gone(self, one: Counted) -> bool:
        """Whether its person may have been."""
        if self._last[0] < self.position and self._last[1] < one.at - self._skew:
            return False  # nobody was
        db, before = self._tx.db, self._before(one.at)
        row = db.execute("SELECT seq FROM erased WHERE identifier = ?", (one.key,)).fetchone()
        if row and row[0] > before:
            return True
        sql = "SELECT max(seq) FROM erasure WHERE mode = ?"
        (unlinked,) = db.execute(sql, (Erasing.UNLINK,)).fetchone()
        if unlinked is None or unlinked < before:
            return False
        return db.execute(KNOWN_BEFORE, (one.key, before)).fetchone() is None

    def _before(self, answered: int) -> int:
        """A place in the log from before an answer, whose time is in Unix milliseconds by the replica's clock."""
        (seq,) = self._tx.db.execute("SELECT min(seq) FROM erasure WHERE at >= ?", (answered - self._skew,)).fetchone()
        return self.position if seq is None else min(self.position, int(seq))


def tell_late(tx: Transaction, late: Sequence[tuple[Counted, bool]], at: datetime) -> list[Counted]:
    """Recipients that got something of somebody who has said no, or was erased (the second of each pair), since: nobody
    knew, so they were not told with the others. Only by names that are kept. Returns those of which there are none:
    they are told at the person's next call, which names them.
    """
    people = people_of(tx, [counted.key for counted, gone in late if not gone])
    untold = list[Counted]()
    for counted, gone in late:
        word = ToldWord.DELETE if gone else _stopped_by(tx, people, counted)
        if word is None:
            continue
        found = [each for each in (_erased if gone else _held)(tx, counted) if each.identifiers]
        recipients_to_tell.tell_recipients(tx, [(each, word) for each in found], at)
        untold += [] if found else [counted]
    return untold


def _stopped_by(tx: Transaction, people: StandingPeople, counted: Counted) -> ToldWord | None:
    standing = people.standing(counted.key, counted.at)
    said = frozenset(purpose for purpose in CHOOSABLE if standing.denies(purpose))
    what = (frozenset(counted.purposes), frozenset(counted.classes))
    third = recipients_to_tell.is_outside(tx, counted.recipient)
    return recipients_to_tell.word_for(said, *what, third=third) if said else None


def _held(tx: Transaction, counted: Counted) -> Iterator[Identified]:
    own = {counted.key: had_since(tx, counted.key)}
    for each in recipients_to_tell.identified(tx, recipients_to_tell.names_of(tx, (), own), own):
        if each.got.recipient == counted.recipient:  # what went despite a no came behind whatever it was told
            yield each._replace(got=each.got._replace(batch=tx.size)) if counted.outcome == DESPITE_NO else each


def _erased(tx: Transaction, counted: Counted) -> Iterator[Identified]:
    known = recipients_to_tell.names_of(tx, (), {counted.key: 0}).get(counted.key, {})
    to = tx.recipients.get(counted.recipient)
    listed = {kind: value for kind, value in known.items() if is_held(kind, counted.classes, to)}
    got = Got(counted.recipient, frozenset(counted.classes), frozenset(counted.purposes), tx.size)
    yield Identified(got, listed, counted.key, counted.key)
