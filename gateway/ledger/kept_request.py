"""One act of tightening as it is kept until it can be entered: what it takes to enter it later, exactly once.

The request's id becomes its first entry's event id, so that whoever enters it sees whether it was entered before. Text
is JSON, to be sealed by who stores it: it holds the person's identifiers.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.keys.secret_files import wrap
from gateway.ledger import idempotency, links, recipients_to_tell
from gateway.ledger.entry import Notice, b64
from gateway.ledger.subjects import Choice, Subject, Written, milliseconds, moment
from gateway.ledger.writer import Transaction
from gateway.terms import ChoiceKind, Purpose


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """`repeat`: what `idempotency.named` made of the caller's Idempotency-Key, or nothing. `tie`: link what was listed
    to the account among it. `signal`: heard and not chosen, so an entry only where it changes something.
    """

    request: bytes
    subjects: tuple[Subject, ...] = field(repr=False)
    choice: Choice
    repeat: idempotency.RequestName | None = None
    tie: bool = False
    signal: bool = False

    def enter(self, tx: Transaction) -> list[Written]:
        """Writes it: one entry a subject."""
        if self.tie:
            listed = [subject for subject in self.subjects if not subject.reading]
            links.tie(tx, account_of(listed), listed, milliseconds(self.choice.at))
        if self.signal:
            heard = [recipients_to_tell.hear(tx, subject, self.choice, self.request) for subject in self.subjects]
            return [written for written in heard if written]
        return [recipients_to_tell.write(tx, subject, self.choice, self.request) for subject in self.subjects]

    def enter_once(self, tx: Transaction) -> bool:
        """Writes it unless it, or another sending of the same, is there already. Whether it wrote."""
        if tx.db.execute("SELECT 1 FROM detail WHERE request = ?", (self.request,)).fetchone():
            return False
        at = milliseconds(self.choice.at)
        try:
            return not idempotency.once(tx, self.repeat, at, lambda: answer(self.enter(tx)))[1]
        except idempotency.Mismatch:  # the key was used for another choice; this one was acknowledged all the same
            return bool(self.enter(tx))

    def text(self, peppers: int) -> bytes:
        """`peppers`: how many wrap its keys."""
        choice, notice, repeat = self.choice, self.choice.notice, self.repeat
        members = {
            "request": self.request.hex(),
            "peppers": peppers,
            "tie": self.tie,
            "signal": self.signal,
            "subjects": [_shown(subject) for subject in self.subjects],
            "choice": choice.kind,
            "purposes": choice.purposes,
            "source": choice.source,
            "at": milliseconds(choice.at),
            "place": choice.place,
            "manner": choice.manner,
            "received": milliseconds(choice.received) if choice.received else None,
            "details": choice.details,
            "notice": [notice.sha256.hex(), notice.version, notice.language] if notice else None,
            "repeat": [repeat.name.hex(), repeat.content.hex()] if repeat else None,
        }
        return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()


def account_of(subjects: Sequence[Subject]) -> Subject | None:
    """The account among what was listed."""
    return next((subject for subject in subjects if subject.is_account), None)


def answer(written: Sequence[Written]) -> bytes:
    """What an Idempotency-Key is answered with."""
    return json.dumps([[b64(item.event), item.seq] for item in written]).encode()


def read(text: bytes, peppers: Sequence[bytes]) -> KeptRequest:
    """What `text` made, its keys under every pepper of now. Raises ValueError for what is none."""
    try:
        return _read(json.loads(text), peppers)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError("not a kept request") from error


def _read(members: dict[str, Any], peppers: Sequence[bytes]) -> KeptRequest:
    fresh = peppers[members["peppers"] :]

    def keys(texts: Sequence[str]) -> tuple[bytes, ...]:
        return tuple(wrap(bytes.fromhex(text), fresh) for text in texts)

    def subject(kind: str, value: str, own: Sequence[str], more: Sequence[str], *rest: Any) -> Subject:
        """A line that an earlier gateway kept names no mailbox and has no mark of a reading."""
        box, reading = rest or ("", False)
        return Subject(kind, value, keys(own), keys(more), keys([box])[0] if box else None, reading=bool(reading))

    subjects = tuple(subject(*told) for told in members["subjects"])
    notice, repeat, received = members["notice"], members["repeat"], members["received"]
    choice = Choice(
        ChoiceKind(members["choice"]),
        tuple(map(Purpose, members["purposes"])),
        members["source"],
        moment(members["at"]),
        members["place"],
        Notice(bytes.fromhex(notice[0]), notice[1], notice[2]) if notice else None,
        members["manner"],
        None if received is None else moment(received),
        details=members["details"],
    )
    named = idempotency.RequestName(*map(bytes.fromhex, repeat)) if repeat else None
    request = bytes.fromhex(members["request"])
    return KeptRequest(request, subjects, choice, named, tie=members["tie"], signal=members["signal"])


def _shown(subject: Subject) -> list[Any]:
    box = subject.mailbox.hex() if subject.mailbox is not None else ""
    return [subject.kind, subject.value, _hex(subject.keys), _hex(subject.looser), box, subject.reading]


def _hex(keys: Sequence[bytes]) -> list[str]:
    return [key.hex() for key in keys]
