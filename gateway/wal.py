"""SQLite's write-ahead logs: bringing their pages over into the main file, and what must not follow a sync that failed.

After a sync that failed Linux shows in memory what the disk never got, and the next sync succeeds without it. SQLite
brings over again only what is newer than the last part that it brought over, and starts its log anew: pages of before
would be gone with the next power cut (measured: an unreadable ledger). So after such a failure the log is kept whole
until this process ends, by a reader that never ends; the next start brings everything over again. And before a log of
before is trusted it is written once more. A second process that has the file open at that very time is not helped.
"""

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

LONG = 1000  # pages, about 4 MB: then a log is worth emptying
FAILED = "the disk failed; nothing is lost, and the log beside it grows until the service is restarted: do so soon"
FRAME = 4096 + 24  # bytes of a page in the log, with its header
_in_doubt: dict[str, sqlite3.Connection | None] = {}  # by main file; never closed, see above


def bring_over(db: sqlite3.Connection, *, empty: bool = False) -> tuple[bool, int]:
    """(done, pages in the log): copies pages into the main file. `empty`: waits for readers as the connection does;
    done then means that the log is empty. Raises sqlite3.Error.
    """
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
    (patience,) = db.execute("PRAGMA busy_timeout").fetchone()
    db.execute("PRAGMA busy_timeout = 0")
    try:
        done, pages = bring_over(db)
        return done and empty_from is not None and pages >= empty_from and bring_over(db, empty=True)[0]
    finally:
        db.execute(f"PRAGMA busy_timeout = {patience:d}")


def vacuum(db: sqlite3.Connection) -> None:
    """Writes the whole file anew, and leaves no page of before in it or its log. Raises sqlite3.Error."""
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
