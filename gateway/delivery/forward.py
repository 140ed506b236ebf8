"""Sending allowed rows to a recipient, in a request that may be repeated.

The body is NDJSON, one row a line with its id; `Idempotency-Key` is the chunk's. A receiver that honours either sees
each row's effect once. No redirects are followed and no proxy of the environment is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import httpx2
import orjson

CONNECT, ANSWER = 2.0, 30.0  # seconds; a receiver's own batch insert fits in it, and a caller's call has 300


class Outcome(Enum):
    SENT = "sent"
    UNKNOWN = "unknown"  # bytes may have left; post the same rows again
    REFUSED = "refused"  # the receiver answered that it did not take them


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: Outcome
    detail: str


class Forwarder:
    """One pooled client for all recipients."""

    def __init__(self) -> None:
        timeout = httpx2.Timeout(ANSWER, connect=CONNECT)
        self._client = httpx2.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False)

    async def send(self, endpoint: str, key: str, rows: Sequence[dict[str, object]]) -> Answer:
        """Posts one chunk. Never raises for what the network or the receiver does."""
        body = b"\n".join(orjson.dumps(row) for row in rows)
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key}
        try:
            response = await self._client.post(endpoint, content=body, headers=headers)
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
