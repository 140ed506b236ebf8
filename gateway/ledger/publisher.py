"""Signing what is durable: the step between a commit and its answer. The writer calls it.

A log must never sign two trees of which one does not grow out of the other. So the last checkpoint is compared and
swapped in its store (`checkpoint_store`), then signed; a tree that is smaller than the last one, or does not grow out
of it, is refused: somebody put back an old copy of the folder (found out as in Sunlight, another log). The head row
remembers that something was signed (`signed`), so that a store that is gone is not taken for one that never was. On a
server every machine has a store of its own, and takes into it what the others made of the tree (`advance`).
"""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from gateway import disk
from gateway.ledger import tree
from gateway.ledger.checkpoint_store import CheckpointStore, Overtaken
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.proof import merkle, note
from gateway.ledger.proof.merkle import Frontier, TailTree
from gateway.ledger.proof.note import Checkpoint, Signer
from gateway.ledger.proof.receipt import Receipt, ReceiptsAtHand, SignedBatch

if TYPE_CHECKING:
    from gateway.postgres.connection import PostgresConnection

HEAD = "SELECT size, frontier, origin, signed FROM head"
SERVED_HEAD = "SELECT size, frontier, origin, (SELECT max(signed) FROM host WHERE number = ?) FROM head"


class RolledBack(LedgerRefused):
    """The ledger is not the one that was signed last. The text carries the command that helps."""


Signing = Callable[[str], Sequence[Signer]]


class Added(NamedTuple):
    """What one transaction appended. `size` and `packed`: the head row before it."""

    size: int
    packed: bytes
    bodies: Sequence[bytes]
    hashes: Sequence[bytes]


def _host(db: sqlite3.Connection) -> int | None:
    return cast("PostgresConnection", db).host


def _grown(frontier: Frontier, hashes: Sequence[bytes]) -> bytes:
    for each in hashes:
        frontier.append(each)
    return frontier.root()


class Publisher:
    """Signs for one ledger. `signing` gives the keys of a log's name: every one signs, two while a key is replaced.
    `lasting`: those whose signatures take ten times as long, and stand under what is published alone.
    """

    def __init__(self, folder: Path, store: Path, signing: Signing, lasting: Signing = lambda _: ()) -> None:
        self._folder = folder
        self._store_folder = store
        self._signing = signing
        self._lasting = lasting
        self._turn = threading.Lock()  # of many who ask at once one signs
        self._lasts: tuple[Checkpoint, str] | None = None  # the checkpoint that they signed last, and the note
        self._mine: Checkpoint | None = None  # the last one that this process made
        self._end: TailTree | None = None  # of the tree, as this process left it
        self._hand = ReceiptsAtHand()
        self._refused = ""

    def refuse(self, reason: str) -> None:
        """From now on nothing is signed, and nobody is answered from this ledger: a witness has seen another one.
        `reason` carries the command that helps; empty: it is settled.
        """
        self._refused = reason

    def store(self, db: sqlite3.Connection) -> CheckpointStore:
        """Where this ledger's last checkpoint is kept."""
        return CheckpointStore(self._store_folder, db.execute("SELECT ledger FROM head").fetchone()[0])

    def prove(self, db: sqlite3.Connection) -> bool:
        """That the ledger grew out of what was signed last; False where nothing was signed yet. Raises `RolledBack`,
        and `StoreBroken` where the store cannot be read.
        """
        if self._refused:
            raise RolledBack(self._refused)
        return self._grown_out_of(db, self.store(db)) is not None

    def _grown_out_of(self, db: sqlite3.Connection, store: CheckpointStore) -> Checkpoint | None:
        """What was signed last, once the ledger is shown to have grown out of it; None: nothing was. As `prove`."""
        last = store.last()  # before the head is read: the log may grow in between, and never shrinks
        now, signed = self._head(db)
        if last is None and signed:  # for the first time just now, or
            last = store.last()
        if last is None and signed:
            raise RolledBack(self._text("was signed, and its last checkpoint is gone from its store", now))
        if last is None:
            return None
        if last.origin != now.origin or last.size > now.size:
            raise RolledBack(self._text(f"was signed at {last.size} entries as {last.origin}", now))
        if (now.root if last.size == now.size else tree.root_at(db, last.size)) != last.root:
            raise RolledBack(self._text(f"was signed with other entries before {last.size}", now))
        return last

    def adopt(self, db: sqlite3.Connection) -> None:
        """Takes what the ledger shows for what was signed last, where this store has nothing of it; under the writers'
        lock, when another machine's ledger is taken over. Raises `RolledBack` where it has something else.
        """
        store = self.store(db)
        if store.last() is None:
            store.swap(None, self._head(db)[0])
        self.prove(db)

    def publish(self, db: sqlite3.Connection, added: Added | None = None) -> None:
        """Makes the committed head the last checkpoint; under the writers' lock. `added`: what the commit appended,
        which is then at hand. Raises `RolledBack`, `StoreBroken`.
        """
        new, signed = self._head(db)
        others = False
        if added is not None and not disk.is_file(db):  # other machines go on: no more than this commit is durable
            before = Frontier(added.size, added.packed)
            others = self._mine != Checkpoint(new.origin, added.size, before.root())
            new = Checkpoint(new.origin, added.size + len(added.hashes), _grown(before, added.hashes))
        if self._mine is None or self._refused or others:
            self.prove(db)
        store = self.store(db)
        try:
            store.swap(store.last() if others else self._mine, new)
        except Overtaken:  # another process signed since, or this one begins
            self.prove(db)
            store.swap(store.last(), new)
        if not signed:  # once, and after the store has it: remembered too early, a crash would look like a lost store
            db.execute("UPDATE head SET signed = 1")
            if not disk.is_file(db):
                db.execute("UPDATE host SET signed = 1 WHERE number = ?", (_host(db),))
        self._mine = new
        if added and added.bodies:
            self._take_in_hand(db, added, new)

    def advance(self, db: sqlite3.Connection, size: int, packed: bytes) -> None:
        """Takes a tree that other machines made, and that is durable, for what was signed last, once it grew out of
        what this one has; under the writers' lock. So this one signs nothing that does not grow out of theirs. Raises
        as `publish` does.
        """
        store = self.store(db)
        last = store.last()
        if last is not None and last.size < size and not self._refused and self._grown_out_of(db, store) == last:
            store.swap(last, Checkpoint(last.origin, size, Frontier(size, packed).root()))

    def receipt(self, seq: int, event: str) -> Receipt | None:
        """Of an entry that this process wrote a moment ago, under the checkpoint of its own commit, without reading
        anything; None: it is not at hand. `event` is its id as the entry has it.
        """
        return None if self._refused else self._hand.receipt(seq, event)

    def _take_in_hand(self, db: sqlite3.Connection, added: Added, new: Checkpoint) -> None:
        end = self._end
        if end is None or (end.frontier.size, end.frontier.pack()) != (added.size, added.packed):
            try:  # this process begins, or another one wrote since
                end = tree.tail(db, added.size, added.packed)
            except (ValueError, sqlite3.Error):  # it is durable all the same, and whoever asks for a receipt reads it
                return
        for leaf in added.hashes:
            end.append(leaf)
        if end.frontier.root() != new.root:
            self._end = None
            return
        self._hand.take(SignedBatch(added.size, added.bodies, end, new.text(), self._signing(new.origin)))
        self._end = end.shortened(end.last_tile) if new.size - end.base > 2 * merkle.WIDTH else end

    def latest(self, db: sqlite3.Connection, *, refused_too: bool = False, lasting: bool = False) -> str | None:
        """The last checkpoint, signed: a signed note. Ed25519 gives the same bytes each time. None: nothing yet. Raises
        `RolledBack` where the ledger is another one. `refused_too`: for the witness that is asked once more.
        `lasting`: for what is published; once a checkpoint that takes half a millisecond.
        """
        if self._refused and not refused_too:
            raise RolledBack(self._refused)
        last = self._grown_out_of(db, self.store(db))
        if last is None or not lasting:
            return note.sign(last.text(), self._signing(last.origin)) if last else None
        with self._turn:
            if self._lasts is None or self._lasts[0] != last:
                signers = [*self._signing(last.origin), *self._lasting(last.origin)]
                self._lasts = last, note.sign(last.text(), signers)
            return self._lasts[1]

    def _head(self, db: sqlite3.Connection) -> tuple[Checkpoint, bool]:
        """What would be signed, and whether anything was."""
        given = () if disk.is_file(db) else (_host(db),)  # whether this machine signed anything is another question
        size, packed, origin, signed = db.execute(SERVED_HEAD if given else HEAD, given).fetchone()
        return Checkpoint(origin, size, Frontier(size, packed).root()), bool(signed)

    def _text(self, signed: str, now: Checkpoint) -> str:
        return (
            f"{self._folder} holds {now.size} entries of {now.origin}, but the log {signed}: nothing is signed on it,"
            f" and nobody is answered from it. Put back the newer one (the folder, or the checkpoints in"
            f" {self._store_folder}); if it is lost for good, go on as a new log:"
            f" gateway restore --new-log --data {self._folder}"
        )
