"""Today's ledger as records of the log: its leaves byte for byte, what its tables say beside them as sides, its sealed
boxes, the ids of the persons' keys. Whoever moves an installation onto the log appends them to an empty one; the tree,
and so every receipt and opening of before, is the same.
"""

import sqlite3
from collections.abc import Iterator
from itertools import groupby

from gateway.fold.record import Record
from gateway.ledger.engine.choice_record import join_boxes
from gateway.ledger.engine.log import LogRecord
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.log_records import records_of
from gateway.ledger.side import pack_side

ENTRIES = (
    "SELECT e.seq, e.body, d.at, d.sealed, d.opening, d.person FROM entry e LEFT JOIN detail d ON d.seq = e.seq"
    " ORDER BY e.seq"
)


def ledger_records(db: sqlite3.Connection) -> Iterator[LogRecord]:
    """In their order, of one moment of a connection. Raises `LedgerRefused` where not every entry is kept."""
    size, peppers = db.execute("SELECT size, peppers FROM head").fetchone()
    told = sorted(records_of(db), key=lambda each: each.seq)
    said = {seq: list(records) for seq, records in groupby(told, key=lambda each: min(each.seq, size - 1))}
    at = 0
    for number, (seq, body, entered, sealed, opening, person) in enumerate(db.execute(ENTRIES)):
        if seq != number:
            raise LedgerRefused(f"entry {number} was pruned: such a ledger cannot be moved yet")
        at = entered if entered is not None else at
        yield LogRecord(body, _side(said.pop(seq, []), at, peppers), join_boxes(sealed, opening), person or b"")


def _side(records: list[Record], at: int, peppers: int) -> bytes:
    return pack_side(records, records[-1].at if records else at, peppers)
