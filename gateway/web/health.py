"""Who is alive: /livez, /readyz, /metrics, and GET /v1/self for callers to check themselves against at start."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway import __version__
from gateway.consent import Consent
from gateway.credentials import Credentials
from gateway.ledger.documents import Document
from gateway.signals.cmp_cookies import NAMES
from gateway.terms import Reason
from gateway.web import auth, wire
from gateway.web.metrics import Metrics

API = "1.0"


class Health:
    """Small doors that tell how things stand. `environment` is what this installation calls itself."""

    def __init__(
        self,
        consent: Consent,
        credentials: Credentials,
        metrics: Metrics,
        shown: list[Document],
        environment: str,
    ) -> None:
        self._consent = consent
        self._credentials = credentials
        self._metrics = metrics
        self._shown = shown
        self._environment = environment

    async def live(self, _: Request) -> Response:
        """Up; depends on nothing."""
        return wire.answer({"status": "up"})

    async def ready(self, _: Request) -> Response:
        """200 while checks are answered (if only with no) and opt-outs are kept durably. Without the store a form is
        refused plainly, so it is 503 then; load balancers should watch /livez and alarms this one.
        """
        position = self._consent.checks.position()
        fresh, keeps = position is not None, self._consent.keeps()
        status = "ready" if fresh and keeps else "store_unavailable"
        body = {"status": status, "ledger": {"fresh": fresh, "keeps": keeps, "entries": position}}
        return wire.answer(body, 200 if fresh and keeps else 503)

    async def metrics(self, _: Request) -> Response:
        position = self._consent.checks.position()
        self._metrics.healthy.set(position is not None)
        self._metrics.keeps.set(self._consent.keeps())
        if position is not None:
            self._metrics.entries.set(position)
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def self(self, request: Request) -> Response:
        """What a caller should compare with its own configuration before it starts (I21)."""
        key = auth.anybody(request, self._credentials)
        body: dict[str, Any] = {
            "api": API, "version": __version__, "environment": self._environment,
            "key": {"name": key.name, "scopes": list(key.scopes), "publishable": key.publishable},
            "recipients": {
                name: {"role": item.role, "purposes": list(item.purposes), "data": list(item.data), "mode": item.mode}
                for name, item in self._consent.recipients.items()
            },
            "reasons": [reason.value for reason in Reason],
            "cookie_names": sorted([*NAMES, *self._consent.checks.hearing.industry.patterns()]),
            "notices": [
                {"kind": item.kind, "sha256": item.sha256.hex(), "version": item.version, "language": item.language}
                for item in self._shown
            ],
            "time": self._consent.clock().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }  # fmt: skip
        return wire.answer(body)
