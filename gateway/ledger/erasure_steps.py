"""Finishing an erasure: what follows its transaction, in an order that survives a kill between any two steps.

The persons' keys are destroyed and the vault's file is cut, then the ledger's, then the erasure is done; only then it
is acknowledged. Each step may be repeated. Runs in the writer's thread, under the writers' lock.
"""

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from gateway import disk

TRIES = 50
PAUSE = 0.02  # seconds; a reader's snapshot is over in milliseconds


class PendingKeys(Protocol):
    """What the vault offers to an erasure."""

    def destroy(self, persons: Iterable[bytes], whole: Collection[bytes]) -> None: ...
    def cut(self) -> bool: ...


class NotYet(Exception):
    """A reader still holds an older page; asked again a second later."""


def waits(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM erasure WHERE NOT done LIMIT 1").fetchone() is not None


def finish(db: sqlite3.Connection, vault: PendingKeys) -> None:
    """Everything that is pending. Raises `NotYet` or `sqlite3.Error`; then it stays pending."""
    if not waits(db):
        return
    destroy_keys(db, vault)
    cut_vault(vault)
    cut_ledger(db)
    mark_done(db)


def destroy_keys(db: sqlite3.Connection, vault: PendingKeys) -> None:
    rows = db.execute("SELECT person, whole FROM erasure_person").fetchall()
    vault.destroy({person for person, _ in rows}, {person for person, whole in rows if whole})


def cut_vault(vault: PendingKeys) -> None:
    _until_cut(vault.cut)


def cut_ledger(db: sqlite3.Connection) -> None:
    """Until then what was deleted is in the main file still, and what was written before in the log beside it."""
    (patience,) = db.execute("PRAGMA busy_timeout").fetchone()
    db.execute("PRAGMA busy_timeout = 0")  # waiting inside would hold the write lock against every other process
    try:
        _until_cut(lambda: cut(db))
    finally:
        db.execute(f"PRAGMA busy_timeout = {patience:d}")


def mark_done(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE erasure SET done = 1 WHERE NOT done")
    db.execute("DELETE FROM erasure_person")
    db.execute("COMMIT")


def cut(db: sqlite3.Connection) -> bool:
    """Whether every page is in the main file and the write-ahead log is empty."""
    return disk.bring_over(db, empty=True)[0]


def _until_cut(step: Callable[[], bool]) -> None:
    for _ in range(TRIES):
        if step():
            return
        time.sleep(PAUSE)
    raise NotYet
