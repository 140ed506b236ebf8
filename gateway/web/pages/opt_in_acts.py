"""The two acts of opting in on our pages, and whose opt-in it is: "yes" to the notice, then "yes" to the confirmation,
which has a text and a proof of its own (R4, L48). Each has a "No" beside it that is as large and costs no step.

A form says by its signed token which text was shown, about what and for whom; without one nothing is taken. The first
act writes nothing; the second is `Consent.confirm`'s.

Whose: an account that is signed in, this browser, or a mailbox or number that was shown by a code (R4). A browser opens
itself alone, never while the live signal or a linked account says no.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.law import AGES
from gateway.consent.choice_result import Chosen, Refused
from gateway.consent.codes import opting_in
from gateway.consent.site import brought_back, widened
from gateway.consent.still_out import YesRests
from gateway.consent.verbs import Consent
from gateway.keys import seals
from gateway.keys.seals import BrowserCookie, Tokens
from gateway.ledger.acts.idempotency import Used
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.proof.entry import Notice
from gateway.ledger.subjects import Choice, Subject
from gateway.signals.form import ChoicesForm
from gateway.terms import ChoiceKind, DataClass, Manner, Purpose, Source
from gateway.web.pages import codes
from gateway.web.pages.codes import Steps
from gateway.web.shell import cross_site, own_cookies, page, words
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.own_cookies import ProofsKept, day, set_browser_cookie
from gateway.web.shell.visitor import Visitor
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


@dataclass(frozen=True, slots=True)
class ActingPerson:
    """Who opts in, and by what: `account`, `browser`, `email`, `phone`."""

    by: str
    subject: Subject


def offered(visitor: Visitor, ways: Collection[str]) -> list[str]:
    """How this visitor may show who they are; `ways`: the kinds of what a code may be sent to. By what an operator does
    not have nobody finds a field to opt out, so nobody opts in by it.
    """
    return [*([ACCOUNT] if visitor.account else []), BROWSER, *ways]


def known(consent: Consent, visitor: Visitor, by: str) -> ActingPerson | None:
    """The account or browser of a request. A browser without our cookie has one made up for it by the door."""
    if by == ACCOUNT and visitor.account:
        return ActingPerson(by, visitor.account)
    if by == BROWSER and visitor.cookie and visitor.cookie.value:
        return ActingPerson(by, consent.people.browser(visitor.cookie.value))
    return None


def new_browser(consent: Consent) -> tuple[ActingPerson, bytes]:
    """A browser that has no cookie of ours yet, and the id for one."""
    made = seals.new_browser()
    return ActingPerson(BROWSER, consent.people.browser(made.hex())), made


def in_the_way(consent: Consent, visitor: Visitor, person: ActingPerson, wanted: Wanted) -> str:
    """Why a yes is not taken from this person now, or nothing. Raises `StoreUnavailable`."""
    live = person.by in {ACCOUNT, BROWSER} and wanted.purpose in widened(visitor.heard.denied)
    if live:
        return SIGNAL
    if visitor.unclear and person.by in {ACCOUNT, BROWSER}:
        return ACCOUNT_SAYS_NO  # somebody who opted out may be signed in
    accounts = _accounts_of(visitor, person)
    if accounts and consent.checks.read_back(accounts, [wanted.purpose])[wanted.purpose] == "opted_out":
        return ACCOUNT_SAYS_NO
    return _age(consent, person)


def _accounts_of(visitor: Visitor, person: ActingPerson) -> list[Subject]:
    """The accounts while whose no a browser is not opened."""
    if person.by != BROWSER or not visitor.account:
        return []
    return [visitor.account, *(each for each in visitor.others if each.is_account)]


def _age(consent: Consent, person: ActingPerson) -> str:
    try:
        consent.may_open([person.subject], "")
    except Refused:
        return TOO_YOUNG
    return CHILD if consent.checks.band([person.subject]) == AGES[0] else ""


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
        if person is None and by == BROWSER:
            person, made = new_browser(self._consent)
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

    async def _ask(self, request: Request, visitor: Visitor, person: ActingPerson, begun: Begun) -> Response:
        """The first act, answered by the second's text. What the browser's cookie alone remembers is put on its record
        before, being older than the yes that may follow.
        """
        if person.by == BROWSER:
            mine = self._consent.checks.standings_of(person.subject.keys) or ()
            kept = brought_back(visitor.denied, mine)
            if kept.said:
                await self._consent.observe([person.subject], kept)
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
        token, _ = self._consent.ask_to_confirm([person.subject], choice)
        young = self._consent.checks.is_under_16([person.subject])
        return self._shown(request, page.CONFIRM_NOTICE, wanted, begun.by, confirm=token, young=young)

    async def _confirm(
        self, request: Request, visitor: Visitor, person: ActingPerson, begun: Begun, token: str
    ) -> Response:
        """The second, of the same person about the same thing."""
        asked = self._consent.asked(token)
        if [subject.key for subject in asked.subjects] != [person.subject.key]:
            raise Refused("proof_required", "the first act was somebody else's")
        if Wanted(asked.purpose, asked.choice.recipient) != begun.wanted:
            raise Refused("confirm_unknown", "the first act was about something else")
        rests = YesRests(beneath=_accounts_of(visitor, person))
        chosen = await self._consent.confirm(token, begun.notice, rests=rests)
        self._metrics.chosen(ChoiceKind.OPT_IN, Source.FORM, Manner.WEB)
        return self._written(request, visitor, begun.wanted, person, chosen)

    def _written(
        self, request: Request, visitor: Visitor, wanted: Wanted, person: ActingPerson, chosen: Chosen
    ) -> Response:
        """On to what holds now. A code's proof is used up, and the browser's own cookie denies this no longer."""
        event, now = str(chosen.events[0]["event"]), self._steps.now()
        response = codes.forget_by_code(codes.to(request, DONE + event))
        if person.by == BROWSER and visitor.cookie and not wanted.recipient:
            self._remember(response, visitor.cookie.browser, visitor.denied - {wanted.purpose})
        opened = ProofsKept((event,), chosen.openings, now + own_cookies.PROOF_SECONDS)
        made = own_cookies.set_proof_cookie(self._consent.secrets.seals, opened, now)
        if made:
            response.headers.append("set-cookie", made)
        return response

    def _remember(self, response: Response, browser: bytes, denied: frozenset[Purpose]) -> None:
        cookie = BrowserCookie(browser, day(self._consent.clock()), denied)
        response.headers.append("set-cookie", set_browser_cookie(self._consent.secrets.seals, cookie))

    def _person(self, request: Request, visitor: Visitor, wanted: Wanted, by: str) -> ActingPerson | None:
        """The person that this request shows itself to be of."""
        if by in self._steps.codes.kinds:
            subject = self._steps.proved(request, opting_in(wanted.purpose, wanted.recipient))
            return ActingPerson(by, subject) if subject and subject.kind == by else None
        return known(self._consent, visitor, by)

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
