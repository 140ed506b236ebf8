"""Freshness: twice a second somebody proves that the file answered from is the file that is written.

Path, inode, file header and head row must be those that were opened; each proof moves `fresh_until`. Past it a check
denies with reason `stale`. The clock is CLOCK_BOOTTIME: it counts through a suspended machine.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gateway.ledger import schema

PERIOD = 0.5
TERM = 1.2  # seconds a proof is good for: with PERIOD, every check denies within 1.7 s of the last good proof


class FileMoved(Exception):
    """The path no longer leads to the file that was opened, or its keys are not ours."""


def boot_seconds() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class FileWatch:
    """Holds a descriptor of the file for as long as it lives, and never closes it before SQLite has closed its own:
    closing any descriptor of a file drops all POSIX locks that the process has on it.
    """

    def __init__(self, folder: Path, peppers: int, clock: Callable[[], float] = boot_seconds) -> None:
        self._folder = folder
        self.peppers = peppers
        self._path = folder / schema.FILE
        self._clock = clock
        self._descriptor: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.fresh_until = 0.0
        self.generation = 0
        self.healthy = False

    def start(self) -> None:
        """The first proof at once; raises what it finds."""
        self._descriptor = os.open(self._path, os.O_RDONLY)
        self._prove()
        self._thread = threading.Thread(target=self._run, name="ledger-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """After every connection of this process is closed."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def fresh(self) -> bool:
        return self._clock() < self.fresh_until

    def failed(self) -> None:
        """The writer could not commit: no answer is fresh until the next proof."""
        self.fresh_until = 0.0
        self.healthy = False

    def prove_file(self) -> None:
        """Raises `FileMoved`, or OSError where the path leads nowhere or the disk does not read. The writer asks
        before and after each commit: a connection alone would go on from the pages that it has in memory.
        """
        assert self._descriptor is not None
        here, held = self._path.stat(), os.fstat(self._descriptor)
        if (here.st_dev, here.st_ino) != (held.st_dev, held.st_ino):
            raise FileMoved(str(self._path))
        if os.pread(self._descriptor, len(schema.HEADER), 0) != schema.HEADER:
            raise FileMoved(f"{self._path} no longer begins as a database")

    def prove_peppers(self, db: sqlite3.Connection) -> None:
        """Keys made under other peppers than the rows find nothing, and nothing found would be an allow."""
        found = db.execute("SELECT peppers FROM head").fetchone()[0]
        if found != self.peppers:
            raise FileMoved(f"the keys are wrapped by {found} peppers, this process has {self.peppers}: restart it")

    def _prove(self) -> None:
        began = self._clock()
        self.prove_file()
        # A connection of its own: one that is open already may answer from pages that it has in memory.
        with contextlib.closing(schema.open_to_read(self._folder)) as db:
            self.prove_peppers(db)
        if not self.healthy:
            self.generation += 1  # readers open the file anew after a spell without proof
            self.healthy = True
        self.fresh_until = began + TERM

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            try:
                self._prove()
            except (OSError, sqlite3.Error, FileMoved, schema.LedgerRefused):
                self.failed()
