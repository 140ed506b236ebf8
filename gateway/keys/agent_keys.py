"""The public keys of authorized agents, as the Data Rights Protocol's directory lists them. The settings hold what an
operator wrote against it, and `gateway.app.composition` reads it.
"""

import base64
import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY = 32  # bytes
FIELD = 2**255 - 19  # RFC 8032 5.1
EIGHTH = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
SMALL_ORDER = frozenset({0, 1, FIELD - 1, EIGHTH, FIELD - EIGHTH})  # y of the points under which anybody signs


def read_verify_key(text: str) -> bytes:
    """An Ed25519 key in base64, as the protocol's directory has it, or in hex, as it had it before 0.9.1. Raises
    ValueError for what is none.
    """
    raw = (
        bytes.fromhex(text)
        if re.fullmatch(f"[0-9A-Fa-f]{{{2 * KEY}}}", text)
        else base64.b64decode(text, validate=True)
    )
    if len(raw) != KEY:
        raise ValueError("32 bytes")
    if int.from_bytes(raw, "little") % 2**255 % FIELD in SMALL_ORDER:
        raise ValueError("a key of small order")
    Ed25519PublicKey.from_public_bytes(raw)
    return raw
