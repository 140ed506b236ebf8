"""Zeroing what SQLite leaves in unallocated space: copies of rows that it once moved between two pages of the file.

`secure_delete` zeroes a row where it lies when it is deleted, not the places where it lay before it was moved (measured
with SQLite 3.46.1 and 3.54.1: after people were unlinked, one in three hundred of what had named them was still in the
file). No more is kept of them that way than a digest or a sealed box whose key is destroyed, but whoever has the pepper
could find by it that somebody was here. So a walk goes over every page, a part at a time between two batches, when an
erasure is written and whenever a writer starts; what is sensitive is gone before, with the keys (keys/person_keys.py).

The form of a page: sqlite.org/fileformat2.html, 1.6. Read and written through `sqlite_dbpage`, in transactions as any
other. Where SQLite was built without it there is no walk, and a prune vacuums.
"""

import contextlib
import sqlite3
import struct
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from gateway import disk
from gateway.ledger import schema
from gateway.ledger.erasure_steps import PAUSE, TRIES

PART = 500  # pages of one step, 2 MB: 3 to 4 ms
FIRST = 1  # the number of a file's first page
HEADER = 100  # bytes of the file's header, before the first page's
HEAD = {2: 12, 5: 12, 10: 8, 13: 8}  # by type of a b-tree's page: bytes before the pointers to its cells
COUNTS = struct.Struct(">HH")  # of a b-tree's page: how many cells, where the first of them begins
LARGEST = 1 << 24  # pages: up to there the first byte of any page that is no b-tree's is none of these types


@cache
def is_built_in() -> bool:
    """Whether this SQLite lets its pages be read and written."""
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        asked = "SELECT 1 FROM pragma_compile_options WHERE compile_options = 'ENABLE_DBPAGE_VTAB'"
        return db.execute(asked).fetchone() is not None


def zero(db: sqlite3.Connection, first: int = FIRST, count: int = PART) -> int | None:
    """Looks at so many pages. Returns where to go on; None once the end was reached and no older page is left in the
    log, or where there is no walk. Under the writers' lock. Raises sqlite3.Error.
    """
    last = _last(db)
    if not _walks(db, last):
        return None
    numbers = range(first, min(first + count, last + 1))
    _zero(db, numbers)
    if numbers.stop <= last:
        return numbers.stop
    return None if disk.tidy(db, empty_from=0) else first  # somebody reads what was there before: asked again


def zero_whole(folder: Path) -> None:
    """The whole file, while others write to it between two parts. Raises sqlite3.Error, `LedgerRefused`."""
    at: int | None = FIRST
    tries = 0
    while at and tries < TRIES:
        with schema.held(folder), contextlib.closing(schema.open_to_write(folder)) as db:
            if not _walks(db, _last(db)):
                disk.vacuum(db)
            before, at = at, zero(db, at, 40 * PART)
        if at == before:  # somebody reads the log; if it cannot be emptied now, the service's writer does
            tries += 1
            time.sleep(PAUSE)


def zero_copy(db: sqlite3.Connection) -> None:
    """The whole of a file that nobody else knows yet and that has no log. Raises sqlite3.Error."""
    last = _last(db)
    if _walks(db, last):
        for first in range(FIRST, last + 1, PART):
            _zero(db, range(first, min(first + PART, last + 1)))


def _zero(db: sqlite3.Connection, numbers: Iterable[int]) -> None:
    found = [number for number in numbers if is_left_on(_page(db, number), number)]
    if not found:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for number in found:
            content = zeroed(_page(db, number), number)
            db.execute("UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?", (content, number))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a disk that fails at COMMIT has rolled it back already
            db.execute("ROLLBACK")
        raise


def _walks(db: sqlite3.Connection, pages: int) -> bool:
    """Whether every page whose first byte is a b-tree's is one."""
    return is_built_in() and pages < LARGEST and db.execute("PRAGMA auto_vacuum").fetchone() == (0,)


def _last(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA page_count").fetchone()[0])


def _page(db: sqlite3.Connection, number: int) -> bytes:
    content: bytes = db.execute("SELECT data FROM sqlite_dbpage WHERE pgno = ?", (number,)).fetchone()[0]
    return content


def is_left_on(page: bytes, number: int) -> bool:
    """Whether there is anything but pointers to cells that are there no more: two bytes, below the page's length."""
    start, end = _unallocated(page, number)
    return page[start:end] != bytes(end - start) and max(page[start:end:2]) >= len(page) >> 8


def zeroed(page: bytes, number: int) -> bytes:
    """The page with nothing in its unallocated space."""
    start, end = _unallocated(page, number)
    return page[:start] + bytes(end - start) + page[end:]


def _unallocated(page: bytes, number: int) -> tuple[int, int]:
    """From the last pointer to the first cell; nothing of a page that is no b-tree's, or not formed as one."""
    at = HEADER if number == FIRST else 0
    head = HEAD.get(page[at])
    if head is None:
        return 0, 0
    cells, end = COUNTS.unpack_from(page, at + 3)
    start = at + head + 2 * cells
    return (start, end) if start <= end <= len(page) else (0, 0)
