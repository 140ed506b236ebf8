"""Where an installation's two databases can be: files in its folder, or schemas in a PostgreSQL. What a move has to
know of each: how a source is opened, how a target is made under names that nobody takes for a ledger's, and how it is
given the names once it is whole, with which the folder's services find it.
"""

# ruff: noqa: S608 - names of tables and columns are the schema's own

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

from gateway import disk
from gateway.keys import person_keys
from gateway.ledger import postgres_store, schema
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.moving.changed_rows import ARRIVING, drop_arriving_files, with_logs
from gateway.ledger.moving.copied_database import bring_over, written
from gateway.ledger.moving.tables import MovedTable
from gateway.ledger.store import Connection
from gateway.ledger.watch import TERM_OF_A_FILE
from gateway.postgres import address
from gateway.postgres.connection import PostgresConnection

LEDGER, VAULT = "ledger", "vault"
BOTH = (VAULT, LEDGER)  # keys first: one without an entry is harmless
FILES = {LEDGER: schema.FILE, VAULT: person_keys.FILE}
SCHEMAS = {LEDGER: postgres_store.SCHEMA, VAULT: person_keys.SCHEMA}


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """Files. `which` is `LEDGER` or `VAULT`. `proved_for`: seconds for which a service answers on what it has proved of
    it.
    """

    proved_for: ClassVar[float] = TERM_OF_A_FILE
    folder: Path

    @property
    def name(self) -> str:
        return str(self.folder)

    def _path(self, which: str, ending: str = "") -> Path:
        return self.folder / f"{FILES[which]}{ending and '.'}{ending}"

    def open_source(self, which: str, *, writes: bool) -> Connection:
        """One that writes is closed under the writers' lock."""
        if not (path := self._path(which)).exists():
            raise LedgerRefused(f"{path} is not there; nothing was copied")
        db = schema.connect_file(path, "rw" if writes else "ro")
        if writes:
            schema.settle_file(db, path)
        return db

    def open_target(self, which: str) -> Connection | None:
        """None: it is not there, or has its own name already."""
        if not (path := self._path(which, ARRIVING)).exists():
            return None
        return self._settled(path)

    def make_target(self, which: str) -> Connection:
        """An empty one."""
        path = self._path(which, ARRIVING)
        disk.reserve(path)
        disk.sync_folder(self.folder)
        return self._settled(path)

    def _settled(self, path: Path) -> Connection:
        """A kill loses nothing of it, a power cut the last parts, which are copied again."""
        db = schema.connect_file(path, "rw")
        schema.settle_file(db, path, {**schema.SETTINGS, "synchronous": 1})
        return db

    def open_named(self) -> Connection | None:
        """The ledger under its own name, to be read; None: there is none."""
        return schema.connect_file(path, "ro") if (path := self._path(LEDGER)).exists() else None

    def taken(self) -> list[str]:
        """Which of the names that a target is given are something else's, or what is left of it: a log of an older file
        would be taken for the new one's.
        """
        return [each.name for which in BOTH for each in with_logs(self._path(which)) if each.exists()]

    @property
    def arriving(self) -> str:
        """Where a target is that has no name of its own yet, as texts call it."""
        return " and ".join(self._path(which, ARRIVING).name for which in BOTH)

    def drop_target(self) -> None:
        """Whatever is there of one that has no name of its own."""
        drop_arriving_files(self.folder)

    def learn_tables(self, db: Connection, tables: Iterable[MovedTable]) -> None:
        """A file's planner asks for no counts."""

    def count_on(self, db: Connection, tables: Iterable[MovedTable]) -> None:
        """Numbers of rows go on behind the largest by themselves."""

    def give_names(self) -> None:
        """To a target that is whole: from then on it is the folder's ledger. As often as it is asked."""
        for which in BOTH:
            if (db := self.open_target(which)) is not None:
                path = self._path(which, ARRIVING)
                with contextlib.closing(db):
                    bring_over(db)
                with path.open("rb") as file:
                    os.fsync(file.fileno())
                path.replace(self._path(which))
        disk.sync_folder(self.folder)
        for name in (address.URL_FILE, address.HOST_FILE):
            (self.folder / name).unlink(missing_ok=True)
        disk.sync_folder(self.folder)


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """Schemas, as `FolderPlace` has files. `folder`: of the installation whose they are."""

    proved_for: ClassVar[float] = postgres_store.STANDS_BY
    folder: Path
    url: str

    @property
    def name(self) -> str:
        return "the PostgreSQL"  # never the address

    def _connected(self, name: str, host: int | None, *, writes: bool, boot: int | None = None) -> PostgresConnection:
        return PostgresConnection(self.url, name, host, writes=writes, boot=boot)

    def open_source(self, which: str, *, writes: bool) -> Connection:
        boot = address.boot_in(self.folder) if which == LEDGER else None  # of the vault no row is renewed
        db = self._connected(SCHEMAS[which], address.host_in(self.folder), writes=writes, boot=boot)
        try:
            db.take_row(self.proved_for)
        except sqlite3.Error:
            db.end()
            raise
        return cast("Connection", db)

    def open_target(self, which: str) -> Connection | None:
        return self._existing(f"{SCHEMAS[which]}_{ARRIVING}", writes=True)

    def _existing(self, name: str, *, writes: bool) -> Connection | None:
        db = self._connected(name, None, writes=writes)
        if db.is_made():
            return cast("Connection", db)
        db.end()
        return None

    def make_target(self, which: str) -> Connection:
        db = self._connected(f"{SCHEMAS[which]}_{ARRIVING}", None, writes=True)
        db.make()
        return cast("Connection", db)

    def open_named(self) -> Connection | None:
        return self._existing(SCHEMAS[LEDGER], writes=False)

    def taken(self) -> list[str]:
        found = []
        for name in SCHEMAS.values():
            if (db := self._existing(name, writes=False)) is not None:
                db.close()
                found.append(name)
        return found

    @property
    def arriving(self) -> str:
        return " and ".join(f"{SCHEMAS[which]}_{ARRIVING}" for which in BOTH)

    def drop_target(self) -> None:
        with self._for_names() as db:
            for which in BOTH:
                db.execute(f"DROP SCHEMA IF EXISTS {SCHEMAS[which]}_{ARRIVING} CASCADE")

    def learn_tables(self, db: Connection, tables: Iterable[MovedTable]) -> None:
        """Its planner knows them from now on."""
        for table in tables:
            db.execute(f"ANALYZE {table.name}")

    def count_on(self, db: Connection, tables: Iterable[MovedTable]) -> None:
        """Behind the last row: numbers that the server gives go on behind the largest. Rows that bring their own do not
        move them.
        """
        for table in tables:
            if table.key_kinds == ("INTEGER",):
                column = table.key[0]
                known = f"greatest(coalesce(max({column}), 1), 1), max({column}) IS NOT NULL"
                numbers = f"pg_get_serial_sequence('{table.name}', '{column}')"
                db.execute(f"SELECT setval({numbers}, {known}) FROM {table.name}").fetchall()

    def give_names(self) -> None:
        with self._for_names() as db:
            for which in BOTH:
                arriving = f"{SCHEMAS[which]}_{ARRIVING}"
                if db.execute("SELECT 1 FROM pg_namespace WHERE nspname = ?", (arriving,)).fetchone():
                    db.execute(f"ALTER SCHEMA {arriving} RENAME TO {SCHEMAS[which]}")
        address.name_url(self.folder, self.url)

    @contextlib.contextmanager
    def _for_names(self) -> Iterator[Connection]:
        """One transaction over both."""
        with contextlib.closing(cast("Connection", self._connected("public", None, writes=True))) as db, written(db):
            yield db


LedgerPlace = FolderPlace | ServerPlace
