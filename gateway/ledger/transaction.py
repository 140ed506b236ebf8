"""A transaction of the ledger as jobs see it: what they append and say waits in memory and is written by one statement
a table, and what one of them said is taken back where it raises. The writer opens one a batch (`ledger.writer`). And
how an event loop waits for what becomes of a job (`CommitWaiter`).

A statement is dear because it is one, and a savepoint has SQLite keep each page that is changed behind it. What waits
is written before anything else is said to the connection, so whoever reads there reads it.

Jobs that a loop brings together are handed over together, for a commit costs as much as some entries, and two threads
that take turns with one interpreter hold each other up. The writer answers the jobs of a batch one after the other;
they wake the loop once together, and each costs it one future. (asyncio's own way chains three futures a job and wakes
the loop for each.)
"""

import asyncio
import contextlib
import sqlite3
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import chain
from typing import Any, Generic, NamedTuple, TypeVar, cast

from gateway import disk
from gateway.choice.recipient import Recipient
from gateway.fold.record import LinkSaid, NamesLearnt, Record
from gateway.fold.state import Get
from gateway.keys.person_keys import Vault
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.log_records import LAST_PLACE, SAY, FreshRecords, put_anew, remember_forgotten
from gateway.ledger.proof.merkle import Frontier
from gateway.ledger.publisher import Added
from gateway.ledger.schema import rows_of
from gateway.ledger.side import LAST_RUN, add_mentions, gather_mentions, led_by, pack_side
from gateway.ledger.subjects import Subject
from gateway.ledger.tree import Tree

MENTIONS = "mentions"  # in place of a statement: what leads to a row of the log; that of all of them is one run


class BatchUnwritten(sqlite3.Error):
    """Rows that others said could not be written behind them: all of the batch goes, whoever's job found it out."""


class UnwrittenRows:
    """Each with the statement that inserts it. A mark is how many there ever were."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._rows: list[tuple[str, tuple[Any, ...]]] = []
        self._written = 0

    def add(self, sql: str, row: tuple[Any, ...]) -> None:
        self._rows.append((sql, row))

    def mark(self) -> int:
        return self._written + len(self._rows)

    def back(self, mark: int) -> None:
        """What came behind a mark is not written after all."""
        del self._rows[max(mark - self._written, 0) :]

    def write(self, mark: int) -> None:
        """Those before a mark; table by table in the order in which these were first named. Where it raises they wait
        on, and some of them are written: the transaction must not be committed.
        """
        count = mark - self._written
        if count <= 0:
            return
        tables = defaultdict[str, list[tuple[Any, ...]]](list)
        for sql, row in self._rows[:count]:
            tables[sql].append(row)
        for sql, rows in tables.items():
            if sql == MENTIONS:
                add_mentions(self._db, chain.from_iterable(of_row for (of_row,) in rows))
                continue
            rows.sort()  # what lies side by side is put there at once
            self._db.executemany(sql, rows)
        del self._rows[:count]
        self._written = mark


def settled(db: sqlite3.Connection, settle: Callable[[], None]) -> sqlite3.Connection:
    """A connection that writes what waits before anything is said to it."""
    return cast("sqlite3.Connection", _SettledConnection(db, settle))


class _SettledConnection:
    def __init__(self, db: sqlite3.Connection, settle: Callable[[], None]) -> None:
        self._db, self._settle = db, settle

    def __getattr__(self, name: str) -> Any:
        self._settle()
        return getattr(self._db, name)


T = TypeVar("T")
AT_ONCE = 2_000  # records of one row
ENTRY = "INSERT INTO entry VALUES (?, ?)"
BRINGS_NONE = (LinkSaid, NamesLearnt)  # but where `Transaction.join` is told of them
BEGINS = f"SELECT size, frontier, peppers, ({LAST_PLACE}), (SELECT min(until) FROM dated_link), ({LAST_RUN}) FROM head"  # noqa: S608 - ours


SystemRows = Sequence[tuple[str, str, bool]]  # of the table own_system


class StoodBefore(NamedTuple):
    """What stood when a transaction began: `get` as the fold asks, `position` of the log as the state counts it;
    `lies`: whether anything lies at any of some keys, `denies`: whether any no reaches a key, each found at once.
    """

    get: Get
    position: int
    lies: Callable[[Collection[bytes]], bool]
    denies: Callable[[bytes], bool]


class JoinedPeople(NamedTuple):
    """Who became connected in a transaction, of whom something may have been said before: identifiers that an account
    has from now on; without an account some of which names were learnt. `at`: Unix milliseconds.
    """

    subjects: Sequence[Subject]
    account: Subject | None
    at: int


class _Savepoint:
    """What a transaction was when a job began. `opened`: it is one of the connection too, for the job has used that."""

    def __init__(self, tx: "Transaction") -> None:
        self.size, self.due, self.fresh, self.rows = tx.size, tx.due, tx.fresh.mark(), tx.unwritten.mark()
        self.joined = len(tx.joined)
        self.opened = False
        self.packed = b""  # the tree's frontier when it was opened


class Transaction:
    """The open transaction, as jobs see it. `size` counts the entries, its own included. `stands`: what stood when
    it began (`folded_people.people_of`); None: that is not at hand. `due`: the first date of a link that is to come.
    `asks`: among which keys its jobs will look by which statement, as far as they said so.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        persons: Vault,
        stands: StoodBefore | None = None,
        asks: Mapping[str, set[bytes]] | None = None,
    ) -> None:
        self._engine = db
        self.unwritten = UnwrittenRows(db)
        self.db = settled(db, self._settle)
        self.persons = persons
        self.stands = stands
        self.onward: Any = None  # the same with what this transaction said; whoever asks makes it
        self.about = set[bytes]()  # whom its entries are about
        self.joined = list[JoinedPeople]()  # that nobody looked at yet (`desk.recipients_to_tell`)
        self.is_quiet = True  # so far it brought nobody a no
        self.met = set[bytes]()  # all names of whoever it was told of
        self.named = set[bytes]()  # accounts of which it keeps what they are called
        self.begun = dict[bytes, bool]()  # requests that are new: whether their first entry is still to come
        size, packed, peppers, place, due, self._last_run = db.execute(BEGINS).fetchone()
        self.size: int = size
        self.due: int | None = due
        self._peppers: int = peppers
        self.fresh = FreshRecords(place)
        self._first: int = place
        self.unfinished = False  # an erasure began in it
        self.queued = list[bytes]()  # the messages to recipients that it wrote
        self.systems: SystemRows = ()
        self.recipients: Mapping[str, Recipient] = {}  # as this process has them configured
        self._tree = Tree(db, Frontier(self.size, packed))
        self._began = (self.size, packed)
        self._bodies: list[bytes] = []
        self._savepoints: list[_Savepoint] = []
        self._asks = asks or {}
        self._found = dict[str, Any]()  # what was asked for all of the batch at once
        self._used = False  # a job used the connection, so that this may be another one since
        self._done = set[str]()

    @property
    def added(self) -> "Added":
        """What was appended, for whoever signs it."""
        return Added(*self._began, self._bodies, self._tree.hashes)

    @property
    def position(self) -> int:
        """Behind all that was said so far, as the state counts it."""
        return self.fresh.end

    @property
    def has_said(self) -> bool:
        """Whether a state has anything to fold of it."""
        return self.fresh.place != self._first

    @property
    def log(self) -> str:
        """The log's name: another one once an older copy was put back."""
        return str(self.db.execute("SELECT origin FROM head").fetchone()[0])

    def append(self, body: bytes, records: Sequence[Record] = (), at: int = 0) -> int:
        """The sequence number of a new entry; the tree has it in the same transaction. `records`: what the fold is told
        by it, and of whatever is learnt with it. `at`: when it was said, Unix milliseconds.
        """
        seq = self.size
        self.unwritten.add(ENTRY, (seq, body))
        self._put_side(seq, records, at, entered=True)
        self._bodies.append(body)
        self.size += 1
        return seq

    def say(self, records: Sequence[Record], at: int) -> None:
        """What is learnt without an entry of its own."""
        for start in range(0, len(records), AT_ONCE):
            part = records[start : start + AT_ONCE]
            self._put_side(part[0].seq, part, at, entered=False)

    def _put_side(self, seq: int, records: Sequence[Record], at: int, *, entered: bool) -> None:
        place = self.fresh.say(records)
        self.is_quiet = self.is_quiet and all(isinstance(each.said, BRINGS_NONE) for each in records)
        self.unwritten.add(SAY, (place, seq, entered, pack_side(records, at, self._peppers)))
        self.unwritten.add(MENTIONS, (led_by(place, records),))

    def join(self, subjects: Sequence[Subject], account: Subject | None, at: int) -> None:
        """See `JoinedPeople`."""
        self.joined.append(JoinedPeople(subjects, account, at))
        self.is_quiet = False

    def tell_anew(self, seqs: Collection[int]) -> None:
        """That some entries say something else from now on, or nothing: whoever folded them does so again."""
        if seqs:
            put_anew(self.db, self._otherwise(), self.size, seqs, self._peppers)

    def tell_forgotten(self, keys: Collection[bytes] | None) -> None:
        """That what was said of some people went. Nothing of them is written. None: nobody can say whose it was, so
        that no state goes on.
        """
        place = self._otherwise()
        put_anew(self.db, place, self.size, (), self._peppers)
        if keys is not None:
            remember_forgotten(self.db, place, keys)
            if not disk.is_file(self.db):
                self.persons.shared.tell_elsewhere(self.db, place, keys)

    def _otherwise(self) -> int:
        self.is_quiet = False
        self.fresh.leave_out()
        return self.fresh.say(())

    def asked_once(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a statement that each job asks."""
        if self._used:
            return self.db.execute(sql).fetchall()
        if sql not in self._found:
            self._found[sql] = self._engine.execute(sql).fetchall()
        rows: list[tuple[Any, ...]] = self._found[sql]
        return rows

    def found_among(self, sql: str, keys: Collection[bytes]) -> set[bytes]:
        """The keys that a statement finds among some (`{marks}`): asked for the whole batch by the first job."""
        asked = self._asks.get(sql, set[bytes]())
        if self._used or not asked.issuperset(keys):
            return {key for (key,) in rows_of(self.db, sql, keys)}
        if sql not in self._found:
            self._found[sql] = {key for (key,) in rows_of(self._engine, sql, asked)}
        found: set[bytes] = self._found[sql]
        return found.intersection(keys)

    def done_once(self, sql: str, given: Sequence[Any]) -> None:
        """A statement that each job has to do of which once a batch is enough: of what is older than all of it."""
        if sql not in self._done:
            self._done.add(sql)
            self._engine.execute(sql, given)

    def _settle(self) -> None:
        """Before a job uses the connection: all that was said is written there, what came before each savepoint before
        it. What was asked for the batch may be another one from here on.
        """
        for each in self._savepoints:
            if not each.opened:
                self._write(each.rows, each.size)
                self._engine.execute("SAVEPOINT job")
                each.opened, each.packed = True, self._tree.frontier.pack()
        self._write(self.unwritten.mark(), self.size)
        self._used = True

    def _write(self, mark: int, size: int) -> None:
        """What was said up to a mark, when there were so many entries. Raises `sqlite3.Error` alone, by which no job is
        refused for what others said, who would be answered.
        """
        try:
            self.unwritten.write(mark)
            for body in self._bodies[len(self._tree.hashes) : size - self._began[0]]:
                self._tree.append(body)
        except sqlite3.Error:
            raise
        except Exception as error:
            raise BatchUnwritten(type(error).__name__) from error

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is done within is done whole, or not at all where it raises."""
        begun = _Savepoint(self)
        self._savepoints.append(begun)
        try:
            yield
        except sqlite3.Error:
            raise  # the file or the disk: the whole batch goes
        except Exception:
            self._savepoints.pop()
            self._take_back(begun)
            raise
        self._savepoints.pop()
        if begun.opened:
            self._engine.execute("RELEASE job")

    def _take_back(self, begun: _Savepoint) -> None:
        kept = begun.size - self._began[0]
        if begun.opened:
            self._engine.execute("ROLLBACK TO job")
            self._engine.execute("RELEASE job")
            hashes = self._tree.hashes[:kept]
            self._tree = Tree(self._engine, Frontier(begun.size, begun.packed))
            self._tree.hashes = hashes
        self.unwritten.back(begun.rows)
        self.size, self.due, self._bodies = begun.size, begun.due, self._bodies[:kept]
        self.fresh.back(begun.fresh)
        del self.joined[begun.joined :]
        self.named.clear()
        self._done.clear()
        self.onward = None

    def finish(self) -> None:
        """Behind all jobs: what waits is written, and the head where anything was appended."""
        self._write(self.unwritten.mark(), self.size)
        if self._used:
            gather_mentions(self._engine, self._last_run)
        if self._bodies:
            self.write_head()

    def write_head(self) -> None:
        """The head row, as it is after everything that was appended."""
        self.db.execute("UPDATE head SET size = ?, frontier = ?", (self.size, self._tree.frontier.pack()))


Job = Callable[[Transaction], T]


R = TypeVar("R")
GATHERED = 0.02  # seconds at most: a job that comes alone is handed over before the loop waits for anything


def begun_future() -> Future[Any]:
    """For whoever waits for a job of the writer's, which nobody can take back."""
    future = Future[Any]()
    future.set_running_or_notify_cancel()
    return future


class CommitWaiter(Generic[T]):
    """Waits for one writer's commits. `hand_over`: takes a job to it."""

    def __init__(self, hand_over: Callable[[T], None]) -> None:
        self._hand_over = hand_over
        self._jobs: LoopJobs[T] | None = None

    async def outcome(self, job: T, done: Future[R], seconds: float, hangs: Callable[[], bool] = bool) -> R:
        """What became of a job, which goes on when nobody waits. Raises `StoreUnavailable` past so many seconds, and
        past half of them where the writer hangs by then.
        """
        loop, jobs = asyncio.get_running_loop(), self._jobs
        if jobs is None or jobs.loop is not loop:  # another thread's may take turns with it
            jobs = self._jobs = LoopJobs(loop, self._hand_over)
        waiting: asyncio.Future[R] = loop.create_future()
        timer = list[asyncio.TimerHandle]()
        timer.append(loop.call_later(seconds / 2, _give_up_where, hangs, waiting, seconds / 2, timer))
        done.add_done_callback(partial(jobs.take, waiting))
        jobs.bring(job)
        try:
            return await waiting
        finally:
            timer.pop().cancel()


class LoopJobs(Generic[T]):
    """What one loop has not yet handed over, and what the writer has answered and it has not yet told."""

    def __init__(self, loop: asyncio.AbstractEventLoop, hand_over: Callable[[T], None]) -> None:
        self.loop = loop
        self._hand_over = hand_over
        self._brought = list[T]()
        self._done = deque[tuple[asyncio.Future[Any], Future[Any]]]()
        self._woken = False

    def bring(self, job: T) -> None:
        """On the loop. Handed over whoever hangs up meanwhile."""
        self._brought.append(job)
        if len(self._brought) == 1:
            self.loop.call_soon(self._hand_all_over, 0, self.loop.time() + GATHERED)

    def _hand_all_over(self, known: int, until: float) -> None:
        """Once a whole turn of the loop brought none more."""
        if known < len(self._brought) and self.loop.time() < until:
            self.loop.call_soon(self._hand_all_over, len(self._brought), until)
            return
        brought, self._brought = self._brought, []
        for each in brought:
            self._hand_over(each)

    def take(self, waiting: asyncio.Future[Any], done: Future[Any]) -> None:
        """In the writer's thread."""
        self._done.append((waiting, done))
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self.loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._woken = False  # first: what is done from here on wakes the loop again
        while self._done:
            waiting, done = self._done.popleft()
            if waiting.done():  # whoever waited gave up, or is gone
                continue
            error = done.exception()
            if error is None:
                waiting.set_result(done.result())
            else:
                waiting.set_exception(error)


def _give_up_where(
    hangs: Callable[[], bool], waiting: asyncio.Future[Any], rest: float, timer: list[asyncio.TimerHandle]
) -> None:
    """Else after the rest of the time: nearly everybody has an outcome long before the first half of it is over."""
    if hangs():
        _give_up(waiting)
    else:
        timer[:] = [waiting.get_loop().call_later(rest, _give_up, waiting)]


def _give_up(waiting: asyncio.Future[Any]) -> None:
    if not waiting.done():
        waiting.set_exception(StoreUnavailable("not written yet; ask again with the same Idempotency-Key"))
