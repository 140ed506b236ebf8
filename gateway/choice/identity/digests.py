"""Digests that a caller made: hex in any case or base64 are the same bytes (I33). Owns their form; hashes nothing.

The kind comes from the field, never from the look of a value: what looks hashed could be anything.
"""

import base64
import binascii
import re

from gateway.choice.identity import sentinels, spelling
from gateway.choice.identity.kinds import DIGESTS, Limited, Read, alone
from gateway.terms import Malformed

HEX = re.compile(r"[0-9A-Fa-f]+")
# What a program writes before one, to say what it is: "sha256:", "SHA-1=", "sha256-" (Subresource Integrity), "0x".
LABEL = re.compile(r"(?:sha-?(?:256|1)|md5|hash)\s*[:=$-]\s*|0x(?=[0-9a-f]+\Z)|\\x(?=[0-9a-f]+\Z)", re.IGNORECASE)
GROUPS = re.compile(r"(?<=[0-9A-Fa-f]{2})[: -](?=[0-9A-Fa-f]{2})")  # bytes that are written apart


def read(kind: str, text: str) -> Read:
    """A digest in lower-case hex. That of a sentinel is limited."""
    if sentinels.word(text):
        return Limited(kind)
    raw = _bytes(spelling.unlabelled(text, LABEL), DIGESTS[kind])
    if raw is None:
        return Malformed(kind, "value")
    return Limited(kind) if sentinels.digest_of_nothing(raw.hex()) else alone(kind, raw.hex())


def _bytes(text: str, size: int) -> bytes | None:
    apart = GROUPS.sub("", text)
    if len(apart) == 2 * size and HEX.fullmatch(apart):
        return bytes.fromhex(apart)
    standard = text.replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == size else None
