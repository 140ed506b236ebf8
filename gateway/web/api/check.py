"""POST /v1/check, for ad servers and backends: may this data go to this recipient now? A "no" is a 200."""

import time

from starlette.requests import Request
from starlette.responses import Response

from gateway.keys.api_keys import Credentials
from gateway.web.api.check_answer import Answering
from gateway.web.shell import auth, wire


class CheckDoor:
    """`POST /v1/check`."""

    def __init__(self, answering: Answering, credentials: Credentials) -> None:
        self._answering = answering
        self._credentials = credentials

    async def post(self, request: Request) -> Response:
        began = time.perf_counter()
        key = auth.caller(request, self._credentials, "check")
        wire.require_json(request)
        wire.no_parameters(request)
        body = wire.convert(wire.parse_body(await wire.read_body(request)), wire.Check)
        answer, warnings = await self._answering.answer(body, key, auth.request_id(request))
        headers = {"Gateway-Warning": ", ".join(warnings)} if warnings else {}
        headers["Server-Timing"] = f"verdict;dur={(time.perf_counter() - began) * 1000:.2f}"
        return wire.wire_answer(answer, headers=headers)
