"""Digests that a caller made: hex in any case or base64 are the same bytes (I33). Owns spelling; hashes nothing.

The kind comes from the field, never from the look of a value: what looks hashed could be anything.
"""

import base64
import binascii
import re

from gateway.choice.identity import sentinels
from gateway.choice.identity.kinds import DIGESTS, Limited, Read, alone
from gateway.terms import Malformed

HEX = re.compile(r"[0-9A-Fa-f]+")


def read(kind: str, text: str) -> Read:
    """A digest in lower-case hex. That of a sentinel is limited."""
    if sentinels.word(text):
        return Limited(kind)
    raw = _bytes(text, DIGESTS[kind])
    if raw is None:
        return Malformed(kind, "value")
    return Limited(kind) if sentinels.digest_of_nothing(raw.hex()) else alone(kind, raw.hex())


def _bytes(text: str, size: int) -> bytes | None:
    if len(text) == 2 * size:
        return bytes.fromhex(text) if HEX.fullmatch(text) else None  # fromhex alone would skip blanks
    standard = text.replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == size else None
