"""A check's answer: counted, given an id, announced where a send is, shaped as JSON. Every door that answers about
people calls it. A dry run is the real answer, marked, and leaves nothing behind but its count (I23).

What was answered before to the same question about somebody alike is looked up (`check_plans`), and its holes filled.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple, Protocol

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.choice.downstream import downstream
from gateway.choice.question import Verdict
from gateway.choice.recipient import Recipient
from gateway.choice.rules.refusals import SIGNAL_REASONS
from gateway.choice.verdict import numbered
from gateway.consent.asked import Ask, Checked, Met
from gateway.consent.check import Checks
from gateway.consent.decision_log import DRY_RUN, LIVE, DecisionLog, Logged
from gateway.consent.decisions import NOBODY, Blocked, Deciding, Draft, Stands
from gateway.keys.api_keys import ApiKey
from gateway.ledger.errors import StoreUnavailable
from gateway.signals.heard import Heard
from gateway.terms import Answer, Reason
from gateway.web.api.check_plans import CheckPlans, identifiers_of, to_ask
from gateway.web.shell import wire
from gateway.web.shell.metrics import Metrics, OneMore
from gateway.web.shell.problem import Problem, problem_of

SIGNALS = frozenset(SIGNAL_REASONS.values()) | {Reason.DEVICE, Reason.LIMITED}
CONFIGURATION = frozenset({Reason.UNKNOWN_RECIPIENT, Reason.UNKNOWN_PURPOSE})
CHOICES = frozenset({Reason.OPTED_OUT, Reason.OPTED_IN, Reason.DIRECTED})


class Answers(Protocol):
    """Who answers checks: the gateway (`consent.Consent`), or a replica of it."""

    @property
    def checks(self) -> Checks: ...
    @property
    def recipients(self) -> Mapping[str, Recipient]: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...
    @property
    def send_window(self) -> timedelta: ...


class Because(Struct):
    """What decided. `event` and `seq`: for scope desk and export."""

    source: Literal["signal", "choice"] | None
    event: str | None
    seq: int | None


class WhyShown(Struct, kw_only=True):
    """What may go of each class, and why, as every answer about a verdict has it."""

    data: dict[str, Answer]
    reason: Reason
    rule: str
    place: str
    because: Because


class VerdictShown(WhyShown, kw_only=True):
    """What may go. `allowed`: all that was asked for, unchanged; `partly`: some of it, as `data` says."""

    allowed: bool
    partly: bool


class VerdictOfRecipient(VerdictShown, kw_only=True):
    """The same of one recipient of several."""

    decision: Annotated[str, Meta(description="the id of this answer, for /v1/disclosures")]
    downstream: Annotated[dict[str, Any], Meta(description="what the recipient is to be told, in every form it reads")]


class VerdictBody(VerdictOfRecipient, kw_only=True):
    """The answer to a check of one recipient. Nothing may start to be sent on it later than `valid_until`."""

    position: Annotated[int | None, Meta(description="how many entries the answer knows of")]
    valid_until: wire.Time
    valid_for_ms: int
    ref: str | UnsetType = UNSET
    dry_run: Literal[True] | UnsetType = UNSET


class VerdictsBody(Struct, kw_only=True):
    """The answer to a check of several, by recipient."""

    verdicts: dict[str, VerdictOfRecipient]
    position: int | None
    valid_until: wire.Time
    valid_for_ms: int
    ref: str | UnsetType = UNSET
    dry_run: Literal[True] | UnsetType = UNSET


def sees_entries(key: ApiKey) -> bool:
    """Whether a caller may learn which entry decided: ad code must not learn it of its id (R16)."""
    return key.may("desk") or key.may("export")


def verdict(verdict: Verdict, consent: Answers, key: ApiKey) -> dict[str, Any]:
    """`because` names event and seq to desk and export keys only."""
    return {**verdict.shown(), "because": _because(verdict, consent, numbered=sees_entries(key))}


def _because(verdict: Verdict, consent: Answers, *, numbered: bool) -> dict[str, Any]:
    signal, choice = verdict.reason in SIGNALS, verdict.reason in CHOICES
    source = "signal" if signal else "choice" if choice else None
    seq = verdict.seq if choice and numbered else None
    event = consent.checks.event(seq) if seq is not None else None
    return {"source": source, "event": event, "seq": seq if event else None}


class FinishedAnswer(NamedTuple):
    """An answer to a check but for its person and its time, the same for all who are alike. `template`: its JSON, with
    holes for the ids of the decisions, each behind the entry that decided where that is `named` (None elsewhere), then
    for position, time and window. The rest: how it is put on record and counted.
    """

    template: bytes
    named: tuple[Verdict | None, ...]
    drafts: Sequence[Draft]
    logged: Sequence[Logged]
    counts: Sequence[OneMore]
    warnings: Sequence[str]


OF_A_VERDICT = 512


class Unwritten(NamedTuple):
    """An answer about somebody whose JSON nobody needs. `template`: see `FinishedAnswer`; `lasts`: milliseconds."""

    template: bytes
    decision: str
    lasts: int


class Planned(NamedTuple):
    """An answer before it is given: what holds for all who are alike, and what was met of this one. `at`: from before
    the looking up.
    """

    finished: FinishedAnswer
    met: Met
    heard: Heard
    at: datetime


class CheckAnswer(NamedTuple):
    """`body`: JSON. `warnings`: what the check names that is not configured; a "no" alone would go unseen."""

    body: bytes
    warnings: Sequence[str] = ()


def _template(checked: Checked, bodies: Sequence[bytes], *, several: bool, dry_run: bool) -> bytes:
    """`bodies`: of each verdict, without its brackets."""
    told = (
        bodies[0]
        if not several
        else b'"verdicts":{%b}'
        % b",".join(b"%b:{%b}" % (_escaped(name), body) for name, body in zip(checked.verdicts, bodies, strict=True))
    )
    dry = b',"dry_run":true' if dry_run else b""
    return b'{%b,"position":%%b,"valid_until":"%%b","valid_for_ms":%%d%%b%b}' % (told, dry)


def _body_of(verdict: Verdict, because: bytes, told: Mapping[str, object]) -> bytes:
    """`because`: JSON, or the hole for it."""
    shown = _escaped(verdict.shown())[1:-1]
    return b'%b,"because":%b,"downstream":%b,"decision":"%%b"' % (shown, because, _escaped(told))


def _escaped(value: object) -> bytes:
    """JSON as part of a template."""
    return wire.json_of(value).replace(b"%", b"%%")


class Answering:
    """Finishes the answers of all doors that answer checks; one instance."""

    def __init__(self, consent: Answers, disclosing: Deciding, metrics: Metrics, log: DecisionLog | None) -> None:
        self.consent = consent
        self.metrics = metrics
        self._disclosing = disclosing
        self._log = log
        self._plans: CheckPlans[FinishedAnswer] = CheckPlans()

    async def answer(self, body: wire.Check, key: ApiKey, request: str) -> CheckAnswer:
        """The answer to one check. `request`: the answer's Gateway-Request. Raises `Problem`, and `StoreUnavailable`
        where an announced send cannot be put on record.
        """
        if not body.will_send or body.dry_run:
            return self.at_once(body, key, request)
        ask = to_ask(body, numbered=sees_entries(key))
        checked, decisions, at = await self.announce("check", ask, request)
        finished = self._finished(ask, checked, Stands.INTENDED, several=body.recipients is not None)
        return self._filled(finished, finished.named, body, key, [*decisions.values()], checked.position, at)

    def at_once(self, body: wire.Check, key: ApiKey, request: str) -> CheckAnswer:
        """The same for a check that announces nothing. Raises `Problem`."""
        return self._told(body, key, request, self._planned(body, key))

    def plainly(self, body: wire.Check, key: ApiKey, request: str) -> bytes | None:
        """As `at_once`, where nothing is to be warned of; None: nothing was done. Raises `Problem`."""
        planned = self._planned(body, key)
        return None if planned.finished.warnings else self._told(body, key, request, planned).body

    def unwritten(self, body: wire.Check, key: ApiKey, request: str) -> Unwritten | None:
        """The same of one recipient for a reader in this process, who needs no JSON. Raises `Problem`."""
        planned = self._planned(body, key)
        if planned.finished.warnings or body.recipients is not None:
            return None
        (decision,) = self._recorded(request, planned)
        return Unwritten(planned.finished.template, decision, self._lasts())

    def _planned(self, body: wire.Check, key: ApiKey) -> Planned:
        at, checks = self.consent.clock(), self.consent.checks
        plan = self._plans.of(body, checks, numbered=sees_entries(key))
        around, met = plan.around_of(body, checks), checks.meet(plan.ask, identifiers_of(body), briefly=True)
        like = met.likeness, around
        finished = plan.answers.get(like) if met.is_like_others else None
        if finished is None:
            checked = checks.decide(plan.ask, around, met, plan.office)
            stands = Stands.NOTHING if body.dry_run else Stands.POSSIBLE
            finished = self._finished(
                plan.ask, checked, stands, several=body.recipients is not None, dry_run=body.dry_run
            )
            if met.is_like_others:
                size = len(finished.template) + OF_A_VERDICT * len(finished.drafts)  # bytes that it takes, about
                self._plans.keep(plan, like, finished, size)
        return Planned(finished, met, around.heard, at)

    def _told(self, body: wire.Check, key: ApiKey, request: str, planned: Planned) -> CheckAnswer:
        finished, met, _, at = planned
        texts = self._recorded(request, planned)
        named: Sequence[Verdict | None] = finished.named
        if any(named):
            named = [each and numbered(each, met.likeness.alike, met.standings) for each in named]
        return self._filled(finished, named, body, key, texts, met.position, at)

    def _recorded(self, request: str, planned: Planned) -> list[str]:
        """The ids of the decisions; what may go is counted from here on."""
        finished, met, heard, at = planned
        self._note("check", request, finished.logged, finished.counts, heard, met.position, at)
        return self._disclosing.issue(finished.drafts, met.own[0] if met.own else NOBODY, met.position, at)

    def _finished(
        self, ask: Ask, checked: Checked, stands: Stands, *, several: bool, dry_run: bool = False
    ) -> FinishedAnswer:
        """The answer that the rules gave, for everybody of one likeness."""
        named, bodies = list[Verdict | None](), list[bytes]()
        for name, verdict in checked.verdicts.items():
            named.append(verdict if ask.numbered and verdict.reason in CHOICES else None)
            because = b"%b" if named[-1] else wire.json_of(_because(verdict, self.consent, numbered=False))
            bodies.append(_body_of(verdict, because, downstream(checked.outcome_for(name))))
        return FinishedAnswer(
            _template(checked, bodies, several=several, dry_run=dry_run),
            tuple(named),
            tuple(self._disclosing.drafts(ask, checked, stands).values()),
            *self._counted("check", checked, dry_run=dry_run),
            sorted({verdict.reason for verdict in checked.verdicts.values()} & CONFIGURATION),
        )

    def _filled(
        self,
        finished: FinishedAnswer,
        named: Sequence[Verdict | None],
        body: wire.Check,
        key: ApiKey,
        decisions: Sequence[str],
        position: int | None,
        at: datetime,
    ) -> CheckAnswer:
        """`at`: from before the check. The window counts from then: an answer that took long, or a process that was
        stopped on the way, is good for so much less.
        """
        if finished.warnings:
            self.metrics.misconfigured.labels(key.name).inc()
        holes = list[object]()
        for verdict, decision in zip(named, decisions, strict=True):
            if verdict:
                holes.append(wire.json_of(_because(verdict, self.consent, numbered=True)))
            holes.append(decision.encode())
        holes += (
            b"null" if position is None else b"%d" % position,
            wire.stamp(at + self.consent.send_window).encode(),
            self._lasts(),
            b"" if body.ref is None else b',"ref":%b' % wire.json_of(body.ref),
        )
        return CheckAnswer(finished.template % tuple(holes), finished.warnings)

    def _lasts(self) -> int:
        return int(self.consent.send_window.total_seconds() * 1000)

    def decide(
        self, door: str, ask: Ask, request: str, stands: Stands, *, dry_run: bool, blocked: Blocked | None = None
    ) -> tuple[Checked, dict[str, str]]:
        """The verdicts, and the id of each by recipient. `stands`: as what an answer that lets something go is
        counted.
        """
        checked = self.consent.checks.check(ask, briefly=True)
        decisions = self._disclosing.decide(ask, checked, Stands.NOTHING if dry_run else stands, blocked)
        counted = self._counted(door, checked, dry_run=dry_run)
        self._note(door, request, *counted, checked.heard, checked.position, self.consent.clock())
        return checked, decisions

    async def announce(
        self, door: str, ask: Ask, request: str, blocked: Blocked | None = None
    ) -> tuple[Checked, dict[str, str], datetime]:
        """The same, with what may go on record before this returns, and from when it is good. Raises
        `StoreUnavailable`.
        """
        checked, decisions, at = await self._disclosing.announce(ask, blocked)
        counted = self._counted(door, checked, dry_run=False)
        self._note(door, request, *counted, checked.heard, checked.position, self.consent.clock())
        return checked, decisions, at

    def _counted(self, door: str, checked: Checked, *, dry_run: bool) -> tuple[Sequence[Logged], Sequence[OneMore]]:
        """How an answer is logged and counted; a sidecar keeps no log: its host is not the office."""
        logged = self._log.logged(checked, DRY_RUN if dry_run else LIVE, door) if self._log else ()
        return logged, self.metrics.of_verdicts(checked, self.consent.recipients, dry_run=dry_run)

    def _note(
        self,
        door: str,
        request: str,
        logged: Sequence[Logged],
        counts: Sequence[OneMore],
        heard: Heard,
        position: int | None,
        at: datetime,
    ) -> None:
        if self._log:
            self._log.note(request, door, logged, position, at)
        if heard.said or heard.malformed:
            self.metrics.heard(door, heard)
        for one_more in counts:
            one_more()


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
    ref = one.ref if isinstance(one, wire.Check) else one.get("ref") if isinstance(one, Mapping) else None
    named = {"ref": ref} if isinstance(ref, str) else {}
    problem = {"type": found.kind, "detail": found.detail, "pointer": found.pointer}
    return {"allowed": False, "partly": False, "data": {}, "reason": reason, **named, "problem": problem}
