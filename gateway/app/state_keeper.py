"""The state of this host kept by the writer: folded on behind each durable commit and before its answer, made anew
beside it where it does not follow, copied, tidied, and synced at a clean stop. The writer calls it, in its own thread.

What is committed stands whether it is folded or not. So a state that could not follow answers nobody from then on,
which is shown to all processes of the host before the commit is answered; only where that cannot be shown is it not.
What takes long is done in a thread of its own, while opt-outs are kept.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

import lmdb

from gateway.fold.record import Record
from gateway.fold.state import FOR_EVER
from gateway.ledger.audit.examination import Stop
from gateway.ledger.errors import LedgerRefused, StateUnread
from gateway.ledger.log_records import PLACES, FreshRecords, GrownLog, LedgerLog, forget_deletes, watch_deletes
from gateway.ledger.store import Store
from gateway.ledger.transaction import StoodBefore
from gateway.ledger.watch import Judge
from gateway.ledger.writer import Writer
from gateway.state.environment import StateBusy, StateForeign, StateRefused, StateUnmarked
from gateway.state.lookup import StateMoment
from gateway.state.packed_rows import NotAState, StateHead
from gateway.state.upkeep import HostState, LogNow, Making, prove_follows

if TYPE_CHECKING:
    from gateway.postgres.connection import PostgresConnection

T = TypeVar("T")
COPY_AFTER = 30.0  # seconds of folding that a start after a power cut should not take longer than
COPY_EVERY, COPY_LOOKS = 3600.0, 60.0  # seconds at least between two copies, and two looks whether one is due
TIDY_SHARE = 0.05  # of the time at most goes into taking out what was replaced: all of it is written anew
LOOKS_EVERY = 1.0  # seconds; so long a killed reader's pages stay
FOLDS = 15_000  # records a second (tests/bench/state_bench.py: 58 to 67 us each)
SLICES = 3  # of upkeep.SLICE records, for which an opt-out may wait: a second
AT_ONCE = 20_000  # rows of a log whose state a start makes before anything else: a second or two
BESIDE_ENDS = 2.0  # seconds that what is made beside may take at the end
CATCHES_UP, PAUSE = 1.0, 0.005  # seconds that a writer may be between commit and fold; the proof before lasts longer
HALF = 0.5  # of what the disk has room for: somebody should look at it
UNCOPIED = (
    "no copy of the state could be made ({why}): until there is one a start after a power cut folds the whole ledger,"
    " and checks deny meanwhile; see that the disk has room for the state once more"
)
UNFORGOTTEN = (
    "who was forgotten lies in the state's files still, for it could not be made anew without them ({why}); see that"
    " the disk has room for the state once more"
)
DOUBTS = (StateRefused, NotAState, LedgerRefused, sqlite3.Error, lmdb.Error, OSError)


def _readable(read: Callable[[Any], T]) -> Callable[[Any], T]:
    """The same, where whatever lies there instead is a `StateUnread`: the log has all of it."""

    def get(of: Any) -> T:
        try:
            return read(of)
        except Exception as error:
            raise StateUnread(f"the state cannot be read: {type(error).__name__}") from error

    return get


class _Stopped(Exception):
    """The process ends, and what takes long is given up."""


class _LogUntil(LedgerLog):
    """Read until the process ends."""

    def __init__(self, db: sqlite3.Connection, stop: threading.Event) -> None:
        super().__init__(db)
        self._stop = stop

    def read(self, after: int) -> Iterator[tuple[int, Record]]:
        for each in super().read(after):
            if self._stop.is_set():
                raise _Stopped
            yield each


class StateKeeper:
    """`tell` is told what is wrong with it, once each. `used`: how much the state has of what there is room for on its
    disk, 0 to 1, as of the last look. `at_once`: of how many rows a log's state is made before anything else; None: of
    any. `why`: why nobody is answered from it.
    """

    def __init__(
        self,
        store: Store,
        state: HostState,
        tell: Callable[[str], None],
        *,
        at_once: int | None = AT_ONCE,
    ) -> None:
        self.state, self._at_once = state, at_once
        self._slices = None if at_once is None else SLICES
        self._store, self._tell = store, tell
        self._doubtful, self._begun, self._tidies, self._remembers = True, False, False, False
        self._proved: int | None = None
        self.why, self.used = "", 0.0
        self._undone = dict.fromkeys((UNCOPIED, UNFORGOTTEN), "")  # why not
        self._looks_at = self._copies_at = self._tidies_at = time.monotonic()
        self._stop = threading.Event()
        state.given_up = self._stop.is_set
        self._busy: threading.Thread | None = None

    def watch(self, db: sqlite3.Connection) -> None:
        """Before anything is written on a connection."""
        watch_deletes(db)

    def begin(self) -> bool:
        """Before the first batch: what is small is made when this returns. Whether it is to be kept now."""
        self._make(begins=True)
        return self._busy is None

    def moment(self) -> StateMoment:
        """For one check. Raises `StateRefused` where nobody may be answered from it."""
        if not self._begun:
            raise StateRefused("it was not compared with the ledger yet")
        return self.state.moment()

    def keep(self, db: sqlite3.Connection, fresh: FreshRecords | None = None, log: LedgerLog | None = None) -> None:
        """Behind each durable commit, which said `fresh`, and before its answer, under the writers' lock, on a
        connection that shows it. `log`: as it was read there a moment ago. Raises `StateUnmarked` where it did not
        follow and other processes may answer from it all the same.
        """
        try:
            self._prove_ours(log := log or self._read(db, fresh))
            self._hold_back(log)
            self.state.follow(log, self._slices)
        except StateUnmarked as error:
            self._doubtful = True
            self._say(str(error))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, all checks deny, and the commit stands
            self._doubtful = True
            self._say(f"{type(error).__name__}: {error}")
            return
        self._remembers |= not isinstance(log, GrownLog)  # of which nobody was forgotten
        if self._remembers and self._busy is None and not self.state.waits:  # one that is being made wants to know, too
            forget_deletes(db)
            self._remembers = False
        self._doubtful, self._begun = False, True
        self._say("")
        if self.state.unswept:
            with contextlib.suppress(RuntimeError):  # where no thread is to be had, the next time
                self._in_a_thread(self.state.sweep)
        if self._tidies:
            self._tidies = False
            self._tidy()

    def _read(self, db: sqlite3.Connection, fresh: FreshRecords | None) -> LedgerLog:
        """A commit of which nothing can be read is not answered against. Raises `StateUnmarked` and what it met."""
        try:
            return LedgerLog(db, fresh)
        except BaseException:
            self.state.deny()
            raise

    def _hold_back(self, log: LedgerLog) -> None:
        """While one follows, another one that was made beside may take its place a little later."""
        if not self._begun or self._doubtful or self._busy is not None or isinstance(log, GrownLog):
            return
        try:
            going_on = self.state.hold_back(log)
        except Exception:  # noqa: BLE001 - whatever it was, `follow` meets it, and denies
            return
        if going_on:
            try:
                self._in_a_thread(lambda: self._went_on(going_on))
            except RuntimeError:  # no more threads
                self._went_on(going_on)

    def behind(self, db: sqlite3.Connection) -> int | None:
        """From which position on it lacks what a connection shows, or one that was made to take its place; None: from
        none, or it is to be made anew.
        """
        if (not self._begun or self._doubtful) and not self.state.waits:
            return None
        try:
            position, log = self.state.lacks_from(), LedgerLog(db)
        except DOUBTS:
            return None
        return position if position < log.head else None

    def grown(self, db: sqlite3.Connection, fresh: FreshRecords | None = None) -> GrownLog | None:
        """What a connection to a server shows, where that is as plain as it mostly is and the state goes on from where
        it is; `fresh` as in `keep`.
        """
        if not self._begun or self._doubtful or self.state.waits:
            return None
        try:
            log = GrownLog(db, self.state.position(), fresh)
        except DOUBTS:
            return None
        return log if log.is_plain else None

    def applied(self) -> int:
        """Up to which position this machine's checks have the ledger, for other machines; 0: up to none."""
        try:
            return self.state.position() if self._begun and not self._doubtful else 0
        except DOUBTS:
            return 0

    def proved(self) -> int | None:
        """Up to which position the last proof was of this state as well; None: it was not."""
        return self._proved

    @contextlib.contextmanager
    def standing(self, db: sqlite3.Connection, log: LedgerLog | None = None) -> Iterator[StoodBefore | None]:
        """For whoever writes on a connection: what stands behind all that it shows; None where the state is not there
        yet, or answers nobody. `log`: as its transaction read it.
        """
        with contextlib.ExitStack() as stack:
            try:
                moment = stack.enter_context(self.state.moment())
                log = log or LedgerLog(db)
                prove_follows(moment.head, log, self.state.epoch)
                at_hand = moment.head.position == log.head
            except DOUBTS:
                at_hand = False

            def denies(key: bytes) -> bool:
                standing = moment.standing(key, FOR_EVER)
                return standing is not None and standing.says_no()

            yield (
                StoodBefore(_readable(moment.get), moment.head.position, _readable(moment.lies), _readable(denies))
                if at_hand
                else None
            )

    def wants(self, db: sqlite3.Connection | None) -> bool:
        """Whether it is to be kept although nobody writes: another process ended before it had, or one was made."""
        now = time.monotonic()
        if now < self._looks_at:
            return False
        self._looks_at = now + LOOKS_EVERY
        if db is None:
            return True  # whatever it was that had the writer let it go, somebody has to look
        if self._follows(db):
            self._copy_or_tidy(now)
            return self.state.waits or self._tidies or self.state.unswept
        self._make()
        return self._busy is None

    def _follows(self, db: sqlite3.Connection) -> bool:
        """Whatever it is that cannot be looked at: then it does not."""
        try:
            self.state.check_readers()
            self.used = self.state.used()
            denies = self.state.denies()
            if denies and not self._doubtful:
                self._say("another process could not follow")
            if denies or self._doubtful:
                return False
            head, log = self._head(), LedgerLog(db)
            prove_follows(head, log, self.state.epoch)
        except Exception as error:  # noqa: BLE001 - whatever it was, the writer goes on
            self._say(f"{type(error).__name__}: {error}")
            return False
        return head.position == log.head

    def judge(self, examination: Judge) -> Judge:
        """A proof is of the ledger, and of the state that checks read."""

        def judge(db: sqlite3.Connection) -> bool:
            self._proved = None
            grown = examination(db)
            if self._begun:
                self._proved = self._prove(db)
            return grown

        return judge

    def _prove(self, db: sqlite3.Connection) -> int | None:
        """Up to where it follows this very ledger and is not behind. None: it is marked as behind, and answers nobody
        anyway. Raises `LedgerRefused`.
        """
        wanted, until = LedgerLog(db).head, time.monotonic() + CATCHES_UP
        try:
            while (head := self._head()).position < wanted:
                if time.monotonic() > until:
                    raise LedgerRefused("the state of this host is behind the ledger; the writer brings it up to date")
                time.sleep(PAUSE)
            prove_follows(head, LedgerLog(db), self.state.epoch)  # read after it, the log has all that it follows
        except StateForeign as foreign:
            raise LedgerRefused(
                "the state of this host is one of another ledger; the writer makes it anew"
            ) from foreign
        except StateRefused:
            return None
        return wanted

    def _head(self) -> StateHead:
        with self.state.moment() as moment:
            return moment.head

    def alarms(self) -> list[str]:
        """What somebody has to look at."""
        full = "the state takes more than half of what its disk has room for: give DATA more (gateway help replica)"
        behind = f"the state does not follow the ledger, so checks deny: {self.why} (gateway help replica)"
        undone = ((what.format(why=why), why) for what, why in self._undone.items())
        return [text for text, rings in ((full, self.used > HALF), (behind, self.why), *undone) if rings]

    def close(self, db: sqlite3.Connection | None) -> None:
        """A clean end; under the writers' lock if it can be had: `db` is None where not."""
        self._stop.set()
        busy = self._busy
        if busy is not None:
            busy.join(BESIDE_ENDS)
            if busy.is_alive():  # it reads what is committed, and nobody needs to wait for it
                self.state.leave()
        if db is not None and not self._doubtful:
            with contextlib.suppress(*DOUBTS):
                self.state.stop()

    def end(self, writer: Writer, stop: Stop) -> None:
        """The writer's, and so of all that is kept. One that does not end may be in the state, which stays open then,
        and the next start finds the stop in doubt.
        """
        if not writer.close():
            stop.doubtful = True
            self.state.leave()

    def _make(self, *, begins: bool = False) -> None:
        """One is made beside where none follows; at the beginning here, where the log has no more rows than that."""
        if not self._doubtful or self.state.waits or self._busy is not None:
            return
        try:
            with self._log_in_force() as log:
                self._prove_ours(log)
                making, rows = self.state.wanted(log), log.head // PLACES
                if making is Making.COMPACT:
                    self.state.forget_gone()
            most = self._at_once if making is Making.ANEW else AT_ONCE
            if making is not None and begins and (most is None or rows <= most):
                self._prepare(making)
            elif making is Making.ANEW:
                self._say("it is made anew")
                self._in_a_thread(lambda: self._prepared(making))
        except Exception as error:  # noqa: BLE001 - whatever it was, the writer goes on, and checks deny
            self._say(f"{type(error).__name__}: {error}")

    def _prove_ours(self, log: LedgerLog) -> None:
        """A process that knows fewer peppers than the ledger leaves the state to those who know them all. Raises
        `StateRefused`.
        """
        if log.peppers != self.state.epoch:
            raise StateRefused("this process does not know the newest pepper: restart it")

    def _prepare(self, making: Making) -> None:
        began = time.monotonic()
        with self._log() as log:
            self.state.prepare(log, making, self._log)
        self._tidies_at = time.monotonic() + (time.monotonic() - began) / TIDY_SHARE

    def _prepared(self, making: Making) -> None:
        """In its thread. Whatever goes wrong, it is tried again."""
        try:
            self._prepare(making)
        except _Stopped:
            pass
        except Exception as error:  # noqa: BLE001 - as it says
            if making is Making.ANEW:
                self._say(f"{type(error).__name__}: {error}")
            else:
                self._tidies_at = time.monotonic() + COPY_LOOKS
                if not isinstance(error, StateBusy):
                    self._say_undone(UNFORGOTTEN, str(error))

    def _went_on(self, going_on: Callable[[LogNow], None]) -> None:
        """In its thread. Where it could not, another one is made."""
        try:
            going_on(self._log)
        except Exception:  # noqa: BLE001 - whatever it was, the one in force follows
            self._tidies_at = time.monotonic() + COPY_LOOKS

    @contextlib.contextmanager
    def _log(self) -> Iterator[LedgerLog]:
        """At one moment."""
        with contextlib.closing(self._store.open_to_read()) as db:
            db.execute("BEGIN")
            yield _LogUntil(db, self._stop)

    @contextlib.contextmanager
    def _log_in_force(self) -> Iterator[LedgerLog]:
        """The same, under the writers' lock: not what a server tells in whose place another one leads by now, and which
        answers still. Such a one holds us up for ever, and others not: it is asked first without the lock.
        """
        if not self._store.is_server:
            with self._store.held(), self._log() as log:
                yield log
            return
        with contextlib.closing(self._store.open_to_write()) as db, self._store.held():
            server = cast("PostgresConnection", db)
            server.prove_leads()
            with server.moment():
                yield LedgerLog(db)

    def _copy_or_tidy(self, now: float) -> None:
        """Beside. Whatever goes wrong, neither the writer nor an answer hears of it."""
        try:
            left = self.state.left()
            if not left:
                self._say_undone(UNFORGOTTEN, "")
            if left and now >= self._tidies_at:
                self._tidies = self._busy is None
            elif now >= self._copies_at:
                self._copy_where_due(now)
        except Exception as error:  # noqa: BLE001 - as it says
            self._say_undone(UNCOPIED, str(error))

    def _tidy(self) -> None:
        """Under the writers' lock."""
        try:
            self.state.forget_gone()
            self._in_a_thread(lambda: self._prepared(Making.COMPACT))
        except Exception as error:  # noqa: BLE001 - as above
            self._say_undone(UNFORGOTTEN, str(error))

    def _copy_where_due(self, now: float) -> None:
        self._copies_at = now + COPY_LOOKS
        if (self.state.position() - self.state.copied()) // PLACES > COPY_AFTER * FOLDS:
            self._copies_at = now + COPY_EVERY
            self._in_a_thread(self._copied)

    def _copied(self) -> None:
        """In its thread."""
        try:
            self.state.copy()
        except BlockingIOError:
            self._copies_at = time.monotonic() + COPY_LOOKS  # another process makes one
        except Exception as error:  # noqa: BLE001 - whatever it was, it is tried again
            self._copies_at = time.monotonic() + COPY_LOOKS
            self._say_undone(UNCOPIED, str(error))
        else:
            self._say_undone(UNCOPIED, "")

    def _say_undone(self, what: str, why: str) -> None:
        if self._stop.is_set():
            return  # and whatever was under way is given up
        news, self._undone[what] = why != self._undone[what], why
        if why and news:
            self._tell(what.format(why=why))

    def _in_a_thread(self, job: Callable[[], Any]) -> None:
        if self._busy is None:
            busy = threading.Thread(target=self._run, args=[job], name="state-maker", daemon=True)
            self._busy = busy
            try:
                busy.start()
            except RuntimeError:  # no more threads; it is tried again
                self._busy = None
                raise

    def _run(self, job: Callable[[], Any]) -> None:
        try:
            job()
        finally:
            self._busy = None

    def _say(self, why: str) -> None:
        news, self.why = why != self.why, why
        if why and news:
            self._tell(f"the state of this host does not follow the ledger, so its checks deny: {why}")
