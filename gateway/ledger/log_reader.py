"""The log as others read it: the last signed checkpoint, tiles, entry bundles, receipts (C2SP tlog-tiles, tlog-proof).

A receipt names nobody; its opening, which does, is never kept here (R16). Reads only, on a connection a call.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.ledger import checkpoint, entry, note, proofs, schema, tiles, tree
from gateway.ledger.checkpoint_store import StoreBroken
from gateway.ledger.proofs import Node
from gateway.ledger.publisher import Publisher
from gateway.ledger.receipt import Receipt
from gateway.ledger.writer import StoreUnavailable

# As the index entry_about_nobody says it, word for word.
ABOUT_NOBODY = """
SELECT seq, body FROM entry WHERE json_extract(CAST(body AS TEXT), '$.i') = ?
AND CASE WHEN json_valid(CAST(body AS TEXT)) THEN json_extract(CAST(body AS TEXT), '$.s') IS NULL END
"""
ENTRY = (
    "SELECT d.seq, e.body FROM (SELECT seq FROM detail WHERE event = ?1 UNION ALL"
    " SELECT seq FROM unlinked_event WHERE event = ?1) d LEFT JOIN entry e ON e.seq = d.seq"
)
BODIES = "SELECT body FROM entry WHERE seq >= ? AND seq < ? ORDER BY seq"


@dataclass(frozen=True, slots=True)
class LogReader:
    """Reads one installation's log. Every call raises `StoreUnavailable` where that cannot be done."""

    folder: Path
    publisher: Publisher

    def checkpoint(self) -> str | None:
        """The last checkpoint, signed; None where nothing was signed yet."""
        with self._signed() as (_, signed):
            return signed

    def origin(self) -> str:
        """The log's name."""
        with self._signed() as (db, _):
            return str(db.execute("SELECT origin FROM head").fetchone()[0])

    def tile(self, level: int, n: int, width: int) -> bytes | None:
        """The bytes of a tile, or of an entry bundle, as far as the log was signed. None: there is no such tile yet, or
        its entries are no longer kept.
        """
        with self._signed() as (db, signed):
            height = 0 if level == tiles.ENTRIES else level
            if signed is None or tiles.hashes_at(height, _size(signed)) < n * tiles.WIDTH + width:
                return None
            if level != tiles.ENTRIES:
                return tree.read_tile(db, level, n, width)
            start = n * tiles.WIDTH
            bodies = [row[0] for row in db.execute(BODIES, (start, start + width))]
            return tiles.bundle(bodies) if len(bodies) == width else None

    def receipts(self, events: Sequence[bytes]) -> list[Receipt | None]:
        """One for each event, all under one checkpoint; None for an event that is not known."""
        with self._signed() as (db, signed):
            if signed is None:
                return [None for _ in events]
            size = _size(signed)
            node = tree.nodes(db, size)
            return [_receipt(db, event, size, node, signed) for event in events]

    def consistency(self, old: int) -> tuple[str, list[bytes]] | None:
        """The last signed checkpoint and the proof that it grew out of the tree of an earlier size."""
        with self._signed() as (db, signed):
            if signed is None or not 0 < old <= _size(signed):
                return None
            return signed, proofs.consistency(old, _size(signed), tree.nodes(db, _size(signed)))

    @contextlib.contextmanager
    def _signed(self) -> Iterator[tuple[sqlite3.Connection, str | None]]:
        """One snapshot, and what was signed before it."""
        try:
            with contextlib.closing(schema.open_to_read(self.folder)) as db:
                signed = self.publisher.latest(db)
                db.execute("BEGIN")
                yield db, signed
        except (sqlite3.Error, OSError, schema.LedgerRefused, tree.TreeBroken, StoreBroken) as error:
            raise StoreUnavailable(f"the ledger cannot be read: {type(error).__name__}") from error


def _size(signed: str) -> int:
    return checkpoint.parse(note.text_of(signed)).size


def _receipt(db: sqlite3.Connection, event: bytes, size: int, node: Node, signed: str) -> Receipt | None:
    row = db.execute(ENTRY, (event,)).fetchone() or db.execute(ABOUT_NOBODY, (entry.b64(event),)).fetchone()
    if row is None or row[0] >= size:
        return None
    return Receipt(row[0], tuple(proofs.inclusion(row[0], size, node)), signed, row[1])
