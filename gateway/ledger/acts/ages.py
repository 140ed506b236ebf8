"""How old somebody is, as a band of the law tables, by identifier (R14): what is entered of it. What stands is the
fold's (`gateway.fold.facts`). `consent.verbs` calls it.

What was proved (an account's assertion, the desk, an attestation) never rises by a caller's word; only the desk may say
that somebody is older. What nobody proved is an installation's *word*, and is taken back where the person's account is
proved beside it. The band stands in sealed details and in keyed rows, never in a leaf.
"""

from collections.abc import Sequence
from datetime import datetime

from gateway.choice.law import AGES, YOUNGEST
from gateway.fold.reading import is_proved
from gateway.fold.record import EVERYBODY, AgeTold, Record
from gateway.keys.seals import new_event
from gateway.ledger.acts import records
from gateway.ledger.acts.folded_people import people_of
from gateway.ledger.subjects import Choice, Subject, Written, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.terms import ChoiceKind

TAKEN_BACK = ""  # in place of a band: an installation's word, or everybody's, counts no longer


def say(
    tx: Transaction,
    subject: Subject,
    band: str,
    at: datetime,
    request: bytes,
    *,
    may_rise: bool = False,
    mark: str = "",
) -> Written | None:
    """An entry where it changes something. `mark`: of the installation whose word it is; empty where it was proved.
    Raises ValueError for a word that is no band.
    """
    if band not in AGES:
        raise ValueError(f"an age is one of {', '.join(AGES)}")
    records.know_names(tx, subject, milliseconds(at))
    said = AgeTold(band, may_rise, mark)
    return _write(tx, subject, said, at, request) if _is_news(tx, subject, said) else None


def know_children(tx: Transaction, subjects: Sequence[Subject], at: datetime, reach: int) -> bool:
    """Whether all for whom a parent says yes are young enough; `reach`: the oldest band that is, by its place in
    `AGES`. What no record proves is proved from now on, an installation's word or else under 13, for the parent says so
    by it, and a birthday can then end it (R14).
    """
    older, request = False, new_event(at)
    for subject in sorted(subjects, key=lambda each: not each.is_account):  # what an account has is as old as it is
        people = people_of(tx, subject.keys)
        bands = [people.standing(key, milliseconds(at)).age_band for key in subject.keys]
        known = [AGES.index(band) for band in bands if band]
        older = older or any(rank > reach for rank in known)
        if not any(is_proved(people.slate(), key) for key in subject.keys):
            say(tx, subject, AGES[min(known, default=YOUNGEST)], at, request)
    return not older


def take_back(tx: Transaction, subject: Subject, mark: str, at: datetime, request: bytes) -> Written | None:
    """An installation's word on an identifier goes, or with `EVERYBODY` each installation's; an entry where there was
    one.
    """
    words = people_of(tx, [subject.key]).slate().row(subject.key).words
    if not (words if mark == EVERYBODY else mark in words):
        return None
    return _write(tx, subject, AgeTold(TAKEN_BACK, may_rise=True, mark=mark), at, request)


def _is_news(tx: Transaction, subject: Subject, said: AgeTold) -> bool:
    people = people_of(tx, [subject.key])
    if said.mark:
        word = people.slate().row(subject.key).words.get(said.mark)
        return word is None or AGES.index(said.band) < AGES.index(word)
    return people.is_news(Record(tx.size, 0, subject.key, said, subject.is_account))


def _write(tx: Transaction, subject: Subject, said: AgeTold, at: datetime, request: bytes) -> Written:
    details = {"band": said.band} | ({"device": said.mark} if said.mark else {})
    return records.append(tx, subject, Choice(ChoiceKind.AGE, (), "", at, details=details), request, said)
