"""What left, or may have left, on answers to checks and bid requests: counted a day at a time, a batch is one entry
(R22). Rows of shares, and sends that were announced, have a row each: `disclosures`.

A report "not sent" can arrive before the answer itself was counted (counting is batched), so a count can be -1 for a
moment. Readers therefore ignore counts of 0 and below.
"""

import hmac
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway.ledger import entry, recipient_holdings
from gateway.ledger.subjects import milliseconds
from gateway.ledger.writer import Transaction

DAY = 86_400_000
# sent; it may have been; it is not known whether it arrived; it was sent although the answer was no
SENT, POSSIBLE, UNKNOWN, DESPITE_NO = "sent", "possible", "unknown", "despite_no"
HANDS = (  # the last entry that told whose a key is, as of a position
    "SELECT max(coalesce((SELECT seq FROM release WHERE identifier = ?1 AND seq <= ?2), 0),"
    " coalesce((SELECT seq FROM erased WHERE identifier = ?1 AND seq <= ?2), 0),"
    " coalesce((SELECT max(seq) FROM link_event WHERE identifier = ?1 AND seq <= ?2 AND NOT claimed), 0))"
)
FORGOTTEN = (  # when somebody was erased last; the entry that says so is the last before they began anew
    "SELECT e.at FROM erased r JOIN erasure e ON e.seq < r.seq WHERE r.identifier = ? ORDER BY e.seq DESC LIMIT 1"
)
COUNTED = (
    "INSERT INTO disclosed VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " first = min(first, excluded.first), last = max(last, excluded.last), count = count + excluded.count"
)
SHOWN = (
    "SELECT recipient, purpose, classes, outcome, first, last, count, batch FROM disclosed"
    " WHERE key = ? AND batch >= ? AND count > 0"
)


@dataclass(frozen=True, slots=True)
class Counted:
    """One more, or one less, of a person at a recipient. `at`: Unix milliseconds."""

    key: bytes = field(repr=False)
    recipient: str
    purposes: tuple[str, ...]
    classes: tuple[str, ...]
    outcome: str
    at: int
    count: int = 1

    @property
    def cell(self) -> tuple[bytes, str, str, str, int, str]:
        return (self.key, self.recipient, ",".join(self.purposes), ",".join(self.classes), self.at // DAY, self.outcome)


def count_disclosures(
    tx: Transaction,
    counted: Sequence[Counted],
    at: datetime,
    *,
    position: int | None = None,
    of_nobody: Sequence[Counted] = (),
) -> int | None:
    """One entry for all of them, where anything is more, and their counts. Returns the entry's seq. What was answered
    about somebody before they were erased is not written down after that (R19). `position`: of what is written late,
    where in the log it belongs: what came behind it tells of others. `of_nobody`: is in the entry and on nobody's
    record.
    """
    counted = list(_but_of_erased(tx, counted))
    more = [each for each in (*counted, *of_nobody) if each.count > 0]
    seq = _append(tx, more, at) if more else None
    batch, since = tx.size if seq is None else seq, dict[bytes, int]()
    batch = batch if position is None else min(batch, position)
    for each in counted:
        if each.key not in since:
            since[each.key] = tx.db.execute(HANDS, (each.key, batch)).fetchone()[0]
        row = (*each.cell, since[each.key], each.at, each.at, each.count, batch)
        tx.db.execute(COUNTED, row)
    return seq


def _but_of_erased(tx: Transaction, counted: Sequence[Counted]) -> Iterator[Counted]:
    forgotten = dict[bytes, int]()
    for each in counted:
        if each.key not in forgotten:
            row = tx.db.execute(FORGOTTEN, (each.key,)).fetchone()
            forgotten[each.key] = row[0] if row else 0
        if each.at >= forgotten[each.key]:
            yield each


def _append(tx: Transaction, more: Sequence[Counted], at: datetime) -> int:
    """The entry: who got what kinds of data for what, how much, and the keyed hash of what was counted."""
    secret = os.urandom(32)
    cells: Counter[tuple[object, ...]] = Counter()
    for each in more:
        cells[each.cell[1:]] += each.count  # no keys: a new pepper rewrites those
    listed = [[*cell, number] for cell, number in sorted(cells.items())]
    seq = tx.append(
        entry.disclosed(
            event=os.urandom(16),
            recipients=sorted({each.recipient for each in more}),
            purposes=sorted({word for each in more for word in each.purposes}),
            classes=sorted({word for each in more for word in each.classes}),
            count=sum(each.count for each in more),
            hashed=hmac.digest(secret, json.dumps(listed, separators=(",", ":")).encode(), "sha256"),
            at=at,
        )
    )
    tx.db.execute("INSERT INTO disclosure_batch VALUES (?, ?)", (seq, secret))
    return seq


def outcome_said(tx: Transaction, decision: bytes) -> str | None:
    """What was said of a decision before."""
    row = tx.db.execute("SELECT outcome FROM reported WHERE decision = ?", (decision,)).fetchone()
    return row[0] if row else None


def say_outcome(tx: Transaction, decision: bytes, outcome: str, at: datetime) -> None:
    row = (decision, outcome, milliseconds(at))
    tx.db.execute("INSERT INTO reported VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET outcome = excluded.outcome", row)


def mark_outcome(tx: Transaction, recipient: str, row: bytes, outcome: str) -> None:
    """A send that was announced; what is known to have been sent stays so. Each has a batch of its own."""
    sql = "SELECT key, batch FROM disclosure WHERE recipient = ? AND row = ? AND outcome <> 'sent'"
    for key, batch in tx.db.execute(sql, (recipient, row)).fetchall() if outcome == "not_sent" else ():
        recipient_holdings.take_back(tx, key, batch)
    tx.db.execute(
        "UPDATE disclosure SET outcome = ? WHERE recipient = ? AND row = ? AND outcome <> 'sent'",
        (outcome, recipient, row),
    )


def forget_outcomes(tx: Transaction, before: int) -> None:
    tx.db.execute("DELETE FROM reported WHERE at < ?", (before,))


def counted_of(
    db: sqlite3.Connection, key: bytes, since: int
) -> Iterator[tuple[str, str, str, str, int, int, int, int]]:
    """recipient, purposes, classes, outcome, first, last, count, entry."""
    yield from db.execute(SHOWN, (key, since))
