"""Live rows against those that the entries give: in bulk for the simple ones, by the real rules for the rest.

A difference that the short way finds is looked at by the real rules before it counts. Reads only.
"""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gateway.choice.standing import OUT, out_bits
from gateway.ledger import component, connected, happenings, live_rows, replay
from gateway.ledger.fold import First, Fold
from gateway.ledger.live_rows import NEVER, TABLES, Row
from gateway.ledger.reading import Reading
from gateway.terms import Purpose

BATCH = 5_000  # keys that live again in one database
FOR_EVER = 2**62  # milliseconds
Different = set[tuple[str, bytes]]

# What somebody who said one thing, once, has: other rows are not of this form. Read narrow, for there are many.
OWN = (
    f"FROM own_choice WHERE state = {OUT} AND in_at IS NULL AND ui = '' AND NOT informed AND NOT parental"
    " AND out_at IS NOT NULL"
)
SILENT = {NEVER}
STANDING = (
    "FROM standing WHERE age_band IS NULL AND seq IS NOT NULL AND NOT linked AND NOT granted AND held = ''"
    " AND NOT informed AND NOT parental AND NOT grown AND told IS NULL AND cpni_told IS NULL"
)


def differences(db: sqlite3.Connection, reading: Reading) -> tuple[list[tuple[str, bytes]], int]:
    """(table, key) of whatever differs, and how many keys lived again by the real rules."""
    folded, slow = reading.fold, list(reading.slow())
    doubted = _firsts(db, reading) | _others(db, folded) | _unknown(db, reading)
    found, lived = Different(), 0
    for batch in connected.batches(slow, BATCH):
        found |= of_keys(db, batch, batch)
        lived += len(batch)
    for keys in live_rows.chunks(sorted({key for _, key in doubted}), BATCH):
        found |= of_keys(db, keys, component.of(db, keys))
    return sorted(found), lived


def of_keys(db: sqlite3.Connection, keys: Sequence[bytes], everybody: Iterable[bytes]) -> Different:
    """By the real rules. `everybody`: whom the keys hang together with."""
    everybody = list(everybody)
    happened = happenings.of(db, everybody, FOR_EVER)
    for settle_last in (True, False):  # the second only where the first differs: it is the truth, at twice the time
        with contextlib.closing(replay.live_again(db, everybody, happened, settle_last=settle_last)) as life:
            found = live_rows.differences(db, life, keys)
        if not found:
            return found
        keys = sorted({key for _, key in found})
    return found


def _firsts(db: sqlite3.Connection, reading: Reading) -> Different:
    """Those who said one thing, once: their two kinds of rows stream by, and are counted. And whoever is not known."""
    firsts = reading.fold.firsts
    found, own = _first_choices(db, reading, firsts)
    more, stood = _first_standings(db, reading, firsts)
    if own != sum(len(first[0]) for first in firsts.values()) or stood != len(firsts):
        more |= _fewer(db, firsts)
    return found | more


def _first_choices(db: sqlite3.Connection, reading: Reading, firsts: Mapping[bytes, First]) -> tuple[Different, int]:
    found, count = Different(), 0
    for key, purpose, seq, at in db.execute(f"SELECT key, purpose, seq, out_at {OWN}"):
        if first := firsts.get(key):
            count += 1
            if purpose not in first[0] or first[1] != seq or first[2] != at:
                found.add(("own_choice", key))
        elif key not in reading:
            found.add(("own_choice", key))
    return found, count


def _first_standings(db: sqlite3.Connection, reading: Reading, firsts: Mapping[bytes, First]) -> tuple[Different, int]:
    found, count, wanted = Different(), 0, dict[tuple[str, ...], int]()
    for key, bits, away, seq, changed in db.execute(f"SELECT key, own, travelled, seq, changed {STANDING}"):
        if first := firsts.get(key):
            count += 1
            like = wanted.get(first[0]) or wanted.setdefault(first[0], out_bits(map(Purpose, first[0])))
            if bits != like or away or seq != first[1] or changed <= seq:
                found.add(("standing", key))
        elif key not in reading:
            found.add(("standing", key))
    return found, count


def _fewer(db: sqlite3.Connection, firsts: Mapping[bytes, First]) -> Different:
    """Who lacks a row, once it is known that somebody does."""
    own = Counter(row[0] for row in db.execute(f"SELECT key {OWN}"))
    stood = {row[0] for row in db.execute(f"SELECT key {STANDING}")}
    lacking: Different = {("own_choice", key) for key, first in firsts.items() if own[key] != len(first[0])}
    return lacking | {("standing", key) for key in firsts if key not in stood}


def _others(db: sqlite3.Connection, folded: Fold) -> Different:
    """Who said more, or has names or an account, which have what was said too."""
    found = Different()
    families = {family.members[0].key for family in folded.families.values()}
    lone = (key for key in folded.alone if key not in folded.families)
    for batch in live_rows.chunks([*lone, *families], BATCH):
        wanted = _wanted(folded, batch)
        keys = _of(folded, batch)
        for table in TABLES:
            live, made = live_rows.of(db, table, keys), wanted.get(table, {})
            found |= {(table, key) for key in live.keys() | made.keys() if live.get(key) != made.get(key)}
    return found


def _of(folded: Fold, heads: Iterable[bytes]) -> list[bytes]:
    """The keys of families, or of people who are one by themselves."""
    families = [(folded.families.get(head), head) for head in heads]
    lone = [head for family, head in families if family is None]
    return lone + [key for family, _ in families if family for key in family.keys]


def _wanted(folded: Fold, keys: Iterable[bytes]) -> dict[str, dict[bytes, set[Row]]]:
    """Each table's rows, by key."""
    wanted: dict[str, dict[bytes, set[Row]]] = {}
    for key in keys:
        for table, rows in folded.rows(key):
            wanted.setdefault(table, {}).update({key: kept for key, kept in rows.items() if kept and kept != SILENT})
    return wanted


def _unknown(db: sqlite3.Connection, reading: Reading) -> Different:
    """Further rows of keys of which no entry speaks."""
    return {(table, key) for table, key in _keys(db) if key not in reading}


def _keys(db: sqlite3.Connection) -> Iterator[tuple[str, bytes]]:
    """The keys of all rows but those that `_firsts` reads."""
    other = {"own_choice": OWN, "standing": STANDING}
    for table, columns in TABLES.items():
        plain = other.get(table, " WHERE 0").partition(" WHERE ")[2]
        for (key,) in db.execute(f"SELECT DISTINCT {columns[0]} FROM {table} WHERE NOT ({plain})"):  # noqa: S608 - ours
            yield table, key
