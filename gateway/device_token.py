"""The device token: the memory of one installation of an app, kept by the app and sealed by us (I8, R26).

It holds a random id and the keys of the ids that the installation told us of, so that a new ad id is known to belong to
the device of the old one. Sealed (AES-GCM), made anew with every answer, good as long as its sealing key is. Nothing of
it is stored here. It never says who somebody is, and it never decides anything.
"""

import hashlib
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway import seals
from gateway.keys import KEY_BYTES, Secrets, wrap
from gateway.ledger.entry import b64
from gateway.seals import Opening

LABEL = b"device/1"
OLDER, VERSION = 1, 2
HEAD = struct.Struct(">BB16s")  # version, how many peppers the keys are wrapped with, device id
REPORTED = struct.Struct(f">?H{KEY_BYTES}s")  # attested, the day since 1970 on which it was first told, the key
WAS = struct.Struct(
    f">?{KEY_BYTES}s"
)  # of the older version: its flag said who named an id first, which proves nothing
MOST = 12  # ids of one installation: IDFV, app-set id, and ten ad ids one after the other
NEW, WITHIN = 4, 30  # ids that nobody proved, and days in which no more of them are taken in


class Id(NamedTuple):
    """One id. `attested`: the operator's backend vouched for it with this installation; `day`: since 1970."""

    key: bytes
    attested: bool = False
    day: int = 0


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """`reported`: the oldest first."""

    device: bytes
    reported: tuple[Id, ...] = ()

    @property
    def value(self) -> str:
        """The device as an identifier's value."""
        return self.device.hex()

    @property
    def mark(self) -> str:
        """By which an entry remembers the installation that made it."""
        return mark_of(self.value)

    @property
    def keys(self) -> tuple[bytes, ...]:
        return tuple(each.key for each in self.reported)

    @property
    def attested(self) -> frozenset[bytes]:
        return frozenset(each.key for each in self.reported if each.attested)

    def taken(self, keys: Iterable[bytes], proved: Collection[bytes], day: int) -> list[bytes]:
        """Those of some keys that it takes in: what it knows, what is proved, and a few more in thirty days."""
        known, lately = set(self.keys), sum(each.day > day - WITHIN and not each.attested for each in self.reported)
        taken = []
        for key in keys:
            free = key in known or key in proved
            if free or lately < NEW:
                taken.append(key)
                lately += not free
        return taken

    def with_reported(self, keys: Iterable[bytes], attested: Collection[bytes], day: int) -> "DeviceToken":
        """The same with ids that were told now, the last of all; the oldest are forgotten."""
        kept = {each.key: each for each in self.reported}
        told = [kept.get(key, Id(key, day=day)) for key in dict.fromkeys(keys)]
        newer = [each._replace(attested=each.attested or each.key in attested) for each in told]
        names = {each.key for each in newer}
        older = [each for each in self.reported if each.key not in names]
        return replace(self, reported=tuple([*older, *newer][-MOST:]))

    def others(self, keys: Collection[bytes]) -> list[bytes]:
        """The ids that it knows beside these."""
        return [key for key in self.keys if key not in keys]


def mark_of(value: str) -> str:
    """The mark of a device by its value."""
    return hashlib.sha256(b"device\x00" + bytes.fromhex(value)).hexdigest()[:32]


def new() -> DeviceToken:
    return DeviceToken(seals.new_browser())


def seal(secrets: Secrets, token: DeviceToken) -> str:
    """About 80 to 380 characters of base64url; no two are alike."""
    content = HEAD.pack(VERSION, len(secrets.peppers), token.device)
    content += b"".join(REPORTED.pack(each.attested, each.day, each.key) for each in token.reported)
    return b64(seals.seal(secrets.seals[-1], LABEL, content))


def unseal(secrets: Secrets, text: str) -> DeviceToken:
    """Under any of the sealing keys, its keys under every pepper of now. Raises `Opening` for what is not ours."""
    content = seals.open_seal(secrets.seals, LABEL, seals.unb64(text))
    if len(content) < HEAD.size:
        raise Opening("device token")
    version, peppers, device = HEAD.unpack_from(content)
    form = {OLDER: WAS, VERSION: REPORTED}.get(version)
    if form is None or (len(content) - HEAD.size) % form.size:
        raise Opening(f"device token version {version}")
    fresh, rows = secrets.peppers[peppers:], form.iter_unpack(content[HEAD.size :])
    if version == OLDER:
        return DeviceToken(device, tuple(Id(wrap(key, fresh)) for _, key in rows))
    return DeviceToken(device, tuple(Id(wrap(key, fresh), attested, day) for attested, day, key in rows))
