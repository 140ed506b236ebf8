"""What the answers of a recorded service come to: whom they promised to deny, which entries they named, and which
checkpoints they showed, each with a signature that holds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.keys import seals, secret_files
from gateway.ledger.proof import note, receipt
from gateway.ledger.proof.ed25519 import Ed25519Signer, Ed25519Verifier
from gateway.ledger.proof.note import Checkpoint
from support.answers import Answer
from support.workload import DONE, Promise, Promises


@dataclass(frozen=True, slots=True)
class Told:
    """One answer. `events`: (event id, place in the log); `shown`: checkpoints; `at` as in `Answer`."""

    at: int
    promise: Promise
    events: tuple[tuple[bytes, int | None], ...] = ()
    shown: tuple[Checkpoint, ...] = ()


def understand(answers: Sequence[Answer], promises: Promises, data: Path) -> list[Told]:
    """What was done and said so, in order. Raises where a receipt or a checkpoint does not hold by its own signature.
    `data`: the folder with the keys that it was signed with.
    """
    return [_told(answer, promises, data) for answer in answers if answer.status in DONE]


def _told(answer: Answer, promises: Promises, data: Path) -> Told:
    promise = promises.get((answer.port, answer.turn), Promise())
    shown = tuple(_verified(signed, data) for signed in _notes(answer))
    return Told(answer.at, promise, tuple(_events(answer)), shown)


def _events(answer: Answer) -> Iterator[tuple[bytes, int | None]]:
    """Of a 202 none: what waits may turn out to be a repetition, and then has no entry of its own."""
    if answer.status == 202:
        return
    said = answer.json
    for each in said.get("events", ()) if isinstance(said, dict) else ():
        yield seals.unb64(each["event"]), each["seq"]
    if answer.status == 303:
        yield seals.unb64(answer.headers["location"].partition("/done/")[2].partition("?")[0]), None


def _notes(answer: Answer) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """(signed checkpoint, the event that it is the receipt of)."""
    said = answer.json
    for each in said.get("events", ()) if isinstance(said, dict) else ():
        if each.get("receipt"):
            yield each["receipt"], each
    if answer.headers.get("content-type", "").startswith("text/plain") and answer.turn >= 0 and b"\n\n" in answer.body:
        yield answer.body.decode(), None


def _verified(shown: tuple[str, Mapping[str, Any] | None], data: Path) -> Checkpoint:
    text, event = shown
    if event is None:
        return note.parse_checkpoint(note.open_note(text, _verifiers(text, data)).text)
    proved = receipt.parse_receipt(text)
    assert event["seq"] in {proved.index, None}, "a receipt of another entry"
    return receipt.verify_receipt(proved, _verifiers(proved.note, data))


def _verifiers(signed: str, data: Path) -> list[Ed25519Verifier]:
    origin = signed.partition("\n")[0]
    return [
        Ed25519Verifier(origin, Ed25519Signer(origin, seed).public) for seed in secret_files.load_secrets(data).signing
    ]
