"""The one HTTP client for whatever leaves the gateway: rows for recipients, messages about opt-outs and deletions,
codes for phones, checkpoints for witnesses and time-stamp authorities.

Whoever answers may be hostile, or broken. So an answer is read as it came, never unpacked, up to a bound, and in one
time from the first step to the last byte; no redirect is followed; no proxy and no credential is taken from the
environment; and connections go to judged addresses only (guard.py).

Allowed rows (`consent.share`) are NDJSON, one row a line with its id, in a request that may be repeated;
`Idempotency-Key` is the chunk's. A receiver that honours either sees each row's effect once.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache

import anyio
import httpx2
import orjson

from gateway.delivery.guard import EVERYWHERE, Forbidden, Network, Transport

MOST_ANSWER = 64 * 1024  # bytes; what anybody has to tell us is a receipt, a signature or a token
CONNECT = 5.0  # seconds
AS_IT_IS = {"Accept-Encoding": "identity"}  # nothing is unpacked here: 400 MB came out of 408 kB of gzip


class NoHttpAnswer(Exception):
    """There was none in time, or none that HTTP can read. `why`: a few words, never a text of the other side.
    `reached`: bytes may have left. `forbidden`: the name leads to an address that nothing is sent to.
    """

    def __init__(self, why: str, *, reached: bool = True, forbidden: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.reached = reached
        self.forbidden = forbidden


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """`whole`: the body was not longer than the bound; of a longer one nothing is kept, and its status counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    whole: bool = True

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004 - RFC 9110 15.3


@cache
def authorities() -> ssl.SSLContext:
    """Whose certificates are believed: read once a process, which takes 5 ms (measured)."""
    return httpx2.create_ssl_context(trust_env=False)


class Outgoing:
    """One pool of connections, made with the first request. `allowed`: networks beside the public internet."""

    def __init__(self, allowed: Sequence[Network] = (), connect: float = CONNECT) -> None:
        self._allowed = tuple(allowed)
        self._connect = connect
        self._client: httpx2.AsyncClient | None = None

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | AsyncIterator[bytes] = b"",
        seconds: float,
        most: int = MOST_ANSWER,
    ) -> HttpAnswer:
        """One request and its answer within `seconds` in all. Raises `NoAnswer`, and what `body` raises."""
        try:
            with anyio.fail_after(seconds):
                return await self._ask(method, url, {**AS_IT_IS, **(headers or {})}, body, most)
        except TimeoutError:
            raise NoHttpAnswer("too slow") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            if isinstance(error.__cause__, Forbidden):
                raise NoHttpAnswer("leads into a network that is not public", reached=False, forbidden=True) from None
            early = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol, httpx2.InvalidURL)
            raise NoHttpAnswer(type(error).__name__, reached=not isinstance(error, early)) from None

    async def _ask(
        self, method: str, url: str, headers: dict[str, str], body: bytes | AsyncIterator[bytes], most: int
    ) -> HttpAnswer:
        client = await self._pooled()
        async with client.stream(method, url, content=body, headers=headers) as response:
            received = bytearray()
            async for chunk in response.aiter_raw():
                received += chunk
                if len(received) > most:
                    return HttpAnswer(response.status_code, response.headers, whole=False)
        return HttpAnswer(response.status_code, response.headers, bytes(received))

    async def _pooled(self) -> httpx2.AsyncClient:
        context = await asyncio.to_thread(authorities)  # read from the disk, once a process
        if self._client is None:
            transport = Transport(context, self._allowed)
            timeout = httpx2.Timeout(None, connect=self._connect)  # the rest is bounded as a whole, by `ask`
            self._client = httpx2.AsyncClient(
                transport=transport, timeout=timeout, follow_redirects=False, trust_env=False
            )
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()


def ask_blocking(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes,
    seconds: float,
    most: int = MOST_ANSWER,
) -> HttpAnswer:
    """The same from a thread or a command, over a connection of its own, to wherever the operator said. Raises
    `NoAnswer`.
    """

    async def once() -> HttpAnswer:
        outgoing = Outgoing(EVERYWHERE)
        try:
            return await outgoing.ask(method, url, headers=headers, body=body, seconds=seconds, most=most)
        finally:
            await outgoing.close()

    return asyncio.run(once())


FORWARD_CONNECT, ANSWER = 2.0, 30.0  # seconds; a receiver's own batch insert fits in it, and a caller's call has 300
SERVER_ERROR = 500  # RFC 9110 15.6: whether the rows were taken is not known


class ForwardOutcome(Enum):
    SENT = "sent"
    UNKNOWN = "unknown"  # bytes may have left; post the same rows again
    REFUSED = "refused"  # the receiver answered that it did not take them, or was not reached
    LATE = "late"  # the deadline passed before the first byte of the body; nothing left


@dataclass(frozen=True, slots=True)
class Sending:
    outcome: ForwardOutcome
    detail: str


class _TooLate(Exception):
    """Connecting took longer than the check is good for."""


class Forwarder:
    """Sends rows to all recipients that take them. `allowed`: networks beside the public internet that rows
    may go to.
    """

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._outgoing = Outgoing(allowed, FORWARD_CONNECT)

    async def send(self, endpoint: str, key: str, rows: Sequence[dict[str, object]], deadline: float) -> Sending:
        """Posts one chunk. Never raises for what the network or the receiver does. The body starts before `deadline`
        (on the monotonic clock) or not at all: waiting for a connection must not outlive the check.
        """
        body = b"\n".join(orjson.dumps(row) for row in rows)
        headers = {
            "Content-Type": "application/x-ndjson",
            "Content-Length": str(len(body)),
            "Idempotency-Key": key,
        }
        try:
            answer = await self._outgoing.ask(
                "POST", endpoint, headers=headers, body=_in_time(body, deadline), seconds=FORWARD_CONNECT + ANSWER
            )
        except _TooLate:
            return Sending(ForwardOutcome.LATE, "the connection took too long")
        except NoHttpAnswer as none:
            return Sending(ForwardOutcome.UNKNOWN if none.reached else ForwardOutcome.REFUSED, none.why)
        if answer.is_success:
            return Sending(ForwardOutcome.SENT, str(answer.status))
        broken = answer.status >= SERVER_ERROR
        return Sending(ForwardOutcome.UNKNOWN if broken else ForwardOutcome.REFUSED, str(answer.status))

    async def close(self) -> None:
        await self._outgoing.close()


async def _in_time(body: bytes, deadline: float) -> AsyncIterator[bytes]:
    """The body, asked for once a connection is there."""
    if time.monotonic() > deadline:
        raise _TooLate
    yield body
