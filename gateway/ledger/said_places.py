"""Where people said that they are (R13), told in rows of the log that were written before rows said so, and left out
of all of them for an older gateway. `schema` calls it with version 37.
"""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from gateway.fold.record import GrantSaid, Record, SaidIn, SaidOut, SaidPruned
from gateway.ledger.choice_record import said_place
from gateway.ledger.side import SideUnreadable, pack_side, read_side, records_within

AT_ONCE = 500  # rows that are read
REWRITE = "UPDATE side SET packed = ? WHERE place = ?"
PLACED = SaidOut | SaidIn | GrantSaid | SaidPruned


def tell_places(db: sqlite3.Connection, body: str, joined: str) -> None:
    """Of each choice whose entry says one. `body`, `joined`: SQL for the bytes of an entry (`schema.BODY`)."""
    said = f"json_extract(CAST({body} AS TEXT), '$.src'), json_extract(CAST({body} AS TEXT), '$.j')"
    rows = f"SELECT d.place, d.seq, d.packed, {said} FROM side d{joined} WHERE d.entered AND d.place > ?"  # noqa: S608 - ours
    _rewrite(db, rows, lambda source, place: said_place(source or "", place or ""))


def leave_places_out(db: sqlite3.Connection) -> None:
    _rewrite(db, "SELECT place, seq, packed FROM side WHERE place > ?", lambda: "")


def _rewrite(db: sqlite3.Connection, rows: str, where: Callable[..., str]) -> None:
    for place, seq, packed, *said in _all(db, f"{rows} ORDER BY 1 LIMIT {AT_ONCE}"):
        try:
            records = records_within(seq, side := read_side(packed))
        except SideUnreadable:
            continue  # `verify` tells of it
        if (now := [_placed(each, where(*said)) for each in records]) != records:
            db.execute(REWRITE, (pack_side(now, side.at, side.peppers), place))


def _all(db: sqlite3.Connection, sql: str) -> Iterator[Any]:
    after = 0
    while rows := db.execute(sql, (after,)).fetchall():
        yield from rows
        after = rows[-1][0]


def _placed(record: Record, place: str) -> Record:
    return record._replace(said=record.said._replace(place=place)) if isinstance(record.said, PLACED) else record
