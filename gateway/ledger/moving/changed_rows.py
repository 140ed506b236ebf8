"""Which rows were written at the source since a copy began: triggers note their keys, in the transaction that writes
them. So nothing has to be known of what is append-only and what is not, and what is copied while the service writes may
be of many moments: whatever changed behind it is copied again.

The notes go as they are used up, and all of them with the copy, or when it is given up.
"""

# ruff: noqa: S608 - names of tables and columns are the schema's own

import contextlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gateway import disk
from gateway.ledger.moving.tables import Key, MovedTable
from gateway.ledger.store import Connection

PREFIX = "changed_"
COPY = f"{PREFIX}copy"  # which copy they are for
ACTS = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}
MOST = 50_000  # of one round and table: what one process has room for


class ChangedKeys(NamedTuple):
    """`until`: the number of the last note among them."""

    keys: set[Key]
    until: int


def copy_noted(db: Connection) -> int:
    """The number of the copy that notes are taken for; 0: none."""
    if not _is_table(db, COPY):
        return 0
    return int(db.execute(f"SELECT id FROM {COPY}").fetchall()[0][0])


def note_from_now(db: Connection, tables: Iterable[MovedTable], copy: int = 0) -> int:
    """From this on every row that is written is noted; whoever calls holds the writers' lock. Returns a new number, or
    takes the one that is given.
    """
    number = copy or secrets.randbelow(2**31 - 2) + 1
    db.execute("BEGIN IMMEDIATE")
    try:
        if not _is_table(db, COPY):
            db.execute(f"CREATE TABLE {COPY} (id INTEGER NOT NULL) STRICT")
            for table in tables:
                for sql in _noting(table):
                    db.execute(sql)
        db.execute(f"DELETE FROM {COPY}")
        db.execute(f"INSERT INTO {COPY} VALUES (?)", (number,))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return number


def _noting(table: MovedTable) -> Iterator[str]:
    if not table.key:
        return
    names = [f"k{place}" for place, _ in enumerate(table.key)]
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, table.key_kinds, strict=True))
    yield f"CREATE TABLE {PREFIX}{table.name} (n INTEGER PRIMARY KEY, {columns}) STRICT"
    for act, rows in ACTS.items():
        notes = " ".join(
            f"INSERT INTO {PREFIX}{table.name} ({', '.join(names)})"
            f" VALUES ({', '.join(f'{row}.{each}' for each in table.key)});"
            for row in rows
        )
        yield f"CREATE TRIGGER {_trigger(table, act)} AFTER {act} ON {table.name} BEGIN {notes} END;"


def _trigger(table: MovedTable, act: str) -> str:
    return f"{PREFIX}{table.name}_{act.lower()}"


def changed_keys(db: Connection, table: MovedTable, most: int = -1) -> ChangedKeys:
    """The oldest notes of a table, all of them without `most`."""
    rows = db.execute(f"SELECT * FROM {PREFIX}{table.name} ORDER BY n LIMIT ?", (most,)).fetchall()
    return ChangedKeys({row[1:] for row in rows}, rows[-1][0] if rows else 0)


def forget_notes(db: Connection, used: Sequence[tuple[MovedTable, int]]) -> None:
    """Those up to a number each; whoever calls holds the writers' lock."""
    if not used:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for table, until in used:
            db.execute(f"DELETE FROM {PREFIX}{table.name} WHERE n <= ?", (until,))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def end_notes(db: Connection, tables: Iterable[MovedTable]) -> None:
    """Nothing is noted any more, and no note is left; whoever calls holds the writers' lock."""
    if not copy_noted(db):
        return
    db.execute("BEGIN IMMEDIATE")
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: db.in_transaction and db.execute("ROLLBACK"))
        for table in tables:
            for act in ACTS if table.key else ():
                name = _trigger(table, act)
                db.execute(f"DROP TRIGGER {name}" if disk.is_file(db) else f"DROP FUNCTION {name}() CASCADE")
            if table.key:
                db.execute(f"DROP TABLE {PREFIX}{table.name}")
        db.execute(f"DROP TABLE {COPY}")
        db.execute("COMMIT")


def _is_table(db: Connection, name: str) -> bool:
    return bool(db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchall())
