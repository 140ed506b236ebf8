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
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from gateway.check import Ask, Checked, Checks
from gateway.decisions import NOBODY, Decision, Decisions, NotOurs, Stands, in_order, name_of
from gateway.delivery.beside import thread_beside
from gateway.leaving import named
from gateway.ledger import disclosed, disclosures
from gateway.ledger.disclosed import DESPITE_NO, POSSIBLE, SENT, UNKNOWN, Counted
from gateway.ledger.disclosures import Intended
from gateway.ledger.records import milliseconds
from gateway.ledger.writer import StoreUnavailable, Transaction, Writer
from gateway.people import People
from gateway.terms import Answer, DataClass, Purpose

BATCH = 1_000  # rows of one entry (design decision 12)
PERIOD = 1.0  # seconds between two batches
MOST = 100_000  # rows that wait while the ledger cannot be written: some 30 MB
ATTEMPTS = 3  # checks of one announced send
REPORTED_WITHIN = timedelta(hours=1)  # what is said of an answer later leaves it as it was counted
SKEW = timedelta(seconds=6)  # of a caller's clock and our whole seconds, before a send counts as late
LOSING = 2.0  # seconds that a loss is a spell: the evidence looks twice a second
NOT_SENT, LATE, LOST, INTENDED = "not_sent", "late", "lost", "intended"
OUTCOMES = frozenset({SENT, NOT_SENT, UNKNOWN})
NOTHING: frozenset[str] = frozenset()
IMPERSONAL = frozenset({DataClass.AGGREGATE, DataClass.DEIDENTIFIED})
COUNTED_AS = {Stands.POSSIBLE: POSSIBLE, Stands.SENT: SENT}

Blocked = Callable[[str, Checked], bool]  # whether nothing goes to a recipient whatever the verdict
Tell = Callable[[str, str, int], None]  # recipient, what became of it, how many
Waiting = Counted | Future[None]  # a row, or somebody who waits for all rows before


@dataclass(frozen=True, slots=True)
class Report:
    """What a caller says became of an answer. `at`: when, by the caller's clock."""

    decision: str
    outcome: str
    at: datetime | None = None


class Took(NamedTuple):
    """What became of a report: recorded, repeated, denied (sent although the answer was no), expired or unknown."""

    result: str
    recipient: str = ""
    counted: tuple[str, ...] = ()


class Disclosing:
    """One installation's. `running` counts; without it nothing is written but what is announced or reported."""

    def __init__(
        self, checks: Checks, people: People, writer: Writer, decisions: Decisions, clock: Callable[[], datetime],
        send_window: timedelta,
    ) -> None:  # fmt: skip
        self._checks = checks
        self._people = people
        self._writer = writer
        self._decisions = decisions
        self._clock = clock
        self._late = send_window + SKEW
        self._waiting: deque[Waiting] = deque()
        self._tell: Tell = lambda *_: None
        self._wake = threading.Event()
        self._running = self._stopping = self._writing = False
        self._lost_at = float("-inf")

    # --- answers ---

    def decide(self, ask: Ask, checked: Checked, stands: Stands, blocked: Blocked | None = None) -> dict[str, str]:
        """The id of each answer, by recipient; what may go is counted as it `stands`. `blocked`: nothing goes there
        whatever the verdict.
        """
        made = {}
        for name in checked.verdicts:
            decision = self._decision(name, ask, checked, stands, blocked)
            made[name] = self._decisions.make(decision)
            if decision.stands in COUNTED_AS:
                self._note(_counted(decision, COUNTED_AS[decision.stands], at=milliseconds(self._clock())))
        return made

    async def announce(
        self, ask: Ask, checked: Checked, blocked: Blocked | None = None
    ) -> tuple[Checked, dict[str, str]]:
        """As `decide`, for a caller that will send at once: what may go is on record as intended before this returns,
        and is checked again after that. Raises `StoreUnavailable`; then nothing may be sent.
        """
        for _ in range(ATTEMPTS):
            decisions = {
                name: self._decision(name, ask, checked, Stands.INTENDED, blocked) for name in checked.verdicts
            }
            made = {name: self._decisions.make(decision) for name, decision in decisions.items()}
            going = [(made[name], each) for name, each in decisions.items() if each.stands is Stands.INTENDED]
            await self._intend(ask, checked, going)
            if not going or not self._checks.moved(checked.keys, checked.position):
                return checked, made
            again = self._checks.check(ask)
            if all(again.verdicts[name].data == verdict.data for name, verdict in checked.verdicts.items()):
                return again, made
            await self.report([Report(text, NOT_SENT) for text, _ in going])
            checked = again
        raise StoreUnavailable("the person's choices change faster than this can be answered")

    async def _intend(self, ask: Ask, checked: Checked, going: Sequence[tuple[str, Decision]]) -> None:
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

    def _decision(self, name: str, ask: Ask, checked: Checked, stands: Stands, blocked: Blocked | None) -> Decision:
        data, recipient = checked.verdicts[name].data, self._checks.recipients.get(name)
        going: frozenset[str] = frozenset(word for word, answer in data.items() if answer is not Answer.DENY)
        if recipient is None or (blocked and blocked(name, checked)):
            going = NOTHING
        key = checked.own[0] if checked.own else NOBODY
        personal = going - IMPERSONAL
        if not personal or key == NOBODY:
            stands = Stands.NOTHING
        stated = (ask.purpose,) if ask.purpose else recipient.purposes if recipient else ()
        purposes, classes = in_order(frozenset(stated), personal or going or frozenset(data))
        at, named = int(self._clock().timestamp()), name if recipient else ""
        return Decision(key, named, purposes, classes, at, stands, denied=not going)

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
                found = [self._take(tx, each, at) for each in part]
                counted = [one for _, ones in found for one in ones]
                if counted:
                    disclosed.count(tx, counted, at)
                return [took for took, _ in found]

            for took in await self._writer.commit(job):
                results.append(took.result)
                for word in took.counted:
                    self._tell(took.recipient, word, 1)
        return results

    def _take(self, tx: Transaction, report: Report, at: datetime) -> tuple[Took, list[Counted]]:
        try:
            decision = self._decisions.read(report.decision)
        except NotOurs:
            return Took("unknown"), []
        name, before = name_of(report.decision), disclosed.said(tx, name_of(report.decision))
        if before in {report.outcome, SENT}:
            return Took("repeated", decision.recipient), []
        if decision.denied:
            return self._take_despite(tx, report, decision, at)
        if decision.stands is Stands.INTENDED:
            disclosed.mark(tx, decision.recipient, name, report.outcome)
        elif at.timestamp() - decision.at > REPORTED_WITHIN.total_seconds():
            return Took("expired", decision.recipient), []
        disclosed.say(tx, name, report.outcome, at)
        late = report.at is not None and report.at.timestamp() - decision.at > self._late.total_seconds()
        counted = (report.outcome, LATE) if late and report.outcome == SENT else (report.outcome,)
        return Took("recorded", decision.recipient, counted), list(_moved(decision, before, report.outcome))

    def _take_despite(
        self, tx: Transaction, report: Report, decision: Decision, at: datetime
    ) -> tuple[Took, list[Counted]]:
        """What was sent although the answer was no: on record, for it is what the person has to learn."""
        disclosed.say(tx, name_of(report.decision), report.outcome, at)
        if report.outcome == NOT_SENT:
            return Took("recorded", decision.recipient), []
        known = decision.key != NOBODY and decision.recipient
        took = Took("denied", decision.recipient or "unknown", (DESPITE_NO,))
        return took, [_counted(decision, DESPITE_NO)] if known else []

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

    def losing(self) -> bool:
        """Whether rows were lost just now; a spell of the evidence."""
        return time.monotonic() - self._lost_at < LOSING

    def _note(self, one: Counted) -> None:
        if len(self._waiting) >= MOST:
            self._lose([one])
            return
        self._waiting.append(one)
        if len(self._waiting) >= BATCH:
            self._wake.set()

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


def _counted(decision: Decision, outcome: str, number: int = 1, *, at: int | None = None) -> Counted:
    """`at`: Unix milliseconds, where they are known; the id has whole seconds."""
    when = decision.at * 1000 if at is None else at
    return Counted(decision.key, decision.recipient, decision.purposes, decision.classes, outcome, when, number)


def _moved(decision: Decision, before: str | None, outcome: str) -> Iterator[Counted]:
    """From what was counted to what was said. An announced send has a row of its own; of nobody there is none."""
    if decision.key == NOBODY or decision.stands is Stands.INTENDED:
        return
    was = before or COUNTED_AS.get(decision.stands, NOT_SENT)
    if was == outcome:
        return
    if was != NOT_SENT:
        yield _counted(decision, was, -1)
    if outcome != NOT_SENT:
        yield _counted(decision, outcome)
