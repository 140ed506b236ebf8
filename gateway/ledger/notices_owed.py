"""Who must be told of what was announced since they were last told (R15): page by page, for the operator's sender.

Only accounts that the ledger has met can be listed; whoever it never met is denied by the day on which everybody was
told, and stands in the operator's own list. Reads only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from gateway.choice.recipient import Announcement, owed
from gateway.ledger import account_names
from gateway.ledger.writer import Transaction
from gateway.terms import NoticeKind, Told

LOOKED_AT = 2_000  # accounts of one page: some tens of milliseconds of the writer's thread
LAST = "SELECT day FROM told WHERE key = ? AND notice = ?"
BOUNCED = (
    "SELECT max(t.day) FROM told_event t JOIN detail d ON d.seq = t.seq"
    " WHERE d.key = ? AND t.notice = ? AND t.outcome = ?"
)


@dataclass(frozen=True, slots=True)
class Due:
    """`told`: when the account was last told, None where never by itself. `bounced`: when a notice last came back."""

    account: str = field(repr=False)
    told: date | None
    owed: Sequence[Announcement]
    bounced: date | None


@dataclass(frozen=True, slots=True)
class Page:
    """`after`: the key that the next page begins behind; None: there is none."""

    due: Sequence[Due]
    after: bytes | None = field(repr=False)


def page(tx: Transaction, announced: Sequence[Announcement], everyone: date, after: bytes, most: int) -> Page:
    """At most `most` accounts, in the order of keys: whoever is told meanwhile moves nobody to another page."""
    found: list[Due] = []
    rows = account_names.after(tx, after, LOOKED_AT) if announced else []
    for key, person, sealed in rows:
        due = _due(tx, announced, everyone, key, account_names.open_(tx, person, sealed))
        if due:
            found.append(due)
        if len(found) == most:
            return Page(found, key)
    return Page(found, rows[-1][0] if len(rows) == LOOKED_AT else None)


def _due(
    tx: Transaction, announced: Sequence[Announcement], everyone: date, key: bytes, account: str | None
) -> Due | None:
    last = _day(tx.db.execute(LAST, (key, NoticeKind.PRIVACY)).fetchone())
    still = owed(announced, max(last or everyone, everyone))
    if not still or account is None:
        return None
    bounced = _day(tx.db.execute(BOUNCED, (key, NoticeKind.PRIVACY, Told.BOUNCED)).fetchone())
    return Due(account, last, still, bounced if bounced and bounced > (last or date.min) else None)


def _day(row: tuple[int | None] | None) -> date | None:
    return date.fromordinal(row[0]) if row and row[0] is not None else None
