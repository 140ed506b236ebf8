"""POST /v1/checks: many checks in one call, answered in order; one that cannot be read costs the others nothing (I16).

An array, or `{"defaults", "checks"}`, is answered as an array; NDJSON line by line, with an end line by which a caller
knows that none is missing. The whole body is read before the first answer, so that a client which writes all before it
reads never hangs; then each is decided when it is written, and holds from there.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.credentials import ApiKey, Credentials
from gateway.ledger.writer import StoreUnavailable
from gateway.turns import Turn
from gateway.web import auth, wire
from gateway.web.answering import Answering, refused
from gateway.web.problem import Problem
from gateway.web.streaming import streamed

AT_ONCE = 100  # announced sends that share a commit


class ChecksDoor:
    """The door for callers with many questions."""

    def __init__(self, answering: Answering, credentials: Credentials) -> None:
        self._answering = answering
        self._credentials = credentials

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "check")
        lines = wire.require_json(request, lines=True)
        wire.no_parameters(request)
        body = await wire.read_body(request)
        if lines:
            said = [line for line in body.split(b"\n") if line.strip()]
            return await streamed(self._lines(said, key, auth.request_id(request)), wire.NDJSON)
        asked = _listed(wire.parse(body))
        return await streamed(self._array(asked, key, auth.request_id(request)), wire.JSON)

    async def _array(self, asked: Sequence[object], key: ApiKey, request: str) -> AsyncGenerator[bytes]:
        before = b"["
        async for answer in self._answered(asked, key, request):
            yield before + orjson.dumps(answer)
            before = b","
        yield b"]" if asked else b"[]"

    async def _lines(self, lines: Sequence[bytes], key: ApiKey, request: str) -> AsyncGenerator[bytes]:
        """An answer a line, then the end; or, past the limit, the problem: what follows was not answered."""
        answers = self._answered(lines[: wire.MAX_LINES], key, request)
        async for answer in answers:
            yield orjson.dumps(answer) + b"\n"
        if len(lines) > wire.MAX_LINES:
            yield orjson.dumps({"problem": "too_large", "detail": f"at most {wire.MAX_LINES} checks a call"}) + b"\n"
        else:
            yield orjson.dumps({"end": True, "count": len(lines)}) + b"\n"

    async def _answered(self, asked: Sequence[object], key: ApiKey, request: str) -> AsyncIterator[dict[str, Any]]:
        turn = Turn()
        for start in range(0, len(asked), AT_ONCE):
            part = [_line(one) if isinstance(one, bytes) else one for one in asked[start : start + AT_ONCE]]
            await turn.offered()
            if any(isinstance(one, dict) and one.get("will_send") for one in part):
                for answer in await asyncio.gather(*(self._answer(one, key, request) for one in part)):
                    yield answer
                continue
            for one in part:
                await turn.offered()  # an opt-out that comes meanwhile is written meanwhile
                yield await self._answer(one, key, request)

    async def _answer(self, one: object, key: ApiKey, request: str) -> dict[str, Any]:
        """One answer. What cannot be read is a "no" in its place, and so is a send that cannot be put on record."""
        try:
            if isinstance(one, Problem):
                raise one
            return (await self._answering.answer(wire.convert(one, wire.Check), key, request))[0]
        except (Problem, StoreUnavailable) as error:
            return refused(one, error)


def _line(line: bytes) -> object:
    try:
        return wire.parse(line)
    except Problem as problem:
        return problem


def _listed(stated: object) -> list[object]:
    """The checks of an array, or of an object with what they have in common. Raises `Problem`."""
    defaults: Mapping[str, Any] = {}
    if isinstance(stated, Mapping):
        unknown = sorted(set(stated) - {"defaults", "checks"})
        if unknown:
            raise Problem("unknown_member", "a batch has defaults and checks", f"/{unknown[0][:64]}")
        shared = stated.get("defaults", {})
        if not isinstance(shared, Mapping):
            raise Problem("malformed", "defaults is a check without what differs", "/defaults")
        defaults, stated = shared, stated.get("checks")
    if not isinstance(stated, list):
        raise Problem("malformed", "an array of checks, or {defaults, checks}")
    if len(stated) > wire.MAX_LINES:
        raise Problem("too_large", f"at most {wire.MAX_LINES} checks a call")
    return [{**defaults, **one} if isinstance(one, Mapping) else one for one in stated]
