"""Leases: who may answer from a copy of the standings, and from when on nobody answers from before a choice (11 CCR
7026(f)(1)).

A replica counts its lease from before it asked, we from after we granted: its end is never later than ours. It is
renewed only while the replica keeps up: with a renewal it must have what was there at the one before. So the lease of
one that is behind ends at most `term` + `LATE` after the first change that it has not got. It is renewed for one that
is behind only if the renewal can be read before the lease before it is over, for until then whoever waits sees the old
end (`in_time`). Clocks are CLOCK_BOOTTIME. The process before, or one beside it that drains, may have granted by a
configuration of before: so what a lease's row says is waited for, whatever the term is now.

On a server other machines answer too, each from its own state, by leases that it renews in the database
(ledger/watch.py). Nobody reads the end of a lease by another's clock: one that another machine granted, or that is
another machine's, is over once its row was the same for the longest term, and a margin, of our own clock. Whoever holds
it then would have changed the row, before our commit or behind it; and who renews behind it has what was committed.
"""

import asyncio
import contextlib
import math
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from gateway.disk import boot_id
from gateway.ledger.errors import LedgerRefused, StoreUnavailable
from gateway.ledger.log_records import LAST_PLACE, end_behind, log_end
from gateway.ledger.store import Store
from gateway.ledger.transaction import Transaction
from gateway.terms import DAY_MS

if TYPE_CHECKING:
    from gateway.postgres.connection import PostgresConnection

HOLDERS = 64
LATE = 0.5  # seconds; with the term and the send window less than a term and a second (R17)
MISSED = 3  # terms after the end of its lease that make a replica a dropped one
FORGOTTEN = DAY_MS  # after which nobody is told of a dropped one any more
# Seconds between two looks at who has applied what; where it takes long, a share of what was waited, for a look at a
# server costs as much as several answers.
LOOKS, LOOKS_AGAIN = 0.005, 0.125
HELD = "SELECT boot, until, due, due_at, applied FROM lease WHERE holder = ?"
LIVE = "SELECT holder, name, boot, until, applied FROM lease"
# The row of nobody tells how far what was read goes: a server that was cut off from the others knows nothing of who
# came since, and a file that lay in the ledger's place for a while nothing of who renewed.
END = f"SELECT '', '', x'', 0, ({LAST_PLACE}) FROM head"  # noqa: S608 - ours
OF_A_FILE = f"{LIVE} UNION ALL {END}"
# Of other machines the count of their renewals, which no clock makes; of this one none, for another boot of it, or a
# clone, answers nobody beside it (`PostgresConnection.take_row`).
SERVED = f"""{LIVE} UNION ALL
SELECT 'machine ' || number, '', x'', renewals, applied FROM host WHERE number <> ? UNION ALL
{END}"""  # noqa: S608 - ours
ENDS_WITHIN = 1.0  # seconds that whoever reads still may take at the end
MINUTE = timedelta(minutes=1)  # an entry's own time is whole ones
LONGEST = 2.0  # seconds of a term, whatever another machine is configured to (settings.sections), and of `watch.TERM`
UNTOLD = (TimeoutError, sqlite3.Error, LedgerRefused, StoreUnavailable)


T = TypeVar("T")
LeaseRow = tuple[str, str, bytes, int, int]  # as `LIVE` says


class TooManyHolders(Exception):
    """There are as many replicas as may be."""


class Renewal(NamedTuple):
    """What a replica asks. `applied`: the position up to which it has every change."""

    holder: str
    name: str
    applied: int


class Lease(NamedTuple):
    """One that is held. `ends`: by our clock, in seconds. `of_before`: it was granted before this machine's boot."""

    holder: str
    name: str
    ends: float
    applied: int
    of_before: bool


class HeldLeases(NamedTuple):
    """All of them as they were read at one moment. `known`: how far in the ledger that reading goes. `at`: our clock
    before it: a lease that was to end later may have been renewed behind the reading, however long that took.
    """

    leases: list[Lease]
    known: int
    at: float


class Granted(NamedTuple):
    """`seconds`: for how long from the asking; 0: not at all, for it has to catch up first. `position`: of the
    ledger as states of hosts follow it (`LedgerLog`). `by`: by our clock, when it must be committed at the latest.
    """

    seconds: float
    position: int
    entries: int
    by: float = math.inf


class Leases:
    """Grants for one installation, and the waiting for whoever holds one. `term`: of a lease that is granted, in
    seconds. `clock`: seconds of CLOCK_BOOTTIME.
    `applied`: up to which position this machine's own state has the ledger. `generation`: the watch's, another one
    whenever what lies at the ledger's path may be another file than before. `commits`: commits nothing, and how far the
    ledger goes then.
    """

    def __init__(
        self, store: Store, term: float, clock: Callable[[], float], boot: bytes | None = None,
        applied: Callable[[], int] | None = None, *, generation: Callable[[], int] = int,
        commits: Callable[[], Awaitable[int]] | None = None,
    ) -> None:  # fmt: skip
        self.term = term
        self._store, self._applied, self._commits = store, applied, commits
        self._clock = clock
        self._boot = boot_id() if boot is None else boot
        self._began = clock()
        self._db: sqlite3.Connection | None = None
        self._generation, self._opened_as = generation, -1
        self._of_turn: HeldLeases | asyncio.Future[HeldLeases] | None = None
        self._reading = threading.Lock()  # threads share the connection, and what is known of each row
        self._first = dict[str, tuple[tuple[bytes, int], float]]()  # since when each row is known as it is

    @property
    def shared(self) -> bool:
        """Whether other machines may write and answer."""
        return self._store.is_server

    def now(self) -> float:
        return self._clock()

    def renew(self, tx: Transaction, asked: Renewal) -> Granted:
        """In the writer's transaction. Raises `TooManyHolders`."""
        now, term = self._milliseconds(), int(self.term * 1000)
        position = tx.position
        tx.db.execute("DELETE FROM lease WHERE boot = ? AND until < ?", (self._boot, now - FORGOTTEN))
        row = tx.db.execute(HELD, (asked.holder,)).fetchone()
        held = row if row and row[0] == self._boot else None
        if held is None and self._count(tx, now) >= HOLDERS:
            raise TooManyHolders
        until = self._until(held, asked.applied, position, now, term)
        if until is None:
            tx.db.execute("UPDATE lease SET applied = ? WHERE holder = ?", (asked.applied, asked.holder))
            if held is None or (held[1] <= now and asked.applied > held[4]):  # it comes, and is waited for from now on
                others = LONGEST if row and held is None else 0.0  # it may hold another machine's lease still
                self._put(tx, asked, now + int((others + LATE) * 1000), position, now)
            return Granted(0.0, position, tx.size)
        before = (
            held[1] if held else now + int(LONGEST * 1000) if row else 0
        )  # when the lease that it has still may end
        self._put(tx, asked, max(until, before), position, now)  # it is believed until this answer comes
        by = held[1] / 1000 if held and asked.applied < position else math.inf
        return Granted((until - now) / 1000, position, tx.size, by)

    def in_time(self, granted: Granted) -> Granted:
        """What may be told of it now that it is committed: no lease to one that is behind, once the lease before is
        over. Who looked meanwhile took that for the end, and his choice for effective everywhere.
        """
        return granted if self._clock() < granted.by else granted._replace(seconds=0.0)

    def leave(self, tx: Transaction, holder: str) -> None:
        """A replica that answers nobody any more."""
        tx.db.execute("DELETE FROM lease WHERE holder = ?", (holder,))

    def dropped(self) -> list[str]:
        """Names of replicas that have missed three terms: somebody should look at them."""
        now, missed = self._milliseconds(), int(MISSED * self.term * 1000)
        named = [lease for lease in self._read().leases if lease.name]
        live = {lease.name for lease in named if not lease.of_before and lease.ends * 1000 + missed >= now}
        return sorted({lease.name for lease in named} - live)

    async def latest(self, position: int) -> float:
        """Within how many seconds of the asking at most nobody answers from before a position any more. Read once for
        all whose choices were committed together; nobody waits for longer than he would wait for the leases. That
        nobody does is known as of the reading, and of no moment before it.
        """
        began = self._clock()
        with contextlib.suppress(TimeoutError, sqlite3.Error, LedgerRefused):
            async with asyncio.timeout(self._bound):
                held = await self._read_in_turn()
                return self._latest(self._behind(position, held), self._clock() - began)
        return LONGEST + LATE  # what was granted may have been for a longer term than ours

    def _latest(self, behind: float, took: float) -> float:
        """Whoever granted the lease that ends last may renew it once more (`_until`), for a longer term than ours."""
        return max(self._bound, min(took + behind, LONGEST) + LATE) if behind > 0 else took

    def position(self) -> int:
        """How far the ledger goes, as anybody who reads it now sees it."""
        return self._read_by(log_end)

    async def settled(self, position: int) -> float:
        """Waits until whoever held a lease has that position or holds none any more; how many seconds that took."""
        return await self._settled(position, self._read_in_turn)

    async def _settled(self, position: int, read: Callable[[], Awaitable[HeldLeases]]) -> float:
        longest, began = LONGEST + LATE, self._clock()
        while (left := began + longest - self._clock()) > 0:
            with contextlib.suppress(sqlite3.Error, LedgerRefused, TimeoutError):
                # A server may say nothing for longer.
                async with asyncio.timeout(left) if self.shared else contextlib.nullcontext():
                    held = await read()
                behind = self._behind(position, held)
                if behind <= 0:
                    break
                left = min(left, behind)
            await asyncio.sleep(min(left, max(LOOKS, LOOKS_AGAIN * (self._clock() - began))))
        return self._clock() - began

    async def everywhere(self, position: int) -> None:
        """What loosens is answered once every machine has it: one that has not would take the next no of the same
        person for one that stands.
        """
        if self.shared:
            await self.settled(position)

    async def all_of_now(self) -> None:
        """The same of all that is on record by now."""
        if self.shared:
            with contextlib.suppress(*UNTOLD):
                async with asyncio.timeout(self._bound):  # a server may say nothing for longer
                    position = await self._of_now()
                await self.settled(position)
                return
            await asyncio.sleep(self._bound)  # nobody can tell, and by then whoever had not is told nothing more

    async def settles(self, seconds: float) -> bool:
        """Whether within so many seconds nobody answers from before this moment any more."""
        try:
            async with asyncio.timeout(seconds):
                position = await self._of_now()
                await self._settled(position, partial(self._beside, self._read))  # a position of this very moment
        except UNTOLD:
            return False
        return True

    async def _of_now(self) -> int:
        """How far the ledger goes at this moment. Of a server a commit alone tells: one that lies behind a cut, and
        whose place another one took, answers what it knew, and commits nothing that counts.
        """
        if not self.shared:
            return self.position()
        if self._commits is None:
            raise StoreUnavailable("who never writes knows nothing of now")
        return await self._commits()

    @property
    def _bound(self) -> float:
        """Seconds until nobody has a lease of before, as far as it is known what was granted."""
        return (LONGEST if self.shared else self.term) + LATE

    def close(self) -> None:
        """Where a thread reads still, for a server says nothing, it stays open: SQLite's library crashes where one
        thread closes what another is using.
        """
        if self._reading.acquire(timeout=ENDS_WITHIN):
            try:
                self._let_go()
            finally:
                self._reading.release()

    def _let_go(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _until(
        self, held: tuple[bytes, int, int, int, int] | None, applied: int, position: int, now: int, term: int
    ) -> int | None:
        """When a lease ends that is renewed now; None: it is not."""
        if applied > position:  # it knows another ledger's changes
            return None
        if applied == position:
            return now + term
        if held is None or held[1] <= now or applied < held[2]:  # whoever holds none was waited for by nobody
            return None
        return min(now + term, held[3] + term + int(LATE * 1000))

    def _put(self, tx: Transaction, asked: Renewal, until: int, position: int, now: int) -> None:
        tx.db.execute(
            "INSERT INTO lease VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (holder) DO UPDATE SET name = excluded.name,"
            " boot = excluded.boot, until = excluded.until, applied = excluded.applied, due = excluded.due,"
            " due_at = excluded.due_at",
            (asked.holder, asked.name, self._boot, until, asked.applied, position, now),
        )

    def _count(self, tx: Transaction, now: int) -> int:
        sql = "SELECT count(*) FROM lease WHERE boot = ? AND until + ? >= ?"
        return int(tx.db.execute(sql, (self._boot, int(MISSED * self.term * 1000), now)).fetchone()[0])

    def _behind(self, position: int, held: HeldLeases) -> float:
        """For how many seconds more somebody may answer who has not got a position."""
        if held.known < position:
            if not self.shared:  # another file than the one that was committed to; the path may lead to that by now
                self._opened_as = -1
            return LONGEST + LATE
        if self._lacks(position):
            return LONGEST + LATE
        return max((lease.ends - held.at for lease in held.leases if lease.applied < position), default=0.0)

    def _lacks(self, position: int) -> bool:
        """Whether this machine itself answers from before a position that another one's choice made."""
        return self.shared and self._applied is not None and self._applied() < position

    def _reader(self) -> sqlite3.Connection:
        """Under `_reading`."""
        if self._db is None or self._opened_as != self._generation():
            self._let_go()
            self._opened_as = self._generation()
            self._db = self._store.open_to_read()
        return self._db

    async def _read_in_turn(self) -> HeldLeases:
        """The same, read once for all whom one turn of the event loop goes on with: they were woken before it was read,
        so what they wait for is older. Whoever is woken later runs behind the forgetting.
        """
        if self._of_turn is None:
            self._of_turn = asyncio.ensure_future(self._beside(self._read)) if self.shared else self._read()
            asyncio.get_running_loop().call_soon(self._forget)
        found = self._of_turn
        return await asyncio.shield(found) if isinstance(found, asyncio.Future) else found

    async def _beside(self, read: Callable[[], T]) -> T:
        """A server may be slow, and nobody else is to wait for it: a file is read at once."""
        return await asyncio.to_thread(read) if self.shared else read()

    def _forget(self) -> None:
        self._of_turn = None

    def _read(self) -> HeldLeases:
        return self._read_by(self._read_served if self.shared else self._read_file)

    def _read_by(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """A connection that failed is let go, whatever was read on it."""
        with self._reading:
            try:
                return read(self._reader())
            except sqlite3.Error:
                with contextlib.suppress(sqlite3.Error):
                    self._let_go()
                raise

    def _read_file(self, db: sqlite3.Connection) -> HeldLeases:
        at, anew = self._clock(), self._began + LONGEST + LATE  # of before a boot nobody knows the end
        rows: list[LeaseRow] = db.execute(OF_A_FILE).fetchall()
        ours = (
            (holder, name, until / 1000 if boot == self._boot else anew, applied, boot != self._boot)
            for holder, name, boot, until, applied in rows
            if holder
        )
        return HeldLeases([Lease(*each) for each in ours], _known(rows), at)

    def _read_served(self, db: sqlite3.Connection) -> HeldLeases:
        """Of a lease by another clock nobody knows the end: a full term since it was seen first as it is now."""
        at = self._clock()
        found: list[LeaseRow] = db.execute(SERVED, (cast("PostgresConnection", db).host,)).fetchall()
        seen, before, self._first = self._clock(), self._first, {}
        leases = []
        for holder, name, boot, until, applied in found:
            if not holder:
                continue
            as_it_is, first = before.get(holder, (None, seen))
            self._first[holder] = (boot, until), first if as_it_is == (boot, until) else seen
            ends = until / 1000 if boot == self._boot else self._first[holder][1] + LONGEST + LATE
            leases.append(Lease(holder, name, ends, applied, of_before=False))
        return HeldLeases(leases, _known(found), at)

    def _milliseconds(self) -> int:
        return int(self._clock() * 1000)


def _known(rows: Sequence[LeaseRow]) -> int:
    """How far the ledger goes that showed these: up to nothing, where it has no head."""
    return max((end_behind(row[4]) for row in rows if not row[0]), default=0)


class Effectiveness:
    """When choices are effective: from which moment no send on an answer of before may start, wherever it was given.
    `Consent.choose`, and with it agents, and the confirmation ask. `window`: in which a send may start; `within`: the
    same, longer where files are good for longer.
    """

    def __init__(
        self, leases: Leases, clock: Callable[[], datetime], window: timedelta, within: timedelta | None = None
    ) -> None:
        self._leases, self._clock = leases, clock
        self._window, self._within = window, within or window

    async def of_committed(self, position: int, *, settle: bool) -> tuple[datetime, datetime]:
        """When what was committed just now was accepted, and from when it is effective: the window is counted from the
        moment from which nobody answers from before. `settle`: waits for that; else it is the latest that it can be.
        """
        accepted = self._clock()
        after = await (self._leases.settled if settle else self._leases.latest)(position)
        return accepted, accepted + timedelta(seconds=after) + self._within

    async def passed(
        self, said: datetime, shared: Callable[[], Awaitable[datetime | None]], patience: timedelta
    ) -> bool:
        """Whether what is on record, and was said at a moment, is effective. It may have been entered much later, kept
        beside until then, and nothing tells when: so a whole window is waited for behind whoever answers from before.
        A file's is too long for that: none was made later than what was shared last before it was entered (`shared`
        looks up the minute). What would take longer than `patience` beside those is not waited for.
        """
        last = await shared() if self._within > self._window else None
        since = max(said, last + MINUTE) if last else said
        left = since + self._within - self._clock()
        if left > patience or not await self._leases.settles(patience.total_seconds()):
            return False
        await asyncio.sleep(max(left, self._window).total_seconds())
        return True
