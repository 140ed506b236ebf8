"""Rows of the open transaction that nobody has asked for yet. Entries and what stands beside them wait here and go to
the engine together, a statement a table for all of a batch: a statement is dear because it is one, and a savepoint has
SQLite keep each page that is changed behind it. The transaction (`writer`) writes them before anything else is said to
its connection, so whoever reads there reads them.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable
from itertools import chain
from typing import Any, cast

from gateway.ledger.mentions import add_mentions

MENTIONS = "mentions"  # in place of a statement: what leads to a row of the log; that of all of them is one run


class BatchUnwritten(sqlite3.Error):
    """Rows that others said could not be written behind them: all of the batch goes, whoever's job found it out."""


class UnwrittenRows:
    """Each with the statement that inserts it. A mark is how many there ever were."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._rows: list[tuple[str, tuple[Any, ...]]] = []
        self._written = 0

    def add(self, sql: str, row: tuple[Any, ...]) -> None:
        self._rows.append((sql, row))

    def mark(self) -> int:
        return self._written + len(self._rows)

    def back(self, mark: int) -> None:
        """What came behind a mark is not written after all."""
        del self._rows[max(mark - self._written, 0) :]

    def write(self, mark: int) -> None:
        """Those before a mark; table by table in the order in which these were first named. Where it raises they wait
        on, and some of them are written: the transaction must not be committed.
        """
        count = mark - self._written
        if count <= 0:
            return
        tables = defaultdict[str, list[tuple[Any, ...]]](list)
        for sql, row in self._rows[:count]:
            tables[sql].append(row)
        for sql, rows in tables.items():
            if sql == MENTIONS:
                add_mentions(self._db, chain.from_iterable(of_row for (of_row,) in rows))
                continue
            rows.sort()  # what lies side by side is put there at once
            self._db.executemany(sql, rows)
        del self._rows[:count]
        self._written = mark


def settled(db: sqlite3.Connection, settle: Callable[[], None]) -> sqlite3.Connection:
    """A connection that writes what waits before anything is said to it."""
    return cast("sqlite3.Connection", _SettledConnection(db, settle))


class _SettledConnection:
    def __init__(self, db: sqlite3.Connection, settle: Callable[[], None]) -> None:
        self._db, self._settle = db, settle

    def __getattr__(self, name: str) -> Any:
        self._settle()
        return getattr(self._db, name)
