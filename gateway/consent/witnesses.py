"""Asking witnesses: each checkpoint that is new is shown to them, and their signatures are kept under it (C2SP
tlog-witness). `app.composition` runs it beside the service; nobody's answer waits for it.

A witness that has seen a larger tree of this log, or another one, is how a ledger that was put back with everything
beside it is found out. It stops the log: nothing is signed and nobody is answered from it until that very witness
signs, whoever is started meanwhile and however long it is away.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from gateway.delivery.background import beside
from gateway.delivery.outgoing import NoHttpAnswer, ask_blocking
from gateway.ledger.audit.log_reader import LogReader, size_of
from gateway.ledger.audit.witness import Submission
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.proof import note
from gateway.ledger.proof.note import Checkpoint, NoteRefused, Verifier

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
    ours = note.parse_checkpoint(note.text_of(signed))
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
        return note.number_of(body.decode().removesuffix("\n"))
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
    return note.add_signatures(signed, answered.verified)


log = structlog.get_logger("gateway")
SECONDS = 12.0  # for one witness; it answers in tenths
PLAIN = {"Content-Type": "text/plain; charset=utf-8"}
MISSED = 10  # looks in a row: with the default ten minutes, longer than a witness takes to start again


class Witnessing:
    """`witnesses` by the operator's names for them; `every`: seconds between two looks."""

    def __init__(
        self, folder: Path, reader: LogReader, witnesses: Mapping[str, KnownWitness], post: Post, every: float
    ) -> None:
        self._folder = folder
        self._reader = reader
        self._witnesses = witnesses
        self._post = post
        self._every = every
        self._known: dict[str, int] = {}
        self._disagrees: dict[str, str] = {}
        self._missed: dict[str, tuple[int, str]] = {}
        self._seen: dict[str, datetime] = {}

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Asks while the context is open."""
        return beside(self._run, wanted=bool(self._witnesses))

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(StoreUnavailable):
                await asyncio.to_thread(self.ask)
            await asyncio.sleep(self._every)

    def alarms(self) -> list[str]:
        """Witnesses that give no signature any more, with what they said last: without one nobody outside finds out
        that the whole of it was put back.
        """
        missed = {name: why for name, (times, why) in list(self._missed.items()) if times >= MISSED}
        return [f"the witness {name!r} does not sign ({why}): gateway help proofs" for name, why in missed.items()]

    def seen(self) -> dict[str, datetime | None]:
        """When each witness signed last, as far as this process knows; None: not since it began."""
        return {name: self._seen.get(name) for name in self._witnesses}

    def ask(self) -> None:
        """Asks every witness once. Raises `StoreUnavailable`. Blocks."""
        signed = self._reader.to_be_witnessed()
        if signed is None:
            return
        bare = note.text_of(signed)
        seen = {name: self._asked(name, witness, signed) for name, witness in self._witnesses.items()}
        heard = (name for name, given in seen.items() if given or name in self._disagrees)
        self._reader.refuse({name: self._disagrees.get(name, "") for name in heard})
        lines = [each for given in seen.values() if given for each in note.split_note(given)[1]]
        if lines and not self._disagrees:
            own = note.split_note(signed)[1]
            kept = {(each.name, each.key_id): each for each in [*own, *lines]}
            self._reader.keep_cosigned(note.add_signatures(bare + "\n", kept.values()))

    def _asked(self, name: str, witness: KnownWitness, signed: str) -> str | None:
        """The checkpoint with this witness's signature; None where it gave none."""
        size = size_of(signed)
        try:
            given = cosigned(
                signed, witness, lambda old: self._reader.consistency(old, size), self._post, self._known.get(name, 0)
            )
        except WitnessUnavailable as away:
            log.warning("witness", witness=name, why=str(away))
            self._missed[name] = self._missed.get(name, (0, ""))[0] + 1, str(away)
            return None
        except WitnessDisagrees as disagrees:
            if not self._is_ours(disagrees.size, size):
                log.warning("witness disagrees", witness=name, why=str(disagrees))
                self._disagrees[name] = self._text(name, disagrees)
            return None
        self._known[name] = size
        self._seen[name] = datetime.now(UTC)
        self._disagrees.pop(name, None)
        self._missed.pop(name, None)
        return given

    def _is_ours(self, seen: int, size: int) -> bool:
        """Whether a witness may have got what it saw from another process or machine of ours, which had more by then
        than the `size` that was shown; then it is asked with that the next time.
        """
        if seen <= size:
            return False
        self._reader.learn(seen)
        newest = self._reader.to_be_witnessed()
        return newest is not None and seen <= size_of(newest)

    def _text(self, name: str, disagrees: WitnessDisagrees) -> str:
        return (
            f"{disagrees} (the witness {name!r}): nothing is signed, and nobody is answered from it. Put back the newer"
            f" folder; if it is lost for good, go on as a new log: gateway restore --new-log --data {self._folder}"
        )


def submit(url: str, body: bytes) -> tuple[int, str, bytes]:
    """(status, media type, body) of what a witness answers to a checkpoint: hashes and a signature, nothing personal.
    Raises OSError for whatever the network or the witness does. Blocks.
    """
    try:
        answer = ask_blocking("POST", url, headers=PLAIN, body=body, seconds=SECONDS)
    except NoHttpAnswer as none:
        raise OSError(none.why) from none
    if not answer.whole:
        raise OSError("the answer is too long")
    return answer.status, answer.headers.get("content-type", ""), answer.body
