"""Whether the last stop was a clean one: a small file beside the ledger, marked while somebody has it open.

Every process that has the installation open shares a lock on it; the last to leave takes the mark away. Who finds the
mark and nobody who shares the lock comes after a crash, and has every page read once. One process of several that is
killed leaves no trace: the kernel keeps what it wrote; a power cut ends them all.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway import disk
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.schema import FILE

NAME = f"{FILE}.open"
MARK = b"open\n"


@dataclass(slots=True)
class Stop:
    """`doubtful`: the last stop was not clean. Whoever has read every page since says `settled`."""

    doubtful: bool

    def settled(self) -> None:
        self.doubtful = False


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Stop]:
    """While the installation is in use. The mark stays for the next start while this stop is in doubt. Raises
    `LedgerRefused` where the folder cannot be written to.
    """
    descriptor = _open(folder)
    try:
        alone = _alone(descriptor)
        if alone:
            _write_back(folder)
        stop = Stop(alone and bool(os.pread(descriptor, len(MARK), 0)))
        if alone:
            os.pwrite(descriptor, MARK, 0)
            os.fsync(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
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
    descriptor = _open(folder)
    try:
        if not _alone(descriptor):
            raise LedgerRefused(f"{folder} is in use; stop the service first (`fuser {folder / NAME}` names it)")
        yield
    finally:
        os.close(descriptor)


def _open(folder: Path) -> int:
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
