"""What callers say became of answers, and what that moves from one count to another (R22). In the writer's own
transaction; the same for what is said to the gateway and for what a replica was told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from gateway.deciding import COUNTED_AS
from gateway.decisions import NOBODY, Decision, Decisions, NotOurs, Stands, name_of
from gateway.ledger import disclosed
from gateway.ledger.disclosed import DESPITE_NO, SENT, UNKNOWN, Counted
from gateway.ledger.writer import Transaction

REPORTED_WITHIN = timedelta(hours=1)  # what is said of an answer later leaves it as it was counted
SKEW = timedelta(seconds=6)  # of a caller's clock and our whole seconds, before a send counts as late
NOT_SENT, LATE, LOST, INTENDED = "not_sent", "late", "lost", "intended"
OUTCOMES = frozenset({SENT, NOT_SENT, UNKNOWN})


@dataclass(frozen=True, slots=True)
class Report:
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
    """One installation's. `late`: after how long a send counts as late."""

    def __init__(self, decisions: Decisions, send_window: timedelta) -> None:
        self._decisions = decisions
        self._late = send_window + SKEW

    def take(self, tx: Transaction, report: Report, at: datetime) -> tuple[Took, list[Counted]]:
        """What a report came to, and what is to be counted for it."""
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
        elif is_over(decision, report.said or at):
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
        return took, [counted(decision, DESPITE_NO)] if known else []


def is_over(decision: Decision, said: datetime) -> bool:
    """Whether it is too late to say what became of an answer that was not announced."""
    return said.timestamp() - decision.at > REPORTED_WITHIN.total_seconds()


def counted(decision: Decision, outcome: str, number: int = 1, at: int | None = None) -> Counted:
    """An answer, as it counts. `at`: Unix milliseconds, where they are known; the id has whole seconds."""
    when = decision.at * 1000 if at is None else at
    return Counted(decision.key, decision.recipient, decision.purposes, decision.classes, outcome, when, number)


def counts_of(decisions: Sequence[Decision], at: int | None = None) -> list[Counted]:
    """Answers that let something go, as they stand."""
    return [counted(each, COUNTED_AS[each.stands], at=at) for each in decisions if each.stands in COUNTED_AS]


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
