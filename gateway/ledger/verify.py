"""Whether the ledger is what it says: the tree, and every standing made again from the entries (`gateway verify`).

One pass over the entries feeds the tree, the fold (simple people's standings, computed without a replay), and the boxes
where the vault is open. People who are linked with others are replayed, some thousand keys at a time; so is whatever
the fold finds different before it is told, and whoever may have had a row sent after an opt-out. Names entries, tiles
and prefixes of keys, never a person. Reads only, in one snapshot.
"""

import gc
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.ledger import rows_check, sent_after, verify_connections
from gateway.ledger.boxes_check import BoxesCheck, BoxKeys
from gateway.ledger.fold import Fold
from gateway.ledger.note import Checkpoint
from gateway.ledger.reading import LedgerReading, blocks
from gateway.ledger.tree_check import TreeCheck


@dataclass(slots=True)
class VerifyReport:
    """`different`: what is not as it should be, by entry, tile or prefix of a key. `short`: keys whose standings were
    made by the fold; `lived`: by a replay.
    """

    entries: int = 0
    pruned: int = 0
    checkpoint: Checkpoint | None = None
    short: int = 0
    lived: int = 0
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
    people = verify_connections.read(db)
    reading = LedgerReading(db, people, Fold(people.families))
    hashes.start()
    for rows in blocks(db, boxes=boxes is not None):
        if rows[0][0] >= pruned:
            if (rows[0][0], rows[-1][0]) != (hashes.size, hashes.size + len(rows) - 1):
                report.different.append(f"an entry between {hashes.size} and {rows[-1][0]} is missing")
            hashes.add([row[1] for row in rows])
        reading.add(rows)
        if boxes:
            boxes.add(rows)
    hashes.finish(report.checkpoint)
    reading.finish()
    if boxes:
        boxes.finish()
    report.different += hashes.found + reading.found
    report.entries = hashes.size
    report.short = len(reading.fold.heard())
    different, report.lived = rows_check.differences(db, reading)
    report.different += [f"{table} of key {key.hex()[:8]}… is not what the entries give" for table, key in different]
    report.different += [
        f"entry {each.batch}: a row went to {each.recipient} after an opt-out of {', '.join(each.purposes)}"
        for each in sent_after.find(db)
    ]
    if boxes:
        report.different += boxes.found
        report.opened = boxes.opened
    return report
