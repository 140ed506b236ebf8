"""`POST /privacy-choices/proof`: receipts and openings of one submission, in one file, once (R16).

The only answer of the public pages that holds what somebody typed, and only for the browser that it was typed in, while
its confirmation is before them. Reads the log; writes nothing.
"""

import asyncio
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import seals
from gateway.consent import Consent
from gateway.web import cross_site, page, proof_cookie, wire
from gateway.web.problem import Problem
from gateway.web.proof_cookie import Kept
from gateway.web.visitor import jar_of

FILE = "privacy-choice-proof.json"
MAX_BYTES = 4096
EVENT = 16  # bytes of an event's id


class ProofDownload:
    """The door."""

    def __init__(self, consent: Consent, origins: Collection[str]) -> None:
        self._consent = consent
        self._origins = origins

    async def post(self, request: Request) -> Response:
        """The file; where this browser has nothing to open, back to the confirmation, which says so."""
        event, ticket = _fields(await wire.read_body(request, MAX_BYTES))
        jar, now = jar_of(request.scope), int(self._consent.clock().timestamp())
        kept = proof_cookie.read(self._consent.secrets.seals, jar, now)
        opens = kept is not None and kept.opens_with(event, ticket)
        if not cross_site.is_own(request.headers, self._origins, token_valid=opens):
            raise Problem("cross_site", "press the button on the confirmation itself")
        if kept is None or not opens:
            return RedirectResponse(
                page.placed(request, f"/privacy-choices/done/{event}"), 303, {"Cache-Control": "no-store"}
            )
        body = orjson.dumps({"proofs": await self._proofs(kept)}, option=orjson.OPT_INDENT_2)
        headers = {
            "Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{FILE}"',
            "X-Content-Type-Options": "nosniff", "Set-Cookie": proof_cookie.GONE,
        }  # fmt: skip
        return Response(body, headers=headers, media_type=wire.JSON)

    async def _proofs(self, kept: Kept) -> list[dict[str, Any]]:
        events = [seals.unb64(event) for event in kept.events]
        receipts = await asyncio.to_thread(self._consent.log_reader.receipts, events)
        pairs = zip(receipts, kept.openings, strict=True)
        return [{"receipt": found.text(), "opening": opening.to_json()} for found, opening in pairs if found]


def _fields(body: bytes) -> tuple[str, str]:
    """(event, ticket) of the form. Raises `Problem` for an event that is none."""
    try:
        fields = dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=8))
        event = fields.get("event", "")
        if len(seals.unb64(event)) != EVENT:
            raise Problem("not_found", "no such submission")
    except (ValueError, seals.Opening):
        raise Problem("not_found", "no such submission") from None
    return event, fields.get("ticket", "")
