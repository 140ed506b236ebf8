"""Copies of a database file while it is in use, putting one back, and going on from it as a new log. `app.maintenance`
calls it. Never copies a file by its path, and never overwrites one.

A copy is made through SQLite's backup API on a read-only connection whose one read transaction lasts from the first
page to the last: other processes go on writing, and the copy is of one moment. (In the writing process it would hold up
the writer's thread; with a snapshot a step, every commit of another connection would start it anew.) The WAL grows
meanwhile. Pages are copied as they are, so what SQLite left in them of rows that were deleted is zeroed in the copy: it
keeps no more where it is made before a walk over the ledger (ledger/erasure_steps.py) is over.

A log must never sign two trees of which one does not grow out of the other; an older copy that grows on would be one.
So it gets another name, `.2`, `.3` behind the first (C2SP names have no plus and no spaces), and its next entry says
which log it comes from and what that had signed last. The old log's checkpoint stays in the store as evidence, and
receipts of it still verify with its own name's key. What is missing between the copy and the old log's end stays
missing.
"""

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.disk import is_file, make_folder, reserve, sync_folder, whole, write_durably
from gateway.ledger import entry, erasure_steps, schema, tree
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.log_records import LAST_PLACE, SAY
from gateway.ledger.proof import note
from gateway.ledger.proof.merkle import Frontier
from gateway.ledger.proof.note import Checkpoint
from gateway.ledger.publisher import CheckpointStore
from gateway.ledger.schema import FILE
from gateway.ledger.side import pack_side
from gateway.ledger.subjects import milliseconds
from gateway.ledger.tree import Tree

PAGES = 1024  # of one step, 4 MiB: a stop is noticed between two
TAIL = ("-wal", "-shm")


def copy(source: Path, destination: Path) -> None:
    """One database file, as of one moment, durable when this returns. Raises `LedgerRefused`."""
    if destination.exists():
        raise LedgerRefused(f"{destination} is there already, and nothing is overwritten; name another place")
    try:
        with _reading(source) as reading, _writing(destination) as writing:
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # the snapshot begins with the first read
            reading.backup(writing, pages=PAGES)
            writing.execute("PRAGMA journal_mode = DELETE")  # one file, whole, without a log beside it
            writing.execute("PRAGMA journal_mode = OFF")  # nor beside what is done now: where it fails, the copy goes
            erasure_steps.zero_copy(writing)
    except sqlite3.Error as error:
        destination.unlink(missing_ok=True)
        raise LedgerRefused(f"{source} cannot be copied: {error}") from error
    sync_folder(destination)  # of a file: its content
    sync_folder(destination.parent)


def _reading(path: Path) -> contextlib.closing[sqlite3.Connection]:
    if not path.exists():
        raise LedgerRefused(f"{path} is not there")
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    return contextlib.closing(db)


def _writing(path: Path) -> contextlib.closing[sqlite3.Connection]:
    reserve(path)
    return contextlib.closing(sqlite3.connect(path, isolation_level=None))


def examined(folder: Path) -> Checkpoint:
    """What a folder's ledger is the log of, after every page and its tree were read. Raises `LedgerRefused`."""
    schema.quick_check(folder)
    with contextlib.closing(schema.open_to_read(folder)) as db:
        try:
            tree.prove(db)
        except tree.TreeBroken as broken:
            raise LedgerRefused(schema.damaged(folder / FILE, broken)) from broken
        size, packed, origin = db.execute("SELECT size, frontier, origin FROM head").fetchone()
    return Checkpoint(origin, size, Frontier(size, packed).root())


def put_back(backup: Path, folder: Path) -> Path | None:
    """The ledger of a backup becomes that of the folder; the one that was there is laid aside, never deleted. Nobody
    else has the folder open. Returns where the old one is. Raises `LedgerRefused`.
    """
    examined(backup)
    make_folder(folder)
    arriving = folder / f".{FILE}.arriving"
    arriving.unlink(missing_ok=True)
    copy(backup / FILE, arriving)
    aside = _lay_aside(folder)
    arriving.replace(folder / FILE)
    sync_folder(folder)
    return aside


def _lay_aside(folder: Path) -> Path | None:
    there = [path for path in (folder / f"{FILE}{tail}" for tail in ("", *TAIL)) if path.exists()]
    if not there:
        return None
    aside = folder / f"before-restore-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(2).hex()}"
    aside.mkdir(mode=0o700)
    for path in there:
        path.rename(aside / path.name)
    sync_folder(aside)
    return aside


ENDED = ".ended"  # of the file with the last checkpoint of a log that is over
NUMBERED = re.compile(r"(.+)\.([0-9]+)")
RESTORED = """
SELECT 1 FROM entry WHERE CASE WHEN json_valid(CAST(body AS TEXT))
THEN json_extract(CAST(body AS TEXT), '$.e') = 'restored' END LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class NewLogBegun:
    """`last`: what the old log had signed last, None where its store is lost. `size`: how far the copy went."""

    origin: str
    last: Checkpoint | None
    size: int


def begin_new_log(db: sqlite3.Connection, store: Path, at: datetime) -> NewLogBegun:
    """Makes the open ledger a new log; under the writers' lock, with nobody else there. Cut off, it is run again.
    Raises `LedgerRefused` where another machine made it one.
    """
    size, ledger, packed, origin = db.execute("SELECT size, ledger, frontier, origin FROM head").fetchone()
    kept = CheckpointStore(store, ledger)
    last, now = kept.last(), Checkpoint(origin, size, Frontier(size, packed).root())
    if last and origin != last.origin and _says(db, size, last):
        begun = NewLogBegun(origin, last, size - 1)  # cut off between the entry and the store
    elif last and not is_file(db) and _is_later(origin, last.origin):
        raise LedgerRefused(
            f"another machine went on with it as {origin}, and a new log would put that one out: gateway migrate --join"
        )
    else:
        known = [origin, *([last.origin] if last else []), *_ended(kept)]
        begun = NewLogBegun(next_log_name(known, None if last else at), last, size)
        if last:
            write_durably(_evidence_of(kept, last), last.text().encode())
        _write_first(db, begun, last or now, at)
    size, packed = db.execute("SELECT size, frontier FROM head").fetchone()
    kept.swap(last, Checkpoint(begun.origin, size, Frontier(size, packed).root()))
    return begun


def next_log_name(known: Sequence[str], lost: datetime | None = None) -> str:
    """The name after those that this log had. `lost`: the store is, so nobody knows which were used; then the number is
    that moment's.
    """
    names = [_numbered(name) for name in known]
    base, _ = names[0]
    if lost:
        return f"{base}.{lost:%Y%m%d%H%M%S}"
    return f"{base}.{max(number for of, number in names if of == base) + 1}"


def _numbered(name: str) -> tuple[str, int]:
    """A log's first name, and which of its names this is."""
    part = NUMBERED.fullmatch(name)
    return (part[1], int(part[2])) if part else (name, 1)


def _is_later(name: str, other: str) -> bool:
    """Of two names of one log."""
    (base, number), (of, before) = _numbered(name), _numbered(other)
    return base == of and number > before


def follow_new_log(db: sqlite3.Connection, store: Path) -> None:
    """Takes a new log that another machine began, and of which an entry tells, for what was signed last; under the
    writers' lock. What this one had signed of the old log stays in the store as evidence.
    """
    size, ledger, packed, origin = db.execute("SELECT size, ledger, frontier, origin FROM head").fetchone()
    kept = CheckpointStore(store, ledger)
    last = kept.last()
    if last and _is_later(origin, last.origin) and db.execute(RESTORED).fetchone():
        write_durably(_evidence_of(kept, last), last.text().encode())
        kept.swap(last, Checkpoint(origin, size, Frontier(size, packed).root()))


def _says(db: sqlite3.Connection, size: int, last: Checkpoint) -> bool:
    """Whether the newest entry tells that the log goes on from `last`."""
    row = db.execute("SELECT body FROM entry WHERE seq = ?", (size - 1,)).fetchone()
    leaf = json.loads(row[0]) if row else {}
    told = (leaf.get("from"), leaf.get("size"), leaf.get("root"))
    return leaf.get("e") == "restored" and told == (last.origin, last.size, entry.b64(last.root))


def _write_first(db: sqlite3.Connection, begun: NewLogBegun, last: Checkpoint, at: datetime) -> None:
    """The entry and the new name, in one transaction. Nothing of the new name was signed yet."""
    with whole(db):
        packed = db.execute("SELECT frontier FROM head").fetchone()[0]
        tree = Tree(db, Frontier(begun.size, packed))
        body = entry.restored(event=os.urandom(16), origin=last.origin, size=last.size, root=last.root, at=at)
        db.execute("INSERT INTO entry VALUES (?, ?)", (begun.size, body))
        place, peppers = db.execute(f"SELECT ({LAST_PLACE}) + 1, peppers FROM head").fetchone()  # noqa: S608 - ours
        db.execute(SAY, (place, begun.size, True, pack_side((), milliseconds(at), peppers)))
        tree.append(body)
        db.execute(
            "UPDATE head SET size = ?, frontier = ?, origin = ?, signed = 1",
            (begun.size + 1, tree.frontier.pack(), begun.origin),
        )


def _evidence_of(store: CheckpointStore, last: Checkpoint) -> Path:
    digest = hashlib.sha256(last.text().encode()).hexdigest()[:16]
    return store.path.with_name(f"{store.path.stem}.{last.size}.{digest}{ENDED}")


def _ended(store: CheckpointStore) -> list[str]:
    """The names of this ledger's logs that have ended."""
    files = store.path.parent.glob(f"{store.path.stem}.*{ENDED}")
    return [note.parse_checkpoint(path.read_text(encoding="utf-8")).origin for path in files]
