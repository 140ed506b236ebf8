"""Whether the ledger is what it says, and what checks of this host are answered from is what it folds to (`gateway
verify`).

One pass over the entries feeds the tree, the boxes, where the vault is open, and the look at the state; then what was
sent after an opt-out is looked for. Names entries, tiles and prefixes of keys, never a person. Reads only, in one
snapshot.
"""

import gc
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.ledger.audit import sent_after
from gateway.ledger.audit.boxes_check import BoxesCheck, BoxKeys
from gateway.ledger.audit.reading import Entry, LedgerReading, blocks, going_blocks
from gateway.ledger.audit.side_check import Sides, SidesCheck
from gateway.ledger.proof.note import Checkpoint
from gateway.ledger.tree import TreeCheck


@dataclass(slots=True)
class VerifyReport:
    """`different`: what is not as it should be, by entry, tile or prefix of a key. `compared`: rows and edges of the
    state of this host; None: there was no state at the position of the log, and `uncompared` says why.
    """

    entries: int = 0
    pruned: int = 0
    checkpoint: Checkpoint | None = None
    compared: int | None = None
    uncompared: str = ""
    opened: int | None = None  # boxes, where the vault was asked
    different: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.different


class StateLook(Protocol):
    """A look at the state of this host while the entries go by (`app.state_check`). `found`: what is not as it should
    be.
    """

    found: list[str]

    @property
    def compared(self) -> int: ...
    def add(self, rows: Sequence[Entry], sides: Sides) -> None: ...
    def finish(self) -> None: ...


Last = Callable[[bytes], Checkpoint | None]
Look = Callable[[], StateLook]


def examine(db: sqlite3.Connection, last: Last, vault: BoxKeys | None, look: Look | None = None) -> VerifyReport:
    """Within a transaction that is open: one snapshot. `last` gives the last checkpoint of a ledger's id; without a
    vault no box is opened.
    """
    collects, reads = gc.isenabled(), db.text_factory
    gc.disable()  # millions of small rows and no cycles: looking through them again and again took a sixth of the time
    try:
        return _examine(db, last, vault, look)
    except sqlite3.OperationalError:  # text that is none
        db.text_factory = _readable
        return _examine(db, last, vault, look)
    finally:
        db.text_factory = reads
        if collects:
            gc.enable()


def _readable(text: bytes) -> str:
    """What is no UTF-8 is as wrong as any other text, and no reason to stop looking."""
    return text.decode(errors="backslashreplace")


def _take_going(db: sqlite3.Connection, reading: LedgerReading, sides: SidesCheck, boxes: BoxesCheck | None) -> None:
    """Bodies that count as pruned and lie there still: they are as true as others, until they go."""
    for block in going_blocks(db, boxes=boxes is not None):
        told = sides.add_going(block, reading.add(block))
        if boxes:
            boxes.add(block, told)


def _examine(db: sqlite3.Connection, last: Last, vault: BoxKeys | None, look: Look | None) -> VerifyReport:
    [ledger, pruned] = db.execute("SELECT ledger, pruned FROM head").fetchone()
    report = VerifyReport(checkpoint=last(ledger), pruned=pruned)
    hashes, reading, sides = TreeCheck(db), LedgerReading(db), SidesCheck(db)
    boxes = BoxesCheck(db, vault) if vault else None
    _take_going(db, reading, sides, boxes)
    kept = look() if look else None
    hashes.start()
    for block in blocks(db, boxes=boxes is not None):
        if block[0][0] >= pruned:
            if (block[0][0], block[-1][0]) != (hashes.size, hashes.size + len(block) - 1):
                report.different.append(f"an entry between {hashes.size} and {block[-1][0]} is missing")
            hashes.add([row[1] for row in block])
        told = sides.add(block, reading.add(block))
        if boxes:
            boxes.add(block, told)
        if kept:
            kept.add(block, told)
    hashes.finish(report.checkpoint)
    reading.finish()
    sides.finish()
    report.entries = hashes.size
    report.different += hashes.found + reading.found + sides.found
    if kept:
        kept.finish()
        report.compared = kept.compared
        report.different += kept.found
    report.different += [
        f"entry {each.batch}: a row went to {each.recipient} after an opt-out of {', '.join(each.purposes)}"
        for each in sent_after.find_sent_after(db)
    ]
    if boxes:
        boxes.finish()
        report.different += boxes.found
        report.opened = boxes.opened
    return report
