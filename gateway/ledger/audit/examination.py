"""The examination of a ledger before it is answered from: every gate, its pages where the last stop was not clean, and
what was signed last. `app.composition` calls it.

The watch asks twice a second; the long part is done once for each file. Whether the last stop was clean says a small
file beside the ledger, marked while somebody has it open: every process shares a lock on it, and the last to leave
takes the mark away. Who finds the mark and nobody who shares the lock comes after a crash, and marks it as in doubt, so
that whoever comes meanwhile reads every page too. One process of several that is killed leaves no trace: the kernel
keeps what it wrote; a power cut ends them all.
"""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway import disk
from gateway.ledger import schema
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.publisher import Publisher
from gateway.ledger.schema import FILE
from gateway.ledger.store import Store
from gateway.ledger.tree import TreeBroken

NAME = f"{FILE}.open"
MARK, DOUBT = b"open\n", b"read\n"  # open, and every page is yet to be read


@dataclass(slots=True)
class Stop:
    """`doubtful`: the last stop was not clean. Whoever has read every page since says `settled`. `mark`: a descriptor
    of the file that says so to other processes.
    """

    doubtful: bool
    mark: int | None = None

    def settled(self) -> None:
        if self.doubtful and self.mark is not None:
            os.pwrite(self.mark, MARK, 0)
        self.doubtful = False


@contextlib.contextmanager
def marked_while_open(folder: Path) -> Iterator[Stop]:
    """While the installation is in use. The mark stays for the next start while this stop is in doubt. Raises
    `LedgerRefused` where the folder cannot be written to.
    """
    descriptor = _open_mark(folder)
    try:
        alone = _alone(descriptor)
        if alone:
            _write_back(folder)
        found = os.pread(descriptor, len(MARK), 0)
        if alone:
            os.pwrite(descriptor, DOUBT if found else MARK, 0)
            os.fsync(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        stop = Stop(os.pread(descriptor, len(MARK), 0) == DOUBT, descriptor)
        try:
            yield stop
        finally:
            if not stop.doubtful and _alone(descriptor):
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def nobody_else(folder: Path) -> Iterator[None]:
    """While no other process has the installation open. Raises `LedgerRefused` where one has."""
    descriptor = _open_mark(folder)
    try:
        if not _alone(descriptor):
            raise LedgerRefused(f"{folder} is in use; stop the service first (`fuser {folder / NAME}` names it)")
        yield
    finally:
        os.close(descriptor)


def _open_mark(folder: Path) -> int:
    try:
        return os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LedgerRefused(f"{folder} cannot be written to: {error.strerror}") from error


def _write_back(folder: Path) -> None:
    """What a sync that failed left in memory only must not be built upon."""
    try:
        disk.write_back(folder)
    except OSError as error:
        raise LedgerRefused(f"the logs in {folder} cannot be written to: {error.strerror}") from error


def _alone(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


AGAIN = 5.0  # seconds before a file that was found damaged is read through once more, unless it changed


class Examination:
    """A judge for the watch. `stop`: where the last one was not clean, every page is read."""

    def __init__(
        self, store: Store, publisher: Publisher, *, stop: Stop, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._stop = stop
        self._clock = clock
        self._sound: object = None
        self._failed: tuple[object, float, LedgerRefused] | None = None

    def __call__(self, db: sqlite3.Connection) -> bool:
        """True: the ledger grew out of what was signed last; False: nothing was signed yet. Raises `LedgerRefused`."""
        name, content = self._store.identity()
        if name != self._sound:
            self._look((name, content))
        try:
            grown = self._publisher.prove(db)
        except (TreeBroken, ValueError, sqlite3.DatabaseError) as error:
            raise LedgerRefused(schema.damaged(self._store.name, error)) from error
        self._sound = name
        return grown

    def _look(self, seen: object) -> None:
        """Every gate and, in doubt, every page. What failed a moment ago fails again without another look."""
        if self._failed and self._failed[0] == seen and self._clock() < self._failed[1] + AGAIN:
            raise self._failed[2]
        try:
            with self._store.held():
                self._store.open_to_write().close()
            if self._stop.doubtful or self._sound:  # of a file that was put back meanwhile the past is not known
                self._store.examine()
        except LedgerRefused as refused:
            self._failed = (seen, self._clock(), refused)
            raise
        self._failed = None
        self._stop.settled()
