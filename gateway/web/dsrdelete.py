"""GET /dsrdelete.json: the key of our deletion requests, for recipients that take the IAB's framework. The same for
everyone; 404 where the operator has no recipient that does.
"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.web import wire
from gateway.web.problem import Problem

PATH = "/dsrdelete.json"


class DsrDelete:
    """The door. `published`: what it answers, empty where there is nothing."""

    def __init__(self, published: Mapping[str, Any]) -> None:
        self._published = published

    async def get(self, _: Request) -> Response:
        if not self._published:
            raise Problem("not_found", "this operator asks nobody by the framework")
        return wire.answer(self._published, headers={"Cache-Control": "public, max-age=3600"})
