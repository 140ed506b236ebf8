"""Authorized agents that are known here, by the Data Rights Protocol: whose signature counts, the token that each is
given for its calls, and what became of what each asked for. `gateway.web.api.agents` has its doors.

An agent is on the operator's list or nobody: without a list every door is closed. A message is libsodium's combined
form, 64 bytes of an Ed25519 signature and then the text, in base64. A token names an agent and its key, so that another
key in the list ends it.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from gateway.delivery.background import Every
from gateway.desk import agent_requests
from gateway.desk.agent_requests import AgentRequest, AgentRequests, TooManyWaiting
from gateway.keys import seals
from gateway.keys.seals import Sealed
from gateway.keys.secret_files import Secrets
from gateway.ledger.acts import idempotency
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import milliseconds
from gateway.ledger.transaction import Transaction
from gateway.ledger.writer import Writer
from gateway.terms import DAY_MS

SIGNATURE = 64  # bytes
MESSAGE = b"agent-message/1\x00"
TOKEN_DAYS = 365
COUNTED_MS = 60_000  # for so long a count of what waits is believed
PERIOD = 3600.0  # seconds between two looks for what is over; its agent has 45 days


class NotSignedByAgent(Exception):
    """What came was not signed by whoever it is said to be of."""


@dataclass(frozen=True, slots=True)
class KnownAgent:
    """One that the operator listed. `business`: what it calls the operator; `key`: its raw Ed25519 key."""

    id: str
    business: str
    key: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.key).hexdigest()

    def open_signed(self, body: bytes) -> bytes:
        """The text that it signed. Raises `NotSignedByAgent`."""
        spelled = re.sub(rb"\s", b"", body).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
        try:
            raw = base64.b64decode(spelled + b"=" * (-len(spelled) % 4), validate=True)
            Ed25519PublicKey.from_public_bytes(self.key).verify(raw[:SIGNATURE], raw[SIGNATURE:])
        except (binascii.Error, ValueError, InvalidSignature):
            raise NotSignedByAgent(self.id) from None
        return raw[SIGNATURE:]


class AgentToken(Struct):
    """Whose it is, under which key, and since when (Unix milliseconds)."""

    agent: str
    key: str
    at: int


TOKEN = Sealed(b"agent-token/1", AgentToken)


class Agents:
    """`known`: by id; empty: no door is open."""

    def __init__(
        self,
        known: Mapping[str, KnownAgent],
        requests: AgentRequests,
        writer: Writer,
        secrets: Secrets,
        clock: Callable[[], datetime],
    ) -> None:
        self.known = known
        self.site = requests.site
        self._requests = requests
        self._writer = writer
        self._secrets = secrets
        self._clock = clock
        self._waiting = dict[str, tuple[int, int]]()  # by agent: when it was counted, and how many wait since

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Until it is left, what nobody comes for in time is denied, what our own systems deleted fulfilled, and what
        was settled long ago forgotten; also of agents that are not listed any more, the last one too.
        """
        return Every("agents", PERIOD, self._sweep, first=0.0).running()

    def _sweep(self) -> None:
        with contextlib.suppress(StoreUnavailable):
            while self._writer.submit(partial(self._requests.expire, now=self._now())).result():
                pass
            self._writer.submit(partial(self._requests.fulfil_deleted, now=self._now())).result()

    def token_of(self, agent: KnownAgent) -> str:
        """A new one."""
        return TOKEN.seal(self._secrets.seals, AgentToken(agent.id, agent.fingerprint, self._now()))

    def bearer_of(self, token: str) -> KnownAgent | None:
        """Whose token it is; None for what is none, or is over."""
        try:
            said = TOKEN.open(self._secrets.seals, token)
        except seals.OpeningFailed:
            return None
        agent, over = self.known.get(said.agent), self._now() > said.at + TOKEN_DAYS * DAY_MS
        return agent if agent and said.key == agent.fingerprint and not over else None

    async def is_first(self, agent: KnownAgent, text: bytes) -> bool:
        """Whether a message that asks for a token comes for the first time. Raises `StoreUnavailable`."""
        now, name = self._now(), f"agent:{self.digest_of(agent, text).hex()}"
        return await self._writer.commit(lambda tx: idempotency.spend(tx, name, b"", now))

    async def add(self, request: AgentRequest) -> AgentRequest | None:
        """On record; None where the same message was before. Raises `TooManyWaiting`, `StoreUnavailable`."""
        if request.is_open:
            await self._make_room(request.agent)
        now = self._now()
        added = await self._writer.commit(lambda tx: self._requests.add(tx, request, now))
        return added and added.as_of(now)

    async def _make_room(self, agent: str) -> None:
        """For one more that waits. Counted beside the writer, whom every opt-out needs, and again after a minute."""
        now = self._now()
        counted, waiting = self._waiting.get(agent, (0, 0))
        if not 0 <= now - counted < COUNTED_MS:
            counted, waiting = now, await asyncio.to_thread(agent_requests.count_waiting, self._writer.store, agent)
        is_full = waiting >= agent_requests.MOST_WAITING
        self._waiting[agent] = counted, waiting if is_full else waiting + 1
        if is_full:
            raise TooManyWaiting(agent)

    async def taken(self, agent: KnownAgent, text: bytes) -> AgentRequest | None:
        """What was made of a message that came before. Raises `StoreUnavailable`."""
        message = self.digest_of(agent, text)
        return await self._writer.commit(lambda tx: self._requests.find(tx, message=message))

    async def find(self, agent: KnownAgent, name: bytes) -> AgentRequest | None:
        """A request of this agent, as it stands now. Raises `StoreUnavailable`."""
        now = self._now()

        def job(tx: Transaction) -> AgentRequest | None:
            self._requests.expire(tx, now, name)
            self._requests.fulfil_deleted(tx, now, only=name)
            found = self._requests.find(tx, name=name)
            return found.as_of(now) if found and found.agent == agent.id else None

        return await self._writer.commit(job)

    async def revoke(self, request: AgentRequest) -> AgentRequest | None:
        """None where there is nothing to take back any more. Raises `StoreUnavailable`."""
        now = self._now()

        def job(tx: Transaction) -> AgentRequest | None:
            found = self._requests.find(tx, name=request.id)
            return self._requests.revoke(tx, found, now) if found else None

        revoked = await self._writer.commit(job)
        if revoked and request.agent in self._waiting:
            counted, waiting = self._waiting[request.agent]
            self._waiting[request.agent] = counted, waiting - 1
        return revoked

    def digest_of(self, agent: KnownAgent, text: bytes) -> bytes:
        """By which a message is known again, whatever its signature looks like. Keyed: it names somebody, and a bare
        one could be found by guessing.
        """
        return hmac.digest(self._secrets.peppers[0], MESSAGE + agent.id.encode() + b"\x00" + text, "sha256")

    def _now(self) -> int:
        return milliseconds(self._clock())
