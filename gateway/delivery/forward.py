"""Sending allowed rows to a recipient, in a request that may be repeated.

The body is NDJSON, one row a line with its id; `Idempotency-Key` is the chunk's. A receiver that honours either sees
each row's effect once. No redirects are followed and no proxy of the environment is used.
"""

import ssl
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache

import httpx2
import orjson

CONNECT, ANSWER = 2.0, 30.0  # seconds; a receiver's own batch insert fits in it, and a caller's call has 300


class Outcome(Enum):
    SENT = "sent"
    UNKNOWN = "unknown"  # bytes may have left; post the same rows again
    REFUSED = "refused"  # the receiver answered that it did not take them, or was not reached
    LATE = "late"  # the deadline passed before the first byte of the body; nothing left


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: Outcome
    detail: str


class _TooLate(Exception):
    """Connecting took longer than the check is good for."""


@cache
def authorities() -> ssl.SSLContext:
    """Whose certificates are believed: read once a process, which takes 5 ms (measured)."""
    return httpx2.create_ssl_context(trust_env=False)


class Forwarder:
    """One pooled client for all recipients."""

    def __init__(self) -> None:
        timeout = httpx2.Timeout(ANSWER, connect=CONNECT, pool=CONNECT)
        self._client = httpx2.AsyncClient(
            verify=authorities(), timeout=timeout, follow_redirects=False, trust_env=False
        )  # fmt: skip

    async def send(self, endpoint: str, key: str, rows: Sequence[dict[str, object]], deadline: float) -> Answer:
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
            response = await self._client.post(endpoint, content=_in_time(body, deadline), headers=headers)
        except _TooLate:
            return Answer(Outcome.LATE, "the connection took too long")
        except httpx2.ConnectError:
            return Answer(Outcome.REFUSED, "not reached")
        except httpx2.HTTPError as error:
            return Answer(Outcome.UNKNOWN, type(error).__name__)
        if response.is_success:
            return Answer(Outcome.SENT, str(response.status_code))
        if response.is_server_error:
            return Answer(Outcome.UNKNOWN, str(response.status_code))
        return Answer(Outcome.REFUSED, str(response.status_code))

    async def close(self) -> None:
        await self._client.aclose()


async def _in_time(body: bytes, deadline: float) -> AsyncIterator[bytes]:
    """The body, asked for once a connection is there."""
    if time.monotonic() > deadline:
        raise _TooLate
    yield body
