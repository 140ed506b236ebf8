"""Pruning: what is older than the retention policy goes, and no opt-out with it (R19, L82). `app.composition` calls it.

Details go after their months, the proof that somebody chose stays openable. Bodies go in whole tiles after theirs, once
everything that a standing rests on was restated in newer entries; their hashes stay, so every old receipt still
verifies. A prune is an entry itself. Each step is a transaction that may be the last one: the next run goes on from it.

What must be said again is measured by what the fold keeps (`gateway.desk.forgetting.resting`).
"""

import calendar
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from gateway.desk import documents, outbox, recipient_holdings
from gateway.desk.documents import Document
from gateway.desk.forgetting.resting import entries_to_restate, pruned_record
from gateway.desk.suppression import keep_digests
from gateway.ledger import entry
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.log_records import rewrite_sides, sides_of_entries
from gateway.ledger.proof.merkle import WIDTH
from gateway.ledger.subjects import milliseconds
from gateway.ledger.transaction import Job, Transaction

BODY_OF = """
SELECT coalesce(e.body, r.body) FROM (SELECT ? AS seq) d LEFT JOIN entry e ON e.seq = d.seq
LEFT JOIN restated x ON x.of = d.seq LEFT JOIN entry r ON r.seq = x.seq
"""


def restate_entry(tx: Transaction, of: int, below: int, at: datetime) -> bool:
    """Says one old entry again, unless an entry that stays does so already. Whether it did."""
    row = tx.db.execute("SELECT seq FROM restated WHERE of = ?", (of,)).fetchone()
    if row and row[0] >= below:
        return False
    [body] = tx.db.execute(BODY_OF, (of,)).fetchone()
    if body is None:
        return False  # pruned before, when nothing rested on it
    seq = tx.append(entry.restated(event=os.urandom(16), of=of, was=entry.original(body), at=at))
    tx.db.execute("INSERT INTO restated VALUES (?, ?) ON CONFLICT (of) DO UPDATE SET seq = excluded.seq", (of, seq))
    return True


GOING = "SELECT seq FROM entry WHERE seq < ? AND seq NOT IN (SELECT of FROM restated)"
# The next bodies, and of each whether what it said goes with it.
BODIES = """
SELECT e.seq, x.of IS NULL FROM entry e LEFT JOIN restated x ON x.of = e.seq
WHERE e.seq >= ? AND e.seq < ? ORDER BY e.seq LIMIT ?
"""
# What an earlier prune said again, in entries that go now: nothing rests on those any more.
AGAIN = "SELECT of FROM restated WHERE seq < (SELECT pruned FROM head) ORDER BY seq LIMIT ?"
HELD_FROM = "SELECT id FROM held WHERE id >= ? AND id <= ? ORDER BY id LIMIT 1 OFFSET ?"
FORGET_BOXES = "UPDATE {} SET sealed = NULL WHERE seq >= ? AND seq < ? AND at < ? AND sealed IS NOT NULL"
# Who was in shares is not found by its time: each part is of so many rows, old ones or not, in the order of their key.
SHARES_FROM = """
SELECT recipient, row, batch FROM disclosure WHERE (recipient, row, batch) > (?, ?, ?)
ORDER BY recipient, row, batch LIMIT 1 OFFSET ?
"""
SHARES = "DELETE FROM disclosure WHERE (recipient, row, batch) > (?, ?, ?) AND at < ?"
SHARES_UP_TO = f"{SHARES} AND (recipient, row, batch) <= (?, ?, ?)"
ANSWERS = """
DELETE FROM disclosed WHERE (key, recipient, purpose, classes, day, outcome, since) IN (
  SELECT key, recipient, purpose, classes, day, outcome, since FROM disclosed WHERE last < ? LIMIT ?)
"""
UNDONE = """
SELECT (SELECT count(*) FROM voided_choice), (SELECT count(*) FROM deletion_row WHERE gone IS NOT NULL)
"""
POLICY = "retention"  # the kind of the logged document
# Opt-outs wait while one transaction is made, kept and folded: each has as much as the one before it lets expect for
# so many seconds. Whose word goes is folded again behind it, a millisecond of somebody with a dozen names.
HELD = 0.04
STEP, ROWS, BOXES = 200, 2_000, 20_000  # at most: bodies; rows of what left; entries of which boxes are looked for
WORD = 5  # bodies that only go, for one word that does
SMALL = 8  # the first of a kind has so small a part of the most, and none a smaller one: a commit costs as much


class Changed(LedgerRefused):
    """Something was voided or taken back while the prune was prepared. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`below`: bodies of entries before it go. `needed`: those among them that are restated. `forget_before`: details
    of choices that were accepted before it go, Unix milliseconds. `undone`: as `_undone` has it. `held`: the last
    number of what recipients hold. `size`: of the log.
    """

    below: int
    needed: tuple[int, ...]
    forget_before: int
    bodies: int
    details: int
    undone: tuple[int, int]
    held: int = 0
    size: int = 0


def plan(db: sqlite3.Connection, bodies_before: datetime, details_before: datetime) -> Plan:
    """What a prune would do. Reads only."""
    pruned, size = db.execute("SELECT pruned, size FROM head").fetchone()
    [young] = db.execute("SELECT min(seq) FROM detail WHERE at >= ?", (milliseconds(bodies_before),)).fetchone()
    [last] = db.execute("SELECT coalesce(max(seq) + 1, 0) FROM detail").fetchone()
    below = max(pruned, (last if young is None else young) // WIDTH * WIDTH)
    forget = milliseconds(details_before)
    [details] = db.execute("SELECT count(*) FROM detail WHERE at < ? AND sealed IS NOT NULL", (forget,)).fetchone()
    [bodies] = db.execute("SELECT count(*) FROM entry WHERE seq < ?", (below,)).fetchone()
    needed = sorted(entries_to_restate(db, below)) if below > pruned else []
    [last_held] = db.execute("SELECT coalesce(max(id), 0) FROM held").fetchone()
    return Plan(below, tuple(needed), forget, bodies, details, _undone(db), last_held, size)


def months_before(at: datetime, months: int) -> datetime:
    """The same day of an earlier month, or that month's last day."""
    year, month = divmod(at.year * 12 + at.month - 1 - months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return at.replace(year=year, month=month + 1, day=min(at.day, last))


def _undone(db: sqlite3.Connection) -> tuple[int, int]:
    """How many choices were voided, and how many requests lists took back: what an older entry rests on is another."""
    found: tuple[int, int] = db.execute(UNDONE).fetchone()
    return found


def jobs(planned: Plan, policy: Document, at: datetime) -> Iterator[Job[None]]:
    """The steps in their order, each a job of the writer, and done before the next is asked for."""
    before = planned.forget_before
    yield from _paced(partial(_restate, planned=planned, at=at), STEP)
    yield partial(_mark, planned=planned, policy=policy, at=at)
    yield from _paced(_forget_again, STEP // WORD)
    yield from _paced(partial(_delete_some, below=planned.below), STEP)
    yield from _paced(partial(_forget_held, before=before, last=planned.held), STEP)
    yield from _paced(partial(_forget_boxes, before=before, end=planned.size), BOXES)
    yield from _paced(partial(_forget_shares, before=before), ROWS)
    for forget in (outbox.prune_deletion_tokens, _forget_answers):
        yield from _paced(partial(_until_none, forget=forget, before=before), ROWS)


Step = Callable[[Transaction, Any, int], Any]
"""From where on, 0 at first, and how much of it; where to go on. None: that was all."""


class _PacedJob:
    """One step, which may be run again where it could not be kept. `begun`: when it had the lock."""

    def __init__(self, step: Step, first: Any, size: int) -> None:
        self._step, self._first, self._size = step, first, size
        self.begun = 0.0
        self.end: Any = None

    def __call__(self, tx: Transaction) -> None:
        self.begun = time.monotonic()
        self.end = self._step(tx, self._first, self._size)


def _paced(step: Step, most: int) -> Iterator[_PacedJob]:
    """All steps of one kind."""
    at: Any = 0
    size = most // SMALL
    while at is not None:
        job = _PacedJob(step, at, size)
        yield job
        at, size = job.end, paced(size, time.monotonic() - job.begun, most)


def paced(size: int, took: float, most: int) -> int:
    """How much the next one has, of so much at most: twice as much as the last one, or half of it, as that took."""
    return min(max(int(size * min(max(HELD / max(took, HELD / 2), 1 / 2), 2)), most // SMALL), most)


def _restate(tx: Transaction, first: int, size: int, planned: Plan, at: datetime) -> int | None:
    end = first + size
    for of in planned.needed[first:end]:
        restate_entry(tx, of, planned.below, at)
    return end if end < len(planned.needed) else None


def _mark(tx: Transaction, planned: Plan, policy: Document, at: datetime) -> None:
    """From here on the bodies count as gone."""
    [pruned] = tx.db.execute("SELECT pruned FROM head").fetchone()
    if planned.below <= pruned:
        return
    if _undone(tx.db) != planned.undone:
        raise Changed(
            "choices were voided, or a list took requests back, while this was prepared; nothing is lost: run gateway"
            " prune again"
        )
    documents.log(tx, policy, at)
    tx.append(entry.pruned(event=os.urandom(16), below=planned.below, policy=policy.sha256, at=at))
    tx.db.execute("UPDATE head SET pruned = ?", (planned.below,))


def _forget_again(tx: Transaction, _: int, size: int) -> int | None:
    """What was said again in an entry whose body goes now; while that is there, so is this."""
    seqs = [of for (of,) in tx.db.execute(AGAIN, (size,)).fetchall()]
    tx.db.executemany("DELETE FROM restated WHERE of = ?", [(of,) for of in seqs])
    forget_words(tx, seqs)
    return 0 if len(seqs) == size else None


def _delete_some(tx: Transaction, first: int, size: int, below: int) -> int | None:
    """The next bodies; of those whose word goes with them fewer."""
    left, end = size, None
    for seq, is_word in tx.db.execute(BODIES, (first, below, size)).fetchall():
        left -= WORD if is_word else 1
        end = seq + 1
        if left <= 0:
            break
    if end is not None:
        delete_bodies(tx, end)
    return end


def delete_bodies(tx: Transaction, end: int) -> int:
    """The bodies of entries, and what they said unless it was said again."""
    forget_words(tx, [seq for (seq,) in tx.db.execute(GOING, (end,))])
    return tx.db.execute("DELETE FROM entry WHERE seq < ?", (end,)).rowcount


def forget_words(tx: Transaction, seqs: Sequence[int]) -> None:
    """What these entries said; what was learnt with them stays."""
    if [*rewrite_sides(tx.db, sides_of_entries(tx.db, seqs), pruned_record)]:
        tx.tell_anew(seqs)


def _forget_boxes(tx: Transaction, first: int, size: int, before: int, end: int) -> int | None:
    """The details' boxes; what opens the proof has a box of its own, which stays."""
    for table in ("void_act", "detail"):
        tx.db.execute(FORGET_BOXES.format(table), (first, first + size, before))
    return first + size if first + size < end else None


def _forget_held(tx: Transaction, first: int, size: int, before: int, last: int) -> int | None:
    """What recipients hold, by its numbers, once the digests of whoever said no are kept."""
    row = tx.db.execute(HELD_FROM, (first, last, size)).fetchone()
    end = row[0] if row else last + 1
    keep_digests(tx, before, first, end)
    recipient_holdings.prune_held(tx, before, first, end)
    return end if row else None


def _until_none(
    tx: Transaction, _: int, size: int, forget: Callable[[Transaction, int, int], int], before: int
) -> int | None:
    return 0 if forget(tx, before, size) == size else None


Share = tuple[str, bytes, int]  # recipient, row and batch


def _forget_shares(tx: Transaction, behind: Share | int, size: int, before: int) -> Share | None:
    """Who was in a share; that there was one, of what and how much, is an entry and stays."""
    first = behind if isinstance(behind, tuple) else ("", b"", 0)
    last: Share | None = tx.db.execute(SHARES_FROM, (*first, size - 1)).fetchone()
    if last is None:
        tx.db.execute(SHARES, (*first, before))
    else:
        tx.db.execute(SHARES_UP_TO, (*first, before, *last))
    return last


def _forget_answers(tx: Transaction, before: int, most: int) -> int:
    """Who was answered about; that something left on answers is an entry, too."""
    return tx.db.execute(ANSWERS, (before, most)).rowcount
