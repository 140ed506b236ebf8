"""A checkpoint: which log, how many entries, which root (C2SP tlog-checkpoint). Pure; signed by note.py."""

import base64
import re
from dataclasses import dataclass

from gateway.ledger.merkle import HASH
from gateway.ledger.note import unbase64

DECIMAL = re.compile("0|[1-9][0-9]{0,18}", re.ASCII)
MAX_SIZE = 2**63 - 1  # what other implementations count with; a consistency proof has 63 hashes at most
LINES = 3  # origin, size, root; what follows them is an extension


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Raises ValueError where its text would be no checkpoint."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not self.origin or "\n" in self.origin or not 0 <= self.size <= MAX_SIZE or len(self.root) != HASH:
            raise ValueError("not a checkpoint")

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{line_of(self.root)}\n"


def parse(text: str) -> Checkpoint:
    """Extension lines are passed over. Raises ValueError."""
    lines = text.split("\n")
    if len(lines) <= LINES or lines.pop() or "" in lines:
        raise ValueError("not a checkpoint")
    return Checkpoint(lines[0], number_of(lines[1]), hash_of(lines[2]))


def number_of(text: str) -> int:
    """A size or an index, in its one spelling. Raises ValueError."""
    if not DECIMAL.fullmatch(text) or int(text) > MAX_SIZE:
        raise ValueError("not a size or an index")
    return int(text)


def line_of(hash_: bytes) -> str:
    """A hash as it stands in checkpoints, receipts and submissions: standard base64."""
    return base64.b64encode(hash_).decode()


def hash_of(text: str) -> bytes:
    """A hash in base64, in its one spelling. Raises ValueError."""
    found = unbase64(text)
    if len(found) != HASH:
        raise ValueError(f"a hash has {HASH} bytes")
    return found
