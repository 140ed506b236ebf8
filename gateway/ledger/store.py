"""The store: what an engine has to offer so that the ledger can stand on it, and SQLite, which does; a server does in
`postgres_store.py`. The writer, readers, proofs and rules above know no other file, lock or engine than this.

A connection is one of DB-API 2.0 as sqlite3 has it, without transactions of its own: `execute` with question marks,
explicit BEGIN, SAVEPOINT and COMMIT. The head row is read in every transaction and grown by whoever holds `held`, so
numbers have no gaps; nothing above asks for sequences, advisory locks or notifications. Trees, proofs, commitments and
seals live above; the store keeps bytes. On SQLite it is one file, WAL with checkpoints of our own (`schema`).
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

from gateway import disk
from gateway.ledger import erasure_steps, schema
from gateway.ledger.errors import LedgerRefused, StoreUnavailable

Connection = sqlite3.Connection
T = TypeVar("T")


class Store(Protocol):
    """Every call raises `LedgerRefused` where the ledger must not be used, with the command that helps. `is_server`:
    whether a reader may be kept waiting by another machine, so that an event loop must not.
    """

    is_server: ClassVar[bool]

    @property
    def name(self) -> Path:
        """What texts call it, which tell nobody a password."""

    def exists(self) -> bool:
        """Whether a ledger was begun there, however broken."""

    def migrate(self, peppers: int, origin: str = "", marks: Sequence[int] = ()) -> int:
        """Makes it or brings it up to date, under the lock; `schema.migrate`."""

    def identity(self) -> tuple[object, object]:
        """(which ledger it is, whether it changed since): what was found sound of one need not be looked at again."""

    def examine(self) -> None:
        """Reads all of it once, where the last stop was not clean and the engine does not do so itself."""

    def join(self) -> None:
        """Beside other machines, which go on."""

    def take_over(self) -> None:
        """From all other machines, which write and answer no more once this returns."""

    def claim(self, name: str) -> Callable[[], bool]:
        """Whether, at each asking, this machine does what one alone should do of all that stand on it."""

    def close(self) -> None:
        """Lets go of what it keeps open to be used again."""

    def held(self) -> AbstractContextManager[None]:
        """The writers' lock: whoever has it is the only one, in whichever process, that commits or checkpoints."""

    def open_to_write(self) -> Connection:
        """After every start-up check. A commit on it returns when a power cut leaves it there."""

    def open_to_read(self) -> Connection:
        """Sees at each statement whatever was committed before it; within BEGIN one moment."""

    def tidy(self, db: Connection, *, idle: bool) -> None:
        """Between two batches, under the lock: what the engine wants done. `idle`: nobody waits."""

    def zero(self, db: Connection, at: int) -> int | None:
        """Between two batches, under the lock: takes away a part of what deleted rows left in the files. `at` 0: from
        the beginning. Returns where to go on; None where nothing is left.
        """


@contextlib.contextmanager
def ledger_needed(*more: type[Exception]) -> Iterator[None]:
    """For what is answered from the ledger: where it, or `more`, fails within, raises `StoreUnavailable`."""
    failing: tuple[type[Exception], ...] = (sqlite3.Error, LedgerRefused, *more)
    try:
        yield
    except failing as error:
        raise StoreUnavailable(f"the ledger cannot be read: {type(error).__name__}") from error


@contextlib.contextmanager
def ledger_snapshot(store: Store) -> Iterator[Connection]:
    """One moment of the ledger, to answer from. Raises `StoreUnavailable` where it cannot be read."""
    with ledger_needed(), contextlib.closing(store.open_to_read()) as db:
        db.execute("BEGIN")
        yield db


def asked_of(store: Store, question: Callable[[Connection], T]) -> T:
    """What a question is answered from one, for whoever asks in a thread. Raises `StoreUnavailable`."""
    with ledger_snapshot(store) as db:
        return question(db)


def asked_or(store: Store, question: Callable[[Connection], T], otherwise: T) -> T:
    """The same, where something else will do: a ledger that cannot be read has an alarm of its own."""
    with contextlib.suppress(StoreUnavailable):
        return asked_of(store, question)
    return otherwise


@dataclass(frozen=True, slots=True)
class SqliteStore:
    """The ledger's file in a data folder."""

    is_server: ClassVar[bool] = False
    folder: Path

    @property
    def name(self) -> Path:
        return self.folder / schema.FILE

    def exists(self) -> bool:
        return self.name.exists() and self.name.stat().st_size > 0

    def migrate(self, peppers: int, origin: str = "", marks: Sequence[int] = ()) -> int:
        return schema.migrate(self.folder, peppers, origin, marks)

    def join(self) -> None:
        raise LedgerRefused(f"{self.name} is in the folder: no other machine can stand on it")

    def take_over(self) -> None:
        raise LedgerRefused(f"{self.name} is in the folder: there is no other machine to take it over from")

    def claim(self, name: str) -> Callable[[], bool]:  # noqa: ARG002 - the machine is alone
        return lambda: True

    def close(self) -> None:
        """It keeps nothing open."""

    def identity(self) -> tuple[object, object]:
        here = self.name.stat()
        return (here.st_dev, here.st_ino), (here.st_size, here.st_mtime_ns)

    def examine(self) -> None:
        schema.quick_check(self.folder)

    def held(self) -> AbstractContextManager[None]:
        return schema.held(self.folder)

    def open_to_write(self) -> Connection:
        return schema.open_to_write(self.folder)

    def open_to_read(self) -> Connection:
        return schema.open_to_read(self.folder)

    def tidy(self, db: Connection, *, idle: bool) -> None:
        """A passive checkpoint, and a full one without waiting where the log has grown long."""
        disk.tidy(db, empty_from=disk.LONG if idle else None)

    def zero(self, db: Connection, at: int) -> int | None:
        """Pages' unallocated space (ledger/erasure_steps.py); `at` is a page's number."""
        return erasure_steps.zero_pages(db, max(at, erasure_steps.FIRST_PAGE))
