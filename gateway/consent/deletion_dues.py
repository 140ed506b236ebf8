"""The alarm for states' deletion lists while a gateway runs: what is to be answered or fetched by a day is told from
the officer's day on, before the day passes. Health and metrics ask it; a line in the log says so each day.
"""

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from gateway.choice.deletion_periods import Fetched, ListDue, due
from gateway.delivery.background import Every
from gateway.desk import deletion_orders
from gateway.ledger.store import Store, asked_or

log = structlog.get_logger("gateway")
DAILY, FIRST = 86_400.0, 60.0  # seconds
FOR_A_WHILE = timedelta(minutes=1)  # what was read is told: a count may be of a million


class DeletionDues:
    """What is due of the lists that were taken; nothing where the ledger cannot be read, which has its own alarm."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._read: tuple[datetime, tuple[ListDue, ...]] | None = None

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Says in the log each day what is due soon, until it is left."""
        return Every("deletion-lists", DAILY, self._tell, first=FIRST).running()

    def due(self) -> tuple[ListDue, ...]:
        """As of now. Reads the ledger: none for the event loop."""
        now = self._clock()
        if self._read is None or not self._read[0] <= now < self._read[0] + FOR_A_WHILE:
            fetched: Sequence[Fetched] = asked_or(self._store, deletion_orders.downloads, ())
            self._read = now, tuple(due(fetched, now.date()))
        return self._read[1]

    def days_left(self) -> dict[tuple[str, str], int]:
        """By state and by what is due, the fewest; negative: it is late."""
        left, today = dict[tuple[str, str], int](), self._clock().date()
        for each in self.due():
            days = (each.by - today).days
            left[each.place, each.what] = min(days, left.get((each.place, each.what), days))
        return left

    def alarms(self) -> list[str]:
        """What is soon or late, each with the command that helps."""
        return [
            f"{each.place}: {each.open} of a deletion list are to be answered by {each.by}: gateway drop answer"
            if each.what == "answer"
            else f"{each.place}: the next deletion list is to be fetched by {each.by}: gateway drop take"
            for each in self.due()
            if each.soon
        ]

    def _tell(self) -> None:
        for said in self.alarms():
            log.warning("a deletion list is due", why=said)
