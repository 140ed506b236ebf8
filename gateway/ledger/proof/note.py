"""Signed notes: a text and the signatures under it (C2SP signed-note); and the text that the log signs, a checkpoint:
which log, how many entries, which root (C2SP tlog-checkpoint). Pure; `ed25519` and `mldsa` have the algorithms.

    <text, ends with a newline>
    <empty line>
    — <key name> <base64(4-byte key id || signature)>
"""

import base64
import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

from gateway.ledger.proof.merkle import HASH

ID = 4  # bytes of a key id
DASH = "— "  # U+2014 and a space begin a signature line
MAX_NOTE = 256 * 1024  # bytes; 16 signatures must be read, and one may have nearly 5 kB (C2SP signed-note)
MAX_SIGNATURES = 100


class NoteRefused(Exception):
    """Not a signed note, or not signed by whom it must be."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """What a verifier key says: `name+hex(key id)+base64(kind || public key)`."""

    name: str
    key_id: bytes
    kind: int
    public: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class NoteOpened:
    """`verified`: the signatures of known keys, each of which held; at least one."""

    text: str
    verified: tuple[Signature, ...]


def key_id(name: str, kind: int, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:ID]


def vkey(name: str, kind: int, public: bytes) -> str:
    """The verifier key as text."""
    check_name(name)
    return f"{name}+{key_id(name, kind, public).hex()}+{base64.b64encode(bytes([kind]) + public).decode()}"


def read_vkey(text: str) -> VerifierKey:
    """Raises ValueError where it is none, or its id is not that of its key."""
    name, _, rest = text.partition("+")
    stated, _, coded = rest.partition("+")
    check_name(name)
    raw = unbase64(coded)
    if len(raw) < 2 or stated != key_id(name, raw[0], raw[1:]).hex():  # noqa: PLR2004 - a kind and a key
        raise ValueError("the key id is not that of the key")
    return VerifierKey(name, bytes.fromhex(stated), raw[0], raw[1:])


IN_NO_NAME = re.compile(r"[\s+\x00-\x1f]")
IN_NO_TEXT = re.compile(r"[\x00-\x09\x0b-\x1f]")  # the ASCII controls but the newline


def check_name(name: str) -> None:
    """Raises ValueError for a name that no key can have."""
    if not name or IN_NO_NAME.search(name):
        raise ValueError("a key's name has no spaces and no plus sign")


def unbase64(text: str) -> bytes:
    """Base64 in its one spelling, so that nothing in a note or a receipt can be changed unseen. Raises ValueError."""
    try:
        found = base64.b64decode(text, validate=True)
    except ValueError:
        found = b""
    if base64.b64encode(found).decode() != text:
        raise ValueError("not base64")
    return found


@dataclass(frozen=True)
class Signer:
    """Who signs notes with a key of one `kind`, made from a seed of 32 bytes, once: that takes as long as a signature
    with Ed25519 (57 us of 124). `sign` gives the signature without the key id.
    """

    kind: ClassVar[int]
    name: str
    seed: bytes = field(repr=False)

    @cached_property
    def private(self) -> Any:
        raise NotImplementedError

    def sign(self, text: bytes) -> bytes:
        raise NotImplementedError

    @cached_property
    def public(self) -> bytes:
        found: bytes = self.private.public_key().public_bytes_raw()
        return found

    @cached_property
    def key_id(self) -> bytes:
        return key_id(self.name, self.kind, self.public)

    @property
    def vkey(self) -> str:
        return vkey(self.name, self.kind, self.public)


@dataclass(frozen=True)
class Verifier:
    """The other side: a public key of `size` bytes. `algorithm`: as people call it."""

    algorithm: ClassVar[str]
    kind: ClassVar[int]
    size: ClassVar[int]
    name: str
    public: bytes

    @classmethod
    def from_vkey(cls, text: str) -> Self:
        """Raises ValueError for another kind of key."""
        key = read_vkey(text)
        if key.kind != cls.kind or len(key.public) != cls.size:
            raise ValueError(f"not an {cls.algorithm} verifier key of kind {cls.kind}")
        return cls(key.name, key.public)

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, self.kind, self.public)

    def verify(self, text: bytes, signature: bytes) -> bool:
        raise NotImplementedError


def sign(text: str, signers: Iterable[Signer]) -> str:
    """The text with a line for each signer. Raises ValueError for a text that no note can have."""
    if not text.endswith("\n") or IN_NO_TEXT.search(text):
        raise ValueError("a note's text ends with a newline and has no control characters")
    return add_signatures(text + "\n", [Signature(s.name, s.key_id, s.sign(text.encode())) for s in signers])


def add_signatures(note: str, signatures: Iterable[Signature]) -> str:
    """A note with further signature lines."""
    return note + "".join(line(signature) for signature in signatures)


def line(signature: Signature) -> str:
    """Raises ValueError for a name that no key can have."""
    check_name(signature.name)
    return f"{DASH}{signature.name} {base64.b64encode(signature.key_id + signature.signature).decode()}\n"


def text_of(note: str) -> str:
    """The text under the signatures, which are not looked at. Raises `NoteRefused`."""
    return split_note(note)[0]


def split_note(note: str) -> tuple[str, list[Signature]]:
    """The text and every signature. Raises `NoteRefused`."""
    try:
        length = len(note.encode())
    except UnicodeEncodeError:
        raise NoteRefused("not a signed note: not UTF-8") from None
    if length > MAX_NOTE or IN_NO_TEXT.search(note):
        raise NoteRefused("not a signed note: too long, or with control characters")
    text, gap, lines = note.rpartition("\n\n")
    if not gap or not lines.endswith("\n"):
        raise NoteRefused("not a signed note: no empty line before the signatures, or no newline after them")
    found = lines[:-1].split("\n")
    if len(found) > MAX_SIGNATURES:
        raise NoteRefused("not a signed note: too many signatures")
    return text + "\n", [_signature(each) for each in found]


def _signature(text: str) -> Signature:
    name, _, coded = text.removeprefix(DASH).partition(" ")
    try:
        check_name(name)
        raw = unbase64(coded)
    except ValueError as error:
        raise NoteRefused(f"not a signature line: {error}") from None
    if not text.startswith(DASH) or len(raw) <= ID:
        raise NoteRefused("not a signature line")
    return Signature(name, raw[:ID], raw[ID:])


def open_note(note: str | bytes, verifiers: Collection[Verifier]) -> NoteOpened:
    """Raises `NoteRefused` where a known key's signature fails, or none is there. Unknown keys are passed over."""
    if isinstance(note, bytes):
        try:
            note = note.decode()
        except UnicodeDecodeError:
            raise NoteRefused("not a signed note: not UTF-8") from None
    text, signatures = split_note(note)
    verified: dict[tuple[str, bytes], Signature] = {}
    for each in signatures:
        known = [verifier for verifier in verifiers if (verifier.name, verifier.key_id) == (each.name, each.key_id)]
        if not known or (each.name, each.key_id) in verified:
            continue
        if not all(verifier.verify(text.encode(), each.signature) for verifier in known):
            raise NoteRefused(f"the signature of {each.name} does not hold")
        verified[each.name, each.key_id] = each
    if not verified:
        raise NoteRefused("no known key signed this")
    return NoteOpened(text, tuple(verified.values()))


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
        return f"{self.origin}\n{self.size}\n{hash_line(self.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
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


def hash_line(hash_: bytes) -> str:
    """A hash as it stands in checkpoints, receipts and submissions: standard base64."""
    return base64.b64encode(hash_).decode()


def hash_of(text: str) -> bytes:
    """A hash in base64, in its one spelling. Raises ValueError."""
    found = unbase64(text)
    if len(found) != HASH:
        raise ValueError(f"a hash has {HASH} bytes")
    return found
