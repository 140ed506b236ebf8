"""`/privacy-choices/opt-in`: one purpose at a time, for whom, and at the end what holds now.

    choose -> (a code) -> read the notice, yes -> read the confirmation, yes -> what holds, and how to take it back

Nothing asks anybody to come here: whoever comes, comes by themselves, so the twelve months' silence is kept (11 CCR
7026(k), 7028(b)). Opting out is one step; this is four at least.

Two acts: "yes" to the notice, then "yes" to the confirmation, which has a text and a proof of its own (R4, L48). Each
has a "No" beside it that is as large and costs no step. A form says by its signed token which text was shown, about
what and for whom; without one nothing is taken. The first act writes nothing; the second is `Consent.confirm`'s.

Whose: an account that is signed in, this browser, or a mailbox or number that was shown by a code (R4). A browser opens
itself alone, never while the live signal or a linked account says no.
"""

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.law import AGES
from gateway.consent.choice_result import Chosen, Refused
from gateway.consent.codes import is_opting_in, opted_into, opting_in
from gateway.consent.site import NOTHING_SAID, Word, brought_back, of_no_home, widened
from gateway.consent.still_out import YesRests
from gateway.consent.verbs import Consent
from gateway.desk import history
from gateway.desk.history import OptedIn
from gateway.keys import seals
from gateway.keys.seals import BrowserCookie, Tokens
from gateway.ledger.acts.idempotency import Used
from gateway.ledger.entry import Notice
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Choice, Subject
from gateway.signals.form import ChoicesForm
from gateway.terms import CHOOSABLE, ChoiceKind, DataClass, Manner, Purpose, Source
from gateway.web.pages import codes, forms, positions
from gateway.web.pages.codes import Steps
from gateway.web.shell import cross_site, own_cookies, page, words
from gateway.web.shell.brand import brand_of
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.own_cookies import day, set_browser_cookie
from gateway.web.shell.problem import Problem
from gateway.web.shell.visitor import Visitor, jar_of
from gateway.web.shell.words import mark

ACCOUNT, BROWSER = "account", "browser"
FOR = {
    BROWSER: mark("this browser, until its cookies are cleared; nothing else that is yours"),
    ACCOUNT: mark("your %(our_account)s; whatever else said no by itself keeps its no"),
    "email": mark(
        "the email address that you have shown to be yours, and nothing that belongs to it; what the same mailbox said"
        " in another spelling is taken back, and what an account said stays"
    ),
    "phone": mark("the phone number that you have shown to be yours, and nothing that belongs to it"),
}
SIGNAL = mark(
    "Your browser sends the Global Privacy Control signal, or another one that says no to this. While it does, that"
    " stands above anything that is chosen here, so nothing would change."
)
ACCOUNT_SAYS_NO = mark(
    "The account that you are signed in to says no to this. While it does, nothing would change on this browser."
)
TOO_YOUNG = mark("Below the age from which we take a permission, there is none to give.")
CHILD = mark("For a child under 13 only a parent can give permission. Please have a parent write to us.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One purpose, for one recipient where it is of the precise location (R4)."""

    purpose: Purpose
    recipient: str = ""


def ways_for(visitor: Visitor, ways: Collection[str]) -> list[str]:
    """How this visitor may show who they are; `ways`: the kinds of what a code may be sent to. By what an operator does
    not have nobody finds a field to opt out, so nobody opts in by it.
    """
    return [*([ACCOUNT] if visitor.account else []), BROWSER, *ways]


def in_the_way(consent: Consent, visitor: Visitor, person: Subject, wanted: Wanted) -> str:
    """Why a yes is not taken from this person now, or nothing. Raises `StoreUnavailable`."""
    if person.kind in {ACCOUNT, BROWSER}:
        if wanted.purpose in widened(visitor.heard.denied):
            return SIGNAL
        if visitor.unclear:
            return ACCOUNT_SAYS_NO  # somebody who opted out may be signed in
    accounts = _accounts_of(visitor, person)
    if accounts and consent.checks.read_back(accounts, [wanted.purpose])[wanted.purpose] == "opted_out":
        return ACCOUNT_SAYS_NO
    try:
        consent.may_open([person], "")
    except Refused:
        return TOO_YOUNG
    return CHILD if consent.checks.band([person]) == AGES[0] else ""


def _accounts_of(visitor: Visitor, person: Subject) -> list[Subject]:
    """The accounts while whose no a browser is not opened."""
    if person.kind != BROWSER or not visitor.account:
        return []
    return [visitor.account, *(each for each in visitor.others if each.is_account)]


TOKEN_SECONDS = 15 * 60  # as long as a confirm token
DONE = "/privacy-choices/opt-in/done/"
OLD = mark("This page was open too long, or it came from another window. Please begin again.")
AWAY = mark("Our records cannot be written at this moment. Please try again in a minute.")
WHY = {
    "superseded": mark("After you began, this was opted out of once more. That is the later word, and it holds."),
    "confirm_used": mark("This was confirmed already; it is not done twice."),
    "proof_required": mark("It was not shown in this browser that this is yours, or too long ago. Please begin again."),
    "store_unavailable": AWAY,
    "too_young": TOO_YOUNG,
}


@dataclass(frozen=True, slots=True)
class Begun:
    """What the token of a form says was shown: which text, about what and for whom."""

    notice: Notice
    wanted: Wanted
    by: str


class Acts:
    """Takes both acts. Holds no state of anybody."""

    def __init__(self, steps: Steps, metrics: Metrics, origins: Collection[str]) -> None:
        self._steps = steps
        self._consent = steps.consent
        self._metrics = metrics
        self._origins = origins
        self._tokens = Tokens(steps.consent.secrets.tokens, "opt-in-form/1")
        self._texts = {kind: page.notice_in_languages(kind) for kind in (page.OPT_IN_NOTICE, page.CONFIRM_NOTICE)}

    def read(self, request: Request, wanted: Wanted, by: str) -> Response:
        """The notice; where something stands in the way, that instead of a "Yes"."""
        visitor = self._steps.visitors.read(request.scope)
        person, made = self._person(request, visitor, wanted, by), b""
        if person is None and by == BROWSER and not visitor.hidden:
            made = seals.new_browser()
            person = self._consent.people.browser(made.hex())
        if person is None:
            return refused(request, WHY["proof_required"], 403)
        try:
            blocked = in_the_way(self._consent, visitor, person, wanted)
        except StoreUnavailable:
            return refused(request, AWAY, 503)
        response = self._shown(request, page.OPT_IN_NOTICE, wanted, by, blocked=blocked)
        if made:  # so that both acts are of one browser; it denies and allows nothing by itself
            self._remember(response, made, visitor.denied)
        return response

    async def take(self, request: Request, said: ChoicesForm) -> Response:
        """A form with `action=opt_in` or `confirm`."""
        begun = self._begun(said)
        if begun is None or not cross_site.is_same_origin(request.headers, self._origins):
            self._metrics.refused_forms.labels("opt_in").inc()
            return refused(request, OLD, 403)
        visitor = self._steps.visitors.read(request.scope)
        person = self._person(request, visitor, begun.wanted, begun.by)
        if person is None:
            return refused(request, WHY["proof_required"], 403)
        try:
            if in_the_way(self._consent, visitor, person, begun.wanted):
                return self.read(request, begun.wanted, begun.by)
            if said.action == ChoiceKind.CONFIRM:
                return await self._confirm(request, visitor, person, begun, said.confirm)
            return await self._ask(request, visitor, person, begun)
        except StoreUnavailable:
            return refused(request, AWAY, 503)
        except Used:
            return refused(request, WHY["confirm_used"], 422)
        except Refused as why:
            return refused(request, WHY.get(why.kind, OLD), 403 if why.kind == "proof_required" else 422)

    async def _ask(self, request: Request, visitor: Visitor, person: Subject, begun: Begun) -> Response:
        """The first act, answered by the second's text. What the browser's cookie alone remembers is put on its record
        before, being older than the yes that may follow.
        """
        if person.kind == BROWSER:
            mine = self._consent.checks.standings_of(person.keys) or ()
            kept = brought_back(visitor.denied, mine)
            if kept.said:
                await self._consent.observe([person], kept)
        wanted, shown = begun.wanted, begun.notice
        data_class = DataClass.PRECISE_GEO if wanted.recipient else None
        choice = Choice(
            ChoiceKind.OPT_IN,
            (wanted.purpose,),
            Source.FORM,
            self._consent.clock(),
            ",".join(sorted(self._consent.checks.places.of(visitor.place))),  # whose law says who may say yes
            shown,
            manner=Manner.WEB,
            recipient=wanted.recipient,
            data_class=data_class,
            ui=shown.version,
        )
        token, _ = self._consent.ask_to_confirm([person], choice)
        young = self._consent.checks.is_under_16([person])
        return self._shown(request, page.CONFIRM_NOTICE, wanted, begun.by, confirm=token, young=young)

    async def _confirm(self, request: Request, visitor: Visitor, person: Subject, begun: Begun, token: str) -> Response:
        """The second, of the same person about the same thing."""
        asked = self._consent.asked(token)
        if [subject.key for subject in asked.subjects] != [person.key]:
            raise Refused("proof_required", "the first act was somebody else's")
        if Wanted(asked.purpose, asked.choice.recipient) != begun.wanted:
            raise Refused("confirm_unknown", "the first act was about something else")
        rests = YesRests(beneath=_accounts_of(visitor, person))
        chosen = await self._consent.confirm(token, begun.notice, rests=rests)
        self._metrics.chosen(ChoiceKind.OPT_IN, Source.FORM, Manner.WEB)
        return self._written(request, visitor, begun.wanted, person, chosen)

    def _written(self, request: Request, visitor: Visitor, wanted: Wanted, person: Subject, chosen: Chosen) -> Response:
        """On to what holds now. A code's proof is used up, and the browser's own cookie denies this no longer."""
        event, now = str(chosen.events[0]["event"]), self._steps.now()
        response = codes.forget_by_code(codes.to(request, DONE + event))
        if person.kind == BROWSER and visitor.cookie and not wanted.recipient:
            self._remember(response, visitor.cookie.browser, visitor.denied - {wanted.purpose})
            response.headers.append("set-cookie", own_cookies.SAID_COOKIE_GONE)  # it would say the no again
        own_cookies.hand_out_proofs(response, self._consent.secrets.seals, chosen, now)
        return response

    def _remember(self, response: Response, browser: bytes, denied: frozenset[Purpose]) -> None:
        cookie = BrowserCookie(browser, day(self._consent.clock()), denied)
        response.headers.append("set-cookie", set_browser_cookie(self._consent.secrets.seals, cookie))

    def _person(self, request: Request, visitor: Visitor, wanted: Wanted, by: str) -> Subject | None:
        """Whoever this request shows itself to be of: by a code, as an account, or as a browser with our cookie."""
        if by in self._steps.codes.kinds:
            subject = self._steps.proved(request, opting_in(wanted.purpose, wanted.recipient))
            return subject if subject and subject.kind == by else None
        if by == BROWSER and visitor.cookie and visitor.cookie.value:
            return self._consent.people.browser(visitor.cookie.value)
        return visitor.account if by == ACCOUNT else None

    def _shown(self, request: Request, kind: str, wanted: Wanted, by: str, **values: Any) -> Response:
        """A logged text with what it is about beside it, and the token that says that it was shown."""
        spoken = words.language_of(request)
        token = self._tokens.make([kind, spoken, wanted.purpose, wanted.recipient, by])
        return page.show_page(
            request,
            f"{kind.replace('-', '_')}_text.html",
            what=words.purposes_in_words(spoken, wanted.purpose, wanted.recipient),
            whose=FOR[by],
            text=page.paragraphs(self._texts[kind][spoken]),
            token=token,
            **values,
        )

    def _begun(self, said: ChoicesForm) -> Begun | None:
        """None for a token that is missing, old, or of the other act's text."""
        shown = self._tokens.read(said.token, TOKEN_SECONDS) if said.token else None
        if shown is None:
            return None
        kind, spoken, purpose, recipient, by = shown
        if kind != (page.CONFIRM_NOTICE if said.action == ChoiceKind.CONFIRM else page.OPT_IN_NOTICE):
            return None
        if said.purpose[:1] not in {(), (purpose,)}:
            return None
        return Begun(self._texts[kind][spoken].notice, Wanted(Purpose(purpose), recipient), by)


def refused(request: Request, why: str, status: int) -> Response:
    """A page that says that nothing was changed, and why."""
    return page.show_page(request, "opt_in_refused.html", status, why=why)


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

    async def show(self, request: Request, problem: str = "", status: int = 200) -> Response:
        """`GET /privacy-choices/opt-in`: nothing is chosen beforehand."""
        visitor, spoken = self._steps.visitors.read(request.scope), words.language_of(request)
        uses = [
            (_name(wanted), words.purposes_in_words(spoken, wanted.purpose, wanted.recipient))
            for wanted in _offered(self._consent)
            if brand_of(request).offers(wanted.purpose) and (self._steps.cpni or wanted.purpose not in OF_CALLS)
        ]
        ways = ways_for(visitor, self._steps.ways(request))
        return page.show_page(
            request, "opt_in.html", status, problem=problem, uses=uses, ways=ways, gpc=visitor.heard.gpc
        )

    async def post(self, request: Request) -> Response:
        """`POST /privacy-choices/opt-in`: to the notice, by way of a code where that is how one shows who one is; or
        with `action=opt_in` the first act.
        """
        said = await forms.read_form_fields(request, OptInForm, self._origins)
        if said.action:
            purpose = (said.purpose,) if said.purpose else ()
            acting = ChoicesForm(action=said.action, purpose=purpose, confirm=said.confirm, token=said.token)
            return await self._acts.take(request, acting)
        wanted, by = next((each for each in _offered(self._consent) if _name(each) == said.what), None), said.by
        visitor = self._steps.visitors.read(request.scope)
        if wanted is None or by not in ways_for(visitor, self._steps.ways(request)):
            return await self.show(request, CHOOSE, 422)
        if by not in self._steps.codes.kinds:
            return self._acts.read(request, wanted, by)
        use = opting_in(wanted.purpose, wanted.recipient)
        sent = await self._steps.send(request, use, by, getattr(said, by, ""))
        return sent if isinstance(sent, Response) else await self.show(request, *sent)

    async def read(self, request: Request) -> Response:
        """`GET /privacy-choices/opt-in/read`: the notice, for whoever has just entered a code."""
        coded = self._steps.read(request)
        if coded is None or not coded.proved or not is_opting_in(coded.use):
            return await self.show(request)
        purpose, recipient = opted_into(coded.use)
        return self._acts.read(request, Wanted(Purpose(purpose), recipient), coded.kind)

    async def done(self, request: Request) -> Response:
        """`GET /privacy-choices/opt-in/done/{event}`: the receipt, how to take it back, and what holds now for whoever
        may read that. Its first showing, in the browser that confirmed, has the ticket of the download (R16).
        """
        name = request.path_params["event"]
        try:
            found = await history.opted_in(self._folder, seals.unb64(name))
        except seals.OpeningFailed:
            found = None
        if found is None or found.kind not in FOR:  # an app's own is shown in the app
            raise Problem("not_found", "no such opt-in")
        keys, jar, now = self._consent.secrets.seals, jar_of(request.scope), self._steps.now()
        shown = own_cookies.first_showing(keys, jar, now, name)
        said_here = own_cookies.was_said_here(keys, jar, now, name)
        response = page.show_page(
            request,
            "opt_in_done.html",
            event=name,
            at=found.at.strftime("%Y-%m-%d %H:%M"),
            what=words.purposes_in_words(words.language_of(request), found.purpose, found.recipient),
            ticket=shown.ticket if shown else "",
            now=await self._now(request, found, said_here=said_here, first=shown is not None),
        )
        own_cookies.keep_proofs(response, keys, shown, now)
        return response

    async def _now(self, request: Request, found: OptedIn, *, said_here: bool, first: bool) -> dict[str, Any] | None:
        """What holds now, and of what; None for whoever may not read it."""
        visitor = self._steps.visitors.read(request.scope)
        own, since = self._is_own(found, visitor), self._consent.clock() - found.at
        if not positions.may_read(since, own=own, said_here=said_here):
            return None
        word = self._word(found, visitor, own=own)
        return {
            "kind": found.kind,
            "whose": FOR[found.kind],
            "holds": word is Word.OPTED_IN,
            "closed": word is Word.CLOSED,
            "why": await self._why(found, visitor, proved=first),
            "young": self._consent.checks.is_under_16([_subject(found)]),
        }

    def _word(self, found: OptedIn, visitor: Visitor, *, own: bool) -> Word:
        """What holds of what was opted in to, for what it is for: an opt-out of something that it belongs to still
        stands above it. This very browser is asked about as the site is told of it, signal, cookie and account too;
        where somebody lives is told by no other page than their own (R13).
        """
        checks, subject = self._consent.checks, [_subject(found)]
        if found.kind == BROWSER and own:
            site = self._steps.visitors.site(visitor, self._steps.visitors.subjects(visitor))
        else:
            site = checks.site(subject, NOTHING_SAID, visitor.place)
        return checks.word_of_yes(site if own else of_no_home(site), subject, found.purpose, found.recipient)

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


def _offered(consent: Consent) -> list[Wanted]:
    """Every purpose, and for the precise location each recipient by itself."""
    precise = [
        Wanted(purpose, name)
        for name, recipient in consent.recipients.items()
        for purpose in recipient.purposes
        if DataClass.PRECISE_GEO in recipient.data and purpose in CHOOSABLE
    ]
    return [*map(Wanted, CHOOSABLE), *precise]


def _name(wanted: Wanted) -> str:
    return f"{wanted.purpose}:{wanted.recipient}" if wanted.recipient else wanted.purpose.value


def _subject(found: OptedIn) -> Subject:
    return Subject(found.kind, "", (found.key,))
