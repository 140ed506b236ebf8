"""The LMDB environment of the state, opened and held by `upkeep`: one folder a generation (`state/<random>/`); the
file `state/current` has the name of the one in force, and all others are marked as behind before anything is written
to it.

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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb

from gateway.disk import locked, make_folder, write_durably
from gateway.mirror.memory_map import FILE, MAX_READERS, MapRefused, boot_id, prove_whole
from gateway.state.packed_rows import LEFT_KEY

STATE, CURRENT, COPY, MARK, MAKING = "state", "current", "copy", "mark", "making"
MARK_FORM = struct.Struct("16s??")  # boot, synced, behind
SYNCED, BEHIND = 16, 17
# Bytes of address space, of which a process has 128 times as many; a file takes what is used of it. All of it from the
# beginning: while anybody reads or copies it must not be made larger (measured: the process dies of SIGSEGV).
MOST = 2**40


class StateRefused(Exception):
    """It may not be answered from: it is not there, behind, torn, full, or another's. Checks deny."""


class StateForeign(StateRefused):
    """It follows another log, or other rules or peppers made it; so it must be made anew."""


class StateUnmarked(StateRefused):
    """It may be behind, and other processes cannot be shown that."""


class StateMark:
    """The mark beside an environment: one for all processes, for it is mapped."""

    def __init__(self, path: Path) -> None:
        self._path, self._boot = path, boot_id()
        with path.open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), MARK_FORM.size)

    def is_whole(self) -> bool:
        """Whether what lies beside it is what was written last."""
        return bool(self._bytes[SYNCED]) or self._bytes[:SYNCED] == self._boot

    @property
    def denies(self) -> bool:
        """Whether nothing may be answered: it is behind, or another generation took its place."""
        return bool(self._bytes[BEHIND])

    def set_behind(self, *, behind: bool) -> None:
        """Shown to all processes at once; a store into memory, which a full disk does not refuse."""
        self._bytes[BEHIND] = behind

    def begin_writing(self) -> None:
        """Before anything is written that is not synced: what says that it is whole goes, and that is durable."""
        if self._bytes[SYNCED] or self._bytes[:SYNCED] != self._boot:
            self._keep(self._boot + b"\0")

    def end_writing(self) -> None:
        """Once all is on the disk."""
        self._keep(self._bytes[:SYNCED] + b"\1")

    def _keep(self, beginning: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY)
        try:
            os.pwrite(descriptor, beginning, 0)  # within a sector: whole or not at all
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        self._bytes.close()


class StateMap:
    """One generation, open, until whoever opened it closes it."""

    def __init__(self, folder: Path, most: int = MOST, *, made: bool = False) -> None:
        """`made`: an empty one that begins. Raises `StateRefused` for one that may be torn."""
        self.folder = folder
        self._is_open = False
        self.last_head: Any = None  # what whoever reads in it remembers of its head
        try:
            self.mark = StateMark(folder / MARK)
            if not made and not self.mark.is_whole():
                raise StateRefused("it was written before the kernel booted, and not synced")
            if not made:
                prove_whole(folder / FILE)
            self.env = _taken(folder, most)
            self._is_open = True
        except lmdb.MemoryError as error:
            raise StateRefused(f"a process may not have {most} bytes of address space (ulimit -v, LimitAS=)") from error
        except (lmdb.Error, OSError, MapRefused, ValueError) as error:
            raise StateRefused(f"{type(error).__name__}: {error}") from error

    def begin_writing(self) -> lmdb.Transaction:
        """Under the writers' lock. Raises `StateRefused`."""
        try:
            self.mark.begin_writing()
            return self.env.begin(write=True)
        except (lmdb.Error, OSError) as error:
            raise StateRefused(f"it cannot be written: {error}") from error

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
        """Once whoever opened it reads in it no more."""
        if self._is_open:
            self._is_open = False
            _let_go(self.folder)
            self.mark.close()

    def __del__(self) -> None:
        self.close()  # of one that was replaced: else it keeps its address space for ever


_open: dict[Path, list[Any]] = {}  # the environments of this process, with how many hold each
_opening = threading.RLock()  # one may go while another is opened


def _taken(folder: Path, most: int) -> lmdb.Environment:
    with _opening:
        if folder not in _open:
            env = lmdb.open(
                str(folder), map_size=most, max_readers=MAX_READERS, sync=False, metasync=False, mode=0o600,
                max_spare_txns=4,
            )  # fmt: skip
            _open[folder] = [env, 0]
        _open[folder][1] += 1
        found: lmdb.Environment = _open[folder][0]
        return found


def _let_go(folder: Path) -> None:
    with _opening:
        _open[folder][1] -= 1
        if not _open[folder][1]:
            _open.pop(folder)[0].close()


def folder_in_force(data: Path, link: str = CURRENT) -> Path:
    """Of the generation that a data folder's path leads to. Raises `StateRefused` where there is none."""
    found = _led_to(data / STATE, link)
    if found is None:
        raise StateRefused("there is none")
    return found


def _led_to(states: Path, link: str) -> Path | None:
    """None: nothing, or a name that is none. Raises `StateRefused` where it cannot be told."""
    try:
        return states.absolute() / (states / link).read_text(encoding="ascii")
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        raise StateRefused(f"{link} cannot be read: {error.strerror}") from error


def make_generation(data: Path, most: int = MOST) -> StateMap:
    """An empty one, not in force yet."""
    return StateMap(_new_folder(data), most, made=True)


def _new_folder(data: Path) -> Path:
    """With a mark that it was written in this boot. What an earlier try left goes. Raises `StateRefused`."""
    try:
        make_folder(data / STATE)
        _sweep(data / STATE)
        folder = (data / STATE).absolute() / secrets.token_hex(8)
        folder.mkdir(mode=0o700)
        write_durably(folder / MARK, MARK_FORM.pack(boot_id(), False, False))
    except OSError as error:
        raise StateRefused(f"none can be made: {error.strerror}") from error
    return folder


def put_in_force(made: StateMap) -> None:
    """From now on the path leads to this one, and nobody answers from another. Under the writers' lock, while it is
    `making`. Raises OSError, `StateUnmarked`.
    """
    _lead(made.folder, CURRENT)
    retire_others(made)
    with contextlib.suppress(StateRefused, OSError):  # the next one that is made does it
        _sweep(made.folder.parent)


def retire_others(held: StateMap) -> None:
    """Whoever follows one for the first time shows this to whoever has another open: a process that put it in force may
    have ended before it had. Under the writers' lock. Raises `StateUnmarked`.
    """
    _mark_behind(held.folder.parent, but=held.folder)


def _lead(folder: Path, link: str) -> None:
    write_durably(folder.parent / link, folder.name.encode())


def _sweep(states: Path) -> None:
    """Away with what nothing leads to. Raises `StateRefused` where that cannot be told, OSError."""
    kept = {_led_to(states, link) for link in (CURRENT, COPY)}
    for other in _generations(states):
        if other not in kept:
            shutil.rmtree(other, ignore_errors=True)


def _generations(states: Path) -> Iterator[Path]:
    """Raises OSError."""
    for each in sorted(states.absolute().iterdir()):
        if each.is_dir():
            yield each


def make_copy(data: Path, held: StateMap) -> Path:
    """Of one moment, synced; nothing leads to it yet. While one is `making`. Raises `StateRefused`, OSError,
    lmdb.Error.
    """
    folder = _copied(data, held)
    with (folder / FILE).open("rb") as file:
        os.fsync(file.fileno())
    write_durably(folder / MARK, MARK_FORM.pack(boot_id(), True, False))
    return folder


def put_copy_in_force(folder: Path) -> None:
    """In place of the copy before. Raises OSError."""
    _lead(folder, COPY)
    with contextlib.suppress(StateRefused, OSError):  # the next one that is made does it
        _sweep(folder.parent)


def make_compact(data: Path, held: StateMap) -> StateMap:
    """A generation with what stands in another one and nothing of what was replaced there. While one is `making`.
    Raises `StateRefused`, OSError, lmdb.Error.
    """
    made = StateMap(_copied(data, held))
    with made.begin_writing() as txn:
        txn.delete(LEFT_KEY)
    return made


def _copied(data: Path, held: StateMap) -> Path:
    """A folder with what stands at one moment, in pages that hold nothing else."""
    folder = _new_folder(data)
    held.env.copy(str(folder), compact=True)
    return folder


def drop_copy(data: Path) -> None:
    """One that does not follow the log never will again, or holds what is forgotten since. Raises OSError,
    `StateRefused`.
    """
    folder = _led_to(data / STATE, COPY)
    (data / STATE / COPY).unlink(missing_ok=True)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def making(data: Path) -> contextlib.AbstractContextManager[int]:
    """While folders are made: what nothing leads to is swept away by whoever makes the next. Raises BlockingIOError
    where another process makes one.
    """
    make_folder(data / STATE)
    return locked(data / STATE / MAKING, wait=False)


def set_behind(data: Path) -> None:
    """The marks of all, whether their maps can be opened or not, and whether anything leads there: somebody may still
    read in one that was in force. Raises `StateUnmarked`.
    """
    _mark_behind(data / STATE)


def remove_states(data: Path) -> None:
    """All of them, with their copies: whose keys are wrapped by a pepper that goes. Raises `StateUnmarked`, OSError."""
    set_behind(data)
    if (data / STATE).exists():
        shutil.rmtree(data / STATE)


def _mark_behind(states: Path, but: Path | None = None) -> None:
    try:
        for folder in _generations(states) if states.exists() else ():
            if folder != but:
                _set_behind(folder)
    except OSError as error:
        raise StateUnmarked(f"it cannot be marked as behind: {error.strerror}") from error


def _set_behind(folder: Path) -> None:
    try:
        descriptor = os.open(folder / MARK, os.O_WRONLY)
    except FileNotFoundError:
        return  # it begins or goes, and nobody opens it without one
    try:
        os.pwrite(descriptor, b"\1", BEHIND)
    finally:
        os.close(descriptor)


def make_from_copy(data: Path) -> StateMap:
    """A generation that begins as the last copy. Raises `StateRefused`."""
    source = folder_in_force(data, COPY)
    StateMap(source).close()
    folder = _new_folder(data)
    try:
        shutil.copyfile(source / FILE, folder / FILE)
    except OSError as error:
        raise StateRefused(f"the copy cannot be read: {error.strerror}") from error
    return StateMap(folder)
