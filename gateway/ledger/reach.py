"""Whom a key leads to, by what the ledger was told: the names of one identifier, the spellings of one mailbox, whoever
is or was connected with it, at any time; and what of it belongs to one person. For whoever folds some people from the
log, or forgets one. Reads only. What reaches whom, by links and names as they stand, is the fold's (`fold.kin`).
"""

import sqlite3
from collections.abc import Iterable, Mapping
from itertools import chain, groupby
from operator import itemgetter

from gateway.ledger.writer import Transaction

MAILBOX = (
    "SELECT mailbox FROM mailbox_name WHERE spelling = ?1 UNION SELECT mailbox FROM mailbox_name WHERE mailbox = ?1"
)
SPELT = "SELECT spelling FROM mailbox_name WHERE mailbox = ?"


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


def spellings(tx: Transaction, key: bytes) -> set[bytes]:
    """The other spellings of the mailbox that a key is a name of, each by its own key; the plainest of them, by which
    the mailbox goes, is always there. Nobody for what is no address of a host that takes several for one mailbox.
    """
    own = canonicals(tx, key)
    found: set[bytes] = set()
    for each in own:
        for (box,) in tx.db.execute(MAILBOX, (each,)).fetchall():
            found |= {box} | {row[0] for row in tx.db.execute(SPELT, (box,))}
    return found - own


def mailbox(tx: Transaction, key: bytes) -> set[bytes]:
    """Every exact name of the other spellings of a key's mailbox."""
    return {name for other in spellings(tx, key) for name in group(tx, other)}


Belongings = Mapping[bytes, int]  # key: the first entry that is its present holder's


def persons_behind(tx: Transaction, own: Belongings) -> set[bytes]:
    """Whose keys seal the entries of these."""
    found: set[bytes] = set()
    for key, since in own.items():
        rows = tx.db.execute("SELECT person FROM detail WHERE key = ? AND seq >= ?", (key, since))
        found |= {row[0] for row in rows}
    return found


EDGES = (
    "SELECT canonical, alias FROM name ORDER BY turn",
    "SELECT canonical, alias FROM looser_name",
    "SELECT mailbox, spelling FROM mailbox_name WHERE spelling <> mailbox",
    "SELECT account, identifier FROM link_event",
)


def connected_people(db: sqlite3.Connection, keys: Iterable[bytes]) -> set[bytes]:
    """The keys and everybody connected to them, at any time."""
    keys = set(keys)
    owners = {row for key in keys for row in _column(db, "SELECT canonical FROM looser_name WHERE alias = ?", key)}
    found = _with_spellings(db, _with_names(db, keys | owners))
    accounts = {row for key in found for row in _column(db, ACCOUNTS, key)}
    accounts |= {key for key in found if _column(db, THINGS, key)}
    things = {row for account in accounts for row in _column(db, THINGS, account)}
    return _with_spellings(db, _with_names(db, found | accounts | things))


SPELT_TOGETHER = (
    "SELECT spelling FROM mailbox_name WHERE mailbox = ?1 UNION SELECT mailbox FROM mailbox_name WHERE spelling = ?1"
)


def _with_spellings(db: sqlite3.Connection, keys: set[bytes]) -> set[bytes]:
    """Of a mailbox every spelling that was met."""
    boxes = keys | {row for key in keys for row in _column(db, SPELT_TOGETHER, key)}
    return _with_names(db, boxes | {row for key in boxes for row in _column(db, SPELT_TOGETHER, key)})


ACCOUNTS = "SELECT DISTINCT account FROM link_event WHERE identifier = ?"
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


def connected_groups(db: sqlite3.Connection) -> Iterable[list[bytes]]:
    """All who hang together with somebody, over the whole ledger."""
    found: dict[bytes, list[bytes]] = {}
    for one, edges in groupby(chain.from_iterable(map(db.execute, EDGES)), itemgetter(0)):
        ones = found.get(one) or found.setdefault(one, [one])
        for _, other in edges:
            others = found.get(other)
            if others is None:
                ones.append(other)
                found[other] = ones
            elif others is not ones:
                more, ones = (ones, others) if len(ones) < len(others) else (others, ones)
                ones += more
                found.update(dict.fromkeys(more, ones))
    return {id(keys): keys for keys in found.values()}.values()
