"""The store on SQLite: one file, one writer at a time, WAL with checkpoints of our own (gateway/ledger/schema.py)."""

import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from gateway import disk
from gateway.ledger import schema, unallocated
from gateway.ledger.store import Caps, Connection


@dataclass(frozen=True, slots=True)
class SqliteStore:
    """The ledger's file in a data folder."""

    folder: Path

    @property
    def caps(self) -> Caps:
        return Caps("sqlite", sqlite3.sqlite_version, "power", processes=True)

    def held(self) -> AbstractContextManager[None]:
        return schema.held(self.folder)

    def open_to_write(self) -> Connection:
        return schema.open_to_write(self.folder)

    def open_to_read(self) -> Connection:
        return schema.open_to_read(self.folder)

    def tidy(self, db: Connection, *, idle: bool) -> None:
        """A passive checkpoint, and a full one without waiting where the log has grown long."""
        disk.tidy(db, empty_from=disk.LONG if idle else None)

    def zero(self, db: Connection, at: int) -> int | None:
        """Pages' unallocated space (unallocated.py); `at` is a page's number."""
        return unallocated.zero(db, max(at, unallocated.FIRST))
