"""The keeper of the rehearsals, a thread of the service: starts one when it is due, writes what it found into the
ledger, and tells when one has failed or is missing (L45). The rehearsal itself is a process of its own
(`gateway.app.rehearsal_process`).

Whether an alarm rings is asked of the ledger and the clock, never of the thread that should have rehearsed: one that is
stuck is missed like one that never was.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from gateway.delivery.background import Every
from gateway.desk import evidence
from gateway.desk.documents import Document
from gateway.desk.evidence import Rehearsal, RehearsalTold
from gateway.disk import took
from gateway.evidence.keeper import written
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.store import asked_or
from gateway.ledger.writer import Writer
from gateway.terms import CLOCKS_APART

PERIOD = 30.0  # seconds between two looks whether one is due
FIRST = 120.0  # seconds after a start; one that fails at once is not started over and over
AGAIN = timedelta(hours=1)  # after a failure, so that a passing trouble is not an alarm for a day
AHEAD = CLOCKS_APART  # what was rehearsed later than that was told by a clock that was wrong
STALE = 5.0  # seconds for which what the ledger said is believed
LOCK = "rehearsal.lock"
OnRecord = tuple[RehearsalTold | None, datetime | None]  # the youngest, and since when one is owed
NOTHING: OnRecord = None, None
log = structlog.get_logger("gateway")


class Rehearsing:
    """The schedule of one service. `run` rehearses; it is told when to give up. `every`: hours between two, 0 for none;
    `late`: hours after which one is missed.
    """

    def __init__(
        self,
        folder: Path,
        writer: Writer,
        in_force: Sequence[Document],
        clock: Callable[[], datetime],
        run: Callable[[Callable[[], bool]], Rehearsal],
        *,
        every: int,
        late: int,
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._in_force = in_force
        self._clock = clock
        self._every = timedelta(hours=every)
        self._late = timedelta(hours=late)
        self._run = run
        self._thread = Every("rehearsing", PERIOD, self._look, first=FIRST)
        self._tried: datetime | None = None
        self._read: tuple[datetime, OnRecord] | None = None
        self._told: list[str] = []

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Looks until it is left; what is under way then is given up, and nothing of it is on record."""
        return self._thread.running() if self._every else contextlib.nullcontext()

    def _look(self) -> None:
        if self.is_due():
            self.rehearse()

    def is_due(self) -> bool:
        """Whether the last one is old enough, or has failed and an hour has passed since."""
        now, last = self._clock(), self.last()
        if self._tried and timedelta(0) <= now - self._tried < min(AGAIN, self._every):  # unless the clock was put back
            return False
        if last is None or last.until > now + AHEAD:
            return True
        return now - last.until >= (self._every if last.passed else min(AGAIN, self._every))

    def rehearse(self) -> None:
        """One now, unless another process of this installation has one under way; on record when this returns. While
        the ledger cannot be written it is lost, and the next look makes another.
        """
        self._tried = self._clock()
        with contextlib.ExitStack() as stack:
            if not self._is_alone(stack):
                return
            found = self._run(lambda: self._thread.ends)
            if self._thread.ends:
                return
            now = self._clock()  # the service's own, as of everything else on record
            with contextlib.suppress(StoreUnavailable):
                enter_rehearsal(self._writer, replace(found, start=self._tried, until=now), self._in_force, now)
        self._read = None
        self.alarms()

    def _is_alone(self, stack: contextlib.ExitStack) -> bool:
        """Whether no other process of this installation rehearses now."""
        with contextlib.suppress(OSError):
            return took(stack, self._folder / LOCK)
        return True  # a disk that takes no file takes no entry either; two that rehearse do no harm

    def last(self) -> RehearsalTold | None:
        """The youngest on record; None too while that cannot be read."""
        return self._known()[0]

    def _known(self) -> OnRecord:
        now = self._clock()
        if self._read is None or not timedelta(0) <= now - self._read[0] < timedelta(seconds=STALE):
            self._read = now, asked_or(self._writer.store, _on_record, NOTHING)
        return self._read[1]

    def alarms(self) -> list[str]:
        """The alarms that somebody has to look at; each text with the command that shows more. A new one is logged,
        once.
        """
        found = list(self._ringing())
        for text in found:
            if text not in self._told:
                log.error("rehearsal", error=text)
        self._told = found
        return found

    def _ringing(self) -> Iterator[str]:
        last, since = self._known()
        owed = last.until if last else since
        if last and not last.passed:
            yield f"the last rehearsal found {last.failures} that failed: gateway rehearse --show"
        if self._every and owed and not -AHEAD <= self._clock() - owed <= self._late:
            hours = self._late // timedelta(hours=1)
            yield f"no rehearsal is on record for more than {hours} hours: gateway help rehearsal"


def _on_record(db: sqlite3.Connection) -> OnRecord:
    return evidence.last_rehearsal(db), evidence.rehearsal_owed_since(db)


def enter_rehearsal(writer: Writer, found: Rehearsal, in_force: Sequence[Document], at: datetime) -> int:
    """Writes it down; the entry's number. Raises `StoreUnavailable`."""
    return written(writer, partial(evidence.note_rehearsal, rehearsal=found, in_force=in_force, at=at))
