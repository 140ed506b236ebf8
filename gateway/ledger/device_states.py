"""States: what a device or a tool says of itself, for as long as it says so (R26); and what one installation of an app
said. `consent.verbs` and `consent.installations` call it.

Limit-ad-tracking, ATT "denied" and a consent string that refuses are no choices of a person: they deny for the device
and its other names, travel to no account, lift and replace no choice, and end when the same source says the opposite.
Its silence ends nothing. What an app says is of its installation alone: each has a state of its own on an id, and ends
no other's; whoever speaks for the id itself ends them all.

A person who opted out is out by their new ad id too: a state of this installation, which ends once the others are free
again (what is owed: `phone_noes`). It is an installation's where its source has the mark.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from gateway.ledger import records
from gateway.ledger.reach import canonicals, group, own_names
from gateway.ledger.standing_rows import recompute
from gateway.ledger.subjects import Choice, Subject, Written, milliseconds
from gateway.ledger.travel import widened
from gateway.ledger.writer import Transaction
from gateway.terms import ALL_PURPOSES, ChoiceKind, Purpose, Source


def begin_state(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written | None:
    """A source's denial of purposes; an entry only where it is news, to any of its names: a digest of two identifiers
    may have it from the one.
    """
    records.know(tx, subject, milliseconds(choice.at))
    wanted, source = set(widened(choice.purposes)), source_of(choice)
    if all(wanted <= denied_by_source(tx, name, source) for name in group(tx, subject.key)):
        return None
    written = records.append(tx, subject, choice, request)
    apply_began(tx, subject.key, choice, written.seq)
    return written


def apply_began(tx: Transaction, key: bytes, choice: Choice, seq: int) -> None:
    names, purposes, source = group(tx, key), widened(choice.purposes), source_of(choice)
    tx.db.executemany(
        "INSERT INTO device_state VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq",
        [(name, source, purpose, seq) for name in names for purpose in purposes],
    )
    recompute(tx, names, milliseconds(choice.at))


def end_state(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written | None:
    """The same source says that it no longer denies; an entry only where it did."""
    records.know(tx, subject, milliseconds(choice.at))
    if not any(_ended(tx, name, choice) for name in own_names(tx, subject.key)):
        return None
    written = records.append(tx, subject, choice, request)
    apply_ended(tx, subject.key, choice)
    return written


def apply_ended(tx: Transaction, key: bytes, choice: Choice) -> None:
    """What another identifier's device says of itself goes on, also at a digest that both share."""
    names = own_names(tx, key)
    tx.db.executemany(
        "DELETE FROM device_state WHERE key = ? AND source = ?",
        [(name, source) for name in names for source in _ended(tx, name, choice)],
    )
    tx.db.executemany(
        "INSERT INTO device_state SELECT ?, source, purpose, seq FROM device_state WHERE key = ? AND source = ?"
        " ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
        [
            (name, other, source)
            for name in names
            for other in canonicals(tx, name) - names
            for source in _ended(tx, other, choice)
        ],
    )
    recompute(tx, names, milliseconds(choice.at))


def source_of(choice: Choice) -> str:
    """Who denies: a source, of one installation where an app says it."""
    mark = choice.details.get("device")
    return f"{choice.source}@{mark}" if mark else choice.source


def _ended(tx: Transaction, key: bytes, choice: Choice) -> list[str]:
    """Whose states on a key a choice ends: its own installation's, or without one all of that source."""
    said = source_of(choice)
    of_all = "" if said != choice.source else " OR substr(source, 1, length(?2) + 1) = ?2 || '@'"
    sql = f"SELECT DISTINCT source FROM device_state WHERE key = ?1 AND (source = ?2{of_all})"  # noqa: S608 - ours
    return [row[0] for row in tx.db.execute(sql, (key, said))]


def denied_by_source(tx: Transaction, key: bytes, source: str) -> set[Purpose]:
    """The purposes that a source denies for a key."""
    rows: Iterable[tuple[str]] = tx.db.execute(
        "SELECT purpose FROM device_state WHERE key = ? AND source = ?", (key, source)
    )
    return {Purpose(row[0]) for row in rows}


SOURCE = Source.INSTALLATION
STATES = "SELECT purpose, source FROM device_state WHERE key = ?"


def follow_installation(
    tx: Transaction, subjects: Sequence[Subject], owed: Mapping[bytes, Collection[Purpose]], mark: str, at: datetime
) -> int:
    """Begins and ends what each of an installation's ids has from the others. Returns how many entries that took."""
    request, written, details = os.urandom(16), 0, {"device": mark}
    for subject in subjects:
        held = denied_by_source(tx, subject.key, f"{SOURCE}@{mark}")
        due = set(widened(owed.get(subject.key, ())))
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
    request = os.urandom(16)
    sources = sorted({source for _, source in tx.db.execute(STATES, (subject.key,)).fetchall()})
    held = {
        source: denied_by_source(tx, subject.key, source) for source in sources if source.partition("@")[0] == SOURCE
    }
    if not held:
        return
    gone = tuple(sorted({each for of in held.values() for each in of}))
    end_state(tx, subject, Choice(ChoiceKind.STATE_ENDED, gone, SOURCE, at), request)  # everybody's
    for source, of in held.items():
        left = tuple(each for each in ALL_PURPOSES if each in of - set(widened([purpose])))
        details = {"device": mark} if (mark := source.partition("@")[2]) else {}
        if left:
            begin_state(tx, subject, Choice(ChoiceKind.STATE_BEGAN, left, SOURCE, at, details=details), request)
