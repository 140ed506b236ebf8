"""The standing rows: made from what they come from (own choices, what travelled, states, ages, what was told, grants);
and read by key, compared with those of a replay, written back.

Owns how one row is put together, and the one list of tables and columns for whoever proves standings (verify), makes
them again (void) or prunes what they rest on. Never decides who chose what.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any

from gateway.choice.law import AGES
from gateway.choice.standing import IN, NONE, OUT, out_bits, with_state
from gateway.ledger.reach import SKEW, group
from gateway.ledger.writer import Transaction
from gateway.terms import NoticeKind, Purpose

FOR_EVER = 2**53  # milliseconds; later than any date that is said

WRITE = f"""
INSERT INTO standing
  (key, own, travelled, seq, linked, changed, age_band, grown, informed, parental, granted, held, told, cpni_told)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
  EXISTS (SELECT 1 FROM grant_choice WHERE key = ?1),
  (SELECT coalesce(group_concat(DISTINCT substr(source, 1, instr(source || '@', '@') - 1)), '')
    FROM device_state WHERE key = ?1),
  (SELECT day FROM told WHERE key = ?1 AND notice = '{NoticeKind.PRIVACY}'),
  (SELECT day FROM told WHERE key = ?1 AND notice = '{NoticeKind.CPNI}'))
ON CONFLICT (key) DO UPDATE SET own = excluded.own, travelled = excluded.travelled, seq = excluded.seq,
  linked = excluded.linked, changed = excluded.changed, age_band = excluded.age_band, grown = excluded.grown,
  informed = excluded.informed, parental = excluded.parental, granted = excluded.granted, held = excluded.held,
  told = excluded.told, cpni_told = excluded.cpni_told
"""  # noqa: S608 - the two words are ours


@dataclass(frozen=True, slots=True)
class SharedRows:
    """What keys that go by the same names have in common. `linked`: until when some account is known for them, in
    Unix milliseconds; 0 where none is.
    """

    linked: int
    age: str | None
    grown: bool


@dataclass(slots=True)
class Came:
    """What travelled to a key since its row was made: the bits, and the last entry of it."""

    bits: int = 0
    seq: int = -1


NOTHING: Mapping[bytes, Came] = MappingProxyType({})


def recompute(tx: Transaction, keys: Iterable[bytes], now: int, came: Mapping[bytes, Came] = NOTHING) -> None:
    """Recomputes the standing rows of `keys`. In a replay they are only noted, and computed once in `settle`. `came`:
    the new denials of keys where nothing else happened, so that a row is updated without reading every choice that
    travelled to it (an account with 1,000 browsers has three million).
    """
    if tx.unsettled is not None:
        tx.unsettled.update((key, (tx.size, now)) for key in keys)
        return
    shared: dict[frozenset[bytes], SharedRows] = {}
    for key in keys:
        names = frozenset(group(tx, key))
        if names not in shared:
            shared[names] = _shared(tx, key, names, now)
        _recompute(tx, key, shared[names], came.get(key))


def settle(tx: Transaction) -> None:
    """The standing rows that were left, each as of the size and the time of its own last change."""
    left, tx.unsettled = tx.unsettled or {}, None
    size = tx.size
    for key, (tx.size, now) in left.items():
        recompute(tx, [key], now)
    tx.size = size


def _shared(tx: Transaction, key: bytes, names: frozenset[bytes], now: int) -> SharedRows:
    if tx.db.execute("SELECT 1 FROM link WHERE account = ? LIMIT 1", (key,)).fetchone():
        return SharedRows(FOR_EVER, *_age(tx, [key], []))  # an account is known, and as old as it says itself
    latest, accounts, known = 0, [], False
    for name in names:
        for account, until, claimed, begun, over in tx.db.execute(
            "SELECT account, coalesce(until, ?), claimed, start <= ?, ended IS NOT NULL FROM link WHERE identifier = ?",
            (FOR_EVER, now, name),
        ):
            known = known or (begun and not claimed)  # an app's word does not make it known
            if over:
                continue
            latest = latest if claimed else max(latest, until)
            if until > now - SKEW:
                accounts.append(account)
    return SharedRows(latest if latest > now else 0, *_age(tx, names, accounts, words=not known))


def _age(
    tx: Transaction, names: Iterable[bytes], accounts: Iterable[bytes], *, words: bool = False
) -> tuple[str | None, bool]:
    """The youngest band on record for an identifier and the accounts that have it: a family's tablet is as young as its
    youngest account. And whether any of them was younger once (R14). `words`: what installations say counts too, for no
    account is known to have or have had it.
    """
    keys = [*names, *accounts]
    marks = ",".join("?" * len(keys))
    rows = tx.db.execute(f"SELECT band, youngest FROM age WHERE key IN ({marks})", keys).fetchall()  # noqa: S608
    band = min((band for band, _ in rows), key=AGES.index, default=None)
    found = tx.db.execute(f"SELECT band FROM age_word WHERE key IN ({marks})", keys) if words else ()  # noqa: S608
    said = min((word for (word,) in found), key=AGES.index, default=None)
    grown = any(AGES.index(youngest) < AGES.index(band) for band, youngest in rows)
    return (said if said and (band is None or AGES.index(said) < AGES.index(band)) else band), grown


def _recompute(tx: Transaction, key: bytes, shared: SharedRows, came: Came | None) -> None:
    own = informed = parental = 0
    latest = -1
    for purpose, state, seq, knew, parent in tx.db.execute(
        "SELECT purpose, state, seq, informed, parental FROM own_choice WHERE key = ?", (key,)
    ):
        own = with_state(own, Purpose(purpose), state)
        informed = with_state(informed, Purpose(purpose), IN) if knew and state == IN else informed
        parental = with_state(parental, Purpose(purpose), IN) if parent and state == IN else parental
        latest = max(latest, seq)
    away, last = _away(tx, key, came)
    latest = max(latest, last)
    values = (key, own, away, latest if latest >= 0 else None, shared.linked, tx.size, shared.age, shared.grown)
    tx.db.execute(WRITE, (*values, informed, parental))


def _away(tx: Transaction, key: bytes, came: Came | None) -> tuple[int, int]:
    """What has travelled to a key, a device's states included, and the last entry of it; -1 where there is none."""
    if came:
        before = tx.db.execute("SELECT travelled, coalesce(seq, -1) FROM standing WHERE key = ?", (key,)).fetchone()
        if before:
            return before[0] | came.bits, max(before[1], came.seq)
    rows = tx.db.execute(
        "SELECT purpose, max(seq) FROM (SELECT purpose, seq FROM travelled_choice WHERE key = ?1 UNION ALL"
        " SELECT purpose, seq FROM device_state WHERE key = ?1) GROUP BY purpose",
        (key,),
    ).fetchall()
    return out_bits(Purpose(purpose) for purpose, _ in rows), max((seq for _, seq in rows), default=-1)


Row = tuple[Any, ...]
KEYS_AT_ONCE = 500  # keys of one statement

# Table: its columns, the key first. Left out: whose keys seal (`person`) and which row of a share claims an act.
ROW_TABLES: dict[str, tuple[str, ...]] = {
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
HELD, CHANGED = ROW_TABLES["standing"].index("held"), ROW_TABLES["standing"].index("changed")
NOES = (
    f"SELECT key, purpose, key, key FROM own_choice WHERE state = {OUT:d}"  # noqa: S608 - the number is ours
    " UNION ALL SELECT key, purpose, origin, via FROM travelled_choice"
)
YESES = f"SELECT key, purpose FROM own_choice WHERE state = {IN:d}"  # noqa: S608 - the number is ours
NEVER: Row = (0, 0, None, None, 0, 0, "", 0, 0, 0, None, None)  # a standing that says nothing, without key and change


def key_chunks(keys: Iterable[bytes], size: int = KEYS_AT_ONCE) -> Iterable[list[bytes]]:
    left = iter(keys)
    while found := list(islice(left, size)):
        yield found


def said_of_row(row: Row) -> Row:
    """A standing row as it is compared: without its key and when it was written, sources in order."""
    held = ",".join(sorted(row[HELD].split(",")))
    return (*row[1:HELD], held, *row[CHANGED + 1 :])


def rows_of_keys(db: sqlite3.Connection, table: str, keys: Sequence[bytes]) -> dict[bytes, set[Row]]:
    """The rows of some keys, without their key. Of standings those that say something, and without their change."""
    columns = ROW_TABLES[table]
    found: dict[bytes, set[Row]] = {}
    for chunk in key_chunks(keys):
        marks = ",".join("?" * len(chunk))
        sql = f"SELECT {', '.join(columns)} FROM {table} WHERE {columns[0]} IN ({marks})"  # noqa: S608 - names are ours
        for row in db.execute(sql, chunk):
            content = said_of_row(row) if table == "standing" else row[1:]
            if content != NEVER:
                found.setdefault(row[0], set()).add(content)
    return found


def row_differences(
    live: sqlite3.Connection, made: sqlite3.Connection, keys: Sequence[bytes]
) -> set[tuple[str, bytes]]:
    """(table, key) wherever the rows of the two are not the same."""
    found: set[tuple[str, bytes]] = set()
    for table in ROW_TABLES:
        ours, theirs = rows_of_keys(live, table, keys), rows_of_keys(made, table, keys)
        found |= {(table, key) for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
    return found | {("standing", key) for key in _written_too_early(live, made, keys)}


def _written_too_early(live: sqlite3.Connection, made: sqlite3.Connection, keys: Sequence[bytes]) -> set[bytes]:
    """A standing whose `changed` lies before its last change would let a second check of a share overlook it."""
    found: set[bytes] = set()
    for chunk in key_chunks(keys):
        marks = ",".join("?" * len(chunk))
        sql = f"SELECT key, changed FROM standing WHERE key IN ({marks})"  # noqa: S608 - question marks
        wanted = dict(made.execute(sql, chunk))
        found |= {key for key, changed in live.execute(sql, chunk) if changed < wanted.get(key, 0)}
    return found


def entries_supporting(made: sqlite3.Connection) -> set[int]:
    """The entries that the rows of a replay name."""
    found: set[int] = set()
    for table, columns in ROW_TABLES.items():
        if "seq" in columns:
            found |= {row[0] for row in made.execute(f"SELECT seq FROM {table} WHERE seq IS NOT NULL")}  # noqa: S608
    return found | {seq - 1 for (seq,) in made.execute("SELECT seq FROM release")}  # it names what comes after it


def replace_rows(live: sqlite3.Connection, made: sqlite3.Connection, keys: Sequence[bytes], size: int) -> set[bytes]:
    """Writes the rows of a replay over the live ones that differ, for these keys; `size` is when. Links and releases
    stay as they are: no choice makes one. Returns whose rows changed.
    """
    different = row_differences(live, made, keys)
    changed = {key for _, key in different}
    for table in ROW_TABLES:
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
        sql = f"SELECT {', '.join(ROW_TABLES[table])} FROM {table}"  # noqa: S608 - names are ours
        keys = {row[0] for row in {*live.execute(sql)} ^ {*made.execute(sql)}}
        _replace(live, made, table, sorted(keys))
        changed.update((key, set()) for key in keys)
    for key, purpose, *_ in came:
        changed[key].add(Purpose(purpose))
    return changed


def _replace(live: sqlite3.Connection, made: sqlite3.Connection, table: str, keys: Sequence[bytes]) -> None:
    columns = ROW_TABLES[table]
    into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({','.join('?' * len(columns))})"  # noqa: S608
    made_rows = rows_of_keys(made, table, keys)
    live.executemany(f"DELETE FROM {table} WHERE key = ?", [(key,) for key in keys])  # noqa: S608
    live.executemany(into, [(key, *row) for key, rows in made_rows.items() for row in rows])


def _replace_standings(live: sqlite3.Connection, made: sqlite3.Connection, keys: Sequence[bytes], size: int) -> None:
    columns = [*ROW_TABLES["standing"][1:CHANGED], *ROW_TABLES["standing"][CHANGED + 1 :], "changed"]
    sets, marks = ", ".join(f"{column} = excluded.{column}" for column in columns), ",".join("?" * (1 + len(columns)))
    into = f"INSERT INTO standing (key, {', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO UPDATE SET {sets}"  # noqa: S608
    rows = rows_of_keys(made, "standing", keys)
    live.executemany(into, [(key, *next(iter(rows.get(key, {NEVER}))), size) for key in keys])
