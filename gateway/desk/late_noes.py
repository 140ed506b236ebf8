"""A no that is entered after it was said, for lines of the emergency files: whom it is about is settled by the moment
at which it was accepted, wherever numbers and mailboxes went since (R5).

A line may wait for as long as its machine is cut off, and what it names passes to other people meanwhile. In its turn
the no would have gone to the account that had the number, and stayed on the number itself, behind whose release it
goes to nobody. Entered as if it were said now it would reach the stranger who has the number next, and not whoever
said it. So the accounts that had what it names say it too; and of what was given back since it is entered as somebody's
who has it no more, and stays with the number as a no of somebody forgotten does: it denies there, and goes to nobody.
So it is with what an account had that says no itself: it denies, though the account has it no more. What stays so is
told with the entry by which it stays, and goes when that is voided.

The moment is told by another machine's clock than that which wrote who had what. So what changed hands at about that
time was both holders': one who is opted out too many can come back, a no that went to the wrong one is lost.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from gateway.desk import recipients_to_tell
from gateway.fold.kin import all_names, roads
from gateway.fold.record import KeptNo
from gateway.fold.state import widened
from gateway.ledger.acts import records
from gateway.ledger.acts.folded_people import is_unknown, named_by, people_of
from gateway.ledger.schema import rows_of
from gateway.ledger.subjects import DIGEST, RESIDES, Choice, Subject, Written, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.terms import CLOCKS_APART_MS

APART = CLOCKS_APART_MS
KEY = 16  # bytes
SAID_AT = "SELECT at FROM detail WHERE seq = ?"
LINKS = "SELECT account, identifier, start, until, released, at FROM link_event"
HAD = f"{LINKS} WHERE identifier IN ({{marks}}) AND NOT claimed ORDER BY turn"  # an app's word sends nothing up
WAS_OF = f"{LINKS} WHERE account IN ({{marks}}) ORDER BY turn"


class PassedSince(NamedTuple):
    """What became of an identifier since a moment. `released`: it went back to the pool; `left`: accounts that had it
    then, and that a word on it does not reach now; `about`: it went back at about that moment, so nobody knows whose
    it was.
    """

    released: bool = False
    left: frozenset[bytes] = frozenset()
    about: bool = False


NOTHING = PassedSince()


def passed_on(tx: Transaction, subjects: Iterable[Subject], choice: Choice) -> Mapping[bytes, PassedSince]:
    """What of these passed to somebody else since a choice was accepted, by key; nearly always nothing."""
    at = milliseconds(choice.at)
    found = {each.key: _passed_since(tx, each, at) for each in subjects if not each.is_account}
    return {key: passed for key, passed in found.items() if any(passed)}


class LateWord(NamedTuple):
    """What is written of one of those that a line names, or of an account that had what it names. `kept`: as
    `records.append` takes it.
    """

    subject: Subject
    choice: Choice
    kept: records.KeptNoes = ()


def as_of_then(tx: Transaction, listed: Sequence[LateWord], passed: Mapping[bytes, PassedSince]) -> list[LateWord]:
    """What is written: as many as were listed, in their order, and behind them what the accounts say that had what
    passed on. Where its holder lives is no word of theirs.
    """
    choice, named = listed[0].choice, {word.subject.key for word in listed}
    words, readings = list[LateWord](), dict[bytes, bool]()  # of an account: whether by those alone
    for word in listed:
        since = passed.get(word.subject.key, NOTHING)
        words.append(_of_nobody(tx, word) if since.released else word)
        readings |= {each: word.subject.reading and readings.get(each, True) for each in since.left - named}
    theirs = replace(choice, details={name: each for name, each in choice.details.items() if name != RESIDES})
    for key, reading in sorted(readings.items()):
        account = Subject("account", records.account_name(tx, key) or "", (key,), reading=reading)
        words.append(LateWord(account, theirs))
    return _with_what_they_had(tx, words, {key for key, since in passed.items() if since.released})


def write_word(tx: Transaction, word: LateWord, request: bytes) -> Written:
    """As `recipients_to_tell.write_and_tell`."""
    return recipients_to_tell.write_and_tell(tx, word.subject, word.choice, request, word.kept)


def hear_word(tx: Transaction, word: LateWord, request: bytes) -> Written | None:
    """As `recipients_to_tell.hear_and_tell`. Where it is no news of an account, what stays by it is nobody's."""
    heard = recipients_to_tell.hear_and_tell(tx, word.subject, word.choice, request, word.kept)
    if heard is None and word.kept:
        records.write_choice(tx, Subject(DIGEST, "", (os.urandom(KEY),)), word.choice, request, word.kept)
    return heard


def _with_what_they_had(tx: Transaction, words: list[LateWord], denying: Collection[bytes]) -> list[LateWord]:
    """What these accounts had when the choice was accepted, and have no more, denies by what they say: in its turn
    their no would have stayed there, also where it is listed itself, for that goes once its next holder is forgotten.
    `denying`: what does so already.
    """
    accounts, choice = [word.subject.key for word in words if word.subject.is_account], words[0].choice
    had = {each for each in _had_at(tx, WAS_OF, accounts, milliseconds(choice.at)) if each[1] not in denying}
    slate = people_of(tx, [key for pair in had for key in pair]).slate() if had else None
    kept = dict[bytes, records.KeptNoes]()
    for account, name in sorted(had):
        if slate and not slate.edge(account, name).lives():
            kept[account] = (*kept.get(account, ()), *_kept(tx, Subject(DIGEST, "", (name,)), choice))
    return [word._replace(kept=kept.get(word.subject.key, word.kept)) for word in words]


def _of_nobody(tx: Transaction, word: LateWord) -> LateWord:
    """Of what was given back: whoever had it says so, by no known key, and it denies there."""
    kept = _kept(tx, word.subject, word.choice)
    [stranger] = {said.origin for _, said in kept}
    return word._replace(subject=replace(word.subject, keys=(stranger,), looser=(), mailbox=None), kept=kept)


def _kept(tx: Transaction, subject: Subject, choice: Choice) -> records.KeptNoes:
    """What has every form of an identifier deny, as a no of somebody forgotten. Tells whoever got it."""
    names = named_by(subject) | all_names(people_of(tx, [subject.key]).slate(), subject.key)
    stranger, said = os.urandom(KEY), widened(choice.purposes)
    recipients_to_tell.tell_holders(tx, subject, frozenset(said), choice)
    return [(name, KeptNo(each, stranger, subject.key)) for name in sorted(names) for each in said]


def _passed_since(tx: Transaction, subject: Subject, at: int) -> PassedSince:
    """In doubt nobody gave it back: else its holder of now would not be reached."""
    if is_unknown(tx, subject):
        return NOTHING
    slate = people_of(tx, [subject.key]).slate()
    names = all_names(slate, subject.key)
    given_back = tx.db.execute(SAID_AT, (max(slate.row(name).since for name in names) - 1,)).fetchone()
    behind = given_back[0] - at if given_back else -at
    released, had = behind > APART, {each for each, _ in _had_at(tx, HAD, names, at)}
    left = frozenset(had if released else had - roads(slate, names))
    return PassedSince(released, left, abs(behind) <= APART)


def _had_at(tx: Transaction, sql: str, keys: Collection[bytes], at: int) -> set[tuple[bytes, bytes]]:
    """(account, identifier) of what these keys' links were at about a moment: until an end was on record, whatever
    date it has, and from the earlier of a start and its entry.
    """
    had = set[tuple[bytes, bytes]]()
    for account, name, start, until, released, said in rows_of(tx.db, sql, keys):
        over = released or (until is not None and until <= max(said, at - records.LATE))
        if said <= at - APART and over:
            had.discard((account, name))
        elif min(said, start) <= at + APART and not over:
            had.add((account, name))
    return had
