"""The two acts of opting in on our pages: "yes" to the notice, then "yes" to the confirmation, which has a text and a
proof of its own (R4, L48). Each has a "No" beside it that is as large and costs no step.

A form says by its signed token which text was shown, about what and for whom; without one nothing is taken. The first
act writes nothing; the second is `Consent.confirm`'s. Owns no address of a page.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.codes import opting_in
from gateway.ledger.entry import Notice
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.idempotency import Used
from gateway.ledger.subjects import Choice
from gateway.outcome import Chosen, Refused
from gateway.seals import BrowserCookie, Tokens
from gateway.signals.form import Form
from gateway.terms import ChoiceKind, DataClass, Manner, Purpose, Source
from gateway.web import code_steps, cross_site, language, notices, opting_in_for, page, proof_cookie
from gateway.web import purpose_words as words
from gateway.web.browser_cookie import day, set_cookie
from gateway.web.code_steps import Steps
from gateway.web.language import mark
from gateway.web.metrics import Metrics
from gateway.web.opting_in_for import BROWSER, FOR, Person, Wanted
from gateway.web.proof_cookie import Kept
from gateway.web.visit import brought_back
from gateway.web.visitor import Visitor

TOKEN_SECONDS = 15 * 60  # as long as a confirm token
DONE = "/privacy-choices/opt-in/done/"
OLD = mark("This page was open too long, or it came from another window. Please begin again.")
AWAY = mark("Our records cannot be written at this moment. Please try again in a minute.")
WHY = {
    "superseded": mark("After you began, this was opted out of once more. That is the later word, and it holds."),
    "confirm_used": mark("This was confirmed already; it is not done twice."),
    "proof_required": mark("It was not shown in this browser that this is yours, or too long ago. Please begin again."),
    "store_unavailable": AWAY,
    "too_young": opting_in_for.TOO_YOUNG,
}


@dataclass(frozen=True, slots=True)
class Begun:
    """What the token of a form says was shown: which text, about what and for whom."""

    notice: Notice
    wanted: Wanted
    by: str


class Acts:
    """Takes both. Holds no state of anybody."""

    def __init__(self, steps: Steps, metrics: Metrics, origins: Collection[str]) -> None:
        self._steps = steps
        self._consent = steps.consent
        self._metrics = metrics
        self._origins = origins
        self._tokens = Tokens(steps.consent.secrets.tokens, "opt-in-form/1")
        self._texts = {kind: notices.in_languages(kind) for kind in (notices.OPT_IN, notices.CONFIRM)}

    def read(self, request: Request, wanted: Wanted, by: str) -> Response:
        """The notice; where something stands in the way, that instead of a "Yes"."""
        visitor = self._steps.visitors.read(request.scope)
        person, made = self._person(request, visitor, wanted, by), b""
        if person is None and by == BROWSER:
            person, made = opting_in_for.new_browser(self._consent)
        if person is None:
            return refused(request, WHY["proof_required"], 403)
        try:
            blocked = opting_in_for.in_the_way(self._consent, visitor, person, wanted)
        except StoreUnavailable:
            return refused(request, AWAY, 503)
        response = self._shown(request, notices.OPT_IN, wanted, by, blocked=blocked)
        if made:  # so that both acts are of one browser; it denies and allows nothing by itself
            self._remember(response, made, visitor.denied)
        return response

    async def take(self, request: Request, said: Form) -> Response:
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
            if opting_in_for.in_the_way(self._consent, visitor, person, begun.wanted):
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

    async def _ask(self, request: Request, visitor: Visitor, person: Person, begun: Begun) -> Response:
        """The first act, answered by the second's text. What the browser's cookie alone remembers is put on its record
        before, being older than the yes that may follow.
        """
        if person.by == BROWSER:
            kept = brought_back(self._consent.checks, person.subject, visitor.denied)
            if kept.said:
                await self._consent.observe([person.subject], kept)
        wanted, shown = begun.wanted, begun.notice
        data_class = DataClass.PRECISE_GEO if wanted.recipient else None
        choice = Choice(
            ChoiceKind.OPT_IN, (wanted.purpose,), Source.FORM, self._consent.clock(), "", shown, manner=Manner.WEB,
            recipient=wanted.recipient, data_class=data_class, ui=shown.version,
        )  # fmt: skip
        token, _ = self._consent.ask_to_confirm([person.subject], choice)
        young = opting_in_for.is_young(self._consent.checks, person)
        return self._shown(request, notices.CONFIRM, wanted, begun.by, confirm=token, young=young)

    async def _confirm(
        self, request: Request, visitor: Visitor, person: Person, begun: Begun, token: str
    ) -> Response:  # fmt: skip
        """The second, of the same person about the same thing."""
        asked = self._consent.asked(token)
        if [subject.key for subject in asked.subjects] != [person.subject.key]:
            raise Refused("proof_required", "the first act was somebody else's")
        if Wanted(asked.purpose, asked.recipient) != begun.wanted:
            raise Refused("confirm_unknown", "the first act was about something else")
        chosen = await self._consent.confirm(token, begun.notice)
        self._metrics.chosen(ChoiceKind.OPT_IN, Source.FORM, Manner.WEB)
        return self._written(request, visitor, begun.wanted, person, chosen)

    def _written(
        self, request: Request, visitor: Visitor, wanted: Wanted, person: Person, chosen: Chosen
    ) -> Response:  # fmt: skip
        """On to what holds now. A code's proof is used up, and the browser's own cookie denies this no longer."""
        event, now = str(chosen.events[0]["event"]), self._steps.now()
        response = code_steps.forget(code_steps.to(request, DONE + event))
        if person.by == BROWSER and visitor.cookie and not wanted.recipient:
            self._remember(response, visitor.cookie.browser, visitor.denied - {wanted.purpose})
        opened = Kept((event,), chosen.openings, now + proof_cookie.SECONDS)
        made = proof_cookie.set_cookie(self._consent.secrets.seals, opened, now)
        if made:
            response.headers.append("set-cookie", made)
        return response

    def _remember(self, response: Response, browser: bytes, denied: frozenset[Purpose]) -> None:
        cookie = BrowserCookie(browser, day(self._consent.clock()), denied)
        response.headers.append("set-cookie", set_cookie(self._consent.secrets.seals, cookie))

    def _person(self, request: Request, visitor: Visitor, wanted: Wanted, by: str) -> Person | None:
        """Whoever this request shows that it is."""
        if by in self._steps.codes.kinds:
            subject = self._steps.proved(request, opting_in(wanted.purpose, wanted.recipient))
            return Person(by, subject) if subject and subject.kind == by else None
        return opting_in_for.known(self._consent, visitor, by)

    def _shown(self, request: Request, kind: str, wanted: Wanted, by: str, **values: Any) -> Response:
        """A logged text with what it is about beside it, and the token that says that it was shown."""
        spoken = language.of(request)
        token = self._tokens.make([kind, spoken, wanted.purpose, wanted.recipient, by])
        return page.show(
            request, f"{kind.replace('-', '_')}_text.html", what=words.said(spoken, wanted.purpose, wanted.recipient),
            whose=FOR[by], text=notices.paragraphs(self._texts[kind][spoken]), token=token, **values,
        )  # fmt: skip

    def _begun(self, said: Form) -> Begun | None:
        """None for a token that is missing, old, or of the other act's text."""
        shown = self._tokens.read(said.token, TOKEN_SECONDS) if said.token else None
        if shown is None:
            return None
        kind, spoken, purpose, recipient, by = shown
        if kind != (notices.CONFIRM if said.action == ChoiceKind.CONFIRM else notices.OPT_IN):
            return None
        if said.purpose not in {"", purpose}:
            return None
        return Begun(self._texts[kind][spoken].notice, Wanted(Purpose(purpose), recipient), by)


def refused(request: Request, why: str, status: int) -> Response:
    """Nothing was changed, and why."""
    return page.show(request, "opt_in_refused.html", status, why=why)
