"""Pruning: what is older than the retention policy goes, and no opt-out with it (R19, L82). `app.composition` calls it.

Details go after their months, the proof that somebody chose stays openable. Bodies go in whole tiles after theirs, once
everything that a standing rests on was restated in newer entries; their hashes stay, so every old receipt still
verifies. A prune is an entry itself. Each step is a transaction that may be the last one: the next run goes on from it.

What must be said again is measured by what the fold keeps (`gateway.desk.forgetting.resting`).
"""

import calendar
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from gateway.desk import documents, outbox, recipient_holdings
from gateway.desk.documents import Document
from gateway.desk.forgetting.resting import entries_to_restate
from gateway.desk.suppression import keep_digests
from gateway.ledger.log_records import pruned_record, rewrite_sides, sides_of_entries
from gateway.ledger.proof import entry
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


BODIES = "SELECT seq FROM entry WHERE seq < ? ORDER BY seq"
GOING = "SELECT seq FROM entry WHERE seq < ? AND seq NOT IN (SELECT of FROM restated)"
FORGET_BOXES = "UPDATE {} SET sealed = NULL WHERE seq >= ? AND seq < ? AND at < ? AND sealed IS NOT NULL"
POLICY = "retention"  # the kind of the logged document
# What one transaction has, for which an opt-out may wait. Whose word goes is folded again behind it, a millisecond of
# somebody with a dozen names: so words are counted, and not the bodies that are said again, which only go.
STEP = 200
WORDS = 40
BOXES = 20_000


class Changed(Exception):
    """Something was voided while the prune was prepared. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`below`: bodies of entries before it go. `needed`: those among them that are restated. `ends`: where each step
    ends by which they go. `forget_before`: details of choices that were accepted before it go, Unix milliseconds.
    `voids`: how many choices were voided then. `held`: the last number of what recipients hold. `size`: of the log.
    """

    below: int
    needed: tuple[int, ...]
    ends: tuple[int, ...]
    forget_before: int
    bodies: int
    details: int
    voids: int
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
    ends = _ends((seq for (seq,) in db.execute(BODIES, (below,))), {*needed})
    [last_held] = db.execute("SELECT coalesce(max(id), 0) FROM held").fetchone()
    return Plan(below, tuple(needed), tuple(ends), forget, bodies, details, _voids(db), last_held, size)


def _ends(bodies: Iterable[int], needed: Collection[int]) -> Iterator[int]:
    """Where each step ends by which bodies go."""
    many = words = end = 0
    for seq in bodies:
        many, words, end = many + 1, words + (seq not in needed), seq + 1
        if many == STEP or words == WORDS:
            yield end
            many = words = 0
    if many:
        yield end


def months_before(at: datetime, months: int) -> datetime:
    """The same day of an earlier month, or that month's last day."""
    year, month = divmod(at.year * 12 + at.month - 1 - months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return at.replace(year=year, month=month + 1, day=min(at.day, last))


def _voids(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM voided_choice").fetchone()[0])


def jobs(planned: Plan, policy: Document, at: datetime) -> Iterator[Job[int]]:
    """The steps in their order, each a job of the writer. Each returns how many rows it changed."""
    for start in range(0, len(planned.needed), STEP):
        yield partial(_restate, part=planned.needed[start : start + STEP], below=planned.below, at=at)
    yield partial(_mark, planned=planned, policy=policy, at=at)
    for end in planned.ends:
        yield partial(delete_bodies, end=end)
    for start in range(0, planned.held + 1, STEP):
        yield partial(keep_digests, before=planned.forget_before, first=start, end=start + STEP)
    for start in range(0, planned.size, BOXES):
        yield partial(_forget, before=planned.forget_before, first=start, end=start + BOXES)
    yield partial(_forget_disclosures, before=planned.forget_before)


def _restate(tx: Transaction, part: Sequence[int], below: int, at: datetime) -> int:
    return sum(restate_entry(tx, of, below, at) for of in part)


def _mark(tx: Transaction, planned: Plan, policy: Document, at: datetime) -> int:
    """From here on the bodies count as gone."""
    [pruned] = tx.db.execute("SELECT pruned FROM head").fetchone()
    if planned.below <= pruned:
        return 0
    if _voids(tx.db) != planned.voids:
        raise Changed("choices were voided while this was prepared; nothing is lost: run gateway prune again")
    documents.log(tx, policy, at)
    tx.append(entry.pruned(event=os.urandom(16), below=planned.below, policy=policy.sha256, at=at))
    tx.db.execute("UPDATE head SET pruned = ?", (planned.below,))
    again = tx.db.execute("DELETE FROM restated WHERE seq < ? RETURNING of", (planned.below,)).fetchall()
    forget_words(tx, [of for (of,) in again])  # nothing rests on those any more
    return 1


def delete_bodies(tx: Transaction, end: int) -> int:
    """The bodies of entries, and what they said unless it was said again."""
    forget_words(tx, [seq for (seq,) in tx.db.execute(GOING, (end,))])
    return tx.db.execute("DELETE FROM entry WHERE seq < ?", (end,)).rowcount


def forget_words(tx: Transaction, seqs: Sequence[int]) -> None:
    """What these entries said; what was learnt with them stays."""
    if [*rewrite_sides(tx.db, sides_of_entries(tx.db, seqs), pruned_record)]:
        tx.tell_anew(seqs)


def _forget_disclosures(tx: Transaction, before: int) -> int:
    """Who was in a share; that there was one, of what and how much, is an entry and stays."""
    recipient_holdings.prune_held(tx, before)
    outbox.prune_deletion_tokens(tx, before)
    counted = tx.db.execute("DELETE FROM disclosed WHERE last < ?", (before,)).rowcount
    return counted + tx.db.execute("DELETE FROM disclosure WHERE at < ?", (before,)).rowcount


def _forget(tx: Transaction, before: int, first: int, end: int) -> int:
    """The details' boxes; what opens the proof has a box of its own, which stays."""
    tx.db.execute(FORGET_BOXES.format("void_act"), (first, end, before))
    return tx.db.execute(FORGET_BOXES.format("detail"), (first, end, before)).rowcount
