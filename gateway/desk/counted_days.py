"""What each day counted, for whoever plots it, the desk's page of numbers: read back from the day's evidence, and of
opt-outs from their own entries.

An entry of evidence holds no cell of fewer than ten; such cells are one, which has a number where they are ten together
and else has none. What is not counted is absent, never 0.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from gateway.desk.evidence import MERGED
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.store import Store, ledger_snapshot
from gateway.ledger.subjects import milliseconds, moment

COUNTED = """
SELECT v.start, e.body, d.body FROM evidence v JOIN entry e USING (seq) LEFT JOIN document d ON d.seq = v.seq
WHERE v.start >= ? AND v.start < ? ORDER BY v.seq
"""
# A request that names several identifiers is one.
OPT_OUTS = f"""
SELECT d.at / 86400000, coalesce(json_extract(CAST({BODY} AS TEXT), '$.src'), ''), count(DISTINCT d.request)
FROM detail d{JOINED} WHERE d.at >= ? AND d.at < ? AND {BODY} IS NOT NULL
AND json_extract(CAST({BODY} AS TEXT), '$.e') = 'opt_out' GROUP BY 1, 2
"""  # noqa: S608 - the pieces are ours
EPOCH = date(1970, 1, 1)


@dataclass(slots=True)
class CountedDay:
    """One day (UTC), by table and the words of a cell. `few`: tables in which fewer than ten more were counted, nobody
    can say of what.
    """

    cells: dict[str, Counter[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(Counter))
    few: set[str] = field(default_factory=set)

    def add(self, table: str, cell: str, count: object) -> None:
        """One cell of one entry."""
        if isinstance(count, int):
            self.cells[table][tuple(cell.split(" "))] += count
        else:
            self.few.add(table)


def counted_days(store: Store, first: date, last: date) -> Mapping[date, CountedDay]:
    """Those from `first` to `last` of which an entry tells; a stretch is of the day on which it began. Raises
    `StoreUnavailable`.
    """
    rows = _read_rows(store, COUNTED, _span(first, last))
    found: dict[date, CountedDay] = defaultdict(CountedDay)
    for start, body, more in rows:
        content = {**json.loads(body or b"{}"), **json.loads(more or b"{}")}
        if "counts" not in content:  # a rehearsal's, or the body went by retention
            continue
        day = found[moment(start).date()]
        for table, cells in content["counts"].items():
            for cell, count in cells.items():
                day.add(table, cell, count)
    return found


def opt_outs_by_day(store: Store, first: date, last: date) -> dict[str, dict[date, int]]:
    """How many requests to opt out were entered on each day from `first` to `last`, by source; days without one are
    absent, and so is what went by retention. Raises `StoreUnavailable`.
    """
    found: dict[str, dict[date, int]] = {}
    for day, source, count in _read_rows(store, OPT_OUTS, _span(first, last)):
        found.setdefault(source, {})[EPOCH + timedelta(days=day)] = count
    return found


def _span(first: date, last: date) -> tuple[int, int]:
    start, end = (datetime.combine(day, time(), UTC) for day in (first, last + timedelta(days=1)))
    return milliseconds(start), milliseconds(end)


def _read_rows(store: Store, sql: str, values: Sequence[object]) -> list[Any]:
    with ledger_snapshot(store) as db:
        return db.execute(sql, values).fetchall()


def is_small_cells(cell: tuple[str, ...]) -> bool:
    """Whether a cell is those of fewer than ten, together."""
    return cell == (MERGED,)
