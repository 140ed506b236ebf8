"""What people were told: the day of the notice that each was last shown or sent (R15, 47 CFR 64.2008).

It holds for everything that an account has at that moment, but for what only an app's word ties to it, and travels
over no link that is made later. Whoever gets a released number was told nothing.
"""

from collections.abc import Iterable
from datetime import date, datetime

from gateway.ledger import records
from gateway.ledger.reach import group, whole_of
from gateway.ledger.standing_rows import recompute
from gateway.ledger.subjects import Choice, Subject, Written, milliseconds
from gateway.ledger.writer import Transaction
from gateway.terms import ChoiceKind, NoticeKind, Told


def tell(
    tx: Transaction, subject: Subject, notice: NoticeKind, day: date, outcome: Told, at: datetime, request: bytes
) -> Written:
    """Always an entry; a notice that bounced told nobody anything. Raises ValueError for a day to come: that notice
    would count for what is announced until then.
    """
    if day > at.date():
        raise ValueError("the day of a notice is not past")
    records.know(tx, subject, milliseconds(at))
    choice = Choice(ChoiceKind.TOLD, (), "", at, details={"outcome": outcome})
    written = records.append(tx, subject, choice, request, (notice, day.isoformat()))
    tx.db.execute("INSERT INTO told_event VALUES (?, ?, ?, ?)", (written.seq, notice, day.toordinal(), outcome))
    apply(tx, subject, notice, day.toordinal(), outcome, written.seq, milliseconds(at))
    return written


def apply(tx: Transaction, subject: Subject, notice: str, day: int, outcome: str, seq: int, now: int) -> None:
    """`day` is an ordinal; the later one wins."""
    keys = group(tx, subject.key)
    if subject.is_account:
        keys |= whole_of(tx, subject.key, now, lifts=True)
    if outcome != Told.BOUNCED:
        tx.db.executemany(
            "INSERT INTO told VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET day = excluded.day, seq = excluded.seq"
            " WHERE excluded.day > day",
            [(key, notice, day, seq) for key in keys],
        )
    recompute(tx, keys, now)


def forget(tx: Transaction, keys: Iterable[bytes]) -> None:
    """A released number or mailbox: its next holder has been told nothing yet (R5)."""
    tx.db.executemany("DELETE FROM told WHERE key = ?", [(key,) for key in keys])
