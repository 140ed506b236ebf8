"""A stop-gap for as long as the ledger still keeps tables of what stands beside its log: after an unlink those tables
are made again from the log for everybody near, by their own rules. It goes with them, and nothing else rests on it.
"""

import contextlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator

from gateway.fold.kin import family, mailbox_names, with_looser
from gateway.fold.state import NO_RECORD
from gateway.ledger import replay, standing_rows, unlinked_remains
from gateway.ledger.folded_people import FoldedPeople
from gateway.ledger.happenings import rows_of
from gateway.ledger.people_near import NoRow
from gateway.ledger.reach import Belongings, group, looser
from gateway.ledger.standing_rows import FOR_EVER, ROW_TABLES
from gateway.ledger.writer import Transaction
from gateway.terms import GrantKind

GRANTS = f"""
SELECT key, recipient, purpose, data_class, kind FROM grant_choice
WHERE key IN ({{marks}}) AND kind <> '{GrantKind.DIRECTED}'
"""  # noqa: S608 - the word is ours; an act is ended by no no
LOOKED_LIKE = "SELECT 1 FROM looser_name WHERE alias = ?"


def stand_by_tables(
    tx: Transaction, own: Belongings, near: Collection[bytes], noes: Iterable[NoRow], entry: tuple[int, int]
) -> None:
    """`noes`: each that stays. The tables need a row for each key that an account passes one on to. `entry`: the
    erasure's first, and when it was.
    """
    noes = [*noes]
    rows = {*noes, *_passed_on(tx, [row for row in noes if row.via == row.key])}
    tx.db.executemany(
        "INSERT OR IGNORE INTO kept_deny VALUES (?, ?, ?, ?, ?, ?)",
        [(*entry, *row) for row in sorted(rows) if row.key not in own],
    )
    for table, columns in (*ROW_TABLES.items(), ("link", ROW_TABLES["link"][1:])):
        tx.db.executemany(f"DELETE FROM {table} WHERE {columns[0]} = ?", [(key,) for key in own])  # noqa: S608 - ours
    earlier = {name for key, since in own.items() if since for name in (*group(tx, key), *looser(tx, key, tx.size))}
    earlier |= {key for key in own if tx.db.execute(LOOKED_LIKE, (key,)).fetchone()}
    keys = sorted(earlier | {*near})
    with contextlib.closing(replay.relived(tx.db, keys, FOR_EVER)) as life:
        _revoke(tx, life, near, entry)
        standing_rows.replace_rows(tx.db, life, keys, tx.size)
        for table in ("link", "release"):
            columns = ROW_TABLES[table]
            tx.db.executemany(f"DELETE FROM {table} WHERE {columns[0]} = ?", [(key,) for key in keys])  # noqa: S608 - ours
            into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({','.join('?' * len(columns))})"  # noqa: S608
            found = standing_rows.rows_of_keys(life, table, keys)
            tx.db.executemany(into, [(key, *row) for key, its in found.items() for row in its])


def _revoke(tx: Transaction, life: sqlite3.Connection, keys: Collection[bytes], entry: tuple[int, int]) -> None:
    """What a no of these had ended: by the tables' rules none that stays ends anything."""
    made, live = ({*rows_of(db, GRANTS, keys)} for db in (life, tx.db))
    again = Transaction(life, replay.NOBODY)
    again.size = tx.size
    for grant in sorted(made - live):
        tx.db.execute("INSERT OR IGNORE INTO kept_revoked VALUES (?, ?, ?, ?, ?, ?, ?)", (*entry, *grant))
        unlinked_remains.revoke_again(again, grant, entry[1])


def _passed_on(tx: Transaction, rows: Collection[NoRow]) -> Iterator[NoRow]:
    """What accounts keep, for all that they have."""
    slate = FoldedPeople(tx.db, {row.key for row in rows}).slate()
    for row in rows:
        apart = family(slate, row.origin) | mailbox_names(slate, row.origin)
        for member in slate.row(row.key).members:
            edge = slate.edge(row.key, member)
            if edge.begun != NO_RECORD and edge.lives():
                yield from (row._replace(key=key) for key in with_looser(slate, family(slate, member)) - apart)
