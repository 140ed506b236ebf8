"""The page of marketing preferences: stop all of it, or some of the ways it comes. One step, no proof (R21).

Only ever stops. Legal notices and what the service itself needs go out regardless; the page says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.consent.verbs import Consent
from gateway.ledger.errors import StoreUnavailable
from gateway.signals.form import ChoicesForm
from gateway.terms import ChoiceKind, Purpose
from gateway.web.pages.forms import AD_ID, OptingOut
from gateway.web.shell import page, words
from gateway.web.shell.brand import EMAIL, PHONE, Brand, brand_of
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.visitor import Visitor, Visitors
from gateway.web.shell.words import USES, mark

CHANNELS = (
    Purpose.MARKETING_EMAIL, Purpose.MARKETING_TEXT, Purpose.MARKETING_CALL, Purpose.MARKETING_MAIL,
    Purpose.THIRD_PARTY_MARKETING,
)  # fmt: skip
CPNI = (Purpose.CPNI_MARKETING, Purpose.CPNI_DISCLOSURE)  # what 47 CFR 64.2007 asks approval for
EVERYTHING = (*CHANNELS, *CPNI)
TICKED = "ticked"
NOT_SAVED = mark("Our records cannot be written at this moment. Please press the button again in a minute.")
FOREIGN_FORM = mark("This form was sent from another site or an old window. Please press the button again here.")
NOBODY = mark("Say where the marketing reaches you.")
NOTHING = mark("Tick at least one kind of marketing, or press the button that stops all of it.")
UNREADABLE = mark("We cannot read this. Please check it.")


@dataclass(frozen=True, slots=True)
class MarketingTrouble:
    """Why nothing was saved: a text, and the field to go to."""

    text: str
    field: str = ""


class Marketing:
    """`/privacy-choices/marketing`. `cpni`: whether the operator's module is on (R27)."""

    def __init__(
        self, consent: Consent, visitors: Visitors, metrics: Metrics, origins: Sequence[str], *, cpni: bool
    ) -> None:
        self._consent = consent
        self._visitors = visitors
        self._metrics = metrics
        self._offered = (*CHANNELS, *(CPNI if cpni else ()))
        self._out = OptingOut(consent, visitors, metrics, origins, page.MARKETING_NOTICE)

    async def show(self, request: Request) -> Response:
        return self._form_page(request, ChoicesForm())

    async def post(self, request: Request) -> Response:
        """`POST`: `action=opt_out` stops all, `action=ticked` what `purpose` names. Durable before the 303."""
        posted = await self._out.read(request)
        if not posted.own:
            self._metrics.refused_forms.labels("cross_site").inc()
            return self._form_page(request, posted.form, [MarketingTrouble(FOREIGN_FORM)], 403)
        chosen = self._chosen(posted.form)
        troubles = self._troubles(request, posted.form, chosen)
        if troubles:
            return self._form_page(request, posted.form, troubles, 422)
        try:
            return await self._out.write(request, posted, ChoiceKind.OPT_OUT, chosen)
        except StoreUnavailable:
            self._metrics.refused_forms.labels("not_kept").inc()
            return self._form_page(request, posted.form, [MarketingTrouble(NOT_SAVED)], 503)

    @staticmethod
    def _chosen(said: ChoicesForm) -> Sequence[Purpose]:
        """What is not offered is stopped too: the operator may offer it one day."""
        if said.action != TICKED:
            return EVERYTHING
        ticked = tuple(purpose for purpose in EVERYTHING if purpose in said.purpose)
        unread = set(said.purpose) - set(EVERYTHING)
        return EVERYTHING if ticked and unread else ticked  # what cannot be read may have meant any of them

    def _troubles(self, request: Request, said: ChoicesForm, chosen: Sequence[Purpose]) -> list[MarketingTrouble]:
        """Browsers and advertising ids get no letters: without an address, a number or an account nobody could be left
        in peace. What can be used is taken; a confirmation tells what could not be read.
        """
        reached = replace(said, ad_id="", cut=tuple(each for each in said.cut if each != AD_ID))
        (typed, unread), brand = self._out.typed(reached), brand_of(request)
        troubles = [] if chosen else [MarketingTrouble(NOTHING, next(filter(brand.offers, self._offered)))]
        if not typed and not self._visitors.read(request.scope).account:
            nobody = MarketingTrouble(NOBODY, _fields(brand, signed_in=False)[0])
            troubles += [MarketingTrouble(UNREADABLE, each) for each in unread] or [nobody]
        return troubles

    def _form_page(
        self, request: Request, said: ChoicesForm, troubles: Sequence[MarketingTrouble] = (), status: int = 200
    ) -> Response:
        visitor = self._visitors.read(request.scope)
        return page.show_page(
            request,
            "marketing.html",
            status,
            form=said,
            troubles=troubles,
            fields=_fields(brand_of(request), signed_in=bool(visitor.account)),
            wrong={trouble.field: trouble.text for trouble in troubles},
            **self._out.shown(words.language_of(request)),
            offered={each: USES[each] for each in self._offered if brand_of(request).offers(each)},
            stopped=self._stopped(visitor),
        )

    def _stopped(self, visitor: Visitor) -> Mapping[str, Any] | None:
        """What is stopped for the account that is signed in; nothing is shown of anybody else (R35)."""
        if not visitor.account:
            return None
        states = self._consent.checks.read_back([visitor.account], self._offered)
        return {USES[Purpose(name)]: state in {"opted_out", "unknown"} for name, state in states.items()}


def _fields(brand: Brand, *, signed_in: bool) -> list[str]:
    """What there is to fill in. Who is not signed in can say no by something, whatever the operator has: the notice
    says that it needs no account.
    """
    return [each for each in (EMAIL, PHONE) if each in brand.has or not (signed_in or brand.types_something)]
