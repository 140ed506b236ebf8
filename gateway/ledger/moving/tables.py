"""What is moved: the tables of a ledger of this version and of a vault, as the migrations make them, with the sentences
that copy and compare their rows. And what of a migrated ledger is made before its rows come and what behind them:
indexes cost a third of the time when all is there, and triggers would do again what they did at the source.
"""

# ruff: noqa: S608 - names of tables and columns are the schema's own

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from gateway.keys import person_keys
from gateway.ledger import schema
from gateway.ledger.store import Connection

Row = tuple[Any, ...]
Key = tuple[Any, ...]
TOGETHER = 200  # rows of one statement
COMMENTS = re.compile(r"^(\s*--[^\n]*\n)*\s*")
AGAIN = re.compile(r" INDEX (?!IF )")  # what was cut off makes the rest
LATER = re.compile(r"(CREATE|DROP) (?:UNIQUE )?(INDEX|TRIGGER) (?:IF (?:NOT )?EXISTS )?(\w+)")


class MovedTable(NamedTuple):
    """`kinds`: of its columns, as SQLite calls them. `key`: the columns of its primary key; none: it is moved whole."""

    name: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def key_kinds(self) -> tuple[str, ...]:
        return tuple(self.kinds[self.columns.index(each)] for each in self.key)

    def key_of(self, row: Row) -> Key:
        return tuple([row[self.columns.index(each)] for each in self.key])

    def rows_between(self, db: Connection, after: Key, until: Key = (), limit: int = -1) -> list[Row]:
        """In the order of their keys, those behind one key up to another; no key: from the first, to the last."""
        key, marks = ", ".join(self.key), ", ".join("?" * len(self.key))
        bounds = [f"({key}) {sign} ({marks})" for sign, given in ((">", after), ("<=", until)) if given]
        where, order = (f" WHERE {' AND '.join(bounds)}" if bounds else ""), (f" ORDER BY {key}" if key else "")
        return db.execute(
            f"SELECT {', '.join(self.columns)} FROM {self.name}{where}{order} LIMIT ?", (*after, *until, limit)
        ).fetchall()

    def rows_with(self, db: Connection, keys: Iterable[Key]) -> list[Row]:
        """Those of them that are there."""
        found, listed = list[Row](), [*keys]
        one = f"({' AND '.join(f'{each} = ?' for each in self.key)})"
        for start in range(0, len(listed), TOGETHER):
            some = listed[start : start + TOGETHER]
            sql = f"SELECT {', '.join(self.columns)} FROM {self.name} WHERE {' OR '.join([one] * len(some))}"
            found += db.execute(sql, [value for key in some for value in key]).fetchall()
        return found

    def last_key(self, db: Connection) -> Key:
        """The largest; nothing where there is no row."""
        key = ", ".join(self.key)
        down = ", ".join(f"{each} DESC" for each in self.key)
        return db.execute(f"SELECT {key} FROM {self.name} ORDER BY {down} LIMIT 1").fetchone() or ()

    def delete_rows(self, db: Connection, keys: Sequence[Key]) -> None:
        if keys:
            db.executemany(f"DELETE FROM {self.name} WHERE {' AND '.join(f'{each} = ?' for each in self.key)}", keys)


@cache
def ledger_tables() -> tuple[MovedTable, ...]:
    return _tables_made_by(ledger_statements()[0])


@cache
def vault_tables() -> tuple[MovedTable, ...]:
    return _tables_made_by((person_keys.FORM,))


def _tables_made_by(statements: Iterable[str]) -> tuple[MovedTable, ...]:
    """As an empty file shows them."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for sql in statements:
            db.execute(sql)
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
        return tuple(_table_in(db, name) for name in names)


def _table_in(db: sqlite3.Connection, name: str) -> MovedTable:
    rows = db.execute("SELECT name, type, pk FROM pragma_table_info(?)", (name,)).fetchall()
    key = [row[0] for row in sorted(rows, key=lambda row: row[2]) if row[2]]
    return MovedTable(name, tuple(row[0] for row in rows), tuple(row[1] for row in rows), tuple(key))


class LaterStatements(NamedTuple):
    """By name."""

    indexes: Mapping[str, str]
    triggers: Mapping[str, str]


@cache
def ledger_statements() -> tuple[tuple[str, ...], LaterStatements]:
    """What makes an empty ledger of this version: its tables, then what belongs to them."""
    first, later = list[str](), {"INDEX": dict[str, str](), "TRIGGER": dict[str, str]()}
    for sql in _all_statements():
        if not (found := LATER.match(sql)):
            first.append(sql)
        elif found[1] == "DROP":
            later[found[2]].pop(found[3], None)
        else:
            later[found[2]][found[3]] = sql
    indexes = {name: AGAIN.sub(" INDEX IF NOT EXISTS ", sql, count=1) for name, sql in later["INDEX"].items()}
    return tuple(first), LaterStatements(indexes, later["TRIGGER"])


def _all_statements() -> Iterator[str]:
    for _, sql in schema.migrations():
        for statement in schema.statements(sql):
            yield COMMENTS.sub("", statement, count=1)
