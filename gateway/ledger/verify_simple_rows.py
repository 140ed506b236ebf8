"""The rows of people who said one thing, once, and of families in which nobody said more: all of them compared at once.

Their live rows come as numbers (`said_once`) and as bytes; as long as they are those that the entries give, no row is
looked at by itself. Whatever differs is told as doubted, by table and key, for a replay. Reads only.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from gateway.ledger import verify_single_choices
from gateway.ledger.live_rows import TABLES
from gateway.ledger.reading import LedgerReading
from gateway.ledger.standing_rows import FOR_EVER
from gateway.ledger.verify_connections import Family
from gateway.ledger.verify_single_choices import Said

KEY = 16  # bytes
ROWS = 1024  # fetched at once
Doubts = set[tuple[str, bytes]]

# What travelled to a key: how many rows, and these in bytes. Nobody simple has one with keys of another length.
OURS = f"length(key) = {KEY} AND length(origin) = {KEY} AND length(via) = {KEY}"
TRAVELLED = f"""
SELECT key, count(*), CAST(group_concat(origin || via || purpose || ':' || seq) AS BLOB) FROM travelled_choice
WHERE {OURS} GROUP BY key
"""  # noqa: S608 - a number of ours
ODD = f"SELECT key FROM travelled_choice WHERE NOT ({OURS})"  # noqa: S608 - ours
LINKS = "SELECT account, identifier, start, until, seq, ended, claimed FROM link"
# A standing that says nothing may be there or not: whoever was met and never chose has one (`live_rows.NEVER`).
NEVER_SAID = (
    "seq IS NULL AND NOT own AND NOT travelled AND NOT linked AND held = '' AND age_band IS NULL AND NOT granted"
    " AND NOT informed AND NOT parental AND NOT grown AND told IS NULL AND cpni_told IS NULL"
)
SAYING = f"SELECT key FROM standing WHERE NOT ({NEVER_SAID})"  # noqa: S608 - ours
ELSEWHERE = [table for table in TABLES if table not in {"own_choice", "standing", "travelled_choice", "link"}]


class Arrived(NamedTuple):
    """A no that came to a key: the bits of its purposes, its entry, the rows, and these as `TRAVELLED` has them."""

    bits: int
    seq: int
    rows: list[bytes]
    joined: tuple[int, bytes]


Came = dict[bytes, list[Arrived]]


class Expected:
    """What the entries give. `firsts`: whoever spoke, as in the fold, here with what came from others; `quiet`: whoever
    did not, and `silent`: has no standing either; `travelled`, `links`: rows.
    """

    def __init__(self, firsts: dict[bytes, Said], families: Iterable[Family]) -> None:
        self.firsts = firsts
        self.quiet: dict[bytes, tuple[int, int | None, int]] = {}  # travelled, entry, linked
        self.silent: set[bytes] = set()
        self.travelled: dict[bytes, tuple[int, bytes]] = {}
        self.links: set[tuple[bytes, bytes, int, int | None, int, None, int]] = set()
        for family in families:
            self._add(family)

    def __contains__(self, key: bytes) -> bool:
        return key in self.firsts or key in self.quiet or key in self.silent

    def _add(self, family: Family) -> None:
        """A family all of whose sayings are in `firsts`."""
        account, linked = family.account, FOR_EVER if family.account else 0
        came: Came = {}
        for head in family.heads:
            if head in self.firsts:
                self._travels(family, head, came)
        for key, arrived in came.items():
            self.travelled[key] = arrived[0].joined if len(arrived) == 1 else _in_order(arrived)
        known = [key for member in family.members for key in (member.key, *member.names)]
        for key in (*known, account) if account else known:
            self._stands(key, came, linked)
        for key in [key for member in family.members for key in member.looser]:
            self._stands(key, came, 0)
        if account:
            self.links.update(
                [(account, m.key, m.linked[0], None, m.linked[1], None, 0) for m in family.members if m.linked]
            )

    def _travels(self, family: Family, origin: bytes, came: Came) -> None:
        """As `Fold.rows` has it: to its other names, and through the account to all that has."""
        bits, seq, *_ = self.firsts[origin]
        account, by_name = family.account, _arrived(bits, seq, origin + origin)
        through = _arrived(bits, seq, origin + account) if account else by_name
        for member in family.members:
            mine = origin == member.key
            for key in member.keys[1:] if mine else member.keys:
                came.setdefault(key, []).append(by_name if mine else through)
        if account and origin != account:
            came.setdefault(account, []).append(through)

    def _stands(self, key: bytes, came: Came, linked: int) -> None:
        bits, latest = 0, -1
        for arrived in came.get(key, ()):
            bits, latest = bits | arrived.bits, max(latest, arrived.seq)
        said = self.firsts.get(key)
        if said is not None:
            if bits or linked:
                self.firsts[key] = (*said, bits, max(latest - said[1], 0), linked)
        elif bits or linked:
            self.quiet[key] = (bits, latest if bits else None, linked)
        else:
            self.silent.add(key)


def _arrived(bits: int, seq: int, road: bytes) -> Arrived:
    rows = [road + f"{purpose}:{seq}".encode() for purpose in verify_single_choices.purposes(bits)]
    return Arrived(bits, seq, rows, (len(rows), b",".join(rows)))


def _in_order(arrived: Iterable[Arrived]) -> tuple[int, bytes]:
    """As the table has them: by purpose, origin and via."""
    rows = sorted(
        [row for each in arrived for row in each.rows], key=lambda row: (row[2 * KEY :].partition(b":")[0], row)
    )
    return len(rows), b",".join(rows)


def doubts(db: sqlite3.Connection, reading: LedgerReading, families: Iterable[Family]) -> Doubts:
    """(table, key) of simple people whose rows differ, and of rows of whom no entry speaks. `families`: all of whose
    sayings are in `firsts`, as everybody's there is one.
    """
    expected = Expected(reading.fold.firsts, families)
    found = Doubts()
    for look in (_spoke, _quiet, _travelled, _links, _elsewhere):
        found |= look(db, reading, expected)
    return found


def _spoke(db: sqlite3.Connection, reading: LedgerReading, expected: Expected) -> Doubts:
    """Own choices, each with its standing."""
    said, (seen, odd) = expected.firsts.get, _unequal(db, verify_single_choices.SIGNALLED, expected.firsts)
    for key, *row in db.execute(verify_single_choices.SAID):
        seen += 1
        if [*said(key, ()), 0, 0, 0][:6] != row:
            odd.append(key)
    found = {key for key in odd if key in expected or key not in reading}
    if seen - len(odd) != len(expected.firsts):
        there = {
            row[0] for sql in (verify_single_choices.SIGNALLED, verify_single_choices.SAID) for row in db.execute(sql)
        }
        found |= expected.firsts.keys() - there
    if _count(db, "own_choice") != verify_single_choices.choices(expected.firsts.values()):
        found |= set(_more_choosers(db, reading, expected))
    return {(table, key) for table in ("own_choice", "standing") for key in found}


def _unequal(db: sqlite3.Connection, sql: str, expected: Mapping[bytes, object]) -> tuple[int, list[bytes]]:
    """How many rows there are, key first, and the keys of those that are not what is expected of them."""
    wanted, odd, seen = expected.get, list[bytes](), 0
    cursor = db.execute(sql)
    while rows := cursor.fetchmany(ROWS):
        seen += len(rows)
        keys, *columns = zip(*rows, strict=True)
        if [*map(wanted, keys)] != [*zip(*columns, strict=True)]:
            odd += [row[0] for row in rows if wanted(row[0]) != row[1:]]
    return seen, odd


def _more_choosers(db: sqlite3.Connection, reading: LedgerReading, expected: Expected) -> Iterator[bytes]:
    """Who has other own choices than were looked at."""
    for key, count, odd in db.execute(verify_single_choices.CHOOSERS):
        if key in expected:
            said = expected.firsts.get(key, (0,))
            if odd or count != said[0].bit_count():
                yield key
        elif key not in reading:
            yield key


def _quiet(db: sqlite3.Connection, reading: LedgerReading, expected: Expected) -> Doubts:
    """Standings of those who did not speak themselves."""
    seen, odd = _unequal(db, verify_single_choices.QUIET, expected.quiet)
    found = {key for key in odd if key in expected or key not in reading}
    if seen - len(odd) != len(expected.quiet):
        found |= expected.quiet.keys() - {row[0] for row in db.execute(verify_single_choices.QUIET)}
    if _count(db, "standing", f"NOT ({NEVER_SAID})") != len(expected.quiet) + len(expected.firsts):
        found |= {key for key, *_ in db.execute(SAYING) if key in expected.silent or key not in reading}
    return {("standing", key) for key in found}


def _travelled(db: sqlite3.Connection, reading: LedgerReading, expected: Expected) -> Doubts:
    wanted, odd = expected.travelled.get, list[bytes]()
    cursor, seen, travelled = db.execute(TRAVELLED), 0, 0
    while rows := cursor.fetchmany(ROWS):
        seen += len(rows)
        travelled += sum([row[1] for row in rows])
        odd += [row[0] for row in rows if wanted(row[0]) != row[1:]]
    keys = {*odd}
    if seen - len(odd) != len(expected.travelled):
        keys |= expected.travelled.keys() - {row[0] for row in db.execute(TRAVELLED)}
    if travelled != _count(db, "travelled_choice"):
        keys |= {key for (key,) in db.execute(ODD)}
    return {("travelled_choice", key) for key in keys if key in expected or key not in reading}


def _links(db: sqlite3.Connection, reading: LedgerReading, expected: Expected) -> Doubts:
    different = {row[0] for row in {*db.execute(LINKS)} ^ expected.links}
    return {("link", key) for key in different if key in expected or key not in reading}


def _elsewhere(db: sqlite3.Connection, reading: LedgerReading, expected: Expected) -> Doubts:
    """Nobody simple has a row in any other table."""
    return {
        (table, key)
        for table in ELSEWHERE
        for (key,) in db.execute(f"SELECT DISTINCT {TABLES[table][0]} FROM {table}")  # noqa: S608 - ours
        if key in expected or key not in reading
    }


def _count(db: sqlite3.Connection, table: str, where: str = "1") -> int:
    found: int = db.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]  # noqa: S608 - ours
    return found
