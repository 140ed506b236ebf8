"""A checkpoint: which log, how many entries, which root (C2SP tlog-checkpoint). Pure; signed by note.py."""

import base64
import binascii
import re
from dataclasses import dataclass

from gateway.ledger.merkle import HASH

SIZE = re.compile("0|[1-9][0-9]{0,18}", re.ASCII)
LINES = 3  # origin, size, root; what follows them is an extension


@dataclass(frozen=True, slots=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def parse(text: str) -> Checkpoint:
    """Extension lines are passed over. Raises ValueError."""
    lines = text.split("\n")
    if len(lines) <= LINES or lines.pop() or "" in lines or not SIZE.fullmatch(lines[1]):
        raise ValueError("not a checkpoint")
    return Checkpoint(lines[0], int(lines[1]), hash_of(lines[2]))


def hash_of(text: str) -> bytes:
    """A hash in base64, in its one spelling. Raises ValueError."""
    try:
        found = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not a hash in base64") from None
    if len(found) != HASH or base64.b64encode(found).decode() != text:
        raise ValueError("not a hash in base64")
    return found
