"""Receipts and openings: the portable proof of an entry, and what shows that it is about oneself (C2SP tlog-proof).

A receipt names nobody and may be handed to anyone; receipt and opening together are about a person (R16). Pure.
"""

import base64
import json
from bisect import bisect
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from gateway.ledger import entry
from gateway.ledger.proof import merkle, note
from gateway.ledger.proof.merkle import TailTree
from gateway.ledger.proof.note import Checkpoint, Signer, Verifier

HEADER = "c2sp.org/tlog-proof@v1"
INDEX = "index "
EXTRA = "extra "
MAX_HASHES = 63  # of a tree that an int64 counts
SECRET = 32  # bytes of rs
AT_HAND = 4096  # entries whose receipts are made from memory, some 4 MB: a door asks for one right behind its commit
BATCHES_AT_HAND = 256  # commits: where processes write in turn each has an end of the tree of its own, some 40 kB


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
            lines.append(f"{EXTRA}{base64.b64encode(self.entry).decode()}")
        lines += [f"{INDEX}{self.index}", *(note.hash_line(hash_) for hash_ in self.proof)]
        return "\n".join(lines) + "\n\n" + self.note


class SignedBatch:
    """The entries of one commit under one signature, which is made when the first receipt is asked for. `bodies` are
    those from `first` on, `end` the tree with them, `text` its checkpoint.
    """

    def __init__(
        self, first: int, bodies: Sequence[bytes], end: TailTree, text: str, signers: Sequence[Signer]
    ) -> None:
        self.first, self.bodies = first, bodies
        self._end, self._size = end, first + len(bodies)
        self._text, self._signers = text, signers
        self._hashes: dict[tuple[int, int], bytes] = {}  # by span: most of a proof is that of the batch's others too

    @cached_property
    def _note(self) -> str:
        return note.sign(self._text, self._signers)

    def receipt(self, seq: int) -> Receipt:
        spans, found = merkle.beside(seq, self._size), self._hashes
        for span in spans:
            if span not in found:
                found[span] = merkle.subtree(*span, self._end.node)
        return Receipt(seq, tuple([found[span] for span in spans]), self._note, self.bodies[seq - self.first])


class ReceiptsAtHand:
    """The last batches that this process wrote: their receipts need nothing that would have to be read. Whoever signs
    takes them in hand; any thread asks.
    """

    def __init__(self) -> None:
        self._batches = deque[SignedBatch]()
        self._entries = 0

    def take(self, batch: SignedBatch) -> None:
        self._batches.append(batch)
        self._entries += len(batch.bodies)
        while len(self._batches) > BATCHES_AT_HAND or (self._entries > AT_HAND and len(self._batches) > 1):
            self._entries -= len(self._batches.popleft().bodies)

    def receipt(self, seq: int, event: str) -> Receipt | None:
        """None: it is not at hand, or is no entry of this event, which is named as the entry does."""
        batches = tuple(self._batches)
        at = bisect(batches, seq, key=lambda each: each.first) - 1
        batch = batches[at] if at >= 0 else None
        if (
            batch is None
            or seq >= batch.first + len(batch.bodies)
            or event.encode() not in batch.bodies[seq - batch.first]
        ):
            return None
        return batch.receipt(seq)


@dataclass(frozen=True, slots=True)
class Opening:
    """What its owner shows beside a receipt: s = HMAC-SHA256(rs, kind || 0x00 || value) stands in the entry."""

    kind: str
    value: str = field(repr=False)
    secret: bytes = field(repr=False)

    def to_json(self) -> dict[str, str]:
        return {"kind": self.kind, "value": self.value, "rs": entry.b64(self.secret)}


def parse_receipt(text: str) -> Receipt:
    """Raises ValueError."""
    head, gap, signed = text.partition("\n\n")
    header, *lines = head.split("\n")
    if header != HEADER or not gap or not lines:
        raise ValueError("not a tlog-proof")
    body = note.unbase64(lines.pop(0).removeprefix(EXTRA)) if lines[0].startswith(EXTRA) else None
    if not lines or not lines[0].startswith(INDEX) or len(lines) > MAX_HASHES + 1:
        raise ValueError("not a tlog-proof")
    index = note.number_of(lines[0].removeprefix(INDEX))
    return Receipt(index, tuple(note.hash_of(each) for each in lines[1:]), signed, body)


def opening(members: object) -> Opening:
    """From its JSON. Raises ValueError."""
    if not isinstance(members, dict) or not all(isinstance(members.get(n), str) for n in ("kind", "value", "rs")):
        raise ValueError("an opening has kind, value and rs")
    kind, value, coded = members["kind"], members["value"], members["rs"]
    try:
        (kind + value).encode()
        secret = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
    except ValueError:
        raise ValueError("an opening is UTF-8, and rs base64url") from None
    if len(secret) != SECRET or entry.b64(secret) != coded:
        raise ValueError(f"rs has {SECRET} bytes")
    if "\x00" in kind:
        raise ValueError("a kind has no zero byte: it ends with one in what is hashed")
    return Opening(kind, value, secret)


def verify_receipt(receipt: Receipt, verifiers: Collection[Verifier]) -> Checkpoint:
    """The checkpoint that holds the entry. Raises `NoteRefused`, `Unproved`, ValueError for what is no checkpoint."""
    text, lines = note.split_note(receipt.note)
    signed = note.parse_checkpoint(text)
    known = [each for each in verifiers if each.name == signed.origin]
    if not known:
        raise note.NoteRefused(f"the checkpoint is of {signed.origin}, and no key that is believed is of that log")
    if not {(each.name, each.key_id) for each in known} & {(each.name, each.key_id) for each in lines}:
        raise note.NoteRefused(f"no key that is believed signed for {signed.origin}, only others")
    note.open_note(receipt.note, verifiers)
    if receipt.entry is None:
        raise merkle.Unproved("the receipt has no entry, so there is nothing to prove")
    leaf = merkle.leaf_hash(receipt.entry)
    merkle.check_inclusion(receipt.index, signed.size, leaf, receipt.proof, signed.root)
    return signed


def is_about(receipt: Receipt, opening: Opening) -> bool:
    """Whether the entry's subject is the opening's; the receipt itself must be verified beside."""
    try:
        leaf = json.loads(receipt.entry or b"")
    except (ValueError, RecursionError):  # nested a thousand deep
        return False
    subject = entry.subject_commitment(opening.secret, opening.kind, opening.value)
    return isinstance(leaf, dict) and leaf.get("s") == entry.b64(subject)
