"""The choices page: forms that anybody can post once, and the statement of support for GPC.

No login, no script, no cookie needed, no proof (R11). The page says what holds now, as checks are answered.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import date
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from gateway.consent.site import Site, Word
from gateway.consent.verbs import Consent
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Subject
from gateway.signals.form import ChoicesForm
from gateway.terms import ALL_PURPOSES, SIGNAL_PURPOSES, ChoiceKind, Purpose
from gateway.web.pages import positions
from gateway.web.pages.forms import NAMING, OptingOut, refuse_faulty
from gateway.web.shell import own_cookies, page, wire, words
from gateway.web.shell.brand import Brand, brand_of
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.problem import Problem
from gateway.web.shell.visitor import Visitor, Visitors, jar_of
from gateway.web.shell.words import COUNTRIES, COVERS, FINER, REGIONS, mark, named, residents

SCRIPT = "text/javascript"
STATIC = {page.STYLE: "text/css", "consent.js": SCRIPT, "hosts.js": SCRIPT, "silence.js": SCRIPT,
          "tools.js": SCRIPT, "opt-out-icon.svg": "image/svg+xml"}  # fmt: skip
MODULES = {"hosts.js", "silence.js", "tools.js"}  # imported by consent.js, on the operator's other hosts too
OF_A_DRAWING = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
REACH = "reach"  # a link's parameter: to the form with fields for a number and an address, and some uses alone
TICKED = "ticked"  # that form's action (11 CCR 7026(h))
Acting = Callable[[Request, ChoicesForm], Awaitable[Response]]
Remembering = Callable[[Visitor, Site, list[Subject], Scope], Awaitable[None]]  # `Visits.remember`
FIELDS = (*NAMING, "country", "state", "purpose")  # what it has to fill in
FINER_NAMES = {name: named(purposes)[0] for name, purposes in FINER.items()}
NOT_SAVED = mark(
    "Our records cannot be written at this moment. Please press the button again in a minute; what you typed is"
    " still here. Until then nothing about this browser is sold or shared."
)
FOREIGN_FORM = mark(
    "This form was sent from another site or an old window. Please press the button again here; what you typed is"
    " still here."
)


class GpcStatement(Struct):
    """That this site obeys GPC, and since when, where the operator says so (the GPC specification's own members)."""

    gpc: bool
    since: date | UnsetType = msgspec.field(name="lastUpdate", default=UNSET)


class Pages:
    """The public pages. Holds no state of anybody. `opts_in`: takes a form that does; `remember`: writes a signal's
    no, as any page of the site does.
    """

    def __init__(
        self,
        consent: Consent,
        visitors: Visitors,
        metrics: Metrics,
        origins: Collection[str],
        opts_in: Acting,
        gpc_since: date | None,
        remember: Remembering,
    ) -> None:
        self._consent = consent
        self._visitors = visitors
        self._metrics = metrics
        self._gpc_since = gpc_since
        self._opts_in = opts_in
        self._remember = remember
        self._out = OptingOut(consent, visitors, metrics, origins, page.CHOICES_NOTICE)
        self._files = {name: page.static(name) for name in STATIC}

    async def show(self, request: Request) -> Response:
        """`GET /privacy-choices`. Whoever comes here has left their confirmation: what opens it goes."""
        response = await self._form_page(request, ChoicesForm())
        if any(name == own_cookies.PROOF_COOKIE for name, _ in jar_of(request.scope)):
            response.headers.append("set-cookie", own_cookies.PROOF_COOKIE_GONE)
        return response

    async def gpc_json(self, _: Request) -> Response:
        """`GET /.well-known/gpc.json`: the same for everyone (L11)."""
        return Response(wire.json_of(GpcStatement(True, self._gpc_since or UNSET)), media_type="application/json")

    async def file(self, request: Request) -> Response:
        """A file of `static/`, the same for everyone; the style sheet with the colours of the host's own operator."""
        name = request.url.path.rpartition("/")[2]
        content = page.style_sheet(brand_of(request)) if name == page.STYLE else self._files[name]
        headers = {"Access-Control-Allow-Origin": "*"} if name in MODULES else {}
        return page.show_file(request, content, STATIC[name], **headers)

    async def logo(self, request: Request) -> Response:
        """`GET /privacy-choices/logo`: 404 where the host's operator has none. A drawing that somebody opens by itself
        runs nothing: it was looked through at the start, and its own policy says so once more.
        """
        found = brand_of(request).logo
        if found is None:
            raise Problem("not_found", "no logo is configured")
        return page.show_file(request, found.content, found.media_type, **{"Content-Security-Policy": OF_A_DRAWING})

    async def post(self, request: Request) -> Response:
        """`POST /privacy-choices`: opt_out or limit, durable before the 303; opt_in and confirm with a form token."""
        posted = await self._out.read(request)
        said = posted.form
        if said.action in {ChoiceKind.OPT_IN, ChoiceKind.CONFIRM}:
            refuse_faulty(said)
            return await self._opts_in(request, said)
        if not posted.own:
            self._metrics.refused_forms.labels("cross_site").inc()
            return await self._form_page(request, said, FOREIGN_FORM, 403)
        kind = ChoiceKind.LIMIT if said.action == ChoiceKind.LIMIT else ChoiceKind.OPT_OUT
        try:
            return await self._out.write(request, posted, kind, _purposes(said))
        except StoreUnavailable:
            self._metrics.refused_forms.labels("not_kept").inc()
            return await self._form_page(request, said, NOT_SAVED, 503)

    async def _form_page(self, request: Request, said: ChoicesForm, problem: str = "", status: int = 200) -> Response:
        """The page of the switch; or what reaches further, where a link asked for it or the form had some of it."""
        visitor = self._visitors.read(request.scope)
        self._metrics.heard("page", visitor.heard)
        subjects = self._visitors.subjects(visitor)
        if visitor.heard.remembered:  # whoever signs in on a browser that is out is asked whether the account is to be
            await self._remember(visitor, self._visitors.site(visitor, subjects), subjects, request.scope)
        given = any(getattr(said, each) for each in FIELDS)
        further = REACH in request.query_params or said.action == TICKED or given
        response = page.show_page(
            request,
            "further.html" if further else "choices.html",
            status,
            problem=problem,
            given=given,
            **self._out.shown(words.language_of(request)),
            covers=[COVERS["browser"], *([COVERS["account"]] if visitor.account else [])],
            **(_fields(said) if further else await self._now(visitor, brand_of(request), again=bool(problem))),
        )
        if status == 503:  # noqa: PLR2004
            response.headers["Retry-After"] = "60"
        return response

    async def _now(self, visitor: Visitor, brand: Brand, *, again: bool) -> dict[str, Any]:
        """What holds for whoever asks, taken from what the site is told of them; and the notices of their place
        first. The switch is on where the badge stands and nothing of it was allowed again (11 CCR 7025(c)(6)); off
        where nothing stands there; `rest`: without it, whether there is more to opt out of, which there is for an
        account that is out by this browser alone. `again`: a form was not taken, and can be sent once more.
        """
        site = self._visitors.site(visitor, self._visitors.subjects(visitor))
        words = self._consent.checks.words(site, ALL_PURPOSES)
        why = await positions.reasons(self._consent, self._visitors, visitor, words)
        out = {purpose for purpose, word in words.items() if word is Word.OPTED_OUT} & self._own(visitor)
        limit = {Purpose.SENSITIVE: words.pop(Purpose.SENSITIVE)}
        honored, unknown = site.status == "honored", site.status == "unknown"
        partly = honored and any(words[purpose].may for purpose in SIGNAL_PURPOSES)
        return {
            "honored": honored,
            "unknown": unknown,
            "gpc": visitor.heard.gpc,
            "partly": partly,
            "on": honored and not partly,
            "off": not honored and not unknown,
            "signal": visitor.heard.denied.issuperset(SIGNAL_PURPOSES),
            "rest": (honored or unknown) and (again or not out >= words.keys()),
            "limited": Purpose.SENSITIVE in out and not again,
            "silent": Word.OPTED_OUT not in {*words.values(), *limit.values()},
            "lines": positions.lines(words, why),
            "limits": positions.lines(limit, why, positions.LIMITS),
            "residents": residents(brand.notices, site.places),
        }

    def _own(self, visitor: Visitor) -> set[Purpose]:
        """What each account that is signed in is out of wherever it is signed in; everything, where there is none."""
        accounts = [each for each in self._visitors.subjects(visitor) if each.is_account]
        said = [self._consent.checks.read_back([each], ALL_PURPOSES) for each in accounts]
        return {purpose for purpose in ALL_PURPOSES if all(each[purpose] == Word.OPTED_OUT for each in said)}


def _fields(said: ChoicesForm) -> dict[str, Any]:
    """What the form that reaches further offers, and what was in it. Ticked is what its answer would have been about:
    nothing, which is all, for whoever opted out of everything, or ticked what cannot be read.
    """
    about = set(_purposes(said))
    part = about < set(ALL_PURPOSES)
    ticked = [name for name, purposes in FINER.items() if part and about.issuperset(purposes)]
    return {"form": said, "ticked": ticked, "countries": COUNTRIES, "regions": REGIONS, "uses": FINER_NAMES}


def _purposes(said: ChoicesForm) -> Sequence[Purpose]:
    """What a form is about. Where a person wanted some uses only and not all of them can be read, all: no opt-out is
    lost.
    """
    if said.action == ChoiceKind.LIMIT:
        return (Purpose.SENSITIVE,)
    ticked = [purpose for name, purposes in FINER.items() if name in said.purpose for purpose in purposes]
    return ticked if said.action == TICKED and ticked and FINER.keys() >= set(said.purpose) else ALL_PURPOSES
