"""POST /v1/check: may this data go to this recipient now? A "no" is a 200."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.check import Ask, Checked
from gateway.choice.downstream import strings
from gateway.choice.verdict import SIGNAL_REASONS
from gateway.consent import Consent
from gateway.credentials import ApiKey, Credentials
from gateway.terms import Reason
from gateway.web import auth, wire
from gateway.web.metrics import Metrics
from gateway.web.problem import Problem

SIGNALS = frozenset(SIGNAL_REASONS.values()) | {Reason.DEVICE, Reason.LIMITED}
CHOICES = frozenset({Reason.OPTED_OUT, Reason.OPTED_IN})
CONFIGURATION = frozenset({Reason.UNKNOWN_RECIPIENT, Reason.UNKNOWN_PURPOSE})


class CheckDoor:
    """The door for ad servers."""

    def __init__(self, consent: Consent, credentials: Credentials, metrics: Metrics) -> None:
        self._consent = consent
        self._credentials = credentials
        self._metrics = metrics

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "check")
        wire.require_json(request)
        body = wire.convert(wire.parse(await wire.read_body(request)), wire.Check)
        ask = to_ask(body)
        checked = self._consent.check(ask)
        self._metrics.heard("check", checked.heard)
        self._metrics.checked(checked, self._consent.recipients)
        answer = self._answer(body, checked, key)
        warnings = sorted({v.reason for v in checked.verdicts.values()} & CONFIGURATION)
        if warnings:
            self._metrics.misconfigured.labels(key.name).inc()
        return wire.answer(answer, headers={"Gateway-Warning": ", ".join(warnings)} if warnings else None)

    def _answer(self, body: wire.Check, checked: Checked, key: ApiKey) -> dict[str, Any]:
        window = self._consent.send_window
        until = self._consent.clock() + window
        shared: dict[str, Any] = {
            "position": checked.position,
            "valid_until": wire.stamp(until),
            "valid_for_ms": int(window.total_seconds() * 1000),
        }
        if body.ref is not None:
            shared["ref"] = body.ref
        if body.dry_run:
            shared["dry_run"] = True
        named = key.may("desk") or key.may("export")
        verdicts = {name: self._verdict(name, checked, named) for name in checked.verdicts}
        if body.recipients is not None:
            return {"verdicts": verdicts, **shared}
        return {**next(iter(verdicts.values())), **shared}

    def _verdict(self, name: str, checked: Checked, named: bool) -> dict[str, Any]:
        """`because` names event and seq to desk and export keys only: ad code must not learn which entry its id is
        (R16).
        """
        verdict, outcome = checked.verdicts[name], checked.outcome_for(name)
        signal, choice = verdict.reason in SIGNALS, verdict.reason in CHOICES
        source = "signal" if signal else "choice" if choice else None
        event = self._consent.checks.event(verdict.seq) if named and choice and verdict.seq is not None else None
        return {
            "allowed": verdict.allowed, "partly": verdict.partly, "data": verdict.data,
            "reason": verdict.reason, "rule": verdict.rule, "place": verdict.place,
            "because": {"source": source, "event": event, "seq": verdict.seq if event else None},
            "downstream": strings(outcome).for_recipient(outcome),
        }  # fmt: skip


def to_ask(body: wire.Check) -> Ask:
    """A strict body as a question. Raises `Problem` for both or neither of recipient and recipients."""
    if (body.recipient is None) == (body.recipients is None):
        raise Problem("malformed", "one of recipient and recipients", "/recipient")
    recipients = tuple(body.recipients or ()) if body.recipient is None else (body.recipient,)
    return Ask(
        recipients=recipients, identifiers=wire.plain(body.identifiers), purpose=body.purpose,
        data=tuple(body.data) if body.data is not None else None, place=body.place, geo=body.geo, ip=body.ip,
        age=wire.band(body.age), signals=wire.known_signals(body.signals),
    )  # fmt: skip
