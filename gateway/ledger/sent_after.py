"""The one question whose answer is nothing, for ever: what was sent to somebody outside after its person had opted out
(enforcement.md 3.2; 11 CCR 7026(f)(1)). Reads only.

A row was checked once more after its entry was written. So whoever had opted out in an earlier entry of the log was
known to be out when it left. Whether they were is lived through again from the entries, never read from the standings
of now: somebody may have come back since.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.ledger import component, happenings, replay, table
from gateway.terms import Purpose

MINUTE = 60_000  # milliseconds: an entry's time is when it was said, a moment before it was written
# Whoever ever opted out before the row, by themselves, through an account, or by what travelled: the rest cannot be it.
SUSPECTS = """
SELECT DISTINCT d.recipient, d.batch, d.key, d.purpose, d.at FROM disclosure d
WHERE d.outcome IN ('sent', 'unknown') AND (
  EXISTS (SELECT 1 FROM travelled_choice t WHERE t.key = d.key AND t.seq < d.batch)
  OR EXISTS (SELECT 1 FROM device_state s WHERE s.key = d.key AND s.seq < d.batch)
  OR EXISTS (SELECT 1 FROM own_choice o WHERE o.key = d.key AND o.out_at <= d.at + 60000)
  OR EXISTS (SELECT 1 FROM link l JOIN own_choice o ON o.key = l.account
             WHERE l.identifier = d.key AND o.out_at <= d.at + 60000)
) ORDER BY d.batch
"""


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
    for recipient, batch, key, purposes, at in db.execute(SUSPECTS).fetchall():
        out = tuple(purpose for purpose in purposes.split(",") if purpose and _was_out(db, key, purpose, batch, at))
        if out:
            yield SentAfter(recipient, batch, out, at, key)


def _was_out(db: sqlite3.Connection, key: bytes, purpose: str, batch: int, at: int) -> bool:
    """Whether the entries before that one had this key opted out."""
    everybody = component.of(db, [key])
    before = [each for each in happenings.of(db, everybody, at + MINUTE) if each.seq < batch]
    with contextlib.closing(replay.live_again(db, everybody, before)) as life:
        rows = life.execute(table.ROWS_OF.format(marks="?"), [key]).fetchall()
    return any(table.standing(at, *row[3:]).denies(Purpose(purpose)) for row in rows if row[2] is not None)
