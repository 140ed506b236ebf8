"""The log as others read it: the last signed checkpoint, tiles, entry bundles, receipts (C2SP tlog-tiles, tlog-proof).

A receipt names nobody; its opening, which does, is never kept here (R16). Reads only, on a connection a call.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.ledger import entry, tree
from gateway.ledger.proof import merkle, note
from gateway.ledger.proof.merkle import Node
from gateway.ledger.proof.receipt import Receipt
from gateway.ledger.publisher import Publisher, StoreBroken
from gateway.ledger.store import Store, ledger_needed

# As the index entry_about_nobody says it, word for word.
ABOUT_NOBODY = """
SELECT seq, body FROM entry WHERE json_extract(CAST(body AS TEXT), '$.i') = ?
AND CASE WHEN json_valid(CAST(body AS TEXT)) THEN json_extract(CAST(body AS TEXT), '$.s') IS NULL END
"""
ENTRY = (
    "SELECT d.seq, e.body FROM (SELECT seq FROM detail WHERE event = ?1 UNION ALL"
    " SELECT seq FROM unlinked_event WHERE event = ?1) d LEFT JOIN entry e ON e.seq = d.seq"
)
FROM_MEMORY = 16  # receipts of one answer: each takes the event loop 50 us, and 500 where it has a signature of its own
BODIES = "SELECT body FROM entry WHERE seq >= ? AND seq < ? ORDER BY seq"


@dataclass(frozen=True, slots=True)
class LogReader:
    """Reads one installation's log. Every call raises `StoreUnavailable` where that cannot be done."""

    store: Store
    publisher: Publisher

    def checkpoint(self) -> str | None:
        """The last checkpoint, signed, by witnesses too where they have signed that one; None where nothing was signed
        yet.
        """
        with self._signed(lasting=True) as (db, signed):
            seen = self._witnessed(db, signed)
            return seen if signed and seen and note.text_of(seen) == note.text_of(signed) else signed

    def origin(self) -> str:
        """The log's name."""
        with self._signed() as (db, _):
            return str(db.execute("SELECT origin FROM head").fetchone()[0])

    def tile(self, level: int, n: int, width: int) -> bytes | None:
        """The bytes of a tile, or of an entry bundle, as far as the log was signed. None: there is no such tile yet, or
        its entries are no longer kept.
        """
        with self._signed() as (db, signed):
            height = 0 if level == merkle.ENTRIES else level
            if signed is None or merkle.hashes_at(height, size_of(signed)) < n * merkle.WIDTH + width:
                return None
            if level != merkle.ENTRIES:
                return tree.read_tile(db, level, n, width)
            start = n * merkle.WIDTH
            bodies = [row[0] for row in db.execute(BODIES, (start, start + width))]
            return merkle.bundle(bodies) if len(bodies) == width else None

    def receipts(self, events: Sequence[bytes], *, lasting: bool = True) -> list[Receipt | None]:
        """One for each event, under the last checkpoint that witnesses signed too where that holds the entry, else
        under the last one; None for an event that is not known. `lasting`: they are handed out to be kept.
        """
        with self._signed(lasting=lasting) as (db, signed):
            notes = [each for each in (self._witnessed(db, signed), signed) if each]
            trees = [(each, size_of(each), tree.nodes(db, size_of(each))) for each in notes]
            return [_receipt(db, event, trees) for event in events]

    def receipts_at_hand(self, entries: Sequence[tuple[str, int | None]]) -> list[Receipt | None] | None:
        """Of entries (event, place) that this process wrote a moment ago: made from memory, so that an answer waits for
        no connection and no thread. None: not all of them are at hand, or they are so many that a thread had better
        make them.
        """
        found = list[Receipt | None]()
        for event, seq in entries if len(entries) <= FROM_MEMORY else ():
            receipt = None if seq is None else self.publisher.receipt(seq, event)
            if receipt is None:
                break
            found.append(receipt)
        return found if len(found) == len(entries) else None

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of one size grew out of that of an earlier one; both were signed."""
        with self._signed(refused_too=True) as (db, _):
            return merkle.consistency(old, new, tree.nodes(db, new))

    def to_be_witnessed(self) -> str | None:
        """The last checkpoint with the log's own signatures, also while a witness disagrees: it is asked again."""
        with self._signed(refused_too=True, lasting=True) as (_, signed):
            return signed

    def learn(self, size: int) -> None:
        """Takes what other machines made of the tree for what was signed last, where a ledger on a server has so many
        entries: a commit of our own shows that what is there is durable.
        """
        if not self.store.is_server:
            return
        broken = (OSError, tree.TreeBroken, StoreBroken)
        with ledger_needed(*broken), contextlib.closing(self.store.open_to_write()) as db:
            db.execute("BEGIN IMMEDIATE")
            durable, frontier = db.execute("SELECT size, frontier FROM head").fetchone()
            db.execute("COMMIT")  # without the lock: it may wait long for a standby
            if durable >= size:
                with self.store.held():
                    self.publisher.advance(db, durable, frontier)

    def refuse(self, told: Mapping[str, str]) -> None:
        """What witnesses say of this log from now on, by each (`Publisher.refuse`)."""
        with ledger_needed(), contextlib.closing(self.store.open_to_read()) as db:
            self.publisher.refuse(db, told)

    def keep_cosigned(self, signed: str) -> None:
        """Keeps a checkpoint with the signatures of witnesses."""
        with self._signed() as (db, _):
            self.publisher.store(db).keep_cosigned(signed)

    def _witnessed(self, db: sqlite3.Connection, signed: str | None) -> str | None:
        """What witnesses signed last of this very log."""
        seen = self.publisher.store(db).cosigned() if signed else None
        if signed is None or seen is None:
            return None
        try:
            ours, theirs = (note.parse_checkpoint(note.text_of(each)) for each in (signed, seen))
        except (ValueError, note.NoteRefused):
            return None
        return seen if ours.origin == theirs.origin and theirs.size <= ours.size else None

    @contextlib.contextmanager
    def _signed(
        self, *, refused_too: bool = False, lasting: bool = False
    ) -> Iterator[tuple[sqlite3.Connection, str | None]]:
        """One snapshot, and what was signed before it."""
        with ledger_needed(OSError, tree.TreeBroken, StoreBroken), contextlib.closing(self.store.open_to_read()) as db:
            signed = self.publisher.latest(db, refused_too=refused_too, lasting=lasting)
            db.execute("BEGIN")
            yield db, signed


def size_of(signed: str) -> int:
    """How many entries a signed checkpoint is of."""
    return note.parse_checkpoint(note.text_of(signed)).size


def _receipt(db: sqlite3.Connection, event: bytes, trees: Sequence[tuple[str, int, Node]]) -> Receipt | None:
    row = db.execute(ENTRY, (event,)).fetchone() or db.execute(ABOUT_NOBODY, (entry.b64(event),)).fetchone()
    for signed, size, node in trees if row else ():
        if row[0] < size:
            return Receipt(row[0], tuple(merkle.inclusion(row[0], size, node)), signed, row[1])
    return None
