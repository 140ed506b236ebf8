"""Puts a replica's answers on record (R22): in its own spool, which is handed over to the gateway. The replica's check
doors call it.

A line an answer: its id, which the gateway opens and nobody else. Of an announced send also whom it names, sealed like
the id; so neither the spool nor a call to the gateway shows a person. What is announced, and what callers say, is on
the disk before it is answered. Nothing here waits for the gateway.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from gateway.consent.asked import Ask, Checked
from gateway.consent.check import Checks
from gateway.consent.decisions import FORMED, Deciding, Decisions, Issued, Made, NotOurs, Stands, name_of
from gateway.consent.disclosing import INTENDED, LOST, NOT_SENT, OutcomeReport, Tell, is_over
from gateway.consent.people import leaves
from gateway.desk.disclosures import DESPITE_NO, SENT
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import milliseconds
from gateway.replica.spool import ReplicaSpool

REMEMBERED = 100_000  # decisions whose report is known again; the gateway knows the others
PASSED_ON = "passed_on"  # a decision of the gateway's own or of another replica: kept, and the gateway reads it
TAKEN = frozenset({"recorded", "denied", PASSED_ON})
NO_ROOM = "the replica cannot keep it: what it has not handed over yet fills its spool, or its disk"

Wait = Callable[[Callable[[], None]], Awaitable[None]]  # runs what waits for the disk


async def at_once(run: Callable[[], None]) -> None:
    """Runs the work in the caller's own thread."""
    run()


class RecordedAnswer(Protocol):
    """What a replica answers from. `place`: how many entries of which log it knows, 0 of none."""

    @property
    def checks(self) -> Checks: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...
    def place(self) -> tuple[int, str]: ...


class Recording(Deciding):
    """Puts the answers of one replica on record. `wait`: how its callers wait for the disk."""

    def __init__(
        self,
        copy: RecordedAnswer,
        decisions: Decisions,
        spool: ReplicaSpool,
        wait: Wait = at_once,
        tell: Tell = lambda *_: None,
    ) -> None:
        super().__init__(copy.checks, decisions, copy.clock)
        self._copy = copy
        self._spool = spool
        self._wait = wait
        self._tell = tell
        self._said: OrderedDict[bytes, str] = OrderedDict()
        self._saying = threading.Lock()

    # --- answers ---

    def _note(self, issued: Sequence[Issued], key: bytes, at: datetime, position: int | None) -> None:  # noqa: ARG002
        lines = [b'"%b"\n' % text.encode() for text, _ in issued]
        if not self._spool.append(lines, lambda: self._place(position)):
            for _, each in issued:
                self._tell(each.recipient, LOST, 1)

    async def _intend(self, ask: Ask, checked: Checked, going: Sequence[Made]) -> None:
        if not going:
            return
        lines = []
        for text, decision in going:
            to = self._checks.recipients[decision.recipient]
            names = {
                "own": [key.hex() for key in checked.own],
                "identifiers": leaves(ask.identifiers, decision.classes, to, seen=ask.seen_to_leave),
                "seen": ask.seen_to_leave,
            }
            lines.append({"decision": text, "names": self._decisions.box(text, json.dumps(names).encode())})
        await self._durably(lines, checked.position)
        for _, decision in going:
            self._tell(decision.recipient, INTENDED, 1)

    async def _withdraw(self, going: Sequence[Made]) -> None:
        await self.report([OutcomeReport(text, NOT_SENT) for text, _ in going])

    # --- what became of them ---

    async def report(self, reports: Sequence[OutcomeReport]) -> list[str]:
        """The outcome of each report, in order, as at the gateway, or `passed_on`; durable once this returns. Raises
        `StoreUnavailable`: then nothing was taken, and the same is said again.
        """
        now, news = self._clock(), dict[bytes, str]()
        results = [self._take(each, now, news) for each in reports]
        taken = [(each, result) for each, result in zip(reports, results, strict=True) if result in TAKEN]
        await self._durably([_line(each, now) for each, _ in taken], None)
        with self._saying:  # only now: what is not kept has to be said again
            self._said.update(news)
            while len(self._said) > REMEMBERED:
                self._said.popitem(last=False)
        for each, result in taken:
            if result != PASSED_ON:
                self._tell_of(each, despite=result == "denied")
        return results

    def _take(self, report: OutcomeReport, now: datetime, news: dict[bytes, str]) -> str:
        """`news`: what this call says of decisions, so far."""
        try:
            decision = self._decisions.read(report.decision)
        except NotOurs:
            return PASSED_ON if FORMED.fullmatch(report.decision) else "unknown"
        name = name_of(report.decision)
        if news.get(name, self._said.get(name)) in {report.outcome, SENT}:
            return "repeated"
        if decision.stands is not Stands.INTENDED and not decision.denied and is_over(decision, now):
            return "expired"
        news[name] = report.outcome
        return "denied" if decision.denied and report.outcome != NOT_SENT else "recorded"

    def _tell_of(self, report: OutcomeReport, *, despite: bool) -> None:
        recipient = self._decisions.read(report.decision).recipient or "unknown"
        self._tell(recipient, DESPITE_NO if despite else report.outcome, 1)

    # --- the spool ---

    async def _durably(self, lines: Sequence[object], position: int | None) -> None:
        if not lines:
            return
        kept = [json.dumps(line).encode() + b"\n" for line in lines]
        if not self._spool.append(kept, lambda: self._place(position), given=False):
            raise StoreUnavailable(NO_ROOM)
        try:
            await self._wait(self._spool.sync)
        except OSError as error:
            raise StoreUnavailable(NO_ROOM) from error

    def _place(self, position: int | None) -> tuple[int, str]:
        known, log = self._copy.place()
        return known if position is None else min(position, known), log


def _line(report: OutcomeReport, now: datetime) -> dict[str, object]:
    at = milliseconds(report.at) if report.at else None
    return {"decision": report.decision, "outcome": report.outcome, "at": at, "said": milliseconds(now)}
