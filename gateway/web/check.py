"""POST /v1/check: may this data go to this recipient now? A "no" is a 200."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.consent import Consent
from gateway.credentials import Credentials
from gateway.web import asking, auth, wire
from gateway.web.metrics import Metrics


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
        answer = asking.answer(body, checked, self._consent, key)
        warnings = asking.misconfigured(checked)
        if warnings:
            self._metrics.misconfigured.labels(key.name).inc()
        return wire.answer(answer, headers={"Gateway-Warning": ", ".join(warnings)} if warnings else None)
