"""Who must be told before their data may go to somebody new (R15), for the operator's sender, which tells them."""

from collections.abc import Callable, Mapping
from datetime import date, datetime

from gateway.choice.recipient import Announcement, Recipient, announcements
from gateway.keys import seals
from gateway.keys.secret_files import Secrets
from gateway.ledger import notices_owed
from gateway.ledger.entry import b64
from gateway.ledger.notices_owed import Page
from gateway.ledger.writer import Writer

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

    async def page(self, after: str, most: int) -> tuple[Page, str | None]:
        """Some of those who must be told, and where the next page begins. `after`: what an earlier page gave. Raises
        `seals.Opening` for what none gave, and `StoreUnavailable`.
        """
        start = seals.open_seal(self._secrets.seals, LABEL, seals.unb64(after)) if after else b""
        announced = self.announced()
        found = await self._writer.commit(lambda tx: notices_owed.page(tx, announced, self.everyone, start, most))
        following = b64(seals.seal_box(self._secrets.seals[-1], LABEL, found.after)) if found.after else None
        return found, following
