"""What changed of the standings, and the rows as a replica keeps them.

Every change of a row has a number, the *revision*; of each key the last one is kept (migration: changes). Whoever knows
all up to a revision is brought up to date by what came after it, unless a row went meanwhile (`floor`): of that one
nothing is kept. Reads only, on the connection that is handed in.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from gateway.mirror.row import Allowed, MirrorRow

COLUMNS = (
    "s.key, s.own, s.travelled, s.age_band, s.seq, s.linked, s.changed, s.informed, s.parental, s.grown, s.told,"
    " s.cpni_told, s.held, s.granted"
)
AFTER = f"""
SELECT c.revision, (SELECT at FROM detail d WHERE d.seq = s.seq), {COLUMNS}
FROM change c JOIN standing s ON s.key = c.key WHERE c.revision > ? ORDER BY c.revision LIMIT ?
"""  # noqa: S608 - the columns are ours
GRANTS = (
    "SELECT recipient, purpose, data_class, kind, seq, until FROM grant_choice WHERE key = ? ORDER BY seq DESC,"
    " recipient, purpose, data_class, kind"
)


class Change(NamedTuple):
    """`at`: when the entry was written that touched the row last, in Unix milliseconds; None: no entry did."""

    revision: int
    at: int | None
    key: bytes
    row: MirrorRow


def revision(db: sqlite3.Connection) -> int:
    """The number of the last change."""
    return int(db.execute("SELECT revision FROM feed").fetchone()[0])


def floor(db: sqlite3.Connection) -> int:
    """Whoever knows only changes before this one has to begin anew."""
    return int(db.execute("SELECT floor FROM feed").fetchone()[0])


def after(db: sqlite3.Connection, last: int, limit: int) -> list[Change]:
    """The changes after a revision, in their order."""
    found = db.execute(AFTER, (last, limit)).fetchall()
    return [Change(number, at, columns[0], _row(db, columns)) for number, at, *columns in found]


def _row(db: sqlite3.Connection, columns: Sequence[Any]) -> MirrorRow:
    key, own, travelled, age, seq, linked, changed, informed, parental, grown, told, cpni_told, held, granted = columns
    allowed: tuple[Allowed, ...] = tuple(db.execute(GRANTS, (key,)).fetchall()) if granted else ()
    return MirrorRow(
        own, travelled, age, seq, linked, changed, informed, parental, bool(grown), told, cpni_told, held, allowed
    )
