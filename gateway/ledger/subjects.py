"""Subjects and choices: whom a choice is about, and what was chosen; shapes that doors, people and the ledger share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from gateway.choice.identity import NormalIdentifier, kinds
from gateway.keys.secret_files import Secrets
from gateway.ledger.proof import entry
from gateway.signals.heard import Said
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, DataClass, GrantKind, Purpose

ACTS = {ChoiceKind.DIRECT: GrantKind.DIRECTED, ChoiceKind.KEEP_PROGRAMME: GrantKind.PROGRAMME}
ACT = 10 * 60_000  # milliseconds that a directed act is good for (R28)
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
