"""The rows that a standing consists of, by key: read, compared with those of a replay, written back.

One list of tables and columns for whoever proves standings (verify), makes them again (void) or prunes what they rest
on. Never decides what a row should say.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from gateway.choice.standing import IN, NONE, OUT
from gateway.terms import Purpose

Row = tuple[Any, ...]
CHUNK = 500  # keys of one statement

# Table: its columns, the key first. Left out: whose keys seal (`person`) and which row of a share claims an act.
TABLES: dict[str, tuple[str, ...]] = {
    "standing": (
        "key", "own", "travelled", "age_band", "seq", "linked", "granted", "held", "changed", "informed", "parental",
        "grown", "told", "cpni_told",
    ),
    "own_choice": ("key", "purpose", "state", "seq", "out_at", "in_at", "ui", "informed", "parental"),
    "travelled_choice": ("key", "purpose", "origin", "via", "seq"),
    "device_state": ("key", "source", "purpose", "seq"),
    "grant_choice": ("key", "recipient", "purpose", "data_class", "kind", "seq", "until", "ui"),
    "told": ("key", "notice", "day", "seq"),
    "age": ("key", "band", "youngest", "seq", "fixed"),
    "age_word": ("key", "mark", "band", "seq"),
    "link": ("account", "identifier", "start", "until", "seq", "ended", "claimed"),
    "release": ("identifier", "seq"),
}  # fmt: skip
HELD, CHANGED = TABLES["standing"].index("held"), TABLES["standing"].index("changed")
NOES = (
    f"SELECT key, purpose, key, key FROM own_choice WHERE state = {OUT:d}"  # noqa: S608 - the number is ours
    " UNION ALL SELECT key, purpose, origin, via FROM travelled_choice"
)
YESES = f"SELECT key, purpose FROM own_choice WHERE state = {IN:d}"  # noqa: S608 - the number is ours
NEVER: Row = (0, 0, None, None, 0, 0, "", 0, 0, 0, None, None)  # a standing that says nothing, without key and change


def chunks(keys: Iterable[bytes], size: int = CHUNK) -> Iterable[list[bytes]]:
    left = iter(keys)
    while found := list(islice(left, size)):
        yield found


def said(row: Row) -> Row:
    """A standing row as it is compared: without its key and when it was written, sources in order."""
    held = ",".join(sorted(row[HELD].split(",")))
    return (*row[1:HELD], held, *row[CHANGED + 1 :])


def of(db: sqlite3.Connection, table: str, keys: Sequence[bytes]) -> dict[bytes, set[Row]]:
    """The rows of some keys, without their key. Of standings those that say something, and without their change."""
    columns = TABLES[table]
    found: dict[bytes, set[Row]] = {}
    for chunk in chunks(keys):
        marks = ",".join("?" * len(chunk))
        sql = f"SELECT {', '.join(columns)} FROM {table} WHERE {columns[0]} IN ({marks})"  # noqa: S608 - names are ours
        for row in db.execute(sql, chunk):
            content = said(row) if table == "standing" else row[1:]
            if content != NEVER:
                found.setdefault(row[0], set()).add(content)
    return found


def differences(live: sqlite3.Connection, made: sqlite3.Connection, keys: Sequence[bytes]) -> set[tuple[str, bytes]]:
    """(table, key) wherever the rows of the two are not the same."""
    found: set[tuple[str, bytes]] = set()
    for table in TABLES:
        ours, theirs = of(live, table, keys), of(made, table, keys)
        found |= {(table, key) for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
    return found | {("standing", key) for key in _written_too_early(live, made, keys)}


def _written_too_early(live: sqlite3.Connection, made: sqlite3.Connection, keys: Sequence[bytes]) -> set[bytes]:
    """A standing whose `changed` lies before its last change would let a second check of a share overlook it."""
    found: set[bytes] = set()
    for chunk in chunks(keys):
        marks = ",".join("?" * len(chunk))
        sql = f"SELECT key, changed FROM standing WHERE key IN ({marks})"  # noqa: S608 - question marks
        wanted = dict(made.execute(sql, chunk))
        found |= {key for key, changed in live.execute(sql, chunk) if changed < wanted.get(key, 0)}
    return found


def supports(made: sqlite3.Connection) -> set[int]:
    """The entries that the rows of a replay name."""
    found: set[int] = set()
    for table, columns in TABLES.items():
        if "seq" in columns:
            found |= {row[0] for row in made.execute(f"SELECT seq FROM {table} WHERE seq IS NOT NULL")}  # noqa: S608
    return found | {seq - 1 for (seq,) in made.execute("SELECT seq FROM release")}  # it names what comes after it


def replace(live: sqlite3.Connection, made: sqlite3.Connection, keys: Sequence[bytes], size: int) -> set[bytes]:
    """Writes the rows of a replay over the live ones that differ, for these keys; `size` is when. Links and releases
    stay as they are: no choice makes one. Returns whose rows changed.
    """
    different = differences(live, made, keys)
    changed = {key for _, key in different}
    for table in TABLES:
        if table == "standing":
            _replace_standings(live, made, sorted(changed), size)
        elif table not in {"link", "release"}:
            _replace(live, made, table, sorted(key for which, key in different if which == table))
    return changed


def choose_again(live: sqlite3.Connection, made: sqlite3.Connection) -> dict[bytes, set[Purpose]]:
    """Writes what was chosen in one replay over what was in another one of the same people; a yes that was over there
    is so still. Returns whose choices changed, with the purposes to which a no has come.
    """
    changed: dict[bytes, set[Purpose]] = {}
    came = {*made.execute(NOES)} - {*live.execute(NOES)}
    over = {*made.execute(YESES)} - {*live.execute(YESES)}
    made.executemany(f"UPDATE own_choice SET state = {NONE:d} WHERE key = ? AND purpose = ?", over)  # noqa: S608 - ours
    for table in ("own_choice", "travelled_choice"):
        sql = f"SELECT {', '.join(TABLES[table])} FROM {table}"  # noqa: S608 - names are ours
        keys = {row[0] for row in {*live.execute(sql)} ^ {*made.execute(sql)}}
        _replace(live, made, table, sorted(keys))
        changed.update((key, set()) for key in keys)
    for key, purpose, *_ in came:
        changed[key].add(Purpose(purpose))
    return changed


def _replace(live: sqlite3.Connection, made: sqlite3.Connection, table: str, keys: Sequence[bytes]) -> None:
    columns = TABLES[table]
    into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({','.join('?' * len(columns))})"  # noqa: S608
    made_rows = of(made, table, keys)
    live.executemany(f"DELETE FROM {table} WHERE key = ?", [(key,) for key in keys])  # noqa: S608
    live.executemany(into, [(key, *row) for key, rows in made_rows.items() for row in rows])


def _replace_standings(live: sqlite3.Connection, made: sqlite3.Connection, keys: Sequence[bytes], size: int) -> None:
    columns = [*TABLES["standing"][1:CHANGED], *TABLES["standing"][CHANGED + 1 :], "changed"]
    sets, marks = ", ".join(f"{column} = excluded.{column}" for column in columns), ",".join("?" * (1 + len(columns)))
    into = f"INSERT INTO standing (key, {', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO UPDATE SET {sets}"  # noqa: S608
    rows = of(made, "standing", keys)
    live.executemany(into, [(key, *next(iter(rows.get(key, {NEVER}))), size) for key in keys])
