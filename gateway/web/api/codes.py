"""POST /v1/codes: an app or a backend has a code sent to somebody's mailbox or number, who then reads it out to it.

The answer is the same whether the address is known here or not (V25), and never holds the code. The ticket in it is the
caller's half: the code is good with it alone.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.place import country_of
from gateway.consent.codes import ACCESS, ERASURE, SECONDS, Bound, Codes, opting_in
from gateway.consent.verbs import Consent
from gateway.keys.api_keys import Credentials
from gateway.ledger.subjects import Subject
from gateway.terms import CHOOSABLE, Purpose
from gateway.web.shell import auth, desk_call, fair_queue, wire, words
from gateway.web.shell.problem import Problem

OPT_IN = "opt_in"
USES = (OPT_IN, ACCESS, ERASURE)


class CodeRequest(wire.StrictShape, frozen=True, kw_only=True):
    """To whom a code is to be sent, and what for."""

    identifier: wire.LenientIdentifier
    use: Annotated[str, wire.one_of(USES), Meta(description="it is good for this alone")]
    purpose: Annotated[str, wire.one_of(CHOOSABLE), Meta(description="of opt_in: exactly one")] | None = None
    recipient: Annotated[str | None, Meta(description="of opt_in for a precise point")] = None
    language: Annotated[str | None, Meta(description="of the letter; without it Accept-Language")] = None
    place: wire.OneCountry = None


class CodeSent(Struct):
    """It is on its way."""

    ticket: Annotated[str, Meta(description='goes back as {"kind": "code", "code": C, "ticket": T}')]
    expires_at: wire.Time


class CodeCalls:
    """`POST /v1/codes`. `site`: what the letter calls the operator."""

    def __init__(self, consent: Consent, credentials: Credentials, codes: Codes, site: str) -> None:
        self._consent = consent
        self._credentials = credentials
        self._codes = codes
        self._site = site

    async def post(self, request: Request) -> Response:
        """202 with the ticket, once the code is on its way."""
        key = auth.caller(request, self._credentials, "choose")
        body = await desk_call.one_object(request, CodeRequest, "asking for a code")
        use, subject = self._use(body), self._subject(body)
        letter = words.written(_language(request, body), self._site, use, subject.kind)
        expires = self._consent.clock() + timedelta(seconds=SECONDS)
        asker = fair_queue.source_of(request.scope) if key.publishable else b""
        ticket = await self._codes.send(Bound(subject, use), letter, asker)
        return wire.wire_answer(CodeSent(ticket, wire.stamp(expires)), 202)

    def _use(self, body: Mapping[str, Any]) -> str:
        use, purpose, recipient = wire.word_of(body.get("use"), "use", USES), body.get("purpose"), body.get("recipient")
        if use != OPT_IN:
            return use
        if purpose not in CHOOSABLE:
            raise Problem("one_purpose", "a code for opting in is for exactly one purpose", "/purpose")
        if recipient is not None and not (isinstance(recipient, str) and recipient in self._consent.recipients):
            raise Problem("malformed", "recipient is one that is configured", "/recipient")
        return opting_in(Purpose(purpose), recipient or "")

    def _subject(self, body: Mapping[str, Any]) -> Subject:
        named = self._consent.people.name([body.get("identifier")], country_of(body.get("place")))
        if not named.subjects:
            raise Problem("nothing_usable", "identifier is a mailbox or a number", "/identifier")
        [subject] = named.subjects
        if subject.kind not in self._codes.kinds:
            raise Problem("nothing_usable", "no code can be sent to an identifier of this type", "/identifier/type")
        return subject


def _language(request: Request, body: Mapping[str, Any]) -> str:
    stated = body.get("language")
    return stated if isinstance(stated, str) and stated in words.LANGUAGES else words.language_of(request)
