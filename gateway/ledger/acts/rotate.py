"""A new pepper: every stored key is wrapped once more, in one transaction, without any raw value (R19). And the entries
that tell of new and retired keys of every kind.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime

from gateway import disk
from gateway.fold import record as told
from gateway.fold.record import Record
from gateway.ledger.log_records import rewrite_all_sides
from gateway.ledger.mentions import count_mentioned
from gateway.ledger.proof import entry
from gateway.ledger.subjects import milliseconds
from gateway.ledger.transaction import Transaction

REPLACED, RETIRED = "replaced", "retired"

KEY_COLUMNS = (
    ("detail", "key"),
    ("link_event", "account"),
    ("link_event", "identifier"),
    ("disclosure", "key"),
    ("disclosed", "key"),
    ("erased", "identifier"),
    ("suppression", "key"),
    ("held", "named"),
    ("held_key", "key"),
    ("informed", "named"),
    ("account_name", "key"),
    ("act_claim", "key"),
    ("deletion_row", "key"),
    ("deletion_abroad", "key"),
    ("deletion_abroad", "abroad"),
)


KEYED = ("side", "mention_piece", *sorted({table for table, _ in KEY_COLUMNS}))  # tables in which keys stand
PART = 50_000  # keys that a server is told at once


def note_key(tx: Transaction, kind: str, step: str, at: datetime, vkey: str = "", lasting: str = "") -> int:
    """The entry about a key; of a signing key with its verifier keys, so that the older ones vouch for them."""
    seq = tx.append(entry.key_event(event=os.urandom(16), kind=kind, step=step, vkey=vkey, at=at, lasting=lasting))
    tx.db.execute("INSERT INTO key_event VALUES (?, ?, ?, ?)", (seq, kind, step, milliseconds(at)))
    return seq


def rewrap(tx: Transaction, wrap: Callable[[bytes], bytes], peppers: int, mark: int) -> int:
    """Rewrites every key column and says how many peppers hold now, and which (`mark`, as `Secrets.marks` has it).
    Returns of how many keys something may stand.
    """
    (_rewrap_in_file if disk.is_file(tx.db) else _rewrap_on_server)(tx.db, wrap)
    rewrite_all_sides(tx.db, lambda _, record: with_keys(record, wrap), peppers)
    tx.db.execute("UPDATE head SET peppers = ?", (peppers,))
    tx.db.execute(f"PRAGMA application_id = {mark:d}")
    tx.tell_forgotten(None)
    tx.stands = tx.onward = None  # what stood before knows nobody by these
    return count_mentioned(tx.db)


def _rewrap_in_file(db: sqlite3.Connection, wrap: Callable[[bytes], bytes]) -> None:
    db.create_function("wrap", 1, wrap, deterministic=True)
    for table, column in KEY_COLUMNS:
        db.execute(f"UPDATE {table} SET {column} = wrap({column})")  # noqa: S608 - names are ours


def _rewrap_on_server(db: sqlite3.Connection, wrap: Callable[[bytes], bytes]) -> None:
    """No server has our peppers: it is told what each key becomes, for as long as the transaction lasts."""
    db.execute("CREATE TEMP TABLE rewrapped (before BLOB PRIMARY KEY, becomes BLOB NOT NULL) STRICT")
    for table, column in KEY_COLUMNS:
        for part in _parts(db, table, column):
            rows = [(key, wrap(key)) for key in part]
            db.executemany("INSERT OR IGNORE INTO temp.rewrapped VALUES (?, ?)", rows)
        becomes = f"(SELECT r.becomes FROM temp.rewrapped r WHERE r.before = {table}.{column})"  # noqa: S608 - ours
        db.execute(f"UPDATE {table} SET {column} = {becomes} WHERE {column} IS NOT NULL")  # noqa: S608 - ours
    db.execute("DROP TABLE temp.rewrapped")


def _parts(db: sqlite3.Connection, table: str, column: str) -> Iterator[list[bytes]]:
    """The keys of a column in their order: there may be more than a process has room for."""
    sql = f"SELECT DISTINCT {column} FROM {table} WHERE {column} %s ? ORDER BY {column} LIMIT {PART}"  # noqa: S608 - ours
    part = [key for (key,) in db.execute(sql % ">=", (b"",))]
    while part:
        yield part
        part = [key for (key,) in db.execute(sql % ">", (part[-1],))]


def with_keys(record: Record, wrap: Callable[[bytes], bytes]) -> Record:
    """With every key another one, as a new pepper makes it."""
    said = record.said
    match said:
        case told.NamesLearnt():
            same, looser = (tuple(map(wrap, forms)) for forms in (said.same, said.looser))
            said = told.NamesLearnt(same, looser, None if said.mailbox is None else wrap(said.mailbox))
        case told.LinkSaid():
            said = said._replace(account=wrap(said.account))
        case told.KeptNo():
            said = said._replace(origin=wrap(said.origin), via=wrap(said.via))
    return record._replace(key=wrap(record.key), said=said) if record.key else record
