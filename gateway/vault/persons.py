"""Persons' keys, in a file of their own with its own short backups (design decision 6).

One wrapped 256-bit key a person. It is committed before that person's first entry: a key without an entry is
harmless, an entry without its key could not be opened. Destroying a key forgets what it sealed.
Trusted: confidential, and never to be rolled back to before an erasure. Used by the writer's thread alone.
"""

import os
import sqlite3
from pathlib import Path

from gateway import seals

FILE = "vault.sqlite3"
LABEL = b"person/1"


class Vault:
    """Opened by whoever writes; closed with the writer."""

    def __init__(self, folder: Path, wraps: tuple[bytes, ...]) -> None:
        self._wraps = wraps
        self._db = sqlite3.connect(folder / FILE, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")  # an entry must never outlive its key's write
        self._db.execute("PRAGMA secure_delete=ON")  # a destroyed key must not stay in free pages
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS person (id BLOB PRIMARY KEY, wrapped BLOB NOT NULL) STRICT, WITHOUT ROWID"
        )

    def new_person(self) -> tuple[bytes, bytes]:
        """(id, key) of a new person; durable after `commit`."""
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")
        person, key = os.urandom(16), os.urandom(32)
        wrapped = seals.seal(self._wraps[-1], LABEL + person, key)
        self._db.execute("INSERT INTO person VALUES (?, ?)", (person, wrapped))
        return person, key

    def key(self, person: bytes) -> bytes | None:
        """The person's key; None where it was destroyed, or where this installation's keys do not open it: then the
        person gets a new one, and no opt-out waits for the old.
        """
        row = self._db.execute("SELECT wrapped FROM person WHERE id = ?", (person,)).fetchone()
        try:
            return seals.open_seal(self._wraps, LABEL + person, row[0]) if row else None
        except seals.Opening:
            return None

    def commit(self) -> None:
        if self._db.in_transaction:
            self._db.execute("COMMIT")

    def rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        self._db.close()
