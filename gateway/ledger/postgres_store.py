"""The ledger in a PostgreSQL of the operator's: the same tables and statements as on SQLite, in a schema of its own.
The composition root opens it where the settings name one.

The folder stays, with what is this host's alone: its secrets, its checkpoints, its state, its emergency file. The
writers' lock is the folder's among the processes of a host; among hosts it is a row that whoever writes holds for as
long as a transaction lasts. Which hosts there are says a table of the server's.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

from gateway.ledger import schema, tree
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.store import Connection
from gateway.postgres.connection import ANOTHERS, AnotherBoot, PostgresConnection

SCHEMA = "gateway_ledger"
STANDS_BY = 2.0  # seconds: longer than anybody answers on a proof of before (ledger/watch.py)
KEPT = 8  # idle connections to read by: opening one costs some milliseconds


class IdleConnections:
    """A store's connections to read by that wait to be used again. Of those that were opened before `end` none does:
    the address may lead to another server by now, and the one of before live on behind a cut, and answer.
    """

    def __init__(self) -> None:
        self._waiting, self._ended, self._changing = list[PostgresConnection](), 0, threading.Lock()

    def home(self) -> Callable[[PostgresConnection], bool]:
        """For a connection that is opened from now on."""
        return partial(self._keep, self._ended)

    def _keep(self, ended: int, db: PostgresConnection) -> bool:
        with self._changing:
            kept = ended == self._ended and len(self._waiting) < KEPT
            if kept:
                self._waiting.append(db)
            return kept

    def take(self) -> PostgresConnection | None:
        """None: there is none left."""
        with self._changing:
            return self._waiting.pop() if self._waiting else None

    def end(self) -> None:
        with self._changing:
            self._ended += 1
            waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.end()


@dataclass(frozen=True, slots=True)
class PostgresStore:
    """`url`: as libpq takes it, several servers with `target_session_attrs=read-write` among them. `folder`: this
    machine's, `host` its number, `boot` that of its boot.
    """

    is_server: ClassVar[bool] = True
    folder: Path
    url: str
    host: int
    boot: int
    _idle: IdleConnections = field(default_factory=IdleConnections, compare=False)

    def exists(self) -> bool:
        """A server that does not answer is taken to have one."""
        try:
            with contextlib.closing(self._connected(writes=False)) as db:
                return db.is_made()
        except LedgerRefused:
            return True

    def identity(self) -> tuple[object, object]:
        """One, whichever of its machines answers."""
        return SCHEMA, None

    @contextlib.contextmanager
    def asked(self) -> Iterator[PostgresConnection]:
        """A connection on which the server is asked, whoever's the ledger is."""
        with contextlib.closing(self._connected(writes=False)) as db:
            yield db

    def examine(self) -> None:
        """The server has checksums of its pages, and the tree is proved whenever it is opened."""

    def held(self) -> contextlib.AbstractContextManager[None]:
        return schema.held(self.folder)

    def migrate(self, peppers: int, origin: str = "", marks: Sequence[int] = ()) -> int:
        """As `schema.migrate`; one migrator at a time."""
        with contextlib.closing(self._connected(writes=True)) as db:
            db.make()
            if not db.is_ours():
                raise LedgerRefused(
                    f"{ANOTHERS}. To write and answer here too: gateway migrate --join --data {self.folder} (gateway"
                    " help postgresql)"
                )
            self._take_row(db)
            return schema.bring_up(cast("Connection", db), self.name, schema.Beginning(peppers, origin, marks))

    def join(self) -> None:
        with contextlib.closing(self._connected(writes=True)) as db:
            db.join()

    def take_over(self) -> None:
        """What the others answer goes on a lease, which is over when this returns."""
        with contextlib.closing(self._connected(writes=True)) as db:
            db.take_over()
        time.sleep(STANDS_BY)

    @property
    def name(self) -> Path:
        return Path(SCHEMA)

    def open_to_write(self) -> Connection:
        db = self._proved(self._connected(writes=True))
        with schema.kept_open(db, self.name):
            cast("PostgresConnection", db).prove_leads()
            tree.prove(db)
        return db

    def open_to_read(self) -> Connection:
        while (kept := self._idle.take()) is not None:
            if kept.answers():
                return cast("Connection", kept)
            self.close()  # the others are to the same machine: each would be waited for in its turn
        return self._proved(self._connected(writes=False, home=self._idle.home()))

    def open_to_renew(self) -> PostgresConnection:
        """On which this machine's leases are renewed, and heard what others commit."""
        made = self._connected(writes=True)
        self._proved(made)
        made.hasten()
        return made

    def claim(self, name: str) -> Callable[[], bool]:
        return _HostClaim(self.open_to_renew, name)

    def _proved(self, made: PostgresConnection) -> Connection:
        """A connection to a ledger of this machine's and of this version; what is neither is let go of."""
        db = cast("Connection", made)
        try:
            self._take_row(made)
            schema.gate(db, self.name, self.folder)
            made.pin()
        except sqlite3.Error as error:
            made.end()
            raise LedgerRefused(f"{self.name} cannot be used ({error})") from error
        except BaseException:
            made.end()
            raise
        return db

    def _take_row(self, db: PostgresConnection) -> None:
        """A machine that booted anew waits here until what it answered before is over. Raises `LedgerRefused` where a
        clone runs.
        """
        try:
            db.take_row(STANDS_BY)
        except AnotherBoot as error:
            raise LedgerRefused(f"{self.name} cannot be used here: {error}") from error

    def tidy(self, db: Connection, *, idle: bool) -> None:
        """The server's own business."""

    def zero(self, db: Connection, at: int) -> int | None:  # noqa: ARG002 - what an erasure may not leave dies with its epoch
        return None

    def _connected(
        self, *, writes: bool, home: Callable[[PostgresConnection], bool] | None = None
    ) -> PostgresConnection:
        try:
            return PostgresConnection(self.url, SCHEMA, self.host, writes=writes, boot=self.boot, home=home)
        except sqlite3.Error as error:
            raise LedgerRefused(f"the ledger's PostgreSQL cannot be used now ({error}); do the same again") from error

    def close(self) -> None:
        """Lets go of the connections that wait to be used again; none that is open now ever will."""
        self._idle.end()


class _HostClaim:
    """Asked again and again: where the connection went, the lock went with it, and another machine may have it."""

    def __init__(self, opened: Callable[[], PostgresConnection], name: str) -> None:
        self._opened, self._name = opened, name
        self._db: PostgresConnection | None = None
        self._asking = threading.Lock()

    def __call__(self) -> bool:
        with self._asking:
            try:
                if self._db is not None and self._db.answers():
                    return True
                self._db = None
                made = self._opened()
                if made.alone(self._name):
                    self._db = made
                    return True
                made.end()
            except (sqlite3.Error, LedgerRefused):
                self._db = None
            return False
