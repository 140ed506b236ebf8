"""What belongs to the person behind some identifiers: keys with the entry from which on they are theirs, entries, and
the persons of the vault. What was there before a number was given back is another person's and never in it (R5).
Reads only.
"""

from collections.abc import Iterable, Mapping

from gateway.ledger.reach import canonicals, group, released
from gateway.ledger.writer import Transaction

Own = Mapping[bytes, int]  # key: the first entry that is its present holder's


def of(tx: Transaction, keys: Iterable[bytes]) -> Own:
    """These keys with the other names of their identifiers; a digest that another one has too stays for that one."""
    keys = set(keys)
    names = {name for key in keys for name in group(tx, key)}
    names -= {name for name in names if name not in keys and canonicals(tx, name) - names}
    return {name: max(released(tx, name), 0) for name in sorted(names)}


def persons(tx: Transaction, own: Own) -> set[bytes]:
    """Whose keys seal the entries of these."""
    found: set[bytes] = set()
    for key, since in own.items():
        rows = tx.db.execute("SELECT DISTINCT person FROM detail WHERE key = ? AND seq >= ?", (key, since))
        found |= {row[0] for row in rows}
        held = tx.db.execute("SELECT person FROM standing WHERE key = ? AND person IS NOT NULL", (key,))
        found |= {row[0] for row in held}
    return found
