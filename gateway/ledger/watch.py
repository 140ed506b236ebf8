"""Freshness: twice a second somebody proves that the ledger answered from is the one that is written.

Of a file path, inode, header and head row must be those that were opened. On a server several machines write, so a
proof is a lease: this machine is counted up in a transaction that writers come before or behind, and once its state has
all that was committed before, it is answered from for `TERM` from before the asking. Whoever commits later waits until
this machine acknowledged it, or for that term (consent/leases.py). Each
proof moves `fresh_until`. Past it a check
denies with reason `stale`. The clock is CLOCK_BOOTTIME: it counts through a suspended machine. Without a proof `why`
says what is wrong and what helps, and the watch goes on trying: it heals when the right file is back. Between two
proofs nobody is answered either from the moment at which something lies beside the ledger (`desk.emergency`).
"""

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from gateway.choice.standing import Vouching
from gateway.disk import boot_seconds
from gateway.ledger import schema
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.store import SqliteStore, Store

if TYPE_CHECKING:
    from gateway.ledger.postgres_store import PostgresStore
    from gateway.postgres.connection import PostgresConnection

PERIOD = 0.5
TERM = 1.2  # seconds a server's lease is good for: with PERIOD, every check denies within 1.7 s of the last one
# Seconds a proof of a file is good for. Whoever finds the file gone ends it at once, and the state that is answered
# from is marked where it is behind: the term ends answers where nobody can look, and a busy machine may stand still.
TERM_OF_A_FILE = 5.0
ENDS_WITHIN = 5.0  # seconds that a thread may take at the end
BEGINS_WITHIN = 5.0  # seconds for which a service that begins waits for its server, where it takes nothing yet
POLLS = 0.25  # seconds that a server is listened to at once; what is not heard is seen with the next proof
# Seconds between two times that what others wrote is folded: each costs as much as several records, so that many share
# one under load. Whoever waits for this machine does so for so much longer, and a single commit is folded at once.
FOLDS_AGAIN = 0.05
# Seconds until whoever only listens asks something: a proxy that forwards nothing any more keeps a silent line alive,
# and until another one is opened what others write is folded with the proofs, so half a second later.
ASKS = 2.0

Judge = Callable[[sqlite3.Connection], bool]


class FileMoved(Exception):
    """The path no longer leads to the file that was opened, or its keys are not ours."""


DOUBTS = (OSError, sqlite3.Error, FileMoved, LedgerRefused)


def _nobody(_: sqlite3.Connection) -> bool:
    """The judge of those who have none: no other file is ever taken for the ledger."""
    return False


def _nothing(*_: object) -> None:
    """For who wants to hear of nothing."""


class AnsweringState(Protocol):
    """What checks on this machine read (`app.state_keeper`)."""

    def applied(self) -> int:
        """Up to which position it has the ledger."""

    def proved(self) -> int | None:
        """Up to which position the last `Judge` saw it follow; None: it did not look at it."""


def log(text: str) -> None:
    """Where a doubt is told unless somebody else is named."""
    logging.getLogger("gateway.ledger").error("%s", text)


def watch_of(store: Store, *given: Any, **more: Any) -> "LedgerWatch":
    """The one that a store wants."""
    return (FileWatch if isinstance(store, SqliteStore) else HostWatch)(store, *given, **more)


class LedgerWatch(Vouching):
    """What a watch of any store is; `FileWatch` and the server's say what is looked at.

    `judge` looks at what an open connection shows and raises `LedgerRefused`; True: it grew out of what was signed
    last, so that even a file that was put back may be taken for the ledger. `waits`: why nothing is fresh although the
    ledger is sound, or nothing. `lies`: whether something lies beside the ledger at this very moment, by which nothing
    is either, however fresh the last proof is. `tell` is told each new doubt, once.
    """

    term = TERM

    def __init__(
        self,
        store: Store,
        peppers: int,
        clock: Callable[[], float] = boot_seconds,
        *,
        judge: Judge = _nobody,
        waits: Callable[[], str] = str,
        lies: Callable[[], bool] = bool,
        tell: Callable[[str], None] = log,
        marks: Sequence[int] = (),
        state: AnsweringState | None = None,
    ) -> None:
        super().__init__(clock)
        self._store = store
        self.peppers, self._marks = peppers, marks
        self._judge, self._waits, self._tell, self._state = judge, waits, tell, state
        self._lies = lies
        self.wakes: Callable[[], None] = _nothing  # whoever folds what others wrote
        self.advances: Callable[[int, bytes], None] = _nothing
        self._stop, self._left = threading.Event(), False
        self._thread: threading.Thread | None = None
        self._proving = threading.Lock()
        self._saying, self._failures = threading.Lock(), 0
        self.generation = 0
        self.adopted = 0
        self.healthy = False
        self.why = ""

    def start(self, *, patient: bool = False) -> None:
        """The first proof at once; raises what it finds, or (`patient`) goes on trying."""
        if patient:
            self.prove()
        else:
            self._prove()
        self._go_on()

    def _go_on(self) -> None:
        self._thread = threading.Thread(target=self._run, name="ledger-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """After every connection of this process is closed, but for those of a writer that does not end (`leave`)."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(ENDS_WITHIN)

    def leave(self) -> None:
        """The writer does not end: nothing of what it writes on may be taken from under it."""
        self._left = True

    def proof(self) -> float | None:
        """Looked at before anything is read: what lies there no more was entered, and is in what is read then."""
        return None if self._lies() else super().proof()

    def failed(self) -> None:
        """The writer could not commit: no answer is fresh until the next proof, which begins later than this."""
        with self._saying:
            self._failures += 1
            self.fresh_until = 0.0
            self.healthy = False

    def folded(self) -> None:
        """The writer folded what another machine wrote."""

    def begun(self) -> None:
        """The writer is done with what comes before its first batch."""

    def _grants(self) -> bool:
        """Whether a proof that found nothing is one to answer by."""
        return True

    def prove_file(self) -> None:
        """Raises where what is written to is no longer the ledger. The writer asks before and after each commit."""

    def prove_peppers(self, db: sqlite3.Connection) -> None:
        """Keys made under other peppers than the rows find nothing, and nothing found would be an allow."""
        found = schema.prove_mark(db, self._store.name, self._marks)
        if found != self.peppers:
            raise FileMoved(
                f"the keys are wrapped by {found} peppers, this process has {self.peppers}: restart it. If a rotation"
                " was cut off, finish it: gateway rekey pepper"
            )

    def prove(self) -> None:
        """A proof, now. Never raises: `why` says what it found. Whatever it is that goes wrong, the watch goes on; one
        that ended would have all checks denied until somebody starts the service anew.
        """
        try:
            with self._proving:
                self._prove()
        except DOUBTS as doubt:
            self._doubt(str(doubt) or type(doubt).__name__)
        except Exception as fault:  # noqa: BLE001 - nothing of it may be taken for a proof
            self._doubt(f"{type(fault).__name__}: {fault}")

    def _doubt(self, why: str) -> None:
        self.failed()
        with contextlib.suppress(Exception):  # a full disk may hold what is told as well
            self._say(why)

    def _prove(self) -> None:
        began, failures = self._clock(), self._failures
        self._look()
        waits = self._waits()
        with self._saying:
            if failures != self._failures:
                return  # the writer found more meanwhile
            if not self.healthy:
                self._begin_generation()  # readers open the file anew after a spell without proof
                self.healthy = True
            self.reaches = (self._state.proved() or 0) if self._state else 0
            self.fresh_until = began + self.term if self._grants() and not waits else 0.0
        self._say(waits)

    def _begin_generation(self) -> None:
        self.generation += 1

    def _look(self) -> None:
        """Raises where what is read is not the ledger."""
        self._shown()

    def _shown(self) -> bool:
        """Whether what a connection of its own shows grew out of what was signed last: one that is open already may
        answer from pages that it has in memory.
        """
        with contextlib.closing(self._store.open_to_read()) as db:
            self.prove_peppers(db)
            return self._judge(db)

    def _say(self, why: str) -> None:
        news, self.why = why != self.why, why
        if why and news:
            self._tell(why)

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            self.prove()


class FileWatch(LedgerWatch):
    """Holds a descriptor of the file for as long as it lives, and never closes it before SQLite has closed its own:
    closing any descriptor of a file drops all POSIX locks that the process has on it.
    """

    term = TERM_OF_A_FILE

    def __init__(self, store: Store, *given: Any, **more: Any) -> None:
        super().__init__(store, *given, **more)
        self._path = store.name
        self._descriptor: int | None = None
        self._seen: dict[tuple[int, int], int] = {}  # every file that the path led to, by device and inode

    def stop(self) -> None:
        """Where a thread does not end, its own or the writer's, they stay open until the process ends."""
        super().stop()
        if self._left or (self._thread is not None and self._thread.is_alive()):
            return
        while self._seen:
            os.close(self._seen.popitem()[1])
        self._descriptor = None

    def prove_file(self) -> None:
        """Raises `FileMoved`, or OSError where the path leads nowhere or the disk does not read. A connection alone
        would go on from the pages that it has in memory.
        """
        if self._descriptor is None:
            raise FileMoved(f"{self._path} was never proved to be the ledger")
        here, held = self._path.stat(), os.fstat(self._descriptor)
        if (here.st_dev, here.st_ino) != (held.st_dev, held.st_ino):
            raise FileMoved(f"{self._path} is another file than the one that was written; put that one back")
        self._prove_header(self._descriptor)

    def _prove_header(self, descriptor: int) -> None:
        if os.pread(descriptor, len(schema.HEADER), 0) != schema.HEADER:
            raise FileMoved(schema.damaged(self._path, "it does not begin as a database"))

    def _look(self) -> None:
        descriptor = self._opened()
        self._prove_header(descriptor)
        self._hold(descriptor, grown=self._shown())
        self.prove_file()

    def _opened(self) -> int:
        """A descriptor of the file that the path leads to."""
        here = self._path.stat()
        name = (here.st_dev, here.st_ino)
        if name not in self._seen:
            descriptor = os.open(self._path, os.O_RDONLY)
            found = os.fstat(descriptor)
            name = (found.st_dev, found.st_ino)
            self._seen.setdefault(name, descriptor)
        return self._seen[name]

    def _hold(self, descriptor: int, *, grown: bool) -> None:
        """From the first proof on, another file is the ledger only where it has everything that was ever signed."""
        if self._descriptor in {None, descriptor}:
            self._descriptor = descriptor
        elif grown:
            self.generation += 1  # first: what the writer commits to it from now on is read nowhere else
            self.adopted += 1  # before it is held: the writer compares it after its look at the file
            self._descriptor = descriptor


HEAD = "SELECT size, frontier FROM head"


class HostWatch(LedgerWatch):
    """Of a ledger on a server: it renews this machine's lease with each proof, and says to the others how far this one
    is. `wakes` is called when another machine wrote, `advances` with what is known to be durable of the tree.
    """

    def __init__(self, store: Store, *given: Any, **more: Any) -> None:
        super().__init__(store, *given, **more)
        self._db: PostgresConnection | None = None
        self._folded, self._looked = threading.Event(), threading.Event()
        self._listener = threading.Thread(target=self._listen, name="ledger-listener", daemon=True)

    def start(self, *, patient: bool = False) -> None:
        """A commit may wait for its standby for as long as that is away, and who serves does not wait with it."""
        if not patient:
            self._prove()
        self._go_on()
        self._listener.start()
        if patient:
            self._looked.wait(BEGINS_WITHIN)

    def stop(self) -> None:
        """A commit that waits for a standby may wait for ever, and keeps nothing."""
        self._stop.set()
        self._folded.set()
        ends = time.monotonic() + ENDS_WITHIN
        for each in (self._thread, self._listener):
            if each is not None and each.ident is not None:
                each.join(max(ends - time.monotonic(), 0))
        if self._thread is None or not self._thread.is_alive():
            self._let_go()

    def folded(self) -> None:
        self._folded.set()

    def begun(self) -> None:
        if not self._stop.is_set():
            self.prove()

    def _grants(self) -> bool:
        """Of a state that is there only later nobody knows whether it has what was committed before: a machine that
        begins is waited for by nobody.
        """
        return self._state is None or self._state.proved() is not None

    def _shown(self) -> bool:
        """On the connection on which it was renewed, so by the server that granted it."""
        try:
            if self._db is None:
                self._db = self._opened()
                self._begin_generation()  # the address may lead to another server than before
            self._advance(self._db.renew(self._applied(), HEAD))
            return self._prove_on(cast("sqlite3.Connection", self._db))
        except BaseException:
            self._let_go()
            raise

    def _begin_generation(self) -> None:
        self._store.close()  # first: who opens anew because of the count is handed none of before
        super()._begin_generation()

    def _opened(self) -> "PostgresConnection":
        return cast("PostgresStore", self._store).open_to_renew()

    def _prove_on(self, db: sqlite3.Connection) -> bool:
        self.wakes()
        self.prove_peppers(db)
        return self._judge(db)

    def _run(self) -> None:
        """A proof in each period, and between two of them what was folded is acknowledged at once."""
        due = time.monotonic()
        while not self._stop.is_set():
            if time.monotonic() >= due:
                due = time.monotonic() + PERIOD
                self.prove()
                self._looked.set()
            elif self._folded.wait(due - time.monotonic()):
                self._folded.clear()
                self._acknowledge()

    def _acknowledge(self) -> None:
        """What cannot be said now is said with the next proof, and waited for until then."""
        with self._proving:
            db = self._db
            if db is None or self._stop.is_set():
                return
            try:
                self._advance(db.acknowledge(self._applied()))
            except (*DOUBTS, ValueError):
                self._let_go()

    def _applied(self) -> int:
        """For other machines, who count on it from then on."""
        applied = self._state.applied() if self._state else 0
        self.reaches = max(self.reaches, applied)
        return applied

    def _advance(self, head: tuple[Any, ...] | None) -> None:
        if head is not None:
            self.advances(head[0], head[1])

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.end()
            self._db = None

    def _listen(self) -> None:
        """What is heard is a hint. What goes wrong is found by the proofs."""
        while not self._stop.is_set():
            with contextlib.suppress(*DOUBTS):
                db = self._opened()
                try:
                    self._hear(db)
                finally:
                    db.end()
            self._stop.wait(PERIOD)

    def _hear(self, db: "PostgresConnection") -> None:
        """What is said while we ask is lost, so that counts as heard."""
        asks = 0.0
        while not self._stop.is_set():
            if due := time.monotonic() >= asks:
                db.listen()
                asks = time.monotonic() + ASKS
            if due or db.heard(POLLS):
                self.wakes()
                self._stop.wait(FOLDS_AGAIN)
