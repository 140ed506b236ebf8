"""The one question whose answer is nothing, for ever: what was sent to somebody outside after its person had opted out
(11 CCR 7026(f)(1)). Reads only.

A row was checked once more after its entry was written. So whoever had opted out in an earlier entry of the log was
known to be out when it left. A replica's row is written later than it left: it broke the promise where the choice had
long been effective at its time, by the replica's clock and not before what the replica knew of. Whether they were out
is folded again from what the log had by then, never read from what stands now: somebody may have come back since.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from gateway.fold import fold, reading
from gateway.fold import record as told
from gateway.fold.record import Record
from gateway.fold.state import Place
from gateway.ledger.acts.reach import connected_people
from gateway.ledger.log_records import records_of
from gateway.ledger.mentions import mentions_of
from gateway.terms import Purpose

# Milliseconds in which a choice is effective on every replica (the longest term, half a second and send window: 4.5 s),
# and what two clocks may differ.
EFFECTIVE = 10_000
MINUTE = 60_000  # milliseconds: an entry's time is when it was said, a moment before it was written
LEFT = "outcome IN ('sent', 'unknown', 'possible')"
# A row is kept by whom it names first. By each identifier that it took along it is found over what recipients hold, in
# this order alone: of one person there are few rows.
TOOK = (
    " FROM held_key n CROSS JOIN held h ON h.id = n.held AND h.named = n.key CROSS JOIN held_key k ON k.held = h.id"
    " CROSS JOIN disclosure d ON d.key = k.key AND d.recipient = h.recipient AND d.held LIKE '%,' || h.id || ':%'"
    f" WHERE {LEFT}"
)
# Grouped in each half first, for there are many rows of each key and few keys.
RECEIVED = (
    "SELECT key, max(batch), max(at) FROM ("  # noqa: S608 - ours
    f"SELECT key, max(batch) AS batch, max(at) AS at FROM disclosure WHERE {LEFT} GROUP BY key"
    f" UNION ALL SELECT n.key, max(d.batch), max(d.at){TOOK} GROUP BY n.key) AS received GROUP BY key"
)
ROWS = (
    f"SELECT recipient, row, batch, purpose, at, position FROM disclosure WHERE key = ?1 AND {LEFT} AND batch > ?2"  # noqa: S608 - ours
    f" UNION SELECT d.recipient, d.row, d.batch, d.purpose, d.at, d.position{TOOK} AND n.key = ?1 AND d.batch > ?2"
    " ORDER BY batch"
)
# Nobody with whom nothing of these is on record can be wronged.
NOES = told.SaidOut | told.StateSaid | told.ChildFound | told.KeptNo | told.KeptEnd


@dataclass(frozen=True, slots=True)
class SentAfter:
    """`batch`: the disclosure's entry; `purposes`: those that were opted out; `at`: Unix milliseconds."""

    recipient: str
    batch: int
    purposes: tuple[str, ...]
    at: int
    key: bytes = field(repr=False)


def find_sent_after(db: sqlite3.Connection) -> Iterator[SentAfter]:
    """Every row of a share, and every send that was announced, that broke the promise, once. Within an open
    transaction.
    """
    found = set[tuple[str, bytes, int]]()
    for key, last, at in db.execute(RECEIVED):
        everybody = connected_people(db, [key])
        if len(everybody) > 1 or mentions_of(db, [key]):
            records = records_of(db, at + MINUTE, everybody)
            first = next((each.seq for each in records if isinstance(each.said, NOES)), last)
            if first < last:
                yield from _of(db, key, first, records, found)


def _of(
    db: sqlite3.Connection, key: bytes, first: int, records: Sequence[Record], found: set[tuple[str, bytes, int]]
) -> Iterator[SentAfter]:
    """The rows of one key, but those that were found by another one."""
    rows = [row for row in db.execute(ROWS, (key, first)).fetchall() if row[:3] not in found]
    before = [_known_before(db, records, *row[2:]) for row in rows]
    denied = _denied(key, records, {*before}) if rows else {}
    for (recipient, row, batch, purposes, at, _), known in zip(rows, before, strict=True):
        out = tuple(purpose for purpose in purposes.split(",") if purpose in denied[known])
        if out:
            found.add((recipient, row, batch))
            yield SentAfter(recipient, batch, out, at, key)


def _known_before(db: sqlite3.Connection, records: Sequence[Record], batch: int, _: str, at: int, position: int) -> int:
    """How many of the records whoever sent a row had to know of."""
    count = bisect_left(records, batch, key=itemgetter(0))
    if position >= batch:
        return count
    latest = max(at, _known_at(db, position)) - EFFECTIVE  # a replica's
    return next((number for number in range(count, 0, -1) if records[number - 1].at <= latest), 0)


def _known_at(db: sqlite3.Connection, position: int) -> int:
    """When the last choice was accepted that a replica knew of."""
    row = db.execute("SELECT at FROM detail WHERE seq < ? ORDER BY seq DESC LIMIT 1", (position,)).fetchone()
    return row[0] if row else 0


def _denied(key: bytes, records: Sequence[Record], counts: set[int]) -> dict[int, frozenset[str]]:
    """The purposes that a key was opted out of after so many of the records."""
    state, found = dict[Place, Any](), dict[int, frozenset[str]]()
    for number in range(max(counts) + 1):
        if number in counts:
            standing = reading.standing_of(key, state.get, 0)
            found[number] = frozenset(purpose for purpose in Purpose if standing.denies(purpose))
        if number < len(records):
            state.update(fold(records[number], state.get))
    return found
