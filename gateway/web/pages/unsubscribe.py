"""One click in a mail program ends marketing (RFC 8058), and `POST /v1/unsubscribe-links`, which makes the links (R21).

The link is the authority: no cookie, no form token, no check of who sent it. A GET shows a page with one button and
changes nothing, since mail scanners follow links.
"""

import contextlib
from typing import Annotated

from msgspec import Meta
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.consent import tokens
from gateway.consent.choice_result import Chosen
from gateway.consent.tokens import CHANNELS, UnsubscribeLink, UnsubscribeLinkBody
from gateway.consent.verbs import Consent
from gateway.keys import seals
from gateway.keys.api_keys import Credentials
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Choice
from gateway.signals.lines import Line
from gateway.terms import ChoiceKind, Manner, Purpose, Source
from gateway.web.shell import auth, desk_call, page, problem, wire
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.problem import Problem

MAX_BODY = 16 * 1024  # "List-Unsubscribe=One-Click", and what a mail program may put around it


class Unsubscribe:
    """`/privacy-choices/unsubscribe/{token}`: the page and the click."""

    def __init__(self, consent: Consent, metrics: Metrics) -> None:
        self._consent = consent
        self._metrics = metrics

    async def show(self, request: Request) -> Response:
        """`GET /privacy-choices/unsubscribe/{token}`: one button; 404, with the way to the form, for a link that is
        over.
        """
        link = self._link(request)
        return self._page(request, link, 200 if link else 404, done=False)

    async def post(self, request: Request) -> Response:
        """`POST` on the same: 200 with a page, never a redirect (RFC 8058, 3.1). The body is not needed: whoever posts
        to a link wants what it says. 202 while it is kept beside a ledger that cannot be written.
        """
        link = self._link(request)
        with contextlib.suppress(ClientDisconnect):  # whatever was sent, and whoever left meanwhile
            await wire.beginning(request, MAX_BODY)
        if link is None:
            return self._page(request, None, 404, done=False)
        try:
            chosen = await self._end(link)
        except StoreUnavailable:
            self._metrics.refused_forms.labels("not_kept").inc()
            return self._page(request, link, 503, done=False)
        return self._page(request, link, 202 if chosen.waits else 200, done=True)

    async def _end(self, link: UnsubscribeLink) -> Chosen:
        subjects = self._consent.people.name(link.named()).subjects
        choice = Choice(ChoiceKind.OPT_OUT, (link.channel,), Source.EMAIL, self._consent.clock(), manner=Manner.EMAIL)
        chosen = await self._consent.choose(subjects, choice)
        self._metrics.chosen(choice.kind, choice.source, choice.manner)
        return chosen

    def _link(self, request: Request) -> UnsubscribeLink | None:
        try:
            return tokens.open_unsubscribe(self._consent.secrets.seals, request.path_params["token"])
        except seals.OpeningFailed:
            self._metrics.refused_forms.labels("unsubscribe_link").inc()
            return None

    def _page(self, request: Request, link: UnsubscribeLink | None, status: int, *, done: bool) -> Response:
        channel = link.channel if link else ""
        response = page.show_page(
            request, "unsubscribe.html", status, channel=channel, done=done, failed=status == FAILED
        )
        response.headers["referrer-policy"] = "no-referrer"  # the address of this page is a key
        if status == FAILED:
            response.headers["retry-after"] = "60"
        return response


FAILED = 503


class UnsubscribeRequest(wire.StrictShape, frozen=True, kw_only=True):
    """Whose marketing the link is to end, and which."""

    identifiers: wire.Identifiers
    purpose: Annotated[str, wire.one_of(CHANNELS), Meta(description="the channel that ends")] = Purpose.MARKETING_EMAIL
    place: wire.OneCountry = None


class UnsubscribeLinks:
    """`POST /v1/unsubscribe-links`. `base`: the public origin, empty where the operator did not say it."""

    def __init__(self, consent: Consent, credentials: Credentials, base: str) -> None:
        self._consent = consent
        self._credentials = credentials
        self._base = base

    async def post(self, request: Request) -> Response:
        """201 with the link and its header fields; of NDJSON a line each. Writes nothing."""
        key = auth.caller(request, self._credentials, "choose", "desk")
        if key.publishable:
            raise Problem("forbidden", "this call wants a secret key")
        if not self._base:
            raise Problem("not_found", "[site] url is not configured: where would the link lead?")
        lines = wire.require_json(request, lines=True)
        body = await wire.read_body(request)
        if not lines:
            return wire.wire_answer(self._made(wire.parse_body(body)), 201)
        return wire.lines_answer([self._line(line) for line in wire.lines_of(body)])

    def _line(self, line: Line) -> object:
        try:
            return self._made(wire.parse_body(line.text))
        except problem.HANDLED as error:
            return wire.placed(dict(problem.line(error)), line)

    def _made(self, stated: object) -> UnsubscribeLinkBody:
        body = desk_call.members(stated, UnsubscribeRequest, "an unsubscribe link")
        channel = wire.word_of(body.get("purpose", Purpose.MARKETING_EMAIL), "purpose", CHANNELS)
        named, ignored = desk_call.named(self._consent, body)
        if ignored:
            raise Problem("malformed", ignored[0].reason, ignored[0].pointer)
        try:
            link = tokens.unsubscribe_link_of(Purpose(channel), named.subjects)
        except ValueError as error:
            raise Problem("malformed", str(error), "/identifiers") from None
        return tokens.unsubscribe_answer(self._base, tokens.seal_unsubscribe(self._consent.secrets.seals, link))
