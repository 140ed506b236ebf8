"""Deletions in the operator's own systems, as a way of telling (`webhook.Carrier`): signed and posted as any message,
and taken only once the system says in its answer that it deleted. `gateway.consent.telling` carries them by it.

A system answers with a JSON object: `{"status": "deleted"}` once nothing is left but what a suppression needs, or
nothing ever was; `{"status": "refused"}` where it will not, which makes it the officer's at once. Whoever says anything
else, or nothing, takes longer and is asked again, under the same id.
"""

from datetime import datetime

import msgspec

from gateway.delivery.webhook import Courier, Parcel, PostOutcome, Tried

DELETED, REFUSED, NOT_YET = "deleted", "refused", "not yet deleted"
NAMES_NOBODY = "names nobody: the officer's"


class _SystemWord(msgspec.Struct):
    """What a system says in its answer."""

    status: str = ""


class _Asked(msgspec.Struct):
    """Of a message: whom it names."""

    identifiers: list[msgspec.Raw] = []


def _is_anybody(body: bytes) -> bool:
    try:
        return bool(msgspec.json.decode(body, type=_Asked).identifiers)
    except msgspec.DecodeError:
        return False


def _word(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_SystemWord).status
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


class DeletionPost:
    """`courier` is shared: whoever made it, and this, may close it."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier

    async def carry(self, parcel: Parcel, at: datetime) -> Tried:
        """Of a message that names nobody any answer would be the word of somebody who did nothing."""
        if not _is_anybody(parcel.body):
            return Tried(PostOutcome.REFUSED, NAMES_NOBODY)
        tried = await self._courier.post(parcel.endpoint, parcel.keys, parcel.name, at, parcel.body)
        if not tried.taken:
            return tried
        word = _word(tried.body)
        if word == DELETED:
            return Tried(PostOutcome.TAKEN, DELETED)
        return Tried(PostOutcome.REFUSED, REFUSED) if word == REFUSED else Tried(PostOutcome.LATER, NOT_YET, tried.wait)

    async def close(self) -> None:
        await self._courier.close()
