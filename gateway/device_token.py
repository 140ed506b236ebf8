"""The device token: the memory of one installation of an app, kept by the app and sealed by us (I8, R26).

It holds a random id and the keys of the ids that the installation told us of, so that a new ad id is known to belong to
the device of the old one. Sealed (AES-GCM), made anew with every answer, good as long as its sealing key is. Nothing of
it is stored here. It never says who somebody is, and it never decides anything.
"""

import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from gateway import seals
from gateway.keys import KEY_BYTES, Secrets, wrap
from gateway.ledger.entry import b64
from gateway.seals import Opening

LABEL = b"device/1"
VERSION = 1
HEAD = struct.Struct(">BB16s")  # version, how many peppers the keys are wrapped with, device id
REPORTED = struct.Struct(f">?{KEY_BYTES}s")
MOST = 12  # ids of one installation: IDFV, app-set id, and ten ad ids one after the other


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """`reported`: whether it is the installation's own, by key, the oldest first. Own is what it named before anybody
    else did; of another id it may be anybody's guess.
    """

    device: bytes
    reported: tuple[tuple[bytes, bool], ...] = ()

    @property
    def value(self) -> str:
        """The device as an identifier's value."""
        return self.device.hex()

    def owns(self, key: bytes) -> bool:
        return (key, True) in self.reported

    def with_reported(self, fresh: Iterable[tuple[bytes, bool]]) -> "DeviceToken":
        """The same with ids that were told now, the last of all; the oldest are forgotten."""
        told = dict(fresh)
        older = [each for each in self.reported if each[0] not in told]
        kept = dict(self.reported)
        newer = [(key, own or kept.get(key, False)) for key, own in told.items()]
        return replace(self, reported=tuple([*older, *newer][-MOST:]))

    def others(self, keys: Collection[bytes]) -> list[bytes]:
        """The ids that it knows beside these."""
        return [key for key, _ in self.reported if key not in keys]


def new() -> DeviceToken:
    return DeviceToken(seals.new_browser())


def seal(secrets: Secrets, token: DeviceToken) -> str:
    """About 80 to 340 characters of base64url; no two are alike."""
    content = HEAD.pack(VERSION, len(secrets.peppers), token.device)
    content += b"".join(REPORTED.pack(own, key) for key, own in token.reported)
    return b64(seals.seal(secrets.seals[-1], LABEL, content))


def unseal(secrets: Secrets, text: str) -> DeviceToken:
    """Under any of the sealing keys, its keys under every pepper of now. Raises `Opening` for what is not ours."""
    content = seals.open_seal(secrets.seals, LABEL, seals.unb64(text))
    if len(content) < HEAD.size or (len(content) - HEAD.size) % REPORTED.size:
        raise Opening("device token")
    version, peppers, device = HEAD.unpack_from(content)
    if version != VERSION:
        raise Opening(f"device token version {version}")
    fresh = secrets.peppers[peppers:]
    told = tuple((wrap(key, fresh), own) for own, key in REPORTED.iter_unpack(content[HEAD.size :]))
    return DeviceToken(device, told)
