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
