"""The index of the log: in which records a key is meant, which record an event is, and the tiles of the tree. A reader
of the log makes it behind the answers, so that no random page is written before one; whoever reads about a person, a
tile or an old receipt asks it.

It is derived and never trusted alone: it belongs to one log, goes on from its own position, and is made anew where it
is lost or was made by other rules. What lies behind its position stands in the log alone: whoever needs that too brings
it up first (`follow`). Several processes may have it open.

It commits without waiting for the disk. In WAL mode at `synchronous=NORMAL` SQLite may lose the last commits in a power
cut and stays whole, and what is lost is read again. A record about somebody new costs 24 to 30 us of a busy processor,
in pieces of 4,096 among 400,000, and 90 bytes; the less, where event ids begin with the minute and so grow at the end.
"""

import contextlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import orjson

from gateway.disk import reserve
from gateway.keys import seals
from gateway.ledger import tree
from gateway.ledger.engine.log import NumberedRecord
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.proof import merkle
from gateway.ledger.proof.merkle import WIDTH, Node, TailTree
from gateway.ledger.schema import rows_of
from gateway.ledger.side import read_side

FILE = "index.sqlite3"
FORM = 1  # user_version: a file of another one is made anew
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
ABOUT = "SELECT seq FROM about WHERE key IN ({marks})"
TILE = (  # a full one, or the one that is being filled
    "SELECT hashes FROM tile WHERE level = ?1 AND n = ?2 UNION ALL"
    " SELECT tail FROM head WHERE ?1 = 0 AND ?2 = size / 256"
)
SCHEMA = (
    "CREATE TABLE head (log BLOB NOT NULL, size INTEGER NOT NULL, frontier BLOB NOT NULL, tail BLOB NOT NULL) STRICT",
    "CREATE TABLE about (key BLOB, seq INTEGER, PRIMARY KEY (key, seq)) STRICT, WITHOUT ROWID",
    "CREATE TABLE event (event BLOB PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE tile (level INTEGER, n INTEGER, hashes BLOB NOT NULL, PRIMARY KEY (level, n)) STRICT",
)


class LogIndex:
    """One installation's index. `log`: the id of the log that it is of. A file that is of another log or form, or no
    database, is made anew. Every call raises `StoreUnavailable` where the disk does not let it be read or written.
    """

    def __init__(self, folder: Path, log: bytes) -> None:
        self._path, self._log = folder / FILE, log
        with self._usable():
            try:
                self._db = self._opened()
            except sqlite3.OperationalError:
                raise  # the disk is full, or another process makes it
            except sqlite3.DatabaseError:  # it is damaged, or no database
                self._drop()
                self._db = self._opened()

    @property
    def position(self) -> int:
        """How many records it has."""
        with self._usable():
            return int(self._db.execute("SELECT size FROM head").fetchone()[0])

    def follow(self, records: Iterable[NumberedRecord]) -> None:
        """Goes on with what comes next in the log, as one piece; what it has already is passed over. Raises ValueError
        where something is left out.
        """
        about, events, filled = set[tuple[bytes, int]](), list[tuple[bytes, int]](), list[bytes]()
        with self._usable(), self._changing():
            end = self._read_end()
            first = end.base // WIDTH
            for record in records:
                if record.seq > end.frontier.size:
                    raise ValueError(f"record {record.seq} does not follow {end.frontier.size} others")
                if record.seq < end.frontier.size:
                    continue
                end.append(merkle.leaf_hash(record.leaf))
                about.update((each.key, record.seq) for each in read_side(record.side).said)
                events += [(event, record.seq) for event in _event_of(record.leaf)]
                if end.frontier.size % WIDTH == 0:
                    filled.append(end.hashes())
                    end = end.shortened(end.last_tile)
            self._db.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", sorted(about))
            self._db.executemany("INSERT OR IGNORE INTO event VALUES (?, ?)", sorted(events))
            for n, hashes in enumerate(filled, first):
                tree.put_full_tile(self._db, n, hashes)
            row = (end.frontier.size, end.frontier.pack(), end.hashes())
            self._db.execute("UPDATE head SET size = ?, frontier = ?, tail = ?", row)

    def records_about(self, keys: Collection[bytes]) -> list[int]:
        """The numbers of the records that say something about any of these, in order."""
        with self._usable():
            return sorted({seq for (seq,) in rows_of(self._db, ABOUT, keys)})

    def record_of(self, event: bytes) -> int | None:
        """The number of the record that an event is."""
        with self._usable():
            row = self._db.execute("SELECT seq FROM event WHERE event = ?", (event,)).fetchone()
        return row[0] if row else None

    def end(self) -> TailTree:
        """Of the tree as far as it has it, for whoever goes on from there."""
        with self._usable():
            return self._read_end()

    def nodes(self, size: int) -> Node:
        """The nodes of the tree as it was at a size, which is no larger than `position`."""
        return merkle.nodes(self.read_tile, size)

    def read_tile(self, level: int, n: int, width: int) -> bytes:
        """`width` hashes of a tile. Raises `TreeBroken` where there are not as many."""
        with self._usable():
            row = self._db.execute(TILE, (level, n)).fetchone()
        return tree.part_of_tile(row[0] if row else b"", level, n, width)

    def close(self) -> None:
        self._db.close()

    def _opened(self) -> sqlite3.Connection:
        reserve(self._path)
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON"):
                db.execute(f"PRAGMA {pragma}")
            if not self._is_ours(db):
                self._make(db)
        except BaseException:
            db.close()
            raise
        return db

    def _is_ours(self, db: sqlite3.Connection) -> bool:
        if db.execute("PRAGMA user_version").fetchone()[0] != FORM:
            return False
        tables = db.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table'").fetchone()[0]
        return tables == len(SCHEMA) and db.execute("SELECT log FROM head").fetchall() == [(self._log,)]

    def _make(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN IMMEDIATE")
        if self._is_ours(db):  # another process was first
            db.execute("ROLLBACK")
            return
        for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            db.execute(f'DROP TABLE "{table}"')
        for statement in SCHEMA:
            db.execute(statement)
        db.execute("INSERT INTO head VALUES (?, 0, x'', x'')", (self._log,))
        db.execute(f"PRAGMA user_version = {FORM}")
        db.execute("COMMIT")

    def _drop(self) -> None:
        for path in self._path.parent.glob(f"{FILE}*"):
            path.unlink(missing_ok=True)

    def _read_end(self) -> TailTree:
        return TailTree(*self._db.execute("SELECT size, frontier, tail FROM head").fetchone())

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED:
                self._drop()  # whoever opens it next makes it anew
            raise StoreUnavailable(f"the index of the log cannot be used: {error}") from error

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _event_of(leaf: bytes) -> list[bytes]:
    """The id of the event that a leaf names, if it does: some leaves are about nobody's act."""
    with contextlib.suppress(orjson.JSONDecodeError, TypeError, KeyError, AttributeError, seals.OpeningFailed):
        return [seals.unb64(orjson.loads(leaf)["i"])]
    return []
