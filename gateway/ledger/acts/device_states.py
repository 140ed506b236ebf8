"""States: what a device or a tool says of itself, for as long as it says so (R26); and what one installation of an app
said. `consent.verbs` and `consent.installations` call it.

Limit-ad-tracking, ATT "denied" and a consent string that refuses are no choices of a person: they deny for the device
and its other names, travel to no account, lift and replace no choice, and end when the same source says the opposite.
Its silence ends nothing. What an app says is of its installation alone: each has a state of its own on an id, and ends
no other's; whoever speaks for the id itself ends them all.

A person who opted out is out by their new ad id too: a state of this installation, which ends once the others are free
again (what is owed: `phone_noes`). It is an installation's where its source has the mark.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from gateway.fold.kin import family
from gateway.fold.reading import Kin, states_of
from gateway.fold.record import Record, StateSaid
from gateway.fold.state import widened
from gateway.keys import seals
from gateway.ledger.acts import records
from gateway.ledger.acts.folded_people import people_of
from gateway.ledger.choice_record import said_of_choice
from gateway.ledger.subjects import Choice, Subject, Written, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.terms import ALL_PURPOSES, ChoiceKind, Purpose, Source


def begin_state(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written | None:
    """A source's denial of purposes; an entry only where it is news, to any of its names: a digest of two identifiers
    may have it from the one.
    """
    records.know_names(tx, subject, milliseconds(choice.at))
    slate, said = people_of(tx, [subject.key]).slate(), _state_of(choice)
    wanted = {(said.source, said.mark, purpose) for purpose in widened(said.purposes)}
    if all(wanted <= states_of(Kin(slate, name)) for name in family(slate, subject.key)):
        return None
    return records.append(tx, subject, choice, request, said)


def end_state(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written | None:
    """The same source says that it no longer denies; an entry only where it did."""
    records.know_names(tx, subject, milliseconds(choice.at))
    record = Record(tx.size, milliseconds(choice.at), subject.key, _state_of(choice))
    if not people_of(tx, [subject.key]).is_news(record):
        return None
    return records.append(tx, subject, choice, request, record.said)


def _state_of(choice: Choice) -> StateSaid:
    said = said_of_choice(choice)
    assert isinstance(said, StateSaid)
    return said


def denied_by_source(tx: Transaction, key: bytes, source: str, mark: str) -> set[Purpose]:
    """The purposes that a source denies for a key, of one installation where an app says it."""
    states = states_of(Kin(people_of(tx, [key]).slate(), key))
    return {purpose for said_by, its, purpose in states if (said_by, its) == (source, mark)}


SOURCE = Source.INSTALLATION


def follow_installation(
    tx: Transaction, subjects: Sequence[Subject], owed: Mapping[bytes, Collection[Purpose]], mark: str, at: datetime
) -> int:
    """Begins and ends what each of an installation's ids has from the others. Returns how many entries that took."""
    request, written, details = seals.new_event(at), 0, {"device": mark}
    for subject in subjects:
        held = denied_by_source(tx, subject.key, SOURCE, mark)
        due = set(widened(tuple(owed.get(subject.key, ()))))
        if held - due:
            ended = Choice(ChoiceKind.STATE_ENDED, tuple(sorted(held)), SOURCE, at, details=details)
            written += end_state(tx, subject, ended, request) is not None
        if due and due != held:
            purposes = tuple(purpose for purpose in ALL_PURPOSES if purpose in due)
            began = Choice(ChoiceKind.STATE_BEGAN, purposes, SOURCE, at, details=details)
            written += begin_state(tx, subject, began, request) is not None
    return written


def lift_state(tx: Transaction, subject: Subject, purpose: Purpose, at: datetime) -> None:
    """Whoever shows that an id is theirs and says yes to a purpose is rid of what other ids brought it, by whichever
    installation; not of the other purposes.
    """
    request, held = seals.new_event(at), dict[str, set[Purpose]]()
    for source, mark, denied in sorted(states_of(Kin(people_of(tx, [subject.key]).slate(), subject.key))):
        if source == SOURCE:
            held.setdefault(mark, set()).add(denied)
    if not held:
        return
    gone = tuple(sorted({each for of in held.values() for each in of}))
    end_state(tx, subject, Choice(ChoiceKind.STATE_ENDED, gone, SOURCE, at), request)  # everybody's
    for mark, of in held.items():
        left = tuple(each for each in ALL_PURPOSES if each in of - set(widened((purpose,))))
        details = {"device": mark} if mark else {}
        if left:
            begin_state(tx, subject, Choice(ChoiceKind.STATE_BEGAN, left, SOURCE, at, details=details), request)
