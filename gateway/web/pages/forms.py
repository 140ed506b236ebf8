"""What the forms of our pages have in common: how one is read, who is opted out by it, and the answer to it.

A form that opts out takes whatever was given: the browser always, the account that is signed in, the phone or the
e-mail if either is there. It asks nobody for proof (11 CCR 7026(d)) and never opts anybody in.

The small forms about one's own data and about opting in are strict: nothing there opts out, so a form that is foreign,
too long or odd is refused and nothing is lost.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.choice.place import COUNTRIES
from gateway.consent.choice_result import Chosen
from gateway.consent.site import EVERY_SIGNAL
from gateway.consent.verbs import Consent
from gateway.keys import seals
from gateway.keys.seals import BrowserCookie, Tokens
from gateway.ledger.entry import Notice, b64
from gateway.ledger.subjects import Choice, Subject, every_reading, one_each, residing
from gateway.signals import form
from gateway.signals.form import ChoicesForm
from gateway.terms import ALL_PURPOSES, ChoiceKind, Malformed, Manner, Purpose, Source
from gateway.web.shell import cross_site, own_cookies, page, wire
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.own_cookies import day
from gateway.web.shell.problem import Problem
from gateway.web.shell.visitor import Visitor, Visitors
from gateway.web.shell.words import REGIONS, numbered

TOKEN_SECONDS = 24 * 3600
COUNTRY = re.compile("[A-Z]{2}")
TYPED = ("phone", "email")  # the fields that name somebody, in the words of whoever types
AD_ID = "ad_id"  # the field for an advertising id: which platform's it is nobody need know, so it is read as each
AD_IDS = ("gaid", "idfa")
NAMING = (*TYPED, AD_ID)
SOME_OF = {name: f"some_{name}" for name in NAMING}  # what a field is told as of which something was read
UNREAD = (*NAMING, *SOME_OF.values())
Named = tuple[list[Subject], list[str]]


@dataclass(frozen=True, slots=True)
class Posted:
    """A form as it came. `token`: missing, valid or stale. `notice`: the text that was surely shown with it. `own`: it
    came from a page of ours.
    """

    form: ChoicesForm
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
        self._texts = page.notice_in_languages(kind)

    def shown(self, language: str) -> dict[str, Any]:
        """What a page of the form takes: the notice, and the token that says which text, in which language, it is."""
        text = self._texts[language]
        token = self._tokens.make({"n": b64(text.sha256), "l": text.language})
        return {"notice": page.paragraphs(text), "token": token}

    async def read(self, request: Request) -> Posted:
        """What can be read of it. Whoever posts to this address opts out, at the least this browser."""
        packed = request.headers.get("content-encoding", "identity").strip().lower() != "identity"
        content_type = "" if packed else request.headers.get("content-type", "")
        said = form.read_form(await wire.beginning(request, form.MAX_BYTES), content_type)
        if said.fault:
            self._metrics.malformed([Malformed("form", said.fault)])
        shown = self._tokens.read(said.token, TOKEN_SECONDS) if said.token else None
        own = cross_site.is_own(request.headers, self._origins, token_valid=shown is not None)
        word = "missing" if not said.token else "valid" if shown else "stale"
        return Posted(said, word, self._notice(shown or {}), own)

    def _notice(self, shown: dict[str, str]) -> Notice | None:
        document = self._texts.get(shown.get("l", ""))
        return document.notice if document and b64(document.sha256) == shown.get("n") else None

    def typed(self, said: ChoicesForm) -> Named:
        """Subjects of what was typed, and of which fields something could not be read (`UNREAD`). A national
        number is one of the country that was stated, or of the state's or province's; "another country" is none.
        """
        subjects: list[Subject] = []
        unread: list[str] = []
        stated = said.country.upper() or _place(said)[:2]
        country = stated if COUNTRY.fullmatch(stated) else ""
        for kind in TYPED:
            value = getattr(said, kind)
            if value or kind in said.cut:
                found, whole = self._consent.people.typed(kind, value, country) if value else ([], False)
                subjects += found
                known = any(not each.reading for each in found)
                unread += [] if whole and kind not in said.cut else [SOME_OF[kind] if known else kind]
        if said.ad_id:
            read = self._consent.people.name([{"type": kind, "value": said.ad_id} for kind in AD_IDS])
            named = [*read.subjects, *(each for _, each in read.respelled)]
            subjects += named
            unread += [] if named and AD_ID not in said.cut else [SOME_OF[AD_ID] if named else AD_ID]
        elif AD_ID in said.cut:
            unread.append(AD_ID)
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
            subjects.append(visitor.account)
        subjects += visitor.others
        if not set(purposes).isdisjoint(ALL_PURPOSES):  # marketing reaches nobody by a cookie's id
            subjects += visitor.site_ids
        typed, unread = self.typed(posted.form)
        place = _place(posted.form)
        choice = Choice(
            kind,
            tuple(purposes),
            Source.FORM,
            self._consent.clock(),
            place,
            posted.notice,
            manner=Manner.WEB,
            details={**residing(place), "form_token": posted.token},
        )
        chosen = await self._consent.choose([*subjects, *typed], choice)
        self._metrics.chosen(choice.kind, choice.source, choice.manner)
        numbers = [numbered(each.kind, each.value) for each in every_reading(typed) if each.kind == "phone"]
        return self._remembered(_answer(request, chosen, unread, numbers), visitor, browser, purposes, chosen)

    def _remembered(
        self, response: Response, visitor: Visitor, browser: bytes, purposes: Sequence[Purpose], chosen: Chosen
    ) -> Response:
        """The answer with the cookie that remembers the choice, and with the one that brings the openings along. One
        that is set over a cookie that we do not see says no to everything, for so may that one.
        """
        now = self._consent.clock()
        recorded = EVERY_SIGNAL.issubset(purposes) and not chosen.waits
        unwritten = visitor.hidden or (visitor.cookie is not None and visitor.cookie.unwritten)
        denied = visitor.denied.union(purposes, ALL_PURPOSES if visitor.hidden else ())
        cookie = BrowserCookie(browser, day(now), denied, unwritten=unwritten and not recorded)
        own_cookies.remember_said(response, self._consent.secrets.seals, cookie)
        if not chosen.waits:
            own_cookies.hand_out_proofs(response, self._consent.secrets.seals, chosen, int(now.timestamp()))
        return response


def _answer(request: Request, chosen: Chosen, unread: Sequence[str], numbers: Sequence[tuple[str, str]]) -> Response:
    event = chosen.events[0]["event"]
    if chosen.waits:
        at = chosen.accepted_at.strftime("%Y-%m-%d %H:%M")
        return page.show_page(request, "kept.html", 202, at=at, event=event, unread=unread, numbers=numbers)
    return RedirectResponse(page.page_link(request, f"/privacy-choices/done/{event}", unread=unread), 303, page.HEADERS)


def refuse_faulty(said: ChoicesForm) -> None:
    """Before anything that opens is taken of a form. Raises `Problem` for what no page of ours sends."""
    if said.fault == "type":
        raise Problem("unsupported_media_type", f"send {form.URLENCODED}")
    if said.fault:
        raise Problem("too_large" if said.fault == "size" else "malformed", f"the form's {said.fault}")


def _place(said: ChoicesForm) -> str:
    state, country = said.state.upper(), said.country.upper()
    for where, _, names in REGIONS:
        if country in {"", where} and state in names:
            return f"{where}-{state}"
    return country if country in COUNTRIES else ""


MAX_BYTES = 16 * 1024
MAX_FIELDS = 32


T = TypeVar("T", bound=Struct)


async def read_form_fields(request: Request, shape: type[T], origins: Collection[str], *, undoes: bool = False) -> T:
    """The last value of each field, trimmed; what the form has no field for is passed over. Raises `Problem`: a form
    that shows something comes from our own pages (R32). `undoes`: one after which nothing is as it was; a browser says
    that it comes from there.
    """
    is_ours = cross_site.is_same_origin if undoes else cross_site.is_own
    if not is_ours(request.headers, origins):
        raise Problem("cross_site", "press the button on the page itself")
    body = await wire.read_body(request, MAX_BYTES)
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Problem("malformed", "too many fields") from None
    known = wire.names_in(shape)
    return shape(**{name: value.replace("\x00", "").strip() for name, value in pairs if name in known})
