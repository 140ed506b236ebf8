"""States: what a device or a tool says of itself, for as long as it says so (R26, api.md OS flags).

Limit-ad-tracking, ATT "denied" and a consent string that refuses are no choices of a person: they deny for the device
and its other names, travel to no account, lift and replace no choice, and end when the same source says the opposite.
Its silence ends nothing.
"""

from collections.abc import Iterable

from gateway.ledger import records, travel
from gateway.ledger.records import Choice, Subject, Written, milliseconds
from gateway.ledger.writer import Transaction
from gateway.terms import Purpose


def begin(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written | None:
    """A source's denial of purposes; an entry only where it is news."""
    now = milliseconds(choice.at)
    records.know(tx, subject, now)
    purposes = travel.widened(choice.purposes)
    if set(purposes) <= held(tx, subject.key, choice.source):
        return None
    written = records.append(tx, subject, choice, request)
    names = travel.group(tx, subject.key)
    tx.db.executemany(
        "INSERT INTO device_state VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq",
        [(name, choice.source, purpose, written.seq) for name in names for purpose in purposes],
    )
    travel.recompute(tx, names, now)
    return written


def end(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written | None:
    """The same source says that it no longer denies; an entry only where it did."""
    now = milliseconds(choice.at)
    records.know(tx, subject, now)
    names = travel.group(tx, subject.key)
    if not any(held(tx, name, choice.source) for name in names):
        return None
    written = records.append(tx, subject, choice, request)
    tx.db.executemany(
        "DELETE FROM device_state WHERE key = ? AND source = ?", [(name, choice.source) for name in names]
    )
    travel.recompute(tx, names, now)
    return written


def held(tx: Transaction, key: bytes, source: str) -> set[Purpose]:
    """The purposes that a source denies for a key."""
    rows: Iterable[tuple[str]] = tx.db.execute(
        "SELECT purpose FROM device_state WHERE key = ? AND source = ?", (key, source)
    )
    return {Purpose(row[0]) for row in rows}
