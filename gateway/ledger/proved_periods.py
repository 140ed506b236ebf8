"""What somebody may be shown who proved some identifiers: which keys, and of which time (R5, R12). Reads only.

Of an identifier itself: everything, but of a number or a mailbox nothing from before it was last given back, came to
its present account or left its last one: that may be another person's. Of a proved account: also what it had, while it
had it and no other account did; what only an app's word ties to it is not among that. From nothing else does a way
lead on: a number's holder does not learn which account has it, and on a shared tablet one account's report never shows
another's.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gateway.ledger.links import Span
from gateway.ledger.subjects import Subject

PASSED_ON = ("phone", "email")  # kinds that other people get later, and the digests of them
EVENTS = (
    "SELECT seq, account, identifier, start, until, released, at FROM link_event"
    " WHERE {column} = ? AND account IS NOT NULL AND NOT claimed ORDER BY turn"
)
GIVEN_BACK = """
SELECT coalesce(max(seq), -1) + 1 FROM (
  SELECT d.seq FROM detail d JOIN entry e ON e.seq = d.seq WHERE d.key = :key AND d.seq < :seq
  AND json_extract(CAST(e.body AS TEXT), '$.e') = 'number_released'
  UNION ALL SELECT seq FROM link_event WHERE identifier = :key AND released AND seq < :seq
  UNION ALL SELECT seq - 1 FROM release WHERE identifier = :key AND seq <= :seq
)
"""
KIND = "SELECT kind FROM detail WHERE key = ? LIMIT 1"


@dataclass(frozen=True, slots=True)
class Had:
    """An identifier that an account had. `seq`: the entry that began the link, `at`: its time; `ended`: an entry
    says that it is over.
    """

    key: bytes
    span: Span
    seq: int
    at: int
    ended: bool = False

    def shown(self) -> "Had":
        """Counted from the later of its start and its entry: a start is somebody's word (R5)."""
        return replace(self, span=Span(max(self.span.start, self.at), self.span.until))


@dataclass(frozen=True, slots=True)
class Window:
    """A key, from an entry's number on and for a time, but for the times when others had it too."""

    key: bytes
    since: int
    span: Span
    others: tuple[Span, ...] = ()

    def shows(self, seq: int, at: int) -> bool:
        """Whether what happened at a moment, in Unix milliseconds, may be shown."""
        return seq >= self.since and self.span.live(at) and not any(span.live(at) for span in self.others)


def windows(db: sqlite3.Connection, subject: Subject, now: int) -> list[Window]:
    """Everything that proof of one identifier opens."""
    start = _hands(db, subject, now)
    own = [Window(name, since(db, name), Span(start)) for name in _names(db, subject.keys)]
    if not subject.is_account:
        return own
    return own + [window for had in things(db, subject.key, now) for window in _through(db, subject.key, had.shown())]


def since(db: sqlite3.Connection, key: bytes) -> int:
    """The entry from which on a key is its present holder's, and not erased."""
    row = db.execute("SELECT seq FROM release WHERE identifier = ?", (key,)).fetchone()
    return max(row[0] if row else 0, _erased(db, key))


def _erased(db: sqlite3.Connection, key: bytes, until: int | None = None) -> int:
    """The entry from which on a key shows anything, after an erasure (R19). One that came after `until` was another
    holder's and takes nothing from who had the key before.
    """
    row = db.execute("SELECT seq FROM erased WHERE identifier = ?", (key,)).fetchone()
    ended = db.execute("SELECT min(seq) FROM detail WHERE at >= ?", (until,)).fetchone()[0] if until else None
    return row[0] if row and (ended is None or row[0] <= ended) else 0


def things(db: sqlite3.Connection, account: bytes, now: int) -> list[Had]:
    """What an account has or had, each time that it did."""
    return [had for had in _spans(db, "account", account) if had.span.start <= now]


def kind_of(db: sqlite3.Connection, had: Had) -> str:
    """The kind of identifier; empty where no entry tells it."""
    row = db.execute(KIND, (had.key,)).fetchone()
    return row[0] if row else ""


def _through(db: sqlite3.Connection, account: bytes, had: Had) -> list[Window]:
    """A link may be told to have begun before its number was given back by somebody else: nothing crosses that."""
    names = _names(db, [had.key])
    others = tuple(each.span for name in names for each in _spans(db, "identifier", name, without=account))
    start = max(_released_before(db, name, had.seq) for name in names)
    gone = max(_erased(db, account), *(_erased(db, name, had.span.until) for name in names))
    return [Window(name, max(start, gone), had.span, others) for name in names]


def _released_before(db: sqlite3.Connection, key: bytes, seq: int) -> int:
    """The entry after the last one before `seq` that gave a key back."""
    return int(db.execute(GIVEN_BACK, {"key": key, "seq": seq}).fetchone()[0])


def _spans(db: sqlite3.Connection, column: str, key: bytes, without: bytes = b"") -> list[Had]:
    """The times of links, made again from every change of them, as `links.put` made them."""
    found: dict[tuple[bytes, bytes], list[Had]] = {}
    for seq, account, identifier, start, until, released, at in db.execute(EVENTS.format(column=column), (key,)):
        if account == without:
            continue
        times = found.setdefault((account, identifier), [])
        told, moment = Span(start, until), start if at is None else at
        if times and not times[-1].ended and (released or not times[-1].span.over(moment)):
            span = Span(times[-1].span.start, until) if released else times[-1].span.told_again(told, moment)
            times[-1] = replace(times[-1], span=span, ended=bool(released) or span.over(moment))
        elif not released:
            times.append(Had(identifier, told, seq, moment, told.over(moment)))
    return [each for times in found.values() for each in times]


def _names(db: sqlite3.Connection, keys: Sequence[bytes]) -> list[bytes]:
    """An identifier's key and those of its digests. A looser form may be somebody else's and is left out."""
    rows: Iterable[tuple[bytes]] = db.execute("SELECT alias FROM name WHERE canonical = ?", (keys[0],))
    return list(dict.fromkeys([*keys, *(alias for (alias,) in rows)]))


def _hands(db: sqlite3.Connection, subject: Subject, now: int) -> int:
    """When a number or mailbox last came to an account, or left one that it was with no longer, in Unix milliseconds:
    control of it now proves nothing about the time before. 0 for what no account had, or what does not pass on.
    """
    if not subject.kind.startswith(PASSED_ON):
        return 0
    had = [each.shown().span for name in _names(db, subject.keys) for each in _spans(db, "identifier", name)]
    ends = (span.until if span.over(now) else span.start for span in had)
    return max((at for at in ends if at is not None), default=0)
