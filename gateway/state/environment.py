"""The LMDB environment of the state, opened and held by `upkeep`: one folder a generation (`state/<random>/`); the
file `state/current` has the name of the one in force.

Commits are not synced: what a killed process had committed is there, what a power cut left may be torn, and LMDB would
not notice. So beside each environment lies a mark, which says before anything of it is read in which boot of the kernel
it was written, and whether it was synced whole since. Never knows what a row means.
"""

import contextlib
import mmap
import os
import secrets
import shutil
import struct
import threading
from pathlib import Path
from typing import Any

import lmdb

from gateway.disk import locked, make_folder, write_durably
from gateway.mirror.memory_map import FILE, MAX_READERS, MapRefused, boot_id, prove_whole
from gateway.state.packed_rows import LEFT_KEY

STATE, CURRENT, COPY, MARK, MAKING = "state", "current", "copy", "mark", "making"
MARK_FORM = struct.Struct("16s???")  # boot, synced, behind, retired
SYNCED, BEHIND, RETIRED = 16, 17, 18
FIRST_SIZE = 2**26  # bytes of address space, which is all that an empty map takes
MOST = 2**40  # bytes; a file takes what is used of it


class StateRefused(Exception):
    """It may not be answered from: it is not there, behind, torn, full, or another's. Checks deny."""


class StateForeign(StateRefused):
    """It follows another log, or other rules or peppers made it; so it must be made anew."""


class StateUnmarked(StateRefused):
    """It may be behind, and other processes cannot be shown that."""


class StateMark:
    """The mark beside an environment: one for all processes, for it is mapped."""

    def __init__(self, path: Path) -> None:
        self._boot = boot_id()
        self._file = os.open(path, os.O_RDWR)
        try:
            self._bytes = mmap.mmap(self._file, MARK_FORM.size)
        except ValueError:
            os.close(self._file)
            raise

    def is_whole(self) -> bool:
        """Whether what lies beside it is what was written last."""
        return bool(self._bytes[SYNCED]) or self._bytes[:SYNCED] == self._boot

    @property
    def denies(self) -> bool:
        """Whether nothing may be answered: it is behind, or another generation took its place."""
        return bool(self._bytes[BEHIND] or self._bytes[RETIRED])

    @property
    def retired(self) -> bool:
        return bool(self._bytes[RETIRED])

    def set_behind(self, *, behind: bool) -> None:
        """Shown to all processes at once; a store into memory, which a full disk does not refuse."""
        self._bytes[BEHIND] = behind

    def retire(self) -> None:
        self._bytes[RETIRED] = True

    def begin_writing(self) -> None:
        """Before anything is written that is not synced: what says that it is whole goes, and that is durable."""
        if self._bytes[SYNCED] or self._bytes[:SYNCED] != self._boot:
            self._keep(self._boot + b"\0")

    def end_writing(self) -> None:
        """Once all is on the disk."""
        self._keep(self._bytes[:SYNCED] + b"\1")

    def _keep(self, beginning: bytes) -> None:
        os.pwrite(self._file, beginning, 0)  # within a sector: whole or not at all
        os.fsync(self._file)

    def close(self) -> None:
        self._bytes.close()
        os.close(self._file)


class StateMap:
    """One generation, open. A process has each open once: LMDB forbids more. `lock` is held by whoever reads in this
    process, for the map must not be made larger meanwhile.
    """

    def __init__(self, folder: Path, size: int = 0) -> None:
        """`size` 0: as large as its file says. Raises `StateRefused` for one that may be torn."""
        self.folder, self.lock, self.copying = folder, threading.RLock(), threading.Lock()
        self.last_head: Any = None  # what whoever reads in it remembers of its head
        try:
            self.mark = StateMark(folder / MARK)
            if not size and not self.mark.is_whole():
                raise StateRefused("it was written before the kernel booted, and not synced")
            if not size:
                prove_whole(folder / FILE)
            self.env = lmdb.open(
                str(folder), map_size=size, max_readers=MAX_READERS, sync=False, metasync=False, mode=0o600,
                max_spare_txns=4,
            )  # fmt: skip
        except (lmdb.Error, OSError, MapRefused, ValueError) as error:
            raise StateRefused(f"{type(error).__name__}: {error}") from error

    def begin(self) -> lmdb.Transaction:
        """To read, under `lock`. Another process may have made it larger."""
        try:
            return self.env.begin()
        except lmdb.MapResizedError:
            self.env.set_mapsize(0)
            return self.env.begin()

    def begin_writing(self) -> lmdb.Transaction:
        """Under the writers' lock."""
        self.mark.begin_writing()
        try:
            return self.env.begin(write=True)
        except lmdb.MapResizedError:
            with self.lock, self.copying:
                self.env.set_mapsize(0)
            return self.env.begin(write=True)

    def grow(self, most: int = MOST) -> None:
        """Twice as much address space; no transaction of this thread is open. Raises `StateRefused`."""
        size = 2 * int(self.env.info()["map_size"])
        if size > most:
            raise StateRefused(f"the state is full: it may have {most} bytes")
        with self.lock, self.copying:
            self.env.set_mapsize(size)

    def sync(self) -> None:
        """All of it is on the disk, and its mark says so. Under the writers' lock."""
        self.env.sync(True)
        self.mark.end_writing()

    def check_readers(self) -> int:
        """Takes away what readers that were killed had left: their pages could never be used again. How many."""
        return int(self.env.reader_check())

    def taken(self) -> int:
        """Bytes: pages that were ever used."""
        return (int(self.env.info()["last_pgno"]) + 1) * int(self.env.stat()["psize"])

    def close(self) -> None:
        with self.lock:
            self.env.close()
            self.mark.close()


def open_current(data: Path, link: str = CURRENT) -> StateMap:
    """The generation in force in a data folder. Raises `StateRefused`."""
    return StateMap(_led_to(data / STATE, link))


def _led_to(states: Path, link: str) -> Path:
    try:
        return states.resolve() / (states / link).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise StateRefused(f"there is none: {error}") from error


def make_generation(data: Path, size: int = FIRST_SIZE) -> StateMap:
    """An empty one, not in force yet."""
    return StateMap(_new_folder(data), size)


def _new_folder(data: Path) -> Path:
    """With a mark that it was written in this boot. What an earlier try left goes."""
    make_folder(data / STATE)
    _sweep(data / STATE)
    folder = (data / STATE).resolve() / secrets.token_hex(8)
    folder.mkdir(mode=0o700)
    write_durably(folder / MARK, MARK_FORM.pack(boot_id(), False, False, False))
    return folder


def put_in_force(made: StateMap, before: StateMap | None) -> None:
    """From now on the path leads to the new one. Under the writers' lock."""
    _lead(made.folder, CURRENT)
    if before is not None:
        before.mark.retire()
    _sweep(made.folder.parent)


def _lead(folder: Path, link: str) -> None:
    write_durably(folder.parent / link, folder.name.encode())


def _sweep(states: Path) -> None:
    """Away with what nothing leads to."""
    kept = set[Path]()
    for link in (CURRENT, COPY):
        with contextlib.suppress(StateRefused):
            kept.add(_led_to(states, link))
    for other in states.iterdir():
        if other.is_dir() and other not in kept:
            shutil.rmtree(other, ignore_errors=True)


def make_copy(data: Path, held: StateMap) -> None:
    """Of one moment, synced; it takes the place of the copy before. While one is `making`."""
    folder = _copied(data, held)
    with (folder / FILE).open("rb") as file:
        os.fsync(file.fileno())
    write_durably(folder / MARK, MARK_FORM.pack(boot_id(), True, False, False))
    _lead(folder, COPY)
    _sweep(folder.parent)


def make_compact(data: Path, held: StateMap) -> StateMap:
    """A generation with what stands in another one and nothing of what was replaced there. While one is `making`."""
    made = StateMap(_copied(data, held))
    with made.begin_writing() as txn:
        txn.delete(LEFT_KEY)
    return made


def _copied(data: Path, held: StateMap) -> Path:
    """A folder with what stands at one moment, in pages that hold nothing else."""
    folder = _new_folder(data)
    with held.copying:
        held.env.copy(str(folder), compact=True)
    return folder


def drop_copy(data: Path) -> None:
    """One that does not follow the log never will again, or holds what is forgotten since."""
    with contextlib.suppress(StateRefused):
        folder = _led_to(data / STATE, COPY)
        (data / STATE / COPY).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def making(data: Path) -> contextlib.AbstractContextManager[int]:
    """While folders are made: what nothing leads to is swept away by whoever makes the next. Raises BlockingIOError
    where another process makes one.
    """
    make_folder(data / STATE)
    return locked(data / STATE / MAKING, wait=False)


def set_behind(data: Path) -> None:
    """The mark of the one in force, whether its map can be opened or not. Raises `StateUnmarked`."""
    if not (data / STATE / CURRENT).exists():
        return  # nor can anybody answer from it
    try:
        descriptor = os.open(_led_to(data / STATE, CURRENT) / MARK, os.O_WRONLY)
        try:
            os.pwrite(descriptor, b"\1", BEHIND)
        finally:
            os.close(descriptor)
    except (OSError, StateRefused) as error:
        raise StateUnmarked(f"it cannot be marked as behind: {error}") from error


def make_from_copy(data: Path) -> StateMap:
    """A generation that begins as the last copy. Raises `StateRefused`."""
    with contextlib.closing(open_current(data, COPY)) as copied:
        folder = _new_folder(data)
        try:
            shutil.copyfile(copied.folder / FILE, folder / FILE)
        except OSError as error:
            raise StateRefused(f"the copy cannot be read: {error.strerror}") from error
    return StateMap(folder)
