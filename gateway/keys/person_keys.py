"""The keys of records, in a file of their own with its own short backups, so that details can be forgotten. The
ledger's writer calls it, in its thread alone.

Two wrapped 256-bit keys a record: one for its details, one for what opens it; no two records have the same, and a
person is the ids that the records about them name. They come from a pool that is durable before the first of it is
handed out, so that nobody waits for it: a key without a record is harmless, a record without its key could not be
opened. A pool is one run's of one process, and what is left of it is nobody's. (Until 2026-11 a person had one pair for
all their entries; those still open.) Destroying a key forgets what it sealed. Trusted: confidential.

They are wrapped by an epoch's key (keys/epochs.py); at its end those that a record names are wrapped anew, a part at a
time, and the others go. So a destroyed key, and whatever SQLite, a log or a backup leaves of it, dies with its epoch.

A destroyed key is overwritten where it lies and its row stays, by which it is told from one that is lost.
"""

import contextlib
import os
import sqlite3
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from gateway import disk
from gateway.disk import reserve
from gateway.keys import seals
from gateway.keys.epochs import Epoch, Epochs
from gateway.keys.secret_files import PersonKeys

FILE = "vault.sqlite3"
LABEL = b"person/1"
OPENINGS = b"openings/1"
TOGETHER = 500  # persons of one statement
SWEPT = 5000  # rows of one part of a sweep: 5 ms
POOL = 512  # records: two batches (ledger/writer.py), one to be written while the next one's keys are made, in 3 ms
RUN = 12  # bytes of an id that a filling has in common, random: its rows lie beside each other, on nine pages
BOX = 60  # bytes of a wrapped key: nonce, 32 and tag
GONE = f"zeroblob({BOX})"  # in place of a destroyed one
WHOLE = f"AND wrapped <> {GONE} AND openings <> {GONE}"  # neither was destroyed
PAGES = 16 * 1024  # KiB of pages that are kept at hand while many are asked for: those above the rows
FORM = """
CREATE TABLE IF NOT EXISTS person (
  id BLOB PRIMARY KEY, wrapped BLOB, openings BLOB, epoch INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
"""
FORM_VERSION = 2  # user_version: since then all are wrapped by epochs; what was there before was vacuumed away
NO_EPOCH = 0  # of keys that the installation's own wrapping keys wrap: as all were until there were epochs
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
            rows = db.execute(f"SELECT id, wrapped, epoch FROM person WHERE wrapped <> {GONE} LIMIT 100").fetchall()  # noqa: S608
    except sqlite3.Error:
        return None
    epochs = Epochs(folder, wraps)
    if {epoch for *_, epoch in rows} - {NO_EPOCH, *(each.number for each in epochs.all)}:
        return None  # their file is lost
    return not rows or any(
        _unwrapped(_wrapping(epochs, wraps, epoch), LABEL + person, box) for person, box, epoch in rows
    )


def _wrapping(epochs: Epochs, wraps: tuple[bytes, ...], epoch: int) -> tuple[bytes, ...]:
    """What may open the keys of an epoch: nothing, if it is dead."""
    if epoch == NO_EPOCH:
        return wraps
    if epochs.key(epoch) is None:
        epochs.refresh()
    key = epochs.key(epoch)
    return (key,) if key else ()


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
        self._pooled = NO_EPOCH  # the pool's
        self.epochs = Epochs(folder, wraps)
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
        if "epoch" in columns:
            return
        self._db.execute("BEGIN IMMEDIATE")
        for statement in () if "openings" in columns else FROM_FIRST:
            self._db.execute(statement)
        if "epoch" not in {row[1] for row in self._db.execute("PRAGMA table_info(person)")}:
            self._db.execute(f"ALTER TABLE person ADD COLUMN epoch INTEGER NOT NULL DEFAULT {NO_EPOCH}")
        self._db.execute("COMMIT")

    def _rewrite(self) -> None:
        """Once: a file of before there were epochs, whose keys the installation's own wrap, and in which destroyed ones
        may still lie.
        """
        if self._db.execute("PRAGMA user_version").fetchone()[0] >= FORM_VERSION:
            return
        (pages,), some = (
            self._db.execute("PRAGMA page_count").fetchone(),
            self._db.execute("SELECT 1 FROM person").fetchone(),
        )
        if pages <= ONE_LEAF and not some:
            self._db.execute(f"PRAGMA user_version = {FORM_VERSION}")
            return
        for column in ("wrapped", "openings"):
            self._db.execute(f"UPDATE person SET {column} = {GONE} WHERE {column} IS NULL")  # noqa: S608 - ours
        self._rewrap_all()
        self._db.execute("VACUUM")
        if disk.tidy(self._db, empty_from=0):
            self._db.execute(f"PRAGMA user_version = {FORM_VERSION}")

    def new_person(self) -> PersonKeys:
        """Fresh keys under a fresh id, durable already; never handed out again, whatever becomes of the record."""
        if not self._pool or self._is_over():
            self._fill()
        return self._pool.popleft()

    def is_low(self) -> bool:
        """Whether half of the pool is gone, or its epoch is over."""
        return len(self._pool) < POOL // 2 or self._is_over()

    def _is_over(self) -> bool:
        self.epochs.refresh()
        return self.epochs.newest is None or self.epochs.newest.number != self._pooled

    def refill(self) -> None:
        """Between two batches; the pool is full then. Waits for nobody else who has the file. Raises sqlite3.Error."""
        with disk.not_waiting(self._db):
            self._fill()

    def _fill(self) -> None:
        if self._is_over():
            self._pool.clear()
        self._pooled, run = self._in_force(), os.urandom(RUN)
        made = [
            PersonKeys(run + place.to_bytes(4), os.urandom(32), os.urandom(32))
            for place in range(POOL - len(self._pool))
        ]
        self._begin()
        try:
            self._db.executemany("INSERT INTO person VALUES (?, ?, ?, ?)", map(self._row, made))
            self.commit()
        except sqlite3.Error:
            self.rollback()  # whether it is there or not: none of it is handed out
            raise
        self._pool.extend(made)

    def _row(self, made: PersonKeys) -> tuple[bytes, bytes, bytes, int]:
        person, epoch = made.person, self._pooled
        boxes = [
            self._wrap(epoch, label + person, key) for label, key in ((LABEL, made.details), (OPENINGS, made.openings))
        ]
        return person, boxes[0], boxes[1], epoch

    def _in_force(self) -> int:
        """The epoch that new keys are wrapped by. Where there is none yet, or somebody began one whose key only newer
        secrets open, one is begun, which is over as soon as somebody looks at a clock.
        """
        newest = self.epochs.newest
        if newest is None or self.epochs.key(newest.number) is None:
            newest = self._begin_epoch()
        return newest.number

    def _begin_epoch(self) -> Epoch:
        self._begin()  # nobody else who opens the file for the first time begins one meanwhile
        try:
            self.epochs.refresh()
            newest = self.epochs.newest
            if newest is None or self.epochs.key(newest.number) is None:
                (known,) = self._db.execute("SELECT coalesce(max(epoch), 0) FROM person").fetchone()
                self.epochs.begin(max(known, newest.number if newest else 0) + 1, 0, 0)
                newest = self.epochs.newest
        finally:
            self.rollback()
        assert newest
        return newest

    def end_run(self) -> None:
        """What is left of the pool goes. A run that is killed leaves it, at most so many rows; nobody takes them."""
        left, self._pool = self._pool, deque()
        with contextlib.suppress(sqlite3.Error), disk.not_waiting(self._db):
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
        (epoch,) = self._db.execute("SELECT epoch FROM person WHERE id = ?", (person,)).fetchone()
        box = self._wrap(epoch, OPENINGS + person, key)
        self._db.execute("UPDATE person SET openings = ? WHERE id = ?", (box, person))
        return key

    def keys(self, person: bytes) -> PersonKeys:
        """The keys of an id, None for each that was destroyed or that this installation's keys do not open."""
        row = self._db.execute("SELECT wrapped, openings, epoch FROM person WHERE id = ?", (person,)).fetchone()
        wrapped, openings, epoch = row or (None, None, NO_EPOCH)
        details, opens = self._unwrap(epoch, LABEL + person, wrapped), self._unwrap(epoch, OPENINGS + person, openings)
        return PersonKeys(person, details, opens)

    def is_lost(self, person: bytes) -> bool:
        """Whether one of its keys cannot be opened and was not destroyed."""
        row = self._db.execute("SELECT wrapped, openings FROM person WHERE id = ?", (person,)).fetchone()
        known = self.keys(person)
        return row is None or any(
            key is None and box is not None and any(box)
            for box, key in zip(row, (known.details, known.openings), strict=True)
        )

    def both_keys_of(self, persons: Iterable[bytes]) -> dict[bytes, tuple[bytes, bytes]]:
        """Many persons' keys of details and of openings, of whoever has both and both are opened."""
        self._db.execute(f"PRAGMA cache_size = -{PAGES:d}")  # ids are random: without it each is a read of its own
        found, left = dict[bytes, tuple[bytes, bytes]](), iter({*persons})
        while some := list(islice(left, TOGETHER)):
            sql = f"SELECT epoch, id, wrapped, openings FROM person WHERE id IN ({','.join('?' * len(some))}) {WHOLE}"  # noqa: S608
            by_epoch = defaultdict[int, list[tuple[bytes, bytes, bytes]]](list)
            for epoch, *row in self._db.execute(sql, some):
                by_epoch[epoch].append((row[0], row[1], row[2]))
            for epoch, whole in by_epoch.items():
                found.update(self._all_of(epoch, whole))
        return found

    def _all_of(
        self, epoch: int, rows: Sequence[tuple[bytes, bytes, bytes]]
    ) -> Iterable[tuple[bytes, tuple[bytes, bytes]]]:
        keys = self._wrapping(epoch)
        try:
            details = seals.open_many(keys[-1], ((LABEL + person, box) for person, box, _ in rows)) if keys else []
            opens = seals.open_many(keys[-1], ((OPENINGS + person, box) for person, _, box in rows)) if keys else []
        except seals.OpeningFailed:  # some are under an older wrapping key, or another installation's
            return self._each_of(epoch, rows)
        return zip((row[0] for row in rows if keys), zip(details, opens, strict=True), strict=True)

    def _each_of(
        self, epoch: int, rows: Iterable[tuple[bytes, bytes, bytes]]
    ) -> Iterator[tuple[bytes, tuple[bytes, bytes]]]:
        for person, *boxes in rows:
            details, keys = (
                self._unwrap(epoch, label + person, box) for label, box in zip((LABEL, OPENINGS), boxes, strict=True)
            )
            if details and keys:
                yield person, (details, keys)

    def rewrap(self) -> int:
        """Wraps every key by a new epoch, and the epochs' by the installation's newest wrapping key, durably: whoever
        has an older one and a copy of before opens nothing that comes later. Returns how many records have keys. What
        this installation does not open stays as it is.
        """
        self._in_force()
        newest = self.epochs.newest
        assert newest
        self.epochs.begin(newest.number + 1, newest.begun, newest.dies)
        self._rewrap_all()
        self.epochs.rewrap()
        disk.bring_over(self._db, empty=True)
        kept = f"SELECT count(*) FROM person WHERE wrapped <> {GONE} OR openings <> {GONE}"  # noqa: S608 - ours
        return int(self._db.execute(kept).fetchone()[0])

    def _rewrap_all(self) -> None:
        rows = self._db.execute("SELECT id FROM person").fetchall()
        for first in range(0, len(rows), TOGETHER):
            self.rewrap_some([row[0] for row in rows[first : first + TOGETHER]])

    def rewrap_some(self, persons: Sequence[bytes]) -> tuple[int, bool]:
        """Wraps the keys of these, `TOGETHER` at most, by the epoch in force, durably. Returns how many there were to
        wrap, and whether all are: another process's newer secrets may be wanted for some. What nobody can open, or was
        destroyed, stays as it is.
        """
        epoch = self._in_force()
        sql = f"SELECT id, wrapped, openings, epoch FROM person WHERE id IN ({','.join('?' * len(persons))})"  # noqa: S608
        older = [row for row in self._db.execute(sql, persons) if row[3] != epoch]
        shut = {row[3] for row in older if not self._wrapping(row[3])}
        again = [
            (self._again(row, LABEL, row[1], epoch), self._again(row, OPENINGS, row[2], epoch), epoch, row[0])
            for row in older
            if row[3] not in shut
        ]
        if again:
            self._begin()
            self._db.executemany("UPDATE person SET wrapped = ?, openings = ?, epoch = ? WHERE id = ?", again)
            self.commit()
        return len(again), shut.isdisjoint(each.number for each in self.epochs.all)

    def _again(self, row: tuple[bytes, bytes, bytes, int], label: bytes, box: bytes | None, epoch: int) -> bytes | None:
        key = self._unwrap(row[3], label + row[0], box)
        return self._wrap(epoch, label + row[0], key) if key else box

    def sweep(self, epoch: int, after: bytes) -> bytes | None:
        """Before an epoch dies: what of it no record names goes, a part at a time. That a key was destroyed stays on
        record. Returns where to go on.
        """
        destroyed = f"wrapped = {GONE} AND openings = {GONE}"
        rows = self._db.execute(
            f"SELECT id, epoch, {destroyed} FROM person WHERE id > ? ORDER BY id LIMIT {SWEPT:d}",  # noqa: S608 - ours
            (after,),
        ).fetchall()
        gone = [(person,) for person, its, is_destroyed in rows if its == epoch and not is_destroyed]
        if gone:
            self._begin()
            self._db.executemany("DELETE FROM person WHERE id = ?", gone)
            self.commit()
        return rows[-1][0] if len(rows) == SWEPT else None

    def destroy(self, persons: Iterable[bytes], whole: Collection[bytes]) -> None:
        """Destroys persons' keys of details; of `whole` ones both. Durable when this returns; what the file, its log
        or a copy still holds of them dies with its epoch. Unknown persons are none.
        """
        self._begin()
        for column, ids in (("wrapped", [*persons, *whole]), ("openings", whole)):
            self._db.executemany(
                f"UPDATE person SET {column} = {GONE} WHERE id = ?",  # noqa: S608 - ours
                [(person,) for person in ids],
            )
        self.commit()

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")

    def _wrapping(self, epoch: int) -> tuple[bytes, ...]:
        return _wrapping(self.epochs, self._wraps, epoch)

    def _wrap(self, epoch: int, label: bytes, key: bytes | None) -> bytes:
        assert key is not None
        return seals.seal_box(self._wrapping(epoch)[-1], label, key)

    def _unwrap(self, epoch: int, label: bytes, box: bytes | None) -> bytes | None:
        return _unwrapped(self._wrapping(epoch), label, box)

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
