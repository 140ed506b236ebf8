"""The one HTTP client for whatever leaves the gateway: rows for recipients, messages about opt-outs and deletions,
codes for phones, checkpoints for witnesses and time-stamp authorities.

Whoever answers may be hostile, or broken. So an answer is read as it came, never unpacked, up to a bound, and in one
time from the first step to the last byte; no redirect is followed; no proxy and no credential is taken from the
environment; and connections go to judged addresses only (guard.py).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import anyio
import httpx2

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
    """One pool of connections, made with the first request. `allowed`: networks beside the public internet;
    `certificates`: whose are believed, and our own, where that is not `authorities`.
    """

    def __init__(
        self, allowed: Sequence[Network] = (), connect: float = CONNECT, certificates: ssl.SSLContext | None = None
    ) -> None:
        self._allowed = tuple(allowed)
        self._connect = connect
        self._certificates = certificates
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
        except OSError as error:  # a TLS alert after the handshake comes as it is: a certificate that is not taken
            raise NoHttpAnswer(type(error).__name__) from None

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
        context = self._certificates
        if context is None:
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
