"""Who got what on answers to checks and bid requests (R22): the ids of answers, the batches that count what may have
been sent, sends that are announced before, and what callers say became of an answer.

An answer is counted off the hot path: a bounded queue, a batch each second or 1,000 rows. What is lost is counted and a
spell of the evidence. An announced send, and what a caller reports, is durable before it is answered.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta

from gateway.check import Ask, Checked, Checks
from gateway.deciding import Deciding, Made
from gateway.decisions import Decisions
from gateway.delivery.beside import thread_beside
from gateway.handed_over import HandedOver
from gateway.leaving import named
from gateway.ledger import disclosed, disclosures
from gateway.ledger.disclosed import Counted
from gateway.ledger.disclosures import Intended
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import milliseconds
from gateway.ledger.writer import Transaction, Writer
from gateway.people import People
from gateway.reporting import INTENDED, LOST, NOT_SENT, REPORTED_WITHIN, Report, Reporting, Took, counts_of
from gateway.terms import Purpose

BATCH = 1_000  # rows of one entry (design decision 12)
PERIOD = 1.0  # seconds between two batches
MOST = 100_000  # rows that wait while the ledger cannot be written: some 30 MB
LOSING = 2.0  # seconds that a loss is a spell: the evidence looks twice a second

Tell = Callable[[str, str, int], None]  # recipient, what became of it, how many
Waiting = Counted | Future[None]  # a row, or somebody who waits for all rows before


class Disclosing(Deciding):
    """One installation's. `running` counts; without it nothing is written but what is announced or reported."""

    def __init__(
        self, checks: Checks, people: People, writer: Writer, decisions: Decisions, clock: Callable[[], datetime],
        send_window: timedelta,
    ) -> None:  # fmt: skip
        super().__init__(checks, decisions, clock)
        self._people = people
        self._writer = writer
        self._reporting = Reporting(decisions, send_window)
        self.handed_over = HandedOver(people, writer, decisions, self._reporting, clock, self._told)
        self._waiting: deque[Waiting] = deque()
        self._tell: Tell = lambda *_: None
        self._wake = threading.Event()
        self._running = self._stopping = self._writing = False
        self._lost_at = float("-inf")

    # --- answers ---

    def _note(self, made: Sequence[Made], checked: Checked) -> None:  # noqa: ARG002 - a replica wants its position
        counted = counts_of([decision for _, decision in made], milliseconds(self._clock()))
        if len(self._waiting) + len(counted) > MOST:
            self._lose(counted)
            return
        self._waiting.extend(counted)
        if len(self._waiting) >= BATCH:
            self._wake.set()

    async def _intend(self, ask: Ask, checked: Checked, going: Sequence[Made]) -> None:
        at = self._clock()
        left = {each.classes: named(self._people, ask.identifiers, each.classes, checked.own) for _, each in going}
        rows = [(each, Intended(text, each.key, each.classes, left[each.classes])) for text, each in going]

        def job(tx: Transaction) -> None:
            for each, row in rows:
                disclosures.intend(tx, each.recipient, [Purpose(word) for word in each.purposes], [row], at)

        if going:
            await self._writer.commit(job)
        for _, each in going:
            self._tell(each.recipient, INTENDED, 1)

    async def _withdraw(self, going: Sequence[Made]) -> None:
        await self.report([Report(text, NOT_SENT) for text, _ in going])

    # --- what became of them ---

    async def report(self, reports: Sequence[Report]) -> list[str]:
        """What each report came to, in order (`Took`); durable once this returns. Raises `StoreUnavailable`: then
        nothing was taken, and the same is said again.
        """
        results = []
        for start in range(0, len(reports), BATCH):
            part, at = reports[start : start + BATCH], self._clock()

            def job(tx: Transaction, part: Sequence[Report] = part, at: datetime = at) -> list[Took]:
                disclosed.forget_said(tx, milliseconds(at - 2 * REPORTED_WITHIN))
                found = [self._reporting.take(tx, each, at) for each in part]
                counted = [one for _, ones in found for one in ones]
                if counted:
                    disclosed.count(tx, counted, at)
                return [took for took, _ in found]

            for took in await self._writer.commit(job):
                results.append(took.result)
                for word in took.counted:
                    self._tell(took.recipient, word, 1)
        return results

    # --- the batches ---

    @contextlib.asynccontextmanager
    async def running(self, tell: Tell) -> AsyncIterator[None]:
        """Writes batches until it is left, and then what is left. `tell` counts."""
        self._tell, self._stopping, self._running = tell, False, True
        async with thread_beside("disclosing", self._run, self._stop):
            yield

    def _stop(self) -> None:
        self._running, self._stopping = False, True
        self._wake.set()

    def _told(self, recipient: str, outcome: str, count: int) -> None:
        self._tell(recipient, outcome, count)

    def losing(self) -> bool:
        """Whether rows were lost just now, here or at a replica; a spell of the evidence."""
        return time.monotonic() - max(self._lost_at, self.handed_over.lost_at()) < LOSING

    def _lose(self, listed: Sequence[Waiting]) -> None:
        for one in listed:
            if isinstance(one, Counted):
                self._lost_at = time.monotonic()
                self._tell(one.recipient, LOST, 1)
        _tell_whoever_waits(listed)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(PERIOD)
            self._wake.clear()
            while self._waiting and self.write():
                pass
        while self._waiting:
            if not self.write():
                self._lose(list(self._waiting))
                self._waiting.clear()

    async def settled(self, seconds: float) -> None:
        """What was answered before this is on record when it returns, or so many seconds are over; so that whoever got
        somebody's id right before is told of their no, and of their erasure (R18).
        """
        if not self._running or not (self._waiting or self._writing):
            return
        turn = Future[None]()
        self._waiting.append(turn)
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(turn), seconds)

    def write(self) -> bool:
        """One batch; what cannot be written waits. Whether it was written."""
        self._writing = True
        try:
            return self._write()
        finally:
            self._writing = False

    def _write(self) -> bool:
        listed, at = list(self._next()), self._clock()
        rows = [one for one in listed if isinstance(one, Counted)]
        try:
            if rows:
                self._writer.submit(lambda tx: disclosed.count(tx, rows, at)).result()
        except StoreUnavailable:
            self._waiting.extendleft(reversed(listed))
            self._wake.clear()
            return False
        except Exception:  # noqa: BLE001 - whatever is wrong with these, the next ones are to be written
            self._lose(listed)
            return True
        for one in rows:
            self._tell(one.recipient, one.outcome, 1)
        _tell_whoever_waits(listed)
        return True

    def _next(self) -> Iterator[Waiting]:
        with contextlib.suppress(IndexError):
            for _ in range(BATCH):
                yield self._waiting.popleft()


def _tell_whoever_waits(listed: Sequence[Waiting]) -> None:
    for one in listed:
        if isinstance(one, Future) and one.set_running_or_notify_cancel():
            one.set_result(None)
