"""`/privacy-choices/opt-in`: one purpose at a time, for whom, and at the end what holds now.

    choose -> (a code) -> read the notice, yes -> read the confirmation, yes -> what holds, and how to take it back

Nothing asks anybody to come here: whoever comes, comes by themselves, so the twelve months' silence is kept (11 CCR
7026(k), 7028(b)). Opting out is one step; this is four at least. The acts themselves are `opt_in_acts`.
"""

import contextlib
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.consent.codes import NotSent, TooManyCodes, is_opting_in, opted_into, opting_in
from gateway.consent.site import NOTHING_SAID, Word
from gateway.consent.verbs import Consent
from gateway.desk import history
from gateway.desk.history import OptedIn
from gateway.keys import seals
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Subject
from gateway.signals.form import ChoicesForm
from gateway.terms import CHOOSABLE, DataClass, Purpose
from gateway.web.pages import codes, forms, opt_in_acts, positions
from gateway.web.pages.codes import Steps
from gateway.web.pages.opt_in_acts import BROWSER, FOR, Acts, Wanted
from gateway.web.shell import own_cookies, page, words
from gateway.web.shell.brand import brand_of
from gateway.web.shell.problem import Problem
from gateway.web.shell.visitor import Visitor, jar_of
from gateway.web.shell.words import mark

OF_CALLS = frozenset({Purpose.CPNI_MARKETING, Purpose.CPNI_DISCLOSURE, Purpose.CALL_LOCATION})  # of the module (R27)
CHOOSE = mark("Please choose one use, and for whom it is.")


class OptInForm(Struct):
    """What to allow and how to show who one is; or with an `action`, of what page it came from and its text's."""

    what: str = ""
    by: str = ""
    email: str = ""
    phone: str = ""
    action: str = ""
    purpose: str = ""
    confirm: str = ""
    token: str = ""


class OptInPage:
    """`/privacy-choices/opt-in`."""

    def __init__(self, steps: Steps, acts: Acts, origins: Collection[str], folder: Path) -> None:
        self._steps = steps
        self._consent = steps.consent
        self._acts = acts
        self._origins = origins
        self._folder = folder

    async def show(self, request: Request) -> Response:
        """`GET /privacy-choices/opt-in`: nothing is chosen beforehand."""
        return self._choose(request)

    async def post(self, request: Request) -> Response:
        """`POST /privacy-choices/opt-in`: to the notice, by way of a code where that is how one shows who one is; or
        with `action=opt_in` the first act.
        """
        said = await forms.read_form_fields(request, OptInForm, self._origins)
        if said.action:
            purpose = (said.purpose,) if said.purpose else ()
            acting = ChoicesForm(action=said.action, purpose=purpose, confirm=said.confirm, token=said.token)
            return await self._acts.take(request, acting)
        wanted, by = _wanted(self._consent, said.what), said.by
        visitor = self._steps.visitors.read(request.scope)
        if wanted is None or by not in opt_in_acts.offered(visitor, self._steps.ways(request)):
            return self._choose(request, CHOOSE, 422)
        if by not in self._steps.codes.kinds:
            return self._acts.read(request, wanted, by)
        use = opting_in(wanted.purpose, wanted.recipient)
        try:
            sent = await self._steps.send(request, use, by, getattr(said, by, ""))
        except (NotSent, TooManyCodes, StoreUnavailable) as refused:
            return self._choose(request, *codes.told_by_code(refused))
        return sent or self._choose(request, codes.UNREADABLE[by], 422)

    async def read(self, request: Request) -> Response:
        """`GET /privacy-choices/opt-in/read`: the notice, for whoever has just entered a code."""
        coded = self._steps.read(request)
        if coded is None or not coded.proved or not is_opting_in(coded.use):
            return self._choose(request)
        purpose, recipient = opted_into(coded.use)
        return self._acts.read(request, Wanted(Purpose(purpose), recipient), coded.kind)

    async def done(self, request: Request) -> Response:
        """`GET /privacy-choices/opt-in/done/{event}`: what holds now, read back; the receipt; how to take it back. Its
        first showing, in the browser that confirmed, has the ticket of the download (R16).
        """
        name = request.path_params["event"]
        try:
            found = await history.opted_in(self._folder, seals.unb64(name))
        except seals.OpeningFailed:
            found = None
        if found is None or found.kind not in FOR:  # an app's own is shown in the app
            raise Problem("not_found", "no such opt-in")
        jar, visitor = jar_of(request.scope), self._steps.visitors.read(request.scope)
        word = self._word(found, visitor)
        shown = own_cookies.first_showing(self._consent.secrets.seals, jar, self._steps.now(), name)
        response = page.show_page(
            request,
            "opt_in_done.html",
            event=name,
            at=_minute(found.at),
            kind=found.kind,
            whose=FOR[found.kind],
            what=words.purposes_in_words(words.language_of(request), found.purpose, found.recipient),
            holds=word is Word.OPTED_IN,
            closed=word is Word.CLOSED,
            why=await self._why(found, visitor, proved=shown is not None),
            young=self._consent.checks.is_under_16([_subject(found)]),
            ticket=shown.ticket if shown else "",
        )
        if shown and (made := own_cookies.set_proof_cookie(self._consent.secrets.seals, shown, self._steps.now())):
            response.headers.append("set-cookie", made)
        return response

    def _word(self, found: OptedIn, visitor: Visitor) -> Word:
        """What holds of what was opted in to, for what it is for: an opt-out of something that it belongs to still
        stands above it. This very browser is asked about as the site is told of it, signal, cookie and account too.
        """
        checks, subject = self._consent.checks, [_subject(found)]
        if found.kind == BROWSER and self._is_own(found, visitor):
            site = self._steps.visitors.site(visitor, self._steps.visitors.subjects(visitor))
        else:
            site = checks.site(subject, NOTHING_SAID, visitor.place)
        word = checks.words(site, [found.purpose])[found.purpose]
        if found.recipient and word not in {Word.OPTED_OUT, Word.UNKNOWN, Word.CLOSED}:
            granted = checks.granted(subject, found.recipient, found.purpose, visitor.place)
            return Word.OPTED_IN if granted else Word.NEEDS_YES
        return word

    def _is_own(self, found: OptedIn, visitor: Visitor) -> bool:
        """Whether the request shows that it is of the browser or the account that opted in."""
        return any(each.key == found.key for each in self._steps.visitors.subjects(visitor))

    async def _why(self, found: OptedIn, visitor: Visitor, *, proved: bool) -> list[str]:
        """Each no that still holds, and what ends it: of a mailbox or number on the first showing alone, of a browser
        or an account to whoever is it. For an account it is what holds on this browser beside the account's yes.
        """
        steps, purpose = self._steps, found.purpose
        with contextlib.suppress(StoreUnavailable):
            if self._is_own(found, visitor):
                site = steps.visitors.site(visitor, steps.visitors.subjects(visitor))
                told = self._consent.checks.words(site, [purpose])
                why = await positions.reasons(self._consent, steps.visitors, visitor, told)
                return [*why.get(purpose, ())]
            if proved:
                return positions.of_another(await self._consent.still_out([_subject(found)], [purpose]))
        return []

    def _choose(self, request: Request, problem: str = "", status: int = 200) -> Response:
        visitor, spoken = self._steps.visitors.read(request.scope), words.language_of(request)
        uses = [
            (_name(wanted), words.purposes_in_words(spoken, wanted.purpose, wanted.recipient))
            for wanted in _offered(self._consent)
            if brand_of(request).offers(wanted.purpose) and (self._steps.cpni or wanted.purpose not in OF_CALLS)
        ]
        ways = opt_in_acts.offered(visitor, self._steps.ways(request))
        return page.show_page(
            request, "opt_in.html", status, problem=problem, uses=uses, ways=ways, gpc=visitor.heard.gpc
        )


def _offered(consent: Consent) -> list[Wanted]:
    """Every purpose, and for the precise location each recipient by itself."""
    precise = [
        Wanted(purpose, name)
        for name, recipient in consent.recipients.items()
        for purpose in recipient.purposes
        if DataClass.PRECISE_GEO in recipient.data and purpose in CHOOSABLE
    ]
    return [*map(Wanted, CHOOSABLE), *precise]


def _wanted(consent: Consent, name: str) -> Wanted | None:
    return next((wanted for wanted in _offered(consent) if _name(wanted) == name), None)


def _name(wanted: Wanted) -> str:
    return f"{wanted.purpose}:{wanted.recipient}" if wanted.recipient else wanted.purpose.value


def _subject(found: OptedIn) -> Subject:
    return Subject(found.kind, "", (found.key,))


def _minute(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M")
