"""What recipients hold from us: each identifier that left, as the recipient keys it, and under whose keys it left.

Written with the intention to send, since from then on it may have arrived, and taken back for what did not leave. An
identifier is sealed with a key of its own in the vault; it is read for nothing but to tell its recipient (R18), and
goes with the disclosures it came from. Never sends, and never decides who is told.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gateway.ledger.acts.releases import since_when
from gateway.ledger.schema import rows_of
from gateway.ledger.transaction import Transaction
from gateway.terms import DAY_MS

LABEL = b"held/1"
UNDER = (
    "SELECT h.id, h.recipient, h.named, h.person, h.sealed, k.purposes, k.classes, h.batch, k.batch"
    " FROM held_key k JOIN held h ON h.id = k.held WHERE k.key = ?"
)
KNOWN = "SELECT held, key, purposes, classes, batch, at FROM held_key WHERE held IN ({marks})"
UNDER_KEY = (
    "INSERT INTO held_key VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6) ON CONFLICT (key, held) DO UPDATE SET purposes = ?3,"
    " classes = ?4, batch = ?5, at = ?6"
)
UNKNOWN = ["", "", 0, 0]
NUMBERS = "SELECT named, id FROM held WHERE named IN ({marks}) AND recipient = ?"
ORPHAN = "NOT EXISTS (SELECT 1 FROM held_key WHERE held = held.id)"


@dataclass(frozen=True, slots=True)
class Left:
    """One identifier that leaves with a row. `named`: its own key; `keys`: those under which it may be asked about,
    its own and those of everybody whom the row names. `kind` and `value` as the recipient gets them; `further`: as what
    else it may have it, by kind.
    """

    kind: str
    value: str = field(repr=False)
    named: bytes = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    further: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Held:
    """What a recipient holds under a key. `batch`: the entry of the last disclosure."""

    id: int
    recipient: str
    named: bytes = field(repr=False)
    person: bytes = field(repr=False)
    sealed: bytes = field(repr=False)
    purposes: frozenset[str]
    classes: frozenset[str]
    batch: int


def note_held(
    tx: Transaction,
    recipient: str,
    left: Iterable[Left],
    purposes: Iterable[str],
    classes: Iterable[str],
    batch: int,
    now: int,
) -> None:
    """These identifiers may reach the recipient with a batch, each with these classes. Most rows tell nothing new of a
    key that left before: then nothing is written (a job sends the same people again and again), but for the day, and
    after a number was given back.
    """
    left = list(left)
    what, since = (frozenset(purposes), frozenset(classes)), since_when(tx)
    numbers = _numbers(tx, recipient, left, batch)
    known = {(key, number): row for number, key, *row in rows_of(tx.db, KNOWN, {*numbers.values()})}
    news = list[tuple[Any, ...]]()
    for place in dict.fromkeys((key, numbers[each.named]) for each in left for key in (each.named, *each.keys)):
        *listed, last, at = known.get(place, UNKNOWN)
        is_told, whole = _with(*listed, what)
        if place not in known or not is_told or now - at >= DAY_MS or since(place[0]) > last:
            news.append((*place, *whole, batch, now))
    tx.db.executemany(UNDER_KEY, news)


@lru_cache(maxsize=1024)  # a recipient has few purposes and classes, and all rows of a job the same
def _with(purposes: str, classes: str, what: tuple[frozenset[str], frozenset[str]]) -> tuple[bool, tuple[str, str]]:
    """Whether these are known, and the known ones with them."""
    known = (_set(purposes), _set(classes))
    whole = (",".join(sorted(known[0] | what[0])), ",".join(sorted(known[1] | what[1])))
    return what[0] <= known[0] and what[1] <= known[1], whole


def _numbers(tx: Transaction, recipient: str, left: Iterable[Left], batch: int) -> dict[bytes, int]:
    """The row of each by its own key, with this batch as the last one."""
    named = {each.named: each for each in left}
    numbers: dict[bytes, int] = dict(rows_of(tx.db, NUMBERS, named, recipient))
    tx.db.executemany("UPDATE held SET batch = ? WHERE id = ?", [(batch, number) for number in numbers.values()])
    for each in named.values():
        if each.named not in numbers:
            numbers[each.named] = _new(tx, recipient, each, batch)
    return numbers


def _new(tx: Transaction, recipient: str, left: Left, batch: int) -> int:
    person = tx.persons.new_person()
    further = {"further": dict(left.further)} if left.further else {}
    content = json.dumps({"type": left.kind, "value": left.value, **further}).encode()
    sealed = person.seal(LABEL + recipient.encode(), content)
    made = tx.db.execute(
        "INSERT INTO held (recipient, named, batch, person, sealed) VALUES (?, ?, ?, ?, ?) RETURNING id",
        (recipient, left.named, batch, person.person, sealed),
    ).fetchone()
    return int(made[0])


def not_sent(tx: Transaction, recipient: str, key: bytes, batch: int) -> None:
    """A row of a batch, of whoever has this key, did not leave; it is marked. What the recipient has by another row, of
    before or since, goes on to be known. Of a later row nothing is written that was known by then (`note_held`): the
    first word stands for all that came behind it, and goes with the last of them that did not leave.
    """
    noted = tx.db.execute(
        "SELECT k.held, k.first FROM held_key k JOIN held h ON h.id = k.held"
        " WHERE k.key = ? AND k.first <= ? AND h.recipient = ?",
        (key, batch, recipient),
    ).fetchall()
    for number, first in noted:
        if not _may_have(tx, recipient, number, first):
            tx.db.execute("DELETE FROM held_key WHERE held = ? AND first = ?", (number, first))
            tx.db.execute(f"DELETE FROM held WHERE id = ? AND {ORPHAN}", (number,))  # noqa: S608 - ours


def _may_have(tx: Transaction, recipient: str, number: int, first: int) -> bool:
    """Whether a row from a batch on, of somebody under whose keys it is known, may have left with this identifier; or
    nobody knows any more which row that batch had, for those of whoever was erased are gone.
    """
    of = "SELECT 1 FROM held_key k JOIN disclosure d ON d.key = k.key WHERE k.held = ? AND d.recipient = ?"
    since = (number, recipient, first)
    left = tx.db.execute(f"{of} AND d.batch >= ? AND d.outcome <> 'not_sent' LIMIT 1", since).fetchone()
    return left is not None or tx.db.execute(f"{of} AND d.batch = ? LIMIT 1", since).fetchone() is None


def under(tx: Transaction, key: bytes, since: int) -> list[Held]:
    """What recipients hold under a key from an entry on; of the identifier itself whenever it left."""
    rows = tx.db.execute(UNDER, (key,)).fetchall()
    return [
        Held(number, to, named, person, sealed, _set(purposes), _set(classes), batch)
        for number, to, named, person, sealed, purposes, classes, batch, seen in rows
        if seen >= since or named == key
    ]


def held_by(tx: Transaction, recipient: str) -> list[tuple[bytes, bytes, bytes]]:
    """(named, person, sealed) of everything that a recipient holds."""
    return tx.db.execute(
        "SELECT named, person, sealed FROM held WHERE recipient = ? ORDER BY id", (recipient,)
    ).fetchall()


def open_held(tx: Transaction, recipient: str, person: bytes, sealed: bytes) -> dict[str, str]:
    """{kind: value}, of what may be there in several forms each; empty where its key is gone."""
    opened = tx.persons.keys(person).open(LABEL + recipient.encode(), sealed)
    content = json.loads(opened) if opened else None
    return {content["type"]: content["value"], **content.get("further", {})} if content else {}


def forget_held(tx: Transaction, own: Mapping[bytes, int]) -> set[bytes]:
    """Nothing leads from these keys to what left any more. Returns whose keys of the vault are not needed then."""
    numbers = set[int]()
    for key, since in own.items():
        gone = tx.db.execute("DELETE FROM held_key WHERE key = ? AND batch >= ? RETURNING held", (key, since))
        numbers |= {row[0] for row in gone.fetchall()}
    persons = set[bytes]()
    for number in sorted(numbers):
        gone = tx.db.execute(f"DELETE FROM held WHERE id = ? AND {ORPHAN} RETURNING person", (number,))  # noqa: S608 - ours
        persons |= {row[0] for row in gone.fetchall()}
    return persons


def going(tx: Transaction, before: int, first: int, end: int) -> list[tuple[str, bytes, bytes, bytes]]:
    """(recipient, named, person, sealed) of what `prune` takes away, of the numbers from `first` to before `end`."""
    return tx.db.execute(
        "SELECT recipient, named, person, sealed FROM held WHERE id >= ? AND id < ?"
        " AND NOT EXISTS (SELECT 1 FROM held_key WHERE held = held.id AND at >= ?) ORDER BY id",
        (first, end, before),
    ).fetchall()


def prune_held(tx: Transaction, before: int, first: int, end: int) -> int:
    """What last left before a moment in Unix milliseconds goes, of the numbers from `first` to before `end`. Returns
    how many identifiers.
    """
    tx.db.execute("DELETE FROM held_key WHERE held >= ? AND held < ? AND at < ?", (first, end, before))
    gone = tx.db.execute(f"DELETE FROM held WHERE id >= ? AND id < ? AND {ORPHAN}", (first, end))  # noqa: S608 - ours
    return gone.rowcount


def _set(joined: str) -> frozenset[str]:
    return frozenset(filter(None, joined.split(",")))


# Whoever was ever told anything, a few, found one after the other: `informed` is kept by recipient, and has millions.
EACH_INFORMED = """
WITH RECURSIVE each_one (name) AS (
  SELECT min(recipient) FROM informed
  UNION ALL SELECT (SELECT min(recipient) FROM informed WHERE recipient > name) FROM each_one WHERE name IS NOT NULL
)
"""


def informed(tx: Transaction, recipient: str, named: Sequence[bytes], words: Sequence[str], now: int) -> None:
    """A recipient is told one of `words` about these."""
    tx.db.executemany(
        "INSERT INTO informed VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (recipient, named, word)"
        " DO UPDATE SET size = ?4, at = ?5",
        [(recipient, name, word, tx.size, now) for name in named for word in words],
    )


def is_news(tx: Transaction, recipient: str, named: bytes, word: str, batch: int) -> bool:
    """Whether a recipient was not told so yet, or got the identifier again since."""
    row = tx.db.execute(
        "SELECT size FROM informed WHERE recipient = ? AND named = ? AND word = ?", (recipient, named, word)
    ).fetchone()
    return row is None or row[0] <= batch


def forget_informed(tx: Transaction, keys: Iterable[bytes]) -> None:
    """Nobody knows any more what these were called at recipients."""
    sql = f"{EACH_INFORMED} DELETE FROM informed WHERE recipient IN (SELECT name FROM each_one) AND named = ?"  # noqa: S608 - ours
    tx.db.executemany(sql, [(key,) for key in keys])


def keys_among(tx: Transaction, keys: Iterable[bytes]) -> set[bytes]:
    """Those of some keys under which something left that is still named."""
    return {key for key in keys if tx.db.execute("SELECT 1 FROM held_key WHERE key = ?", (key,)).fetchone()}
