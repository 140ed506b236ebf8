"""The log for whoever wants to check it: checkpoint, tiles and entry bundles (C2SP tlog-tiles), and receipts by event.

Checkpoint, hash tiles and receipts name nobody and are public; the entries' bytes want scope `export` unless the
operator publishes them (R16). Reads only.
"""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from gateway import seals
from gateway.credentials import Credentials
from gateway.ledger import tiles
from gateway.ledger.log_reader import LogReader
from gateway.web import auth
from gateway.web.problem import Problem

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
            level, n, width = tiles.parse(request.path_params["path"])
        except ValueError:
            raise Problem("not_found", "no such tile") from None
        if level == tiles.ENTRIES and not self._public_entries:
            auth.caller(request, self._credentials, "export")
        found = await asyncio.to_thread(self._log.tile, level, n, width)
        if found is None:
            raise Problem("not_found", "no such tile")
        closed = level == tiles.ENTRIES and not self._public_entries
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
        except seals.Opening:
            raise Problem("not_found", "no such receipt") from None
        (receipt,) = await asyncio.to_thread(self._log.receipts, [event])
        if receipt is None:
            raise Problem("not_found", "no such receipt")
        return Response(receipt.text(), headers=NOW, media_type=TEXT)
