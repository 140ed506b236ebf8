"""What is kept beside the ledger of one request, and how it is entered later: the text of a line of the emergency files
(`desk.emergency`), which calls it.

A line is read under every pepper of now; of one whose pepper is gone whatever says itself whom it names is named anew.
"""

import hmac
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from gateway.choice import identity
from gateway.choice.identity import NormalIdentifier, kinds
from gateway.desk import late_noes, recipients_to_tell
from gateway.desk.late_noes import LateWord
from gateway.keys.secret_files import Secrets, wrap
from gateway.ledger.acts import idempotency, links, records
from gateway.ledger.acts.folded_people import named_by, people_of
from gateway.ledger.entry import Notice, b64
from gateway.ledger.schema import OF_REQUEST
from gateway.ledger.subjects import Choice, Subject, Written, milliseconds, moment, subject_of
from gateway.ledger.transaction import Transaction
from gateway.terms import CLOCKS_APART_MS, ChoiceKind, Purpose

# Of whom it was entered may have been unlinked since: nothing but the receipt's place stands then.
KEPT = f"SELECT 1 FROM detail d WHERE {OF_REQUEST} UNION ALL SELECT 1 FROM unlinked_event u WHERE u.event = ?1"  # noqa: S608 - ours
PEPPER = b"emergency-pepper/1"
MARK_BYTES = 8


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """`repeat`: what `idempotency.named` made of the caller's Idempotency-Key, or nothing. `tie`: link what was listed
    to the one account among it. `signal`: heard and not chosen, so an entry only where it changes something.
    """

    request: bytes
    subjects: tuple[Subject, ...] = field(repr=False)
    choice: Choice
    repeat: idempotency.RequestName | None = None
    tie: bool = False
    signal: bool = False

    def enter(self, tx: Transaction, *, late: bool = False) -> list[Written]:
        """Writes it: one entry a subject, which it returns. `late`: it was accepted before, so that whoever had then
        what it names says it too (`desk.late_noes`), and nothing that passed on since is tied to anybody.
        """
        passed = late_noes.passed_on(tx, self.subjects, self.choice) if late else {}
        if self.tie:
            listed = [subject for subject in self.subjects if not subject.reading]
            still = [each for each in listed if each.key not in passed and each.key not in self._perhaps_read]
            account = next((each for each in listed if each.is_account), None)
            links.tie(tx, account, still, milliseconds(self.choice.at))
        words = [LateWord(subject, self.choice) for subject in self.subjects]
        if late:
            words = late_noes.as_of_then(tx, words, passed)
        enter = late_noes.hear_word if self.signal else late_noes.write_word
        written = [enter(tx, word, self.request) for word in words]
        return [each for each in written[: len(self.subjects)] if each]  # no answer tells that there are others

    @property
    def _perhaps_read(self) -> set[bytes]:
        """Numbers that the further readings may be of: a line does not say of which, so of any."""
        known = {reading.key for subject in self.subjects for reading in subject.further}
        lost = any(subject.reading and subject.key not in known for subject in self.subjects)
        return {subject.key for subject in self.subjects if subject.kind == "phone"} if lost else set()

    @property
    def asks(self) -> Mapping[str, Collection[bytes]]:
        """What will be looked for when it is written."""
        names = {key for subject in self.subjects for key in named_by(subject)}
        accounts = [subject.key for subject in self.subjects if subject.is_account]
        known = [self.repeat.name] if self.repeat else []
        return {recipients_to_tell.LEFT: names, records.NAMED: accounts, idempotency.KNOWN: known}

    def enter_once(self, tx: Transaction) -> bool:
        """Writes it unless it is there already, or another sending of the same that is no older: behind an older one
        a yes may have come, and this was acknowledged as a no of now. Which of two machines' moments is the older one
        their clocks do not tell, but whether the no stands. Whether it wrote.
        """
        if tx.db.execute(KEPT, (self.request,)).fetchone():
            return False
        at = milliseconds(self.choice.at)
        answer = partial(self.enter, tx, late=True)
        _, replayed = idempotency.once(tx, self.repeat, at, lambda: request_answer(answer()), no=True)
        if not replayed:
            return True
        is_later = partial(idempotency.is_answered_before, tx, self.repeat)
        if not is_later(at) and (self._stands(tx) or not is_later(at + CLOCKS_APART_MS)):
            return False
        answer()
        return True

    def _stands(self, tx: Transaction) -> bool:
        """Whether everybody whom it names says no themselves to what it is about."""
        people, now = people_of(tx, [subject.key for subject in self.subjects]), milliseconds(self.choice.at)
        standings = [people.standing(subject.key, now) for subject in self.subjects]
        return all(each.own_denies(purpose) for each in standings for purpose in self.choice.purposes)

    def text(self, peppers: Sequence[bytes]) -> bytes:
        """`peppers`: those that wrap its keys."""
        choice, notice, repeat = self.choice, self.choice.notice, self.repeat
        members = {
            "request": self.request.hex(),
            "peppers": len(peppers),
            "last": _pepper_mark(peppers),
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


def request_answer(written: Sequence[Written]) -> bytes:
    """What an Idempotency-Key is answered with."""
    return json.dumps([[b64(item.event), item.seq] for item in written]).encode()


def read_request(text: bytes, secrets: Secrets) -> KeptRequest:
    """What `text` made, its keys under every pepper of now. Raises ValueError for what is none."""
    try:
        return _read_members(json.loads(text), secrets)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError("not a kept request") from error


def _read_members(members: dict[str, Any], secrets: Secrets) -> KeptRequest:
    under, fresh = secrets.peppers[: members["peppers"]], secrets.peppers[members["peppers"] :]
    are_here = len(under) == members["peppers"] and members.get("last") in (None, _pepper_mark(under))

    def keys(texts: Sequence[str]) -> tuple[bytes, ...]:
        return tuple(wrap(bytes.fromhex(text), fresh) for text in texts)

    def subject(kind: str, value: str, own: Sequence[str], more: Sequence[str], box: str, reading: object) -> Subject:
        if not are_here:
            return replace(_named_anew(kind, value, secrets), reading=bool(reading))
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


def _named_anew(kind: str, value: str, secrets: Secrets) -> Subject:
    """Whom a line names whose keys are under a pepper that is gone: nobody would ever ask for them. Raises ValueError
    where its value does not say so by itself.
    """
    read = kinds.alone(kind, value) if kind in ("browser", "device") else identity.read_kept(kind, value)
    if not value or not isinstance(read, NormalIdentifier) or (read.kind, read.value) != (kind, value):
        raise ValueError("keys under a pepper that is gone")
    return replace(subject_of(read, secrets), further=(), possible=())  # a line lists those as subjects of their own


def _pepper_mark(peppers: Sequence[bytes]) -> str:
    """By which the last one is told from another in its place."""
    return hmac.digest(peppers[-1], PEPPER, "sha256")[:MARK_BYTES].hex()


def _shown(subject: Subject) -> list[Any]:
    box = subject.mailbox.hex() if subject.mailbox is not None else ""
    return [subject.kind, subject.value, _hex(subject.keys), _hex(subject.looser), box, subject.reading]


def _hex(keys: Sequence[bytes]) -> list[str]:
    return [key.hex() for key in keys]
