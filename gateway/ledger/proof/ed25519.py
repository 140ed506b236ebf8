"""Ed25519 keys of the log and of its witnesses, as signers and verifiers of notes (RFC 8032; C2SP signed-note and
tlog-cosignature).

`mldsa` has the second kind, and `verifier_keys` tells them apart. A witness's signature says "as of this time I saw no
larger tree of this log": 8 bytes of time and an Ed25519 signature over "cosignature/v1", the time and the note's text.
Whether a tree may be signed is for publisher.py and witness.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.ledger.proof import note

ALGORITHM = "Ed25519"
KIND = 0x01
PUBLIC = 32  # bytes of a public key


@dataclass(frozen=True)
class Ed25519Signer:
    """Made from a seed of 32 bytes. The key is made once: that takes as long as a signature (57 us of 124)."""

    name: str
    seed: bytes = field(repr=False)

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @cached_property
    def public(self) -> bytes:
        return self._private.public_key().public_bytes_raw()

    @cached_property
    def key_id(self) -> bytes:
        return note.key_id(self.name, KIND, self.public)

    @property
    def vkey(self) -> str:
        return note.vkey(self.name, KIND, self.public)

    def sign(self, text: bytes) -> bytes:
        return self._private.sign(text)


@dataclass(frozen=True, slots=True)
class Ed25519Verifier:
    algorithm: ClassVar[str] = ALGORITHM
    name: str
    public: bytes

    @classmethod
    def from_vkey(cls, text: str) -> "Ed25519Verifier":
        """Raises ValueError for another kind of key."""
        return cls(*named(text, KIND))

    @property
    def key_id(self) -> bytes:
        return note.key_id(self.name, KIND, self.public)

    def verify(self, text: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


def named(vkey: str, kind: int) -> tuple[str, bytes]:
    """(name, public key) of an Ed25519 verifier key of this kind. Raises ValueError for another one."""
    key = note.read_vkey(vkey)
    if key.kind != kind or len(key.public) != PUBLIC:
        raise ValueError(f"not an Ed25519 verifier key of kind {kind}")
    return key.name, key.public


COSIGNATURE_KIND = 0x04  # C2SP signed-note: timestamped Ed25519 cosignatures
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
        return note.key_id(self.name, COSIGNATURE_KIND, self.public)

    @property
    def vkey(self) -> str:
        return note.vkey(self.name, COSIGNATURE_KIND, self.public)

    def sign(self, text: bytes) -> bytes:
        time = self.clock()
        signed = Ed25519Signer(self.name, self.seed).sign(_message(time, text))
        return time.to_bytes(TIME, "big") + signed


@dataclass(frozen=True, slots=True)
class CosignatureVerifier:
    algorithm: ClassVar[str] = ALGORITHM
    name: str
    public: bytes

    @classmethod
    def from_vkey(cls, text: str) -> "CosignatureVerifier":
        """Raises ValueError for another kind of key."""
        return cls(*named(text, COSIGNATURE_KIND))

    @property
    def key_id(self) -> bytes:
        return note.key_id(self.name, COSIGNATURE_KIND, self.public)

    def verify(self, text: bytes, signature: bytes) -> bool:
        time = time_of(signature)
        message = _message(time, text)
        return time <= MAX_TIME and Ed25519Verifier(self.name, self.public).verify(message, signature[TIME:])
