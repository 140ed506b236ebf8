"""One message to one recipient, signed in the form of the Standard Webhooks specification (version 1.0).

    webhook-signature: v1,base64(HMAC-SHA256(secret, id.timestamp.body))

The secret is the recipient's own, made from the installation's: `gateway deliveries --secret NAME` prints it. While a
secret is being replaced both sign. No redirects are followed, no proxy of the environment is used, and no connection is
made into our own network (guard.py). Never decides what is sent.
"""

import asyncio
import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

import anyio
import httpx2
from standardwebhooks import Webhook

from gateway.delivery import schedule
from gateway.delivery.forward import authorities
from gateway.delivery.guard import Forbidden, Network, Transport
from gateway.keys import Secrets

CONNECT, IN_ALL = 5.0, 15.0  # seconds; a message is small, and whoever takes longer gets it again
MOST_ANSWER = 64 * 1024  # bytes of an answer that are read
LABEL = b"deliveries/1\x00"
GONE = 410  # Standard Webhooks: the receiver wants nothing more


class Outcome(StrEnum):
    """What became of one try."""

    TAKEN = "taken"
    GONE = "gone"  # the endpoint is given up by its owner
    FORBIDDEN = "forbidden"  # it leads into a network that messages do not go to
    REFUSED = "refused"  # for good: asking again would be answered so again
    FAILED = "failed"  # refused, not reached, or not in time


@dataclass(frozen=True, slots=True)
class Tried:
    """`answer`: a status, or why there was none; never a text of the receiver's. `wait`: what its Retry-After asks for,
    milliseconds. `body`: the answer's. `proof`: what the recipient signed about it, and its id.
    """

    outcome: Outcome
    answer: str
    wait: int = 0
    body: bytes = field(default=b"", repr=False)
    proof: str = field(default="", repr=False)
    proof_name: str = ""

    @property
    def taken(self) -> bool:
        return self.outcome is Outcome.TAKEN


def secret_of(secrets: Secrets, recipient: str, generation: int = 0) -> bytes:
    """32 bytes; of one generation the same for as long as the installation lives."""
    later = b"\x00" + str(generation).encode() if generation else b""
    return hmac.digest(secrets.tokens[0], LABEL + recipient.encode() + later, "sha256")


def printed(secret: bytes) -> str:
    """As receivers' libraries take it."""
    return "whsec_" + base64.b64encode(secret).decode()


def signed(keys: Sequence[bytes], name: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers. `name` is the same at every attempt: a receiver takes a message once by it. Each of `keys`
    signs, the newest first.
    """
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(name, at.astimezone(UTC), body.decode()) for key in keys),
    }


class Courier:
    """One pooled client, made with the first message. `allowed`: networks beside the public internet."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)
        self._client: httpx2.AsyncClient | None = None

    async def post(self, endpoint: str, keys: Sequence[bytes], name: str, at: datetime, body: bytes) -> Tried:
        """Posts a signed message. Never raises for what the network or the receiver does."""
        headers = {"Content-Type": "application/json", **signed(keys, name, at, body)}
        return await self.send("POST", endpoint, at, headers=headers, body=body)

    async def send(
        self, method: str, url: str, at: datetime, *, headers: dict[str, str] | None = None, body: bytes = b"",
    ) -> Tried:  # fmt: skip
        """One request in a bounded time, its answer read up to a bound."""
        try:
            with anyio.fail_after(IN_ALL):
                return await self._send(method, url, at, headers or {}, body)
        except TimeoutError:
            return Tried(Outcome.FAILED, "too slow")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            if isinstance(error.__cause__, Forbidden):
                return Tried(Outcome.FORBIDDEN, "leads into a network that is not public")
            return Tried(Outcome.FAILED, type(error).__name__)

    async def _send(self, method: str, url: str, at: datetime, headers: dict[str, str], body: bytes) -> Tried:
        headers = {"Accept-Encoding": "identity", **headers}  # nothing is unpacked here
        client = await self._pooled()
        async with client.stream(method, url, content=body, headers=headers) as response:
            received = b""
            async for chunk in response.aiter_raw():
                received += chunk
                if len(received) > MOST_ANSWER:
                    received = b""  # its status counts all the same
                    break
        status = response.status_code
        wait = schedule.wished(response.headers.get("Retry-After", ""), at)
        outcome = Outcome.TAKEN if response.is_success else Outcome.GONE if status == GONE else Outcome.FAILED
        return Tried(outcome, str(status), wait, received)

    async def _pooled(self) -> httpx2.AsyncClient:
        context = await asyncio.to_thread(authorities)  # read from the disk, once a process
        if self._client is None:
            transport = Transport(context, self._allowed)
            timeout = httpx2.Timeout(IN_ALL, connect=CONNECT)
            self._client = httpx2.AsyncClient(
                transport=transport, timeout=timeout, follow_redirects=False, trust_env=False
            )
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
