"""How a message reaches its recipient: the shape that every way has, and the plain one, a signed POST."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from gateway.delivery.post import Courier, Tried


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


class Post:
    """A Standard Webhook. `courier` is shared: whoever made it, and this, may close it."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier

    async def carry(self, parcel: Parcel, at: datetime) -> Tried:
        return await self._courier.post(parcel.endpoint, parcel.keys, parcel.name, at, parcel.body)

    async def close(self) -> None:
        await self._courier.close()
