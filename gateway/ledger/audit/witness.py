"""A witness of logs: signs a checkpoint when it grew out of the last one that it signed (C2SP tlog-witness as of July
2026), with a key that it makes once. `gateway witness` runs it.

Its whole state is two small files a log, with the last size and root, and with the checkpoint as it was signed, which
monitors fetch: nobody who runs it learns what an entry says. It must run where the log's operator cannot put back an
old copy of it. Owns no HTTP; each refusal is an exception.

Its key is one line in its folder, 0600, as Go's note package writes private keys:
PRIVATE+KEY+<name>+<key id>+<base64(kind || seed)>. The name stands in it because the signed message does not hold it:
one key must not serve two names (C2SP tlog-cosignature).
"""

import base64
import contextlib
import hashlib
import re
import secrets
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.disk import locked, make_folder, write_durably
from gateway.ledger.proof import merkle, note
from gateway.ledger.proof.ed25519 import COSIGNATURE_KIND, Cosigner, Seconds
from gateway.ledger.proof.merkle import EMPTY_ROOT
from gateway.ledger.proof.mldsa import MldsaVerifier
from gateway.ledger.proof.note import Checkpoint, NoteRefused, Signature, Signer, Verifier
from gateway.ledger.publisher import CheckpointStore

OLD = "old "
HEX = re.compile("[0-9a-f]{64}")
MAX_HASHES = 63  # C2SP tlog-witness: a client must not send more
LOCK = "witness.lock"


class UnknownLog(Exception):
    """The checkpoint is of a log that this witness does not watch."""


class NotSigned(Exception):
    """None of the log's keys signed the checkpoint, or one of them did and the signature does not hold."""


class WitnessSeen(Exception):
    """The witness last signed another size than the one that the proof begins at."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the last checkpoint signed here has size {size}")
        self.size = size


class InUse(Exception):
    """Another process runs a witness on this folder. The text says which."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What a log sends: the size that it believes was signed last, how it grew since, and its signed checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: str

    def body(self) -> bytes:
        hashes = "".join(f"{note.hash_line(hash_)}\n" for hash_ in self.proof)
        return f"{OLD}{self.old}\n{hashes}\n{self.note}".encode()


def parse_submission(body: bytes) -> Submission:
    """Raises ValueError."""
    head, gap, signed = body.decode().partition("\n\n")
    first, *hashes = head.split("\n")
    if not gap or not first.startswith(OLD) or len(hashes) > MAX_HASHES:
        raise ValueError("not a submission of a checkpoint")
    return Submission(note.number_of(first.removeprefix(OLD)), tuple(note.hash_of(each) for each in hashes), signed)


class Witness:
    """Watches the logs whose keys it was given; a log's keys bear its origin as their name. `signers`: its own keys."""

    def __init__(self, folder: Path, signers: Collection[Signer], logs: Collection[Verifier]) -> None:
        self._folder = folder
        self._signers = signers
        self._logs = logs
        self._turn = threading.Lock()  # reading the last size and writing the next is one step

    def add_checkpoint(self, body: bytes) -> str:
        """The signature lines. Raises ValueError for what is no submission, `UnknownLog`, `NotSigned`, `WitnessSeen`,
        `Unproved`, and `StoreBroken` where the state cannot be kept: nothing is signed then.
        """
        sent = parse_submission(body)
        new, by_log = self._signed_by_its_log(sent.note)
        if sent.old > new.size:
            raise ValueError("the old size is larger than the checkpoint's")
        with self._turn:
            store = self._advance(sent, new)
            text = note.text_of(sent.note)
            lines = [Signature(s.name, s.key_id, s.sign(text.encode())) for s in self._signers]
            store.keep_cosigned(note.add_signatures(text + "\n", [*by_log, *lines]))
        return "".join(note.line(each) for each in lines)

    def checkpoint(self, origin_hash: str) -> str | None:
        """The last one signed here of the log whose origin has this SHA-256, in lower case hex, with the signatures of
        the log that held and with ours. None: none was, or what was kept of it cannot be read.
        """
        found = CheckpointStore(self._folder, bytes.fromhex(origin_hash)) if HEX.fullmatch(origin_hash) else None
        return found.cosigned() if found else None

    def _signed_by_its_log(self, signed: str) -> tuple[Checkpoint, tuple[Signature, ...]]:
        """The checkpoint, and the signatures under it of keys that we know the log by."""
        try:
            text = note.text_of(signed)
        except NoteRefused as refused:
            raise ValueError(str(refused)) from None
        found = note.parse_checkpoint(text)
        keys = [log for log in self._logs if log.name == found.origin]
        if not keys:
            raise UnknownLog("this log is not watched here")
        try:
            by_log = note.open_note(signed, keys).verified
            whole = [log for log in keys if not isinstance(log, MldsaVerifier)]
            if whole and text != found.text():  # a stranger may have written further lines: ML-DSA-44 leaves them out
                note.open_note(signed, whole)
        except NoteRefused as refused:
            raise NotSigned(str(refused)) from None
        return found, by_log

    def _advance(self, sent: Submission, new: Checkpoint) -> CheckpointStore:
        """Makes `new` the last one of its log, durably. Returns where that is kept."""
        store = CheckpointStore(self._folder, hashlib.sha256(new.origin.encode()).digest())
        last = store.last()
        size, root = (last.size, last.root) if last else (0, EMPTY_ROOT)
        if sent.old != size:
            raise WitnessSeen(size)
        if not new.size and new.root != EMPTY_ROOT:
            raise merkle.Unproved("an empty log has the root of nothing")
        if sent.old:
            merkle.check_consistency(sent.old, new.size, sent.proof, root, new.root)
        elif sent.proof:
            raise merkle.Unproved("a proof from nothing means nothing")
        if new != last:
            store.swap(last, new)
        return store


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """That no other process signs from the same folder, which is made: each would read and write the last size in its
    own turn. Raises `InUse`.
    """
    make_folder(folder)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / LOCK, wait=False))
        except BlockingIOError:
            raise InUse(f"another process runs a witness on {folder}; find it: fuser {folder / LOCK}") from None
        yield


KEY_FILE = "witness.key"
PREFIX = "PRIVATE+KEY+"
SEED = 32


class KeyRefused(Exception):
    """The folder's key cannot be used. The text says what helps."""


def load_or_make_key(folder: Path, name: str, clock: Seconds) -> Cosigner:
    """The witness's signer; a new key where the folder, which must be there, has none. Raises `KeyRefused`, and
    ValueError for a name that no key can have.
    """
    path = folder / KEY_FILE
    if not path.exists():
        made = Cosigner(name, secrets.token_bytes(SEED), clock)
        write_durably(path, _key_line(made).encode(), exclusive=True)
    return _read_key(path, name, clock)


def _key_line(cosigner: Cosigner) -> str:
    note.check_name(cosigner.name)
    coded = base64.b64encode(bytes([COSIGNATURE_KIND]) + cosigner.seed).decode()
    return f"{PREFIX}{cosigner.name}+{cosigner.key_id.hex()}+{coded}\n"


def _read_key(path: Path, name: str, clock: Seconds) -> Cosigner:
    try:
        stored, _, rest = path.read_text(encoding="utf-8").removesuffix("\n").removeprefix(PREFIX).partition("+")
        stated, _, coded = rest.partition("+")
        raw = note.unbase64(coded)
    except (OSError, ValueError):
        raise KeyRefused(f"{path} cannot be read as a key. Put back its backup.") from None
    found = Cosigner(stored, raw[1:], clock)
    if raw[:1] != bytes([COSIGNATURE_KIND]) or len(found.seed) != SEED or stated != found.key_id.hex():
        raise KeyRefused(f"{path} holds no key of a witness. Put back its backup.")
    if stored != name:
        raise KeyRefused(f"{path} is the key of {stored}. Start with --name {stored}, or in another folder.")
    return found
