"""The writer: one thread, one queue, one transaction a batch, durable before the answer.

A job is a function of the open `Transaction`; a job that raises is rolled back alone, to its savepoint. `flock` on
`<db>.writer` is held across every commit and checkpoint, in whichever process writes, because SQLite before 3.51.3 can
lose pages when two connections write or checkpoint at once. No memory copy of the head is trusted. On a server other
machines write too: what they committed is folded before a transaction looks at what stands, and whenever one says so.
"""

import contextlib
import queue
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast

from gateway import disk
from gateway.choice.recipient import Recipient
from gateway.fold.state import NOTHING
from gateway.keys.person_keys import Vault
from gateway.ledger import erasure_steps, side
from gateway.ledger.errors import LedgerRefused, NothingKept, StateUnread, StoreUnavailable
from gateway.ledger.log_records import PLACES, FreshRecords, GrownLog, LedgerLog, remember_forgotten
from gateway.ledger.publisher import Publisher
from gateway.ledger.store import Store
from gateway.ledger.transaction import CommitWaiter, Job, StoodBefore, SystemRows, Transaction, begun_future
from gateway.ledger.watch import FileMoved, LedgerWatch, log

if TYPE_CHECKING:
    from gateway.postgres.connection import PostgresConnection

T = TypeVar("T")
NO_RECIPIENTS: Mapping[str, Recipient] = MappingProxyType({})
BATCH = 256  # entries of one commit: 216 k/s at 128 against 6.8 k/s alone (measured)
WRITE_SECONDS = 10.0  # how long a request waits for its commit (I34)
HANGS_AFTER = 3.0  # seconds of one batch; a slow disk takes tenths
TURNS_AGAIN = 60.0  # seconds after a step between batches that failed, for each lets connections go that a batch wants
# Seconds that one batch may take once the service stops, or the thread at its end: what a worker's end
# (`app.workers.ENDS_WITHIN`) leaves beside all else that has a limit there, and room. Never both:
# where a batch takes as long, whoever waits is answered there and then, and the end waits for the thread no more.
ENDS_WITHIN, LOOKS = 7.0, 0.1
PARTS = 8  # of what makes few runs of many, while nobody waits
ADVANCES_AGAIN = 0.25  # seconds between two times that what others made of the tree is taken for signed: milliseconds
CHECKPOINT_EVERY = 1.0  # seconds between passive checkpoints while there is work


class KeptState(Protocol):
    """What is folded from what was committed (`app.state_keeper`)."""

    def watch(self, db: sqlite3.Connection) -> None:
        """Before anything is written on a connection."""

    def begin(self) -> bool:
        """Before the first batch. Whether it is to be kept now."""

    def keep(self, db: sqlite3.Connection, fresh: FreshRecords | None = None, log: LedgerLog | None = None) -> None:
        """Behind each durable commit and before its answer, under the lock: on a connection that shows it. `fresh`:
        what it said; `log`: as it was read a moment ago. Raises where the commit is not to be answered for.
        """

    def standing(
        self, db: sqlite3.Connection, log: LedgerLog | None = None
    ) -> contextlib.AbstractContextManager[StoodBefore | None]:
        """What stands behind all that a connection shows, until a transaction on it ends; None: it is not at hand."""

    def grown(self, db: sqlite3.Connection, fresh: FreshRecords | None = None) -> GrownLog | None:
        """What a connection to a server shows, read at once; None: that is not enough to go on from."""

    def behind(self, db: sqlite3.Connection) -> int | None:
        """From which position on it, or one that takes its place, lacks what a connection shows; None: from none."""

    def wants(self, db: sqlite3.Connection | None) -> bool:
        """Whether it is to be kept although nobody writes."""

    def close(self, db: sqlite3.Connection | None) -> None:
        """At the end, under the lock if it can be had; no connection: it cannot."""


class KeyTurns(Protocol):
    """The weekly change of what the keys are wrapped by (`erasure_steps.EpochTurn`)."""

    def is_due(self) -> bool:
        """Whether there is a step to do."""

    def step(self, db: sqlite3.Connection, vault: Vault) -> None:
        """One of them, under the lock; a few milliseconds."""


Asks = Mapping[str, Collection[bytes]]


class DurableTree(NamedTuple):
    """The tree after everything up to a size."""

    size: int
    frontier: bytes


class QueuedJob(NamedTuple):
    """A job, who waits for it, and what it will look for: by statement among which keys."""

    job: Job[Any]
    future: Future[Any]
    asks: Asks


WAKE = QueuedJob(lambda _: None, Future(), NOTHING)  # in the queue: other machines may have written


def _asks_of(batch: Sequence[QueuedJob]) -> dict[str, set[bytes]]:
    found = defaultdict[str, set[bytes]](set)
    for each in batch:
        for sql, keys in each.asks.items():
            found[sql].update(keys)
    return found


def _answer(job: QueuedJob, result: Any, refused: BaseException | None) -> None:
    """But who was told at an end that nobody knows what became of it."""
    with contextlib.suppress(InvalidStateError):
        if refused is not None:
            job.future.set_exception(refused)
        else:
            job.future.set_result(result)


class Writer:
    """Owns the writing connection and the vault; both live in its thread. `unfinished`: an erasure of before is still
    pending, and is finished before anything else is written. `systems`: the operator's own, as this process has them
    configured (`desk.own_systems`); `recipients`: as it has those.
    `behind`: what follows each job in its transaction (`desk.recipients_to_tell`).
    """

    def __init__(
        self,
        store: Store,
        open_vault: Callable[[], Vault],
        watch: LedgerWatch,
        publisher: Publisher,
        *,
        unfinished: bool = False,
        state: KeptState | None = None,
        turns: KeyTurns | None = None,
        systems: SystemRows = (),
        recipients: Mapping[str, Recipient] = NO_RECIPIENTS,
        behind: Callable[[Transaction], None] | None = None,
    ) -> None:
        self.store = store
        self._state = state
        self._turns = turns
        self._systems, self._recipients, self._behind = systems, recipients, behind
        self._turns_at = 0.0
        self._open_vault = open_vault
        self._watch = watch
        self._publisher = publisher
        self._waiter = CommitWaiter[QueuedJob](self._put)
        self._woken, self._durable = False, DurableTree(0, b"")
        self._advanced, self._advances_at = 0, 0.0
        self._queue: queue.SimpleQueue[QueuedJob | None] = queue.SimpleQueue()
        self._db: sqlite3.Connection | None = None
        self._vault: Vault | None = None
        self._file = watch.adopted  # which of the watch's files the connection is to
        self._checkpointed = 0.0
        self._closed = False
        self._in_hand: Sequence[QueuedJob] = ()
        self._unfinished, self._zeroed_for = unfinished, -1
        self._zero_at: int | None = 0  # a walk that a kill cut off is begun again
        self._has_runs, self._runs_at = True, 0.0
        self._failing = False
        self._busy_since: float | None = None
        self.begun = threading.Event()  # the state is as the ledger is, or denies
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        watch.wakes, watch.advances = self.wake, self._note_durable
        self._thread.start()

    def wake(self) -> None:
        """Another machine may have written."""
        if not self._woken:
            self._woken = True
            self._queue.put(WAKE)

    def _note_durable(self, size: int, frontier: bytes) -> None:
        """Whatever was committed up to there outlives what a server promises to outlive."""
        if size > self._durable.size:
            self._durable = DurableTree(size, frontier)
            if time.monotonic() >= self._advances_at:
                self._queue.put(WAKE)

    def submit(self, job: Job[T], asks: Asks = NOTHING) -> "Future[T]":
        """Queues a job. The future has its result once the transaction is durable, `StoreUnavailable` when nothing
        was kept, or what the job itself raised. `asks`: what it will look for, so that one statement looks for all
        of a batch.
        """
        future = begun_future()
        self._put(QueuedJob(job, future, asks))
        return future

    def _put(self, job: QueuedJob) -> None:
        if self._closed:
            job.future.set_exception(StoreUnavailable("the writer is closed"))
        else:
            self._queue.put(job)

    async def commit(
        self, job: Job[T], seconds: float = WRITE_SECONDS, asks: Asks = NOTHING, *, hasty: bool = False
    ) -> T:
        """Waits for the job's commit. The job goes on when the client hangs up; past `seconds` its outcome is not
        known, and the caller asks again with the same Idempotency-Key. `hasty`: past half of them where the thread
        hangs by then, for a caller who has another place to keep it.
        """
        future = begun_future()
        return await self._waiter.outcome(QueuedJob(job, future, asks), future, seconds, self.hangs if hasty else bool)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Once it is left, before anything of the service ends, whoever waits for a commit is answered also where the
        thread hangs: what ends first writes what is left, and knows no other limit.
        """
        try:
            yield
        finally:
            threading.Thread(target=self._end_hanging, name="ledger-writer-ends", daemon=True).start()

    def _end_hanging(self) -> None:
        while not self._closed and self._thread.is_alive():
            if self._busy_for() > ENDS_WITHIN:
                self._closed = True
                self._leave()
            time.sleep(LOOKS)

    def close(self, *, patiently: bool = False) -> bool:
        """Finishes what is queued, checkpoints, and lets the file go. False: a disk or a server that says nothing has
        the thread, perhaps for ever. What waits is kept nowhere then, and of what is in hand nobody knows.
        `patiently`: waits for as long as it takes, where nobody wants the process to end.
        """
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join(None if patiently else ENDS_WITHIN)
            if self._thread.is_alive():
                self._leave()
        return not self._thread.is_alive()

    def _leave(self) -> None:
        """Whoever waits still is answered, so that the process can end; the thread finds nothing more to write."""
        left, in_hand = self._left_over(), self._in_hand
        self._queue.put(None)
        self._watch.leave()
        log(f"the writer does not end: the disk or the server says nothing; not kept of what waited: {len(left)}")
        for each in left:
            _answer(each, None, NothingKept("nothing was kept: the service ends"))
        for each in in_hand:
            _answer(each, None, StoreUnavailable("the service ends, and nobody knows whether it was kept"))

    def _left_over(self) -> list[QueuedJob]:
        found = list[QueuedJob]()
        with contextlib.suppress(queue.Empty):
            while True:
                each = self._queue.get_nowait()
                found += [each] if each is not None and each is not WAKE else []
        return found

    def keeps(self) -> bool:
        """Whether an opt-out that came now would be kept: the last commit went well, and none hangs."""
        return not self._failing and not self.hangs() and self._thread.is_alive()

    def hangs(self) -> bool:
        """Whether a batch, or the work between two, takes so long that what came now would be waited for in vain."""
        return self._busy_for() > HANGS_AFTER

    def _busy_for(self) -> float:
        busy = self._busy_since
        return 0.0 if busy is None else time.monotonic() - busy

    def _run(self) -> None:
        open_, self._busy_since = True, time.monotonic()
        self._finish_erasures()
        self._turn_epochs()
        if self._state is not None and self._state.begin():
            self._keep_state()
        self.begun.set()
        while open_:
            self._busy_since = None
            batch, open_ = self._next_batch()
            self._busy_since = time.monotonic()
            if batch or self._failing:  # while failing, an empty commit asks whether it still does
                self._write(batch)
            self._busy_since = time.monotonic()
            self._work_between()
        self._let_go(last=True)

    def _work_between(self) -> None:
        if self._woken:
            self._follow()
        self._advance()
        self._refill()
        self._finish_erasures()
        self._zero_some()
        self._join_runs()
        self._turn_epochs()
        self._checkpoint()
        if self._state is not None and self._state.wants(self._db):
            self._keep_state()

    def _next_batch(self) -> tuple[list[QueuedJob], bool]:
        try:
            items = [self._queue.get(timeout=self._pause())]
        except queue.Empty:
            return [], True
        with contextlib.suppress(queue.Empty):
            while len(items) < BATCH:
                items.append(self._queue.get_nowait())
        return [item for item in items if item is not None and item is not WAKE], None not in items

    def _pause(self) -> float:
        """Until there is something to do although nobody comes."""
        if self._failing or self._durable.size <= self._advanced:
            return CHECKPOINT_EVERY
        return max(0.0, self._advances_at - time.monotonic())

    def _follow(self) -> None:
        """What cannot be done now is done with the next batch, or when a proof says again that there is more."""
        self._woken = False
        if self._failing:
            return
        try:
            with self.store.held():
                db, vault = self._connection()
                if not disk.is_file(db) and self._caught_up(db, vault) is None:
                    self._catch_up(db, vault)
        except Exception:  # noqa: BLE001 - whatever it was, the watch finds it too, and the thread goes on
            self._let_go()

    def _advance(self) -> None:
        """What cannot be done now is done when a server says again what is durable."""
        durable, now = self._durable, time.monotonic()
        if self._failing or durable.size <= self._advanced or now < self._advances_at:
            return
        self._advanced, self._advances_at = durable.size, now + ADVANCES_AGAIN
        try:
            with self.store.held():
                self._publisher.advance(self._ledger(), durable.size, durable.frontier)
        except Exception:  # noqa: BLE001 - as above
            self._let_go()

    def _begin(self, db: sqlite3.Connection, vault: Vault) -> LedgerLog | None:
        """A transaction behind all that other machines committed; the ledger as it was read, where that was done at
        once. What takes long to fold is folded before, for meanwhile all of them wait.
        """
        db.execute("BEGIN IMMEDIATE")
        if disk.is_file(db):
            return None
        if (log := self._caught_up(db, vault)) is None:
            if self._state is not None:
                db.execute("ROLLBACK")
                self._catch_up(db, vault)
                db.execute("BEGIN IMMEDIATE")
            self._catch_up(db, vault)
        return log

    def _caught_up(self, db: sqlite3.Connection, vault: Vault) -> LedgerLog | None:
        """What other machines committed is folded, under the lock, where one look is enough for that; else None."""
        log = self._state.grown(db) if self._state else None
        if self._state is None or log is None or not vault.shared.has(log.epoch):
            return None
        if log.has_more:
            self._state.keep(db, log=log)
            self._unfinished |= log.is_erasing
            self._watch.folded()
        return log

    def _catch_up(self, db: sqlite3.Connection, vault: Vault) -> None:
        """The same, step by step."""
        vault.shared.keep_up(db)
        if self._state and self._state.behind(db) is not None:
            self._fold(db)
            self._unfinished |= erasure_steps.is_pending(db)
            self._watch.folded()

    def _fold(self, db: sqlite3.Connection, fresh: FreshRecords | None = None) -> None:
        """Under the lock. On a server all of it at one moment: an erasure that another machine commits between two
        looks would be one of which nobody here knows whose it was; and on one that leads still, for what follows may
        call the state of this host another ledger's, and put one made of this one in its place.
        """
        assert self._state
        if disk.is_file(db):
            self._state.keep(db, fresh)
            return
        if (log := self._state.grown(db, fresh)) is not None:
            self._state.keep(db, log=log)
            return
        server = cast("PostgresConnection", db)
        if fresh is None and not db.in_transaction:
            server.prove_leads()
        with contextlib.nullcontext() if db.in_transaction else server.moment():
            lacks, (_, vault) = self._state.behind(db), self._connection()
            for place, keys in vault.shared.told_elsewhere(db, lacks // PLACES) if lacks is not None else ():
                remember_forgotten(db, place, keys)
            self._state.keep(db, fresh)

    def _write(self, batch: list[QueuedJob]) -> None:
        """One batch. Whatever happens, its futures are answered and the thread goes on."""
        self._in_hand = batch
        try:
            with self.store.held():
                outcomes = self._commit(batch)
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing was kept, and the thread must go on
            self._failing = True
            self._watch.failed()
            for each in batch:
                _answer(each, None, NothingKept(f"nothing was kept: {type(error).__name__}"))
            self._let_go()  # behind the answers: with a server that says nothing it takes seconds
        else:
            self._failing = False
            for each, (result, refused) in zip(batch, outcomes, strict=True):
                _answer(each, result, refused)

    def _keep_state(self) -> None:
        """Between two batches. What cannot be done now is tried again a second later."""
        assert self._state is not None
        try:
            if self.store.is_server:  # first without the lock: one that leads no more may hold us up for ever
                cast("PostgresConnection", self._ledger()).prove_leads()
            with self.store.held():
                self._fold(self._ledger())
        except Exception:  # noqa: BLE001 - whatever it was, checks deny, and the thread goes on
            self._let_go()

    def _refill(self) -> None:
        """Behind the answers. Where it cannot be done the next batch tries again, and is refused if it has no key."""
        if self._vault is not None and not self._failing:
            with contextlib.suppress(sqlite3.Error, LedgerRefused, OSError):
                if self._vault.is_low():
                    with self.store.held():
                        self._vault.refill()

    def _finish_erasures(self) -> None:
        """What cannot be finished now is tried again with the next batch, or a second later."""
        if not self._unfinished:
            return
        try:
            with contextlib.suppress(erasure_steps.NotYet), self.store.held():
                erasure_steps.finish_erasure(*self._ours())
                self._unfinished = False
        except Exception:  # noqa: BLE001 - whatever it was, it stays pending, and the thread must go on
            self._let_go()

    def _turn_epochs(self) -> None:
        """No answer waits for more than one step of it."""
        if self._turns is None or self._failing or time.monotonic() < self._turns_at:
            return
        try:
            if self._turns.is_due():
                with contextlib.suppress(LedgerRefused), self.store.held():
                    self._turns.step(*self._ours())
        except Exception:  # noqa: BLE001 - whatever it was, it is tried again on a new connection, and the thread goes on
            self._turns_at = time.monotonic() + TURNS_AGAIN
            self._let_go()

    def _zero_some(self) -> None:
        """No answer waits for more than one part of it: what an erasure may not leave went with the keys."""
        if self._db is None:
            return
        try:
            if disk.is_file(self._db) and (last := erasure_steps.last_done(self._db)) != self._zeroed_for:
                self._zeroed_for, self._zero_at = last, 0  # also behind a command, which ended before its walk did
            if self._zero_at is not None:
                with contextlib.suppress(LedgerRefused), self.store.held():
                    self._zero_at = self.store.zero(self._db, self._zero_at)
        except Exception:  # noqa: BLE001 - whatever it was, it is tried again on a new connection, and the thread goes on
            self._let_go()

    def _join_runs(self) -> None:
        """Behind the answers; whoever looks for a key finds it however far it is (`ledger.side`)."""
        if not self._has_runs or self._db is None or self._failing or time.monotonic() < self._runs_at:
            return
        try:
            for _ in range(PARTS):
                with self.store.held():
                    self._has_runs = side.join_runs(self._ours()[0])
                if not self._has_runs or not self._queue.empty():
                    return
        except LedgerRefused:
            self._runs_at = time.monotonic() + CHECKPOINT_EVERY
        except Exception:  # noqa: BLE001 - whatever it was, it is tried again on a new connection, and the thread goes on
            self._runs_at = time.monotonic() + TURNS_AGAIN
            self._let_go()

    def _commit(self, batch: list[QueuedJob]) -> list[tuple[Any, BaseException | None]]:
        db, vault = self._connection()
        self._watch.prove_file()
        try:
            log = self._begin(db, vault)
            with self._state.standing(db, log) if self._state else contextlib.nullcontext() as stands:
                self._watch.prove_peppers(db)
                transaction = Transaction(db, vault, stands, _asks_of(batch))
                transaction.systems, transaction.recipients = self._systems, self._recipients
                with vault.in_batch():
                    outcomes = [self._one(transaction, each.job) for each in batch]
            transaction.finish()
            if transaction.has_said and self.store.is_server:
                cast("PostgresConnection", db).wake_others()
            db.execute("COMMIT")  # its keys are durable since they were put into the pool
            self._unfinished |= transaction.unfinished
            self._has_runs |= transaction.has_said
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self._watch.prove_file()  # what was committed into a file that is lost is not acknowledged
        if self._file != self._watch.adopted:
            raise FileMoved("another file became the ledger meanwhile")
        self._publisher.publish(db, transaction.added)  # signed after it is durable, answered after it may be signed
        if self._state is not None:
            self._fold(db, transaction.fresh)
        return outcomes

    def _one(self, transaction: Transaction, job: Job[Any]) -> tuple[Any, BaseException | None]:
        try:
            with transaction.savepoint():
                result = job(transaction)
                if self._behind:
                    self._behind(transaction)
                return result, None
        except sqlite3.Error:
            raise
        except OSError as error:  # of what lies beside the ledger
            return None, NothingKept(f"nothing was kept: {type(error).__name__}")
        except StateUnread:
            transaction.stands = None
            return self._one(transaction, job)
        except Exception as refused:  # noqa: BLE001 - whatever a job raises is its own answer, not the batch's
            return None, refused

    def _connection(self) -> tuple[sqlite3.Connection, Vault]:
        db = self._ledger()
        if self._vault is None:
            self._vault = self._open_vault()
        return db, self._vault

    def _ours(self) -> tuple[sqlite3.Connection, Vault]:
        """For what is done without a batch: of a ledger that was moved on meanwhile the keys are another vault's, and
        nothing here may say which epoch of them is over.
        """
        db, vault = self._connection()
        self._watch.prove_peppers(db)
        return db, vault

    def _ledger(self) -> sqlite3.Connection:
        if self._file != self._watch.adopted:
            self._close()  # under the lock that `_write` holds
            self._file = self._watch.adopted
        if self._db is None:
            self._db = self._proved()
        return self._db

    def _proved(self) -> sqlite3.Connection:
        """A connection to what was signed last: nothing is written onto an older copy."""
        db = self.store.open_to_write()
        try:
            if not disk.is_file(db):
                cast("PostgresConnection", db).hasten()
            self._publisher.prove(db)
            if self._state is not None:
                self._state.watch(db)
        except BaseException:
            db.close()
            raise
        return db

    def _let_go(self, *, last: bool = False) -> None:
        """Closing the last read-write connection is a hidden checkpoint: only under the lock, if it can be had."""
        with contextlib.ExitStack() as stack:
            held = None
            with contextlib.suppress(LedgerRefused):
                stack.enter_context(self.store.held())
                held = self._db
                if self._vault is not None:
                    self._vault.end_run()
            if last and self._state is not None:
                self._state.close(held)
            self._close()

    def _close(self) -> None:
        for connection in (self._db, self._vault):
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
        self._db = self._vault = None

    def _checkpoint(self) -> None:
        now = time.monotonic()
        if self._db is None or now - self._checkpointed < CHECKPOINT_EVERY:
            return
        self._checkpointed = now
        with contextlib.suppress(sqlite3.Error, LedgerRefused), self.store.held():
            self.store.tidy(self._db, idle=self._queue.empty())
