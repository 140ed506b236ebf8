"""Ed25519 keys of the log and of its witnesses, as signers and verifiers of notes (RFC 8032; C2SP signed-note and
tlog-cosignature).

`mldsa` has the second kind, and `verifier_keys` tells them apart. A witness's signature says "as of this time I saw no
larger tree of this log": 8 bytes of time and an Ed25519 signature over "cosignature/v1", the time and the note's text.
Whether a tree may be signed is for publisher.py and witness.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.ledger.proof.note import Signer, Verifier

COSIGNATURE_KIND = 0x04  # C2SP signed-note: timestamped Ed25519 cosignatures
TIME = 8  # bytes before the signature, big-endian
MAX_TIME = 2**63 - 1

Seconds = Callable[[], int]  # since 1970


@dataclass(frozen=True)
class Ed25519Signer(Signer):
    kind = 0x01

    @cached_property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def sign(self, text: bytes) -> bytes:
        return self.private.sign(text)


@dataclass(frozen=True)
class Ed25519Verifier(Verifier):
    algorithm = "Ed25519"
    kind = Ed25519Signer.kind
    size = 32

    def verify(self, text: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


def _message(time: int, text: bytes) -> bytes:
    return b"cosignature/v1\ntime %d\n" % time + text


def time_of(signature: bytes) -> int:
    """When a cosignature was made, in seconds since 1970."""
    return int.from_bytes(signature[:TIME], "big")


@dataclass(frozen=True)
class Cosigner(Ed25519Signer):
    """Signs as a witness; its seed is used for nothing else: the message does not hold the name."""

    kind = COSIGNATURE_KIND
    clock: Seconds

    def sign(self, text: bytes) -> bytes:
        time = self.clock()
        return time.to_bytes(TIME, "big") + super().sign(_message(time, text))


@dataclass(frozen=True)
class CosignatureVerifier(Ed25519Verifier):
    kind = COSIGNATURE_KIND

    def verify(self, text: bytes, signature: bytes) -> bool:
        time = time_of(signature)
        return time <= MAX_TIME and super().verify(_message(time, text), signature[TIME:])
