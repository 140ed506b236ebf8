"""Appeals against the answer to a request: that there was one, and what came of it (L83). Each word is an entry about
nobody that names the request's event.
"""

import os
import sqlite3
from datetime import datetime

from gateway.ledger import entry
from gateway.ledger.subjects import milliseconds
from gateway.ledger.writer import Transaction

MADE, GRANTED, REFUSED = "made", "granted", "refused"
OUTCOMES = (MADE, GRANTED, REFUSED)


def note(tx: Transaction, event: bytes, outcome: str, at: datetime) -> int | None:
    """One entry. None where no request has this event. Raises ValueError for a word that is none."""
    if outcome not in OUTCOMES:
        raise ValueError(f"an appeal is {', '.join(OUTCOMES)}")
    if tx.db.execute("SELECT 1 FROM detail WHERE event = ?", (event,)).fetchone() is None:
        return None
    seq = tx.append(entry.appeal(event=os.urandom(16), of=event, outcome=outcome, at=at))
    tx.db.execute("INSERT INTO appeal VALUES (?, ?, ?, ?)", (seq, event, milliseconds(at), outcome))
    return seq


def last(db: sqlite3.Connection, event: bytes) -> tuple[int, str] | None:
    """(Unix milliseconds, outcome) of the last word on an appeal; None where there was none."""
    found: tuple[int, str] | None = db.execute(
        "SELECT at, outcome FROM appeal WHERE event = ? ORDER BY seq DESC LIMIT 1", (event,)
    ).fetchone()
    return found
