"""Answers of many lines that are decided while they are written, for shares and batches of checks.

The next part is asked for once the connection has room for it, so that a reader who stalls has nothing decided ahead
but that part and what lies in its socket; and no more once it hung up. Whether something on the way keeps lines back
(`X-Accel-Buffering` is a hint to nginx) changes nothing of what is right: each line says until when it holds.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.web.api import answering_clock

Lines = AsyncGenerator[bytes]
STALLS = 300.0  # seconds in which a reader takes nothing, after which it is gone (I34: a share's caller waits as long)
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def streamed(parts: Lines, kind: str) -> Response:
    """An answer of these parts. What is wrong with the first is raised here, where it is still a status."""
    return Streamed(await anext(parts, b""), parts, kind, {**HEADERS, **answering_clock.said_now()})


class Streamed(Response):
    """Begins with `first`, which was decided just now."""

    def __init__(self, first: bytes, parts: Lines, kind: str, headers: Mapping[str, str] = HEADERS) -> None:
        self.status_code = 200
        self.media_type = kind
        self.background = None
        self.init_headers(headers)
        self._first = first
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's own
        gone = asyncio.ensure_future(_hung_up(receive))
        try:
            async with contextlib.aclosing(self._parts):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                part: bytes | None = self._first
                while part is not None:
                    async with asyncio.timeout(STALLS):
                        await send({"type": "http.response.body", "body": part, "more_body": True})
                        await send({"type": "http.response.body", "body": b"", "more_body": True})  # waits for room
                    if gone.done():
                        return
                    part = await anext(self._parts, None)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return  # the server closes what was begun and not ended
        finally:
            gone.cancel()


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
