"""A person's no, and who else has to hear it: the choice is written, and with it, in one transaction, the messages to
the recipients that got what it is about (11 CCR 7026(f)(2) and (3), 7027(g); R18).

An opt-out reaches what its identifier reaches: the other names, the accounts that have it, and what those have. A
recipient is told of each of these that it got from us, and of no other one.
"""

from collections.abc import Iterator

from gateway.ledger import recipients_reached, records, travel
from gateway.ledger.reach import group, reach, released
from gateway.ledger.recipients_reached import Identified, ToldWord
from gateway.ledger.records import TIGHTENS
from gateway.ledger.subjects import Choice, Subject, Written, milliseconds
from gateway.ledger.writer import Transaction
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, DataClass, Purpose

SENSITIVE = frozenset({DataClass.PRECISE_GEO, DataClass.CONTENT, DataClass.CPNI})  # Cal. Civ. Code 1798.140(ae)
OWN_MARKETING = frozenset({
    Purpose.MARKETING_EMAIL, Purpose.MARKETING_MAIL, Purpose.MARKETING_TEXT, Purpose.MARKETING_CALL,
    Purpose.CPNI_MARKETING,
})  # fmt: skip


def write(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written:
    """As `records.write`."""
    written = records.write(tx, subject, choice, request)
    _pass_on(tx, subject, choice)
    return written


def hear(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written | None:
    """As `records.hear`."""
    written = records.hear(tx, subject, choice, request)
    if written:
        _pass_on(tx, subject, choice)
    return written


def _pass_on(tx: Transaction, subject: Subject, choice: Choice) -> None:
    if choice.kind in TIGHTENS:
        recipients_reached.tell(tx, _stopped(tx, subject, choice), choice.at, choice.received)


def _stopped(tx: Transaction, subject: Subject, choice: Choice) -> Iterator[tuple[Identified, ToldWord]]:
    """What recipients have that the choice stops."""
    said = frozenset(travel.widened(choice.purposes))
    reached = reach(tx, subject.key, milliseconds(choice.at), account=subject.is_account)
    keys = group(tx, subject.key).union(*reached.values())
    own = {key: max(released(tx, key), 0) for key in sorted(keys)}
    for each in recipients_reached.identified(tx, recipients_reached.names_of(tx, [subject], own), own):
        word = word_for(said, each.got.purposes, each.got.classes)
        if word:
            yield each, word


def word_for(said: frozenset[Purpose], purposes: frozenset[str], classes: frozenset[str]) -> ToldWord | None:
    """What a recipient is told that got these classes for these purposes; None: the choice is not about it. A service
    that nobody can opt out of goes on (L41); whoever may market for the operator itself does so until that is said.
    """
    choosable = purposes & frozenset(CHOOSABLE)
    if not choosable:
        return None
    underneath = not said.isdisjoint(SIGNAL_PURPOSES) and bool(choosable - OWN_MARKETING)
    if underneath or (said - {Purpose.SENSITIVE}) & choosable:
        return ToldWord.OPT_OUT
    limits = Purpose.SENSITIVE in said and (Purpose.SENSITIVE in choosable or not SENSITIVE.isdisjoint(classes))
    return ToldWord.LIMIT if limits else None
