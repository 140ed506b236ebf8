"""The file of a replica: rows by key in an LMDB environment.

One folder a generation (`mirror/<random>/`), `mirror/current` leads to the one in force. Whoever replaces it says so in
the old one first, so that nobody reads on from there. Not synced: after a boot of the kernel it is made anew, so it
carries the boot's id. No transaction outlives a call. Never knows what a row means.
"""

import contextlib
import os
import secrets
import shutil
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lmdb

FOLDER, CURRENT, FILE = "mirror", "current", "data.mdb"
MAX_READERS = 1024
HEAD = b"head"  # no key of a row: those have 16 bytes
KEY_BYTES = 16
# format, retired, boot, ledger, device, inode, peppers, size, revision; then the log's name
HEAD_FORM = struct.Struct(">B?16s16sQQIQQ")
FORMAT = 1
# Where a meta page of LMDB 0.9 has its magic, its map size, its page size, its last page and its transaction.
MAGIC, META_BYTES, METAS, WIDEST_PAGE = 0xBEEFC0DE, 152, 2, 65_536
BOOT = Path("/proc/sys/kernel/random/boot_id")


class MapRefused(Exception):
    """The file is not there, cut short, of another boot, replaced, or full: it must be made anew."""


class MapFull(MapRefused):
    """It must be made anew, and larger."""


@dataclass(frozen=True, slots=True)
class Head:
    """Which ledger a map mirrors, and how far. `size`: entries, `revision`: changes (see ledger/changes.py)."""

    boot: bytes
    ledger: bytes
    device: int
    inode: int
    peppers: int
    size: int
    revision: int
    log: str
    retired: bool = False

    def pack(self) -> bytes:
        return (
            HEAD_FORM.pack(
                FORMAT,
                self.retired,
                self.boot,
                self.ledger,
                self.device,
                self.inode,
                self.peppers,
                self.size,
                self.revision,
            )
            + self.log.encode()
        )


NOBODY = Head(b"", b"", 0, 0, 0, 0, 0, "", retired=True)


def boot_id() -> bytes:
    """The kernel's; another one after each boot."""
    return bytes.fromhex(BOOT.read_text(encoding="utf-8").strip().replace("-", ""))


class MemoryMap:
    """One generation, open. Environments are shared: LMDB forbids two of one file in a process."""

    def __init__(self, folder: Path, opened: "MapOpened") -> None:
        self.folder = folder
        self.env = opened.env
        self._file = opened.file
        self._last: tuple[bytes | None, Head] = (b"", NOBODY)

    def read(self, keys: Sequence[bytes]) -> tuple[Head, list[bytes]]:
        """The head and the rows that exist, of one moment. Raises `MapRefused` where it was replaced."""
        try:
            with self.env.begin() as txn:
                packed = txn.get(HEAD)
                found = [row for key in keys if (row := txn.get(key)) is not None]
        except lmdb.Error as error:
            raise MapRefused(type(error).__name__) from error
        last, head = self._last  # together: another thread may read at the same time
        if packed != last:
            head = _head(packed)
            self._last = packed, head
        if head.retired:
            raise MapRefused("it was replaced")
        return head, found

    def head(self) -> Head:
        return self.read(())[0]

    def write(self, rows: Mapping[bytes, bytes], head: Head) -> None:
        """All of it at once. Raises `MapRefused`: nothing was written."""
        try:
            with self.env.begin(write=True) as txn:
                for key, row in rows.items():
                    txn.put(key, row)
                txn.put(HEAD, head.pack())
        except lmdb.MapFullError as error:
            raise MapFull("the map is full") from error
        except lmdb.Error as error:
            raise MapRefused(f"{type(error).__name__}: {error}") from error

    def retire(self) -> None:
        """Nobody answers from this one any more."""
        with contextlib.suppress(MapRefused, lmdb.Error):
            self.write({}, replace(self.head(), retired=True))

    def close(self) -> None:
        _let_go(self.folder)


def _name(path: Path) -> tuple[int, int]:
    """Device and inode."""
    here = path.stat()
    return here.st_dev, here.st_ino


def _head(packed: bytes | None) -> Head:
    if packed is None or len(packed) < HEAD_FORM.size or packed[0] != FORMAT:
        raise MapRefused("it has no head that can be read")
    _, retired, boot, ledger, device, inode, peppers, size, revision = HEAD_FORM.unpack_from(packed)
    return Head(boot, ledger, device, inode, peppers, size, revision, packed[HEAD_FORM.size :].decode(), retired)


@dataclass
class MapOpened:
    """An environment of this process; `count`: how many hold it."""

    env: "lmdb.Environment"
    file: tuple[int, int]
    count: int = 0


_open: dict[Path, MapOpened] = {}
_opening = threading.Lock()


def open_current(folder: Path) -> MemoryMap:
    """The map in force in a data folder. Raises `MapRefused`."""
    try:
        path = (folder / FOLDER / CURRENT).resolve(strict=True)
        prove_whole(path / FILE)
    except OSError as error:
        raise MapRefused(f"there is none: {error.strerror}") from error
    return MemoryMap(path, _take(path, 0))


def make(folder: Path, size: int) -> MemoryMap:
    """A new, empty generation of `size` bytes, not in force yet."""
    path = (folder / FOLDER).resolve() / secrets.token_hex(8)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.mkdir(mode=0o700)
    return MemoryMap(path, _take(path, size))


def put_in_force(made: MemoryMap, before: MemoryMap | None) -> None:
    """From now on the path leads to the new one. Under the writers' lock."""
    if before is not None:
        before.retire()
    link = made.folder.parent / f".{made.folder.name}"
    link.symlink_to(made.folder.name)
    link.replace(made.folder.parent / CURRENT)
    for other in made.folder.parent.iterdir():
        if other.is_dir() and not other.is_symlink() and other != made.folder:
            shutil.rmtree(other, ignore_errors=True)


def _take(path: Path, size: int) -> MapOpened:
    with _opening:
        try:
            held = _open.get(path) or _opened(path, size)
            if held.file != _name(path / FILE):
                raise MapRefused("another file lies in its place")
        except (lmdb.Error, OSError) as error:
            raise MapRefused(f"{type(error).__name__}: {error}") from error
        held.count += 1
        _open[path] = held
        return held


def _opened(path: Path, size: int) -> MapOpened:
    """`size` 0: as large as the file says."""
    env = lmdb.open(
        str(path), map_size=size, max_readers=MAX_READERS, sync=False, metasync=False, mode=0o600, max_spare_txns=4
    )
    return MapOpened(env, _name(path / FILE))


def _let_go(path: Path) -> None:
    with _opening:
        held = _open.get(path)
        if held is None:
            return
        held.count -= 1
        if not held.count:
            del _open[path]
            held.env.close()


def prove_whole(path: Path) -> None:
    """Raises `MapRefused` for a file that ends before its last page: reading there would kill the process."""
    with path.open("rb") as file:
        begin = file.read(METAS * WIDEST_PAGE)
        length = os.fstat(file.fileno()).st_size
    last = max(_metas(begin), default=None)
    if last is None or length < last[1]:
        raise MapRefused("the file is cut short, or none of ours")


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
