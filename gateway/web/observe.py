"""POST /v1/observe: what an app's phone or a site's page says by itself, without a person's act.

It can only tighten. A choice among the signals (GPC, a GPP opt-out) is written for every identifier of the call, a
device's state for devices alone (R26); what holds for a moment is in the answer and in no record.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.downstream import stores
from gateway.consent import Consent
from gateway.credentials import Credentials
from gateway.ledger.writer import NothingKept
from gateway.people import Named
from gateway.signals.heard import Heard
from gateway.terms import SIGNAL_PURPOSES
from gateway.web import auth, wire
from gateway.web.lenient import Body
from gateway.web.metrics import Metrics
from gateway.web.problem import Problem

KNOWN = frozenset({"identifiers", "signals", "place", "source", "age"})


class Observe:
    """The door for SDKs and backends."""

    def __init__(self, consent: Consent, credentials: Credentials, metrics: Metrics) -> None:
        self._consent = consent
        self._credentials = credentials
        self._metrics = metrics

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "choose", revoked=True)
        wire.require_json(request)
        members = wire.parse(await wire.read_body(request))
        if not isinstance(members, dict):
            raise Problem("malformed", "an observation is a JSON object")
        body = Body(members, "observe", self._consent, self._metrics)
        body.ignore_unknown(KNOWN, members)
        place = members.get("place")
        named, heard, band = body.named(place), body.heard(key), body.band()
        written = 0
        if named.subjects and heard.keeps:
            try:
                written = await self._consent.observe(named.subjects, heard, place=body.place())
            except NothingKept:
                return await self._kept(named, heard, body)
        if named.subjects and band:
            written += await self._consent.say_age(named.subjects, band, may_rise=key.may("desk"))
        return wire.answer(self._answer(named, heard, place) | {"ignored": body.ignored}, 201 if written else 200)

    async def _kept(self, named: Named, heard: Heard, body: Body) -> Response:
        """A choice among the signals, kept durably beside a ledger that cannot be written (api.md: 202)."""
        chosen = await self._consent.keep_heard(named.subjects, heard, place=body.place())
        self._metrics.kept.labels("signal").inc(len(named.subjects))
        when = {"accepted_at": wire.stamp(chosen.accepted_at), "effective_at": None}
        return wire.answer(
            self._answer(named, heard, body.members.get("place")) | when | {"ignored": body.ignored}, 202
        )

    def _answer(self, named: Named, heard: Heard, place: object) -> dict[str, Any]:
        """Read back from enforcement."""
        checks = self._consent.checks
        outcome = checks.site(named.subjects, heard.denied, place, gpc=heard.gpc).outcome
        denied = frozenset(SIGNAL_PURPOSES) if named.limited else heard.denied
        out = {purpose.value: "opted_out" for purpose in SIGNAL_PURPOSES if purpose in denied}
        standing = checks.read_back(named.subjects, SIGNAL_PURPOSES) | out
        return {"standing": standing, **stores(outcome.all_denied() if named.limited else outcome)}
