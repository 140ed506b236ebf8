"""POST /v1/check: may this data go to this recipient now? A "no" is a 200."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.check import Checked
from gateway.choice.downstream import strings
from gateway.consent import Consent
from gateway.credentials import ApiKey, Credentials
from gateway.terms import Reason
from gateway.web import asking, auth, wire
from gateway.web.metrics import Metrics

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
        ask = asking.to_ask(body)
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
        verdicts = {name: self._verdict(name, checked, key) for name in checked.verdicts}
        if body.recipients is not None:
            return {"verdicts": verdicts, **shared}
        return {**next(iter(verdicts.values())), **shared}

    def _verdict(self, name: str, checked: Checked, key: ApiKey) -> dict[str, Any]:
        outcome = checked.outcome_for(name)
        told = asking.verdict(checked.verdicts[name], self._consent, key)
        return told | {"downstream": strings(outcome).for_recipient(outcome)}
