"""The mirror kept by the writer, under its lock: denies before the commit, what loosens after it.

The table is the truth. Whatever cannot be told of the map makes it refused, and then checks deny: never an answer from
one that may be behind. Where mirroring is off, one that lies there is taken away, so that no writer leaves one behind
that others answer from.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import lmdb

from gateway.ledger import changes, schema
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.watch import Judge
from gateway.mirror import memory_map
from gateway.mirror.memory_map import Head, MapFull, MapRefused, MemoryMap
from gateway.mirror.row import MirrorRow, NotARow, unpack

GROW_AT = 0.75  # of the map: pages of a batch are only given back with the next ones
CATCHES_UP = 0.3  # seconds that another process may be between its commit and its last step
PAUSE = 0.005
READERS_EVERY = 1.0  # seconds
NOWHERE = Path()


class Touched(Protocol):
    """The open transaction: its connection, and whose answer rests on what was there before."""

    @property
    def db(self) -> sqlite3.Connection: ...
    @property
    def relied(self) -> set[bytes]: ...


class Mirrored:
    """One installation's mirror in this process. `size`: of a map that is made, in bytes; one that fills up is made
    anew with twice as much. `enabled` False: there is none. Without a folder nothing is looked after at all.
    """

    def __init__(self, folder: Path = NOWHERE, *, enabled: bool = False, size: int = 2**30) -> None:
        self._folder = folder
        self.enabled = enabled
        self._size = size
        self._boot = memory_map.boot_id() if enabled else b""
        self.map: MemoryMap | None = None
        self._opened: list[MemoryMap] = []
        self._made: MemoryMap | None = None
        self._keys: list[bytes] = []  # tightened, and not yet as the table has them
        self._gone: list[bytes] = []
        self._swapping = threading.Lock()
        self._looked = 0.0
        self._full = False
        self._begun = False  # this process has looked whether the map is to be made anew

    def current(self) -> MemoryMap:
        """The map in force, opened anew where another process has replaced it. Raises `MapRefused`."""
        with self._swapping:
            if self.map is None or not self.map.is_current():
                self.map = None
                self.map = self._hold(memory_map.open_current(self._folder))
            return self.map

    def wants(self) -> bool:
        """Whether the writer has to look after the map although nobody writes."""
        if not self.enabled:
            return False
        try:
            found = self.current()
            with contextlib.closing(schema.open_to_read(self._folder)) as db:
                behind = found.head() != self._head(db) or bool(found.pending())
                return behind or self._full or found.used() > GROW_AT or self._keeps(found)
        except (MapRefused, LedgerRefused, sqlite3.Error, lmdb.Error, OSError):
            return True

    def prepare(self) -> None:
        """Before the lock is taken: a map that has to be made anew is filled with what is committed by now. Raises what
        reading the ledger and filling may raise.
        """
        doubtful = self.enabled and self._doubtful()
        self._begun = True
        if doubtful:
            with contextlib.closing(schema.open_to_read(self._folder)) as db:
                db.execute("BEGIN")  # one moment
                made = self._hold(memory_map.make(self._folder, self._size))
                with self._growing():
                    made.fill(changes.everything(db))
                    made.write({}, self._head(db))
            self._made, self._full = made, False

    def ready(self, db: sqlite3.Connection) -> None:
        """Under the lock, before a batch: the map says what the table says. Raises `MapRefused`."""
        self._keys, self._gone = [], []
        if not self.enabled:
            if self._folder is not NOWHERE:
                memory_map.take_away(self._folder)
            return
        _watch_deletes(db)
        if self._made is not None:
            made, self._made = self._made, None
            self._catch_up(made, db)
            with self._swapping:
                memory_map.put_in_force(made, self.map)
                self.map = made
            return
        self._catch_up(self.current(), db)

    def tighten(self, touched: Touched) -> None:
        """Before the commit: what the batch denies is denied from here on. Raises `MapRefused`: nothing was written."""
        if not self.enabled:
            return
        assert self.map is not None
        db = touched.db
        self._gone = [key for (key,) in db.execute("SELECT key FROM temp.gone")]
        keys = {*changes.keys_after(db, self.map.head().revision), *touched.relied}
        old, strict = self.map.rows(keys), dict[bytes, bytes | None]()
        for key, row in changes.rows(db, keys).items():
            packed = row.tightened(_row(old.get(key))).pack()
            if packed != old.get(key) or packed != row.pack():
                strict[key] = packed
        if strict:
            self._keys = list(strict)
            with self._growing():
                self.map.write(strict, pending=self._keys)

    def put_back(self, db: sqlite3.Connection) -> None:
        """After a commit that failed: the batch's keys as the table has them. What cannot be put back now is stricter
        than the table, and is put back before the next batch.
        """
        if self._keys and self.map is not None:
            with contextlib.suppress(MapRefused, sqlite3.Error, lmdb.Error):
                self._write(self.map, db, self._keys, None)

    def loosen(self, db: sqlite3.Connection) -> None:
        """After the commit, before the answer: all as the table has it, and the head. Raises `MapRefused`."""
        if not self.enabled:
            return
        assert self.map is not None
        now = self._head(db)
        if self._keys or self._gone or now != self.map.head():
            self._write(self.map, db, [*self._keys, *self._gone], now)
        if self._gone:
            db.execute("DELETE FROM temp.gone")

    def prove(self, db: sqlite3.Connection) -> None:
        """By the watch, on its own connection: the map is that of this file and not behind it. Raises
        `LedgerRefused`. Without a map yet nothing is answered from it anyway.
        """
        if not self.enabled or self.map is None:
            return
        now, until = self._head(db), time.monotonic() + CATCHES_UP
        try:
            while True:
                found = self.current()
                there = found.head()
                if not there.mirrors(now):
                    raise LedgerRefused("the mirror is one of another ledger; it is made anew by the next write")
                if there.revision >= now.revision and there.size >= now.size:
                    break
                if time.monotonic() > until:
                    raise LedgerRefused("the mirror is behind the ledger; the writer brings it up to date")
                time.sleep(PAUSE)
        except MapRefused as refused:
            raise LedgerRefused(f"the mirror cannot be used ({refused}); the writer makes it anew") from refused
        self._clear_readers(found)

    def judge(self, examination: Judge) -> Judge:
        """A proof is of the ledger and of the mirror that is answered from."""

        def judge(db: sqlite3.Connection) -> bool:
            grown = examination(db)
            self.prove(db)
            return grown

        return judge

    def used(self) -> float:
        """How much of the map is taken, 0 to 1; 0 where there is none."""
        return self.map.used() if self.map is not None else 0.0

    def close(self) -> None:
        """After the last look-up of this process."""
        while self._opened:
            self._opened.pop().close()
        self.map = None

    def _clear_readers(self, found: MemoryMap) -> None:
        if time.monotonic() - self._looked > READERS_EVERY:
            self._looked = time.monotonic()
            found.check_readers()

    def _doubtful(self) -> bool:
        """Whether a new map has to be made. Reads the ledger."""
        try:
            found = self.current()
            if self._full or found.used() > GROW_AT:
                self._size = max(self._size, 2 * found.size)
                return True
            with contextlib.closing(schema.open_to_read(self._folder)) as db:
                return self._keeps(found) or not self._follows(found.head(), db)
        except (MapRefused, sqlite3.Error, LedgerRefused, OSError):
            return True

    def _keeps(self, found: MemoryMap) -> bool:
        """Whether a process that begins is to make it anew, for digests of people who were unlinked lie in it still.
        Not in between: nothing is written meanwhile, for 2.6 s at a million rows (measured).
        """
        return not self._begun and found.left()

    def _follows(self, there: Head, db: sqlite3.Connection) -> bool:
        """Whether what came after is all that it takes."""
        now = self._head(db)
        return there.mirrors(now) and changes.floor(db) <= there.revision <= now.revision

    def _catch_up(self, found: MemoryMap, db: sqlite3.Connection) -> None:
        there = found.head()
        if not self._follows(there, db):
            raise MapRefused("it mirrors another ledger, or rows went meanwhile")
        now, pending = self._head(db), found.pending()
        if now != there or pending:
            self._write(found, db, [*changes.keys_after(db, there.revision), *pending], now)

    def _write(self, found: MemoryMap, db: sqlite3.Connection, keys: Iterable[bytes], head: Head | None) -> None:
        wanted = set(keys)
        rows = changes.rows(db, wanted)
        with self._growing():
            found.write({key: rows[key].pack() if key in rows else None for key in wanted}, head)
        self._keys, self._gone = [], []

    @contextlib.contextmanager
    def _growing(self) -> Iterator[None]:
        """The next one is made larger where this one is full."""
        try:
            yield
        except MapFull:
            self._full, self._size = True, 2 * self._size
            raise

    def _head(self, db: sqlite3.Connection) -> Head:
        here = (self._folder / schema.FILE).stat()
        return changes.head(db, self._boot, here.st_dev, here.st_ino)

    def _hold(self, opened: MemoryMap) -> MemoryMap:
        self._opened.append(opened)
        return opened


def _row(packed: bytes | None) -> MirrorRow | None:
    """A row of another format is none: then only what denies is written."""
    with contextlib.suppress(NotARow):
        return unpack(packed) if packed is not None else None
    return None


def _watch_deletes(db: sqlite3.Connection) -> None:
    """Which rows go in a transaction of this connection: the ledger itself keeps nothing of them."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS gone (key BLOB PRIMARY KEY)")
    db.execute(
        "CREATE TEMP TRIGGER IF NOT EXISTS remember_gone AFTER DELETE ON main.standing BEGIN"
        " INSERT OR IGNORE INTO gone VALUES (OLD.key); END"
    )
