"""A day's evidence, read back: each entry that tells of it, with its receipt, so that an officer can check it."""

import contextlib
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.ledger import schema
from gateway.ledger.log_reader import LogReader
from gateway.ledger.records import milliseconds

# Those that tell of the day, and the one before: what it names was in force when the day began.
TELLING = """
SELECT v.seq, v.event, e.body, d.body FROM evidence v JOIN entry e USING (seq) LEFT JOIN document d ON d.seq = v.seq
WHERE (v.until >= :start AND v.start < :end)
OR v.seq = (SELECT max(seq) FROM evidence WHERE until < :start AND kind != 'rehearsal') ORDER BY v.seq
"""


@dataclass(frozen=True, slots=True)
class Told:
    """One entry: its leaf with what it counted, and its receipt (a tlog-proof); None while the log cannot be read."""

    seq: int
    content: dict[str, Any]
    receipt: str | None

    def of(self, day: date) -> bool:
        """Whether it tells of the day itself."""
        return bool(self.content["from"][:10] <= day.isoformat() <= self.content["until"][:10])


def told(folder: Path, log: LogReader, day: date) -> list[Told]:
    """Oldest first. Raises `LedgerRefused`, `StoreUnavailable`."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    span = {"start": milliseconds(start), "end": milliseconds(start + timedelta(days=1))}
    with contextlib.closing(schema.open_to_read(folder)) as db:
        rows = db.execute(TELLING, span).fetchall()
    receipts = log.receipts([event for _, event, _, _ in rows])
    return [
        Told(seq, {**json.loads(body), **json.loads(more or b"{}")}, receipt.text() if receipt else None)
        for (seq, _, body, more), receipt in zip(rows, receipts, strict=True)
    ]
