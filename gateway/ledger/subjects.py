"""Subjects and choices: whom a choice is about and what was chosen, shapes that doors, people and the ledger share; and
what a choice becomes in the ledger: its public leaf, what the fold is told, and the details that are sealed, for
whoever writes choices (`acts/records.py`). Pure: nothing is looked up.

What opens an entry are the secrets of its two commitments and its details, sealed so that each can be forgotten alone.
`rs` opens the subject's commitment and is sealed with the person's key of openings; `rd` and the details with the key
of details: whoever erases the details keeps the proof that somebody opted out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from gateway.choice.identity import NormalIdentifier, kinds
from gateway.fold import record as told
from gateway.keys import seals
from gateway.keys.secret_files import PersonKeys, Secrets
from gateway.ledger import entry
from gateway.signals.heard import Said
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, DataClass, GrantKind, Purpose, Source

ACTS = {ChoiceKind.DIRECT: GrantKind.DIRECTED, ChoiceKind.KEEP_PROGRAMME: GrantKind.PROGRAMME}
ACT = 10 * 60_000  # milliseconds that a directed act is good for (R28)
DIGEST = "digest"  # the kind of an identifier that is known by its key alone
RESIDES = "resides"  # in details: the place of the choice is where its person says to live, or their operator knows it
OWN = frozenset({"browser", "account"})  # of a form's subjects: its sender's own, and nobody's who is typed into it
SIGNALLED = frozenset(tuple(Source)[: tuple(Source).index(Source.FORM)])  # said by no word of a person
TIGHTENS = frozenset({ChoiceKind.OPT_OUT, ChoiceKind.LIMIT, ChoiceKind.WITHDRAW})
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEVICES = frozenset({"browser", "cookie", "device", *kinds.AD_ID_DIGESTS, *kinds.UUIDS, *kinds.DEVICES})


@dataclass(frozen=True, slots=True)
class Subject:
    """`keys[0]` is the identifier's own; the rest are keys of its other names. `looser`: keys of forms that recipients
    hash and that somebody else's value may share; they carry denials and nothing else. `mailbox`: the key of the
    plainest spelling, where the host takes several for one mailbox. `further`: what a number may be too, each with
    `reading`: it is written as `Source.READING`, denies and says nothing else of anybody. `possible`: keys that only
    are asked about. `unwritten`: of a browser that was named by a token which says no itself to what GPC denies, and
    of which no record need hold it.
    """

    kind: str
    value: str = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    looser: tuple[bytes, ...] = field(default=(), repr=False)
    mailbox: bytes | None = field(default=None, repr=False)
    further: tuple["Subject", ...] = field(default=(), repr=False)
    possible: tuple[bytes, ...] = field(default=(), repr=False)
    reading: bool = False
    unwritten: bool = False

    @property
    def key(self) -> bytes:
        return self.keys[0]

    @property
    def known(self) -> int:
        """By how many names it goes."""
        return len(self.keys) + len(self.looser) + len(self.further)

    @property
    def is_account(self) -> bool:
        return self.kind == "account"

    @property
    def is_device(self) -> bool:
        """A browser, a device or an id of one; not what a person has on several: account, number, address, eids."""
        return self.kind.partition(":")[0] in DEVICES


@dataclass(frozen=True, slots=True)
class Choice:
    """What was decided, and how it was said. `at`: when it was accepted; `received`: when a letter came (R30).
    `recipient`: of an opt-in or an act; of keep_programme the programme's name. `ui`: the version of the screen, which
    is that of a logged document. `informed`: an account opted in with a live signal in sight; `parental`: a parent did.
    """

    kind: ChoiceKind
    purposes: tuple[Purpose, ...]
    source: str
    at: datetime
    place: str = ""
    notice: entry.Notice | None = None
    manner: str = ""
    received: datetime | None = None
    recipient: str = ""
    data_class: DataClass | None = None
    details: Mapping[str, object] = field(default_factory=dict)
    ui: str = ""
    informed: bool = False
    parental: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """One entry. `opening` is what shows its owner that it is about them; it is handed out once and kept sealed."""

    event: bytes
    seq: int
    kind: str
    key: bytes
    opening: bytes = field(repr=False)


def milliseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


def day_begins(day: date) -> int:
    """In Unix milliseconds (UTC)."""
    return milliseconds(datetime(day.year, day.month, day.day, tzinfo=UTC))


def moment(now: int) -> datetime:
    """Unix milliseconds as a time; `milliseconds` gives them back exactly."""
    return EPOCH + timedelta(milliseconds=now)


def second_of(at: int) -> str:
    """Unix milliseconds as RFC 3339 in whole seconds, UTC, as records and other systems are told it."""
    return moment(at).isoformat(timespec="seconds").replace("+00:00", "Z")


def choice_heard(kind: ChoiceKind, said: Said, at: datetime, place: str) -> Choice:
    """What a signal says, as a choice. Of its place as much as may stand in a leaf: one, no finer than a state."""
    purposes = tuple(purpose for purpose in SIGNAL_PURPOSES if purpose in said.purposes)
    return Choice(kind, purposes, said.source, at, place if place.count(",") == 0 and place != "unknown" else "")


def one_each(subjects: Iterable[Subject]) -> dict[bytes, Subject]:
    """By key. Of one that is named twice what more is known of: an address has forms that its own digest has not."""
    found: dict[bytes, Subject] = {}
    for each in subjects:
        before = found.get(each.key)
        found[each.key] = each if before is None else _one(before, each)
    return found


def _one(before: Subject, again: Subject) -> Subject:
    """One that is named twice. A no that only one of the names brings along holds."""
    more = again if again.known > before.known else before
    return replace(more, unwritten=True) if before.unwritten or again.unwritten else more


def subject_of(identifier: NormalIdentifier, secrets: Secrets) -> Subject:
    """Whom an identifier names: its keys."""
    exact, looser = identifier.names[: identifier.exact], identifier.looser
    own, more = secrets.keys(exact), secrets.keys(looser) if looser else ()
    box = (*own, *more)[identifier.names.index(identifier.mailbox)] if identifier.mailbox else None
    if not (identifier.further or identifier.possible):
        return Subject(identifier.kind, identifier.value, own, more, box)
    further = tuple(replace(subject_of(each, secrets), reading=True) for each in identifier.further)
    possible = tuple(key for each in identifier.possible for key in secrets.keys(each.names[: each.exact]))
    return Subject(identifier.kind, identifier.value, own, more, box, further, possible)


def every_reading(subjects: Iterable[Subject]) -> tuple[Subject, ...]:
    """Whom a no is written for: those who were named, and behind them what a number of theirs may be too."""
    named = one_each(subjects)
    further = {each.key: each for subject in named.values() for each in subject.further if each.key not in named}
    return (*named.values(), *further.values())


class LeafSecrets(NamedTuple):
    """`event`: the id that the leaf shows. `rs` opens whom it is about, `rd` its details."""

    event: bytes
    rs: bytes
    rd: bytes


def as_written(subject: Subject, choice: Choice) -> Choice:
    """What is written of it: of a further reading of a number, that it is one. Where somebody lives is not said of
    whoever was named in a form, nor of such a reading: they may be another person; nor with a signal, whose place is
    where its request came from.
    """
    typed = choice.source == Source.FORM and subject.kind not in OWN
    if RESIDES in choice.details and (subject.reading or typed or choice.source in SIGNALLED):
        choice = replace(choice, details={name: each for name, each in choice.details.items() if name != RESIDES})
    if subject.reading:
        choice = replace(choice, source=Source.READING, manner="", details={**choice.details, "said": choice.source})
    return choice


def public_leaf(
    subject: Subject, choice: Choice, secrets: LeafSecrets, details: bytes, told: tuple[str, str] = ("", "")
) -> bytes:
    """What anybody may read of it, its place no finer than a state. `told`: which notice, and the day (ISO 8601) it was
    shown or sent.
    """
    members = {
        "p": sorted(choice.purposes),
        "src": choice.source,
        "m": choice.manner,
        "j": choice.place,
        "s": entry.b64(entry.subject_commitment(secrets.rs, subject.kind, subject.value)),
        "d": entry.b64(entry.details_commitment(secrets.rd, details)),
        "to": choice.recipient,
        "ui": choice.ui,
        "c": [choice.data_class] if choice.data_class else [],
        "k": told[0],
        "day": told[1],
        "r": "applied",
    }
    return entry.leaf(
        choice.kind, secrets.event, choice.at, members | (entry.named_notice(choice.notice) if choice.notice else {})
    )


def sealed_details(choice: Choice) -> bytes:
    """What the leaf does not show of it, as it is sealed."""
    members = {**choice.details, "at": choice.at.isoformat(timespec="milliseconds")}
    if choice.received:
        members["received"] = choice.received.isoformat()
    if choice.data_class:
        members["data"] = [choice.data_class]
    members |= {name: True for name in ("informed", "parental") if getattr(choice, name)}
    return entry.ascii_json(members)


def names_of_subject(subject: Subject) -> told.NamesLearnt | None:
    """None: it goes by no other name."""
    names = told.NamesLearnt(subject.keys[1:], subject.looser, subject.mailbox)
    return names if any(names) else None


@lru_cache
def in_order(purposes: tuple[str, ...]) -> tuple[Purpose, ...]:
    return tuple(each for each in Purpose if each in purposes)


def residing(place: str) -> Mapping[str, object]:
    """Details of a choice by whoever knows where its person lives: the person themselves, or the operator. Not of a
    signal, nor by an app's key that everybody has: whoever names somebody there would bring them a law for good.
    """
    return {RESIDES: True} if place else {}


def said_of_choice(choice: Choice, *, signal: bool = False) -> told.Said:
    """What the fold is told of a choice that is `as_written`."""
    kind, purposes, place = choice.kind, in_order(choice.purposes), choice.place if choice.details.get(RESIDES) else ""
    mark = str(choice.details.get("device") or "")
    if kind in {ChoiceKind.STATE_BEGAN, ChoiceKind.STATE_ENDED}:
        return told.StateSaid(kind is ChoiceKind.STATE_BEGAN, purposes, choice.source, mark)
    if kind in ACTS:
        until = milliseconds(choice.at) + ACT if ACTS[kind] is GrantKind.DIRECTED else None
        return told.GrantSaid(choice.recipient, purposes, choice.data_class, ACTS[kind], choice.ui, until, place)
    if kind is not ChoiceKind.OPT_IN:
        dated = choice.source != Source.READING
        return told.SaidOut(purposes, choice.source, mark, dated=dated, signal=signal, place=place)
    if choice.recipient:
        return told.GrantSaid(choice.recipient, purposes, choice.data_class, GrantKind.OPTED_IN, choice.ui, place=place)
    return told.SaidIn(purposes, choice.ui, choice.informed, choice.parental, place)


SALT = 32  # bytes of rs and of rd
OPENING = b"opening/1"


@dataclass(frozen=True, slots=True)
class Opened:
    """None: forgotten. `broken`: a box that its own key does not open."""

    rs: bytes | None = field(default=None, repr=False)
    rd: bytes | None = field(default=None, repr=False)
    details: bytes | None = field(default=None, repr=False)
    broken: bool = False


def seal_boxes(person: PersonKeys, event: bytes, rs: bytes, rd: bytes, details: bytes) -> tuple[bytes, bytes]:
    """The two boxes of an entry's row: details, opening. Both are bound to the event."""
    assert person.details
    assert person.openings
    return seals.seal_box(person.details, event, rd + details), seals.seal_box(person.openings, OPENING + event, rs)


def open_boxes_of(
    boxes: Sequence[tuple[tuple[bytes, bytes], bytes, bytes, bytes]],
) -> tuple[list[bytes], list[bytes]]:
    """Each rs, and each rd with the details behind it, of a person's two keys (details, openings), event and both boxes
    (details, opening). Raises `seals.OpeningFailed` where one does not open.
    """
    return (
        seals.open_each((openings, OPENING + event, opening) for (_, openings), event, _, opening in boxes),
        seals.open_each((details, event, sealed) for (details, _), event, sealed, _ in boxes),
    )


def open_boxes(person: PersonKeys, event: bytes, sealed: bytes | None, opening: bytes | None) -> Opened:
    """What can still be opened."""
    rs = rd = details = None
    try:
        if person.openings and opening:
            rs = seals.open_seal([person.openings], OPENING + event, opening)
        if person.details and sealed:
            content = seals.open_seal([person.details], event, sealed)
            rd, details = content[:SALT], content[SALT:]
    except seals.OpeningFailed:
        return Opened(broken=True)
    return Opened(rs, rd, details)
