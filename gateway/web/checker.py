"""Answers for the service's own process, with the bodies and answers of the HTTP calls: what `Client.over` asks.

Look-ups are made in the event loop's thread; a call from another one is handed over to it. Knows check, checks and
disclosures, and announces nothing: what is killed here is killed there.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from gateway.client.connection import Response
from gateway.credentials import ApiKey
from gateway.disclosing import Disclosing
from gateway.web import reports_of, wire
from gateway.web.answering import Answering, refused
from gateway.web.problem import KINDS, Problem, of

OWN = ApiKey("own", "own", "", ("check",))
SECONDS = 10.0  # that a call from another thread waits, as long as a commit may take


class Checker:
    """Made in the thread of the loop that the service runs on."""

    def __init__(self, answering: Answering, disclosing: Disclosing) -> None:
        self._answering = answering
        self._disclosing = disclosing
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def answer(self, path: str, body: bytes) -> Response:
        """As the HTTP call of that path would; a fault of ours raises, which a client takes as a no."""
        if path == "/v1/disclosures":  # never in the loop's thread: a client says it beside the work
            return self._waited(self._reported(body))
        if threading.get_ident() == self._thread:
            return self._now(path, body)
        return self._waited(self._handed_over(path, body))

    def _waited(self, coroutine: Any) -> Response:
        found: Response = asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(SECONDS)
        return found

    async def _handed_over(self, path: str, body: bytes) -> Response:
        return self._now(path, body)

    async def _reported(self, body: bytes) -> Response:
        return _answer(await reports_of.taken(self._disclosing, wire.lines_of(body)))

    def _now(self, path: str, body: bytes) -> Response:
        calls: Mapping[str, Callable[[Any], Any]] = {"/v1/check": self._one, "/v1/checks": self._many}
        if path not in calls:
            return Response(404, {}, b"{}")
        try:
            return _answer(calls[path](wire.parse(body)))
        except Problem as problem:
            found = of(problem)
            return Response(KINDS[found.kind][0], {}, b"{}")

    def _one(self, stated: object) -> object:
        return self._answering.at_once(wire.convert(stated, wire.Check), OWN, "own")[0]

    def _many(self, stated: list[object]) -> object:
        return [self._one_of_many(one) for one in stated]

    def _one_of_many(self, one: object) -> object:
        try:
            return self._one(one)
        except Problem as problem:
            return refused(one, problem)


def _answer(body: object) -> Response:
    return Response(200, {}, orjson.dumps(body))
