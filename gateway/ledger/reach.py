"""Whom a key leads to: the names of one identifier, the spellings of one mailbox, the accounts that have it, and what
those have; what of it belongs to one person; and everybody whose entries a standing may rest on. Reads only.

For a deny a link holds from its entry on, whatever date it names, until its end is on record; for what lifts one it is
over at its date as well. Dates come from clocks, and a clock may be wrong: in doubt a deny crosses and a lift does not.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from itertools import chain, groupby
from operator import itemgetter

from gateway.choice.standing import IN
from gateway.ledger.releases import released_since
from gateway.ledger.writer import Transaction
from gateway.terms import Purpose

Reach = dict[bytes, set[bytes]]  # via: keys
SKEW = 86_400_000  # milliseconds that a clock may be wrong: for denies a link outlives its date by as much
MAILBOX = (
    "SELECT mailbox FROM mailbox_name WHERE spelling = ?1 UNION SELECT mailbox FROM mailbox_name WHERE mailbox = ?1"
)
SPELT = "SELECT spelling FROM mailbox_name WHERE mailbox = ?"
WITHIN = "ended IS NULL AND (until IS NULL OR until > ?)"
# The end of a link has a place among the entries where it is on record, else only its date.
LEFT = f"""
SELECT identifier FROM link l WHERE account = ?1 AND NOT ({WITHIN.replace("?", "?2")}) AND EXISTS (
  SELECT 1 FROM travelled_choice t WHERE t.key = l.identifier AND t.purpose = ?3 AND t.via = ?1
  AND (l.ended IS NULL OR t.seq < l.ended))
AND NOT EXISTS (
  SELECT 1 FROM own_choice c WHERE c.key = l.identifier AND c.purpose = ?3 AND c.state = ?4
  AND iif(l.ended IS NULL, c.in_at > l.until, c.seq >= l.ended))
"""  # noqa: S608 - ours


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


def own_names(tx: Transaction, key: bytes) -> set[bytes]:
    """The exact names of one identifier, all that a yes to it may touch. A digest that is a name of two (one uuid is an
    ad id of two kinds) speaks for itself alone.
    """
    return {key} if len(canonicals(tx, key)) > 1 + 1 else group(tx, key)


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


def with_mailbox(tx: Transaction, key: bytes) -> set[bytes]:
    """A key's names and those of the other spellings of its mailbox: all that have its no by themselves."""
    return group(tx, key) | mailbox(tx, key)


def is_account(tx: Transaction, key: bytes) -> bool:
    """Whether a key is an account's that has or had something."""
    return tx.db.execute("SELECT 1 FROM link WHERE account = ? LIMIT 1", (key,)).fetchone() is not None


def accounts_of(tx: Transaction, key: bytes, now: int, *, lifts: bool = False) -> set[bytes]:
    """The accounts that an identifier's no goes to: those that have it now, by whichever of its names they were told,
    but for those that only an app's word ties it to. `lifts`: for what lifts a deny.
    """
    return _holders(tx, key, _since(now, lifts=lifts), " AND NOT claimed")


def holders_of(tx: Transaction, key: bytes, now: int, *, lifts: bool = False) -> set[bytes]:
    """The accounts whose no an identifier has now: an app's word is enough for that."""
    return _holders(tx, key, _since(now, lifts=lifts))


def _holders(tx: Transaction, key: bytes, since: int, which: str = "") -> set[bytes]:
    found: set[bytes] = set()
    for name in group(tx, key):
        rows = tx.db.execute(
            f"SELECT account FROM link WHERE identifier = ? AND {WITHIN}{which}",  # noqa: S608 - ours
            (name, since),
        )
        found |= {row[0] for row in rows}
    return found


def targets_of(tx: Transaction, account: bytes, now: int, *, lifts: bool = False) -> set[bytes]:
    """An account and every name of every identifier that its no goes to now; an app's word is enough for that. `lifts`
    as in `accounts_of`.
    """
    return _things(tx, account, _since(now, lifts=lifts))


def whole_of(tx: Transaction, account: bytes, now: int, *, lifts: bool = False) -> set[bytes]:
    """The same without what only an app's word ties to it."""
    return _things(tx, account, _since(now, lifts=lifts), " AND NOT claimed")


def told_of(tx: Transaction, account: bytes, now: int) -> set[bytes]:
    """What an account was told to have, by the very names."""
    return _told(tx, account, _since(now, lifts=False))


def _things(tx: Transaction, account: bytes, since: int, which: str = "") -> set[bytes]:
    return {account}.union(*(group(tx, identifier) for identifier in _told(tx, account, since, which)))


def _told(tx: Transaction, account: bytes, since: int, which: str = "") -> set[bytes]:
    rows = tx.db.execute(
        f"SELECT identifier FROM link WHERE account = ? AND {WITHIN}{which}",  # noqa: S608 - ours
        (account, since),
    )
    return {row[0] for row in rows}


def _since(now: int, *, lifts: bool) -> int:
    """Until when a link's date must not have come."""
    return now if lifts else now - SKEW


def had(tx: Transaction, key: bytes, now: int) -> set[bytes]:
    """The accounts that had one of a key's own names and have it no more: what came through them is its own by now."""
    found: set[bytes] = set()
    for name in own_names(tx, key):
        rows = tx.db.execute(
            f"SELECT account FROM link WHERE identifier = ? AND NOT ({WITHIN})",  # noqa: S608 - ours
            (name, now),
        )
        found |= {row[0] for row in rows}
    return found


def left(tx: Transaction, account: bytes, purpose: Purpose, now: int) -> set[bytes]:
    """The identifiers that an account had and has no more, which keep a no from it and have not said yes since."""
    return {row[0] for row in tx.db.execute(LEFT, (account, now, purpose, IN))}


def carriers(tx: Transaction, account: bytes) -> dict[bytes, set[bytes]]:
    """Every key that an account reaches or reached, looser forms too, with the identifiers through which it does."""
    found: dict[bytes, set[bytes]] = {}
    for (identifier,) in tx.db.execute("SELECT identifier FROM link WHERE account = ?", (account,)).fetchall():
        for key in with_looser(tx, group(tx, identifier)):
            found.setdefault(key, set()).add(identifier)
    return found


def reach(tx: Transaction, key: bytes, now: int, *, account: bool) -> Reach:
    """Whom a deny on `key` reaches, by what it goes through. The key itself is not in it. A mailbox is all of its
    spellings: its no reaches each of them and every account that has one.
    """
    own = group(tx, key)
    others = set() if account else mailbox(tx, key)
    found: Reach = {key: with_looser(tx, own | others) - {key}}
    roads = {key} if account else accounts_of(tx, key, now)
    for other in () if account else spellings(tx, key):
        roads |= accounts_of(tx, other, now)
    for via in roads:
        targets = targets_of(tx, via, now)
        found.setdefault(via, set()).update(with_looser(tx, targets - own - others))
    return found


def released(tx: Transaction, key: bytes) -> int:
    """The entry from which on a name's choices are its present holder's (R5)."""
    row = tx.db.execute("SELECT seq FROM release WHERE identifier = ?", (key,)).fetchone()
    return row[0] if row else -1


Belongings = Mapping[bytes, int]  # key: the first entry that is its present holder's


def belongings(tx: Transaction, keys: Iterable[bytes]) -> Belongings:
    """These keys with the other names of their identifiers; a digest that another one has too stays for that one."""
    keys = set(keys)
    names = {name for key in keys for name in group(tx, key)}
    names -= {name for name in names if name not in keys and canonicals(tx, name) - names}
    return {name: released_since(tx.db, name) for name in sorted(names)}


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
    "SELECT coalesce(account, identifier), identifier FROM link_event",
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
