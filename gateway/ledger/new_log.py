"""Going on from an older copy, as a new log.

A log must never sign two trees of which one does not grow out of the other; an older copy that grows on would be one.
So it gets another name, `.2`, `.3` behind the first (C2SP names have no plus and no spaces), and its next entry says
which log it comes from and what that had signed last. The old log's checkpoint stays in the store as evidence, and
receipts of it still verify with its own name's key. What is missing between the copy and the old log's end stays
missing.
"""

import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.disk import write_durably
from gateway.ledger import checkpoint, entry
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.checkpoint_store import CheckpointStore
from gateway.ledger.merkle import Frontier
from gateway.ledger.tree import Tree

ENDED = ".ended"  # of the file with the last checkpoint of a log that is over
NUMBERED = re.compile(r"(.+)\.([0-9]+)")


@dataclass(frozen=True, slots=True)
class NewLogBegun:
    """`last`: what the old log had signed last, None where its store is lost. `size`: how far the copy went."""

    origin: str
    last: Checkpoint | None
    size: int


def begin(db: sqlite3.Connection, store: Path, at: datetime) -> NewLogBegun:
    """Makes the open ledger a new log; under the writers' lock, with nobody else there. Cut off, it is run again."""
    size, ledger, packed, origin = db.execute("SELECT size, ledger, frontier, origin FROM head").fetchone()
    kept = CheckpointStore(store, ledger)
    last, now = kept.last(), Checkpoint(origin, size, Frontier(size, packed).root())
    if last and origin != last.origin and _says(db, size, last):
        begun = NewLogBegun(origin, last, size - 1)  # cut off between the entry and the store
    else:
        known = [origin, *([last.origin] if last else []), *_ended(kept)]
        begun = NewLogBegun(next_name(known, None if last else at), last, size)
        if last:
            write_durably(_evidence_of(kept, last), last.text().encode())
        _write(db, begun, last or now, at)
    size, packed = db.execute("SELECT size, frontier FROM head").fetchone()
    kept.swap(last, Checkpoint(begun.origin, size, Frontier(size, packed).root()))
    return begun


def next_name(known: Sequence[str], lost: datetime | None = None) -> str:
    """The name after those that this log had. `lost`: the store is, so nobody knows which were used; then the number is
    that moment's.
    """
    parts = [NUMBERED.fullmatch(name) for name in known]
    base = parts[0][1] if parts[0] else known[0]
    if lost:
        return f"{base}.{lost:%Y%m%d%H%M%S}"
    numbers = [int(part[2]) for part in parts if part and part[1] == base]
    return f"{base}.{max(numbers, default=1) + 1}"


def _says(db: sqlite3.Connection, size: int, last: Checkpoint) -> bool:
    """Whether the newest entry tells that the log goes on from `last`."""
    row = db.execute("SELECT body FROM entry WHERE seq = ?", (size - 1,)).fetchone()
    leaf = json.loads(row[0]) if row else {}
    told = (leaf.get("from"), leaf.get("size"), leaf.get("root"))
    return leaf.get("e") == "restored" and told == (last.origin, last.size, entry.b64(last.root))


def _write(db: sqlite3.Connection, begun: NewLogBegun, last: Checkpoint, at: datetime) -> None:
    """The entry and the new name, in one transaction. Nothing of the new name was signed yet."""
    db.execute("BEGIN IMMEDIATE")
    try:
        packed = db.execute("SELECT frontier FROM head").fetchone()[0]
        tree = Tree(db, Frontier(begun.size, packed))
        body = entry.restored(event=os.urandom(16), origin=last.origin, size=last.size, root=last.root, at=at)
        db.execute("INSERT INTO entry VALUES (?, ?)", (begun.size, body))
        tree.append(body)
        db.execute(
            "UPDATE head SET size = ?, frontier = ?, origin = ?, signed = 1",
            (begun.size + 1, tree.frontier.pack(), begun.origin),
        )
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _evidence_of(store: CheckpointStore, last: Checkpoint) -> Path:
    digest = hashlib.sha256(last.text().encode()).hexdigest()[:16]
    return store.path.with_name(f"{store.path.stem}.{last.size}.{digest}{ENDED}")


def _ended(store: CheckpointStore) -> list[str]:
    """The names of this ledger's logs that have ended."""
    files = store.path.parent.glob(f"{store.path.stem}.*{ENDED}")
    return [checkpoint.parse(path.read_text(encoding="utf-8")).origin for path in files]
