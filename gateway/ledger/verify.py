"""Whether the ledger is what it says: the tree, and every standing made again from the entries (`gateway verify`).

One pass over the entries feeds the tree and the boxes, where the vault is open, and tells who said what; then all rows
are looked at, and what was sent after an opt-out. Names entries, tiles and prefixes of keys, never a person. Reads
only, in one snapshot.
"""

import gc
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.ledger import sent_after
from gateway.ledger.boxes_check import BoxesCheck, BoxKeys
from gateway.ledger.note import Checkpoint
from gateway.ledger.reading import LedgerReading, blocks
from gateway.ledger.rows_check import RowsCheck
from gateway.ledger.tree import TreeCheck


@dataclass(slots=True)
class VerifyReport:
    """`different`: what is not as it should be, by entry, tile or prefix of a key. `looked_at`: keys whose rows were;
    `replayed`: those whose rows were made again, each for all that are alike.
    """

    entries: int = 0
    pruned: int = 0
    checkpoint: Checkpoint | None = None
    looked_at: int = 0
    replayed: int = 0
    opened: int | None = None  # boxes, where the vault was asked
    different: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.different


def verify(db: sqlite3.Connection, last: Callable[[bytes], Checkpoint | None], vault: BoxKeys | None) -> VerifyReport:
    """`last` gives the last checkpoint of a ledger's id; without a vault no box is opened."""
    db.execute("BEGIN")  # one snapshot
    collects = gc.isenabled()
    gc.disable()  # millions of small rows and no cycles: looking through them again and again took a sixth of the time
    try:
        return examine(db, last, vault)
    finally:
        db.execute("ROLLBACK")
        if collects:
            gc.enable()


def examine(db: sqlite3.Connection, last: Callable[[bytes], Checkpoint | None], vault: BoxKeys | None) -> VerifyReport:
    """The same within a transaction that is open."""
    try:
        return _examine(db, last, vault)
    except sqlite3.OperationalError:  # text that is none
        reads, db.text_factory = db.text_factory, _readable
        try:
            return _examine(db, last, vault)
        finally:
            db.text_factory = reads


def _readable(text: bytes) -> str:
    """What is no UTF-8 is as wrong as any other text, and no reason to stop looking."""
    return text.decode(errors="backslashreplace")


def _examine(db: sqlite3.Connection, last: Callable[[bytes], Checkpoint | None], vault: BoxKeys | None) -> VerifyReport:
    [ledger, pruned] = db.execute("SELECT ledger, pruned FROM head").fetchone()
    report = VerifyReport(checkpoint=last(ledger), pruned=pruned)
    hashes, boxes = TreeCheck(db), BoxesCheck(db, vault) if vault else None
    reading = LedgerReading(db)
    hashes.start()
    for block in blocks(db, boxes=boxes is not None):
        if block[0][0] >= pruned:
            if (block[0][0], block[-1][0]) != (hashes.size, hashes.size + len(block) - 1):
                report.different.append(f"an entry between {hashes.size} and {block[-1][0]} is missing")
            hashes.add([row[1] for row in block])
        reading.add(block)
        if boxes:
            boxes.add(block)
    hashes.finish(report.checkpoint)
    reading.finish()
    if boxes:
        boxes.finish()
    report.different += hashes.found + reading.found
    report.entries = hashes.size
    rows = RowsCheck(db, reading)
    rows.run()
    report.looked_at, report.replayed = rows.looked_at, rows.replayed
    report.different += [
        f"{table} of key {key.hex()[:8]}… is not what the entries give" for table, key in sorted(rows.found)
    ]
    report.different += [
        f"entry {each.batch}: a row went to {each.recipient} after an opt-out of {', '.join(each.purposes)}"
        for each in sent_after.find(db)
    ]
    if boxes:
        report.different += boxes.found
        report.opened = boxes.opened
    return report
