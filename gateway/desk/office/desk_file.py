"""The desk's own database, `desk.sqlite3` in the data folder: people of the desk, their passkeys and sessions, and the
log of what they looked at, and the requests that came to it. The officers, the desk's log, its cases and the commands
open it; no check and no choice ever does.

Every call is a short transaction on a connection of its own, so that several processes of one folder share it.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gateway import disk
from gateway.ledger.errors import StoreUnavailable

DESK_FILE = "desk.sqlite3"
PATIENCE = 5.0  # seconds that a call waits for another process's
SCHEMA = """
CREATE TABLE IF NOT EXISTS person (name TEXT PRIMARY KEY, role TEXT NOT NULL, made INTEGER NOT NULL, ended INTEGER);
CREATE TABLE IF NOT EXISTS invitation (hash BLOB PRIMARY KEY, name TEXT NOT NULL, until INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS passkey (id BLOB PRIMARY KEY, name TEXT NOT NULL, key BLOB NOT NULL, count INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS company (issuer TEXT, subject TEXT, name TEXT NOT NULL, PRIMARY KEY (issuer, subject));
CREATE TABLE IF NOT EXISTS session (hash BLOB PRIMARY KEY, name TEXT NOT NULL, way TEXT NOT NULL,
 begun INTEGER NOT NULL, used INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS step (hash BLOB PRIMARY KEY, content TEXT NOT NULL, until INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS looked (number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, sealed BLOB,
 head BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS request (number INTEGER PRIMARY KEY AUTOINCREMENT, received INTEGER NOT NULL,
 kind TEXT NOT NULL, place TEXT NOT NULL, manner TEXT NOT NULL, acknowledged INTEGER,
 extended INTEGER NOT NULL DEFAULT 0, answered INTEGER,
 outcome TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', event TEXT NOT NULL DEFAULT '',
 sealed BLOB, permission BLOB);
CREATE TABLE IF NOT EXISTS lookup (name TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS mail (digest BLOB PRIMARY KEY, number INTEGER NOT NULL, original BLOB);
CREATE TABLE IF NOT EXISTS bound (one INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS earlier (number INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (number, event));
CREATE TABLE IF NOT EXISTS appeal (number INTEGER PRIMARY KEY, received INTEGER NOT NULL, answered INTEGER,
 outcome TEXT NOT NULL DEFAULT '');
"""
MADE = 3  # of the schema, as `user_version`: one more with each change, which is run once for a file


@contextlib.contextmanager
def desk_file(folder: Path) -> Iterator[sqlite3.Connection]:
    """The database, made where there is none; the block is one transaction. Raises `StoreUnavailable`."""
    path = folder / DESK_FILE
    try:
        disk.reserve(path)
        with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as db:
            db.execute("PRAGMA secure_delete = ON")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            if db.execute("PRAGMA user_version").fetchone()[0] < MADE:
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {MADE:d}")
            yield db
            db.execute("COMMIT")
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"the desk's file: {type(error).__name__}") from error


def end_ways_in(folder: Path) -> None:
    """Sessions and invitations of a file that was put back: they may be over, or used, since. Raises
    `StoreUnavailable`.
    """
    with desk_file(folder) as db:
        for table in ("session", "invitation"):
            db.execute(f"DELETE FROM {table}")  # noqa: S608 - ours
