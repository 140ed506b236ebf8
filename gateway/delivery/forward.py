"""Sends allowed rows to a recipient, in a request that may be repeated. `consent.share` calls it.

The body is NDJSON, one row a line with its id; `Idempotency-Key` is the chunk's. A receiver that honours either sees
each row's effect once. How a request goes out is outgoing.py's.
"""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum

import orjson

from gateway.delivery.guard import Network
from gateway.delivery.outgoing import NoHttpAnswer, Outgoing

CONNECT, ANSWER = 2.0, 30.0  # seconds; a receiver's own batch insert fits in it, and a caller's call has 300
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
        self._outgoing = Outgoing(allowed, CONNECT)

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
                "POST", endpoint, headers=headers, body=_in_time(body, deadline), seconds=CONNECT + ANSWER
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
