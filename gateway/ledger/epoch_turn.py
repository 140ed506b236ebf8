"""The weekly change of what records' keys are wrapped by (keys/epochs.py), a step between two batches. The writer calls
it, in its thread, under the writers' lock.

A new epoch begins; each key that anything on record names is wrapped anew, some hundred at a time. What the older epoch
wraps then is named by nobody: what was destroyed, what a run left of its pool. It stays as it is until the day on which
the epoch dies, for a backup of the keys may be put back until then; then it goes, and the epoch's key with it. Any step
may be cut off: whoever comes next begins it again, and passes over what was done. An epoch dies late if nobody writes
on its day, and never while a key that is named may still be wrapped by it.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from gateway import disk
from gateway.keys.epochs import DAY, FILE, WEEK, Epoch, Epochs, horizon, read_epochs
from gateway.keys.shared_epochs import SharedEpochs
from gateway.ledger.subjects import milliseconds, moment

NAMED = 256  # keys of one step: 5 ms
PASSED = 16  # looks of one step at keys that are wrapped anew already: 5 ms
REST = DAY // 24  # before a pass is tried again that wants another process's newer secrets
TABLES = """
SELECT m.name FROM sqlite_schema m WHERE m.type = 'table' AND m.name >= ?
AND EXISTS (SELECT 1 FROM pragma_table_info(m.name) c WHERE c.name = 'person') ORDER BY m.name LIMIT 1
"""
ORDER = "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk"


@dataclass(frozen=True, slots=True)
class NamesPlace:
    """Where in the tables that name keys a pass is: behind the row with this key of a table."""

    table: str = ""
    key: Sequence[object] = ()


class EpochKeys(Protocol):
    """What the vault offers to whoever turns its epochs."""

    epochs: Epochs
    shared: SharedEpochs

    def rewrap_some(self, persons: Sequence[bytes]) -> tuple[int, bool]: ...
    def sweep(self, epoch: int, after: bytes) -> bytes | None: ...


class EpochTurn:
    """`kept`: how long a backup of the keys may be put back."""

    def __init__(self, folder: Path, wraps: tuple[bytes, ...], clock: Callable[[], datetime], kept: timedelta) -> None:
        self._folder = folder
        self._epochs = Epochs(folder, wraps)
        self._clock = clock
        self._lasts = horizon(kept)
        self._of = 0  # the epoch of the pass that is under way
        self._begin_pass(0)
        self._swept = b""
        self._rests_until = 0

    def forgotten_by(self) -> datetime:
        """When the last epoch dies that wraps a key destroyed by now, or what is left of one. In any thread."""
        now, epochs = self._clock(), read_epochs(self._folder / FILE)
        if not epochs or not epochs[-1].begun:
            return now + self._lasts  # none has a date yet
        return max(now, *(moment(each.dies) for each in epochs))

    def is_due(self) -> bool:
        """Whether there is a step to do. Reads no database."""
        self._epochs.refresh()
        now, newest = milliseconds(self._clock()), self._epochs.newest
        if newest is None:
            return False
        older = self._epochs.older
        waits = any(not each.empty for each in older) and now >= self._rests_until
        return _is_over(newest, now) or waits or any(each.empty and each.dies <= now for each in older)

    def step(self, db: sqlite3.Connection, vault: EpochKeys) -> None:
        """One of them. Raises sqlite3.Error, OSError."""
        now, epochs = milliseconds(self._clock()), vault.epochs
        epochs.refresh()
        newest = epochs.newest
        if newest is None:
            return
        dead = [each for each in epochs.older if each.empty and each.dies <= now]
        if _is_over(newest, now):
            self._begin(db, vault, newest.number + 1, now)
        elif dead:
            self._bury(vault, dead[0])
        else:
            self._pass(db, vault, newest.number, now)

    def _begin(self, db: sqlite3.Connection, vault: EpochKeys, number: int, now: int) -> None:
        dies = now + self._lasts // timedelta(milliseconds=1)
        if disk.is_file(db):
            vault.epochs.begin(number, now, dies)
        else:
            vault.shared.begin(db, number, now, dies)

    def _begin_pass(self, of: int) -> None:
        self._of, self._place, self._whole = of, NamesPlace(), True

    def _pass(self, db: sqlite3.Connection, vault: EpochKeys, newest: int, now: int) -> None:
        if self._of != newest:
            self._begin_pass(newest)
        wrapped = 0
        for _ in range(PASSED):
            named, place = names_after(db, self._place)
            wrapped, whole = vault.rewrap_some(named)
            self._whole = self._whole and whole
            if place is None:
                self._end_pass(vault.epochs, now)
                return
            self._place = place
            if wrapped:
                return

    def _end_pass(self, epochs: Epochs, now: int) -> None:
        if self._whole:
            epochs.mark([each.number for each in epochs.older if each.number < self._of], empty=True)
        else:
            self._rests_until = now + REST
        self._of = 0

    def _bury(self, vault: EpochKeys, epoch: Epoch) -> None:
        after = vault.sweep(epoch.number, self._swept)
        self._swept = after or b""
        if after is None:
            vault.epochs.drop(epoch.number)


def _is_over(epoch: Epoch, now: int) -> bool:
    """A day before its beginning: it began by a clock that was ahead."""
    return now >= epoch.begun + WEEK or now < epoch.begun - DAY


def names_after(db: sqlite3.Connection, place: NamesPlace) -> tuple[list[bytes], NamesPlace | None]:
    """The next keys that are named, in whichever table: each has the ids in a column `person`. None: the end."""
    found = db.execute(TABLES, (place.table,)).fetchone()
    if found is None:
        return [], None
    [table] = found
    columns = ", ".join(row[0] for row in db.execute(ORDER, (table,)))
    key = place.key if table == place.table else ()
    behind = f"WHERE ({columns}) > ({', '.join('?' * len(key))})" if key else ""
    sql = f"SELECT person, {columns} FROM {table} {behind} ORDER BY {columns} LIMIT {NAMED:d}"  # noqa: S608 - schema's
    rows = db.execute(sql, key).fetchall()
    rest = NamesPlace(table, rows[-1][1:]) if len(rows) == NAMED else NamesPlace(table + " ")  # behind it
    return [row[0] for row in rows if row[0]], rest
