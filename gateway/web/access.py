"""Access: `POST /v1/access` for the desk or whoever proves it in the call, `/privacy-choices/data` for the person
(R5, R12).

The page proves by this browser's cookie and the signed-in account; codes to a number or a mailbox are not there yet,
and it says so. Writes nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.consent import Consent
from gateway.credentials import Credentials
from gateway.ledger.records import Subject
from gateway.web import access_report, auth, cross_site, desk_call, page, proof, wire
from gateway.web.problem import Problem
from gateway.web.visitor import Visitors

KNOWN = frozenset({"identifiers", "proof", "place"})
FILE = "my-privacy-data.json"
MAX_FORM = 4096
WORDS = {"browser": "this browser", "account": "your account", "email": "e-mail address", "phone": "phone number",
         "gpc": "the Global Privacy Control signal", "gaid": "advertising id", "idfa": "advertising id",
         "unknown": "an identifier", "under_13": "under 13", "13_15": "13 to 15", "16_17": "16 to 17"}  # fmt: skip


class Access:
    """The keyed door. `dev` accepts the development proof."""

    def __init__(self, consent: Consent, credentials: Credentials, *, dev: bool = False) -> None:
        self._consent = consent
        self._credentials = credentials
        self._dev = dev

    async def post(self, request: Request) -> Response:
        """`POST /v1/access`: of the identifiers that the desk looked at, or that the call proves."""
        key = auth.anybody(request, self._credentials)
        wire.require_json(request)
        body = desk_call.members(wire.parse(await wire.read_body(request)), KNOWN, "an access request")
        proof.prove_or_desk(body.get("proof"), key, dev=self._dev)
        named, ignored = desk_call.named(self._consent, body)
        return wire.answer({**await access_report.of(self._consent, named.subjects), "ignored": ignored})


class AccessPage:
    """The page, for whoever this browser is known to be."""

    def __init__(self, consent: Consent, visitors: Visitors, origins: Collection[str], policy_url: str) -> None:
        self._consent = consent
        self._visitors = visitors
        self._origins = origins
        self._policy_url = policy_url

    async def show(self, request: Request) -> Response:
        """`GET /privacy-choices/data`: what is proved, and two buttons; nothing of anybody."""
        return self._page(request, self._proved(request), None)

    async def post(self, request: Request) -> Response:
        """`POST /privacy-choices/data`: the report as a page, or with `action=download` as a file."""
        if not cross_site.is_own(request.headers, self._origins):
            raise Problem("cross_site", "press the button on the page itself")
        action = _action(await wire.read_body(request, MAX_FORM))
        proved = self._proved(request)
        found = await access_report.of(self._consent, proved)
        for entry in found["entries"]:
            if entry["type"] == "browser":  # a receipt is not shown again to whoever sits here next (R35)
                entry["event"] = None
        if action != "download":
            return self._page(request, proved, found)
        body = orjson.dumps(found, option=orjson.OPT_INDENT_2)
        headers = {**page.HEADERS, "Content-Disposition": f'attachment; filename="{FILE}"'}
        return Response(body, 200, headers, wire.JSON)

    def _proved(self, request: Request) -> list[Subject]:
        """The browser and the signed-in account; a site's own cookie ids, which anybody can send, prove nothing."""
        visitor, people = self._visitors.read(request.scope), self._consent.people
        found = [people.browser(visitor.cookie.value)] if visitor.cookie and visitor.cookie.value else []
        return [*found, people.account(visitor.account)] if visitor.account else found

    def _page(self, request: Request, proved: Sequence[Subject], found: Mapping[str, Any] | None) -> Response:
        kinds = {subject.kind for subject in proved}
        return page.show(request, "data.html", kinds=kinds, report=found, policy_url=self._policy_url, words=_words)


def _words(name: str) -> str:
    """A word of ours as a person reads it."""
    return WORDS.get(name, name.replace("_", " "))


def _action(body: bytes) -> str:
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=8)).get("action", "")
    except ValueError:
        raise Problem("malformed", "too many fields") from None
