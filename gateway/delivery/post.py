"""One message to one recipient, signed in the form of the Standard Webhooks specification (version 1.0).

    webhook-signature: v1,base64(HMAC-SHA256(secret, id.timestamp.body))

The secret is the recipient's own, made from the installation's: `gateway deliveries --secret NAME` prints it. While a
secret is being replaced both sign. How a request goes out is outgoing.py's. Never decides what is sent.
"""

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from standardwebhooks import Webhook

from gateway.delivery import schedule
from gateway.delivery.guard import Network
from gateway.delivery.outgoing import NoAnswer, Outgoing
from gateway.keys import Secrets

IN_ALL = 15.0  # seconds; a message is small, and whoever takes longer gets it again
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
    """Posts for recipients. `allowed`: networks beside the public internet that messages may go to."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._outgoing = Outgoing(allowed)

    async def post(self, endpoint: str, keys: Sequence[bytes], name: str, at: datetime, body: bytes) -> Tried:
        """Posts a signed message. Never raises for what the network or the receiver does."""
        headers = {"Content-Type": "application/json", **signed(keys, name, at, body)}
        return await self.send("POST", endpoint, at, headers=headers, body=body)

    async def send(
        self, method: str, url: str, at: datetime, *, headers: dict[str, str] | None = None, body: bytes = b"",
    ) -> Tried:  # fmt: skip
        """One request and what became of it."""
        try:
            answer = await self._outgoing.ask(method, url, headers=headers, body=body, seconds=IN_ALL)
        except NoAnswer as none:
            return Tried(Outcome.FORBIDDEN if none.forbidden else Outcome.FAILED, none.why)
        wait = schedule.wished(answer.headers.get("Retry-After", ""), at)
        outcome = Outcome.TAKEN if answer.is_success else Outcome.GONE if answer.status == GONE else Outcome.FAILED
        return Tried(outcome, str(answer.status), wait, answer.body)

    async def close(self) -> None:
        await self._outgoing.close()
