"""The choices page: a form that anybody can post once, its confirmation, and the statement of support for GPC.

No login, no script, no cookie needed, no proof (R11). Whatever was given is opted out: the browser always, the phone
or the e-mail if either is there (design flow b). The confirmation shows the state read back from enforcement.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import seals
from gateway.choice.law import STATES, UNREADABLE_PLACE
from gateway.consent import Consent
from gateway.ledger import history
from gateway.ledger.entry import b64
from gateway.ledger.records import Choice, Subject
from gateway.ledger.writer import StoreUnavailable
from gateway.outcome import Chosen
from gateway.seals import BrowserCookie, Tokens
from gateway.signals import form
from gateway.signals.form import Form
from gateway.terms import ALL_PURPOSES, ChoiceKind, Malformed, Manner, Purpose, Source
from gateway.web import cross_site, notices, page, proof_cookie
from gateway.web.browser_cookie import day, set_cookie
from gateway.web.metrics import Metrics
from gateway.web.problem import Problem
from gateway.web.proof_cookie import Kept
from gateway.web.visitor import Visitor, Visitors

TOKEN_SECONDS = 24 * 3600
COUNTRY = re.compile("[A-Z]{2}")
COUNTRIES = (("", ""), ("US", "United States"), ("CA", "Canada"), (UNREADABLE_PLACE, "Another country"))
COVERS = {
    "browser": "this browser, until its cookies are cleared; a private window is another browser",
    "phone": "the phone number that you gave, wherever it is used here, and its account, app and devices",
    "email": "the e-mail address that you gave, wherever it is used here, and its account, app and devices",
}
STATIC = {"choices.css": "text/css", "consent.js": "text/javascript"}
LABELS = {"phone": "phone number", "email": "e-mail address"}
NOT_SAVED = (
    "Our records cannot be written at this moment. Please press the button again in a minute; what you typed is"
    " still here. Until then nothing about this browser is sold or shared."
)
FOREIGN_FORM = (
    "This form was sent from another site or an old window. Please press the button again here; what you typed is"
    " still here."
)


@dataclass(frozen=True, slots=True)
class PageSettings:
    data: Path
    policy_url: str
    origins: Collection[str]
    gpc_since: date


class Pages:
    """The public pages. Holds no state of anybody."""

    def __init__(self, consent: Consent, visitors: Visitors, metrics: Metrics, settings: PageSettings) -> None:
        self._consent = consent
        self._visitors = visitors
        self._metrics = metrics
        self._settings = settings
        self._tokens = Tokens(consent.secrets.tokens, "choices-form/1")
        self._notice = notices.load(notices.CHOICES)
        self._files = {name: static(name) for name in STATIC}

    # --- GET -------------------------------------------------------------------------------------------------

    async def show(self, request: Request) -> Response:
        """`GET /privacy-choices`. Whoever comes here has left their confirmation: what opens it goes."""
        response = self._form_page(request, Form())
        if any(name == proof_cookie.COOKIE for name, _ in self._visitors.read(request.scope).heard.cookies):
            response.headers.append("set-cookie", proof_cookie.GONE)
        return response

    async def done(self, request: Request) -> Response:
        """`GET /privacy-choices/done/{event}`: what holds now for what was in that one submission. Its first
        showing, in the browser that posted, has the ticket of the download.
        """
        try:
            event = seals.unb64(request.path_params["event"])
        except seals.Opening:
            raise Problem("not_found", "no such submission") from None
        said = await history.of_request(self._settings.data, event)
        if not said:
            raise Problem("not_found", "no such submission")
        lines = [self._line(kind, key, purposes) for kind, key, _, purposes in said]
        unread = [label for label in LABELS.values() if label in request.query_params.getlist("unread")]
        shown = self._first_showing(request)
        response = page.show(
            request,
            "done.html",
            ticket=shown.ticket if shown else "",
            lines=lines,
            all_out=all(line["state"] == "Opted out" for line in lines),
            at=said[0][2].strftime("%Y-%m-%d %H:%M"),
            event=request.path_params["event"],
            unread=" and the ".join(unread),
        )
        self._keep(response, shown)
        return response

    def _first_showing(self, request: Request) -> Kept | None:
        jar = self._visitors.read(request.scope).heard.cookies
        kept = proof_cookie.read(self._consent.secrets.seals, jar, self._now())
        fresh = kept is not None and not kept.ticket and kept.events[0] == request.path_params["event"]
        return kept.shown() if kept and fresh else None

    def _keep(self, response: Response, kept: Kept | None) -> None:
        made = proof_cookie.set_cookie(self._consent.secrets.seals, kept, self._now()) if kept else None
        if made:
            response.headers.append("set-cookie", made)

    def _now(self) -> int:
        return int(self._consent.clock().timestamp())

    def _line(self, kind: str, key: bytes, purposes: Sequence[Purpose]) -> dict[str, str]:
        states = self._consent.checks.read_back([Subject(kind, "", (key,))], purposes)
        out = set(states.values()) <= {"opted_out", "unknown"}
        return {"state": "Opted out" if out else "Not opted out", "covers": COVERS.get(kind, "an identifier")}

    async def gpc(self, _: Request) -> Response:
        """`GET /.well-known/gpc.json`: the same for everyone (L11)."""
        body = {"gpc": True, "lastUpdate": self._settings.gpc_since.isoformat()}
        return Response(orjson.dumps(body), media_type="application/json")

    async def file(self, request: Request) -> Response:
        """A file of `static/`, the same for everyone."""
        name = request.url.path.rpartition("/")[2]
        headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
        return Response(self._files[name], headers=headers, media_type=STATIC[name])

    # --- POST ------------------------------------------------------------------------------------------------

    async def post(self, request: Request) -> Response:
        """`POST /privacy-choices`: opt_out or limit, durable before the 303."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise Problem("unsupported_media_type", "send application/x-www-form-urlencoded")
        said = form.read(await _limited_body(request))
        if isinstance(said, Malformed):
            self._metrics.malformed([said])
            raise Problem("too_large" if said.reason == "size" else "malformed", f"the form's {said.reason}")
        shown = self._tokens.read(said.token, TOKEN_SECONDS) if said.token else None
        if not cross_site.is_own(request.headers, self._settings.origins, token_valid=shown is not None):
            self._metrics.refused_forms.labels("cross_site").inc()
            return self._form_page(request, said, FOREIGN_FORM, 403)
        if said.action in {ChoiceKind.OPT_IN, ChoiceKind.CONFIRM}:
            raise Problem("proof_required", "opting in needs proof of control; sign in to do it")
        return await self._opt_out(request, said, "missing" if not said.token else "valid" if shown else "stale")

    async def _opt_out(self, request: Request, said: Form, token: str) -> Response:
        visitor = self._visitors.read(request.scope)
        browser = visitor.cookie.browser if visitor.cookie and visitor.cookie.value else seals.new_browser()
        subjects = [self._consent.people.browser(browser.hex())]
        if visitor.account:
            subjects.append(self._consent.people.account(visitor.account))
        typed, unread = self._typed(said)
        purposes = (Purpose.SENSITIVE,) if said.action == ChoiceKind.LIMIT else ALL_PURPOSES
        choice = Choice(
            ChoiceKind.LIMIT if said.action == ChoiceKind.LIMIT else ChoiceKind.OPT_OUT, purposes, Source.FORM,
            self._consent.clock(), _place(said), self._notice.notice if token == "valid" else None,  # noqa: S105
            manner=Manner.WEB, details={"form_token": token},
        )  # fmt: skip
        try:
            chosen = await self._consent.choose([*subjects, *typed], choice)
        except StoreUnavailable:
            self._metrics.refused_forms.labels("not_kept").inc()
            return self._form_page(request, said, NOT_SAVED, 503)
        self._metrics.chosen(choice.kind, choice.source, choice.manner)
        return self._confirmed(request, visitor, browser, purposes, chosen, unread)

    def _confirmed(
        self, request: Request, visitor: Visitor, browser: bytes, purposes: Sequence[Purpose], chosen: Chosen,
        unread: Sequence[str],
    ) -> Response:  # fmt: skip
        if chosen.waits:
            at, event = chosen.accepted_at.strftime("%Y-%m-%d %H:%M"), chosen.events[0]["event"]
            response = page.show(request, "kept.html", 202, at=at, event=event, unread=" and the ".join(unread))
        else:
            query = "?" + urlencode([("unread", label) for label in unread]) if unread else ""
            response = RedirectResponse(f"/privacy-choices/done/{chosen.events[0]['event']}{query}", 303, page.HEADERS)
        denied = visitor.denied | frozenset(purposes)
        cookie = BrowserCookie(browser, day(self._consent.clock()), denied)
        response.headers.append("set-cookie", set_cookie(self._consent.secrets.seals, cookie))
        events = tuple(str(each["event"]) for each in chosen.events)
        opened = Kept(events, chosen.openings, self._now() + proof_cookie.SECONDS)
        self._keep(response, None if chosen.waits else opened)
        return response

    def _typed(self, said: Form) -> tuple[list[Subject], list[str]]:
        """Subjects of what was typed, and the names of the fields that could not be read."""
        subjects: list[Subject] = []
        unread: list[str] = []
        stated = said.country.upper()
        country = stated if COUNTRY.fullmatch(stated) and stated != UNREADABLE_PLACE else ""
        for kind, value, label in (
            ("phone", said.phone, LABELS["phone"]),
            ("email", said.email, LABELS["email"]),
        ):
            if value:
                named = self._consent.people.name([{"type": kind, "value": value}], country)
                subjects += named.subjects
                unread += [] if named.subjects else [label]
        if unread:
            self._metrics.malformed([Malformed("form", "identifier")])
        return subjects, unread

    # --- helpers ---------------------------------------------------------------------------------------------

    def _site(self, visitor: Visitor) -> Any:
        subjects = self._visitors.subjects(visitor)
        return self._consent.checks.site(
            subjects, visitor.heard.denied | visitor.denied, visitor.place, gpc=visitor.heard.gpc
        )

    def _form_page(self, request: Request, said: Form, problem: str = "", status: int = 200) -> Response:
        visitor = self._visitors.read(request.scope)
        self._metrics.heard("page", visitor.heard)
        site = self._site(visitor)
        response = page.show(
            request, "choices.html", status,
            form=said, problem=problem, honored=site.status == "honored", unknown=site.status == "unknown",
            gpc=visitor.heard.gpc, notice=notices.paragraphs(self._notice), countries=COUNTRIES,
            states=sorted(STATES), policy_url=self._settings.policy_url,
            token=self._tokens.make({"n": b64(self._notice.sha256), "l": self._notice.language}),
        )  # fmt: skip
        if status == 503:  # noqa: PLR2004
            response.headers["Retry-After"] = "60"
        return response


def static(name: str) -> bytes:
    """A file of the owner's `static/` folder: inside the wheel, or beside the package in a checkout."""
    inside = resources.files("gateway") / "static" / name
    if inside.is_file():
        return inside.read_bytes()
    return (Path(__file__).parent.parent.parent / "static" / name).read_bytes()


async def _limited_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > form.MAX_BYTES:
            break
    return bytes(body)


def _place(said: Form) -> str:
    state, country = said.state.upper(), said.country.upper()
    if country in {"", "US"} and state in STATES:
        return f"US-{state}"
    return country if country in {"US", "CA"} else ""
