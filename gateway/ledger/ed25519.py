"""Ed25519 keys of the log and of its witnesses, as signers and verifiers of notes (RFC 8032; C2SP signed-note).

A log may carry an ML-DSA-44 line beside (kind 0x06): signing takes a list of signers, and verifiers pass over kinds
that they do not know.
"""

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.ledger import note

KIND = 0x01
PUBLIC = 32  # bytes of a public key


@dataclass(frozen=True, slots=True)
class Ed25519Signer:
    """Made from a seed of 32 bytes."""

    name: str
    seed: bytes = field(repr=False)

    @property
    def public(self) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()

    @property
    def key_id(self) -> bytes:
        return note.key_id(self.name, KIND, self.public)

    @property
    def vkey(self) -> str:
        return note.vkey(self.name, KIND, self.public)

    def sign(self, text: bytes) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(text)


@dataclass(frozen=True, slots=True)
class Ed25519Verifier:
    name: str
    public: bytes

    @classmethod
    def from_vkey(cls, text: str) -> "Ed25519Verifier":
        """Raises ValueError for another kind of key."""
        return cls(*_public(text, KIND))

    @property
    def key_id(self) -> bytes:
        return note.key_id(self.name, KIND, self.public)

    def verify(self, text: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


COSIGNER = 0x04
TIME = 8  # bytes of a cosignature's time, big-endian Unix seconds


def cosigned_text(seconds: int, text: bytes) -> bytes:
    """What a witness signs (C2SP tlog-cosignature)."""
    return b"cosignature/v1\ntime %d\n" % seconds + text


@dataclass(frozen=True, slots=True)
class CosignatureSigner:
    """A witness at a moment in Unix seconds: its signature has the time before it."""

    name: str
    seed: bytes = field(repr=False)
    seconds: int = 0

    @property
    def public(self) -> bytes:
        return Ed25519Signer(self.name, self.seed).public

    @property
    def key_id(self) -> bytes:
        return note.key_id(self.name, COSIGNER, self.public)

    @property
    def vkey(self) -> str:
        return note.vkey(self.name, COSIGNER, self.public)

    def sign(self, text: bytes) -> bytes:
        signature = Ed25519Signer(self.name, self.seed).sign(cosigned_text(self.seconds, text))
        return self.seconds.to_bytes(TIME, "big") + signature


@dataclass(frozen=True, slots=True)
class CosignatureVerifier:
    name: str
    public: bytes

    @classmethod
    def from_vkey(cls, text: str) -> "CosignatureVerifier":
        """Raises ValueError for another kind of key."""
        return cls(*_public(text, COSIGNER))

    @property
    def key_id(self) -> bytes:
        return note.key_id(self.name, COSIGNER, self.public)

    def verify(self, text: bytes, signature: bytes) -> bool:
        signed = cosigned_text(self.time_of(signature), text)
        return Ed25519Verifier(self.name, self.public).verify(signed, signature[TIME:])

    def time_of(self, signature: bytes) -> int:
        """When the witness saw it, in Unix seconds."""
        return int.from_bytes(signature[:TIME], "big")


def _public(text: str, kind: int) -> tuple[str, bytes]:
    key = note.read_vkey(text)
    if key.kind != kind or len(key.public) != PUBLIC:
        raise ValueError(f"not an Ed25519 verifier key of kind {kind}")
    return key.name, key.public
