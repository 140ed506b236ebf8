"""The examination of a ledger before it is answered from: every gate, its pages where its past is not known, and what
was signed last. The watch asks twice a second; the long part is done once for each file.
"""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from gateway.ledger import schema
from gateway.ledger.clean_stop import Stop
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.publisher import Publisher
from gateway.ledger.tree import TreeBroken

AGAIN = 5.0  # seconds before a file that was found damaged is read through once more, unless it changed


class Examination:
    """A judge for the watch. `stop`: where the last one was not clean, every page is read."""

    def __init__(
        self, folder: Path, publisher: Publisher, *, stop: Stop, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = folder / schema.FILE
        self._folder = folder
        self._publisher = publisher
        self._stop = stop
        self._clock = clock
        self._sound: tuple[int, int] | None = None
        self._failed: tuple[object, float, LedgerRefused] | None = None

    def __call__(self, db: sqlite3.Connection) -> bool:
        """True: the ledger grew out of what was signed last; False: nothing was signed yet. Raises `LedgerRefused`."""
        here = self._path.stat()
        name = (here.st_dev, here.st_ino)
        if name != self._sound:
            self._look((name, here.st_size, here.st_mtime_ns))
        try:
            grown = self._publisher.prove(db)
        except (TreeBroken, ValueError, sqlite3.DatabaseError) as error:
            raise LedgerRefused(schema.damaged(self._path, error)) from error
        self._sound = name
        return grown

    def _look(self, seen: object) -> None:
        """Every gate and, in doubt, every page. What failed a moment ago fails again without another look."""
        if self._failed and self._failed[0] == seen and self._clock() < self._failed[1] + AGAIN:
            raise self._failed[2]
        try:
            with schema.held(self._folder):
                schema.open_to_write(self._folder).close()
            if self._stop.doubtful or self._sound:  # of a file that was put back meanwhile the past is not known
                schema.quick_check(self._folder)
        except LedgerRefused as refused:
            self._failed = (seen, self._clock(), refused)
            raise
        self._failed = None
        self._stop.settled()
