"""When a number or mailbox last went back to the pool (R5): from which entry on what is said of a key is its present
holder's. For whoever shows or tells somebody what is on record. Reads the log's own rows; the fold has the same number
as `KeyRow.since`.
"""

import sqlite3

from gateway.ledger.schema import BODY, JOINED

NEVER_MIND = 2**62  # as `before`: until now
# Whoever gives back one form of it gives back all that were known by then: names, and the other spellings of a mailbox.
SINCE = f"""
WITH own (key, seq) AS (
  SELECT :key, 0 UNION ALL SELECT canonical, seq FROM name WHERE alias = :key
), box (key, seq) AS (
  SELECT m.mailbox, max(m.seq, own.seq) FROM own JOIN mailbox_name m ON m.spelling = own.key
  UNION SELECT m.mailbox, own.seq FROM own JOIN mailbox_name m ON m.mailbox = own.key
), spelt (key, seq) AS (
  SELECT key, seq FROM own UNION SELECT key, seq FROM box
  UNION SELECT m.spelling, max(m.seq, box.seq) FROM box JOIN mailbox_name m ON m.mailbox = box.key
), form (key, seq) AS (
  SELECT key, seq FROM spelt
  UNION SELECT n.alias, max(n.seq, spelt.seq) FROM spelt JOIN name n ON n.canonical = spelt.key
)
SELECT coalesce(max(since), 0) FROM (
  SELECT d.seq + 1 AS since FROM form JOIN detail d ON d.key = form.key {JOINED}
  WHERE d.seq >= form.seq AND json_extract(CAST({BODY} AS TEXT), '$.e') = 'number_released'
  UNION ALL SELECT seq + 1 FROM link_event WHERE identifier = :key AND released
) WHERE since <= :before
"""  # noqa: S608 - the pieces are ours


MET = """
SELECT EXISTS (SELECT 1 FROM detail WHERE key = ?1) OR EXISTS (SELECT 1 FROM name WHERE alias = ?1)
OR EXISTS (SELECT 1 FROM name WHERE canonical = ?1) OR EXISTS (SELECT 1 FROM mailbox_name WHERE mailbox = ?1)
OR EXISTS (SELECT 1 FROM mailbox_name WHERE spelling = ?1) OR EXISTS (SELECT 1 FROM link_event WHERE identifier = ?1)
"""


def released_since(db: sqlite3.Connection, key: bytes, before: int = NEVER_MIND) -> int:
    """The entry from which on what is said of a key is its present holder's; 0: it never went back. `before`: of
    whoever had it at that entry.
    """
    [met] = db.execute(MET, (key,)).fetchone()  # most of whom answers are counted are strangers: a tenth of the time
    return int(db.execute(SINCE, {"key": key, "before": before}).fetchone()[0]) if met else 0
