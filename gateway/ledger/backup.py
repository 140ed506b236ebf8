"""Copies of a database file while it is in use, and putting one back.

A copy is made through SQLite's backup API on a read-only connection whose one read transaction lasts from the first
page to the last: other processes go on writing, and the copy is of one moment. (In the writing process it would hold up
the writer's thread; with a snapshot a step, every commit of another connection would start it anew.) The WAL grows
meanwhile. Pages are copied as they are, so what SQLite left in them of rows that were deleted is zeroed in the copy: it
keeps no more where it is made before a walk over the ledger (unallocated.py) is over.
Never copies a file by its path, and never overwrites one.
"""

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from gateway.disk import make_folder, reserve
from gateway.ledger import schema, tree, unallocated
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.merkle import Frontier
from gateway.ledger.schema import FILE

PAGES = 1024  # of one step, 4 MiB: a stop is noticed between two
TAIL = ("-wal", "-shm")


def copy(source: Path, destination: Path) -> None:
    """One database file, as of one moment, durable when this returns. Raises `LedgerRefused`."""
    if destination.exists():
        raise LedgerRefused(f"{destination} is there already, and nothing is overwritten; name another place")
    try:
        with _reading(source) as reading, _writing(destination) as writing:
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # the snapshot begins with the first read
            reading.backup(writing, pages=PAGES)
            writing.execute("PRAGMA journal_mode = DELETE")  # one file, whole, without a log beside it
            writing.execute("PRAGMA journal_mode = OFF")  # nor beside what is done now: where it fails, the copy goes
            unallocated.zero_copy(writing)
    except sqlite3.Error as error:
        destination.unlink(missing_ok=True)
        raise LedgerRefused(f"{source} cannot be copied: {error}") from error
    sync(destination)
    sync(destination.parent)


def _reading(path: Path) -> contextlib.closing[sqlite3.Connection]:
    if not path.exists():
        raise LedgerRefused(f"{path} is not there")
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    return contextlib.closing(db)


def _writing(path: Path) -> contextlib.closing[sqlite3.Connection]:
    reserve(path)
    return contextlib.closing(sqlite3.connect(path, isolation_level=None))


def examined(folder: Path) -> Checkpoint:
    """What a folder's ledger is the log of, after every page and its tree were read. Raises `LedgerRefused`."""
    schema.quick_check(folder)
    with contextlib.closing(schema.open_to_read(folder)) as db:
        try:
            tree.prove(db)
        except tree.TreeBroken as broken:
            raise LedgerRefused(schema.damaged(folder / FILE, broken)) from broken
        size, packed, origin = db.execute("SELECT size, frontier, origin FROM head").fetchone()
    return Checkpoint(origin, size, Frontier(size, packed).root())


def put_back(backup: Path, folder: Path) -> Path | None:
    """The ledger of a backup becomes that of the folder; the one that was there is laid aside, never deleted. Nobody
    else has the folder open. Returns where the old one is. Raises `LedgerRefused`.
    """
    examined(backup)
    make_folder(folder)
    arriving = folder / f".{FILE}.arriving"
    arriving.unlink(missing_ok=True)
    copy(backup / FILE, arriving)
    aside = _lay_aside(folder)
    arriving.replace(folder / FILE)
    sync(folder)
    return aside


def _lay_aside(folder: Path) -> Path | None:
    there = [path for path in (folder / f"{FILE}{tail}" for tail in ("", *TAIL)) if path.exists()]
    if not there:
        return None
    aside = folder / f"before-restore-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(2).hex()}"
    aside.mkdir(mode=0o700)
    for path in there:
        path.rename(aside / path.name)
    sync(aside)
    return aside


def sync(path: Path) -> None:
    """A file's content, or a folder's names, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
