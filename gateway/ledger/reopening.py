"""An opening once more, for the desk: the value comes from whoever proved that it is theirs, rs from its sealed box.

Only of entries that the identifier's present holder may see: not of what was said on a number before it was given back
(R5). Reads only.
"""

import contextlib
import sqlite3
from pathlib import Path

from gateway.ledger import history, openings, schema
from gateway.ledger.errors import LedgerRefused, StoreUnavailable
from gateway.ledger.history import PersonOf
from gateway.ledger.receipt import Opening
from gateway.ledger.subjects import Subject

BOX = "SELECT seq, person, opening FROM detail WHERE event = ? AND key = ?"


def opening_of(folder: Path, event: bytes, subject: Subject, keys_of: PersonOf) -> Opening | None:
    """None where the entry is not about the subject, not theirs to see, or forgotten. Raises `StoreUnavailable`."""
    try:
        with contextlib.closing(schema.open_to_read(folder)) as db:
            row = db.execute(BOX, (event, subject.key)).fetchone()
            if row is None or row[0] not in history.shown_to_holder(db, subject.key):
                return None
    except (sqlite3.Error, LedgerRefused) as error:
        raise StoreUnavailable(f"the ledger cannot be read: {type(error).__name__}") from error
    rs = openings.open_(keys_of(row[1]), event, None, row[2]).rs
    return Opening(subject.kind, subject.value, rs) if rs else None
