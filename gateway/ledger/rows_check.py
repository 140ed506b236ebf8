"""Live rows against those that the entries give: all at once for simple people (`simple_rows`), key by key for whoever
said more, by a replay for the rest.

A difference that the fold finds is replayed before it counts. Reads only.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Sequence

from gateway.ledger import happenings, live_rows, reach, replay, verify_connections, verify_simple_rows
from gateway.ledger.fold import Fold
from gateway.ledger.live_rows import NEVER, TABLES, Row
from gateway.ledger.reading import LedgerReading
from gateway.ledger.verify_connections import Family, Member

BATCH = 5_000  # keys that are replayed in one database
FOR_EVER = 2**62  # milliseconds
Different = set[tuple[str, bytes]]
SILENT = {NEVER}


def differences(db: sqlite3.Connection, reading: LedgerReading) -> tuple[list[tuple[str, bytes]], int]:
    """(table, key) of whatever differs, and how many keys were replayed."""
    found, lived = Different(), 0
    for batch in verify_connections.batches(reading.slow(), BATCH):
        found |= of_keys(db, batch, batch)
        lived += len(batch)
    for keys in live_rows.chunks(sorted({key for _, key in doubted(db, reading)}), BATCH):
        found |= of_keys(db, keys, reach.connected_people(db, keys))
    return sorted(found), lived


def doubted(db: sqlite3.Connection, reading: LedgerReading) -> Different:
    """(table, key) of whatever the fold finds different, or did not expect."""
    simple, others = reading.fold.split()
    early = {("standing", key) for (key,) in db.execute("SELECT key FROM standing WHERE changed <= seq")}
    return verify_simple_rows.doubts(db, reading, simple) | _others(db, reading.fold, others) | early


def of_keys(db: sqlite3.Connection, keys: Sequence[bytes], everybody: Iterable[bytes]) -> Different:
    """By a replay. `everybody`: whom the keys are connected with."""
    everybody = list(everybody)
    happened = happenings.of(db, everybody, FOR_EVER)
    for settle_last in (True, False):  # the second only where the first differs: it is the truth, at twice the time
        with contextlib.closing(replay.live_again(db, everybody, happened, settle_last=settle_last)) as life:
            found = live_rows.differences(db, life, keys)
        if not found:
            return found
        keys = sorted({key for _, key in found})
    return found


def _others(db: sqlite3.Connection, folded: Fold, families: Iterable[Family]) -> Different:
    """Who said more, and the families of such people."""
    found = Different()
    lone = [Family(None, (Member(key),)) for key in folded.alone if key not in folded.families]
    left = [*lone, *families]
    for batch in (left[at : at + BATCH] for at in range(0, len(left), BATCH)):
        wanted = _wanted(folded, [family.members[0].key for family in batch])
        keys = [key for family in batch for key in family.keys]
        for table in TABLES:
            live, made = live_rows.of(db, table, keys), wanted.get(table, {})
            found |= {(table, key) for key in live.keys() | made.keys() if live.get(key) != made.get(key)}
    return found


def _wanted(folded: Fold, keys: Iterable[bytes]) -> dict[str, dict[bytes, set[Row]]]:
    """Each table's rows, by key."""
    wanted: dict[str, dict[bytes, set[Row]]] = {}
    for key in keys:
        for table, rows in folded.rows(key):
            wanted.setdefault(table, {}).update({key: kept for key, kept in rows.items() if kept and kept != SILENT})
    return wanted
