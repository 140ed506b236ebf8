"""Whom a key leads to: the names of one identifier, the accounts that have it, and what those have. Reads only."""

from collections.abc import Iterable

from gateway.ledger.writer import Transaction

Reach = dict[bytes, set[bytes]]  # via: keys


def canonicals(tx: Transaction, key: bytes) -> set[bytes]:
    """The identifiers that a key is a name of; itself where it is none's."""
    rows = tx.db.execute("SELECT canonical FROM name WHERE alias = ?", (key,)).fetchall()
    return {key} | {row[0] for row in rows}


def group(tx: Transaction, key: bytes) -> set[bytes]:
    """All names of the identifiers that a key is a name of."""
    keys = canonicals(tx, key)
    for canonical in list(keys):
        keys |= {row[0] for row in tx.db.execute("SELECT alias FROM name WHERE canonical = ?", (canonical,))}
    return keys


def looser(tx: Transaction, key: bytes, seq: int) -> set[bytes]:
    """The looser forms of an identifier that were known when an entry was written."""
    rows = tx.db.execute("SELECT alias FROM looser_name WHERE canonical = ? AND seq <= ?", (key, seq))
    return {row[0] for row in rows}


def with_looser(tx: Transaction, keys: Iterable[bytes]) -> set[bytes]:
    """The keys and the looser forms of them that are known: a deny reaches these too and goes no further."""
    found = set(keys)
    for key in list(found):
        found |= looser(tx, key, tx.size)
    return found


def is_account(tx: Transaction, key: bytes) -> bool:
    """Whether a key is an account's that has or had something."""
    return tx.db.execute("SELECT 1 FROM link WHERE account = ? LIMIT 1", (key,)).fetchone() is not None


def accounts_of(tx: Transaction, key: bytes, now: int) -> set[bytes]:
    """The accounts that an identifier's no goes to: those that have it now, by whichever of its names they were told,
    but for those that only an app's word ties it to.
    """
    return _holders(tx, key, now, "AND NOT claimed")


def holders_of(tx: Transaction, key: bytes, now: int) -> set[bytes]:
    """The accounts whose no an identifier has now: an app's word is enough for that."""
    return _holders(tx, key, now)


def _holders(tx: Transaction, key: bytes, now: int, which: str = "") -> set[bytes]:
    found: set[bytes] = set()
    for name in group(tx, key):
        rows = tx.db.execute(
            "SELECT account FROM link WHERE identifier = ? AND start <= ? AND (until IS NULL OR until > ?)"  # noqa: S608
            f" {which}",
            (name, now, now),
        )
        found |= {row[0] for row in rows}
    return found


def targets_of(tx: Transaction, account: bytes, now: int) -> set[bytes]:
    """An account and every name of every identifier that its no goes to now; an app's word is enough for that."""
    return _things(tx, account, now)


def whole_of(tx: Transaction, account: bytes, now: int) -> set[bytes]:
    """The same without what only an app's word ties to it."""
    return _things(tx, account, now, "AND NOT claimed")


def _things(tx: Transaction, account: bytes, now: int, which: str = "") -> set[bytes]:
    rows = tx.db.execute(
        "SELECT identifier FROM link WHERE account = ? AND start <= ? AND (until IS NULL OR until > ?)"  # noqa: S608
        f" {which}",
        (account, now, now),
    ).fetchall()
    found = {account}
    for (identifier,) in rows:
        found |= group(tx, identifier)
    return found


def reach(tx: Transaction, key: bytes, now: int, *, account: bool) -> Reach:
    """Whom a deny on `key` reaches now, by what it goes through. The key itself is not in it."""
    own = group(tx, key)
    found: Reach = {key: with_looser(tx, own) - {key}}
    for via in {key} if account else accounts_of(tx, key, now):
        found.setdefault(via, set()).update(with_looser(tx, targets_of(tx, via, now) - own))
    return found


def released(tx: Transaction, key: bytes) -> int:
    """The entry from which on a name's choices are its present holder's (R5)."""
    row = tx.db.execute("SELECT seq FROM release WHERE identifier = ?", (key,)).fetchone()
    return row[0] if row else -1
