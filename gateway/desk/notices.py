"""Notices to people: the day of the notice that each was last told of, and who must be told before their data may go to
somebody new (R15, 47 CFR 64.2008). The doors under /v1/notices call it, for the operator's
sender.

What somebody was told holds for everything that an account has at that moment, but for what only an app's word ties to
it, and travels over no link that is made later. Whoever gets a released number was told nothing.

Only accounts that the ledger has met can be listed, page by page; whoever it never met is denied by the day on which
everybody was told, and stands in the operator's own list.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from gateway.choice.recipient import Announcement, Recipient, announcements, owed
from gateway.fold.record import NoticeBounced, NoticeGiven
from gateway.fold.state import Slate
from gateway.keys import seals
from gateway.keys.secret_files import Secrets
from gateway.ledger.acts import records
from gateway.ledger.acts.folded_people import folded_alone
from gateway.ledger.subjects import Choice, Subject, Written, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.ledger.writer import Writer
from gateway.terms import ChoiceKind, NoticeKind, Told

LOOKED_AT = 2_000  # accounts of one page: some tens of milliseconds of the writer's thread
BOUNCED = (
    "SELECT max(t.day) FROM told_event t JOIN detail d ON d.seq = t.seq"
    " WHERE d.key = ? AND t.notice = ? AND t.outcome = ?"
)


@dataclass(frozen=True, slots=True)
class NoticeDue:
    """`told`: when the account was last told, None where never by itself. `bounced`: when a notice last came back."""

    account: str = field(repr=False)
    told: date | None
    owed: Sequence[Announcement]
    bounced: date | None


@dataclass(frozen=True, slots=True)
class NoticesPage:
    """`after`: the key that the next page begins behind; None: there is none."""

    due: Sequence[NoticeDue]
    after: bytes | None = field(repr=False)


def page_of_owed(
    tx: Transaction, announced: Sequence[Announcement], everyone: date, after: bytes, most: int
) -> NoticesPage:
    """At most `most` accounts, in the order of keys: whoever is told meanwhile moves nobody to another page."""
    found: list[NoticeDue] = []
    rows = records.account_names_after(tx, after, LOOKED_AT) if announced else []
    for key, person, sealed in rows:
        due = _due(tx, announced, everyone, key, records.open_account_name(tx, person, sealed))
        if due:
            found.append(due)
        if len(found) == most:
            return NoticesPage(found, key)
    return NoticesPage(found, rows[-1][0] if len(rows) == LOOKED_AT else None)


def _due(
    tx: Transaction, announced: Sequence[Announcement], everyone: date, key: bytes, account: str | None
) -> NoticeDue | None:
    last = _last_told(tx, key)
    still = owed(announced, max(last or everyone, everyone))
    if not still or account is None:
        return None
    [day] = tx.db.execute(BOUNCED, (key, NoticeKind.PRIVACY, Told.BOUNCED)).fetchone()
    bounced = _day(day)
    return NoticeDue(account, last, still, bounced if bounced and bounced > (last or date.min) else None)


def _last_told(tx: Transaction, key: bytes) -> date | None:
    """An account hears what it is told itself: nobody else is folded for it."""
    return _day(Slate(folded_alone(tx.db, {key}).get).row(key).told.get(NoticeKind.PRIVACY))


def _day(ordinal: int | None) -> date | None:
    return None if ordinal is None else date.fromordinal(ordinal)


def note_told(
    tx: Transaction, subject: Subject, notice: NoticeKind, day: date, outcome: Told, at: datetime, request: bytes
) -> Written:
    """Always an entry; of a notice that bounced what was told by that day counts no more. Raises ValueError for a day
    to come: that notice would count for what is announced until then.
    """
    if day > at.date():
        raise ValueError("the day of a notice is not past")
    records.know_names(tx, subject, milliseconds(at))
    choice = Choice(ChoiceKind.TOLD, (), "", at, details={"outcome": outcome})
    said = (NoticeBounced if outcome == Told.BOUNCED else NoticeGiven)(notice, day.toordinal())
    written = records.append(tx, subject, choice, request, said, (notice, day.isoformat()))
    tx.db.execute("INSERT INTO told_event VALUES (?, ?, ?, ?)", (written.seq, notice, day.toordinal(), outcome))
    return written


LABEL = b"due/1"


class Notifying:
    """`everyone`: the day of the last notice that everybody was shown or sent."""

    def __init__(
        self,
        writer: Writer,
        recipients: Mapping[str, Recipient],
        secrets: Secrets,
        clock: Callable[[], datetime],
        everyone: date,
    ) -> None:
        self._writer = writer
        self._recipients = recipients
        self._secrets = secrets
        self._clock = clock
        self.everyone = everyone

    def announced(self) -> list[Announcement]:
        """The announcements that somebody may not know yet."""
        return announcements(self._recipients.values(), self.everyone, self._clock().date())

    async def page(self, after: str, most: int) -> tuple[NoticesPage, str | None]:
        """Some of those who must be told, and where the next page begins. `after`: what an earlier page gave. Raises
        `seals.OpeningFailed` for what none gave, and `StoreUnavailable`.
        """
        start = seals.open_text(self._secrets.seals, LABEL, after) if after else b""
        announced = self.announced()
        found = await self._writer.commit(lambda tx: page_of_owed(tx, announced, self.everyone, start, most))
        following = seals.seal_text(self._secrets.seals, LABEL, found.after) if found.after else None
        return found, following
