"""Judges this machine's clock by what time it is in the log: its own entries. By one that is behind a service answers
no check, for contracts that ended and laws that began would be forgotten; `gateway prune` takes nothing away by one
that is ahead. `app.composition` has it looked at with each proof of the ledger.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

from gateway.ledger.acts.confirmed_time import CONFIRMS_MS, MILLISECOND, log_time
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.folder_store import store_in
from gateway.ledger.subjects import moment
from gateway.ledger.watch import Judge

# A service enters its evidence each day. A week is time to look after one that stopped, and nothing beside 24 months.
AHEAD = timedelta(days=7)
BEHIND = timedelta(days=1)  # by which a dated link may outlive its end, too (acts.records)
# Without what something was said a day earlier behind: a clock that was ahead wrote it. For what takes away alone. Who
# answers counts it: else one no, said by a clock that is behind, would refute all that tells so.
UNREFUTED = """
WITH told AS (SELECT seq, at, at AS said FROM detail UNION ALL SELECT seq, until, NULL FROM evidence),
 sound AS (SELECT at FROM (SELECT at, min(said) OVER (ORDER BY seq DESC) AS behind FROM told) looked
  WHERE behind IS NULL OR behind >= at - ?)
SELECT max(at) FROM sound WHERE at <= (SELECT max(at) FROM sound) - ?
"""


class ClockProof:
    """Of one service. `was_ahead_until`: what is dated up to the end of that day is no word against the clock, by the
    officer's. `waits`: what else a watch waits for.
    """

    def __init__(self, clock: Callable[[], datetime], was_ahead_until: date, waits: Callable[[], str]) -> None:
        self._clock = clock
        self._was_ahead_until = was_ahead_until
        self._others = waits
        self._why = ""

    def judge(self, examination: Judge) -> Judge:
        """The same, which looks at the clock too."""

        def judge(db: sqlite3.Connection) -> bool:
            grown = examination(db)
            self._why = self._found(db)
            return grown

        return judge

    def waits(self) -> str:
        """Why nobody is answered; empty where nothing is wrong."""
        return self._why or self._others()

    def _found(self, db: sqlite3.Connection) -> str:
        last, now = log_time(db), self._clock()
        if last is None or last - now <= BEHIND or last.date() <= self._was_ahead_until:
            return ""
        return (
            f"the clock says {_minute(now)}, and the log has entries of {_minute(last)}: set the clock. If it is right,"
            f" and was ahead before: [ledger] clock_was_ahead_until = {last.date()} (gateway help operate)"
        )


def prove_not_ahead(folder: Path, clock: Callable[[], datetime]) -> None:
    """Raises `LedgerRefused` where the clock is more than `AHEAD` later than the log."""
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        [confirmed] = db.execute(UNREFUTED, (BEHIND // MILLISECOND, CONFIRMS_MS)).fetchone()
    last, now = None if confirmed is None else moment(confirmed), clock()
    if last is not None and now - last > AHEAD:
        raise LedgerRefused(
            f"the clock says {_minute(now)}, and nothing is on record since {_minute(last)}: set the clock, or if it is"
            " right, let the service run for two hours before anything is pruned"
        )


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} (UTC)"
