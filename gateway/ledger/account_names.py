"""What accounts are called at the operator, so that it can be said who must be told of something new (R15).

A key cannot be turned back, and the operator's sender needs a name. Sealed with a key of its own in the vault; an
account's id is the operator's own word and reaches nobody but the operator.
"""

from collections.abc import Iterable

from gateway.ledger.writer import Transaction

LABEL = b"account/1"


def keep(tx: Transaction, key: bytes, name: str) -> None:
    """Once; written with whatever is first known of the account."""
    if not name or tx.db.execute("SELECT 1 FROM account_name WHERE key = ?", (key,)).fetchone():
        return
    person = tx.persons.new_person()
    sealed = person.seal(LABEL, name.encode())
    tx.db.execute("INSERT INTO account_name VALUES (?, ?, ?)", (key, person.person, sealed))


def after(tx: Transaction, key: bytes, most: int) -> list[tuple[bytes, bytes, bytes]]:
    """(key, person, sealed) of the accounts behind a key, in the order of keys."""
    sql = "SELECT key, person, sealed FROM account_name WHERE key > ? ORDER BY key LIMIT ?"
    return tx.db.execute(sql, (key, most)).fetchall()


def open_(tx: Transaction, person: bytes, sealed: bytes) -> str | None:
    """None: its key is gone."""
    name = tx.persons.keys(person).open(LABEL, sealed)
    return name.decode() if name is not None else None


def drop(tx: Transaction, keys: Iterable[bytes]) -> set[bytes]:
    """Forgets what these are called. Returns whose keys of the vault are not needed any more."""
    sql = "DELETE FROM account_name WHERE key = ? RETURNING person"
    return {row[0] for key in keys for row in tx.db.execute(sql, (key,)).fetchall()}
