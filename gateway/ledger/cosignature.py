"""A witness's signature under a checkpoint: "as of this time I saw no larger tree of this log" (C2SP tlog-cosignature).

The signature is 8 bytes of time and an Ed25519 signature over "cosignature/v1", the time and the note's text. Owns no
state: whether a tree may be signed is for witness.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.ledger import ed25519, note
from gateway.ledger.ed25519 import Ed25519Signer, Ed25519Verifier
from gateway.ledger.note import Verifier

KIND = 0x04  # C2SP signed-note: timestamped Ed25519 cosignatures
TIME = 8  # bytes before the signature, big-endian
MAX_TIME = 2**63 - 1

Seconds = Callable[[], int]  # since 1970


def _message(time: int, text: bytes) -> bytes:
    return b"cosignature/v1\ntime %d\n" % time + text


def time_of(signature: bytes) -> int:
    """When a cosignature was made, in seconds since 1970."""
    return int.from_bytes(signature[:TIME], "big")


@dataclass(frozen=True, slots=True)
class Cosigner:
    """Signs as a witness; `seed` of 32 bytes, used for nothing else: the message does not hold the name."""

    name: str
    seed: bytes = field(repr=False)
    clock: Seconds

    @property
    def public(self) -> bytes:
        return Ed25519Signer(self.name, self.seed).public

    @property
    def key_id(self) -> bytes:
        return note.key_id(self.name, KIND, self.public)

    @property
    def vkey(self) -> str:
        return note.vkey(self.name, KIND, self.public)

    def sign(self, text: bytes) -> bytes:
        time = self.clock()
        signed = Ed25519Signer(self.name, self.seed).sign(_message(time, text))
        return time.to_bytes(TIME, "big") + signed


@dataclass(frozen=True, slots=True)
class CosignatureVerifier:
    name: str
    public: bytes

    @classmethod
    def from_vkey(cls, text: str) -> "CosignatureVerifier":
        """Raises ValueError for another kind of key."""
        return cls(*ed25519.named(text, KIND))

    @property
    def key_id(self) -> bytes:
        return note.key_id(self.name, KIND, self.public)

    def verify(self, text: bytes, signature: bytes) -> bool:
        time = time_of(signature)
        message = _message(time, text)
        return time <= MAX_TIME and Ed25519Verifier(self.name, self.public).verify(message, signature[TIME:])


def verifier(vkey: str) -> Verifier:
    """Of a log's or a witness's key, as its kind says. Raises ValueError for kinds that we do not know."""
    known = CosignatureVerifier if note.read_vkey(vkey).kind == KIND else Ed25519Verifier
    return known.from_vkey(vkey)
