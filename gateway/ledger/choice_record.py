"""What a choice becomes in the ledger: its public leaf, what the fold is told, and the details that are sealed. Pure:
nothing is looked up. Whoever writes choices calls it (`acts/records.py`).
"""

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from gateway.fold import record as told
from gateway.fold.record import Said
from gateway.ledger.proof import entry
from gateway.ledger.subjects import ACT, ACTS, Choice, Subject, milliseconds
from gateway.terms import ChoiceKind, GrantKind, Purpose, Source

WORDS_OF_PEOPLE = frozenset({
    Source.FORM, Source.SDK, Source.API, Source.EMAIL, Source.PHONE, Source.LETTER, Source.AGENT, Source.SMS,
    Source.IMPORT,
})  # fmt: skip


class LeafSecrets(NamedTuple):
    """`event`: the id that the leaf shows. `rs` opens whom it is about, `rd` its details."""

    event: bytes
    rs: bytes
    rd: bytes


def as_written(subject: Subject, choice: Choice) -> Choice:
    """What is written of it: of a further reading of a number, that it is one."""
    if not subject.reading:
        return choice
    return replace(choice, source=Source.READING, manner="", details={**choice.details, "said": choice.source})


def public_leaf(
    subject: Subject, choice: Choice, secrets: LeafSecrets, details: bytes, told: tuple[str, str] = ("", "")
) -> bytes:
    """`told` as in `entry.choice`."""
    return entry.choice(
        event=secrets.event,
        kind=choice.kind,
        purposes=choice.purposes,
        source=choice.source,
        at=choice.at,
        subject=entry.subject_commitment(secrets.rs, subject.kind, subject.value),
        details=entry.details_commitment(secrets.rd, details),
        place=choice.place,
        notice=choice.notice,
        recipient=choice.recipient,
        manner=choice.manner,
        ui=choice.ui,
        classes=[choice.data_class] if choice.data_class else [],
        told=told,
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
def _in_order(purposes: tuple[Purpose, ...]) -> tuple[Purpose, ...]:
    return tuple(each for each in Purpose if each in purposes)


def said_place(source: str, place: str) -> str:
    """Where somebody said that they are, by the place that an entry names. With a signal nobody says one: it is where
    its request came from, and what is derived from somebody's word says it of that.
    """
    return place if source in WORDS_OF_PEOPLE else ""


def said_of_choice(choice: Choice, *, signal: bool = False) -> Said:
    """What the fold is told of a choice that is `as_written`."""
    kind, purposes, place = choice.kind, _in_order(choice.purposes), said_place(choice.source, choice.place)
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
