"""Access: `POST /v1/access` for the desk or whoever proves it in the call, `/privacy-choices/data` for the person
(R5, R12).

The page proves by this browser's cookie, the signed-in account, and a code that was sent to a mailbox or number. Writes
nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.codes import ACCESS
from gateway.consent import Consent
from gateway.credentials import Credentials
from gateway.ledger.subjects import Subject
from gateway.web import access_report, auth, code_steps, desk_call, form_fields, page, report_words, wire
from gateway.web.code_steps import Steps
from gateway.web.proof import Proofs

KNOWN = frozenset({"identifiers", "proof", "place"})
FILE = "my-privacy-data.json"
PAGE = "/privacy-choices/data"


class Access:
    """The keyed door."""

    def __init__(self, consent: Consent, credentials: Credentials, proofs: Proofs) -> None:
        self._consent = consent
        self._credentials = credentials
        self._proofs = proofs

    async def post(self, request: Request) -> Response:
        """`POST /v1/access`: of the identifiers that the desk looked at, or that the call proves."""
        key = auth.anybody(request, self._credentials)
        wire.require_json(request)
        body = desk_call.members(wire.parse(await wire.read_body(request)), KNOWN, "an access request")
        named, ignored = desk_call.named(self._consent, body)
        proved = await self._proofs.or_desk(body.get("proof"), key, named.subjects, ACCESS)
        if len(proved) < len(named.subjects):
            ignored.append({"pointer": "/identifiers", "reason": "not all of them are proved"})
        return wire.answer({**await access_report.of(self._consent, proved), "ignored": ignored})


class AccessPage:
    """The page, for whoever this browser is known to be."""

    def __init__(self, steps: Steps, origins: Collection[str], policy_url: str) -> None:
        self._steps = steps
        self._consent = steps.consent
        self._origins = origins
        self._policy_url = policy_url

    async def show(self, request: Request) -> Response:
        """`GET /privacy-choices/data`: what is proved, and two buttons; nothing of anybody."""
        return self._page(request, self._proved(request), None)

    async def post(self, request: Request) -> Response:
        """`POST /privacy-choices/data`: the report as a page, with `action=download` as a file; `action=forget` ends
        what a code has shown.
        """
        action = (await form_fields.read(request, self._origins)).get("action", "")
        if action == "forget":
            return code_steps.forget(code_steps.to(request, PAGE))
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
        """The browser, the signed-in account, and what a code has shown; a site's own cookie ids, which anybody can
        send, prove nothing.
        """
        coded = self._steps.proved(request, ACCESS)
        return [*self._steps.known(request), *([coded] if coded else [])]

    def _page(self, request: Request, proved: Sequence[Subject], found: Mapping[str, Any] | None) -> Response:
        kinds, ways = {subject.kind for subject in proved}, self._steps.codes.kinds
        return page.show(
            request, "data.html", kinds=kinds, ways=ways, report=found, policy_url=self._policy_url,
            words=report_words.word,
        )  # fmt: skip
