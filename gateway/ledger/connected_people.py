"""Everybody whose entries a standing may rest on: the names of its keys, the other spellings of a mailbox, the accounts
that ever had them, all that those ever had, and the names and spellings of that. More is harmless, less is not. Reads
only, and never the standings.
"""

import sqlite3
from collections.abc import Iterable, Iterator

EDGES = (
    "SELECT alias, canonical FROM name",
    "SELECT alias, canonical FROM looser_name",
    "SELECT spelling, mailbox FROM mailbox_name WHERE spelling <> mailbox",
    "SELECT identifier, coalesce(account, identifier) FROM link_event",
)


def of(db: sqlite3.Connection, keys: Iterable[bytes]) -> set[bytes]:
    """The keys and everybody connected to them, at any time."""
    keys = set(keys)
    owners = {row for key in keys for row in _column(db, "SELECT canonical FROM looser_name WHERE alias = ?", key)}
    found = _with_spellings(db, _with_names(db, keys | owners))
    accounts = {row for key in found for row in _column(db, ACCOUNTS, key)}
    accounts |= {key for key in found if _column(db, THINGS, key)}
    things = {row for account in accounts for row in _column(db, THINGS, account)}
    return _with_spellings(db, _with_names(db, found | accounts | things))


SPELT = (
    "SELECT spelling FROM mailbox_name WHERE mailbox = ?1 UNION SELECT mailbox FROM mailbox_name WHERE spelling = ?1"
)


def _with_spellings(db: sqlite3.Connection, keys: set[bytes]) -> set[bytes]:
    """Of a mailbox every spelling that was met."""
    boxes = keys | {row for key in keys for row in _column(db, SPELT, key)}
    return _with_names(db, boxes | {row for key in boxes for row in _column(db, SPELT, key)})


ACCOUNTS = "SELECT DISTINCT account FROM link_event WHERE identifier = ? AND account IS NOT NULL"
THINGS = "SELECT DISTINCT identifier FROM link_event WHERE account = ?"


def _with_names(db: sqlite3.Connection, keys: Iterable[bytes]) -> set[bytes]:
    """Names of names too: one digest may be a name of two identifiers."""
    found, waiting = set[bytes](), list(keys)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += _column(db, "SELECT canonical FROM name WHERE alias = ?", key)
            waiting += _column(db, "SELECT alias FROM name WHERE canonical = ?", key)
    return found


def _column(db: sqlite3.Connection, sql: str, key: bytes) -> list[bytes]:
    return [row[0] for row in db.execute(sql, (key,))]


def groups(db: sqlite3.Connection) -> Iterator[list[bytes]]:
    """All who hang together with somebody, over the whole ledger."""
    parent: dict[bytes, bytes] = {}
    for sql in EDGES:
        for one, other in db.execute(sql):
            parent[_root(parent, one)] = _root(parent, other)
    found: dict[bytes, list[bytes]] = {}
    for key in parent:
        root = _root(parent, key)
        if root in found:
            found[root].append(key)
        else:
            found[root] = [key]
    yield from found.values()


def _root(parent: dict[bytes, bytes], key: bytes) -> bytes:
    """Half the way is left for the next time."""
    above = parent.setdefault(key, key)
    while above != key:
        parent[key] = key = parent[above]
        above = parent[key]
    return above
