"""The LMDB environment of the state, opened and held by `upkeep`: one folder a generation (`state/<random>/`); the
file `state/current` has the name of the one in force, and all others are marked as behind before anything is written
to it.

Commits are not synced: what a killed process had committed is there, what a power cut left may be torn, and LMDB would
not notice. So beside each environment lies a mark, which says before anything of it is read in which boot of the kernel
it was written, and whether it was synced whole since. Never knows what a row means.
"""

import contextlib
import itertools
import mmap
import os
import secrets
import shutil
import struct
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lmdb

from gateway.disk import boot_id, hand_over, locked, make_folder, opened, reserve, write_durably
from gateway.state.packed_rows import LEFT_KEY, read_gone

STATE, CURRENT, COPY, MARK, MAKING = "state", "current", "copy", "mark", "making"
FILE, MAX_READERS = "data.mdb", 1024
SYNCED, BEHIND, DEVICE, INODE, MARK_BYTES = 16, 17, 18, 26, 34  # of a mark; before them the boot, then its file
TORN = 2  # at BEHIND: behind for good
LOCK, READER_BYTES = "lock.mdb", 64  # of LMDB 0.9; before its readers lie three times as many
FLOOR = 2**20  # bytes that a disk must have left for the ledger and for opt-outs beside it
# Bytes of address space, of which a process has 128 times as many; a file takes what is used of it. All of it from the
# beginning: while anybody reads or copies it must not be made larger (measured: the process dies of SIGSEGV).
MOST = 2**40
COPIED = 2_000  # rows a transaction, for which others in this process may wait a millisecond
# Where a meta page of LMDB 0.9 has its magic, its map size, its page size, its last page and its transaction.
MAGIC, META_BYTES, METAS, WIDEST_PAGE = 0xBEEFC0DE, 152, 2, 65_536


class StateRefused(Exception):
    """It may not be answered from: it is not there, behind, torn, full, or another's. Checks deny."""


class StateBusy(StateRefused):
    """Another process makes it."""


class StateForeign(StateRefused):
    """It follows another log, or other rules or peppers made it; so it must be made anew."""


class StateUnmarked(StateRefused):
    """It may be behind, and other processes cannot be shown that."""


class StateMark:
    """The mark beside an environment: one for all processes, for it is mapped."""

    def __init__(self, path: Path) -> None:
        self._path, self._boot = path, boot_id()
        with path.open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), MARK_BYTES)

    def is_whole(self, file: Path) -> bool:
        """Whether what lies beside it is what was written last. A copy never is: whoever copies a folder in use has
        pages of different moments. (A device may have another number after a boot.)
        """
        found, same_boot = _identity(file), self._bytes[:SYNCED] == self._boot
        if self._bytes[INODE:] != found[INODE - DEVICE :] or (same_boot and self._bytes[DEVICE:] != found):
            return False
        return bool(self._bytes[SYNCED]) or same_boot

    @property
    def denies(self) -> bool:
        """Whether nothing may be answered: it is behind, or another generation took its place."""
        return bool(self._bytes[BEHIND])

    @property
    def is_torn(self) -> bool:
        """Whether somebody met a page that does not hold what was written: it is to be made anew."""
        return self._bytes[BEHIND] == TORN

    def set_behind(self, *, behind: bool) -> None:
        """Shown to all processes at once; a store into memory, which a full disk does not refuse."""
        if not self.is_torn:
            self._bytes[BEHIND] = behind

    def set_torn(self) -> None:
        """The same; whoever writes makes it anew."""
        self._bytes[BEHIND] = TORN

    def begin_writing(self) -> None:
        """Before anything is written that is not synced: what says that it is whole goes, and that is durable."""
        if self._bytes[SYNCED] or self._bytes[:SYNCED] != self._boot:
            self._keep(self._boot + b"\0")

    def end_writing(self) -> None:
        """Once all is on the disk."""
        self._keep(self._bytes[:SYNCED] + b"\1")

    def _keep(self, beginning: bytes) -> None:
        with opened(self._path, os.O_WRONLY) as descriptor:
            os.pwrite(descriptor, beginning, 0)  # within a sector: whole or not at all
            os.fsync(descriptor)

    def close(self) -> None:
        self._bytes.close()


class StateMap:
    """One generation, open, until whoever opened it closes it, or nobody has it any more."""

    def __init__(self, folder: Path, most: int = MOST, *, made: bool = False) -> None:
        """`made`: an empty one that begins. Raises `StateRefused` for one that may be torn."""
        self.folder = folder
        self.last_head: Any = None  # what whoever reads in it remembers of its head
        try:
            self.mark = StateMark(folder / MARK)
            if not made and not self.mark.is_whole(folder / FILE):
                raise StateRefused("it was written before the kernel booted, and not synced, or it is a copy")
            if not made:
                prove_whole(folder / FILE)
            self.env: Any = _taken(folder, most)
            self._let_go = weakref.finalize(self, _let_go, folder)
            _maps.add(self)
        except lmdb.MemoryError as error:
            raise StateRefused(f"a process may not have {most} bytes of address space (ulimit -v, LimitAS=)") from error
        except (lmdb.Error, OSError, ValueError) as error:
            raise StateRefused(f"{type(error).__name__}: {error}") from error

    def begin_writing(self) -> lmdb.Transaction:
        """Under the writers' lock. Raises `StateRefused`."""
        try:
            self.mark.begin_writing()
            txn: lmdb.Transaction = self.env.begin(write=True)
        except (lmdb.Error, OSError) as error:
            raise StateRefused(f"it cannot be written: {error}") from error
        return txn

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

    def leave(self) -> None:
        """To the process that opened it; this one is its child."""
        self._let_go.detach()
        self.env = _OfTheParent()

    def close(self) -> None:
        """Once whoever opened it reads in it no more."""
        self._let_go()
        self.mark.close()


class _OfTheParent:
    """In place of an environment in a process that was forked from the one that has it open."""

    def __getattr__(self, name: str) -> Any:
        raise StateRefused("this process was forked from one that has the state open: open the gateway after the fork")


_maps: weakref.WeakSet[StateMap] = weakref.WeakSet()
_parents: list[Any] = []  # never closed here: that would end the parent's readings, and its pages be written over


def _leave_all() -> None:
    """LMDB knows readers by the process that opened it: a child would read, and end reading, in its parent's name."""
    _parents.extend(_open.values())
    _open.clear()
    for each in list(_maps):
        each.leave()


os.register_at_fork(after_in_child=_leave_all)
_open: dict[Path, list[Any]] = {}  # the environments of this process, with how many hold each
_opening = threading.RLock()  # one may go while another is opened


def _taken(folder: Path, most: int) -> lmdb.Environment:
    with _opening:
        if folder not in _open:
            env = lmdb.open(
                str(folder), map_size=most, max_readers=MAX_READERS, sync=False, metasync=False, mode=0o600,
                max_spare_txns=4,
            )  # fmt: skip
            for file in (FILE, LOCK):
                hand_over(folder / file)
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
    folder = _new_folder(data)
    reserve(folder / FILE)
    _put_mark(folder)
    return StateMap(folder, most, made=True)


def _new_folder(data: Path, room: int = 0) -> Path:
    """Without a mark, so that nobody opens it. What an earlier try left goes. `room`: bytes that it will take, as
    far as that is known. Raises `StateRefused`.
    """
    try:
        make_folder(data / STATE)
        _sweep(data / STATE)
        folder = (data / STATE).absolute() / secrets.token_hex(8)
        if shutil.disk_usage(data).free < room + FLOOR:
            raise StateRefused("none can be made: the disk has no room for it")
        make_folder(folder)
        _reserve_readers(folder / LOCK)
    except OSError as error:
        raise StateRefused(f"none can be made: {error.strerror}") from error
    return folder


def _put_mark(folder: Path, *, synced: bool = False) -> None:
    """That its file was written in this boot."""
    write_durably(folder / MARK, boot_id() + bytes((synced, False)) + _identity(folder / FILE))


def _identity(file: Path) -> bytes:
    found = file.stat()
    return struct.pack("<QQ", found.st_dev, found.st_ino)


def _reserve_readers(path: Path) -> None:
    """LMDB makes a sparse file of its table of readers and maps it: on a full disk the process would die of SIGBUS."""
    reserve(path)
    with opened(path, os.O_WRONLY) as descriptor:
        os.posix_fallocate(descriptor, 0, (MAX_READERS + 2) * READER_BYTES)


def discard(made: StateMap) -> None:
    """One that was not put in force: its room is needed."""
    made.close()
    shutil.rmtree(made.folder, ignore_errors=True)


@contextlib.contextmanager
def _discarded(folder: Path) -> Iterator[Path]:
    """Where it does not come to its end."""
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def put_in_force(made: StateMap) -> None:
    """From now on the path leads to this one, and nobody answers from another. Under the writers' lock, while it is
    `making`. Raises OSError, `StateUnmarked`.
    """
    _lead(made.folder, CURRENT)
    retire_others(made)


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
            _set_behind(other)  # somebody may have it open still
            shutil.rmtree(other, ignore_errors=True)


def _generations(states: Path) -> Iterator[Path]:
    """Raises OSError."""
    for each in sorted(states.absolute().iterdir()):
        if each.is_dir():
            yield each


def make_copy(data: Path, held: StateMap, given_up: Callable[[], bool] = lambda: False) -> Path:
    """Of one moment, synced; nothing leads to it yet. While one is `making`. `given_up`: as of `make_compact`. Raises
    `StateRefused`, OSError, lmdb.Error.
    """
    with _discarded(_copied(data, held, given_up)) as folder:
        with (folder / FILE).open("rb") as file:
            os.fsync(file.fileno())
        _put_mark(folder, synced=True)
    return folder


def put_copy_in_force(folder: Path) -> None:
    """In place of the copy before. Raises OSError."""
    _lead(folder, COPY)
    tidy_up(folder.parent)


def tidy_up(states: Path) -> None:
    """Away with what was replaced; where that cannot be done the next one that is made does it."""
    with contextlib.suppress(StateRefused, OSError):
        _sweep(states)


def make_compact(data: Path, held: StateMap, given_up: Callable[[], bool] = lambda: False) -> StateMap:
    """A generation with what stands in another one and nothing of what was replaced there. While one is `making`.
    `given_up`: asked every millisecond or so. Raises `StateRefused`, OSError, lmdb.Error.
    """
    with _discarded(_copied(data, held, given_up)) as folder:
        _put_mark(folder)
        made = StateMap(folder)
        with made.begin_writing() as txn:
            if not read_gone(txn)[1]:  # who went a moment ago
                txn.delete(LEFT_KEY)
    return made


def _copied(data: Path, held: StateMap, given_up: Callable[[], bool]) -> Path:
    """A folder with what stands at one moment, in pages that hold nothing else: row by row, for LMDB's own copy takes
    its inner pages as they are, and they name rows that are gone (0.8 s a million rows; 0.13 s were its own).
    """
    with _discarded(_new_folder(data, held.taken())) as folder:
        reserve(folder / FILE)
        env = _taken(folder, MOST)
        try:
            with held.env.begin(buffers=True) as moment:
                copied = _copy_rows(moment.cursor(), env, given_up)
                whole = copied == moment.stat()["entries"]
        finally:
            _let_go(folder)
        if not whole:
            held.mark.set_torn()
            raise StateRefused("it lacks rows, or has them in no order: a page is torn")
    return folder


def _copy_rows(cursor: lmdb.Cursor, env: lmdb.Environment, given_up: Callable[[], bool]) -> int:
    """How many it took, in order."""
    rows, copied, taken, added = iter(cursor), 0, COPIED, COPIED
    while taken == added == COPIED:
        if given_up():
            raise StateRefused("it was given up")
        with env.begin(write=True) as txn:
            taken, added = txn.cursor().putmulti([*itertools.islice(rows, COPIED)], append=True)
        copied += added
    return copied


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
    except NotADirectoryError:
        return  # nor can anybody have one open
    except OSError as error:
        raise StateUnmarked(f"it cannot be marked as behind: {error.strerror}") from error


def _set_behind(folder: Path) -> None:
    # Where there is none it begins or goes, and nobody opens it without one.
    with contextlib.suppress(FileNotFoundError), opened(folder / MARK, os.O_RDWR) as descriptor:
        if os.pread(descriptor, 1, BEHIND) != bytes([TORN]):
            os.pwrite(descriptor, b"\1", BEHIND)


def make_from_copy(data: Path) -> StateMap:
    """A generation that begins as the last copy. Raises `StateRefused`."""
    source = folder_in_force(data, COPY)
    StateMap(source).close()
    with _discarded(_new_folder(data, (source / FILE).stat().st_size)) as folder:
        try:
            shutil.copyfile(source / FILE, folder / FILE)
        except OSError as error:
            raise StateRefused(f"the copy cannot be read: {error.strerror}") from error
        _put_mark(folder)
        return StateMap(folder)


def prove_whole(path: Path) -> None:
    """Raises `StateRefused` for a file that ends before its last page: reading there would kill the process."""
    with path.open("rb") as file:
        begin = file.read(METAS * WIDEST_PAGE)
        length = os.fstat(file.fileno()).st_size
    last = max(_metas(begin), default=None)
    if last is None or length < last[1]:
        raise StateRefused("the file is cut short, or none of ours")


def _metas(begin: bytes) -> Iterator[tuple[int, int]]:
    """(transaction, bytes that the file must have) of each meta page. LMDB 0.9 on a machine with 64 bits: a page's head
    of 16 bytes, then magic, version, address, map size, two tables of 48 bytes, last page, transaction; the page size
    is the first member of the first table.
    """
    page = struct.unpack_from("=I", begin, 40)[0] if len(begin) >= META_BYTES else 0
    for number in range(METAS):
        at = number * page
        if len(begin) < at + META_BYTES or struct.unpack_from("=I", begin, at + 16)[0] != MAGIC:
            continue
        last, transaction = struct.unpack_from("=QQ", begin, at + 136)
        yield transaction, (last + 1) * page
