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
    records.know(tx, account)
    records.know(tx, identifier)
    old = tx.db.execute(
        "SELECT start, until FROM link WHERE account = ? AND identifier = ?", (account.key, identifier.key)
    ).fetchone()
    was_live = old is not None and Span(*old).live(now)
    if was_live and span.live(now):
        if span.until != old[1]:
            _set_until(tx, account.key, identifier.key, span.until)
        return bool(span.until != old[1])
    tx.db.execute(
        "INSERT INTO link VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET start = excluded.start,"
        " until = excluded.until, seq = excluded.seq",
        (account.key, identifier.key, span.start, span.until, tx.size),
    )
    if span.live(now):
        _carry_both_ways(tx, account.key, identifier.key, now)
    for key in {account.key} | travel.group(tx, identifier.key):
        travel.recompute(tx, key)
    return True


def release(tx: Transaction, identifier: Subject, now: int) -> None:
    """A number or mailbox goes back to the pool: its links end now, and what was chosen on it before stays with it
    and travels to nobody who gets it later (R5).
    """
    records.know(tx, identifier)
    tx.db.execute(
        "UPDATE link SET until = ? WHERE identifier = ? AND (until IS NULL OR until > ?)",
        (now, identifier.key, now),
    )
    tx.db.execute(
        "INSERT INTO release VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq",
        (identifier.key, tx.size),
    )
    for key in travel.group(tx, identifier.key):
        travel.recompute(tx, key)


def _set_until(tx: Transaction, account: bytes, identifier: bytes, until: int | None) -> None:
    tx.db.execute("UPDATE link SET until = ? WHERE account = ? AND identifier = ?", (until, account, identifier))
    for key in travel.group(tx, identifier):
        travel.recompute(tx, key)


def _carry_both_ways(tx: Transaction, account: bytes, identifier: bytes, now: int) -> None:
    """What the new identifier chose goes to the account and all it has; what holds for the account goes to it.
    What had travelled to the identifier from elsewhere stays there: an account never reaches another.
    """
    row = tx.db.execute("SELECT seq FROM release WHERE identifier = ?", (identifier,)).fetchone()
    released = row[0] if row else -1
    own = travel.group(tx, identifier)
    from_identifier = [deny for key in own for deny in travel.own_denies(tx, key, after=released)]
    others = travel.targets_of(tx, account, now) - own
    travel.carry(tx, others, from_identifier, account)
    rows = tx.db.execute(
        "SELECT origin, purpose, seq FROM travelled_choice WHERE key = ? AND via = ?", (account, account)
    ).fetchall()
    from_account = [*travel.own_denies(tx, account), *((o, p, s) for o, p, s in rows if o not in own)]
    travel.carry(tx, own, from_account, account)
    for key in others:
        travel.recompute(tx, key)
