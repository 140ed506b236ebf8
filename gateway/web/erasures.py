"""POST /v1/erasures: a person is forgotten, of the identifiers that they proved: to the desk (scope desk), or in the
call, which forgets the details and keeps the opt-out (R14, R19).

The answer is the same whether anything was known of them or not.
"""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.codes import ERASURE
from gateway.consent import Consent
from gateway.credentials import ApiKey, Credentials
from gateway.ledger.entry import b64
from gateway.ledger.erasure import Order
from gateway.ledger.received import ACCOUNT_BACKEND
from gateway.terms import Erasing
from gateway.web import auth, desk_call, wire
from gateway.web.problem import Problem
from gateway.web.proof import Proofs

KNOWN = frozenset({"identifiers", "mode", "note_sha256", "place", "proof"})
SHA256_HEX = re.compile("[0-9a-f]{64}")
QUEUED = "queued_if_received"  # who really got something is not for an answer to tell (R6)


class Erasures:
    """The door."""

    def __init__(self, consent: Consent, credentials: Credentials, proofs: Proofs) -> None:
        self._consent = consent
        self._credentials = credentials
        self._proofs = proofs

    async def post(self, request: Request) -> Response:
        """200 once it is done: keys destroyed, files cut."""
        key = auth.anybody(request, self._credentials)
        wire.require_json(request)
        body = desk_call.members(wire.parse(await wire.read_body(request)), KNOWN, "an erasure")
        order = self._order(body)
        if not key.may("desk"):
            await self._prove(body.get("proof"), key, order)
        written = await self._consent.erase(order)
        event, told = b64(written.event), dict.fromkeys(sorted(self._consent.recipients), QUEUED)
        if order.mode is Erasing.CHILD:
            told[ACCOUNT_BACKEND] = "queued"
        done_at = self._consent.clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return wire.answer(
            {"event": event, "seq": written.seq, "receipt": f"/v1/receipts/{event}", "done_at": done_at, "told": told}
        )

    async def _prove(self, stated: object, key: ApiKey, order: Order) -> None:
        """A person alone may have the details forgotten; the other ways are the desk's, which looks at who asks."""
        if order.mode is not Erasing.DETAILS:
            raise Problem("forbidden", f"{order.mode} wants scope desk", "/mode")
        await self._proofs.all(stated, key, order.subjects, ERASURE)

    def _order(self, body: Any) -> Order:
        """All of the identifiers, or none: what is left out would be taken for forgotten."""
        mode, note = body.get("mode"), body.get("note_sha256")
        if mode not in tuple(Erasing):
            raise Problem("malformed", f"mode is one of {', '.join(Erasing)}", "/mode")
        if note is not None and not (isinstance(note, str) and SHA256_HEX.fullmatch(note)):
            raise Problem("malformed", "note_sha256 is 64 lower-case hex digits", "/note_sha256")
        named, ignored = desk_call.named(self._consent, body)
        if ignored:
            raise Problem("nothing_usable", f"an identifier is {ignored[0]['reason']}", ignored[0]["pointer"])
        return Order(Erasing(mode), named.subjects, self._consent.clock(), bytes.fromhex(note) if note else None)
