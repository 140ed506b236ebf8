"""Turns: one sender's flood does not make another person's opt-out wait. Nothing is ever refused for coming often.

Every sender has a few requests in the writer at a time; the rest wait, and whoever waits is served one sender after
the other (R17, ledger.md 6.1). Senders are told apart by a hash under a key that lives in memory for a day and is
written nowhere: no address stands in a log, a metric, the ledger or here.
"""

import asyncio
import contextlib
import hmac
import os
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from datetime import date, datetime
from typing import Any

from gateway.web import problem
from gateway.web.edge import App, Message, Receive, Scope, Send
from gateway.web.metrics import Metrics
from gateway.web.peer import Address, Peers
from gateway.web.problem import Problem

WRITING, WRITING_EACH = 256, 16  # the first is one batch of the writer; batches of 16 are as fast (design decision 4)
READ, READ_EACH = 4096, 64  # requests whose body is in memory: 4,096 of 33 kB are 132 MB, and no more are read
BODY = 33 * 1024  # read before the turn: whatever needs no key is smaller (pages 16 kB, the script 32 kB)
BODY_SECONDS = 30.0  # for that much; a phone in the country sends a form's 1 kB in one
REST_SECONDS = 60.0  # for what a caller with a key sends beyond it
IPV6_NETWORK = 56  # bits that one household has (RIPE-690)
QUEUED = ("/privacy-choices", "/v1/choices", "/v1/observe", "/v1/texts")


class FairQueue:
    """Places for `most` at once, for `each` of one source at most. Whoever finds none waits, without end."""

    def __init__(self, most: int, each: int) -> None:
        self._most = most
        self._each = each
        self._held: dict[bytes, int] = {}
        self._taken = 0
        self._waiting: OrderedDict[bytes, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    @contextlib.asynccontextmanager
    async def turn(self, source: bytes) -> AsyncIterator[None]:
        await self._wait(source)
        try:
            yield
        finally:
            self._give_back(source)

    async def _wait(self, source: bytes) -> None:
        if source not in self._waiting and self._free(source):
            self._take(source)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(source, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(source)  # it had been given, and nobody is there to use it
            raise

    def _free(self, source: bytes) -> bool:
        return self._taken < self._most and self._held.get(source, 0) < self._each

    def _take(self, source: bytes) -> None:
        self._taken += 1
        self._held[source] = self._held.get(source, 0) + 1

    def _give_back(self, source: bytes) -> None:
        self._taken -= 1
        self._held[source] -= 1
        if not self._held[source]:
            del self._held[source]
        while self._serve_next():
            pass

    def _serve_next(self) -> bool:
        """Gives one place to the source that was served longest ago and may have one."""
        source = next((each for each in self._waiting if self._free(each)), None)
        if source is None:
            return False
        turns = self._waiting[source]
        turn = turns.popleft()
        if turns:
            self._waiting.move_to_end(source)
        else:
            del self._waiting[source]
        if not turn.done():
            self._take(source)
            turn.set_result(None)
        return True


class Sources:
    """Names for senders, another set every day. `clock` says which day it is."""

    def __init__(self, peers: Peers, clock: Callable[[], datetime]) -> None:
        self._peers = peers
        self._clock = clock
        self._day: date | None = None
        self._key = b""

    def of(self, scope: Scope) -> bytes:
        """8 bytes; equal for one IPv4 address or one IPv6 network, within a day and one process."""
        today = self._clock().date()
        if today != self._day:
            self._day, self._key = today, os.urandom(32)
        return hmac.digest(self._key, _network(self._peers.sender(scope)), "sha256")[:8]


def _network(sender: Address | None) -> bytes:
    if sender is None or sender.version == 4:  # noqa: PLR2004 - IPv4
        return sender.packed if sender else b""
    return sender.packed[: IPV6_NETWORK // 8]


class Queued:
    """The layer, in front of the doors that opt out. The body comes first, under a limit of time, so that who sends it
    slowly keeps nobody waiting; beyond `READ` bodies none is read, and the connections wait as the kernel has them.
    """

    def __init__(self, app: App, sources: Sources, metrics: Metrics) -> None:
        self._app = app
        self._sources = sources
        self._reading = FairQueue(READ, READ_EACH)
        self._writing = FairQueue(WRITING, WRITING_EACH)
        metrics.turns.set_function(lambda: self._reading.waiting + self._writing.waiting)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(QUEUED):
            await self._app(scope, receive, send)
            return
        source = self._sources.of(scope)
        async with self._reading.turn(source):
            try:
                begun = await _begun(receive)
            except Problem as late:
                request_id = scope.get("state", {}).get("request_id", "")
                await problem.response(late, request_id)(scope, receive, send)
                return
            async with self._writing.turn(source):
                await self._app(scope, _replayed(begun, receive), send)


async def _begun(receive: Receive) -> list[Message]:
    """The body's messages, all of them or the first `BODY` bytes. Raises `Problem`."""
    found: list[Message] = []
    size = 0
    with _in_time(BODY_SECONDS):
        async with asyncio.timeout(BODY_SECONDS):
            while size <= BODY:
                found.append(await receive())
                size += len(found[-1].get("body", b""))
                if not found[-1].get("more_body", False):
                    break
    return found


def _replayed(begun: list[Message], receive: Receive) -> Receive:
    rest = deque(begun)
    whole = not begun[-1].get("more_body", False)
    ends = asyncio.get_running_loop().time() + REST_SECONDS

    async def again() -> Message:
        if rest:
            return rest.popleft()
        if whole:
            return await receive()  # that they hang up, after the answer
        with _in_time(REST_SECONDS):
            async with asyncio.timeout_at(ends):
                return await receive()

    return again


@contextlib.contextmanager
def _in_time(seconds: float) -> Any:
    try:
        yield
    except TimeoutError:
        words = f"the body of a request takes at most {seconds:.0f} seconds; nothing was saved"
        raise Problem("too_slow", words, headers={"Connection": "close"}) from None
