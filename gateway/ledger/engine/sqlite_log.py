"""The log on SQLite: one file, one connection that writes, under the lock that all who write in a data folder share.
Whoever opens an installation makes it; nothing above sees a connection or a statement.

Of a batch the few statements run where it is made, on the event loop: in a thread of their own each would wait for the
interpreter. COMMIT alone is a thread's, one call that leaves the interpreter free through write and sync; nobody
touches the connection meanwhile. At `synchronous=FULL` nobody sees a record before it is durable.

A COMMIT that fails is neither kept nor not kept: its last page may lie in the write-ahead log, and be found by the next
who opens the file. So the log is written back and synced, as after a crash, the file is opened again, and the batch's
id says what became of it. See `gateway.disk` for why a second sync alone does not make good a first that failed.
"""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from gateway import disk
from gateway.ledger import schema
from gateway.ledger.engine.log import (
    EXPIRED_AT_ONCE,
    ID_BYTES,
    KEPT_DAYS,
    KnownRepeat,
    Log,
    LogBatch,
    LogHead,
    LogRequest,
    LogTransaction,
    Moved,
    NumberedRecord,
    Repeat,
    RequestOutcome,
    as_repeats,
    moved_from,
    pack_outcomes,
    place_requests,
    prove_batch,
    prove_reading,
    prove_sides,
    unpack_outcomes,
)
from gateway.ledger.errors import LedgerRefused, NothingKept, StoreUnavailable
from gateway.ledger.watch import DOUBTS, FileMoved
from gateway.terms import DAY_MS

T = TypeVar("T")
FILE = "log.sqlite3"
VERSION = 1
# busy_timeout: under the lock nobody else writes, so whoever is in the way is no gateway. recursive_triggers: else
# INSERT OR REPLACE takes a record away past the trigger. cache_size: 64 MiB, the default's 2 hold no hour of a log.
SETTINGS = {**schema.SETTINGS, "busy_timeout": 0, "recursive_triggers": 1, "cache_size": -(2**16)}
PATIENCE = schema.LOCK_SECONDS  # for another process that writes; then the no goes to the emergency file
READERS_PATIENCE = 100  # milliseconds, for a file that is being opened after a crash
TIDIED_EVERY = 1.0  # seconds between passive checkpoints while there is work, as the ledger's writer has it
TABLES = """
CREATE TABLE head (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  log BLOB NOT NULL, size INTEGER NOT NULL, kept INTEGER NOT NULL, epoch INTEGER NOT NULL
) STRICT;
CREATE TABLE record (
  seq INTEGER PRIMARY KEY, leaf BLOB NOT NULL, side BLOB NOT NULL, boxes BLOB NOT NULL, key BLOB NOT NULL
) STRICT;
-- Both grow at their end, in the order of time, so that the oldest are found without an index on it.
CREATE TABLE repeat (
  turn INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, content BLOB NOT NULL, first INTEGER NOT NULL,
  size INTEGER NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE TABLE batch (
  turn INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, outcomes BLOB NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER record_stays BEFORE UPDATE OF seq, leaf, boxes, key ON record
BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
CREATE TRIGGER record_kept BEFORE DELETE ON record WHEN OLD.seq >= (SELECT kept FROM head)
BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
CREATE TRIGGER head_grows BEFORE UPDATE ON head
WHEN NEW.log <> OLD.log OR NEW.size < OLD.size OR NEW.kept < OLD.kept OR NEW.kept > NEW.size
  OR (SELECT count(*) FROM record WHERE seq >= OLD.size) <> NEW.size - OLD.size
  OR EXISTS (SELECT 1 FROM record WHERE seq >= NEW.size)
BEGIN SELECT RAISE(ABORT, 'the head is where its records end'); END;
CREATE TRIGGER head_stays BEFORE DELETE ON head BEGIN SELECT RAISE(ABORT, 'a log has its head'); END;
"""
HEAD = "SELECT log, size, kept, epoch FROM head"
READ = "SELECT seq, leaf, side, boxes, key FROM record WHERE seq >= ? ORDER BY seq LIMIT ?"
KNOWN = "SELECT content, first, size FROM repeat WHERE name = ?"
OF_BATCH = "SELECT outcomes FROM batch WHERE id = ?"
OLDEST = "DELETE FROM {0} WHERE at < ? AND turn IN (SELECT turn FROM {0} ORDER BY turn LIMIT ?)"


def make_log(folder: Path, log: bytes, epoch: int) -> None:
    """The file of a new log, empty; one that is there stays as it is. `log`: 16 random bytes, its name. `epoch`: of the
    peppers. Under the writers' lock. Raises `LedgerRefused`.
    """
    path = folder / FILE
    disk.reserve(path)
    _write_log_back(path)
    with contextlib.closing(schema.connect_file(path, "rwc")) as db:
        schema.settle_file(db, path, SETTINGS)
        if schema.version(db, path):
            return
        db.execute("BEGIN IMMEDIATE")
        for statement in schema.statements(TABLES):
            db.execute(statement)
        db.execute("INSERT INTO head VALUES (1, ?, 0, 0, ?)", (log, epoch))
        db.execute(f"PRAGMA user_version = {VERSION:d}")
        db.execute("COMMIT")
    disk.sync_folder(folder)


def _write_log_back(path: Path) -> None:
    """Before whatever it shows is trusted, or brought over into the file."""
    with contextlib.suppress(FileNotFoundError):
        disk.write_log_back(path.with_name(f"{path.name}-wal"))


def _head_of(db: sqlite3.Connection) -> LogHead:
    return LogHead(*db.execute(HEAD).fetchone())


def _read_from(db: sqlite3.Connection, after: int, limit: int) -> list[NumberedRecord]:
    prove_reading(after, limit)
    return [NumberedRecord(*row) for row in db.execute(READ, (after, limit))]


def _known_repeat(db: sqlite3.Connection, name: bytes) -> KnownRepeat | None:
    row = db.execute(KNOWN, (name,)).fetchone()
    return KnownRepeat(*row) if row else None


def _outcomes_of(db: sqlite3.Connection, batch: bytes) -> tuple[RequestOutcome, ...] | None:
    row = db.execute(OF_BATCH, (batch,)).fetchone()
    return unpack_outcomes(row[0]) if row else None


class JobRaised(Exception):
    """What a job raised, whatever that was: it is the caller's, and says nothing about the file."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class SqliteTransaction(LogTransaction):
    """An open transaction, from its BEGIN on."""

    def __init__(self, db: sqlite3.Connection, head: LogHead, at: int) -> None:
        self._db, self._head, self._at = db, head, at
        self.outcomes: tuple[RequestOutcome, ...] = ()  # of all that was appended
        self.last: NumberedRecord | None = None

    @property
    def head(self) -> LogHead:
        return self._head

    def read(self, after: int, limit: int) -> list[NumberedRecord]:
        return _read_from(self._db, after, limit)

    def append(self, requests: Sequence[LogRequest]) -> tuple[RequestOutcome, ...]:
        names = [request.repeat.name for request in requests if request.repeat]
        known = {name: found for name in names if (found := _known_repeat(self._db, name))}
        outcomes, records, repeats = place_requests(requests, self._head.size, known)
        self._db.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", records)
        kept = [(name, *each, self._at) for name, each in repeats.items()]
        self._db.executemany("INSERT INTO repeat (name, content, first, size, at) VALUES (?, ?, ?, ?, ?)", kept)
        if records:
            self.last = records[-1]
            self._put_head(self._head._replace(size=self._head.size + len(records)))
        self.outcomes += outcomes
        return outcomes

    def rewrite(self, seqs: Sequence[int], sides: Sequence[bytes]) -> None:
        prove_sides(seqs, sides)
        if not all(self._db.execute("SELECT 1 FROM record WHERE seq = ?", (seq,)).fetchone() for seq in seqs):
            raise ValueError("a number that has no record")
        self._db.executemany("UPDATE record SET side = ? WHERE seq = ?", zip(sides, seqs, strict=True))

    def prune(self, below: int) -> None:
        if not self._head.kept <= below <= self._head.size:
            raise ValueError(f"records from {self._head.kept} to {self._head.size} can be pruned, not below {below}")
        self._put_head(self._head._replace(kept=below))
        self._db.execute("DELETE FROM record WHERE seq < ?", (below,))

    def rekey(self, epoch: int) -> None:
        self._put_head(self._head._replace(epoch=epoch))

    def expire(self, before: int) -> bool:
        """Whether there may be more. What a clock that was ahead has dated stands among the oldest until its day."""
        gone = [self._db.execute(OLDEST.format(table), (before, EXPIRED_AT_ONCE)) for table in ("repeat", "batch")]
        return any(each.rowcount >= EXPIRED_AT_ONCE // 2 for each in gone)

    def keep_outcomes(self, batch: bytes) -> None:
        """Under the batch's id, for whoever asks what became of it."""
        row = (batch, pack_outcomes(self.outcomes), self._at)
        self._db.execute("INSERT INTO batch (id, outcomes, at) VALUES (?, ?, ?)", row)

    def _put_head(self, head: LogHead) -> None:
        self._head = head
        self._db.execute("UPDATE head SET size = ?, kept = ?, epoch = ?", self._head[1:])


class LogConnection:
    """A connection to the file, and which file that is. No descriptor of ours is held on it: to close one would drop
    the locks that all connections of this process have.
    """

    def __init__(self, path: Path, mode: str) -> None:
        self._path = path
        here = self._found()
        self._file, self._length = (here.st_dev, here.st_ino), here.st_size
        self.db = schema.connect_file(path, mode)

    def prove(self) -> None:
        """That the path leads to the file that was opened, and nobody cut it: a connection alone would go on from the
        pages that it has in memory. Raises `FileMoved`, or OSError.
        """
        here = self._found()
        if (here.st_dev, here.st_ino) != self._file or here.st_size < self._length:
            raise FileMoved(f"{self._path} is another file than the one that was opened; put that one back")
        self._length = here.st_size

    def _found(self) -> os.stat_result:
        try:
            return self._path.stat()
        except FileNotFoundError:
            raise FileMoved(f"{self._path} is not there; put it back") from None

    def prove_version(self) -> None:
        """Raises `LedgerRefused`."""
        if (found := schema.version(self.db, self._path)) != VERSION:
            raise LedgerRefused(f"{self._path} has version {found}; this gateway knows {VERSION}")


class LogProof:
    """Which log it must be, and the last record of it that this process knows to be durable."""

    def __init__(self, log: bytes) -> None:
        self._log = log
        self.last: NumberedRecord | None = None

    def prove(self, db: sqlite3.Connection) -> LogHead:
        """That it is this log with all that this process ever acknowledged. Raises `FileMoved`."""
        head, last = _head_of(db), self.last
        if head.log != self._log:
            raise FileMoved(f"{FILE} is another log than the one that was opened; put that one back")
        if last is not None and last.seq >= head.kept:
            found = _read_from(db, last.seq, 1)
            if not found or found[0].leaf != last.leaf:
                raise FileMoved(f"{FILE} lacks what was written: it is an older copy; put the newest one back")
        return head

    def prove_end(self, db: sqlite3.Connection) -> None:
        """Once a connection: that the records end where the head says. Raises `FileMoved`."""
        head = self.prove(db)
        end = _read_from(db, max(head.size - 1, 0), 2)
        if [each.seq for each in end] != [head.size - 1] * (head.size > head.kept):
            raise FileMoved(f"{FILE} is damaged: its head says {head.size} and its records do not; restore it")
        self.last = end[0] if end else None


class LogFile:
    """The one connection that writes. Every call but `put` is a thread's, and all are made by whoever holds the
    writers' lock.
    """

    def __init__(self, folder: Path, proof: LogProof) -> None:
        self._path, self._proof = folder / FILE, proof
        self._open: LogConnection | None = None
        self._doubtful = True  # what the write-ahead log shows may never have reached the disk
        self._written: NumberedRecord | None = None  # the last one of the open transaction
        self._tidied = 0.0

    @property
    def is_open(self) -> bool:
        return self._open is not None

    @property
    def is_doubtful(self) -> bool:
        """Whether what another connection would show may never have reached the disk."""
        return self._doubtful

    def opened(self) -> LogConnection:
        """After every check. Raises one of `DOUBTS`."""
        if self._open is None:
            if self._doubtful:
                _write_log_back(self._path)
                self._doubtful = False
            made = LogConnection(self._path, "rw")
            try:
                schema.settle_file(made.db, self._path, SETTINGS)
                made.prove_version()
                made.prove()
                self._proof.prove_end(made.db)
            except BaseException:
                made.db.close()
                raise
            self._open = made
        return self._open

    def put(self, batch: LogBatch) -> tuple[RequestOutcome, ...]:
        """Everything but the COMMIT. Where nothing is to be committed, for the batch is there, no transaction is open
        afterwards. Raises `Moved` and one of `DOUBTS`, and then none is open either.
        """
        with self._begun(batch.at) as tx:
            assert self._open is not None
            known = _outcomes_of(self._open.db, batch.id)
            if known is not None:
                self._open.db.execute("ROLLBACK")
                return as_repeats(known)
            if moved_from(batch, tx.head):
                raise Moved(tx.head)
            outcomes = tx.append(batch.requests)
            tx.keep_outcomes(batch.id)
            return outcomes

    def run(self, job: Callable[[SqliteTransaction], T], at: int) -> T:
        """A transaction of its own, committed. Raises `JobRaised`, one of `DOUBTS`, and `NothingKept`."""
        self.opened()
        batch = os.urandom(ID_BYTES)
        with self._begun(at) as tx:
            try:
                result = job(tx)
            except sqlite3.Error:
                raise  # the file or the disk
            except Exception as error:
                raise JobRaised(error) from error
            tx.keep_outcomes(batch)
        self.commit(batch)
        return result

    def commit(self, batch: bytes) -> None:
        """Makes the open transaction durable, if there is one. Raises `NothingKept`: it is not, or not so that it may
        be answered for.
        """
        assert self._open is not None
        try:
            if self._open.db.in_transaction:
                self._make_durable(self._open.db)
            self._open.prove()
            self._proof.last = self._written or self._proof.last
        except DOUBTS as doubt:
            # What was committed into a file that is lost is not acknowledged, whatever came into its place.
            if isinstance(doubt, FileMoved) or not self._stands(batch):
                raise NothingKept(f"nothing was kept: {doubt}") from doubt

    def is_due(self) -> bool:
        """Whether it is to be tidied, once: who is told so does it."""
        now = time.monotonic()
        due = now - self._tidied >= TIDIED_EVERY
        if due:
            self._tidied = now
        return due

    def tidy(self) -> None:
        """Brings over what it can without waiting for anybody. Into a file that was cut it would bring the length back
        and not the content: the next batch is to find it as it is.
        """
        if self._open is not None:
            with contextlib.suppress(*DOUBTS):
                self._open.prove()
                disk.tidy(self._open.db)

    def let_go(self) -> None:
        """Closing the last connection is a hidden checkpoint."""
        if self._open is not None:
            with contextlib.suppress(sqlite3.Error):
                self._open.db.close()
            self._open = None

    @contextlib.contextmanager
    def _begun(self, at: int) -> Iterator[SqliteTransaction]:
        assert self._open is not None
        db = self._open.db
        self._open.prove()
        db.execute("BEGIN IMMEDIATE")
        try:
            tx = SqliteTransaction(db, self._proof.prove(db), at)
            yield tx
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self._written = tx.last

    @staticmethod
    def _make_durable(db: sqlite3.Connection) -> None:
        db.execute("COMMIT")

    def _stands(self, batch: bytes) -> bool:
        """What became of a COMMIT that failed."""
        self.let_go()
        self._doubtful = True
        try:
            return _outcomes_of(self.opened().db, batch) is not None
        except DOUBTS:
            return False


class LogFileReader:
    """A connection of its own, in a thread of its own: it sees at each statement whatever is durable."""

    def __init__(self, folder: Path, proof: LogProof) -> None:
        self._path, self._proof = folder / FILE, proof
        self._open: LogConnection | None = None

    def look(self, what: Callable[[sqlite3.Connection], T]) -> T:
        """Raises `StoreUnavailable`."""
        try:
            opened = self._opened()
            opened.prove()
            return what(opened.db)
        except DOUBTS as doubt:
            self.close()
            raise StoreUnavailable(f"the log cannot be read: {doubt}") from doubt

    def close(self) -> None:
        if self._open is not None:
            self._open.db.close()
            self._open = None

    def _opened(self) -> LogConnection:
        if self._open is None:
            self._open = LogConnection(self._path, "ro")
            self._open.db.execute("PRAGMA mmap_size = 0")
            self._open.db.execute(f"PRAGMA busy_timeout = {READERS_PATIENCE:d}")
            self._open.prove_version()
            self._proof.prove(self._open.db)
        return self._open


class _Threads(NamedTuple):
    """One that writes and one that reads, so that neither waits for the other."""

    writing: ThreadPoolExecutor
    reading: ThreadPoolExecutor


class SqliteLog(Log):
    """The log in a data folder, for one event loop. `log`: which one it must be."""

    def __init__(self, folder: Path, log: bytes) -> None:
        self._folder = folder
        proof = LogProof(log)
        self._file, self._reader = LogFile(folder, proof), LogFileReader(folder, proof)
        self._threads = _Threads(ThreadPoolExecutor(1, "log-writing"), ThreadPoolExecutor(1, "log-reading"))
        self._turn = asyncio.Lock()
        self._begun = set[asyncio.Task[Any]]()
        self._closed = False

    async def append(self, batch: LogBatch) -> tuple[RequestOutcome, ...]:
        prove_batch(batch)
        return await self._to_its_end(self._append(batch))

    async def transaction(self, job: Callable[[LogTransaction], T], at: int) -> T:
        return await self._to_its_end(self._transact(job, at))

    async def expire(self, now: int) -> bool:
        return await self._to_its_end(self._transact(lambda tx: tx.expire(now - KEPT_DAYS * DAY_MS), now))

    async def read(self, after: int, limit: int) -> list[NumberedRecord]:
        return await self._look(lambda db: _read_from(db, after, limit))

    async def head(self) -> LogHead:
        return await self._look(_head_of)

    async def idempotent(self, repeat: Repeat) -> RequestOutcome | None:
        found = await self._look(lambda db: _known_repeat(db, repeat.name))
        return found.outcome(repeat.content) if found else None

    async def batch_outcome(self, batch: bytes) -> tuple[RequestOutcome, ...] | None:
        return await self._look(lambda db: _outcomes_of(db, batch))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        while self._begun:
            await asyncio.wait({*self._begun})
        async with contextlib.AsyncExitStack() as stack:
            with contextlib.suppress(NothingKept):  # who has it for so long is stopped, and closes nothing meanwhile
                await stack.enter_async_context(self._writing())
            await self._in_thread(self._reader.close, self._threads.reading)
            await self._in_thread(self._file.let_go)
        for thread in self._threads:
            thread.shutdown(wait=False)  # both are idle

    async def _append(self, batch: LogBatch) -> tuple[RequestOutcome, ...]:
        async with self._writing():
            try:
                if not self._file.is_open:
                    await self._in_thread(self._file.opened)
                outcomes = self._file.put(batch)
            except DOUBTS as doubt:
                await self._in_thread(self._file.let_go)
                raise NothingKept(f"nothing was kept: {doubt}") from doubt
            await self._in_thread(lambda: self._file.commit(batch.id))
            if self._file.is_due():
                self._begin(self._tidy())  # behind the answer
            return outcomes

    async def _make_sure(self) -> None:
        """Before anything is read: what a process left that died in a commit is durable before it is shown."""
        async with self._writing():
            try:
                await self._in_thread(self._file.opened)
            except DOUBTS as doubt:
                raise StoreUnavailable(f"the log cannot be read: {doubt}") from doubt

    async def _tidy(self) -> None:
        with contextlib.suppress(NothingKept):
            async with self._writing():
                await self._in_thread(self._file.tidy)

    async def _transact(self, job: Callable[[SqliteTransaction], T], at: int) -> T:
        async with self._writing():
            try:
                return await self._in_thread(lambda: self._file.run(job, at))
            except JobRaised as raised:
                raise raised.error from None
            except DOUBTS as doubt:
                await self._in_thread(self._file.let_go)
                raise NothingKept(f"nothing was kept: {doubt}") from doubt

    @contextlib.asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        """One batch after the other, and one process after the other. Raises `NothingKept` where another process does
        not let go in time.
        """
        async with self._turn:
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(schema.held(self._folder, patience=0))
                except LedgerRefused:
                    await self._wait_for_lock(stack)
                yield

    async def _wait_for_lock(self, stack: contextlib.ExitStack) -> None:
        try:
            await self._in_thread(lambda: stack.enter_context(schema.held(self._folder, PATIENCE)))
        except LedgerRefused as refused:
            raise NothingKept(f"nothing was kept: {refused}") from refused

    async def _look(self, what: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreUnavailable("the log is closed")
        if self._file.is_doubtful:
            await self._to_its_end(self._make_sure())
        return await self._in_thread(lambda: self._reader.look(what), self._threads.reading)

    async def _in_thread(self, what: Callable[[], T], thread: ThreadPoolExecutor | None = None) -> T:
        done = asyncio.get_running_loop().run_in_executor(thread or self._threads.writing, what)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            await asyncio.wait({done})  # the loop ends: not before the thread lets go of the connection
            raise

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Whoever waits for it and goes away stops nothing: a transaction that nobody ends would lock out all."""
        if self._closed:
            work.close()
            raise NothingKept("nothing was kept: the log is closed")
        return await asyncio.shield(self._begin(work))

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._begun.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._begun.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever waited; nobody may be left
