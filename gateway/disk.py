"""Files that survive a power cut: written durably, made private, and SQLite's write-ahead logs brought over. Every room
that keeps something calls it.

After a sync that failed Linux shows in memory what the disk never got, and the next sync succeeds without it. SQLite
brings over again only what is newer than the last part that it brought over, and starts its log anew: the older pages
would be gone with the next power cut (measured: an unreadable ledger). So after such a failure a reader that never ends
keeps the log whole until this process ends; the next start brings everything over again. And a log that an earlier
process left is written once more before it is trusted. A second process that has the file open at that very time is not
helped.
"""

import contextlib
import errno
import fcntl
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

PRIVATE = 0o600
BOOT = Path("/proc/sys/kernel/random/boot_id")

LOCK_SECONDS, LOCK_PAUSE = 5.0, 0.001  # of a file that another process has: one that is stopped holds up nobody longer
LONG = 1000  # pages, about 4 MB: then a log is worth emptying
FAILED = "the disk failed; nothing is lost, and the log beside it grows until the service is restarted: do so soon"
FRAME = 4096 + 24  # bytes of a page in the log, with its header
_in_doubt: dict[str, sqlite3.Connection | None] = {}  # by main file; never closed, see above


def is_file(db: object) -> bool:
    """Whether a connection is to a file of ours: a server sees to its logs and pages itself."""
    return not getattr(db, "is_server", False)


def bring_over(db: sqlite3.Connection, *, empty: bool = False) -> tuple[bool, int]:
    """(done, pages in the log): copies pages into the main file. `empty`: waits for readers as the connection does;
    done then means that the log is empty. Raises sqlite3.Error.
    """
    if not is_file(db):
        return True, 0
    file = str(db.execute("PRAGMA database_list").fetchone()[2])
    if file in _in_doubt:
        _keep_whole(file)
        return False, 0
    try:
        busy, pages, over = db.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if empty else 'PASSIVE'})").fetchone()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR:
            logging.getLogger("gateway.ledger").error("%s: %s", file, FAILED)  # noqa: TRY400 - the stack says no more
            _keep_whole(file)
        raise
    return not busy and pages == over, pages


def _keep_whole(file: str) -> None:
    if _in_doubt.setdefault(file, None) is None:
        reader = sqlite3.connect(
            f"{Path(file).as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        reader.execute("BEGIN")
        reader.execute("SELECT 1 FROM sqlite_schema").fetchone()
        _in_doubt[file] = reader


def tidy(db: sqlite3.Connection, *, empty_from: int | None = LONG) -> bool:
    """Brings over what it can without waiting for anybody, and empties a log of so many pages; None: not now. Whether
    it was emptied. Raises sqlite3.Error.
    """
    with not_waiting(db):
        done, pages = bring_over(db)
        return done and empty_from is not None and pages >= empty_from and bring_over(db, empty=True)[0]


@contextlib.contextmanager
def not_waiting(db: sqlite3.Connection) -> Iterator[None]:
    """Whatever another connection has locked is an error at once."""
    (patience,) = db.execute("PRAGMA busy_timeout").fetchone()
    db.execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        db.execute(f"PRAGMA busy_timeout = {patience:d}")


@contextlib.contextmanager
def whole(db: sqlite3.Connection) -> Iterator[None]:
    """One transaction that writes: all of what is done within, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a disk that fails at COMMIT has rolled it back already
            db.execute("ROLLBACK")
        raise


def vacuum(db: sqlite3.Connection, tables: Iterable[str] = ()) -> None:
    """Writes the whole file anew, and leaves no old page in it or its log; on a server these tables. Raises
    sqlite3.Error.
    """
    if not is_file(db):
        for table in tables:
            db.execute(f"VACUUM FULL {table}")
    else:
        db.execute("VACUUM")
        bring_over(db, empty=True)


def is_long(file: Path) -> bool:
    """Whether the log of a main file is worth emptying."""
    with contextlib.suppress(OSError):
        return file.with_name(f"{file.name}-wal").stat().st_size > LONG * FRAME
    return False


def write_back(folder: Path) -> None:
    """Writes every log in a folder again as it is shown, and syncs it; nobody else may have the files open. Raises
    OSError.
    """
    for path in sorted(folder.glob("*-wal")):
        with path.open("r+b", buffering=0) as file:
            content = file.readall()
            file.seek(0)
            file.write(content)
            os.fsync(file.fileno())


def write_durably(path: Path, content: bytes, *, exclusive: bool = False) -> None:
    """A small private file: written beside, synced, renamed. `exclusive`: FileExistsError where there is one. What root
    writes belongs to the folder's owner: the service runs as somebody else, and must go on reading its own files.
    """
    if exclusive and path.exists():
        raise FileExistsError(path)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _write(beside, content)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)  # a disk that stays full would fill up with them
        raise
    sync_folder(path.parent)


def _write(path: Path, content: bytes) -> None:
    descriptor = _new(path)
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))  # half a file must not take its place
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _new(path: Path) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    hand_over(path)
    return descriptor


def hand_over(path: Path) -> None:
    """What root has made belongs to the owner of the folder that it stands in."""
    if os.geteuid() == 0 != (owner := path.parent.stat()).st_uid:
        os.chown(path, owner.st_uid, owner.st_gid)


def reserve(path: Path) -> None:
    """An empty file of ours where there is none, which nobody else may read whatever the umask and the folder say.
    SQLite would make a database as the umask has it; its log and index have the database's own mode.
    """
    with contextlib.suppress(FileExistsError):
        os.close(_new(path))


def make_beside(path: Path, known: Path) -> None:
    """An empty file of ours in the very folder in which another one lies, by which that is told from a mount point
    without its disk. Raises OSError.
    """
    with opened(known.parent, os.O_RDONLY | os.O_DIRECTORY) as folder:
        os.stat(known.name, dir_fd=folder)
        os.close(os.open(path.name, os.O_WRONLY | os.O_CREAT, PRIVATE, dir_fd=folder))
        hand_over(path)
        os.fsync(folder)


def locked(path: Path, *, wait: bool = True, make: bool = True) -> contextlib.AbstractContextManager[int]:
    """Holds a file of ours, which is made unless `make` is False, for one process at a time; its descriptor. Raises
    OSError, and BlockingIOError where another process has it: without `wait` at once, else once that took longer than
    work does.
    """
    return locked_by(path, time.monotonic() + (LOCK_SECONDS if wait else 0.0), make=make)


def took(stack: contextlib.ExitStack, path: Path) -> bool:
    """Whether a file is locked for us, until the stack is left; not where another process has it. Raises OSError."""
    with contextlib.suppress(BlockingIOError):
        stack.enter_context(locked(path, wait=False))
        return True
    return False


@contextlib.contextmanager
def locked_by(path: Path, deadline: float, *, make: bool = True) -> Iterator[int]:
    """As `locked`, for whoever waits until a moment of the monotonic clock."""
    while True:
        descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if make else 0), PRIVATE)
        try:
            hand_over(path)
            _lock(descriptor, deadline)
            if _is_there(descriptor, path):  # else whoever had it put another file in its place
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _is_there(descriptor: int, path: Path) -> bool:
    """Whether the name is still that of the open file."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


def _lock(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(LOCK_PAUSE)
        else:
            return


def close_to_others(folder: Path) -> None:
    """Takes from everybody else what an older version, a copy or an unpacked archive gave them of the files in a data
    folder. Folders stay as they are: a socket that others are to reach may lie in one.
    """
    for path in [found for found in folder.rglob("*") if found.is_file() and not found.is_symlink()]:
        with contextlib.suppress(OSError):  # another user's, who then sees to it; or gone meanwhile
            mode = path.stat().st_mode
            if mode & 0o077:
                path.chmod(mode & 0o700)


def make_folder(path: Path) -> None:
    """A private folder and what is missing above it, whose names outlive a power cut: a name is kept once the folder
    that it stands in was synced.
    """
    if not path.parent.exists():
        make_folder(path.parent)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
        hand_over(path)
    sync_folder(path.parent)  # also where it is there already: whoever made it may have been stopped before this


def sync_folder(path: Path) -> None:
    with opened(path, os.O_RDONLY) as folder:
        os.fsync(folder)


@contextlib.contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


# Seconds since the boot, also those for which the machine was suspended (CLOCK_BOOTTIME): by them it is counted how
# long a proof, a lease or a send window lasts. Asked at every request: no frame of ours.
boot_seconds = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


def boot_id() -> bytes:
    """The kernel's, 16 bytes; another one after each boot."""
    return bytes.fromhex(BOOT.read_text(encoding="utf-8").strip().replace("-", ""))
