"""One database of two that are moved, the ledger or the vault: at its source, as its service has it, and at its target,
which has no name of a ledger yet, so that nobody takes it for one. Rows go over by the order of their keys, so that the
last one that is there says where to go on; then whatever was noted meanwhile; and both are compared, without holding up
anybody: a row that differs was written a moment ago, and then there is a note of it.
"""

# ruff: noqa: S608 - names of tables and columns are the schema's own

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from gateway import disk
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.moving import changed_rows
from gateway.ledger.moving.tables import Key, MovedTable, Row
from gateway.ledger.store import Connection
from gateway.postgres.connection import PostgresConnection

CHUNK = 10_000  # rows that are read and written at once
Count = Callable[[int], None]


class CopyDiffers(LedgerRefused):
    """What was copied is not what is at the source."""


@dataclass(slots=True)
class CopiedDatabase:
    """`reads`, `writes`: two connections to the source, of which the first sees one moment within BEGIN. `name`: as
    texts call it.
    """

    name: str
    tables: Sequence[MovedTable]
    reads: Connection
    writes: Connection
    target: Connection

    @property
    def keyed(self) -> list[MovedTable]:
        return [table for table in self.tables if table.key]

    def copy_rest(self, count: Count) -> None:
        """Whatever lies behind the last rows of the target."""
        for table in self.keyed:
            after = table.last_key(self.target)
            while rows := table.rows_between(self.reads, after, limit=CHUNK):
                with written(self.target):
                    put_rows(self.target, table, rows)
                disk.tidy(self.target)
                count(len(rows))
                after = table.key_of(rows[-1])

    def copy_changed(self, db: Connection, most: int = -1) -> tuple[list[tuple[MovedTable, int]], int]:
        """What was noted (`most` of a table), and the tables without keys, as a connection to the source shows them in
        one moment; read back and compared. Returns what the notes were, and of how many rows. Raises `CopyDiffers`.
        """
        used, rows = list[tuple[MovedTable, int]](), 0
        with written(self.target):
            for table in self.tables:
                if not table.key:
                    self._copy_whole(db, table)
                elif (noted := changed_rows.changed_keys(db, table, most)).until:
                    self._copy_rows(table, [*noted.keys], table.rows_with(db, noted.keys))
                    used.append((table, noted.until))
                    rows += len(noted.keys)
        return used, rows

    def _copy_whole(self, db: Connection, table: MovedTable) -> None:
        rows = table.rows_between(db, ())
        self.target.execute(f"DELETE FROM {table.name}")
        put_rows(self.target, table, rows)
        if sorted(table.rows_between(self.target, ()), key=repr) != sorted(rows, key=repr):
            raise self._differs(table, len(rows))

    def _copy_rows(self, table: MovedTable, keys: Sequence[Key], rows: Sequence[Row]) -> None:
        table.delete_rows(self.target, keys)
        put_rows(self.target, table, rows)
        if {*table.rows_with(self.target, keys)} != {*rows}:
            raise self._differs(table, len(keys))

    def catch_up(self, held: Callable[[], contextlib.AbstractContextManager[None]]) -> int:
        """What was noted up to now. Returns how many rows. `held`: the writers' lock of the source, for as long as it
        takes to strike the notes out.
        """
        with one_moment(self.reads):
            used, rows = self.copy_changed(self.reads, changed_rows.MOST)
        if not used:
            return 0
        self.keep_target()  # first: a power cut would take what nobody has a note of any more
        with held():
            changed_rows.forget_notes(self.writes, used)
        return rows

    def keep_target(self) -> None:
        """Whatever was written there outlives a power cut from now on. Raises `LedgerRefused`."""
        bring_over(self.target)

    def prove_changed(self, db: Connection) -> None:
        """That whatever is noted still is at the target as a connection to the source shows it, whoever was to bring it
        there. Raises `CopyDiffers`.
        """
        for table in self.keyed:
            keys = changed_rows.changed_keys(db, table).keys
            if {*table.rows_with(db, keys)} != {*table.rows_with(self.target, keys)}:
                raise self._differs(table, len(keys))

    def compare_all(self, count: Count) -> None:
        """Every row of every table with a key. Raises `CopyDiffers`."""
        for table in self.keyed:
            after: Key = ()
            while True:
                with one_moment(self.reads):
                    rows = table.rows_between(self.reads, after, limit=CHUNK)
                    until = table.key_of(rows[-1]) if len(rows) == CHUNK else ()
                    self._compare_rows(table, rows, table.rows_between(self.target, after, until))
                count(len(rows))
                if not until:
                    break
                after = until

    def _compare_rows(self, table: MovedTable, rows: list[Row], found: list[Row]) -> None:
        if rows == found:
            return
        different = {table.key_of(row) for row in {*rows} ^ {*found}}
        if unnoted := different - changed_rows.changed_keys(self.reads, table).keys:
            raise self._differs(table, len(unnoted))

    def _differs(self, table: MovedTable, rows: int) -> CopyDiffers:
        return CopyDiffers(
            f"{self.name}: {rows} rows of the table {table.name} are not at the target as they are at the source. The"
            " source is as it was and goes on; begin again with: gateway copy --give-up"
        )

    def cut(self) -> None:
        """In another thread: nobody waits for a server any longer."""
        for db in (self.reads, self.writes, self.target):
            if not disk.is_file(db):
                cast("PostgresConnection", db).cut()

    def close(self) -> None:
        for db in (self.reads, self.writes, self.target):
            with contextlib.suppress(sqlite3.Error):
                db.close()


def bring_over(db: Connection) -> None:
    """All of a file into its main part, so that it may be without its log. Raises `LedgerRefused`."""
    if not disk.bring_over(db, empty=True)[0]:
        raise LedgerRefused("another process reads a file that is being made; run the same again")


@contextlib.contextmanager
def written(db: Connection) -> Iterator[None]:
    """All of it, durably, or nothing."""
    db.execute("BEGIN")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            if db.in_transaction:
                db.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def one_moment(db: Connection) -> Iterator[None]:
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def put_rows(db: Connection, table: MovedTable, rows: Sequence[Row]) -> None:
    """New ones, within a transaction. Raises `LedgerRefused` for what the engine cannot keep."""
    if not rows:
        return
    if disk.is_file(db):
        db.executemany(f"INSERT INTO {table.name} VALUES ({', '.join('?' * len(table.columns))})", rows)
        return
    if nul := _with_nul(table, rows):
        raise LedgerRefused(
            f"{nul} rows of the table {table.name} have a text with a NUL character, which PostgreSQL does not keep:"
            " this ledger stays where it is"
        )
    cast("PostgresConnection", db).copy_in(table.name, table.columns, table.kinds, rows)


def _with_nul(table: MovedTable, rows: Iterable[Row]) -> int:
    texts = [place for place, kind in enumerate(table.kinds) if kind == "TEXT"]
    return sum(any(row[place] and "\0" in row[place] for place in texts) for row in rows) if texts else 0
