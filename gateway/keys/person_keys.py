"""The keys of records, in a file of their own with its own short backups, so that details can be forgotten. The
ledger's writer calls it, in its thread alone.

Two wrapped 256-bit keys a record: one for its details, one for what opens it; no two records have the same, and a
person is the ids that the records about them name. They come from a pool that is durable before the first of it is
handed out, so that nobody waits for it: a key without a record is harmless, a record without its key could not be
opened. A pool is one run's of one process, and what is left of it is nobody's. Destroying a key forgets what it sealed.
Trusted: confidential.

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
from typing import TYPE_CHECKING, cast

from gateway import disk
from gateway.disk import reserve
from gateway.keys import seals
from gateway.keys.epochs import Epoch, Epochs
from gateway.keys.secret_files import PersonKeys
from gateway.keys.shared_epochs import ALONE, SharedEpochs
from gateway.postgres import address
from gateway.terms import Unusable

if TYPE_CHECKING:
    from gateway.postgres.connection import PostgresConnection

FILE, SCHEMA = "vault.sqlite3", "gateway_vault"
LABEL = b"person/1"
OPENINGS = b"openings/1"
TOGETHER = 500  # persons of one statement
SWEPT = 1000  # rows of one part of a sweep: 9 ms where all of them go
POOL = 512  # records: two batches (ledger/writer.py), one to be written while the next one's keys are made, in 3 ms
RUN = 12  # bytes of an id that a filling has in common, random: its rows lie beside each other, on nine pages
BOX = 60  # bytes of a wrapped key: nonce, 32 and tag
GONE = f"zeroblob({BOX})"  # in place of a destroyed one
WHOLE = f"AND wrapped <> {GONE} AND openings <> {GONE}"  # neither was destroyed
PAGES = 16 * 1024  # KiB of pages that are kept at hand while many are asked for: those above the rows
FORM = """
CREATE TABLE person (
  id BLOB PRIMARY KEY, wrapped BLOB NOT NULL, openings BLOB NOT NULL, epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""
FORM_VERSION = 3  # user_version; what had another one was never released
MOVED = -1  # in its place: the keys go on elsewhere


class VaultRefused(Unusable):
    """The file is of another version. The text says what to do."""


def is_there(folder: Path) -> bool:
    """Whether the folder has a vault, whoever's keys it keeps; a server's is taken to be there."""
    return bool(address.url_in(folder)) or (folder / FILE).exists()


def anybody(folder: Path, owner: str = "") -> bool:
    """Whether the folder keeps anybody's keys. `owner`: as `Vault` has it. A file that cannot be read is taken to; one
    without its table was cut off while the installation was made.
    """
    try:
        if not is_there(folder):
            return False
        with contextlib.closing(_connected(folder, owner)) as db:
            made = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'person'").fetchone()
            return bool(made) and db.execute("SELECT 1 FROM person LIMIT 1").fetchone() is not None
    except address.RoleRefused:
        raise
    except (OSError, sqlite3.Error):
        return True


def _connected(folder: Path, owner: str = "") -> sqlite3.Connection:
    """To the file, made private where there is none, or to where the folder's databases are."""
    if url := address.url_in(folder):
        from gateway.postgres.connection import PostgresConnection  # noqa: PLC0415 - most installations have no psycopg

        made = PostgresConnection(owner or url, SCHEMA, address.host_in(folder), writes=True)
        made.make()
        return cast("sqlite3.Connection", made)
    reserve(folder / FILE)
    return sqlite3.connect(folder / FILE, isolation_level=None)


def join(folder: Path) -> None:
    """Beside other machines, whose epochs this one has (`shared_epochs`)."""
    with contextlib.closing(_connected(folder)) as db:
        cast("PostgresConnection", db).join()


def take_over(folder: Path) -> None:
    """From all other machines, which wrap and destroy no key once this returns."""
    with contextlib.closing(_connected(folder)) as db:
        cast("PostgresConnection", db).take_over()


class Vault:
    """Opened by whoever writes; closed with the writer. `owner`: the url of a server's role that owns the tables, for
    whoever makes them. Raises `VaultRefused`.
    """

    def __init__(self, folder: Path, wraps: tuple[bytes, ...], owner: str = "") -> None:
        self._path = folder / FILE
        self._pool = deque[PersonKeys]()
        self._pooled = 0  # the pool's epoch
        self._is_looked = False  # whether that is over, for all of a batch
        self.epochs = Epochs(folder, wraps)
        self.shared = SharedEpochs(self.epochs)
        self._db = _connected(folder, owner)
        self._refuse_others()
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")  # an entry must never outlive its key's write
        self._db.execute("PRAGMA wal_autocheckpoint=0")  # SQLite's own would not look at a sync that failed (disk.py)
        self._db.execute("PRAGMA secure_delete=ON")  # what is overwritten in a page, and pages that become free
        self._make()

    @property
    def db(self) -> sqlite3.Connection:
        """For whoever ends what a copy noted in it (ledger/moving), in the writer's thread."""
        return self._db

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _is_new(self) -> bool:
        return not self._version() and not self._db.execute("SELECT 1 FROM sqlite_schema").fetchone()

    def _refuse_others(self) -> None:
        """Before anything is written."""
        if not disk.is_file(self._db) and not cast("PostgresConnection", self._db).is_ours():
            self._db.close()
            raise VaultRefused("the persons' keys are another machine's: gateway migrate --join")
        if not self._is_new() and (found := self._version()) != FORM_VERSION:  # in this order: others may just make it
            self._db.close()
            if found == MOVED:
                raise VaultRefused(f"{self._path} was moved by gateway copy, and its keys go on elsewhere")
            raise VaultRefused(
                f"{self._path} has version {found}, this gateway knows {FORM_VERSION} alone and nothing brings it over:"
                " begin a new folder with gateway migrate --data NEW; nothing here was moved, changed or deleted"
            )

    def _make(self) -> None:
        """A new file's table. Who opens the file at the same time waits, and finds it."""
        if self._version():
            return
        self._begin()
        if self._is_new():
            self._db.execute(FORM)
            self._db.execute(f"PRAGMA user_version = {FORM_VERSION}")
        self._db.execute("COMMIT")

    def new_person(self) -> PersonKeys:
        """Fresh keys under a fresh id, durable already; never handed out again, whatever becomes of the record."""
        if not self._pool or (not self._is_looked and self._is_over()):
            self._fill()
        return self._pool.popleft()

    @contextlib.contextmanager
    def in_batch(self) -> Iterator[None]:
        """Under the writers' lock, while nobody turns the epochs: whether the pool's is over is looked at once."""
        if self._is_over():
            self._pool.clear()
        self._is_looked = True
        try:
            yield
        finally:
            self._is_looked = False

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
        details = self._wrap(epoch, LABEL + person, made.details)
        return person, details, self._wrap(epoch, OPENINGS + person, made.openings), epoch

    def _in_force(self) -> int:
        """The epoch that new keys are wrapped by. Where there is none yet, or somebody began one whose key only newer
        secrets open, one is begun, which is over as soon as somebody looks at a clock.
        """
        newest = self.epochs.newest
        if newest is None or self.epochs.key(newest.number) is None:
            if not disk.is_file(self._db):
                raise VaultRefused(ALONE)
            newest = self._begin_epoch()
        return newest.number

    def begin_alone(self) -> None:
        """The first epoch, of which other machines get a copy, or one where all that there were are lost. None where
        there is one.
        """
        if self.epochs.newest is None:
            self._begin_epoch()

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

    def keys(self, person: bytes) -> PersonKeys:
        """The keys of an id, None for each that was destroyed or that this installation's keys do not open."""
        row = self._db.execute("SELECT epoch, id, wrapped, openings FROM person WHERE id = ?", (person,)).fetchone()
        return self._opened(*row) if row else PersonKeys(person, None, None)

    def is_lost(self, person: bytes) -> bool:
        """Whether one of its keys cannot be opened and was not destroyed."""
        row = self._db.execute("SELECT wrapped, openings FROM person WHERE id = ?", (person,)).fetchone()
        known = self.keys(person)
        return row is None or any(
            key is None and any(box) for box, key in zip(row, (known.details, known.openings), strict=True)
        )

    def both_keys_of(self, persons: Iterable[bytes]) -> dict[bytes, tuple[bytes, bytes]]:
        """Many persons' keys of details and of openings, of whoever has both and both are opened."""
        self._db.execute(f"PRAGMA cache_size = -{PAGES:d}")  # ids are random: without it each is a read of its own
        found, left = dict[bytes, tuple[bytes, bytes]](), iter({*persons})
        while some := list(islice(left, TOGETHER)):
            sql = f"SELECT epoch, id, wrapped, openings FROM person WHERE id IN ({','.join('?' * len(some))}) {WHOLE}"  # noqa: S608 - ours
            by_epoch = defaultdict[int, list[tuple[bytes, bytes, bytes]]](list)
            for epoch, *row in self._db.execute(sql, some):
                by_epoch[epoch].append((row[0], row[1], row[2]))
            for epoch, whole in by_epoch.items():
                found.update(self._all_of(epoch, whole))
        return found

    def _all_of(
        self, epoch: int, rows: Sequence[tuple[bytes, bytes, bytes]]
    ) -> Iterable[tuple[bytes, tuple[bytes, bytes]]]:
        key = self._wrapping(epoch)
        if key is None:
            return ()
        try:
            details = seals.open_many(key, ((LABEL + person, box) for person, box, _ in rows))
            opens = seals.open_many(key, ((OPENINGS + person, box) for person, _, box in rows))
        except seals.OpeningFailed:  # some are another installation's
            known = (self._opened(epoch, *row) for row in rows)
            return [(each.person, (each.details, each.openings)) for each in known if each.details and each.openings]
        return zip((row[0] for row in rows), zip(details, opens, strict=True), strict=True)

    def _opened(self, epoch: int, person: bytes, wrapped: bytes, openings: bytes) -> PersonKeys:
        details = self._unwrap(epoch, LABEL + person, wrapped)
        return PersonKeys(person, details, self._unwrap(epoch, OPENINGS + person, openings))

    def rewrap(self, ledger: sqlite3.Connection | None = None) -> int:
        """Wraps every key by a new epoch, and the epochs' by the installation's newest wrapping key, durably: whoever
        has an older one and a copy of before opens nothing that comes later. Returns how many records have keys. What
        this installation does not open stays as it is. `ledger`: where other machines are told of the epoch.
        """
        self._in_force()
        newest = self.epochs.newest
        assert newest
        if ledger is None:
            self.epochs.begin(newest.number + 1, newest.begun, newest.dies)
        else:
            self.shared.begin(ledger, newest.number + 1, newest.begun, newest.dies)
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
        if not disk.is_file(self._db):
            self._begin()  # what another machine destroys meanwhile must not be wrapped once more
        sql = f"SELECT id, wrapped, openings, epoch FROM person WHERE id IN ({','.join('?' * len(persons))})"  # noqa: S608 - ours
        older = [row for row in self._db.execute(sql, persons) if row[3] != epoch]
        shut = {row[3] for row in older if self._wrapping(row[3]) is None}
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

    def _again(self, row: tuple[bytes, bytes, bytes, int], label: bytes, box: bytes, epoch: int) -> bytes:
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
        gone = [(person, its) for person, its, is_destroyed in rows if its == epoch and not is_destroyed]
        if gone:
            self._begin()
            self._db.executemany("DELETE FROM person WHERE id = ? AND epoch = ?", gone)
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

    def _wrapping(self, epoch: int) -> bytes | None:
        """What opens the keys of an epoch; None: it is dead."""
        if self.epochs.key(epoch) is None:
            self.epochs.refresh()
        return self.epochs.key(epoch)

    def _wrap(self, epoch: int, label: bytes, key: bytes | None) -> bytes:
        wrapping = self._wrapping(epoch)
        assert wrapping
        assert key
        return seals.seal_box(wrapping, label, key)

    def _unwrap(self, epoch: int, label: bytes, box: bytes) -> bytes | None:
        key = self._wrapping(epoch)
        try:
            return seals.open_seal([key], label, box) if key else None
        except seals.OpeningFailed:
            return None

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
