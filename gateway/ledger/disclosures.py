"""Disclosures: a row each, written as intended before the bytes leave and marked after; a chunk is one entry
(design decision 12).
"""

import hmac
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from gateway.ledger import entry, held
from gateway.ledger.held import Left
from gateway.ledger.records import milliseconds
from gateway.ledger.writer import Transaction
from gateway.terms import Purpose

CHUNK = 250  # rows of one entry, 1,000 at most (decision 12); the second check holds the loop for so many at once
DAYS = 35  # a row id that left is a duplicate for so long
DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Intended:
    """One row that is about to leave. `left`: the identifiers in it, as the recipient gets them."""

    row_id: str = field(repr=False)
    key: bytes = field(repr=False)
    classes: tuple[str, ...]
    left: tuple[Left, ...] = field(default=(), repr=False)

    @property
    def row(self) -> bytes:
        """A caller's row id is stored as its hash: it may hold anything."""
        return sha256(self.row_id.encode()).digest()[:16]


def already_left(
    tx: Transaction, recipient: str, rows: Sequence[Intended], now: int, since: int | None = None
) -> set[str]:
    """The row ids that are known to have left within `DAYS`. A row that is only intended may be sent again, unless an
    entry from `since` on intends it: it stands in the same file.
    """
    left: set[str] = set()
    for row in rows:
        found = tx.db.execute(
            "SELECT 1 FROM disclosure WHERE recipient = ?1 AND row = ?2"
            " AND (outcome = 'sent' AND at > ?3 OR outcome = 'intended' AND batch >= ?4)",
            (recipient, row.row, now - DAYS * DAY, since),
        ).fetchone()
        if found:
            left.add(row.row_id)
    return left


def intend(
    tx: Transaction, recipient: str, purposes: Sequence[Purpose], rows: Sequence[Intended], at: datetime, *,
    position: int | None = None,
) -> int:  # fmt: skip
    """One entry and its rows, as intended. Returns the entry's seq. At most `CHUNK` rows. `position`: of what a replica
    answered at that time, how many entries it knew of.
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
        "INSERT INTO disclosure VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'intended')",
        [(recipient, row.row, row.key, purpose, ",".join(row.classes), now, position, seq) for row in rows],
    )
    for row in rows:
        held.note(tx, recipient, row.left, purposes, row.classes, seq, now)
    return seq


def mark(tx: Transaction, recipient: str, batch: int, rows: Iterable[Intended], outcome: str) -> list[Intended]:
    """`sent` or `unknown`, once the recipient answered or did not; `not_sent` for what the second check took out.
    Returns those of which nothing is on record any more: their people were erased meanwhile.
    """
    rows = list(rows)
    for row in rows if outcome == "not_sent" else ():
        held.not_sent(tx, recipient, row.left, batch)
    marked = tx.db.executemany(
        "UPDATE disclosure SET outcome = ? WHERE recipient = ? AND row = ? AND batch = ?",
        [(outcome, recipient, row.row, batch) for row in rows],
    )
    return [] if marked.rowcount == len(rows) else [row for row in rows if not _is_there(tx, recipient, batch, row)]


def _is_there(tx: Transaction, recipient: str, batch: int, row: Intended) -> bool:
    sql = "SELECT 1 FROM disclosure WHERE recipient = ? AND row = ? AND batch = ?"
    return tx.db.execute(sql, (recipient, row.row, batch)).fetchone() is not None


def settle(tx: Transaction, recipient: str, rows: Iterable[tuple[bytes, int]], outcome: str) -> None:
    """What became of rows of files, each by its hash and its entry's number."""
    tx.db.executemany(
        "UPDATE disclosure SET outcome = ? WHERE recipient = ? AND row = ? AND batch = ?",
        [(outcome, recipient, row, batch) for row, batch in rows],
    )
