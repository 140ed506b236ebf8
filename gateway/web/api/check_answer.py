"""What every door that answers checks does with an answer: count it, give it an id, announce the send where one is
asked for, and shape it. A dry run is the real answer, marked, and leaves nothing behind but its count (I23).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Protocol

from msgspec import UNSET, Struct, UnsetType

from gateway.consent.check import Ask, Checked
from gateway.consent.decision_log import DecisionLog
from gateway.consent.decisions import Blocked, Stands
from gateway.keys.api_keys import ApiKey
from gateway.ledger.errors import StoreUnavailable
from gateway.terms import Answer, Reason
from gateway.web.api import check_request
from gateway.web.shell import wire
from gateway.web.shell.metrics import DRY_RUN, LIVE, Metrics
from gateway.web.shell.problem import Problem, problem_of


class Records(Protocol):
    """Who puts answers on record: `disclosing.Disclosing`, or a replica's `recording.Recording`."""

    def decide(self, ask: Ask, checked: Checked, stands: Stands, blocked: Blocked | None = None) -> dict[str, str]: ...
    async def announce(
        self, ask: Ask, checked: Checked, blocked: Blocked | None = None
    ) -> tuple[Checked, dict[str, str], datetime]: ...


class Answering:
    """Finishes the answers of all doors that answer checks; one instance."""

    def __init__(
        self, consent: check_request.Answers, disclosing: Records, metrics: Metrics, log: DecisionLog | None
    ) -> None:
        self.consent = consent
        self.metrics = metrics
        self._disclosing = disclosing
        self._log = log

    async def answer(self, body: wire.Check, key: ApiKey, request: str) -> tuple[dict[str, Any], list[str]]:
        """The answer to one check, and what it names that is not configured. `request`: the answer's Gateway-Request.
        Raises `Problem`, and `StoreUnavailable` where an announced send cannot be put on record.
        """
        if not body.will_send or body.dry_run:
            return self.at_once(body, key, request)
        ask = check_request.to_ask(body)
        return self._shaped(body, key, *await self.announce("check", ask, request))

    def at_once(self, body: wire.Check, key: ApiKey, request: str) -> tuple[dict[str, Any], list[str]]:
        """The same for a check that announces nothing. Raises `Problem`."""
        ask, at = check_request.to_ask(body), self.consent.clock()
        decided = self.decide("check", ask, request, Stands.POSSIBLE, dry_run=body.dry_run)
        return self._shaped(body, key, *decided, at)

    def _shaped(
        self, body: wire.Check, key: ApiKey, checked: Checked, decisions: Mapping[str, str], at: datetime
    ) -> tuple[dict[str, Any], list[str]]:
        warnings = check_request.misconfigured(checked)
        if warnings:
            self.metrics.misconfigured.labels(key.name).inc()
        return check_request.verdict_answer(body, checked, decisions, self.consent, key, at), warnings

    def decide(
        self, door: str, ask: Ask, request: str, stands: Stands, *, dry_run: bool, blocked: Blocked | None = None
    ) -> tuple[Checked, dict[str, str]]:
        """The verdicts, and the id of each by recipient. `stands`: as what an answer that lets something go is
        counted.
        """
        checked = self.consent.check(ask)
        decisions = self._disclosing.decide(ask, checked, Stands.NOTHING if dry_run else stands, blocked)
        self._count(door, request, checked, dry_run=dry_run)
        return checked, decisions

    async def announce(
        self, door: str, ask: Ask, request: str, blocked: Blocked | None = None
    ) -> tuple[Checked, dict[str, str], datetime]:
        """The same, with what may go on record before this returns, and from when it is good. Raises
        `StoreUnavailable`.
        """
        checked, decisions, at = await self._disclosing.announce(ask, self.consent.check(ask), blocked)
        self._count(door, request, checked, dry_run=False)
        return checked, decisions, at

    def _count(self, door: str, request: str, checked: Checked, *, dry_run: bool) -> None:
        if self._log:  # a sidecar keeps none: its host is not the office (its metrics count)
            self._log.note(request, door, checked, DRY_RUN if dry_run else LIVE)
        self.metrics.heard(door, checked.heard)
        self.metrics.checked(checked, self.consent.recipients, dry_run=dry_run)


class UnreadCheck(Struct):
    """What is wrong with a check that cannot be read. `type`: of a problem document, without its prefix."""

    type: str
    detail: str
    pointer: str


class RefusedCheck(Struct, kw_only=True):
    """A "no" in the place of a check of many that cannot be read."""

    allowed: Literal[False]
    partly: Literal[False]
    data: dict[str, Answer]
    reason: Reason
    ref: str | UnsetType = UNSET
    problem: UnreadCheck


def refused(one: object, error: Problem | StoreUnavailable) -> dict[str, Any]:
    """A "no" in the place of a check of many that cannot be read, or whose send cannot be put on record (I16)."""
    found, reason = problem_of(error), Reason.MALFORMED if isinstance(error, Problem) else Reason.STORE_UNAVAILABLE
    ref = one.get("ref") if isinstance(one, Mapping) else None
    named = {"ref": ref} if isinstance(ref, str) else {}
    problem = {"type": found.kind, "detail": found.detail, "pointer": found.pointer}
    return {"allowed": False, "partly": False, "data": {}, "reason": reason, **named, "problem": problem}
