"""Which rows were written at the source since a copy began: triggers note their keys, in the transaction that writes
them. So nothing has to be known of what is append-only and what is not, and what is copied while the service writes may
be of many moments: whatever changed behind it is copied again.

The notes go as they are used up, and all of them with the copy, or when it is given up. A copy that nobody finishes
(`ForsakenCopies`) has notes that name people who are erased later, and so does what it has made in the folder. The
service's writer gives it up a day after it was begun, unless it is under way; that is before any date that an erased
person is told (`EpochTurn.forgotten_by` is two days away at the least).
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from gateway import disk
from gateway.keys import person_keys
from gateway.ledger import schema
from gateway.ledger.moving.tables import Key, MovedTable
from gateway.ledger.store import Connection
from gateway.ledger.subjects import moment
from gateway.ledger.writer import KeyTurns

# ruff: noqa: S608 - names of tables and columns are the schema's own


PREFIX = "changed_"
COPY = f"{PREFIX}copy"  # which copy they are for
ACTS = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}
TABLES, TRIGGERS = (
    f"SELECT name FROM sqlite_schema WHERE type = '{kind}' AND name LIKE ?" for kind in ("table", "trigger")
)
FUNCTIONS = """
SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = current_schema() AND p.proname LIKE ?
"""
MOST = 50_000  # of one round and table: what one process has room for


class ChangedKeys(NamedTuple):
    """`until`: the number of the last note among them."""

    keys: set[Key]
    until: int


class NotedCopy(NamedTuple):
    """Which copy notes are taken for, and since when, Unix milliseconds."""

    number: int
    begun: int


def copy_noted(db: Connection) -> NotedCopy | None:
    """None: nothing is noted."""
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (COPY,)).fetchall():
        return None
    return NotedCopy(*db.execute(f"SELECT id, begun FROM {COPY}").fetchall()[0])


def note_from_now(db: Connection, tables: Iterable[MovedTable], begun: int, copy: int = 0) -> int:
    """From this on every row that is written is noted; whoever calls holds the writers' lock. Returns a new number, or
    takes the one that is given.
    """
    number = copy or secrets.randbelow(2**31 - 2) + 1
    end_notes(db)  # of an earlier copy, which may have been of other tables
    with disk.whole(db):
        db.execute(f"CREATE TABLE {COPY} (id INTEGER NOT NULL, begun INTEGER NOT NULL) STRICT")
        db.execute(f"INSERT INTO {COPY} VALUES (?, ?)", (number, begun))
        for table in tables:
            for sql in _noting(table):
                db.execute(sql)
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
    with disk.whole(db):
        for table, until in used:
            db.execute(f"DELETE FROM {PREFIX}{table.name} WHERE n <= ?", (until,))


def end_notes(db: Connection) -> None:
    """Nothing is noted any more, and no note is left, whichever tables a copy noted; whoever calls holds the writers'
    lock.
    """
    if copy_noted(db) is None:
        return
    tables, triggers, kind = TABLES, TRIGGERS, "TRIGGER"
    if not disk.is_file(db):
        triggers, kind = FUNCTIONS, "FUNCTION"
    with disk.whole(db):
        for (name,) in db.execute(triggers, (f"{PREFIX}%",)).fetchall():
            db.execute(f"DROP {kind} {name}{'' if disk.is_file(db) else '() CASCADE'}")
        for (name,) in db.execute(tables, (f"{PREFIX}%",)).fetchall():
            db.execute(f"DROP TABLE {name}")


LOCK = "copy.lock"  # whoever has it is copying
ARRIVING = "arriving"  # behind a name, until what has it is whole
TERM = timedelta(days=1)
FIRST_LOOK, LOOKS_EVERY = 60.0, 3600.0  # seconds from the start: no command is there for so long
SAID = (
    "a gateway copy that was begun on %s and not finished is given up: nothing is noted for it any more. What it made"
    " in a PostgreSQL is yours to take away, with what it has of people who are erased: gateway copy --give-up"
)


@dataclass(slots=True)
class ForsakenCopies:
    """Asked by the writer as it asks for `turns`, which it passes on."""

    turns: KeyTurns
    folder: Path
    clock: Callable[[], datetime]
    tell: Callable[[str], None]
    _next: float = field(default_factory=lambda: time.monotonic() + FIRST_LOOK)

    def is_due(self) -> bool:
        return time.monotonic() >= self._next or self.turns.is_due()

    def step(self, db: Any, vault: Any) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LOOKS_EVERY
            self._look(db, vault)
        if self.turns.is_due():
            self.turns.step(db, vault)

    def _look(self, db: Any, vault: Any) -> None:
        noted = copy_noted(vault.db) or copy_noted(db)
        if noted is not None and self._is_over(noted.begun):
            with contextlib.suppress(BlockingIOError), disk.locked(self.folder / LOCK, wait=False):
                self._give_up(db, vault)
                self.tell(SAID % moment(noted.begun).date())

    def _is_over(self, begun: int) -> bool:
        """One that begins in a day was begun by a clock that was ahead."""
        return abs(self.clock() - moment(begun)) >= TERM

    def _give_up(self, db: Any, vault: Any) -> None:
        drop_arriving_files(self.folder)
        end_notes(vault.db)
        end_notes(db)


def drop_arriving_files(folder: Path) -> None:
    """What a copy has made in a folder so far."""
    for name in (schema.FILE, person_keys.FILE):
        for each in with_logs(folder / f"{name}.{ARRIVING}"):
            each.unlink(missing_ok=True)
    disk.sync_folder(folder)


def with_logs(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}{ending}") for ending in ("", "-wal", "-shm")]
