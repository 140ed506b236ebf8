"""Links: which identifiers an account has. Made by authenticated callers only; each has a start and an end, and
carries nothing across its end (design decision 2, R2, R5).
"""

from dataclasses import dataclass

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


def link(tx: Transaction, account: Subject, identifier: Subject, span: Span, now: int) -> bool:
    """Ties an identifier to an account; False where nothing changed. A link that is live already is left as it is,
    so that a nightly import never sends a lifted choice again; an `until` ends it.
    """
    records.know(tx, account, now)
    records.know(tx, identifier, now)
    old = tx.db.execute(
        "SELECT start, until FROM link WHERE account = ? AND identifier = ?", (account.key, identifier.key)
    ).fetchone()
    was_live = old is not None and Span(*old).live(now)
    if was_live and span.live(now):
        if span.until != old[1]:
            _set_until(tx, account.key, identifier.key, span.until, now)
        return bool(span.until != old[1])
    tx.db.execute(
        "INSERT INTO link VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET start = excluded.start,"
        " until = excluded.until, seq = excluded.seq",
        (account.key, identifier.key, span.start, span.until, tx.size),
    )
    if span.live(now):
        travel.carry_both_ways(tx, account.key, travel.group(tx, identifier.key), now)
    travel.recompute(tx, {account.key} | travel.group(tx, identifier.key), now)
    return True


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


def _set_until(tx: Transaction, account: bytes, identifier: bytes, until: int | None, now: int) -> None:
    tx.db.execute("UPDATE link SET until = ? WHERE account = ? AND identifier = ?", (until, account, identifier))
    travel.recompute(tx, travel.group(tx, identifier), now)
