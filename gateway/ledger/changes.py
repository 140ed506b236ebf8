"""What changed of the standings, and the rows as a mirror keeps them.

Every change of a row has a number, the *revision*; of each key the last one is kept (migration: changes). Whoever knows
all up to a revision is brought up to date by what came after it, unless a row went meanwhile (`floor`): of that one
nothing is kept. Reads only, on the connection that is handed in.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from gateway.mirror.memory_map import Head
from gateway.mirror.row import Allowed, MirrorRow, pack

CHUNK = 500  # keys of one statement
COLUMNS = (
    "s.key, s.own, s.travelled, s.age_band, s.seq, s.linked, s.changed, s.informed, s.parental, s.grown, s.told,"
    " s.cpni_told, s.held, s.granted"
)
SOME = f"SELECT {COLUMNS} FROM standing s WHERE s.key IN ({{marks}})"  # noqa: S608 - the marks are question marks
ALL = f"SELECT {COLUMNS} FROM standing s ORDER BY s.key"  # noqa: S608 - the columns are ours
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


def head(db: sqlite3.Connection, boot: bytes, device: int, inode: int) -> Head:
    """What a mirror of this ledger says of itself."""
    row = db.execute("SELECT h.ledger, h.peppers, h.size, f.revision, h.origin FROM head h, feed f").fetchone()
    ledger, peppers, size, last, log = row
    return Head(boot, ledger, device, inode, peppers, size, last, log)


def keys_after(db: sqlite3.Connection, after: int) -> list[bytes]:
    """Whose rows changed after a revision and are still there."""
    return [key for (key,) in db.execute("SELECT key FROM change WHERE revision > ?", (after,))]


def rows(db: sqlite3.Connection, keys: Iterable[bytes]) -> dict[bytes, MirrorRow]:
    """The rows of these keys that there are."""
    left, found = iter(keys), dict[bytes, MirrorRow]()
    while chunk := list(islice(left, CHUNK)):
        for columns in db.execute(SOME.format(marks=",".join("?" * len(chunk))), chunk).fetchall():
            found[columns[0]] = _row(db, columns)
    return found


def everything(db: sqlite3.Connection) -> Iterator[tuple[bytes, bytes]]:
    """Every row as a map keeps it, in the order of the keys."""
    for columns in db.execute(ALL):
        key, own, travelled, age, seq, linked, changed, informed, parental, grown, told, cpni, held, granted = columns
        if held or granted:
            yield key, _row(db, columns).pack()
        else:  # nearly everybody
            yield key, pack(own, travelled, informed, parental, age, grown, seq, linked, changed, told, cpni)


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
