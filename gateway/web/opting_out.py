"""What our forms that opt out have in common: how one is read, who is opted out by it, and the answer to it.

Whatever was given is opted out: the browser always, the account that is signed in, the phone or the e-mail if either is
there (design flow b). Asks nobody for proof (11 CCR 7026(d)); never opts anybody in, and never says what a page says.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import seals
from gateway.choice.law import STATES
from gateway.consent import Consent
from gateway.ledger.entry import Notice, b64
from gateway.ledger.subjects import Choice, Subject, every_reading, one_each
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
from gateway.web.uses import numbered
from gateway.web.visitor import Visitor, Visitors

TOKEN_SECONDS = 24 * 3600
COUNTRY = re.compile("[A-Z]{2}")
TYPED = ("phone", "email")  # the fields that name somebody
Named = tuple[list[Subject], list[str]]


@dataclass(frozen=True, slots=True)
class Posted:
    """A form as it came. `token`: missing, valid or stale. `notice`: the text that was surely shown with it. `own`: it
    came from a page of ours.
    """

    form: Form
    token: str
    notice: Notice | None
    own: bool


class OptingOut:
    """The door's part that is the same for every form. `kind` is the notice that its page shows."""

    def __init__(
        self, consent: Consent, visitors: Visitors, metrics: Metrics, origins: Collection[str], kind: str
    ) -> None:
        self._consent = consent
        self._visitors = visitors
        self._metrics = metrics
        self._origins = origins
        self._tokens = Tokens(consent.secrets.tokens, f"{kind}-form/1")
        self._texts = notices.in_languages(kind)

    def token(self, language: str) -> str:
        """Says which text, in which language, the page shows."""
        shown = self._texts[language]
        return self._tokens.make({"n": b64(shown.sha256), "l": shown.language})

    def text(self, language: str) -> list[str]:
        return notices.paragraphs(self._texts[language])

    async def read(self, request: Request) -> Posted:
        """Raises `Problem` for what no page of ours sends."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise Problem("unsupported_media_type", "send application/x-www-form-urlencoded")
        said = form.read(await _limited_body(request))
        if isinstance(said, Malformed):
            self._metrics.malformed([said])
            raise Problem("too_large" if said.reason == "size" else "malformed", f"the form's {said.reason}")
        shown = self._tokens.read(said.token, TOKEN_SECONDS) if said.token else None
        own = cross_site.is_own(request.headers, self._origins, token_valid=shown is not None)
        word = "missing" if not said.token else "valid" if shown else "stale"
        return Posted(said, word, self._notice(shown or {}), own)

    def _notice(self, shown: dict[str, str]) -> Notice | None:
        document = self._texts.get(shown.get("l", ""))
        return document.notice if document and b64(document.sha256) == shown.get("n") else None

    def typed(self, said: Form) -> Named:
        """Subjects of what was typed, and the names of the fields of which something could not be read."""
        subjects: list[Subject] = []
        unread: list[str] = []
        stated = said.country.upper()
        country = (
            stated if COUNTRY.fullmatch(stated) else ""
        )  # "another country": none that a national number is read in
        for kind in TYPED:
            value = getattr(said, kind)
            if value:
                found, whole = self._consent.people.typed(kind, value, country)
                subjects += found
                unread += [] if whole else [kind]
        subjects = list(one_each(subjects).values())
        if unread:
            self._metrics.malformed([Malformed("form", "identifier")])
        return subjects, unread

    async def write(self, request: Request, posted: Posted, kind: ChoiceKind, purposes: Sequence[Purpose]) -> Response:
        """Durable before this returns: the way to the confirmation, or where the ledger cannot be written 202. Raises
        `StoreUnavailable` where nothing could be kept.
        """
        visitor = self._visitors.read(request.scope)
        browser = visitor.cookie.browser if visitor.cookie and visitor.cookie.value else seals.new_browser()
        subjects = [self._consent.people.browser(browser.hex())]
        if visitor.account:
            subjects.append(self._consent.people.account(visitor.account))
        subjects += visitor.others
        if not set(purposes).isdisjoint(ALL_PURPOSES):  # marketing reaches nobody by a cookie's id
            subjects += visitor.site_ids
        typed, unread = self.typed(posted.form)
        choice = Choice(
            kind, tuple(purposes), Source.FORM, self._consent.clock(), _place(posted.form), posted.notice,
            manner=Manner.WEB, details={"form_token": posted.token},
        )  # fmt: skip
        chosen = await self._consent.choose([*subjects, *typed], choice)
        self._metrics.chosen(choice.kind, choice.source, choice.manner)
        numbers = [numbered(each.kind, each.value) for each in every_reading(typed) if each.kind == "phone"]
        return self._remembered(_answer(request, chosen, unread, numbers), visitor, browser, purposes, chosen)

    def _remembered(
        self, response: Response, visitor: Visitor, browser: bytes, purposes: Sequence[Purpose], chosen: Chosen
    ) -> Response:
        """The answer with the cookie that remembers the choice, and with the one that brings the openings along."""
        now = self._consent.clock()
        cookie = BrowserCookie(browser, day(now), visitor.denied | frozenset(purposes))
        response.headers.append("set-cookie", set_cookie(self._consent.secrets.seals, cookie))
        if not chosen.waits:
            events = tuple(str(each["event"]) for each in chosen.events)
            kept = Kept(events, chosen.openings, int(now.timestamp()) + proof_cookie.SECONDS)
            made = proof_cookie.set_cookie(self._consent.secrets.seals, kept, int(now.timestamp()))
            if made:
                response.headers.append("set-cookie", made)
        return response


def _answer(request: Request, chosen: Chosen, unread: Sequence[str], numbers: Sequence[tuple[str, str]]) -> Response:
    event = chosen.events[0]["event"]
    if chosen.waits:
        at = chosen.accepted_at.strftime("%Y-%m-%d %H:%M")
        return page.show(request, "kept.html", 202, at=at, event=event, unread=unread, numbers=numbers)
    return RedirectResponse(page.link(request, f"/privacy-choices/done/{event}", unread=unread), 303, page.HEADERS)


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
