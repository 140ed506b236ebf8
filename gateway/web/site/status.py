"""What holds for this browser, and what only its script can see: `/privacy-choices/status` and `/observe`.

Both answer alike and neither has a key. `observe` takes JSON of this site's own pages and can only tighten; what it
says is remembered like a header of the same meaning. On pages from a cache these two are all that ever hears a visitor,
so they remember as a navigation does (I12, I32).

Other origins of the operator may read an answer, with credentials, if `[site] origins` names them to the letter (I12).
A stranger's page gets no leave and reads nothing; what a request may do is `gateway.web.shell.auth`'s to say.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.downstream import strings
from gateway.consent.choice_result import may_ask_from
from gateway.consent.site import Site
from gateway.consent.verbs import Consent
from gateway.desk import history
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Subject, milliseconds
from gateway.signals import hear
from gateway.signals.cmp_cookies.values import DENIES
from gateway.terms import ALL_PURPOSES, DAY_MS, SIGNAL_PURPOSES
from gateway.web.shell import cross_site, wire
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.own_cookies import day
from gateway.web.shell.problem import Problem
from gateway.web.shell.visitor import Visitor, Visitors
from gateway.web.site.header_fields import delivery_policy
from gateway.web.site.visit import Visits

MAX_AGE = 600  # seconds; what browsers cap it at is above that (Chromium: 7,200)
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Sec-GPC, Cookie"}
MAX_BODY = 32 * 1024  # a GPP and a TC string and what else there is are under 16 kB
AD_TOKEN_SECONDS = 600  # an ad request's life, and no more (I2)
HANDED_ON = ("cookiebot", "didomi", "onetrust")  # tools whose names static/tools.js needs for its calls
FROM_SCRIPT = wire.names_in(wire.ScriptSignals)


class EnforcedOnPage(Struct):
    """What the script sees to on a page that was there before the no was. `now`: for this visitor."""

    policy: str
    service_workers: tuple[str, ...]
    now: bool


class StatusBody(Struct, kw_only=True):
    """What holds for this browser. `partly`: a no holds, and not of every use. `strings`: what a page tells others.
    `refuse`: by consent tool, its names of what a no on record covers; absent where nobody said no.
    """

    status: Literal["opted_out", "not_opted_out"]
    display: str | None
    partly: bool
    gpc: bool
    purposes: dict[str, str]
    strings: dict[str, Any]
    place: str
    ad_token: Annotated[str | None, Meta(description="a `browser` identifier for an ad request, fresh each time")]
    frictionless: bool
    may_ask_from: dict[str, wire.Time | None] | UnsetType = UNSET
    inventory: Literal[True] | UnsetType = UNSET
    refuse: dict[str, list[str]] | UnsetType = UNSET
    enforced: EnforcedOnPage | UnsetType = UNSET


class Status:
    """The doors of the page's own script. `folder`: of the ledger. `frictionless`: the site is in that mode (L58)."""

    def __init__(
        self,
        consent: Consent,
        visitors: Visitors,
        metrics: Metrics,
        visits: Visits,
        *,
        folder: Path,
        origins: Collection[str],
        frictionless: bool = False,
    ) -> None:
        self._consent = consent
        self._visitors = visitors
        self._visits = visits
        self._metrics = metrics
        self._folder = folder
        self._origins = origins
        self._frictionless = frictionless
        options = visits.options
        self._asks_for = options.inventory
        self._enforced = (delivery_policy(options.hosts), options.service_workers) if options.enforce else None

    async def preflight(self, request: Request) -> Response:
        """`OPTIONS` of what the script asks: which of the operator's other origins may, with credentials."""
        leave = cross_site.leave(request.headers, self._origins)
        if leave:
            leave |= {
                "Access-Control-Allow-Methods": "GET, POST",
                "Access-Control-Allow-Headers": "Content-Type",
                "Access-Control-Max-Age": str(MAX_AGE),
            }
        return Response(status_code=204, headers={**leave, "Vary": "Origin"})

    async def show(self, request: Request) -> Response:
        """`GET /privacy-choices/status`"""
        visitor = self._visitors.on_site(request.scope)
        self._metrics.heard("status", visitor.heard)
        return await self._answer(request, visitor)

    async def observe(self, request: Request) -> Response:
        """`POST /privacy-choices/observe`: unknown members are passed over, unreadable ones counted."""
        wire.require_json(request)
        if not cross_site.is_own(request.headers, self._origins):
            raise Problem("cross_site", "only this site's own pages tell what their script sees")
        body = wire.parse_body(await wire.read_body(request, MAX_BODY), lenient=True)
        members = wire.as_object(body, "an observation")
        said = hear.from_script({n: v for n, v in members.items() if n in FROM_SCRIPT}, self._consent.checks.hearing)
        visitor = self._visitors.on_site(request.scope)
        visitor = replace(visitor, heard=said.beside(visitor.heard).without_endings())
        self._metrics.heard("script", said)
        return await self._answer(request, visitor)

    async def _answer(self, request: Request, visitor: Visitor) -> Response:
        subjects, heard = self._visitors.subjects(visitor), visitor.heard
        site = self._visitors.site(visitor, subjects)
        words = self._consent.checks.words(site, ALL_PURPOSES)
        await self._visits.remember(visitor, site, subjects, request.scope)
        body = StatusBody(
            status="opted_out" if site.opted_out else "not_opted_out",
            display="Opt-Out Request Honored" if site.status == "honored" else None,
            partly=site.status == "honored" and any(site.allowed.values()),
            gpc=heard.gpc,
            purposes={purpose.value: word.told for purpose, word in words.items()},
            strings=strings(site.outcome).for_page(),
            place=site.place,
            ad_token=self._ad_token(visitor, site),
            frictionless=self._frictionless and heard.gpc and site.status == "honored",
            may_ask_from=await self._silence(visitor, site, subjects),
            inventory=self._asks_for or UNSET,
            refuse=self._refused(site) if site.status == "honored" else UNSET,
            enforced=(
                EnforcedOnPage(*self._enforced, self._visits.is_silenced(visitor, site)) if self._enforced else UNSET
            ),
        )
        headers = {**HEADERS, **cross_site.leave(request.headers, self._origins)}
        response = Response(wire.json_of(body), headers=headers, media_type="application/json")
        if self._origins:  # caches are told that it matters who asked
            response.headers.add_vary_header("Origin")
        cookie = self._visits.remembering(visitor, day(self._consent.clock()))
        if cookie:
            response.headers.append("set-cookie", cookie)
        return response

    def _refused(self, site: Site) -> dict[str, list[str]]:
        """For the tools that the page's script hands a no on to. Who said nothing is theirs to ask."""
        denied = {purpose for purpose in SIGNAL_PURPOSES if not site.allowed.get(purpose)}
        categories = self._consent.checks.hearing.categories
        return {
            tool: sorted(name for name, word in categories[tool].items() if DENIES[word] & denied) for tool in HANDED_ON
        }

    def _ad_token(self, visitor: Visitor, site: Site) -> str | None:
        """A `browser` identifier for the body of an ad request, fresh each time (R9). None for a browser without an id,
        and while nobody knows what holds for it.
        """
        if site.status == "unknown":
            return None
        return self._visits.token(visitor, self._consent.clock(), AD_TOKEN_SECONDS) or None

    async def _silence(
        self, visitor: Visitor, site: Site, subjects: list[Subject]
    ) -> dict[str, str | None] | UnsetType:
        """From when each purpose may be asked about again; None: never opted out (R4). Nothing is said of it where it
        cannot be read. A no that the cookie alone holds counts from the day that it was last made. A site's own ids,
        which anybody can send, tell no day: what they deny is as if it were of now.
        """
        if site.status == "unknown":
            return UNSET
        try:
            own = [each.key for each in subjects if each not in visitor.site_ids]
            out_at = await history.last_out_at(self._folder, own) if site.standings and own else {}
        except StoreUnavailable:
            return UNSET
        by_site_ids = self._consent.checks.read_back(visitor.site_ids, ALL_PURPOSES)
        now = milliseconds(self._consent.clock())
        out_at |= {each: now for each in ALL_PURPOSES if by_site_ids[each.value] == "opted_out"}
        cookie = visitor.cookie
        if cookie and cookie.unwritten:
            last = (cookie.day + 1) * DAY_MS
            out_at |= {purpose: max(last, out_at.get(purpose, 0)) for purpose in SIGNAL_PURPOSES}
        return {purpose.value: may_ask_from(out_at.get(purpose)) for purpose in ALL_PURPOSES}
