"""Sending allowed rows to recipients that take them, for `consent.share`, with the credential that each wants.

Rows are NDJSON, one a line with its id, in a request that may be repeated; `Idempotency-Key` is the chunk's. A receiver
that honours either sees each row's effect once.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

import orjson
import structlog

from gateway.delivery.credentials import Credential, CredentialUnreadable, Stamp
from gateway.delivery.guard import Network
from gateway.delivery.outgoing import NoHttpAnswer, Outgoing
from gateway.disk import boot_seconds

FORWARD_CONNECT, ANSWER = 2.0, 30.0  # seconds; a receiver's own batch insert fits in it, and a caller's call has 300
SERVER_ERROR = 500  # RFC 9110 15.6: whether the rows were taken is not known
_Connections = contextlib.AbstractAsyncContextManager[Outgoing]
log = structlog.get_logger("gateway")


class ForwardOutcome(Enum):
    SENT = "sent"
    UNKNOWN = "unknown"  # bytes may have left; post the same rows again
    REFUSED = "refused"  # the receiver answered that it did not take them, or was not reached
    LATE = "late"  # the deadline passed before the first byte of the body; nothing left


class _TooLate(Exception):
    """Connecting took longer than the check is good for."""


@dataclass(slots=True, eq=False)
class _Certified:
    """By one state of a recipient's certificates, closed once they were replaced and their sends are done."""

    stamp: Stamp
    outgoing: Outgoing
    sends: int = 0
    replaced: bool = False

    @contextlib.asynccontextmanager
    async def in_use(self) -> AsyncIterator[Outgoing]:
        self.sends += 1
        try:
            yield self.outgoing
        finally:
            self.sends -= 1
            await self.close_if_done()

    async def close_if_done(self) -> None:
        if self.replaced and not self.sends:
            await self.outgoing.close()


class Forwarder:
    """Sends rows to all recipients that take them. `allowed`: networks beside the public internet that rows may go to;
    `credentials`: by recipient, of those that want one.
    """

    def __init__(self, allowed: Sequence[Network] = (), credentials: Mapping[str, Credential] | None = None) -> None:
        self._allowed = tuple(allowed)
        self._credentials = credentials or {}
        self._plain = Outgoing(allowed, FORWARD_CONNECT)
        self._certified: dict[str, _Certified] = {}
        self._opening: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def send(
        self, endpoint: str, key: str, rows: Sequence[dict[str, object]], deadline: float, *, to: str = ""
    ) -> ForwardOutcome:
        """Posts one chunk to the recipient of that name. Never raises for what the network, the receiver or a file of
        the credential does. The body starts before `deadline` (of `boot_seconds`) or not at all: waiting for a
        connection must not outlive the check.
        """
        body = b"\n".join(orjson.dumps(row) for row in rows)
        headers = {
            "Content-Type": "application/x-ndjson",
            "Content-Length": str(len(body)),
            "Idempotency-Key": key,
        }
        try:
            connections, proof = await self._shown(to, endpoint, key, body)
            async with connections as outgoing:
                answer = await outgoing.ask(
                    "POST", endpoint, headers=headers | proof, body=_in_time(body, deadline),
                    seconds=FORWARD_CONNECT + ANSWER,
                )  # fmt: skip
        except CredentialUnreadable as error:
            log.error("rows were not sent", recipient=to, why=str(error))  # noqa: TRY400 - where it happened says nothing
            return ForwardOutcome.REFUSED
        except _TooLate:
            return ForwardOutcome.LATE
        except NoHttpAnswer as none:
            return ForwardOutcome.UNKNOWN if none.reached else ForwardOutcome.REFUSED
        if answer.is_success:
            return ForwardOutcome.SENT
        return ForwardOutcome.UNKNOWN if answer.status >= SERVER_ERROR else ForwardOutcome.REFUSED

    async def _shown(self, to: str, endpoint: str, key: str, body: bytes) -> tuple[_Connections, dict[str, str]]:
        """By which connections a chunk goes, and in which headers it says whose it is. Raises `CredentialUnreadable`.
        The files are read anew each time: a token may be good for an hour.
        """
        credential, plain = self._credentials.get(to), contextlib.nullcontext(self._plain)
        if credential is None:
            return plain, {}
        proof = await asyncio.to_thread(credential.headers, endpoint, key, datetime.now(UTC), body)
        if not credential.has_certificates:
            return plain, proof
        async with self._opening[to]:  # of sends that begin together one opens the connections of all
            stamp, known = await asyncio.to_thread(credential.stamp), self._certified.get(to)
            if known is None or known.stamp != stamp:
                context = await asyncio.to_thread(credential.certificates)
                outgoing = Outgoing(self._allowed, FORWARD_CONNECT, context)
                self._certified[to] = _Certified(stamp, outgoing)
                if known:
                    known.replaced = True
                    await known.close_if_done()
            return self._certified[to].in_use(), proof

    async def close(self) -> None:
        for each in (self._plain, *(known.outgoing for known in self._certified.values())):
            await each.close()


async def _in_time(body: bytes, deadline: float) -> AsyncIterator[bytes]:
    """The body, asked for once a connection is there."""
    if boot_seconds() > deadline:
        raise _TooLate
    yield body
