"""Checks, bid requests, disclosures and self, answered inside a service's own process with the bodies of the HTTP
calls: what `Client.over` asks.

`InProcessChecker` is the gateway's in the process of a site: look-ups are made in the event loop's thread, and a call
from another one is handed over to it; it announces nothing, for a process that is killed takes both down. `Inside`
itself is a replica's: it answers in the thread that asks, and announces in its own spool.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import orjson
from starlette.datastructures import QueryParams

from gateway.client.connection import Response
from gateway.client.verdict import ClientVerdict, ToldInside, read_verdict
from gateway.keys.api_keys import ApiKey
from gateway.ledger.errors import StoreUnavailable
from gateway.web.api import disclosures
from gateway.web.api.check_answer import Answering, refused
from gateway.web.api.health import itself
from gateway.web.api.openrtb import BidQuestion, Bids
from gateway.web.shell import wire
from gateway.web.shell.problem import KINDS, Problem, problem_of

OWN = ApiKey("own", "own", "", ("check",))
SECONDS = 10.0  # that a call from another thread waits, as long as a commit may take
REPORTS = "/v1/disclosures"
T = TypeVar("T")


class Inside:
    """The calls without HTTP, in whichever thread asks. `environment`: what the installation calls itself. What
    `disclosing` does never waits for an event loop. `announces`: whether a send can be announced here, and never waits
    for another thread.
    """

    announces = True

    def __init__(self, answering: Answering, bids: Bids, environment: str, disclosing: disclosures.Taking) -> None:
        self._answering = answering
        self._bids = bids
        self._disclosing = disclosing
        self._calls: Mapping[str, Callable[[str, bytes], Response]] = {
            "/v1/check": lambda _, body: Response(200, {}, self._one(wire.parse_body(body))),
            "/v1/checks": lambda _, body: Response(200, {}, self._each(wire.parse_body(body))),
            "/v1/openrtb": self._bid,
            "/v1/self": lambda *_: _answer(itself(answering.consent, OWN, environment)),
            REPORTS: lambda _, body: finished(self._reported(body)),
        }

    def answer(self, path: str, body: bytes) -> Response:
        """As the HTTP call of that path would, with its query; a fault of ours raises, which a client takes as a no."""
        name, _, query = path.partition("?")
        if name not in self._calls:
            return Response(404, {}, b"{}")
        try:
            return self._calls[name](query, body)
        except (Problem, StoreUnavailable) as error:
            return Response(KINDS[problem_of(error).kind][0], {}, b"{}")

    def told(self, body: Mapping[str, Any]) -> ToldInside | None:
        """The answer to a check of one recipient, as `answer` would give it; None where that is to be asked."""
        try:
            orjson.dumps(body)  # what JSON has no way to write is refused there
            check = msgspec.convert(body, wire.Check)
            if check.signals is not None or check.geo is not None or (check.will_send and not check.dry_run):
                return None  # in the first two may be anything, which JSON makes plain
            found = self._answering.unwritten(check, OWN, "own")
        except (orjson.JSONEncodeError, msgspec.ValidationError, Problem, StoreUnavailable):
            return None
        return found and ToldInside(*_told_alike(found.template), found.decision, found.lasts)

    def _one(self, stated: object) -> bytes:
        body = wire.convert(stated, wire.Check)
        if not self.announces:
            return self._answering.at_once(body, OWN, "own").body
        return finished(self._answering.answer(body, OWN, "own")).body

    def _each(self, stated: list[object]) -> bytes:
        return b"[%b]" % b",".join(map(self._one_of_many, stated))

    def _one_of_many(self, one: object) -> bytes:
        try:
            return self._one(one)
        except (Problem, StoreUnavailable) as error:
            return wire.json_of(refused(one, error))

    def _bid(self, query: str, body: bytes) -> Response:
        asked = BidQuestion(OWN, "own", announces=self.announces)
        found = finished(self._bids.answer(QueryParams(query), body, asked))
        return Response(found.status_code, dict(found.headers), bytes(found.body))

    async def _reported(self, body: bytes) -> Response:
        return _answer(await disclosures.taken(self._disclosing, [line.text for line in wire.lines_of(body)]))


class InProcessChecker(Inside):
    """Made in the thread of the loop that the service runs on."""

    announces = False

    def __init__(self, answering: Answering, bids: Bids, environment: str, disclosing: disclosures.Taking) -> None:
        super().__init__(answering, bids, environment, disclosing)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def answer(self, path: str, body: bytes) -> Response:
        """As the HTTP call of that path would; a fault of ours raises, which a client takes as a no."""
        if path == REPORTS:  # never in the loop's thread: a client says it beside the work
            return self._waited(self._reported(body))
        if threading.get_ident() == self._thread:
            return super().answer(path, body)
        return self._waited(self._handed_over(path, body))

    def told(self, body: Mapping[str, Any]) -> ToldInside | None:
        """The answer to one check in the loop's thread; None elsewhere, and where `answer` is to be asked."""
        return super().told(body) if threading.get_ident() == self._thread else None

    def _waited(self, coroutine: Coroutine[Any, Any, Response]) -> Response:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(SECONDS)

    async def _handed_over(self, path: str, body: bytes) -> Response:
        return super().answer(path, body)


@lru_cache(maxsize=4096)
def _told_alike(template: bytes) -> tuple[ClientVerdict, bytes]:
    """What a finished answer says, read once as any other reader reads it, and what it says downstream, as JSON."""
    stated = orjson.loads(template % (b"", b"null", b"", 1, b""))
    return read_verdict(stated, None, 0.0, None), orjson.dumps(stated["downstream"])


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a call gives that waits for nothing. One that does is a fault of ours: RuntimeError."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        found: T = done.value
        return found
    coroutine.close()
    raise RuntimeError("a call that waits was made where nothing may wait")


def _answer(body: object) -> Response:
    return Response(200, {}, wire.json_of(body))
