"""What time it is in the log: for whoever must not believe one clock that was ahead for a moment, as who ends links by
their dates (`acts.records`) and who judges this machine's clock (`audit.clock_proof`).

A clock that was ahead for a moment leaves entries that are ahead. So the time of the log is that of the newest entry
that another one confirms, an hour later by its own time.
"""

import sqlite3
from datetime import datetime, timedelta

from gateway.ledger.subjects import moment
from gateway.ledger.transaction import Transaction

CONFIRMS = timedelta(hours=1)  # a clock that is set at the start, or by the network, is right long before
MILLISECOND = timedelta(milliseconds=1)
CONFIRMS_MS = CONFIRMS // MILLISECOND
NEWEST = """
SELECT max(at) FROM (SELECT max(at) AS at FROM detail UNION ALL SELECT max(until) FROM evidence) newest
"""
# By the indexes of times: some look-ups, however long the log is.
CONFIRMED = f"""
SELECT max(at) FROM (
SELECT max(at) AS at FROM detail WHERE at <= ({NEWEST}) - {CONFIRMS_MS:d} UNION ALL
SELECT max(until) FROM evidence WHERE until <= ({NEWEST}) - {CONFIRMS_MS:d}) confirmed
"""  # noqa: S608 - ours


def log_time(db: sqlite3.Connection) -> datetime | None:
    """No later than any clock that wrote for an hour. None: too little is on record to say."""
    confirmed = db.execute(CONFIRMED).fetchone()[0]
    return None if confirmed is None else moment(confirmed)


def sure_by(tx: Transaction, at: int) -> int | None:
    """The same for whoever writes at a moment, in Unix milliseconds: no later than that moment. Of a batch it is what
    stood before it, where that was asked first.
    """
    [(confirmed,)] = tx.asked_once(CONFIRMED)
    return None if confirmed is None else min(at, confirmed)
