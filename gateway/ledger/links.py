"""Links: which identifiers an account has. Made by authenticated callers only; each has a start and an end, and
carries nothing across its end (design decision 2, R2, R5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from gateway.ledger import records, travel
from gateway.ledger.records import Subject
from gateway.ledger.writer import Transaction


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when, in Unix milliseconds; `until` None: still."""

    start: int
    until: int | None = None

    def live(self, now: int) -> bool:
        return self.start <= now and (self.until is None or self.until > now)


def link(tx: Transaction, account: Subject, identifiers: Sequence[Subject], span: Span, now: int) -> int:
    """Ties identifiers to an account, all at once; returns how many links changed. A link that is live already is left
    as it is, so that a nightly import never sends a lifted choice again; an `until` ends it.
    """
    for subject in (account, *identifiers):
        records.know(tx, subject, now)
    outcomes = [(identifier.key, _set(tx, account.key, identifier.key, span, now)) for identifier in identifiers]
    names = {key: travel.group(tx, key) for key, outcome in outcomes if outcome is not Outcome.SAME}
    began = {name for key, outcome in outcomes if outcome is Outcome.BEGAN for name in names[key]}
    if began:
        travel.carry_both_ways(tx, account.key, began, now)
    if names:
        travel.recompute(tx, {account.key}.union(*names.values()), now)
    return len(names)


class Outcome(Enum):
    """What became of one link."""

    SAME = 0
    DATED = 1  # its end was set or moved, or it lies in the past
    BEGAN = 2


def _set(tx: Transaction, account: bytes, identifier: bytes, span: Span, now: int) -> Outcome:
    old = tx.db.execute(
        "SELECT start, until FROM link WHERE account = ? AND identifier = ?", (account, identifier)
    ).fetchone()
    if old is not None and Span(*old).live(now):
        tx.db.execute(
            "UPDATE link SET until = ? WHERE account = ? AND identifier = ?", (span.until, account, identifier)
        )
        return Outcome.SAME if span.until == old[1] else Outcome.DATED
    tx.db.execute(
        "INSERT INTO link VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET start = excluded.start,"
        " until = excluded.until, seq = excluded.seq",
        (account, identifier, span.start, span.until, tx.size),
    )
    return Outcome.BEGAN if span.live(now) else Outcome.DATED


def release(tx: Transaction, identifier: Subject, now: int) -> None:
    """A number or mailbox goes back to the pool: its links end now, and what was chosen on it before stays with it
    and travels to nobody who gets it later (R5).
    """
    records.know(tx, identifier, now)
    names = travel.group(tx, identifier.key)
    for name in names:
        tx.db.execute(
            "UPDATE link SET until = ? WHERE identifier = ? AND (until IS NULL OR until > ?)", (now, name, now)
        )
        tx.db.execute("INSERT INTO release VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq", (name, tx.size))
    travel.recompute(tx, names, now)
