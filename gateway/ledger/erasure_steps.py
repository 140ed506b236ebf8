"""What has to go, a step between two batches: finishing an erasure, in an order that survives a kill between any two
steps; zeroing what SQLite leaves of deleted rows; and the weekly change of what records' keys are wrapped by
(keys/epochs.py). The writer calls it, in its thread, under the writers' lock.

The records' keys are destroyed, the ledger's file is cut, then the erasure is done; only then it is acknowledged. Each
step may be repeated. What the vault's file still holds of a destroyed key dies with its epoch, and a sealed box without
its key tells nothing; the ledger's file is cut and walked over for what named somebody.

`secure_delete` zeroes a row where it lies when it is deleted, not the places where it lay before it was moved (measured
with SQLite 3.46.1 and 3.54.1: after people were unlinked, one in three hundred of what had named them was still in the
file). No more is kept of them that way than a digest or a sealed box whose key is destroyed, but whoever has the pepper
could find by it that somebody was here. So a walk goes over every page, a part at a time between two batches, when an
erasure is finished, in whichever process, and whenever a writer starts; what is sensitive is closed before, with the
keys.
The form of a page: sqlite.org/fileformat2.html, 1.6. Read and written through `sqlite_dbpage`, in transactions as any
other. Where SQLite was built without it there is no walk, and a prune vacuums.

A new epoch begins; each key that anything on record names is wrapped anew, some hundred at a time. What the older epoch
wraps then is named by nobody: what was destroyed, what a run left of its pool. It stays as it is until the day on which
the epoch dies, for a backup of the keys may be put back until then; then it goes, and the epoch's key with it. Any step
may be cut off: whoever comes next begins it again, and passes over what was done. An epoch dies late if nobody writes
on its day, and never while a key that is named may still be wrapped by it.
"""

import contextlib
import sqlite3
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from gateway import disk
from gateway.keys.epochs import DAY, FILE, WEEK, Epoch, Epochs, held_until, horizon, laid_aside, read_epochs
from gateway.keys.person_keys import Vault
from gateway.ledger import schema
from gateway.ledger.subjects import milliseconds, moment

TRIES = 50
PAUSE = 0.02  # seconds; a reader's snapshot is over in milliseconds


class NotYet(Exception):
    """A reader still holds an older page; asked again a second later."""


def is_pending(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM erasure WHERE NOT done LIMIT 1").fetchone() is not None


def finish_erasure(db: sqlite3.Connection, vault: Vault) -> None:
    """Everything that is pending. Raises `NotYet` or `sqlite3.Error`; then it stays pending."""
    if not is_pending(db):
        return
    last = destroy_keys(db, vault)
    cut_ledger(db)
    mark_done(db, last)


def destroy_keys(db: sqlite3.Connection, vault: Vault) -> int:
    """Of every erasure up to the last one that is seen, whose number is returned: another machine may write one more
    meanwhile.
    """
    [last] = db.execute("SELECT max(seq) FROM erasure WHERE NOT done").fetchone() or (None,)
    last = -1 if last is None else int(last)
    rows = db.execute("SELECT person, whole FROM erasure_person WHERE seq <= ?", (last,)).fetchall()
    vault.destroy({person for person, _ in rows}, {person for person, whole in rows if whole})
    return last


def cut_ledger(db: sqlite3.Connection) -> None:
    """Until then what was deleted is in the main file still, and what was written before in the log beside it: every
    page has to be in the main file and the write-ahead log empty.
    """
    with disk.not_waiting(db):  # inside it would hold the write lock against every other process
        for _ in range(TRIES):
            if disk.bring_over(db, empty=True)[0]:
                return
            time.sleep(PAUSE)
    raise NotYet


def mark_done(db: sqlite3.Connection, last: int) -> None:
    """All up to the last one whose keys were destroyed."""
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE erasure SET done = 1 WHERE seq <= ? AND NOT done", (last,))
    db.execute("DELETE FROM erasure_person WHERE seq <= ?", (last,))
    db.execute("COMMIT")


def last_done(db: sqlite3.Connection) -> int:
    """The last erasure that is finished, whichever process finished it; -1: there is none."""
    row = db.execute("SELECT seq FROM erasure WHERE done ORDER BY seq DESC LIMIT 1").fetchone()
    return int(row[0]) if row else -1


PAGES_AT_ONCE = 500  # pages of one step, 2 MB: 3 to 4 ms
HELD = 0.03  # seconds for which other writers wait for one part of a walk that is made at once
FIRST_PAGE = 1  # the number of a file's first page
HEADER = 100  # bytes of the file's header, before the first page's
HEAD = {2: 12, 5: 12, 10: 8, 13: 8}  # by type of a b-tree's page: bytes before the pointers to its cells
COUNTS = struct.Struct(">HH")  # of a b-tree's page: how many cells, where the first of them begins
LARGEST_FILE = 1 << 24  # pages: up to there the first byte of any page that is no b-tree's is none of these types


@cache
def is_built_in() -> bool:
    """Whether this SQLite lets its pages be read and written."""
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        asked = "SELECT 1 FROM pragma_compile_options WHERE compile_options = 'ENABLE_DBPAGE_VTAB'"
        return db.execute(asked).fetchone() is not None


def zero_pages(db: sqlite3.Connection, first: int = FIRST_PAGE, count: int = PAGES_AT_ONCE) -> int | None:
    """Looks at so many pages. Returns where to go on; None once the end was reached and no older page is left in the
    log, or where there is no walk. Under the writers' lock. Raises sqlite3.Error.
    """
    last = _last_page(db)
    if not _walks(db, last):
        return None
    numbers = range(first, min(first + count, last + 1))
    _zero_some(db, numbers)
    if numbers.stop <= last:
        return numbers.stop
    return None if disk.tidy(db, empty_from=0) else first  # somebody reads what was there before: asked again


def zero_file(folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
    """The whole file, while others write to it between two parts. Raises sqlite3.Error, `LedgerRefused`."""
    at: int | None = FIRST_PAGE
    tries = 0
    while at and tries < TRIES:
        with schema.held(folder), contextlib.closing(schema.open_to_write(folder)) as db:
            if not _walks(db, _last_page(db)):
                disk.vacuum(db)
            until, before = clock() + HELD, 0
            while at and at != before and clock() < until:
                before, at = at, zero_pages(db, at)
        if at == before:  # somebody reads the log; if it cannot be emptied now, the service's writer does
            tries += 1
            time.sleep(PAUSE)


def zero_copy(db: sqlite3.Connection) -> None:
    """The whole of a file that nobody else knows yet and that has no log. Raises sqlite3.Error."""
    last = _last_page(db)
    if _walks(db, last):
        for first in range(FIRST_PAGE, last + 1, PAGES_AT_ONCE):
            _zero_some(db, range(first, min(first + PAGES_AT_ONCE, last + 1)))


def _zero_some(db: sqlite3.Connection, numbers: Iterable[int]) -> None:
    found = [number for number in numbers if is_left_on(_page(db, number), number)]
    if not found:
        return
    with disk.whole(db):
        for number in found:
            content = zeroed_page(_page(db, number), number)
            db.execute("UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?", (content, number))


def _walks(db: sqlite3.Connection, pages: int) -> bool:
    """Whether every page whose first byte is a b-tree's is one."""
    return is_built_in() and pages < LARGEST_FILE and db.execute("PRAGMA auto_vacuum").fetchone() == (0,)


def _last_page(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA page_count").fetchone()[0])


def _page(db: sqlite3.Connection, number: int) -> bytes:
    content: bytes = db.execute("SELECT data FROM sqlite_dbpage WHERE pgno = ?", (number,)).fetchone()[0]
    return content


def is_left_on(page: bytes, number: int) -> bool:
    """Whether there is anything but pointers to cells that are there no more: two bytes, below the page's length."""
    start, end = _unallocated(page, number)
    return page[start:end] != bytes(end - start) and max(page[start:end:2]) >= len(page) >> 8


def zeroed_page(page: bytes, number: int) -> bytes:
    """The page with nothing in its unallocated space."""
    start, end = _unallocated(page, number)
    return page[:start] + bytes(end - start) + page[end:]


def _unallocated(page: bytes, number: int) -> tuple[int, int]:
    """From the last pointer to the first cell; nothing of a page that is no b-tree's, or not formed as one."""
    at = HEADER if number == FIRST_PAGE else 0
    head = HEAD.get(page[at])
    if head is None:
        return 0, 0
    cells, end = COUNTS.unpack_from(page, at + 3)
    start = at + head + 2 * cells
    return (start, end) if start <= end <= len(page) else (0, 0)


NAMED = 256  # keys of one step: 5 ms
PASSED = 0.005  # seconds that one step looks at keys that are wrapped anew already: sixteen looks took 80 ms
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


class EpochTurn:
    """`kept`: how long a backup of the keys may be put back."""

    def __init__(self, folder: Path, wraps: tuple[bytes, ...], clock: Callable[[], datetime], kept: timedelta) -> None:
        self._folder = folder
        self._epochs = Epochs(folder, wraps, at_once=False)  # a service starts although it cannot be read just now
        self._clock = clock
        self._lasts = horizon(kept)
        self._begin_pass(0, ())
        self._swept = b""
        self._rests_until = 0

    def forgotten_by(self) -> datetime:
        """When the last epoch dies that wraps a key destroyed by now, or what is left of one. In any thread."""
        dates = [now := self._clock()]
        try:
            dates += [moment(held_until(each, self._ms)) for each in laid_aside(self._folder)]
            epochs = read_epochs(self._folder / FILE)
        except OSError:
            epochs = self._epochs.all  # as it was between the last two batches
        if not epochs or not epochs[-1].begun:
            return max(now + self._lasts, *dates)  # none has a date yet
        return max(*dates, *(moment(each.dies) for each in epochs))

    @property
    def _ms(self) -> int:
        return self._lasts // timedelta(milliseconds=1)

    def is_due(self) -> bool:
        """Whether there is a step to do. Reads no database. Raises OSError."""
        self._epochs.refresh()
        now, newest = milliseconds(self._clock()), self._epochs.newest
        if newest is None:
            return False
        older = self._epochs.older
        waits = any(not each.empty for each in older) and now >= self._rests_until
        dead = any(each.empty and each.dies <= now for each in older)
        return _is_over(newest, now) or waits or dead or any(self._epochs.ripe(now, self._ms))

    def step(self, db: sqlite3.Connection, vault: Vault) -> None:
        """One of them. Raises sqlite3.Error, OSError."""
        now, epochs = milliseconds(self._clock()), vault.epochs
        epochs.refresh()
        epochs.try_again(now, self._ms)
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

    def _begin(self, db: sqlite3.Connection, vault: Vault, number: int, now: int) -> None:
        dies = now + self._ms
        if disk.is_file(db):
            vault.epochs.begin(number, now, dies)
        else:
            vault.shared.begin(db, number, now, dies)

    def _begin_pass(self, of: int, over: Iterable[Epoch]) -> None:
        """To the epoch `of` from those in whose place it comes. One that is taken back later waits for another pass:
        this one may have passed over what it wraps.
        """
        self._of, self._over, self._place, self._whole = of, [each.number for each in over], NamesPlace(), True

    def _pass(self, db: sqlite3.Connection, vault: Vault, newest: int, now: int) -> None:
        if self._of != newest:
            self._begin_pass(newest, vault.epochs.older)
        ends = time.monotonic() + PASSED
        while True:
            named, place = names_after(db, self._place)
            wrapped, whole = vault.rewrap_some(named)
            self._whole = self._whole and whole
            if place is None:
                self._end_pass(vault.epochs, now)
                return
            self._place = place
            if wrapped or time.monotonic() >= ends:
                return

    def _end_pass(self, epochs: Epochs, now: int) -> None:
        if self._whole:
            epochs.mark(self._over, empty=True)
        else:
            self._rests_until = now + REST
        self._of = 0

    def _bury(self, vault: Vault, epoch: Epoch) -> None:
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
