"""The one question whose answer is nothing, for ever: what was sent to somebody outside after its person had opted out
(11 CCR 7026(f)(1)). Reads only.

A row was checked once more after its entry was written. So whoever had opted out in an earlier entry of the log was
known to be out when it left. A replica's row is written later than it left: it broke the promise where the choice had
long been effective at its time, by the replica's clock and not before what the replica knew of. Whether they were out
is lived through again from the entries, never read from the standings of now: somebody may have come back since.
"""

import contextlib
import sqlite3
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.ledger import happenings, reach, replay, table
from gateway.ledger.schema import BODY, JOINED
from gateway.terms import Purpose

# Milliseconds in which a choice is effective on every replica (the longest term, half a second and send window: 4.5 s),
# and what two clocks may differ.
EFFECTIVE = 10_000
MINUTE = 60_000  # milliseconds: an entry's time is when it was said, a moment before it was written
LEFT = "outcome IN ('sent', 'unknown', 'possible')"
RECEIVED = f"SELECT key, max(batch), max(at) FROM disclosure WHERE {LEFT} GROUP BY key"  # noqa: S608 - ours
ROWS = (
    f"SELECT recipient, batch, purpose, at, position FROM disclosure WHERE key = ? AND {LEFT} AND batch > ?"  # noqa: S608
    " ORDER BY batch"
)
# The first entry that may be a no, of the key, of its other names, of its accounts and of what an account has; and the
# first that denies it now, however it came. Nobody without one can be wronged.
FIRST = f"""
SELECT min(seq) FROM (
  SELECT d.seq AS seq FROM detail d {JOINED} WHERE d.key IN (
    SELECT :key UNION SELECT account FROM link WHERE identifier = :key
    UNION SELECT identifier FROM link WHERE account = :key UNION SELECT canonical FROM name WHERE alias = :key
    UNION SELECT alias FROM name WHERE canonical = :key
  ) AND json_extract(CAST({BODY} AS TEXT), '$.e') NOT IN ('linked', 'unlinked', 'number_released', 'told', 'opt_in')
  UNION ALL SELECT seq FROM travelled_choice WHERE key = :key
  UNION ALL SELECT seq FROM device_state WHERE key = :key
)
"""  # noqa: S608 - the pieces are ours


@dataclass(frozen=True, slots=True)
class SentAfter:
    """`batch`: the disclosure's entry; `purposes`: those that were opted out; `at`: Unix milliseconds."""

    recipient: str
    batch: int
    purposes: tuple[str, ...]
    at: int
    key: bytes = field(repr=False)


def find(db: sqlite3.Connection) -> Iterator[SentAfter]:
    """Every row of a share, and every send that was announced, that broke the promise. Within an open transaction."""
    for key, last, at in db.execute(RECEIVED):
        (first,) = db.execute(FIRST, {"key": key}).fetchone()
        if first is not None and first < last:
            yield from _of(db, key, first, at)


def _of(db: sqlite3.Connection, key: bytes, first: int, last_at: int) -> Iterator[SentAfter]:
    """The rows of one key. It is replayed once for all rows between which nothing happened."""
    everybody = reach.connected_people(db, [key])
    happened = happenings.of(db, everybody, last_at + MINUTE)
    places, lived, denied = [each.seq for each in happened], -1, frozenset[str]()
    for recipient, batch, purposes, at, position in db.execute(ROWS, (key, first)).fetchall():
        before = bisect_left(places, batch)
        if position < batch:  # a replica's
            latest = max(at, _known_at(db, position)) - EFFECTIVE
            before = next((n for n in range(before, 0, -1) if happened[n - 1].at <= latest), 0)
        if before != lived:
            lived, denied = before, _denied(db, key, everybody, happened[:before])
        out = tuple(purpose for purpose in purposes.split(",") if purpose in denied)
        if out:
            yield SentAfter(recipient, batch, out, at, key)


def _known_at(db: sqlite3.Connection, position: int) -> int:
    """When the last choice was accepted that a replica knew of."""
    row = db.execute("SELECT at FROM detail WHERE seq < ? ORDER BY seq DESC LIMIT 1", (position,)).fetchone()
    return row[0] if row else 0


def _denied(
    db: sqlite3.Connection, key: bytes, everybody: set[bytes], before: list[happenings.Happening]
) -> frozenset[str]:
    """The purposes that a key was opted out of after all this."""
    with contextlib.closing(replay.live_again(db, everybody, before)) as life:
        rows = life.execute(table.ROWS_OF.format(marks="?"), [key]).fetchall()
    standings = [table.standing(0, *row[3:]) for row in rows if row[2] is not None]
    return frozenset(purpose for purpose in Purpose if any(standing.denies(purpose) for standing in standings))
