"""Receipts and openings: the portable proof of an entry, and what shows that it is about oneself (C2SP tlog-proof).

A receipt names nobody and may be handed to anyone; receipt and opening together are about a person (R16). Pure.
"""

import base64
import binascii
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from gateway.ledger import checkpoint, entry, merkle, note, proofs
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.note import Verifier

HEADER = "c2sp.org/tlog-proof@v1"
INDEX = re.compile("index (0|[1-9][0-9]{0,18})", re.ASCII)
MAX_HASHES = 64
SECRET = 32  # bytes of rs


@dataclass(frozen=True, slots=True)
class Receipt:
    """`entry`: the entry's bytes; None where they are no longer kept. `note`: the signed checkpoint, verbatim."""

    index: int
    proof: tuple[bytes, ...]
    note: str
    entry: bytes | None

    def text(self) -> str:
        lines = [HEADER]
        if self.entry is not None:
            lines.append(f"extra {base64.b64encode(self.entry).decode()}")
        lines += [f"index {self.index}", *(base64.b64encode(hash_).decode() for hash_ in self.proof)]
        return "\n".join(lines) + "\n\n" + self.note


@dataclass(frozen=True, slots=True)
class Opening:
    """What its owner shows beside a receipt: s = HMAC-SHA256(rs, kind || 0x00 || value) stands in the entry."""

    kind: str
    value: str = field(repr=False)
    secret: bytes = field(repr=False)

    def to_json(self) -> dict[str, str]:
        return {"kind": self.kind, "value": self.value, "rs": entry.b64(self.secret)}


def parse(text: str) -> Receipt:
    """Raises ValueError."""
    head, gap, signed = text.partition("\n\n")
    header, *lines = head.split("\n")
    if header != HEADER or not gap or not lines:
        raise ValueError("not a tlog-proof")
    extra = lines.pop(0).removeprefix("extra ") if lines[0].startswith("extra ") else None
    index = INDEX.fullmatch(lines[0]) if lines else None
    if index is None or len(lines) > MAX_HASHES + 1:
        raise ValueError("not a tlog-proof")
    proof = tuple(checkpoint.hash_of(each) for each in lines[1:])
    try:
        body = base64.b64decode(extra, validate=True) if extra is not None else None
    except binascii.Error:
        raise ValueError("the entry is not in base64") from None
    return Receipt(int(index[1]), proof, signed, body)


def opening(members: object) -> Opening:
    """From its JSON. Raises ValueError."""
    if not isinstance(members, dict) or not all(isinstance(members.get(n), str) for n in ("kind", "value", "rs")):
        raise ValueError("an opening has kind, value and rs")
    coded = members["rs"]
    try:
        secret = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
    except (binascii.Error, ValueError):
        raise ValueError("rs is not base64url") from None
    if len(secret) != SECRET:
        raise ValueError(f"rs has {SECRET} bytes")
    return Opening(members["kind"], members["value"], secret)


def verify(receipt: Receipt, verifiers: Collection[Verifier]) -> Checkpoint:
    """The checkpoint that holds the entry. Raises `NoteRefused`, `Unproved`, ValueError for what is no checkpoint."""
    opened = note.open_note(receipt.note, verifiers)
    signed = checkpoint.parse(opened.text)
    if signed.origin not in {each.name for each in opened.verified}:
        raise note.NoteRefused("the log itself did not sign this")
    if receipt.entry is None:
        raise proofs.Unproved("the receipt has no entry, so there is nothing to prove")
    leaf = merkle.leaf_hash(receipt.entry)
    proofs.check_inclusion(receipt.index, signed.size, leaf, receipt.proof, signed.root)
    return signed


def is_about(receipt: Receipt, opening: Opening) -> bool:
    """Whether the entry's subject is the opening's; the receipt itself must be verified beside."""
    try:
        leaf = json.loads(receipt.entry or b"")
    except ValueError:
        return False
    subject = entry.subject_commitment(opening.secret, opening.kind, opening.value)
    return isinstance(leaf, dict) and leaf.get("s") == entry.b64(subject)
