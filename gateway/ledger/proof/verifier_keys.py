"""A verifier key, as text, becomes the verifier of its kind: a log's (Ed25519, ML-DSA-44) or a witness's (cosignatures
of both). Whoever is handed keys calls it: `gateway receipt verify`, `gateway witness`, `[witnesses]`, a policy.
"""

from dataclasses import replace

from gateway.ledger.proof import mldsa, note
from gateway.ledger.proof.ed25519 import CosignatureVerifier, Ed25519Verifier
from gateway.ledger.proof.mldsa import MldsaVerifier
from gateway.ledger.proof.note import Verifier


def log_key(vkey: str) -> Verifier:
    """Raises ValueError for what is no verifier key, and for kinds that no log signs with."""
    if note.read_vkey(vkey).kind == mldsa.KIND:
        return MldsaVerifier.from_vkey(vkey)
    return Ed25519Verifier.from_vkey(vkey)


def witness_key(vkey: str) -> Verifier:
    """Raises ValueError for what is no verifier key, and for kinds that no witness signs with."""
    if note.read_vkey(vkey).kind == mldsa.KIND:
        return replace(MldsaVerifier.from_vkey(vkey), timed=True)
    return CosignatureVerifier.from_vkey(vkey)
