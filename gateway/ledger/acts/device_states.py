"""States: what a device or a tool says of itself, for as long as it says so (R26), what one installation of an app
says, and what the ids of one phone have from each other by it (P3). `consent.verbs`, `consent.installations` and
`consent.still_out` call it.

Limit-ad-tracking, ATT "denied" and a consent string that refuses are no choices of a person: they deny for the device
and its other names, travel to no account, lift and replace no choice, and end when the same source says the opposite.
Its silence ends nothing. What an app says is of its installation alone: each has a state of its own on an id, and ends
no other's; whoever speaks for the id itself ends them all.

A person who opted out is out by their new ad id too: a state of this installation, which ends once the others are free
again (`PhoneFolded.owed`). It, and a no, is an installation's where it has its mark.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property

from gateway.fold.kin import family
from gateway.fold.reading import Kin, come_back, read_noes, states_of
from gateway.fold.record import Record, SaidOut, StateSaid
from gateway.fold.state import Slate, denied_by_state, widened
from gateway.keys import seals
from gateway.ledger.acts import records
from gateway.ledger.acts.folded_people import people_of
from gateway.ledger.acts.holders import last_said
from gateway.ledger.log_records import SideRow, side_rows, sides_at, told_by
from gateway.ledger.side import mark_key, mentions_of
from gateway.ledger.subjects import Choice, Subject, Written, milliseconds, said_of_choice
from gateway.ledger.transaction import Transaction
from gateway.terms import ALL_PURPOSES, ChoiceKind, Purpose, Source


def begin_state(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written | None:
    """A source's denial of purposes; an entry only where it is news, to any of its names: a digest of two identifiers
    may have it from the one.
    """
    records.know_names(tx, subject, milliseconds(choice.at))
    slate, said = people_of(tx, [subject.key]).slate(), _state_of(choice)
    wanted = {(said.source, said.mark, purpose) for purpose in denied_by_state(said.source, said.purposes)}
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
    tx: Transaction,
    subjects: Sequence[Subject],
    owed: Mapping[bytes, Collection[Purpose]],
    mark: str,
    at: datetime,
    *,
    may_end: bool = True,
) -> int:
    """Begins and ends what each of an installation's ids has from the others. `may_end`: all of them were read.
    Returns how many entries that took.
    """
    request, written, details = seals.new_event(at), 0, {"device": mark}
    for subject in subjects:
        held = denied_by_source(tx, subject.key, SOURCE, mark)
        due = {*owed.get(subject.key, ())} | (set() if may_end else held)
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
        left = tuple(each for each in ALL_PURPOSES if each in of - {purpose})
        details = {"device": mark} if mark else {}
        if left:
            begin_state(tx, subject, Choice(ChoiceKind.STATE_BEGAN, left, SOURCE, at, details=details), request)


MOST_ROWS = 500  # of what one installation said, the newest; about 10 ms of the writer's time
NOT_BY_TOKEN = frozenset({Purpose.SENSITIVE})  # the precise location is never a token's to open


class PhoneFolded:
    """The phone and its ids. `keys`: of all of them, the phone's own too; `mark`: of the installation."""

    def __init__(self, tx: Transaction, keys: Iterable[bytes], mark: str) -> None:
        keys = frozenset(keys)
        self._tx = tx
        self._keys = keys
        self._people = people_of(tx, keys)
        self._mark = mark

    def came_back(self, phone: bytes, ids: Iterable[bytes]) -> frozenset[Purpose]:
        """What the installation opted in to again, where each no on these ids is its own."""
        return come_back(self._mark, phone, ids, self._people.get)

    def owed(self, key: bytes, others: Iterable[bytes], lifted: Collection[Purpose]) -> set[Purpose]:
        """What an id has from the others: what it does not say by itself, and did not allow by itself since. `lifted`:
        what the installation came back from.
        """
        return self._left(key, _last_noes(self._people.slate(), others), lifted)

    def owed_by_itself(self, key: bytes, phone: bytes) -> set[Purpose]:
        """What an id has of what the installation itself said by any of them, and did not take back: that is its own to
        know, whatever else stands there.
        """
        came_back, said = self._allowed(phone), self._said_by_itself
        return self._left(key, said, {each for each, seq in said.items() if came_back.get(each, -1) > seq})

    @cached_property
    def _said_by_itself(self) -> dict[Purpose, int]:
        """The last entry by which it said no to each purpose on any of the keys; of one who said more than is read,
        the first that was read where none did: whatever was said before may have been a no.
        """
        db, places = self._tx.db, sorted(each.place for each in mentions_of(self._tx.db, [mark_key(self._mark)]))
        rows = sides_at(db, places[-MOST_ROWS:])
        said = dict.fromkeys(ALL_PURPOSES, rows[0].seq) if len(places) > MOST_ROWS else {}
        for record, purposes in _noes_of_mark(db, rows, self._mark, self._keys):
            said |= dict.fromkeys(purposes, record.seq)
        return said

    def _left(self, key: bytes, said: Mapping[Purpose, int], lifted: Collection[Purpose]) -> set[Purpose]:
        own, allowed = _last_noes(self._people.slate(), [key]), self._allowed(key)
        return {
            purpose
            for purpose, seq in said.items()
            if purpose not in own and allowed.get(purpose, -1) < seq and purpose not in lifted
        }

    def _allowed(self, key: bytes) -> dict[Purpose, int]:
        slate = self._people.slate()
        ins = slate.row(key).ins.items()
        return {purpose: yes.seq for purpose, yes in ins if yes.screen not in slate.voids}


def _last_noes(slate: Slate, keys: Iterable[bytes]) -> dict[Purpose, int]:
    """What was chosen for any of these, by themselves or from afar, and the last entry that says so."""
    found: dict[Purpose, int] = {}
    for key in keys:
        for no in read_noes(slate, key):
            if no.purpose in ALL_PURPOSES and no.holds(slate.voids):
                found[no.purpose] = max(last_said(no.bit), found.get(no.purpose, -1))
    return found


def last_said_no(db: sqlite3.Connection, mark: str, since: int = 0) -> dict[Purpose, int]:
    """When an installation last said no to each purpose, in Unix milliseconds; of entries from a place on."""
    latest: dict[Purpose, int] = {}
    rows = [row for row in side_rows(db, [mark_key(mark)]) if row.seq >= since]
    for record, purposes in _noes_of_mark(db, rows, mark):
        for purpose in purposes:
            latest[purpose] = max(record.at, latest.get(purpose, 0))
    return latest


def _noes_of_mark(
    db: sqlite3.Connection, rows: Sequence[SideRow], mark: str, keys: Collection[bytes] | None = None
) -> Iterator[tuple[Record, tuple[Purpose, ...]]]:
    """What an installation said no to, in the order of the log, and nobody voided. `keys`: only of these."""
    for _, record in told_by(db, rows, keys=keys):
        if isinstance(record.said, SaidOut) and record.said.mark == mark:
            yield record, widened(record.said.purposes)
