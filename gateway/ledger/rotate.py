"""A new pepper: every stored key is wrapped once more, in one transaction, without any raw value (R19). And the entries
that tell of new and retired keys of every kind.
"""

import os
from collections.abc import Callable
from datetime import datetime

from gateway.ledger import entry
from gateway.ledger.subjects import milliseconds
from gateway.ledger.writer import Transaction

REPLACED, RETIRED = "replaced", "retired"

KEY_COLUMNS = (
    ("detail", "key"),
    ("act_used", "key"),
    ("link_event", "account"),
    ("link_event", "identifier"),
    ("name", "alias"),
    ("name", "canonical"),
    ("looser_name", "alias"),
    ("looser_name", "canonical"),
    ("mailbox_name", "spelling"),
    ("mailbox_name", "mailbox"),
    ("disclosure", "key"),
    ("disclosed", "key"),
    ("erased", "identifier"),
    ("kept_deny", "key"),
    ("kept_deny", "origin"),
    ("kept_deny", "via"),
    ("kept_end", "key"),
    ("kept_revoked", "key"),
    ("kept_age", "key"),
    ("kept_told", "key"),
    ("suppression", "key"),
    ("held", "named"),
    ("held_key", "key"),
    ("informed", "named"),
    ("account_name", "key"),
    ("act_claim", "key"),
)
# Whoever something was said of, or of whom another name was learnt.
KNOWN = """
SELECT count(*) FROM (
  SELECT key FROM detail UNION SELECT alias FROM name UNION SELECT alias FROM looser_name UNION
  SELECT account FROM link_event UNION SELECT identifier FROM link_event
)
"""


def note(tx: Transaction, kind: str, step: str, at: datetime, vkey: str = "") -> int:
    """The entry about a key; of a signing key with its verifier key, so that the older one vouches for it."""
    seq = tx.append(entry.key_event(event=os.urandom(16), kind=kind, step=step, vkey=vkey, at=at))
    tx.db.execute("INSERT INTO key_event VALUES (?, ?, ?, ?)", (seq, kind, step, milliseconds(at)))
    return seq


def rewrap(tx: Transaction, wrap: Callable[[bytes], bytes], peppers: int) -> int:
    """Rewrites every key column and says in the head how many peppers hold now. Returns of how many keys something may
    stand.
    """
    tx.db.create_function("wrap", 1, wrap, deterministic=True)
    for table, column in KEY_COLUMNS:
        tx.db.execute(f"UPDATE {table} SET {column} = wrap({column})")  # noqa: S608 - names are ours
    tx.db.execute("UPDATE head SET peppers = ?", (peppers,))
    tx.db.execute("INSERT INTO record (told, of) VALUES ('gone', 0)")  # no state goes on behind it
    tx.stands = tx.onward = None  # what stood before knows nobody by these
    return int(tx.db.execute(KNOWN).fetchone()[0])
