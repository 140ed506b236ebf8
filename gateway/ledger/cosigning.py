"""The log's side of witnessing: asking a witness for its signature under a checkpoint (C2SP tlog-witness).

A witness that has seen a larger tree, or another one, is how a ledger that was put back with everything beside it is
found out. Owns no HTTP and no state: `post` comes in, and the answer goes out as a note.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.ledger import checkpoint, note
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.note import NoteRefused, Verifier
from gateway.ledger.witness import Submission

Post = Callable[[str, bytes], tuple[int, str, bytes]]  # (url, body) -> (status, media type, body); raises OSError
Proof = Callable[[int], Sequence[bytes]]  # an earlier size -> that the checkpoint grew out of it

OK, CONFLICT, UNPROVED = 200, 409, 422
SIZE_TYPE = "text/x.tlog.size"
TRIES = 3  # the witness's size is learned once; a second process of ours may have asked in between


class WitnessDisagrees(Exception):
    """The witness signed a larger tree of this log, or another one. `size`: where the two part. Nobody signs what a
    witness says of sizes: before a log stops for it, its operator compares with the witness's last cosigned checkpoint.
    """

    def __init__(self, text: str, size: int) -> None:
        super().__init__(text)
        self.size = size


class WitnessUnavailable(Exception):
    """No cosignature this time: not reached, or an answer that is none."""


@dataclass(frozen=True, slots=True)
class KnownWitness:
    """Where a witness is asked (`url`: the submission prefix) and the key that its answers hold under."""

    url: str
    key: Verifier


def cosigned(signed: str, witness: KnownWitness, proof: Proof, post: Post, known: int = 0) -> str:
    """The checkpoint with the witness's signature under the log's own. `known`: the size that it signed last, as far as
    we know. Raises `WitnessDisagrees`, `WitnessUnavailable`.
    """
    ours = checkpoint.parse(note.text_of(signed))
    old = min(known, ours.size)
    for _ in range(TRIES):
        status, media_type, body = _asked(signed, witness, proof, post, old)
        if status == OK:
            return _taken_over(signed, witness, body)
        if status == UNPROVED:
            raise WitnessDisagrees(_text(ours, f"signed another tree at {old} entries"), old)
        if status != CONFLICT or media_type.partition(";")[0].strip() != SIZE_TYPE:
            raise WitnessUnavailable(f"{witness.url} answered {status}")
        old = _agreed(ours, old, _size(body, witness))
    raise WitnessUnavailable(f"{witness.url} named another size each time")


def _asked(signed: str, witness: KnownWitness, proof: Proof, post: Post, old: int) -> tuple[int, str, bytes]:
    hashes = tuple(proof(old)) if old else ()
    try:
        return post(f"{witness.url.rstrip('/')}/add-checkpoint", Submission(old, hashes, signed).body())
    except OSError as error:
        raise WitnessUnavailable(f"{witness.url} was not reached: {error}") from error


def _size(body: bytes, witness: KnownWitness) -> int:
    try:
        return checkpoint.number_of(body.decode().removesuffix("\n"))
    except ValueError:
        raise WitnessUnavailable(f"{witness.url} answered 409 without a size") from None


def _agreed(ours: Checkpoint, asked: int, seen: int) -> int:
    """The size to prove from. Raises `WitnessDisagrees`."""
    if seen > ours.size:
        raise WitnessDisagrees(_text(ours, f"signed {seen} entries"), seen)
    if seen == asked == ours.size:
        raise WitnessDisagrees(_text(ours, f"signed another tree at {seen} entries"), seen)
    return seen


def _text(ours: Checkpoint, seen: str) -> str:
    return f"{ours.origin} has {ours.size} entries, but a witness {seen}: an older or another copy was put back"


def _taken_over(signed: str, witness: KnownWitness, body: bytes) -> str:
    """Only the signature that holds under the witness's key; lines of other keys are left away."""
    text = note.text_of(signed)
    try:
        answered = note.open_note(f"{text}\n{body.decode()}", [witness.key])
    except (NoteRefused, ValueError) as refused:
        raise WitnessUnavailable(f"{witness.url} gave no signature that holds: {refused}") from None
    if answered.text != text:
        raise WitnessUnavailable(f"{witness.url} signed another text")
    return note.add(signed, answered.verified)
