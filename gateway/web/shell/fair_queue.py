"""A fair queue before the ledger's writer: one sender's flood does not make another person's opt-out wait. The service
puts it before its doors, and visits that have something to write take their turn in it. Nothing is ever refused for
coming often.

Every sender has a little work in the writer at a time; the rest waits, and whoever waits is served one sender after the
other (R17). Work is what a request may make the writer do: a form is one, a call as many as it may name identifiers.
Senders are told apart by a hash under a key of the day, made of what lives in memory alone and is written nowhere: no
address stands in a log, a metric, the ledger or here.
"""

import asyncio
import contextlib
import hmac
import os
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from zlib import MAX_WBITS, decompressobj
from zlib import error as ZlibError  # noqa: N812 - zlib's own name is lower case

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.consent.verbs import HEAR_SECONDS
from gateway.keys.api_keys import Credentials
from gateway.web.shell import auth, problem, ticks, wire
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.peer import Address, Peers
from gateway.web.shell.problem import Problem

# Work: the first is one batch of the writer. Of one sender 64 would cost a sixth less each, and hold checks up.
WRITING, WRITING_EACH = 256, 32
READ, READ_EACH = 4096, 64  # requests whose body is in memory: 4,096 of 33 kB are 132 MB, and no more are read
BODY = 33 * 1024  # read before the turn: whatever needs no key is smaller (pages 16 kB, the script 32 kB)
KILOBYTE = 1024
PAGE_SECONDS = HEAR_SECONDS  # that a page waits for its turn; the turn is kept for it
BEHIND = 4096  # pages that wait, the answered among them; of a few kB each
BODY_SECONDS = 30.0  # for that much; a phone in the country sends a form's 1 kB in one
REST_SECONDS = 60.0  # for what a caller with a key sends beyond it
IPV6_NETWORK = 56  # bits that one household has (RIPE-690)
QUEUED = (
    "/privacy-choices", "/v1/choices", "/v1/observe", "/v1/texts", "/v1/codes", "/v1/data-rights-request", "/v1/agent/",
    "/v1/standing", "/v1/access", "/v1/erasures", "/v1/links", "/adchoices",
)  # fmt: skip
# A server's call takes minutes here (NDJSON, a thousand ids): in turn it would hold all places of its address.
OF_SERVERS = ("/v1/standing", "/v1/access", "/v1/erasures", "/v1/links")
WRITES_BY_GET = "/adchoices"  # as the industry's protocols have it; of our other pages a GET may only have news
SOURCE = "source"  # scope["state"] key: who sent a request that was queued


class FairQueue:
    """Places for `most` at once, for `each` of one source at most. Whoever finds none waits, without end. What takes
    more places than a source may have takes all that it may, alone.
    """

    def __init__(self, most: int, each: int) -> None:
        self._most = most
        self._each = each
        self._held: dict[bytes, int] = {}
        self._taken = 0
        self._waiting: OrderedDict[bytes, deque[tuple[asyncio.Future[None], int]]] = OrderedDict()

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def takes(self, source: bytes, work: int = 1) -> bool:
        """Whether the places are free; then they are taken, until they are given back."""
        work = min(work, self._each)
        # Nobody overtakes: neither what this source waits for already, nor much work that waits for room alone.
        free = not self._waiting or (source not in self._waiting and not self._is_waited_for())
        if free and self._may(source, work) and self._fits(work):
            self._take(source, work)
            return True
        return False

    async def wait(self, source: bytes, work: int = 1) -> None:
        """The same for who found none: returns once they are."""
        work = min(work, self._each)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(source, deque()).append((turn, work))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(source, work)  # it had been given, and nobody is there to use it
            else:
                self._leave(source, turn, work)
            raise

    def _leave(self, source: bytes, turn: asyncio.Future[None], work: int) -> None:
        """Whoever hung up waits for nothing, and nobody behind them; passed over already where somebody else gave back
        in the same step.
        """
        turns = self._waiting.get(source, deque())
        with contextlib.suppress(ValueError):
            turns.remove((turn, work))
        if not turns:
            self._waiting.pop(source, None)
        self._serve()

    def _may(self, source: bytes, work: int) -> bool:
        return self._held.get(source, 0) + work <= self._each

    def _fits(self, work: int) -> bool:
        return self._taken + work <= self._most

    def _take(self, source: bytes, work: int) -> None:
        self._taken += work
        self._held[source] = self._held.get(source, 0) + work

    def give_back(self, source: bytes, work: int = 1) -> None:
        """The places are free for whoever is next."""
        work = min(work, self._each)
        self._taken -= work
        self._held[source] -= work
        if not self._held[source]:
            del self._held[source]
        if self._waiting:
            self._serve()

    def _serve(self) -> None:
        while (source := self._next()) is not None and self._fits(self._waiting[source][0][1]):
            turns = self._waiting[source]
            turn, work = turns.popleft()
            if not turns:
                del self._waiting[source]
            if turn.done():  # who hung up in this very step, and has not left yet
                continue
            if turns:
                self._waiting.move_to_end(source)
            self._take(source, work)
            turn.set_result(None)

    def _next(self) -> bytes | None:
        """The source that was served longest ago and may have what it waits for. It is next although there is no room
        for it yet: else much work would wait for ever behind others' little.
        """
        for source, turns in self._waiting.items():
            if self._may(source, turns[0][1]):
                return source
        return None

    def _is_waited_for(self) -> bool:
        """Whether somebody waits for nothing but room."""
        return not self._fits(self._each) and self._next() is not None


class Sources:
    """Names for senders, another set every day. `clock` says which day it is; `secret`: of all processes of a service,
    where there are several.
    """

    def __init__(self, peers: Peers, clock: Callable[[], datetime], secret: bytes = b"") -> None:
        self._peers = peers
        self._clock = clock
        self._secret = secret or os.urandom(32)
        self._day: date | None = None
        self._named = _names_of(self._secret)

    def of(self, scope: Scope) -> bytes:
        """8 bytes; equal for one IPv4 address or one IPv6 network, within a day and one service."""
        today = self._clock().date()
        if today != self._day:
            key = hmac.digest(self._secret, today.isoformat().encode(), "sha256")
            self._day, self._named = today, _names_of(key)
        return self._named(_network(self._peers.sender(scope)))


def _names_of(key: bytes) -> Callable[[bytes], bytes]:
    """Names networks under a key; those of most senders are at hand."""
    return lru_cache(maxsize=1024)(lambda network: hmac.digest(key, network, "sha256")[:8])


def source_of(scope: Scope) -> bytes:
    """Who sent a request of the doors behind the queue."""
    found: bytes = scope.get("state", {}).get(SOURCE, b"")
    return found


def _network(sender: Address | None) -> bytes:
    if sender is None or sender.version == 4:  # noqa: PLR2004 - IPv4
        return sender.packed if sender else b""
    return sender.packed[: IPV6_NETWORK // 8]


@dataclass(slots=True)
class WaitingPage:
    """`has_turn`: it is being written, or was."""

    answered: bool = False
    has_turn: bool = False


class Turns:
    """Whose turn it is in the writer, of one service: for all of its addresses, and for the site behind it."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.queue = FairQueue(WRITING, WRITING_EACH)
        self._behind = dict[asyncio.Task[None], bytes]()  # with whose they are
        self._of_each = Counter[bytes]()

    async def write(self, scope: Scope, act: Callable[[bool], Awaitable[None]]) -> bool:
        """Does what a request that was not queued has to write, in its sender's turn. Where the place is free the page
        waits for as long as the writing takes; else for `PAGE_SECONDS`, and then it is answered, and `act` is done
        behind the answer. `act` is told whether that is so. False: more than `BEHIND` wait, this is not its sender's
        only one, and it is not done.
        """
        if SOURCE in scope.get("state", {}):
            await act(False)
            return True
        source, page = self.sources.of(scope), WaitingPage()
        if self.queue.takes(source):
            await self._act(source, act, page)
            return True
        task = asyncio.create_task(self._wait(source, act, page))
        self._behind[task] = source
        self._of_each[source] += 1
        task.add_done_callback(self._leave)
        try:
            done, _ = await asyncio.wait({task}, timeout=PAGE_SECONDS)
        finally:
            page.answered = True  # or hung up
            kept = page.has_turn or len(self._behind) <= BEHIND or self._of_each[source] == 1
            if not kept:
                self._leave(task)  # at once, for many may be looked at in one turn of the loop
                task.cancel()
        for each in done:
            each.result()
        return kept

    def _leave(self, task: asyncio.Task[None]) -> None:
        source = self._behind.pop(task, None)
        if source is not None:
            self._of_each[source] -= 1
            if not self._of_each[source]:
                del self._of_each[source]

    async def _wait(self, source: bytes, act: Callable[[bool], Awaitable[None]], page: WaitingPage) -> None:
        await self.queue.wait(source)
        await self._act(source, act, page)

    async def _act(self, source: bytes, act: Callable[[bool], Awaitable[None]], page: WaitingPage) -> None:
        page.has_turn = True
        try:
            await act(page.answered)
        finally:
            self.queue.give_back(source)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Turns"]:
        """At the end what waits still has a page's time, for the rest of what a stop may take is the writer's; a signal
        that is lost then comes with the next page.
        """
        try:
            yield self
        finally:
            waiting = set(self._behind)
            if waiting:
                await asyncio.wait(waiting, timeout=PAGE_SECONDS)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


class Queued:
    """The layer that applies the queue, in front of the doors that opt out. The body comes first, under a limit of
    time, so that who sends it slowly keeps nobody waiting; beyond `READ` bodies none is read, and the connections wait
    as the kernel has them. What a server's own key asks of the doors `OF_SERVERS` has the limit and no turn.
    """

    def __init__(self, app: ASGIApp, turns: Turns, metrics: Metrics, credentials: Credentials) -> None:
        self._app = app
        self._credentials = credentials
        self._sources = turns.sources
        self._reading = FairQueue(READ, READ_EACH)
        self._writing = turns.queue
        metrics.turns.set_function(lambda: self._reading.waiting + self._writing.waiting)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_queued(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
        elif self._is_of_server(scope):
            if begun := await _begun_or_told(scope, receive, send):
                await self._app(scope, _replayed(begun, receive), send)
        else:
            await self._in_turn(scope, receive, send)

    def _is_of_server(self, scope: Scope) -> bool:
        key = auth.key_of(scope, self._credentials) if scope["path"].startswith(OF_SERVERS) else None
        return key is not None and not (key.publishable or key.revoked)

    async def _in_turn(self, scope: Scope, receive: Receive, send: Send) -> None:
        source = self._sources.of(scope)
        scope.setdefault("state", {})[SOURCE] = source
        if not self._reading.takes(source):
            await self._reading.wait(source)
        try:
            begun = await _begun_or_told(scope, receive, send)
            if not begun:
                return
            work = _work(begun, zipped=wire.content_encoding(scope) == wire.GZIP)
            if not self._writing.takes(source, work):
                await self._writing.wait(source, work)
            try:
                ticks.begin_tick(scope)
                await self._app(scope, _replayed(begun, receive), send)
            finally:
                self._writing.give_back(source, work)
        finally:
            self._reading.give_back(source)


async def _begun_or_told(scope: Scope, receive: Receive, send: Send) -> list[Message]:
    """The same as `_begun`; nothing for who was too slow and is answered so."""
    try:
        return await _begun(receive)
    except Problem as late:
        request_id = scope.get("state", {}).get("request_id", "")
        await problem.response(late, request_id)(scope, receive, send)
        return []


def _is_queued(method: str, path: str) -> bool:
    return path.startswith(QUEUED if method == "POST" else WRITES_BY_GET)


async def _begun(receive: Receive) -> list[Message]:
    """The body's messages, all of them or the first `BODY` bytes. Raises `Problem`."""
    found: list[Message] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while size <= BODY:
                found.append(await receive())
                size += len(found[-1].get("body", b""))
                if not found[-1].get("more_body", False):
                    break
    except TimeoutError:
        raise _too_slow(BODY_SECONDS) from None
    return found


def _work(begun: list[Message], *, zipped: bool = False) -> int:
    """How much a request may make the writer do: an identifier in JSON has a brace, and all else that is written grows
    with the body, unpacked.
    """
    body = b"".join([message.get("body", b"") for message in begun])
    if zipped:
        unpack = decompressobj(MAX_WBITS | 16)
        with contextlib.suppress(ZlibError):  # whoever reads it refuses it
            body = unpack.decompress(body, BODY)  # more is more than any source may have at once
        if unpack.unused_data:  # a second member, which may be as large
            return WRITING_EACH
    return max(1, body.count(b"{") - 1) + len(body) // KILOBYTE


def _replayed(begun: list[Message], receive: Receive) -> Receive:
    rest = deque(begun)
    whole = not begun[-1].get("more_body", False)
    ends = 0.0 if whole else asyncio.get_running_loop().time() + REST_SECONDS

    async def again() -> Message:
        if rest:
            return rest.popleft()
        if whole:
            return await receive()  # that they hang up, after the answer
        try:
            async with asyncio.timeout_at(ends):
                return await receive()
        except TimeoutError:
            raise _too_slow(REST_SECONDS) from None

    return again


def _too_slow(seconds: float) -> Problem:
    words = f"the body of a request takes at most {seconds:.0f} seconds; nothing was saved"
    return Problem("too_slow", words, headers={"Connection": "close"})
