"""Signing what is durable: the step between a commit and its answer (design decision 5).

Compare-and-swap of the last checkpoint in the store outside the data folder, then the signature. Refuses to sign a tree
that is smaller than, or does not grow out of, the last one that was signed: somebody put back an old copy.
"""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.ledger import note, tree
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.checkpoint_store import CheckpointStore, Overtaken
from gateway.ledger.merkle import Frontier
from gateway.ledger.note import Signer
from gateway.ledger.schema import LedgerRefused


class RolledBack(LedgerRefused):
    """The ledger is not the one that was signed last. The text carries the command that helps."""


Signing = Callable[[str], Sequence[Signer]]


class Publisher:
    """Signs for one ledger. `signing` gives the keys of a log's name: every one signs, two while a key is replaced."""

    def __init__(self, folder: Path, store: Path, signing: Signing) -> None:
        self._folder = folder
        self._store_folder = store
        self._signing = signing
        self._mine: Checkpoint | None = None  # the last one that this process made

    def prove(self, db: sqlite3.Connection) -> None:
        """That the ledger grew out of what was signed last. Raises `RolledBack`."""
        origin, size, _, store = self._head(db)
        last = store.last()
        if last is None:
            return
        if last.origin != origin or last.size > size:
            raise RolledBack(self._text(f"was signed at {last.size} entries as {last.origin}", origin, size))
        if tree.root_at(db, last.size) != last.root:
            raise RolledBack(self._text(f"was signed with other entries before {last.size}", origin, size))

    def publish(self, db: sqlite3.Connection) -> None:
        """Makes the committed head the last checkpoint; under the writers' lock. Raises `RolledBack`, `StoreBroken`."""
        origin, size, root, store = self._head(db)
        new = Checkpoint(origin, size, root)
        try:
            store.swap(self._mine, new)
        except Overtaken:  # another process signed since, or this one begins
            self.prove(db)
            store.swap(store.last(), new)
        self._mine = new

    def latest(self, db: sqlite3.Connection) -> str | None:
        """The last checkpoint, signed: a signed note. Ed25519 gives the same bytes each time. None: nothing yet."""
        last = self._head(db)[3].last()
        return note.sign(last.text(), self._signing(last.origin)) if last else None

    def _head(self, db: sqlite3.Connection) -> tuple[str, int, bytes, CheckpointStore]:
        size, ledger, packed, origin = db.execute("SELECT size, ledger, frontier, origin FROM head").fetchone()
        return origin, size, Frontier(size, packed).root(), CheckpointStore(self._store_folder, ledger)

    def _text(self, signed: str, origin: str, size: int) -> str:
        return (
            f"{self._folder} holds {size} entries of {origin}, but the log {signed}: an older or another copy was put"
            f" back, and nothing is signed on it. Put back the newer one; if it is lost for good, go on as a new log:"
            f" gateway restore --new-log --data {self._folder}"
        )
