"""States: what a device or a tool says of itself, for as long as it says so (R26).

Limit-ad-tracking, ATT "denied" and a consent string that refuses are no choices of a person: they deny for the device
and its other names, travel to no account, lift and replace no choice, and end when the same source says the opposite.
Its silence ends nothing. What an app says is of its installation alone: each has a state of its own on an id, and ends
no other's; whoever speaks for the id itself ends them all.
"""

from collections.abc import Iterable

from gateway.ledger import records, travel
from gateway.ledger.reach import canonicals, group, own_names
from gateway.ledger.standing_rows import recompute
from gateway.ledger.subjects import Choice, Subject, Written, milliseconds
from gateway.ledger.writer import Transaction
from gateway.terms import Purpose


def begin(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written | None:
    """A source's denial of purposes; an entry only where it is news."""
    records.know(tx, subject, milliseconds(choice.at))
    if set(travel.widened(choice.purposes)) <= held(tx, subject.key, source_of(choice)):
        return None
    written = records.append(tx, subject, choice, request)
    apply_began(tx, subject.key, choice, written.seq)
    return written


def apply_began(tx: Transaction, key: bytes, choice: Choice, seq: int) -> None:
    names, purposes, source = group(tx, key), travel.widened(choice.purposes), source_of(choice)
    tx.db.executemany(
        "INSERT INTO device_state VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq",
        [(name, source, purpose, seq) for name in names for purpose in purposes],
    )
    recompute(tx, names, milliseconds(choice.at))


def end(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written | None:
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


def held(tx: Transaction, key: bytes, source: str) -> set[Purpose]:
    """The purposes that a source denies for a key."""
    rows: Iterable[tuple[str]] = tx.db.execute(
        "SELECT purpose FROM device_state WHERE key = ? AND source = ?", (key, source)
    )
    return {Purpose(row[0]) for row in rows}
