"""A check's strict body as a question, and its answer: counted, given an id, announced where a send is, shaped as JSON.
Every door that answers about people calls it. A dry run is the real answer, marked, and leaves nothing behind but its
count (I23).
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Protocol

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.choice.downstream import downstream
from gateway.choice.question import Verdict
from gateway.choice.recipient import Recipient
from gateway.choice.rules.refusals import SIGNAL_REASONS
from gateway.consent.check import Ask, Checked, Checks
from gateway.consent.decision_log import DecisionLog
from gateway.consent.decisions import Blocked, Stands
from gateway.keys.api_keys import ApiKey
from gateway.ledger.errors import StoreUnavailable
from gateway.signals.hear import AGE
from gateway.terms import Answer, Reason
from gateway.web.shell import wire
from gateway.web.shell.metrics import DRY_RUN, LIVE, Metrics
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
    def check(self, ask: Ask) -> Checked: ...


class Because(Struct):
    """What decided. `event` and `seq`: for scope desk and export."""

    source: Literal["signal", "choice"] | None
    event: str | None
    seq: int | None


class VerdictShown(Struct, kw_only=True):
    """What may go. `allowed`: all that was asked for, unchanged; `partly`: some of it, as `data` says."""

    allowed: bool
    partly: bool
    data: dict[str, Answer]
    reason: Reason
    rule: str
    place: str
    because: Because


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


def to_ask(body: wire.Check, *, numbered: bool = False) -> Ask:
    """A strict body as a question; `numbered`: see `Ask`. Raises `Problem` for both or neither of recipient and
    recipients.
    """
    if (body.recipient is None) == (body.recipients is None):
        raise Problem("malformed", "one of recipient and recipients", "/recipient")
    recipients = tuple(body.recipients or ()) if body.recipient is None else (body.recipient,)
    ask = Ask(
        recipients=recipients,
        identifiers=wire.plain(body.identifiers),
        purpose=body.purpose,
        data=tuple(body.data) if body.data is not None else None,
        place=body.place,
        geo=wire.known_geo(body.geo),
        ip=body.ip,
        age=_age_asked(body),
        count=body.count,
        collected=wire.day(body.collected, "/collected"),
        during_call=body.during_call,
        signals=wire.known_signals(body.signals),
        numbered=numbered,
    )
    return _joined(ask, body.shared) if isinstance(body, wire.Joined) else ask


def _joined(ask: Ask, shared: wire.Check) -> Ask:
    """With what is said of the person in a second place, too: each identifier, place and signal of both counts, and of
    two ages the younger. Raises `Problem`.
    """
    identifiers = [*wire.plain(shared.identifiers), *ask.identifiers]
    if len(identifiers) > wire.MAX_ASKED:
        raise Problem(
            "malformed", f"a check has at most {wire.MAX_ASKED} identifiers, defaults and all", "/identifiers"
        )
    signals = wire.known_signals(shared.signals)
    return ask._replace(
        identifiers=identifiers,
        place=_both(shared.place, ask.place),
        geo=tuple(geo for geo in (wire.known_geo(shared.geo), ask.geo) if geo is not None) or None,
        ip=tuple(ip for ip in (shared.ip, ask.ip) if ip is not None) or None,
        age=wire.youngest(ask.age, _age_asked(shared)),
        during_call=ask.during_call or shared.during_call,
        also=(signals,) if signals else (),
    )


def _age_asked(body: wire.Check) -> str | None:
    """What is said of the person, and what the operating system tells of its owner: the younger. Raises `Problem`."""
    return wire.youngest(wire.band(body.age), wire.band((body.signals or {}).get(AGE)))


def _both(one: object, other: object) -> object:
    """Two places, or lists of them, as one; a list of more than may be read is read as one with a foreign place."""
    if one is None or other is None or one == other:
        return other if one is None else one
    return [*(one if isinstance(one, list) else [one]), *(other if isinstance(other, list) else [other])]


def sees_entries(key: ApiKey) -> bool:
    """Whether a caller may learn which entry decided: ad code must not learn it of its id (R16)."""
    return key.may("desk") or key.may("export")


def verdict(verdict: Verdict, consent: Answers, key: ApiKey) -> dict[str, Any]:
    """`because` names event and seq to desk and export keys only."""
    signal, choice = verdict.reason in SIGNALS, verdict.reason in CHOICES
    source = "signal" if signal else "choice" if choice else None
    seq = verdict.seq if choice and sees_entries(key) else None
    event = consent.checks.event(seq) if seq is not None else None
    return {
        "allowed": verdict.allowed,
        "partly": verdict.partly,
        "data": verdict.data,
        "reason": verdict.reason,
        "rule": verdict.rule,
        "place": verdict.place,
        "because": {"source": source, "event": event, "seq": seq if event else None},
    }


def verdict_answer(
    body: wire.Check, checked: Checked, decisions: Mapping[str, str], consent: Answers, key: ApiKey, at: datetime
) -> dict[str, Any]:
    """The answer to a check of one recipient or of several. `at`: from before the check. The window counts from then:
    an answer that took long, or a process that was stopped on the way, is good for so much less.
    """
    window = consent.send_window
    shared: dict[str, Any] = {
        "position": checked.position,
        "valid_until": wire.stamp(at + window),
        "valid_for_ms": int(window.total_seconds() * 1000),
    }
    if body.ref is not None:
        shared["ref"] = body.ref
    if body.dry_run:
        shared["dry_run"] = True
    verdicts = {name: _told(name, checked, consent, key, decisions[name]) for name in checked.verdicts}
    if body.recipients is not None:
        return {"verdicts": verdicts, **shared}
    return {**next(iter(verdicts.values())), **shared}


def _told(name: str, checked: Checked, consent: Answers, key: ApiKey, decision: str) -> dict[str, Any]:
    told = verdict(checked.verdicts[name], consent, key)
    told["downstream"], told["decision"] = downstream(checked.outcome_for(name)), decision
    return told


def misconfigured(checked: Checked) -> list[str]:
    """What the caller asked for that is not configured: a `Gateway-Warning`, because a "no" alone would go unseen."""
    return sorted({verdict.reason for verdict in checked.verdicts.values()} & CONFIGURATION)


class Records(Protocol):
    """Who puts answers on record: `disclosing.Disclosing`, or a replica's `recording.Recording`."""

    def decide(self, ask: Ask, checked: Checked, stands: Stands, blocked: Blocked | None = None) -> dict[str, str]: ...
    async def announce(
        self, ask: Ask, checked: Checked, blocked: Blocked | None = None
    ) -> tuple[Checked, dict[str, str], datetime]: ...


class Answering:
    """Finishes the answers of all doors that answer checks; one instance."""

    def __init__(self, consent: Answers, disclosing: Records, metrics: Metrics, log: DecisionLog | None) -> None:
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
        ask = to_ask(body, numbered=sees_entries(key))
        return self._shaped(body, key, *await self.announce("check", ask, request))

    def at_once(self, body: wire.Check, key: ApiKey, request: str) -> tuple[dict[str, Any], list[str]]:
        """The same for a check that announces nothing. Raises `Problem`."""
        ask, at = to_ask(body, numbered=sees_entries(key)), self.consent.clock()
        decided = self.decide("check", ask, request, Stands.POSSIBLE, dry_run=body.dry_run)
        return self._shaped(body, key, *decided, at)

    def _shaped(
        self, body: wire.Check, key: ApiKey, checked: Checked, decisions: Mapping[str, str], at: datetime
    ) -> tuple[dict[str, Any], list[str]]:
        warnings = misconfigured(checked)
        if warnings:
            self.metrics.misconfigured.labels(key.name).inc()
        return verdict_answer(body, checked, decisions, self.consent, key, at), warnings

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
