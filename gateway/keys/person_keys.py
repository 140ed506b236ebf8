"""The keys of records, in a file of their own with its own short backups, so that details can be forgotten. The
ledger's writer calls it, in its thread alone.

Two wrapped 256-bit keys a record: one for its details, one for what opens it; no two records have the same, and a
person is the ids that the records about them name. They come from a pool that is durable before the first of it is
handed out, so that nobody waits for it: a key without a record is harmless, a record without its key could not be
opened. A pool is one run's of one process, and what is left of it is nobody's. (Until 2026-11 a person had one pair for
all their entries; those still open.) Destroying a key forgets what it sealed. Trusted: confidential, and never to be
rolled back to before an erasure.

A destroyed key is overwritten where it lies and its row stays, of the same length. Rows that are deleted or shrink make
SQLite move their neighbours between pages, and even with secure_delete it leaves copies of what it moved in unused
parts of a page, which are not reached when the row is overwritten later (measured with 3.46.1 and 3.54.1: of 160,000
keys so destroyed 33 could be found in part, 5 of them whole).
"""

import contextlib
import os
import sqlite3
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path

from gateway import disk
from gateway.disk import reserve
from gateway.keys import seals
from gateway.keys.secret_files import PersonKeys

FILE = "vault.sqlite3"
LABEL = b"person/1"
OPENINGS = b"openings/1"
TOGETHER = 500  # persons of one statement
POOL = 512  # records: two batches (ledger/writer.py), one to be written while the next one's keys are made, in 3 ms
RUN = (
    12  # bytes of an id that a filling has in common, random: its rows lie beside each other, half a pool on nine pages
)
BOX = 60  # bytes of a wrapped key: nonce, 32 and tag
GONE = f"zeroblob({BOX})"  # in place of a destroyed one
WHOLE = f"AND wrapped <> {GONE} AND openings <> {GONE}"  # neither was destroyed
PAGES = 16 * 1024  # KiB of pages that are kept at hand while many are asked for: those above the rows
FORM = """
CREATE TABLE IF NOT EXISTS person (id BLOB PRIMARY KEY, wrapped BLOB, openings BLOB) STRICT, WITHOUT ROWID;
"""
FORM_VERSION = 1  # user_version: since then nothing is deleted; what earlier deletions left was vacuumed away
ONE_LEAF = 2  # pages of a file whose rows never moved: all are in one beside the schema's
FROM_FIRST = (  # the first version had one key a person, and could not be without it
    "ALTER TABLE person RENAME TO old_person",
    "CREATE TABLE person (id BLOB PRIMARY KEY, wrapped BLOB, openings BLOB) STRICT, WITHOUT ROWID",
    "INSERT INTO person (id, wrapped) SELECT id, wrapped FROM old_person",
    "DROP TABLE old_person",
)


def anybody(folder: Path) -> bool:
    """Whether the folder keeps anybody's keys. A file that cannot be read is taken to; one without its table was cut
    off while the installation was made.
    """
    path = folder / FILE
    try:
        if not path.exists():
            return False
        with contextlib.closing(sqlite3.connect(path)) as db:
            made = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'person'").fetchone()
            return bool(made) and db.execute("SELECT 1 FROM person LIMIT 1").fetchone() is not None
    except (OSError, sqlite3.Error):
        return True


def opened_by(folder: Path, wraps: tuple[bytes, ...]) -> bool | None:
    """Whether these keys open somebody's of the folder, or nobody's are there; None where that cannot be told."""
    path = folder / FILE
    if not path.exists():
        return True
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute(f"SELECT id, wrapped FROM person WHERE wrapped <> {GONE} LIMIT 100").fetchall()  # noqa: S608
    except sqlite3.Error:
        return None
    return not rows or any(_unwrapped(wraps, LABEL + person, box) for person, box in rows)


def _unwrapped(wraps: tuple[bytes, ...], label: bytes, box: bytes | None) -> bytes | None:
    try:
        return seals.open_seal(wraps, label, box) if box else None
    except seals.OpeningFailed:
        return None


class Vault:
    """Opened by whoever writes; closed with the writer."""

    def __init__(self, folder: Path, wraps: tuple[bytes, ...]) -> None:
        self._wraps = wraps
        self._path = folder / FILE
        self._pool = deque[PersonKeys]()
        reserve(self._path)
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")  # an entry must never outlive its key's write
        self._db.execute("PRAGMA wal_autocheckpoint=0")  # SQLite's own would not look at a sync that failed (disk.py)
        self._db.execute("PRAGMA secure_delete=ON")  # what is overwritten in a page, and pages that become free
        self._db.execute(FORM)
        self._upgrade()
        # Somebody reads, the disk is full, a page is damaged: no opt-out waits for it, and the next opening does it.
        with contextlib.suppress(sqlite3.Error):
            self._rewrite()

    def _upgrade(self) -> None:
        columns = {row[1] for row in self._db.execute("PRAGMA table_info(person)")}
        if "openings" in columns:
            return
        self._db.execute("BEGIN IMMEDIATE")
        for statement in FROM_FIRST:
            self._db.execute(statement)
        self._db.execute("COMMIT")

    def _rewrite(self) -> None:
        """Once: a file in which keys were destroyed by deleting them may still hold some."""
        (version,), (pages,) = (self._db.execute(f"PRAGMA {of}").fetchone() for of in ("user_version", "page_count"))
        if version >= FORM_VERSION:
            return
        if pages <= ONE_LEAF:
            self._db.execute(f"PRAGMA user_version = {FORM_VERSION}")
            return
        for column in ("wrapped", "openings"):
            self._db.execute(f"UPDATE person SET {column} = {GONE} WHERE {column} IS NULL")  # noqa: S608 - ours
        self._db.execute("VACUUM")
        if disk.tidy(self._db, empty_from=0):
            self._db.execute(f"PRAGMA user_version = {FORM_VERSION}")

    def new_person(self) -> PersonKeys:
        """Fresh keys under a fresh id, durable already; never handed out again, whatever becomes of the record."""
        if not self._pool:
            self._fill()
        return self._pool.popleft()

    def is_low(self) -> bool:
        """Whether half of the pool is gone."""
        return len(self._pool) < POOL // 2

    def refill(self) -> None:
        """Between two batches; the pool is full then. Waits for nobody else who has the file. Raises sqlite3.Error."""
        with disk.not_waiting(self._db):
            self._fill()

    def _fill(self) -> None:
        run = os.urandom(RUN)
        made = [
            PersonKeys(run + place.to_bytes(4), os.urandom(32), os.urandom(32))
            for place in range(POOL - len(self._pool))
        ]
        self._begin()
        try:
            self._db.executemany("INSERT INTO person VALUES (?, ?, ?)", map(self._row, made))
            self.commit()
        except sqlite3.Error:
            self.rollback()  # whether it is there or not: none of it is handed out
            raise
        self._pool.extend(made)

    def _row(self, made: PersonKeys) -> tuple[bytes, bytes, bytes]:
        person = made.person
        return person, self._wrap(LABEL, person, made.details), self._wrap(OPENINGS, person, made.openings)

    def end_run(self) -> None:
        """What is left of the pool goes. A run that is killed leaves it, at most so many rows; nobody takes them."""
        left, self._pool = self._pool, deque()
        with contextlib.suppress(sqlite3.Error):
            self._begin()
            self._db.executemany("DELETE FROM person WHERE id = ?", [(each.person,) for each in left])
            self.commit()

    def add_openings(self, person: bytes) -> bytes:
        """The key of openings of a person who was there before there were such keys; durable after `commit`."""
        known = self.keys(person).openings
        if known:
            return known
        self._begin()
        key = os.urandom(32)
        box = self._wrap(OPENINGS, person, key)
        self._db.execute("UPDATE person SET openings = ? WHERE id = ?", (box, person))
        return key

    def keys(self, person: bytes) -> PersonKeys:
        """The keys of an id, None for each that was destroyed or that this installation's keys do not open."""
        row = self._db.execute("SELECT wrapped, openings FROM person WHERE id = ?", (person,)).fetchone()
        wrapped, openings = row or (None, None)
        return PersonKeys(person, self._unwrap(LABEL, person, wrapped), self._unwrap(OPENINGS, person, openings))

    def both_keys_of(self, persons: Iterable[bytes]) -> dict[bytes, tuple[bytes, bytes]]:
        """Many persons' keys of details and of openings, of whoever has both and both are opened."""
        self._db.execute(f"PRAGMA cache_size = -{PAGES:d}")  # ids are random: without it each is a read of its own
        found, left = dict[bytes, tuple[bytes, bytes]](), iter({*persons})
        while some := list(islice(left, TOGETHER)):
            sql = f"SELECT id, wrapped, openings FROM person WHERE id IN ({','.join('?' * len(some))}) {WHOLE}"  # noqa: S608
            whole = self._db.execute(sql, some).fetchall()
            try:
                details = seals.open_many(self._wraps[-1], ((LABEL + person, box) for person, box, _ in whole))
                keys = seals.open_many(self._wraps[-1], ((OPENINGS + person, box) for person, _, box in whole))
                found.update(zip((row[0] for row in whole), zip(details, keys, strict=True), strict=True))
            except seals.OpeningFailed:  # some are under an older wrapping key, or another installation's
                found.update(self._each_of(whole))
        return found

    def _each_of(self, rows: Iterable[tuple[bytes, bytes, bytes]]) -> Iterator[tuple[bytes, tuple[bytes, bytes]]]:
        for person, *boxes in rows:
            details, keys = (
                self._unwrap(label, person, box) for label, box in zip((LABEL, OPENINGS), boxes, strict=True)
            )
            if details and keys:
                yield person, (details, keys)

    def rewrap(self) -> int:
        """Wraps every person's keys with the newest wrapping key, durably. Returns how many persons have any. What
        this installation does not open stays as it is.
        """
        self._begin()
        kept = f"SELECT id FROM person WHERE wrapped <> {GONE} OR openings <> {GONE}"  # noqa: S608 - ours
        people = [row[0] for row in self._db.execute(kept)]
        for person in people:
            known = self.keys(person)
            for label, column, key in ((LABEL, "wrapped", known.details), (OPENINGS, "openings", known.openings)):
                if key:
                    box = self._wrap(label, person, key)
                    self._db.execute(f"UPDATE person SET {column} = ? WHERE id = ?", (box, person))  # noqa: S608 - ours
        self.commit()
        disk.bring_over(self._db, empty=True)
        return len(people)

    def destroy(self, persons: Iterable[bytes], whole: Collection[bytes]) -> None:
        """Destroys persons' keys of details; of `whole` ones both. Durable when this returns; `cut` then removes what
        the file's log still holds. Unknown persons are none.
        """
        self._begin()
        for column, ids in (("wrapped", [*persons, *whole]), ("openings", whole)):
            self._db.executemany(
                f"UPDATE person SET {column} = {GONE} WHERE id = ?",  # noqa: S608 - ours
                [(person,) for person in ids],
            )
        self.commit()

    def cut(self) -> bool:
        """Whether every page is in the main file and the write-ahead log is empty."""
        return disk.bring_over(self._db, empty=True)[0]

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")

    def _wrap(self, label: bytes, person: bytes, key: bytes | None) -> bytes:
        assert key is not None
        return seals.seal_box(self._wraps[-1], label + person, key)

    def _unwrap(self, label: bytes, person: bytes, box: bytes | None) -> bytes | None:
        return _unwrapped(self._wraps, label + person, box)

    def commit(self) -> None:
        if self._db.in_transaction:
            self._db.execute("COMMIT")
            if disk.is_long(self._path):
                with contextlib.suppress(sqlite3.Error):  # the commit is durable; the log is emptied another time
                    disk.tidy(self._db, empty_from=0)  # else its file stayed long, and each commit came here

    def rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        self._db.close()
