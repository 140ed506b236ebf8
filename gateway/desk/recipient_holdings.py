"""What recipients hold from us: each identifier that left, as the recipient keys it, and under whose keys it left.

Written with the intention to send, since from then on it may have arrived, and taken back for what did not leave. An
identifier is sealed with a key of its own in the vault; it is read for nothing but to tell its recipient (R18), and
goes with the disclosures it came from. What did not leave as a caller says, who may yet say that it did, is put off:
kept for two hours more as what nobody has; who is erased within them is told of as if it had left, whenever what is
over is cleared away. Never sends, and never decides who is told.
"""

import json
import sqlite3
import struct
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from gateway.choice import identity
from gateway.keys.secret_files import PersonKeys
from gateway.ledger.acts.holders import since_when
from gateway.ledger.schema import rows_of
from gateway.ledger.subjects import milliseconds
from gateway.ledger.transaction import Transaction
from gateway.terms import DAY_MS

LABEL = b"held/1"
UNDER = (
    "SELECT h.id, h.recipient, h.named, h.person, h.sealed, k.purposes, k.classes, h.batch, k.batch, k.first"
    " FROM held_key k JOIN held h ON h.id = k.held WHERE k.key = ?"
)
KNOWN = "SELECT held, key, purposes, classes, batch, at FROM held_key WHERE held IN ({marks})"
UNDER_KEY = (
    "INSERT INTO held_key VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6) ON CONFLICT (key, held) DO UPDATE SET purposes = ?3,"
    " classes = ?4, batch = ?5, at = ?6"
)
CALLED = "SELECT id, named FROM held WHERE id IN ({marks})"
LEADING = "SELECT key FROM held_key WHERE held IN ({marks})"
UNKNOWN = ["", "", 0, 0]
NAMED = "SELECT named, id, person, sealed, kinds FROM held WHERE named IN ({marks}) AND recipient = ?"
# Rows of somebody under whose keys an identifier is kept, from a batch on, with which it left, as one kind or as any.
# In this order alone: of one person there are few rows, of one recipient all.
ROWS = (
    " FROM held_key k CROSS JOIN disclosure d WHERE k.held = ? AND d.key = k.key AND d.recipient = ? AND d.batch >= ?"
    " AND (d.held IS NULL OR d.held LIKE ?)"
)
LAST = f"SELECT max(d.batch){ROWS} AND d.outcome <> 'not_sent'"
KNOWN_ROW = f"SELECT 1{ROWS} AND d.batch = ? LIMIT 1"
ORPHAN = "NOT EXISTS (SELECT 1 FROM held_key WHERE held = held.id)"

PUT_OFF_FOR = timedelta(hours=2)  # a caller's word that something left after all comes within it, or never
NEVER = 2**62
# What is put off stands among what was said of decisions, whose names have another length.
PUT_OFF = struct.Struct(">4sQ")
ALL_PUT_OFF = PUT_OFF.pack(b"held", 0), PUT_OFF.pack(b"held", 2**64 - 1)
DUE = (
    "DELETE FROM reported WHERE decision IN (SELECT decision FROM reported WHERE at < ? AND length(decision) = ?"
    " ORDER BY at LIMIT ?) RETURNING decision"
)
STILL_KEPT = (
    "SELECT h.id, k.first FROM held h JOIN held_key k ON k.held = h.id AND k.key = h.named WHERE h.id IN ({marks})"
)


@dataclass(frozen=True, slots=True)
class Left:
    """One identifier that leaves with a row. `named`: its own key; `keys`: those under which it may be asked about,
    its own and those of everybody whom the row names. `kind` and `value` as the recipient gets them; `further`: as what
    else it may have it, by kind; `names`: all keys that it goes by itself, its own first.
    """

    kind: str
    value: str = field(repr=False)
    named: bytes = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    further: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    names: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def forms(self) -> dict[str, str]:
        """By kind, all that it leaves as."""
        return {self.kind: self.value, **dict(self.further)}


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
) -> dict[bytes, int]:
    """These identifiers may reach the recipient with a batch, each with these classes. Most rows tell nothing new of a
    key that left before: then nothing is written (a job sends the same people again and again), but for the day, and
    after a number was given back. Returns the number of each by its own key, for `listed`.
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
    return numbers


def listed(left: Iterable[Left], numbers: Mapping[bytes, int]) -> str:
    """What leaves with a row, as the row has it on record."""
    return "".join(f",{numbers[each.named]}:{kind}" for each in left for kind in sorted(_plain(each.forms))) + ","


def kept_since(tx: Transaction, numbers: Collection[int]) -> dict[int, int]:
    """Those of which their own name leads to what is kept, and since which entry: of whoever is erased none does, and
    what left later may have their number.
    """
    return dict(rows_of(tx.db, STILL_KEPT, numbers))


def _plain(forms: Iterable[str]) -> set[str]:
    """The kinds without sources, in which any sign may stand; of one identifier there is one source."""
    return {identity.plain_kind(kind) for kind in forms}


@lru_cache(maxsize=1024)  # a recipient has few purposes and classes, and all rows of a job the same
def _with(purposes: str, classes: str, what: tuple[frozenset[str], frozenset[str]]) -> tuple[bool, tuple[str, str]]:
    """Whether these are known, and the known ones with them."""
    known = (_set(purposes), _set(classes))
    whole = (",".join(sorted(known[0] | what[0])), ",".join(sorted(known[1] | what[1])))
    return what[0] <= known[0] and what[1] <= known[1], whole


def _numbers(tx: Transaction, recipient: str, left: Iterable[Left], batch: int) -> dict[bytes, int]:
    """The row of each by its own key, with this batch as the last one, in every form in which it leaves."""
    forms = defaultdict[bytes, dict[str, str]](dict)
    for each in left:
        forms[each.named] |= each.forms
    known = {named: kept for named, *kept in rows_of(tx.db, NAMED, forms, recipient)}
    numbers = {named: kept[0] for named, kept in known.items()}
    tx.db.executemany("UPDATE held SET batch = ? WHERE id = ?", [(batch, number) for number in numbers.values()])
    for named, leaving in forms.items():
        if named not in known:
            numbers[named] = _new(tx, recipient, named, leaving, batch)
        elif not _plain(leaving) <= _set(known[named][-1] or ""):
            number, person, sealed, _ = known[named]
            _seal_again(tx, recipient, number, person, leaving | open_held(tx, recipient, person, sealed))
    return numbers


def _new(tx: Transaction, recipient: str, named: bytes, forms: Mapping[str, str], batch: int) -> int:
    person = tx.persons.new_person()
    made = tx.db.execute(
        "INSERT INTO held (recipient, named, batch, person, sealed, kinds) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        (recipient, named, batch, person.person, _sealed(person, recipient, forms), _kinds(forms)),
    ).fetchone()
    # SQLite gives a number again: what was said of whoever had it, and is erased, is not said of this one.
    tx.db.execute("DELETE FROM reported WHERE decision = ?", (_put_off(made[0]),))
    return int(made[0])


def _seal_again(tx: Transaction, recipient: str, number: int, person: bytes, forms: Mapping[str, str]) -> None:
    keys = tx.persons.keys(person)
    keys = keys if keys.details else tx.persons.new_person()
    sealed = _sealed(keys, recipient, forms)
    tx.db.execute(
        "UPDATE held SET person = ?, sealed = ?, kinds = ? WHERE id = ?", (keys.person, sealed, _kinds(forms), number)
    )


def _sealed(person: PersonKeys, recipient: str, forms: Mapping[str, str]) -> bytes:
    (kind, value), *further = forms.items()
    content = {"type": kind, "value": value, **({"further": dict(further)} if further else {})}
    return person.seal(LABEL + recipient.encode(), json.dumps(content).encode())


def _kinds(forms: Iterable[str]) -> str:
    return f",{','.join(sorted(_plain(forms)))},"


def not_sent(tx: Transaction, recipient: str, row: bytes, batch: int, said: int | None = None) -> None:
    """A row of a batch, which is marked, did not leave: what it was to take along is not kept because of it any more.
    Each identifier stays in the forms, and under the keys, by which another row may have taken it. `said`: when its
    caller said so, who may say otherwise.
    """
    for _, took in _took(tx, recipient, row, batch):
        for number, kinds in took.items():
            if said is not None:
                tx.db.execute(PUTS_OFF, (_put_off(number), said))
            _take_back(tx, recipient, number, kinds)


def people_of_row(tx: Transaction, recipient: str, row: bytes, batch: int) -> list[bytes]:
    """Whose a row is: under whom it is on record, and whoever leads to what it took, of whom nobody can tell any more
    whether this very row named them.
    """
    people = set[bytes]()
    for key, took in _took(tx, recipient, row, batch):
        people |= {key, *(other for (other,) in rows_of(tx.db, LEADING, took))}
    return sorted(people)


def _took(tx: Transaction, recipient: str, row: bytes, batch: int) -> Iterator[tuple[bytes, dict[int, set[str]]]]:
    """Under whom a row is on record, and by number what it was to take along, as which kinds."""
    sql = "SELECT key, held FROM disclosure WHERE recipient = ? AND row = ? AND batch = ?"
    for key, took in tx.db.execute(sql, (recipient, row, batch)).fetchall():
        yield key, _unlisted(tx, recipient, key, batch) if took is None else read_listed(took)


PUTS_OFF = "INSERT INTO reported VALUES (?, 'not_sent', ?) ON CONFLICT (decision) DO UPDATE SET at = excluded.at"


def _put_off(number: int) -> bytes:
    return PUT_OFF.pack(b"held", number)


def _put_off_at(db: sqlite3.Connection, number: int) -> int | None:
    row = db.execute("SELECT at FROM reported WHERE decision = ?", (_put_off(number),)).fetchone()
    return row[0] if row else None


def put_off_since(at: datetime) -> int:
    """From when on, in Unix milliseconds, what was put off may still be said to have left at a moment. For whoever is
    erased then, of whom nothing is kept by which a later word could be told.
    """
    return milliseconds(at - PUT_OFF_FOR)


def take_back_put_off(tx: Transaction, before: int, most: int) -> None:
    """What was put off before a moment in Unix milliseconds, unless it left after all."""
    for (name,) in tx.db.execute(DUE, (before, PUT_OFF.size, most)).fetchall():
        _, number = PUT_OFF.unpack(name)
        row = tx.db.execute("SELECT recipient FROM held WHERE id = ?", (number,)).fetchone()
        if row:
            _take_back(tx, row[0], number, ())


def may_have_left(db: sqlite3.Connection, recipient: str, number: int, first: int, put_off: int = NEVER) -> bool:
    """Whether a recipient may have what is kept under a key since an entry: not what is only put off, but from a moment
    on (`put_off_since`).
    """
    at = _put_off_at(db, number)
    return at is None or at >= put_off or first not in _not_left(db, recipient, number).came


def read_listed(took: str) -> dict[int, set[str]]:
    """What `listed` wrote."""
    found = defaultdict[int, set[str]](set)
    for each in filter(None, took.split(",")):
        number, _, kind = each.partition(":")
        found[int(number)].add(kind)
    return found


def _unlisted(tx: Transaction, recipient: str, key: bytes, batch: int) -> dict[int, set[str]]:
    """What came with a row of which nobody wrote that down, in whatever form."""
    sql = "SELECT h.id FROM held_key k JOIN held h ON h.id = k.held WHERE k.key = ? AND k.first = ? AND h.recipient = ?"
    return {number: set() for (number,) in tx.db.execute(sql, (key, batch, recipient)).fetchall()}


class NotLeft(NamedTuple):
    """Of an identifier: since which entries it is kept under a key, of these those that a row is known of that may have
    left at no time from there on; and whether only these are later than all that may have. `last`: by kind, the last
    row that may have taken it so.
    """

    firsts: list[int]
    came: list[int]
    is_all: bool
    last: dict[str, int | None]


def _not_left(db: sqlite3.Connection, recipient: str, number: int) -> NotLeft:
    firsts = [first for (first,) in db.execute("SELECT DISTINCT first FROM held_key WHERE held = ?", (number,))]
    if not firsts:
        return NotLeft([], [], is_all=False, last={})  # it was taken back, or forgotten, before
    since = (number, recipient, min(firsts))
    (known,) = db.execute("SELECT kinds FROM held WHERE id = ?", (number,)).fetchone()
    last = {kind: db.execute(LAST, (*since, f"%,{number}:{kind},%")).fetchone()[0] for kind in _set(known or "")}
    if not known:
        last = {"": db.execute(LAST, (*since, f"%,{number}:%")).fetchone()[0]}
    until = max((batch for batch in last.values() if batch is not None), default=-1)
    later = [first for first in firsts if first > until]
    came = [first for first in later if db.execute(KNOWN_ROW, (*since, f"%,{number}:%", first)).fetchone()]
    return NotLeft(firsts, came, len(came) == len(later), last)


def _take_back(tx: Transaction, recipient: str, number: int, kinds: Collection[str]) -> None:
    """What is kept of an identifier without the row that was to take it along as these kinds. Under a key it stays
    where a row that may have left is no older than the first that was known by that key; where nobody knows any more
    which row that was, for those of whoever was erased are gone; and while it is put off.
    """
    found = _not_left(tx.db, recipient, number)
    if _put_off_at(tx.db, number) is None:
        gone = [(number, first) for first in found.came]
        tx.db.executemany("DELETE FROM held_key WHERE held = ? AND first = ?", gone)
        tx.db.execute(f"DELETE FROM held WHERE id = ? AND {ORPHAN}", (number,))  # noqa: S608 - ours
    going = {kind for kind in kinds if kind in found.last and found.last[kind] is None}
    if found.is_all and len(found.came) < len(found.firsts) and going:
        person, sealed = tx.db.execute("SELECT person, sealed FROM held WHERE id = ?", (number,)).fetchone()
        forms = open_held(tx, recipient, person, sealed)
        staying = {kind: value for kind, value in forms.items() if identity.plain_kind(kind) not in going}
        if staying:
            _seal_again(tx, recipient, number, person, staying)


def under(tx: Transaction, key: bytes, since: int, put_off: int = NEVER) -> list[Held]:
    """What recipients hold under a key from an entry on; of the identifier itself whenever it left. `put_off` as of
    `may_have_left`.
    """
    rows = tx.db.execute(UNDER, (key,)).fetchall()
    return [
        Held(number, to, named, person, sealed, _set(purposes), _set(classes), batch)
        for number, to, named, person, sealed, purposes, classes, batch, seen, first in rows
        if (seen >= since or named == key) and may_have_left(tx.db, to, number, first, put_off)
    ]


def held_by(tx: Transaction, recipient: str) -> list[tuple[bytes, bytes, bytes, int]]:
    """(named, person, sealed, batch) of everything that a recipient holds; the batch with which it left last."""
    found = tx.db.execute(
        "SELECT id, named, person, sealed, batch FROM held WHERE recipient = ? ORDER BY id", (recipient,)
    ).fetchall()
    names = tx.db.execute("SELECT decision FROM reported WHERE decision BETWEEN ? AND ?", ALL_PUT_OFF).fetchall()
    put_off = {PUT_OFF.unpack(name)[1] for (name,) in names if len(name) == PUT_OFF.size}
    numbers = {number for number, *_ in found} & put_off
    unheld = {each for each in numbers if (of := _not_left(tx.db, recipient, each)).came == of.firsts}
    return [(named, person, sealed, batch) for number, named, person, sealed, batch in found if number not in unheld]


def open_held(tx: Transaction, recipient: str, person: bytes, sealed: bytes) -> dict[str, str]:
    """{kind: value}, of what may be there in several forms each; empty where its key is gone."""
    opened = tx.persons.keys(person).open(LABEL + recipient.encode(), sealed)
    content = json.loads(opened) if opened else None
    return {content["type"]: content["value"], **content.get("further", {})} if content else {}


# Each recipient that a table is kept by, a few, found one after the other: it has millions of rows.
EACH = """
WITH RECURSIVE each_one (name) AS (
  SELECT min(recipient) FROM {table}
  UNION ALL SELECT (SELECT min(recipient) FROM {table} WHERE recipient > name) FROM each_one WHERE name IS NOT NULL
)
"""
EACH_HOLDING, EACH_INFORMED = EACH.format(table="held"), EACH.format(table="informed")
OWN = "DELETE FROM held_key WHERE key = ? AND batch >= ? RETURNING held"
SO_CALLED = (  # whoever leads to it, and also where it itself does not any more
    f"{EACH_HOLDING} DELETE FROM held_key WHERE held IN (SELECT id FROM each_one CROSS JOIN held ON recipient = name"  # noqa: S608 - ours
    " WHERE named = ?) AND batch >= ? RETURNING held"
)


def forget_held(tx: Transaction, own: Mapping[bytes, int], *, whole: bool = False) -> set[bytes]:
    """Nothing leads from these keys to what left any more, nor from anybody's whom a row named beside them to what is
    called by one of these; `whole`: also where it left before it was theirs. What a row merely named beside them stays
    for whose it is. Returns whose keys of the vault are not needed then.
    """
    numbers = set[int]()
    for each in own.items():
        numbers |= {held for sql in (OWN, SO_CALLED) for (held,) in tx.db.execute(sql, each).fetchall()}
    called = [number for number, named in rows_of(tx.db, CALLED, numbers) if named in own] if whole else []
    tx.db.executemany("DELETE FROM held_key WHERE held = ?", [(number,) for number in called])
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


def informed(tx: Transaction, recipient: str, named: Sequence[bytes], words: Sequence[str], now: int) -> None:
    """A recipient is told one of `words` about these."""
    tx.db.executemany(
        "INSERT INTO informed VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (recipient, named, word)"
        " DO UPDATE SET size = ?4, at = ?5",
        [(recipient, name, word, tx.size, now) for name in named for word in words],
    )


KEPT = "kept"  # no word that anybody is told: a recipient had this, and its suppression file goes on to name it


def keep_named(tx: Transaction, recipient: str, named: bytes, now: int) -> None:
    """What a recipient had is not kept any more, but that it had it is. Nothing is news by that."""
    tx.db.execute("INSERT OR IGNORE INTO informed VALUES (?, ?, ?, 0, ?)", (recipient, named, KEPT, now))


def is_news(tx: Transaction, recipient: str, named: bytes, word: str, batch: int) -> bool:
    """Whether a recipient was not told so yet, or got the identifier again since."""
    row = tx.db.execute(
        "SELECT size FROM informed WHERE recipient = ? AND named = ? AND word = ?", (recipient, named, word)
    ).fetchone()
    return row is None or row[0] <= batch


def called_among(tx: Transaction, keys: Collection[bytes]) -> set[bytes]:
    """Those of some keys whose own identifier a recipient holds, or was told of."""
    held = "SELECT 1 FROM held_key k JOIN held h ON h.id = k.held WHERE k.key = ? AND h.named = k.key"
    told = f"{EACH_INFORMED} SELECT 1 FROM each_one CROSS JOIN informed ON recipient = name WHERE named = ? LIMIT 1"  # noqa: S608 - ours
    return {key for key in keys if any(tx.db.execute(sql, (key,)).fetchone() for sql in (held, told))}


def forget_informed(tx: Transaction, keys: Iterable[bytes]) -> None:
    """Nobody knows any more what these were called at recipients."""
    sql = f"{EACH_INFORMED} DELETE FROM informed WHERE recipient IN (SELECT name FROM each_one) AND named = ?"  # noqa: S608 - ours
    tx.db.executemany(sql, [(key,) for key in keys])


def keys_among(tx: Transaction, keys: Iterable[bytes]) -> set[bytes]:
    """Those of some keys under which something left that is still named."""
    return {key for key in keys if tx.db.execute("SELECT 1 FROM held_key WHERE key = ?", (key,)).fetchone()}
