"""What holds for this browser, and what only its script can see: `/privacy-choices/status` and `/observe`.

Both answer alike and neither has a key. `observe` takes same-origin JSON and can only tighten; what it says is
remembered like a header of the same meaning.
"""

from collections.abc import Collection
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.downstream import strings
from gateway.consent import Consent
from gateway.ledger.writer import StoreUnavailable
from gateway.signals import hear
from gateway.signals.heard import Heard
from gateway.terms import ALL_PURPOSES
from gateway.web import cross_site, wire
from gateway.web.browser_cookie import day, remembering
from gateway.web.metrics import Metrics
from gateway.web.problem import Problem
from gateway.web.visitor import Visitor, Visitors

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Sec-GPC, Cookie"}
MAX_BODY = 32 * 1024  # a GPP and a TC string and what else there is are under 16 kB
# What a page's script may say. Cookies and device flags it is not asked for: the request and the app say those.
FROM_SCRIPT = frozenset({"gpc", "gpp", "gpp_sid", "us_privacy", "tc", "gdpr", "ac", "adchoices"})


class Status:
    """The doors of the page's own script."""

    def __init__(
        self, consent: Consent, visitors: Visitors, metrics: Metrics, *, origins: Collection[str], remember_gpc: str
    ) -> None:
        self._consent = consent
        self._visitors = visitors
        self._metrics = metrics
        self._origins = origins
        self._remember = remember_gpc

    async def show(self, request: Request) -> Response:
        """`GET /privacy-choices/status`"""
        visitor = self._visitors.read(request.scope)
        self._metrics.heard("status", visitor.heard)
        return self._answer(visitor)

    async def observe(self, request: Request) -> Response:
        """`POST /privacy-choices/observe`: unknown members are passed over, unreadable ones counted."""
        wire.require_json(request)
        if not cross_site.is_own(request.headers, self._origins):
            raise Problem("cross_site", "only this site's own pages tell what their script sees")
        members = wire.parse(await wire.read_body(request, MAX_BODY))
        if not isinstance(members, dict):
            raise Problem("malformed", "an observation is a JSON object")
        said = hear.from_script({n: v for n, v in members.items() if n in FROM_SCRIPT}, self._consent.checks.hearing)
        visitor = self._visitors.read(request.scope)
        visitor = visitor.with_heard(said.beside(visitor.heard).without_endings())
        self._metrics.heard("script", said)
        await self._remember_visitor(visitor)
        return self._answer(visitor)

    async def _remember_visitor(self, visitor: Visitor) -> None:
        """Writes for a browser that brought our cookie, and for the account; like the middleware, a stranger without
        either never writes.
        """
        subjects, heard = self._visitors.subjects(visitor), visitor.heard
        if not heard.keeps or not any(s.kind in {"browser", "account"} for s in subjects):
            return
        site = self._consent.checks.site(subjects, heard.denied | visitor.denied, visitor.place)
        if site.status != "unknown" and not site.learns(heard, subjects):
            return  # heard before: nothing of it would be news
        account = next((subject for subject in subjects if subject.is_account), None)
        try:
            await self._consent.observe(subjects, visitor.heard, account=account)
        except StoreUnavailable:
            self._metrics.refused_forms.labels("signal_not_kept").inc()

    def _answer(self, visitor: Visitor) -> Response:
        subjects, heard = self._visitors.subjects(visitor), visitor.heard
        site = self._consent.checks.site(subjects, heard.denied | visitor.denied, visitor.place, gpc=heard.gpc)
        body: dict[str, Any] = {
            "status": "opted_out" if site.opted_out else "not_opted_out",
            "display": "Opt-Out Request Honored" if site.status == "honored" else None,
            "gpc": heard.gpc,
            "purposes": self._purposes(visitor, heard),
            "strings": strings(site.outcome).for_page(),
            "place": site.place,
        }
        response = Response(orjson.dumps(body), headers=HEADERS, media_type="application/json")
        today = day(self._consent.clock())
        cookie = remembering(self._consent.secrets.seals, visitor.cookie, heard, self._remember, today)
        if cookie:
            response.headers.append("set-cookie", cookie)
        return response

    def _purposes(self, visitor: Visitor, heard: Heard) -> dict[str, str]:
        states = self._consent.checks.read_back(self._visitors.subjects(visitor), ALL_PURPOSES)
        denied = heard.denied | visitor.denied
        return {name: "opted_out" if name in denied else word for name, word in states.items()}
