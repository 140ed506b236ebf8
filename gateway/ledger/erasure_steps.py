"""Finishing an erasure: what follows its transaction, in an order that survives a kill between any two steps; and
zeroing what SQLite leaves of deleted rows. The writer calls it, in its thread, under the writers' lock.

The records' keys are destroyed, the ledger's file is cut, then the erasure is done; only then it is acknowledged. Each
step may be repeated. What the vault's file still holds of a destroyed key dies with its epoch (keys/epochs.py), and a
sealed box without its key tells nothing; the ledger's file is cut and walked over for what named somebody.

`secure_delete` zeroes a row where it lies when it is deleted, not the places where it lay before it was moved (measured
with SQLite 3.46.1 and 3.54.1: after people were unlinked, one in three hundred of what had named them was still in the
file). No more is kept of them that way than a digest or a sealed box whose key is destroyed, but whoever has the pepper
could find by it that somebody was here. So a walk goes over every page, a part at a time between two batches, when an
erasure is written and whenever a writer starts; what is sensitive is closed before, with the keys.
The form of a page: sqlite.org/fileformat2.html, 1.6. Read and written through `sqlite_dbpage`, in transactions as any
other. Where SQLite was built without it there is no walk, and a prune vacuums.
"""

import contextlib
import sqlite3
import struct
import time
from collections.abc import Callable, Collection, Iterable
from functools import cache
from pathlib import Path
from typing import Protocol

from gateway import disk
from gateway.ledger import schema

TRIES = 50
PAUSE = 0.02  # seconds; a reader's snapshot is over in milliseconds


class PendingKeys(Protocol):
    """What the vault offers to an erasure."""

    def destroy(self, persons: Iterable[bytes], whole: Collection[bytes]) -> None: ...


class NotYet(Exception):
    """A reader still holds an older page; asked again a second later."""


def is_pending(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM erasure WHERE NOT done LIMIT 1").fetchone() is not None


def finish_erasure(db: sqlite3.Connection, vault: PendingKeys) -> None:
    """Everything that is pending. Raises `NotYet` or `sqlite3.Error`; then it stays pending."""
    if not is_pending(db):
        return
    last = destroy_keys(db, vault)
    cut_ledger(db)
    mark_done(db, last)


def destroy_keys(db: sqlite3.Connection, vault: PendingKeys) -> int:
    """Of every erasure up to the last one that is seen, whose number is returned: another machine may write one more
    meanwhile.
    """
    [last] = db.execute("SELECT max(seq) FROM erasure WHERE NOT done").fetchone() or (None,)
    last = -1 if last is None else int(last)
    rows = db.execute("SELECT person, whole FROM erasure_person WHERE seq <= ?", (last,)).fetchall()
    vault.destroy({person for person, _ in rows}, {person for person, whole in rows if whole})
    return last


def cut_ledger(db: sqlite3.Connection) -> None:
    """Until then what was deleted is in the main file still, and what was written before in the log beside it."""
    with disk.not_waiting(db):  # inside it would hold the write lock against every other process
        _until_cut(lambda: cut_log(db))


def mark_done(db: sqlite3.Connection, last: int) -> None:
    """All up to the last one whose keys were destroyed."""
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE erasure SET done = 1 WHERE seq <= ? AND NOT done", (last,))
    db.execute("DELETE FROM erasure_person WHERE seq <= ?", (last,))
    db.execute("COMMIT")


def cut_log(db: sqlite3.Connection) -> bool:
    """Whether every page is in the main file and the write-ahead log is empty."""
    return disk.bring_over(db, empty=True)[0]


def _until_cut(step: Callable[[], bool]) -> None:
    for _ in range(TRIES):
        if step():
            return
        time.sleep(PAUSE)
    raise NotYet


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
    db.execute("BEGIN IMMEDIATE")
    try:
        for number in found:
            content = zeroed_page(_page(db, number), number)
            db.execute("UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?", (content, number))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a disk that fails at COMMIT has rolled it back already
            db.execute("ROLLBACK")
        raise


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
