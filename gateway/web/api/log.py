"""The ledger's public log for whoever checks it: checkpoint, tiles, entry bundles, receipts; and the door of a witness.

Checkpoint, hash tiles (C2SP tlog-tiles) and receipts by event name nobody and are public; the entries' bytes want scope
`export` unless the operator publishes them (R16).

`POST /add-checkpoint` and `GET /HASH/checkpoint` (C2SP tlog-witness as of July 2026) are an application of their own,
run by an auditor (`gateway witness`). Its answers are the specification's, plain text and not problem documents; no
refusal, and no log line, holds a part of what was sent.
"""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.consent.witnesses import SIZE_TYPE
from gateway.keys import seals
from gateway.keys.api_keys import Credentials
from gateway.ledger.audit.log_reader import LogReader
from gateway.ledger.audit.witness import NotSigned, UnknownLog, Witness, WitnessSeen
from gateway.ledger.proof import merkle
from gateway.ledger.proof.merkle import Unproved
from gateway.ledger.publisher import StoreBroken
from gateway.web.shell import auth, wire
from gateway.web.shell.problem import Problem

FOR_EVER = "public, max-age=31536000, immutable"  # a full tile never changes
NOW = {"Cache-Control": "no-store"}
TEXT, BYTES = "text/plain; charset=utf-8", "application/octet-stream"


class LedgerDoor:
    """`public_entries`: anybody may read the entries' bytes."""

    def __init__(self, log: LogReader, credentials: Credentials, *, public_entries: bool) -> None:
        self._log = log
        self._credentials = credentials
        self._public_entries = public_entries

    async def checkpoint(self, _: Request) -> Response:
        """`GET /ledger/checkpoint`: the last signed one."""
        signed = await asyncio.to_thread(self._log.checkpoint)
        if signed is None:
            raise Problem("not_found", "nothing was signed yet")
        return Response(signed, headers=NOW, media_type=TEXT)

    async def tile(self, request: Request) -> Response:
        """`GET /ledger/tile/{path}`: of the tree that was signed, full tiles or the partial one of any earlier size."""
        try:
            level, n, width = merkle.parse_path(request.path_params["path"])
        except ValueError:
            raise Problem("not_found", "no such tile") from None
        closed = level == merkle.ENTRIES and not self._public_entries
        if closed:
            auth.caller(request, self._credentials, "export")
        found = await asyncio.to_thread(self._log.tile, level, n, width)
        if found is None:
            raise Problem("not_found", "no such tile")
        headers = NOW if closed else {"Cache-Control": FOR_EVER}
        return Response(found, headers=headers, media_type=BYTES)

    async def keyed_receipt(self, request: Request) -> Response:
        """`GET /v1/receipts/{event}`, for any key."""
        auth.anybody(request, self._credentials)
        return await self.receipt(request)

    async def receipt(self, request: Request) -> Response:
        """`GET /privacy-choices/receipt/{event}`: the bare tlog-proof."""
        try:
            event = seals.unb64(request.path_params["event"])
        except seals.OpeningFailed:
            raise Problem("not_found", "no such receipt") from None
        (receipt,) = await asyncio.to_thread(self._log.receipts, [event])
        if receipt is None:
            raise Problem("not_found", "no such receipt")
        return Response(receipt.text(), headers=NOW, media_type=TEXT)


MAX_BODY = 512 * 1024  # bytes: a note may have 256 kB, the proof 3 kB


def application(witness: Witness) -> Starlette:
    door = WitnessDoor(witness)
    return Starlette(
        routes=[
            Route("/add-checkpoint", door.add_checkpoint, methods=["POST"]),
            Route("/{origin_hash}/checkpoint", door.checkpoint, methods=["GET"]),
        ]
    )


class WitnessDoor:
    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    async def add_checkpoint(self, request: Request) -> Response:
        body = await wire.beginning(request, MAX_BODY)
        if len(body) > MAX_BODY:
            return _said(413, "the body is too large")
        try:
            return _said(200, await asyncio.to_thread(self._witness.add_checkpoint, body))
        except UnknownLog as unknown:
            return _said(404, str(unknown))
        except NotSigned:
            return _said(403, "no key of this log signed the checkpoint, or its signature does not hold")
        except WitnessSeen as seen:
            # As a header: Starlette adds a charset to a text type, and other logs compare the whole value.
            return Response(f"{seen.size}\n", 409, {"Content-Type": SIZE_TYPE})
        except Unproved:
            return _said(422, "the checkpoint did not grow out of the last one")
        except StoreBroken:
            return _said(503, "nothing can be kept, so nothing is signed")
        except ValueError:
            return _said(400, "not a submission of a checkpoint")

    async def checkpoint(self, request: Request) -> Response:
        """What was signed last here of a log, for its monitors."""
        found = await asyncio.to_thread(self._witness.checkpoint, request.path_params["origin_hash"])
        if found is None:
            return _said(404, "nothing of such a log was signed here")
        return Response(found, headers=NOW, media_type=TEXT)


def _said(status: int, text: str) -> Response:
    return Response(text.removesuffix("\n") + "\n", status, media_type=TEXT)
