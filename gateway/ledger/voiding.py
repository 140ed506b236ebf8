"""Consents that count for nothing: a screen turned out to be no fair question (11 CCR 7004(b), L51).

What stands is what would stand had nobody consented on it: made again from the log without its opt-ins (replay.py).
So whatever they had lifted comes back, wherever it would be by now, and what was granted on it is over. Nobody's fair
choice is touched, and the entry is about no person.
"""

import os
import sqlite3
from collections.abc import Iterable
from datetime import datetime

from gateway.choice.standing import OUT
from gateway.ledger import entry, live_rows, replay
from gateway.ledger.subjects import milliseconds
from gateway.ledger.writer import Transaction

PEOPLE = 250  # of one replay: so many lives are in memory at once
# As the index entry_screen says it, word for word. Older entries name no screen: the notice's version stands for it.
SCREEN = """
CASE WHEN json_valid(CAST(e.body AS TEXT)) THEN CASE json_extract(CAST(e.body AS TEXT), '$.e')
  WHEN 'opt_in' THEN
    coalesce(json_extract(CAST(e.body AS TEXT), '$.ui'), json_extract(CAST(e.body AS TEXT), '$.nv'))
  WHEN 'keep_programme' THEN json_extract(CAST(e.body AS TEXT), '$.ui')
  WHEN 'restated' THEN coalesce(
    json_extract(json_extract(CAST(e.body AS TEXT), '$.was'), '$.ui'),
    json_extract(json_extract(CAST(e.body AS TEXT), '$.was'), '$.nv'))
END END
"""
CONSENTED = f"SELECT DISTINCT d.key FROM entry e CROSS JOIN detail d ON d.seq = e.seq WHERE {SCREEN} = ?1"  # noqa: S608
SAID_AGAIN = f"""
SELECT DISTINCT d.key FROM entry e CROSS JOIN restated x ON x.seq = e.seq CROSS JOIN detail d ON d.seq = x.of
WHERE {SCREEN} = ?1
"""  # noqa: S608 - ours; of pruned entries, by those that hold them whole
ENDED = "SELECT DISTINCT key FROM kept_end WHERE ui = ?1 AND ui <> ''"  # by somebody who is forgotten


def void(tx: Transaction, ui: str, reason_sha256: bytes, at: datetime) -> int:
    """One entry, the first time. Returns how many opt-ins went back."""
    if is_void(tx, ui):
        return 0
    seq = tx.append(entry.voided(event=os.urandom(16), ui=ui, reason=reason_sha256, at=at))
    [count] = tx.db.execute(
        "SELECT count(*) FROM own_choice WHERE ui = ? AND ui <> '' AND state <> ?", (ui, OUT)
    ).fetchone()
    tx.db.execute("INSERT INTO voided_ui VALUES (?, ?, ?)", (ui, seq, milliseconds(at)))
    stand_without(tx, [ui])
    return int(count)


def is_void(tx: Transaction, ui: str) -> bool:
    """Whether consents of a screen count for nothing."""
    return bool(ui) and tx.db.execute("SELECT 1 FROM voided_ui WHERE ui = ?", (ui,)).fetchone() is not None


def stand_without(tx: Transaction, screens: Iterable[str]) -> None:
    """Makes the rows again of whoever consented on screens that are voided, and of whomever that reached."""
    keys = {key for ui in screens for key in _consented(tx.db, ui)}
    for chunk in live_rows.chunks(sorted(keys), PEOPLE):
        replay.stand_again(tx, chunk)


def _consented(db: sqlite3.Connection, ui: str) -> set[bytes]:
    return {key for sql in (CONSENTED, SAID_AGAIN, ENDED) for (key,) in db.execute(sql, (ui,))}
