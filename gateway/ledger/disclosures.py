"""Disclosures: a row each, written as intended before the bytes leave and marked after; a chunk is one entry.

A row that was handed back to its caller may have been sent until the caller says what became of it: posted again before
that it is decided anew.
"""

import hmac
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from gateway.ledger import entry, grants, recipient_holdings
from gateway.ledger.counted_disclosures import POSSIBLE, SENT
from gateway.ledger.recipient_holdings import Left
from gateway.ledger.subjects import milliseconds
from gateway.ledger.writer import Transaction
from gateway.terms import Purpose

CHUNK = 250  # rows of one entry, 1,000 at most; the second check holds the loop for so many at once
DAYS = 35  # a row id that left is a duplicate for so long
DAY = 86_400_000
HASH, POSTED_AGAIN = 16, b"\x01"  # bytes of a hash; what stands behind a job's where a row of it was posted again
AT_ONCE = 1_000  # rows that one transaction acknowledges
INTENDED, NOT_SENT = "intended", "not_sent"
BEFORE = (  # in the database: a row that was posted again and again has many
    "SELECT max(outcome = 'sent' OR outcome = 'intended' AND batch >= ?),"
    " max(job IS NOT NULL AND outcome IN ('intended', 'possible')), max(handle) FROM disclosure"
    " WHERE recipient = ? AND row = ? AND at > ?"
)
Place = tuple[str, bytes, int]  # of a row: recipient, row, batch
FIRST: Place = ("", b"", -1)
OPEN = "d.outcome IN ('intended', 'possible')"
MAY_HAVE = f"d.recipient = ? AND d.row = ? AND length(d.job) = ? AND {OPEN}"
# Of a row that was handed back several times the last one is the one that its caller has.
LAST = (
    "NOT EXISTS (SELECT 1 FROM disclosure l WHERE l.recipient = d.recipient AND l.row = d.row AND l.batch > d.batch"
    " AND l.outcome <> 'not_sent')"
)


@dataclass(frozen=True, slots=True)
class Intended:
    """One row that is about to leave. `left`: the identifiers in it, as the recipient gets them; `handle`: what it has
    the row under, instead of the caller's id.
    """

    row_id: str = field(repr=False)
    key: bytes = field(repr=False)
    classes: tuple[str, ...]
    left: tuple[Left, ...] = field(default=(), repr=False)
    handle: bytes | None = None

    @property
    def row(self) -> bytes:
        """A caller's row id is stored as its hash: it may hold anything."""
        return hash_of(self.row_id)


def hash_of(named: str) -> bytes:
    """Of a row's id, and of a job's name."""
    return sha256(named.encode()).digest()[:HASH]


class Before(NamedTuple):
    """What is on record of row ids that were posted within `DAYS`: those that left, those that may have been sent by
    their caller, and what the recipient has each under.
    """

    left: set[str]
    handed_back: set[str]
    handles: dict[str, bytes]


def posted_before(
    tx: Transaction, recipient: str, row_ids: Iterable[str], now: int, since: int | None = None
) -> Before:
    """A row that is only intended may be sent again, unless an entry from `since` on intends it: it stands in the same
    file.
    """
    found = Before(set(), set(), {})
    for row_id in row_ids:
        values = (since, recipient, hash_of(row_id), now - DAYS * DAY)
        left, handed_back, handle = tx.db.execute(BEFORE, values).fetchone()
        if left:
            found.left.add(row_id)
        elif handed_back:
            found.handed_back.add(row_id)
        if handle is not None:
            found.handles[row_id] = handle
    return found


def let_be(tx: Transaction, recipient: str, row_ids: Iterable[str]) -> None:
    """Rows that were handed back and are posted again: whether they go now or not, a word about the whole job is about
    what comes of that, and what was handed back before stays as what may have been sent.
    """
    sql = f"SELECT batch, job FROM disclosure d WHERE {MAY_HAVE}"  # noqa: S608 - ours
    for row in map(hash_of, row_ids):
        found = tx.db.execute(sql, (recipient, row, HASH)).fetchall()
        tx.db.executemany(
            "UPDATE disclosure SET job = ? WHERE recipient = ? AND row = ? AND batch = ?",
            [(job + POSTED_AGAIN, recipient, row, batch) for batch, job in found],
        )


def intend(
    tx: Transaction,
    recipient: str,
    purposes: Sequence[Purpose],
    rows: Sequence[Intended],
    at: datetime,
    *,
    position: int | None = None,
    job: bytes | None = None,
) -> int:
    """One entry and its rows, as intended. Returns the entry's seq. At most `CHUNK` rows. `position`: of what a replica
    answered at that time, how many entries it knew of. `job`: of rows that are handed back, its hash, or nothing in it.
    """
    assert 0 < len(rows) <= CHUNK
    now, secret = milliseconds(at), os.urandom(32)
    position = tx.size if position is None else min(position, tx.size)
    listed = [[row.row.hex(), *row.classes] for row in rows]  # no keys: a new pepper rewrites those
    hashed = hmac.digest(secret, json.dumps(listed, separators=(",", ":")).encode(), "sha256")
    classes = sorted({name for row in rows for name in row.classes})
    seq = tx.append(
        entry.disclosure(
            event=os.urandom(16),
            recipient=recipient,
            purposes=purposes,
            classes=classes,
            rows=len(rows),
            hashed=hashed,
            at=at,
        )
    )
    tx.db.execute("INSERT INTO disclosure_batch VALUES (?, ?)", (seq, secret))
    purpose = ",".join(purposes)
    tx.db.executemany(
        "INSERT INTO disclosure VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'intended', ?, ?)",
        [
            (recipient, row.row, row.key, purpose, ",".join(row.classes), now, position, seq, row.handle, job)
            for row in rows
        ],
    )
    for row in rows:
        recipient_holdings.note(tx, recipient, row.left, purposes, row.classes, seq, now)
    return seq


def mark(tx: Transaction, recipient: str, batch: int, rows: Iterable[Intended], outcome: str) -> list[Intended]:
    """`sent` or `unknown`, once the recipient answered or did not; `possible` for what was handed back, unless its
    caller was quicker to say more; `not_sent` for what the second check took out. Returns those of which nothing is on
    record any more: their people were erased meanwhile.
    """
    rows = list(rows)
    unsaid = " AND outcome = 'intended'" if outcome == POSSIBLE else ""
    marked = tx.db.executemany(
        f"UPDATE disclosure SET outcome = ? WHERE recipient = ? AND row = ? AND batch = ?{unsaid}",  # noqa: S608 - ours
        [(outcome, recipient, row.row, batch) for row in rows],
    )
    gone = [] if marked.rowcount == len(rows) else [row for row in rows if not _is_there(tx, recipient, batch, row)]
    for row in rows if outcome == NOT_SENT else ():
        recipient_holdings.not_sent(tx, recipient, row.left, batch)
    return gone


def _is_there(tx: Transaction, recipient: str, batch: int, row: Intended) -> bool:
    sql = "SELECT 1 FROM disclosure WHERE recipient = ? AND row = ? AND batch = ?"
    return tx.db.execute(sql, (recipient, row.row, batch)).fetchone() is not None


def settle(tx: Transaction, recipient: str, rows: Iterable[tuple[bytes, int]], outcome: str) -> None:
    """What became of rows of files, each by its hash and its entry's number."""
    tx.db.executemany(
        "UPDATE disclosure SET outcome = ? WHERE recipient = ? AND row = ? AND batch = ?",
        [(outcome, recipient, row, batch) for row, batch in rows],
    )


class Acknowledged(NamedTuple):
    """What a caller says of rows that were handed back: of a job all of them, as they were handed back last, or one row
    by its id. `recipient` empty: whoever the job was for.
    """

    outcome: str
    job: str = ""
    row_id: str = ""
    recipient: str = ""


class DisclosureStep(NamedTuple):
    """`moved`: of how many rows something is known now that was not; `known`: such rows were handed back at some time;
    `last`: there may be more behind this one.
    """

    moved: int
    known: bool
    last: Place | None


def acknowledge(
    tx: Transaction, said: Sequence[Acknowledged], at: datetime, after: Place = FIRST
) -> list[DisclosureStep]:
    """The next rows of each, `AT_ONCE` at most, of which nothing was said yet are what their caller says. A row that
    was sent went once, however often it was handed back: what nobody said of the times before stays as what may have
    been.
    """
    return [_acknowledge(tx, each, milliseconds(at), after) for each in said]


def _acknowledge(tx: Transaction, said: Acknowledged, now: int, after: Place) -> DisclosureStep:
    named, values = _named(said)
    last = f" AND {LAST}" if said.outcome == SENT else ""
    found = tx.db.execute(
        f"SELECT recipient, row, batch, key FROM disclosure d WHERE {named} AND {OPEN}{last}"  # noqa: S608 - ours
        f" AND (recipient, row, batch) > (?, ?, ?) ORDER BY recipient, row, batch LIMIT {AT_ONCE}",
        [*values, *after],
    ).fetchall()
    for recipient, row, batch, key in found:
        which = (said.outcome, recipient, row, batch)
        tx.db.execute("UPDATE disclosure SET outcome = ? WHERE recipient = ? AND row = ? AND batch = ?", which)
        if said.outcome == SENT:
            grants.use_claimed(tx, recipient, row, now)
        elif said.outcome == NOT_SENT:
            recipient_holdings.take_back_of(tx, recipient, key, batch)
            grants.let_go_of(tx, recipient, row)
    sql = f"SELECT 1 FROM disclosure d WHERE {named} LIMIT 1"  # noqa: S608 - ours
    known = bool(found) or tx.db.execute(sql, values).fetchone() is not None
    return DisclosureStep(len(found), known, found[-1][:3] if len(found) == AT_ONCE else None)


def _named(said: Acknowledged) -> tuple[str, list[object]]:
    """Which rows are spoken of; never one that was not handed back: what became of others is ours to say."""
    words, values = ["d.job IS NOT NULL"], list[object]()
    if said.job:
        job = hash_of(said.job)
        words, values = ["d.job <> x'' AND d.job IN (?, ?)"], [job, job + POSTED_AGAIN if said.row_id else job]
    if said.recipient:
        words, values = [*words, "d.recipient = ?"], [*values, said.recipient]
    if said.row_id:
        words, values = [*words, "d.row = ?"], [*values, hash_of(said.row_id)]
    return " AND ".join(words), values
