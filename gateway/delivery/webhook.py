"""A signed message to a recipient: how it is made, posted and tried again. `gateway.consent.telling` calls it. Every
way of telling has the shape `Carrier`: the plain one (`Courier`), and that of deletions in the operator's own systems
(`DeletionPost`), taken only once the system says in its answer that it deleted.

A message is signed in the form of the Standard Webhooks specification (version 1.0).

    webhook-signature: v1,base64(HMAC-SHA256(secret, id.timestamp.body))

The secret is the recipient's own, made from the installation's: `gateway deliveries --secret NAME` prints it. While a
secret is being replaced both sign. How a request goes out is outgoing.py's.

When a message that was not taken is tried again: later each time, over days, never all at once.

| try | after | since the first |
|---|---|---|
| 2 | 5 s | 5 s |
| 3 | 5 min | 5 min |
| 4 | 30 min | 35 min |
| 5 | 2 h | 2 h 35 min |
| 6 | 5 h | 7 h 35 min |
| 7 | 10 h | 17 h 35 min |
| 8 | 14 h | 1 d 7 h |
| 9 | 20 h | 2 d 3 h |
| 10 | 24 h | 3 d 3 h |
| 11 to 40 | 24 h each | 33 d |

The first ten are the schedule that the Standard Webhooks specification suggests; a day each after them, since an
opt-out has 15 business days. After the last try it is the officer's (`gateway deliveries`).
"""

import base64
import hmac
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Protocol

import msgspec
from standardwebhooks import Webhook

from gateway.delivery.guard import Network
from gateway.delivery.outgoing import NoHttpAnswer, Outgoing
from gateway.keys.secret_files import Secrets

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000  # milliseconds
DAY = 24 * HOUR
PAUSES = (5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, DAY)
MOST_TRIES = 40
JITTER = 0.1  # of a pause, either way: receivers that were down together are not all asked at one moment
LONGEST_WISH = DAY  # of a Retry-After: nobody may put off an opt-out for longer


def pause(tries: int, *, between: Callable[[float, float], float] = random.uniform) -> int | None:
    """Milliseconds until the next try, after `tries` of them failed; None: that was the last one."""
    if tries >= MOST_TRIES:
        return None
    plain = PAUSES[min(tries, len(PAUSES)) - 1]
    return round(plain * between(1 - JITTER, 1 + JITTER))


def wished(retry_after: str, now: datetime) -> int:
    """What a Retry-After header asks for, in milliseconds from now; 0 where it cannot be read (RFC 9110 10.2.3)."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * SECOND, LONGEST_WISH)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return 0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(round((at - now).total_seconds() * SECOND), 0), LONGEST_WISH)


IN_ALL = 15.0  # seconds; a message is small, and whoever takes longer gets it again
LABEL = b"deliveries/1\x00"
GONE = 410  # Standard Webhooks: the receiver wants nothing more


class PostOutcome(StrEnum):
    """What became of one try."""

    TAKEN = "taken"
    GONE = "gone"  # the endpoint is given up by its owner
    FORBIDDEN = "forbidden"  # it leads into a network that messages do not go to
    REFUSED = "refused"  # for good: asking again would be answered so again
    FAILED = "failed"  # refused, not reached, or not in time
    LATER = "later"  # it has it, and has not done yet what it asks for


@dataclass(frozen=True, slots=True)
class Tried:
    """`answer`: a status, or why there was none; never a text of the receiver's. `wait`: what its Retry-After asks for,
    milliseconds. `body`: the answer's. `proof`: what the recipient signed about it, and its id.
    """

    outcome: PostOutcome
    answer: str
    wait: int = 0
    body: bytes = field(default=b"", repr=False)
    proof: str = field(default="", repr=False)
    proof_name: str = ""

    @property
    def taken(self) -> bool:
        return self.outcome is PostOutcome.TAKEN


def secret_of(secrets: Secrets, recipient: str, generation: int = 0) -> bytes:
    """32 bytes, which a recipient is given; of one generation the same until there is a newer key `tokens`."""
    return secrets_of(secrets, recipient, [generation])[0]


def secrets_of(secrets: Secrets, recipient: str, generations: Sequence[int] = (0,)) -> list[bytes]:
    """What signs, the newest first: each of the generations under each key `tokens`, so that a recipient that has not
    been given the newer secret yet knows us by the older one.
    """
    laters = [b"\x00" + str(generation).encode() if generation else b"" for generation in generations]
    name = LABEL + recipient.encode()
    return [hmac.digest(key, name + later, "sha256") for key in reversed(secrets.tokens) for later in laters]


def printed(secret: bytes) -> str:
    """A secret as receivers' libraries take it."""
    return "whsec_" + base64.b64encode(secret).decode()


def signed(keys: Sequence[bytes], name: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers that sign a message. `name` is the same at every attempt: a receiver takes a message once by
    it. Each of `keys` signs, the newest first.
    """
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(name, at.astimezone(UTC), body.decode()) for key in keys),
    }


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message as it goes out. `name` is the same at every try. `keys` sign, the newest first."""

    name: str
    body: bytes = field(repr=False)
    endpoint: str
    keys: Sequence[bytes] = field(repr=False)


class Carrier(Protocol):
    """Tries once, in a bounded time; never raises for what the network or the receiver does."""

    async def carry(self, parcel: Parcel, at: datetime) -> Tried: ...
    async def close(self) -> None: ...


class Courier:
    """The plain way: a Standard Webhook. `allowed`: networks beside the public internet that messages may go to."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._outgoing = Outgoing(allowed)

    async def carry(self, parcel: Parcel, at: datetime) -> Tried:
        headers = {"Content-Type": "application/json", **signed(parcel.keys, parcel.name, at, parcel.body)}
        return await self.send("POST", parcel.endpoint, at, headers=headers, body=parcel.body)

    async def send(
        self,
        method: str,
        url: str,
        at: datetime,
        *,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> Tried:
        """One request and what became of it."""
        try:
            answer = await self._outgoing.ask(method, url, headers=headers, body=body, seconds=IN_ALL)
        except NoHttpAnswer as none:
            return Tried(PostOutcome.FORBIDDEN if none.forbidden else PostOutcome.FAILED, none.why)
        wait = wished(answer.headers.get("Retry-After", ""), at)
        outcome = (
            PostOutcome.TAKEN
            if answer.is_success
            else PostOutcome.GONE
            if answer.status == GONE
            else PostOutcome.FAILED
        )
        return Tried(outcome, str(answer.status), wait, answer.body)

    async def close(self) -> None:
        await self._outgoing.close()


DELETED, REFUSED, NOT_YET = "deleted", "refused", "not yet deleted"
NAMES_NOBODY = "names nobody: the officer's"


class _Said(msgspec.Struct):
    """Of a message, whom it names; of a system's answer, its word."""

    status: object = ""
    identifiers: object = ()


def _said(body: bytes) -> _Said:
    try:
        return msgspec.json.decode(body, type=_Said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Said()


class DeletionPost(Courier):
    """A system answers with a JSON object: `{"status": "deleted"}` once nothing is left but what a suppression needs,
    or nothing ever was; `{"status": "refused"}` where it will not, which makes it the officer's at once. Whoever says
    anything else, or nothing, takes longer and is asked again, under the same id.
    """

    async def carry(self, parcel: Parcel, at: datetime) -> Tried:
        """Of a message that names nobody any answer would be the word of somebody who did nothing."""
        if not _said(parcel.body).identifiers:
            return Tried(PostOutcome.REFUSED, NAMES_NOBODY)
        tried = await super().carry(parcel, at)
        if not tried.taken:
            return tried
        word = _said(tried.body).status
        if word == DELETED:
            return Tried(PostOutcome.TAKEN, DELETED)
        return Tried(PostOutcome.REFUSED, REFUSED) if word == REFUSED else Tried(PostOutcome.LATER, NOT_YET, tried.wait)
