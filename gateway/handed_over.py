"""What replicas hand over of what they answered, and of what their callers said became of it (R22).

A batch counts once however often it comes. One that is missing, answers that a replica had no room for, and what cannot
be read, are an entry and a spell of the evidence: never silently less. Whatever comes late is written as of the time
when it was answered, and of whoever may have been erased since nothing is (`gateway.ledger.handed`).
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple

from gateway.decisions import Decision, Decisions, NotOurs
from gateway.keys import wrap
from gateway.leaving import named
from gateway.ledger import disclosed, disclosures, handed
from gateway.ledger.disclosed import DESPITE_NO, SENT, UNKNOWN, Counted
from gateway.ledger.disclosures import Intended
from gateway.ledger.handed import Numbered
from gateway.ledger.held import Left
from gateway.ledger.subjects import milliseconds
from gateway.ledger.writer import Transaction, Writer
from gateway.people import People
from gateway.reporting import INTENDED, LOST, REPORTED_WITHIN, Report, Reporting, counted, counts_of
from gateway.terms import Purpose

ARRIVED = frozenset({SENT, UNKNOWN, DESPITE_NO})
UNTOLD = "untold"  # its recipient is told of a no that came meanwhile at the person's next call: nobody names it now


@dataclass(frozen=True, slots=True)
class Announced:
    """A send that was announced to a replica. `box`: whom it names, for the gateway alone."""

    decision: str
    box: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """`position`, of a log of that name: what the replica knew of when it began the batch. `lost`: answers that it had
    no room for; `doubtful`: its machine stopped, and nobody can tell whether there were more. `unread`: lines of it.
    """

    numbered: Numbered
    position: int
    log: str
    lost: int = 0
    doubtful: bool = False
    unread: int = 0
    answers: Sequence[str] = ()
    announced: Sequence[Announced] = ()
    reports: Sequence[Report] = ()


class Taken(NamedTuple):
    """`again`: it came before. `missing`: batches before it that never came. `unread`: answers that nobody here can
    read.
    """

    again: bool
    missing: int = 0
    unread: int = 0


@dataclass(slots=True)
class Reading:
    """What a batch came to. `tells`: recipient, what became of it."""

    decisions: list[Decision] = field(default_factory=list)
    intended: list[tuple[Decision, str, Sequence[Left]]] = field(default_factory=list)
    unread: int = 0
    tells: list[tuple[str, str]] = field(default_factory=list)


class HandedOver:
    """One installation's. `tell` counts: recipient, what became of it, how many."""

    def __init__(
        self, people: People, writer: Writer, decisions: Decisions, reporting: Reporting, clock: Callable[[], datetime],
        tell: Callable[[str, str, int], None],
    ) -> None:  # fmt: skip
        self._people = people
        self._writer = writer
        self._decisions = decisions
        self._reporting = reporting
        self._clock = clock
        self._tell = tell
        self._lost_at = float("-inf")

    def lost_at(self) -> float:
        """When a replica last told of a loss, on the monotonic clock."""
        return self._lost_at

    async def take(self, batch: Batch) -> Taken:
        """Durable once this returns. Raises `StoreUnavailable`: nothing was taken, and it is handed over again."""
        read = await asyncio.to_thread(self._read, batch)
        at = self._clock()
        taken = await self._writer.commit(lambda tx: self._write(tx, batch, read, at))
        if not taken.again:
            for recipient, word in read.tells:
                self._tell(recipient, word, 1)
            if taken.missing or read.unread or batch.lost or batch.doubtful:
                self._lost_at = time.monotonic()
                self._tell("unknown", LOST, max(1, batch.lost + read.unread))
        return taken

    def _read(self, batch: Batch) -> Reading:
        found, now = Reading(unread=batch.unread), int(self._clock().timestamp())
        for text in batch.answers:
            decision = self._decision(text, now)
            if decision:
                found.decisions.append(decision)
        found.unread += len(batch.answers) - len(found.decisions)
        for each in batch.announced:
            decision = self._decision(each.decision, now)
            left = self._left(each, decision) if decision else None
            if decision is None or left is None:
                found.unread += 1
            else:
                found.intended.append((decision, each.decision, left))
        return found

    def _decision(self, text: str, now: int) -> Decision | None:
        """None for what nobody here can read, and for a recipient that is not configured here. Nothing was answered in
        a time to come.
        """
        try:
            decision = self._decisions.read(text)
        except NotOurs:
            return None
        return replace(decision, at=min(decision.at, now)) if decision.recipient else None

    def _left(self, announced: Announced, decision: Decision) -> Sequence[Left] | None:
        try:
            content, fresh = self._decisions.unbox(announced.decision, announced.box)
            told = json.loads(content)
            own = [wrap(bytes.fromhex(key), fresh) for key in told["own"]]
            return named(self._people, told["identifiers"], decision.classes, own)
        except (NotOurs, ValueError, KeyError, TypeError):
            return None

    # --- in the writer's transaction ---

    def _write(self, tx: Transaction, batch: Batch, read: Reading, at: datetime) -> Taken:
        missing = handed.missing(tx, batch.numbered, at)
        if missing is None:
            return Taken(again=True)
        lost, doubtful = batch.lost + read.unread, batch.doubtful or missing > 0
        if lost or doubtful:
            handed.lost(tx, batch.numbered.name, missing, None if doubtful else lost, at)
        position = min(batch.position, tx.size) if batch.log == tx.log else 0
        gone = handed.Gone(tx, position)
        announced = self._announced(tx, read, gone)
        moved = self._said(tx, batch.reports, at, read)
        untold = self._count(tx, [*counts_of(read.decisions), *moved], announced, gone, at)
        read.tells += [(each.recipient, UNTOLD) for each in untold]
        read.tells += [(each.recipient, each.outcome) for each in counts_of(read.decisions)]
        return Taken(again=False, missing=missing, unread=read.unread)

    def _announced(self, tx: Transaction, read: Reading, gone: handed.Gone) -> list[Counted]:
        """A row each, an entry each, as of when it was announced. What it would count as otherwise."""
        found = []
        for decision, text, left in read.intended:
            one = counted(decision, UNKNOWN)
            read.tells.append((decision.recipient, INTENDED))
            found.append(one)
            if not gone.is_gone(one):
                row = Intended(text, decision.key, decision.classes, tuple(left))
                purposes = [Purpose(word) for word in decision.purposes]
                answered = datetime.fromtimestamp(decision.at, UTC)
                disclosures.intend(tx, decision.recipient, purposes, [row], answered, position=gone.position)
        return found

    def _said(self, tx: Transaction, reports: Sequence[Report], at: datetime, read: Reading) -> list[Counted]:
        """What callers said to the replica, in the order in which they did."""
        if reports:
            disclosed.forget_said(tx, milliseconds(at - 2 * REPORTED_WITHIN))
        moved = []
        for each in reports:
            took, ones = self._reporting.take(tx, each, at)
            moved += ones
            read.tells += [(took.recipient, word) for word in took.counted]
        return moved

    def _count(
        self, tx: Transaction, ones: Sequence[Counted], announced: Sequence[Counted], gone: handed.Gone, at: datetime
    ) -> list[Counted]:
        """Returns those whose recipient ought to be told of a no that came meanwhile, and cannot be yet."""
        written, of_nobody = list[Counted](), [each for each in announced if gone.is_gone(each)]
        for each in ones:
            (of_nobody if gone.is_gone(each) else written).append(each)
        if written or of_nobody:
            disclosed.count(tx, written, at, position=gone.position, of_nobody=of_nobody)
        late = {(each.key, each.recipient, each.classes): each for each in (*ones, *announced)
                if each.count > 0 and each.outcome in ARRIVED}  # fmt: skip
        return [each for each in late.values() if handed.tell(tx, each, at, gone=gone.is_gone(each))]
