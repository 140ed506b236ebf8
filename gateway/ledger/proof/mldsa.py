"""ML-DSA-44 keys of the log and of witnesses, as signers and verifiers of checkpoints (FIPS 204; C2SP tlog-cosignature
v1.1.0-rc.1 of April 2026): the signature that a quantum computer does not forge, beside that of `ed25519`.

A signature is 8 bytes of time and 2,420 of ML-DSA over a structure of its own: who signs, the time, the log, the size
and the root. It does not cover a checkpoint's extension lines, which nobody here reads. A witness says with it "as of
this time I saw no larger tree"; a log leaves the time at zero and says nothing of the time.

The key is made from the seed of the Ed25519 key, by HMAC: from what a quantum computer finds, the seed does not come
back, for Ed25519 itself uses but a hash of it. So there is no second secret that could be lost or changed alone.
"""

import hmac
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from gateway.ledger.proof import note
from gateway.ledger.proof.ed25519 import MAX_TIME, TIME, Seconds, time_of
from gateway.ledger.proof.note import Signer, Verifier

KIND = 0x06  # C2SP signed-note
LABEL = b"subtree/v1\n\x00"
BESIDE = b"gateway ML-DSA-44 beside Ed25519/1"
LONGEST = 255  # bytes of a name in the structure
NOT_HERE = "the OpenSSL under this Python's cryptography has no ML-DSA-44; 3.5 has"


def can_sign(*names: str) -> bool:
    """Whether this machine signs with ML-DSA-44, and what it signs has room for these names of logs and signers."""
    return mldsa_here() and all(len(name.encode()) <= LONGEST for name in names)


def mldsa_here() -> bool:
    """Whether this machine can sign with ML-DSA-44, and check it. Wheels of `cryptography` can; one that was built
    against an older OpenSSL cannot.
    """
    try:
        MLDSA44PrivateKey.from_seed_bytes(bytes(32))
    except UnsupportedAlgorithm:
        return False
    return True


def cosigned_message(name: str, time: int, text: bytes) -> bytes:
    """What is signed, of a checkpoint's text: a tree from its first entry on. Raises ValueError for a text that is no
    checkpoint, and for names that are too long.
    """
    tree = note.parse_checkpoint(text.decode())
    size = struct.pack(">QQ", 0, tree.size)
    return b"".join([LABEL, _counted(name), struct.pack(">Q", time), _counted(tree.origin), size, tree.root])


def _counted(name: str) -> bytes:
    coded = name.encode()
    if not 0 < len(coded) <= LONGEST:
        raise ValueError(f"a name of more than {LONGEST} bytes cannot be signed for with ML-DSA-44")
    return bytes([len(coded)]) + coded


@dataclass(frozen=True)
class MldsaSigner(Signer):
    """`seed`: that of the Ed25519 key that it stands beside. `clock`: a witness's; None: a log signs. A signature takes
    half a millisecond, no two are alike, and other threads run meanwhile.
    """

    kind = KIND
    clock: Seconds | None = None

    @cached_property
    def private(self) -> MLDSA44PrivateKey:
        return MLDSA44PrivateKey.from_seed_bytes(hmac.digest(self.seed, BESIDE, "sha256"))

    def sign(self, text: bytes) -> bytes:
        """Of a checkpoint's text. Raises ValueError for any other."""
        time = self.clock() if self.clock else 0
        return time.to_bytes(TIME, "big") + self.private.sign(cosigned_message(self.name, time, text))


@dataclass(frozen=True)
class MldsaVerifier(Verifier):
    """`timed`: a witness's, whose signatures must say when they were made."""

    algorithm = "ML-DSA-44"
    kind = KIND
    size = 1312
    timed: bool = False

    @classmethod
    def from_vkey(cls, text: str) -> Self:
        """Raises ValueError too on a machine that cannot check it."""
        made = super().from_vkey(text)
        if not mldsa_here():
            raise ValueError(NOT_HERE)
        return made

    def verify(self, text: bytes, signature: bytes) -> bool:
        time = time_of(signature)
        if time > MAX_TIME or (self.timed and not time):
            return False
        try:
            message = cosigned_message(self.name, time, text)
            MLDSA44PublicKey.from_public_bytes(self.public).verify(signature[TIME:], message)
        except (InvalidSignature, ValueError):
            return False
        return True
