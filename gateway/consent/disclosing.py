"""Who got what on answers to checks and bid requests (R22): the batches that count what may have been sent, sends that
are announced before, and what callers and replicas say became of an answer. The doors of checks and disclosures call
it.

An answer is counted off the hot path: a bounded queue, a batch each second or 1,000 rows. What is lost is counted and
an outage in the evidence. An announced send, and what a caller reports, is durable before it is answered. A report
moves from one count to another in the writer's own transaction; the same for what is said to the gateway and for what a
replica was told.

A batch from a replica counts once however often it comes. One that is missing, answers that a replica had no room for,
and what cannot be read, are an entry and an outage in the evidence: never silently less. Whatever comes late is written
as of the time when it was answered, and of whoever was erased since nothing is (`gateway.desk.late_sends`).
"""

import asyncio
import contextlib
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import NamedTuple

from gateway.choice.recipient import Recipient
from gateway.consent.asked import Ask, Checked
from gateway.consent.check import Checks
from gateway.consent.decisions import (
    COUNTED_AS,
    NOBODY,
    Deciding,
    Decision,
    Decisions,
    Draft,
    Issued,
    Made,
    NotOurs,
    Stands,
    name_of,
)
from gateway.consent.people import People, named
from gateway.delivery.background import Every
from gateway.desk import disclosures, documents, late_sends
from gateway.desk.disclosures import DESPITE_NO, REPORTED_WITHIN, SENT, UNKNOWN, Counted, Intended
from gateway.desk.late_sends import HandedGone, LateSend, Numbered, tell_late
from gateway.keys.secret_files import wrap
from gateway.ledger.acts.folded_people import SaidSince
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import milliseconds
from gateway.ledger.transaction import Transaction
from gateway.ledger.writer import Writer
from gateway.terms import Purpose, Role

SKEW = timedelta(seconds=6)  # of a caller's clock and our whole seconds, before a send counts as late
NOT_SENT, LATE, LOST, INTENDED = "not_sent", "late", "lost", "intended"
UNTOLD = "untold"  # its recipient is told of a no that came meanwhile at the person's next call: nobody names it now
UNNAMED = "unknown"  # what recipients are counted as that none of our own registries ever named
OUTCOMES = frozenset({SENT, NOT_SENT, UNKNOWN})
WITHDRAWN = "withdrawn"  # who announced took it back: nobody has its id, so that no other word of it comes


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """What a caller says became of an answer. `at`: when, by the caller's clock. `said`: when a replica was told."""

    decision: str
    outcome: str
    at: datetime | None = None
    said: datetime | None = None


class Took(NamedTuple):
    """What became of a report: recorded, repeated, denied (sent although the answer was no), expired or unknown."""

    result: str
    recipient: str = ""
    counted: tuple[str, ...] = ()


class Reporting:
    """Takes what callers say became of answers. `late`: after how long a send counts as late."""

    def __init__(self, decisions: Decisions, send_window: timedelta) -> None:
        self._decisions = decisions
        self._late = send_window + SKEW
        self._earlier = list[str]()

    def _named(self, tx: Transaction) -> Iterator[str]:
        """Recipients of every registry, for what is said of one that was renamed or taken out since. Those that are
        known are not looked up again.
        """
        yield from self._earlier
        self._earlier = documents.recipients_named(tx)
        yield from self._earlier

    def take(
        self, tx: Transaction, report: OutcomeReport, at: datetime, others: Sequence[str] = ()
    ) -> tuple[Took, list[Counted]]:
        """The outcome of one report, and what is to be counted for it. `others`: recipients by name, as a replica has
        them.
        """
        try:
            decision = self._decisions.read(report.decision, chain(others, self._named(tx)))
        except NotOurs:
            return Took("unknown"), []
        name, before = name_of(report.decision), disclosures.outcome_said(tx, name_of(report.decision))
        if before in {report.outcome, SENT}:
            return Took("repeated", decision.recipient), []
        if report.outcome == WITHDRAWN:
            disclosures.take_out(tx, decision.recipient, [name], 0)
            return Took("recorded", decision.recipient, (NOT_SENT,)), []
        if decision.denied:
            return self._take_despite(tx, report, decision, before, at)
        untold: Sequence[str] = ()
        if decision.stands is Stands.INTENDED:
            untold = _mark_announced(tx, decision.recipient, name, report.outcome, at)
        elif is_over(decision, report.said or at):
            return Took("expired", decision.recipient), []
        disclosures.say_outcome(tx, name, report.outcome, at)
        late = report.at is not None and report.at.timestamp() - decision.at > self._late.total_seconds()
        counted = (report.outcome, LATE) if late and report.outcome == SENT else (report.outcome,)
        return Took("recorded", decision.recipient, (*counted, *untold)), list(_moved(decision, before, report.outcome))

    def _take_despite(
        self, tx: Transaction, report: OutcomeReport, decision: Decision, before: str | None, at: datetime
    ) -> tuple[Took, list[Counted]]:
        """What was sent although the answer was no: on record once, for it is what the person has to learn."""
        disclosures.say_outcome(tx, name_of(report.decision), report.outcome, at)
        was, now = before == UNKNOWN, report.outcome != NOT_SENT
        known = decision.key != NOBODY and decision.recipient and was != now
        ones = [counted(decision, DESPITE_NO, 1 if now else -1)] if known else []
        if not now:
            return Took("recorded", decision.recipient), ones
        return Took("denied", decision.recipient or UNNAMED, () if was else (DESPITE_NO,)), ones


def _mark_announced(tx: Transaction, recipient: str, row: bytes, outcome: str, at: datetime) -> list[str]:
    """Whoever said no while it was said that it had not left, is told of now. Returns a word where somebody cannot be:
    one for the row, whoever's it is.
    """
    late = disclosures.mark_outcome(tx, recipient, row, outcome, at)
    return [UNTOLD] if tell_late(tx, [*map(LateSend, late)], at) else []


def is_over(decision: Decision, said: datetime) -> bool:
    """Whether it is too late to say what became of an answer that was not announced."""
    return said.timestamp() - decision.at > REPORTED_WITHIN.total_seconds()


def counted(decision: Decision, outcome: str, number: int = 1) -> Counted:
    """An answer, as it counts; its id has whole seconds."""
    at = decision.at * 1000
    return Counted(decision.key, decision.recipient, decision.purposes, decision.classes, outcome, at, number)


def counts_of(decisions: Sequence[Decision]) -> list[Counted]:
    """Answers that let something go, as they stand."""
    return [counted(each, COUNTED_AS[each.stands]) for each in decisions if each.stands in COUNTED_AS]


def _moved(decision: Decision, before: str | None, outcome: str) -> Iterator[Counted]:
    """From what was counted to what was said. An announced send has a row of its own; of nobody there is none."""
    if decision.key == NOBODY or decision.stands is Stands.INTENDED:
        return
    was = before or COUNTED_AS.get(decision.stands, NOT_SENT)
    if was == outcome:
        return
    if was != NOT_SENT:
        yield counted(decision, was, -1)
    if outcome != NOT_SENT:
        yield counted(decision, outcome)


ARRIVED = frozenset({SENT, UNKNOWN, DESPITE_NO})


@dataclass(frozen=True, slots=True)
class Announced:
    """A send that was announced to a replica. `box`: whom it names, for the gateway alone."""

    decision: str
    box: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """`position`, of a log of that name: what the replica knew of when it began the batch. `lost`: answers that it had
    no room for; `doubtful`: its machine stopped, and nobody can tell whether there were more. `unread`: lines of it.
    `recipients`: those of the replica, by name, which may be other ones than are configured here.
    """

    numbered: Numbered
    position: int
    log: str
    lost: int = 0
    doubtful: bool = False
    unread: int = 0
    recipients: Sequence[str] = ()
    answers: Sequence[str] = ()
    announced: Sequence[Announced] = ()
    reports: Sequence[OutcomeReport] = ()


class BatchTaken(NamedTuple):
    """What became of a batch. `again`: it came before. `missing`: batches before it that never came. `unread`: answers
    that nobody here can read.
    """

    again: bool
    missing: int = 0
    unread: int = 0


@dataclass(slots=True)
class BatchReading:
    """The outcome of one batch. `intended`: each with keys of all whom it names. `tells`: recipient, what became."""

    decisions: list[Decision] = field(default_factory=list)
    intended: list[tuple[Decision, Intended, Sequence[bytes]]] = field(default_factory=list)
    unread: int = 0
    tells: list[tuple[str, str]] = field(default_factory=list)


class HandedOver:
    """Takes batches from replicas. `tell` counts: recipient, what became of it, how many."""

    def __init__(
        self,
        people: People,
        recipients: Mapping[str, Recipient],
        writer: Writer,
        decisions: Decisions,
        reporting: Reporting,
        clock: Callable[[], datetime],
        tell: Callable[[str, str, int], None],
    ) -> None:
        self._people = people
        self._recipients = recipients
        self._writer = writer
        self._decisions = decisions
        self._reporting = reporting
        self._clock = clock
        self._tell = tell
        self.lost_at = float("-inf")  # when a replica last told of a loss, on the monotonic clock

    async def take(self, batch: Batch) -> BatchTaken:
        """Durable once this returns. Raises `StoreUnavailable`: nothing was taken, and it is handed over again."""
        read = await asyncio.to_thread(self._read, batch)
        at = self._clock()
        taken = await self._writer.commit(lambda tx: self._write(tx, batch, read, at))
        if not taken.again:
            for recipient, word in read.tells:
                self._tell(recipient, word, 1)
            if taken.missing or read.unread or batch.lost or batch.doubtful:
                self.lost_at = time.monotonic()
                self._tell("unknown", LOST, max(1, batch.lost + read.unread))
        return taken

    def _read(self, batch: Batch) -> BatchReading:
        found, now = BatchReading(unread=batch.unread), int(self._clock().timestamp())
        for text in batch.answers:
            decision = self._decision(text, batch, now)
            if decision:
                found.decisions.append(decision)
        for each in batch.announced:
            decision = self._decision(each.decision, batch, now)
            send = self._send(each, decision) if decision else None
            if decision and send:
                found.intended.append((decision, *send))
        found.unread += len(batch.answers) - len(found.decisions) + len(batch.announced) - len(found.intended)
        return found

    def _decision(self, text: str, batch: Batch, now: int) -> Decision | None:
        """None for what nobody here can read, and for a recipient that the replica does not name. Nothing was answered
        in a time to come.
        """
        try:
            decision = self._decisions.read(text, batch.recipients)
        except NotOurs:
            return None
        return replace(decision, at=min(decision.at, now)) if decision.recipient else None

    def _send(self, announced: Announced, decision: Decision) -> tuple[Intended, Sequence[bytes]] | None:
        try:
            content, fresh = self._decisions.unbox(announced.decision, announced.box)
            told = json.loads(content)
            own = [wrap(bytes.fromhex(key), fresh) for key in told["own"]]
            here = self._recipients.get(decision.recipient)
            recipient = here or Recipient(decision.recipient, Role.THIRD_PARTY, (), ())
            seen = here is None or told.get("seen") is True  # what goes by its map the replica alone can tell
            left = named(self._people, told["identifiers"], decision.classes, own, recipient, seen=seen)
            return Intended(announced.decision, decision.key, decision.classes, left), own
        except (NotOurs, ValueError, KeyError, TypeError, AttributeError):
            return None

    # --- in the writer's transaction ---

    def _write(self, tx: Transaction, batch: Batch, read: BatchReading, at: datetime) -> BatchTaken:
        missing = late_sends.batches_missing(tx, batch.numbered, at)
        if missing is None:
            return BatchTaken(again=True)
        lost, doubtful = batch.lost + read.unread, batch.doubtful or missing > 0
        if lost or doubtful:
            late_sends.note_lost(tx, batch.numbered.name, missing, None if doubtful else lost, at)
        position = min(batch.position, tx.size) if batch.log == tx.log else 0
        gone = HandedGone(tx, position)
        withdrawn = {each.decision for each in batch.reports if each.outcome == WITHDRAWN}
        of_nobody, late = self._announced(tx, read, gone, withdrawn)
        moved = self._said(tx, batch, at, read)
        untold = self._count(tx, [*counts_of(read.decisions), *moved], gone, at, of_nobody, late)
        read.tells += [(each.recipient, UNTOLD) for each in untold]
        read.tells += [(each.recipient, each.outcome) for each in counts_of(read.decisions)]
        read.tells = self._by_our_names(tx, read.tells)
        return BatchTaken(again=False, missing=missing, unread=read.unread)

    def _by_our_names(self, tx: Transaction, tells: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """A replica may name whom it likes; each name would be a series of the metrics for ever."""
        if all(name in self._recipients for name, _ in tells):
            return tells
        ours = {*self._recipients, *documents.recipients_named(tx)}
        return [(name if name in ours else UNNAMED, word) for name, word in tells]

    def _announced(
        self, tx: Transaction, read: BatchReading, gone: HandedGone, withdrawn: set[str]
    ) -> tuple[list[Counted], list[LateSend]]:
        """A row each, an entry each, as of when it was announced, of whoever is left of its people. Returns those of
        nobody, and whom each that may have gone is to be told of.
        """
        of_nobody, late = list[Counted](), list[LateSend]()
        for decision, row, own in read.intended:
            one = counted(decision, UNKNOWN)
            read.tells.append((decision.recipient, INTENDED))
            kept, people = gone.part(one, row, own)
            if kept:
                purposes, answered = [*map(Purpose, decision.purposes)], datetime.fromtimestamp(decision.at, UTC)
                disclosures.intend(tx, decision.recipient, purposes, [kept], answered, position=gone.position)
            if row.row_id not in withdrawn:
                of_nobody += [] if kept else [one]
                late += people
        return of_nobody, late

    def _said(self, tx: Transaction, batch: Batch, at: datetime, read: BatchReading) -> list[Counted]:
        """What callers said to the replica, in the order in which they did."""
        if batch.reports:
            disclosures.forget_outcomes(tx, at)
        moved = []
        for each in batch.reports:
            took, ones = self._reporting.take(tx, each, at, batch.recipients)
            moved += ones
            read.tells += [(took.recipient, word) for word in took.counted]
        return moved

    def count(self, tx: Transaction, rows: Sequence["UncountedRow"], at: datetime) -> list[Counted]:
        """Of this host. Another of its processes may have written a no, or an erasure, since they were answered: then
        they come late as a replica's do. Returns as `_count` does.
        """
        ones = [row.one for row in rows]
        gone = HandedGone(tx, min(row.position for row in rows))
        if gone.erased_since:
            return self._count(tx, ones, gone, at)
        before, _ = tx.size, disclosures.count_disclosures(tx, ones, at)
        went = [
            (one, row.position)
            for one, row in zip(ones, rows, strict=True)
            if one.outcome in ARRIVED and row.position < before
        ]
        if not went:
            return []
        since = SaidSince(tx, min(position for _, position in went))
        return tell_late(tx, [LateSend(one) for one, position in went if since.was_said(one.key, position)], at)

    def count_said(self, tx: Transaction, ones: Sequence[Counted], at: datetime) -> list[Counted]:
        """What callers said to this host, which may be an hour late. Whoever was erased or unlinked since the answer is
        on no record, and what went is to be deleted; whoever said no since is told of: when they did nobody knew that
        it had gone. Returns as `_count` does.
        """
        return self._count(tx, ones, HandedGone(tx, tx.size, skew=0), at)

    def _count(
        self,
        tx: Transaction,
        ones: Sequence[Counted],
        gone: HandedGone,
        at: datetime,
        of_nobody: Sequence[Counted] = (),
        late: Sequence[LateSend] = (),
    ) -> list[Counted]:
        """Returns those whose recipient ought to be told of a no that came meanwhile, and cannot be yet. `of_nobody`,
        `late`: of what was announced.
        """
        judged = [LateSend(each, gone.is_gone(each)) for each in ones]
        written = [each.one for each in judged if not each.is_gone]
        of_nobody = [*of_nobody, *(each.one for each in judged if each.is_gone)]
        if written or of_nobody:
            disclosures.count_disclosures(tx, written, at, position=gone.position, of_nobody=of_nobody)
        return tell_late(tx, [*(each for each in judged if _arrived(each.one)), *late], at)


def _arrived(one: Counted) -> bool:
    """Whether its recipient may have something by it."""
    return one.count > 0 and one.outcome in ARRIVED


BATCH = 1_000  # rows of one entry
PERIOD = 1.0  # seconds between two batches
MOST = 100_000  # rows that wait while the ledger cannot be written: some 30 MB
LOSING = 2.0  # seconds that a loss is a spell: the evidence looks twice a second

Tell = Callable[[str, str, int], None]  # recipient, what became of it, how many


class UncountedRow(NamedTuple):
    """What is to be counted of an answer, and how many entries there were then. `at`: Unix milliseconds."""

    draft: Draft
    key: bytes
    at: int
    position: int

    @property
    def outcome(self) -> str:
        return COUNTED_AS[self.draft.stands]

    @property
    def one(self) -> Counted:
        draft = self.draft
        return Counted(self.key, draft.recipient, draft.purposes, draft.classes, self.outcome, self.at)


Waiting = UncountedRow | Future[None]  # or somebody who waits for all rows before


class Disclosing(Deciding):
    """Puts answers of this installation on record. While `running` is open it counts; without it nothing is written but
    what is announced or reported. `tell` is told of each.
    """

    def __init__(
        self,
        checks: Checks,
        people: People,
        writer: Writer,
        decisions: Decisions,
        clock: Callable[[], datetime],
        send_window: timedelta,
        tell: Tell,
    ) -> None:
        super().__init__(checks, decisions, clock)
        self._people = people
        self._writer = writer
        self._reporting = Reporting(decisions, send_window)
        self.handed_over = HandedOver(people, checks.recipients, writer, decisions, self._reporting, clock, tell)
        self._waiting: deque[Waiting] = deque()
        self._tell = tell
        self._thread = Every("disclosing", PERIOD, self._turn, last=self._end)
        self._writing = False
        self._lost_at = float("-inf")

    # --- answers ---

    def _note(self, issued: Sequence[Issued], key: bytes, at: datetime, position: int | None) -> None:
        now = milliseconds(at)
        rows = [UncountedRow(each, key, now, position or 0) for _, each in issued]
        if len(self._waiting) + len(rows) > MOST:
            self._lose(rows)
            return
        self._waiting.extend(rows)
        if len(self._waiting) >= BATCH:
            self._thread.wake()

    async def _intend(self, ask: Ask, checked: Checked, going: Sequence[Made]) -> None:
        at = self._clock()

        def row(text: str, each: Decision) -> Intended:
            to = self._checks.recipients[each.recipient]
            left = named(self._people, ask.identifiers, each.classes, checked.own, to, seen=ask.seen_to_leave)
            return Intended(text, each.key, each.classes, left)

        rows = [(each, row(text, each)) for text, each in going]

        def job(tx: Transaction) -> None:
            for each, row in rows:
                disclosures.intend(tx, each.recipient, [Purpose(word) for word in each.purposes], [row], at)

        if going:
            await self._writer.commit(job)
        for _, each in going:
            self._tell(each.recipient, INTENDED, 1)

    async def _withdraw(self, going: Sequence[Made]) -> None:
        await self.report([OutcomeReport(text, WITHDRAWN) for text, _ in going])

    # --- what became of them ---

    async def report(self, reports: Sequence[OutcomeReport]) -> list[str]:
        """The outcome of each report, in order (`Took`); durable once this returns. Raises `StoreUnavailable`: then
        nothing was taken, and the same is said again.
        """
        results = []
        for start in range(0, len(reports), BATCH):
            part, at = reports[start : start + BATCH], self._clock()

            def job(
                tx: Transaction, part: Sequence[OutcomeReport] = part, at: datetime = at
            ) -> tuple[list[Took], list[Counted]]:
                disclosures.forget_outcomes(tx, at)
                found = [self._reporting.take(tx, each, at) for each in part]
                counted = [one for _, ones in found for one in ones]
                return [took for took, _ in found], self.handed_over.count_said(tx, counted, at) if counted else []

            told, untold = await self._writer.commit(job)
            for took in told:
                results.append(took.result)
                for word in took.counted:
                    self._tell(took.recipient, word, 1)
            for one in untold:
                self._tell(one.recipient, UNTOLD, 1)
        return results

    # --- the batches ---

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Writes batches while the context is open, and at its end what is left."""
        return self._thread.running()

    def losing(self) -> bool:
        """Whether rows were lost just now, here or at a replica; a spell of the evidence."""
        return time.monotonic() - max(self._lost_at, self.handed_over.lost_at) < LOSING

    def _lose(self, listed: Sequence[Waiting]) -> None:
        for row in listed:
            if isinstance(row, UncountedRow):
                self._lost_at = time.monotonic()
                self._tell(row.draft.recipient, LOST, 1)
        _tell_whoever_waits(listed)

    def _turn(self) -> None:
        while self._waiting and self.write():
            pass

    def _end(self) -> None:
        while self._waiting:
            if not self.write():
                self._lose(list(self._waiting))
                self._waiting.clear()

    async def settled(self, seconds: float) -> None:
        """What was answered before this is on record when it returns, or so many seconds are over; so that whoever got
        somebody's id right before is told of their no, and of their erasure (R18).
        """
        if not self._thread.is_on or not (self._waiting or self._writing):
            return
        turn = Future[None]()
        self._waiting.append(turn)
        self._thread.wake()
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
        rows, untold = [row for row in listed if isinstance(row, UncountedRow)], list[Counted]()
        try:
            if rows:
                untold = self._writer.submit(lambda tx: self.handed_over.count(tx, rows, at)).result()
        except StoreUnavailable:
            self._waiting.extendleft(reversed(listed))
            self._thread.rest()
            return False
        except Exception:  # noqa: BLE001 - whatever is wrong with these, the next ones are to be written
            self._lose(listed)
            return True
        for (recipient, outcome), number in Counter((row.draft.recipient, row.outcome) for row in rows).items():
            self._tell(recipient, outcome, number)
        for one in untold:
            self._tell(one.recipient, UNTOLD, 1)
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
