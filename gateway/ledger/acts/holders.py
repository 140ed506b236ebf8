"""From which entry on a number or mailbox is its present prover's, however it came to them: control of it proves
nothing about the time before (R5). For whoever shows or forgets what is on record by such proof: reports, history,
openings, erasures, what own systems were asked. Reads only. What denies never looks at it: a no stays where it was
said.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from gateway.ledger.acts.links import Span
from gateway.ledger.acts.reach import group
from gateway.ledger.acts.releases import released_since

PASSED_ON = ("phone", "email")  # kinds that other people get later, and the digests of them
EVENTS = (
    "SELECT seq, account, identifier, start, until, released, at FROM link_event"
    " WHERE {column} = ? AND NOT claimed ORDER BY turn"
)
KIND = "SELECT kind FROM detail WHERE key = ? LIMIT 1"
FIRST_AT = """
SELECT coalesce(min(seq), (SELECT size FROM head)) FROM detail WHERE seq > coalesce(
  (SELECT max(seq) FROM detail WHERE at = (SELECT max(at) FROM detail WHERE at < :at)), -1)
"""  # not the first with a later time: a clock may have been ahead
ERASED = "SELECT seq FROM erased WHERE identifier = ?"


@dataclass(frozen=True, slots=True)
class Had:
    """An identifier that an account had. `seq`: the entry that began the link, `at`: its time; `ended`: an entry
    says that it is over.
    """

    account: bytes
    key: bytes
    span: Span
    seq: int
    at: int
    ended: bool = False

    def shown(self) -> "Had":
        """Counted from the later of its start and its entry: a start is somebody's word (R5)."""
        return replace(self, span=Span(max(self.span.start, self.at), self.span.until))

    def changed(self, now: int) -> int:
        """When it last changed hands by this, in Unix milliseconds."""
        span = self.shown().span
        return span.until if span.until is not None and span.over(now) else span.start


def held_since(db: sqlite3.Connection, key: bytes, now: int) -> int:
    """The entry from which on what is said of a key is of whoever proves it now: since it was last given back, came to
    its present account or left its last one. 0: always.
    """
    return _last(db, key, ((had.changed(now), had) for had in _passed(db, group(db, key))))


def forgotten_since(db: sqlite3.Connection, key: bytes, now: int, proved: Collection[bytes]) -> int:
    """The same where they have it forgotten and `proved` are accounts of theirs: it is nobody else's but since another
    account had it. Their own account takes it from nobody, and nor does the first one that ever has it.
    """
    return _last(db, key, _taken(_passed(db, group(db, key)), now, proved))


def shown_since(db: sqlite3.Connection, key: bytes, now: int) -> int:
    """What `held_since` says, of what is shown of it: nothing from before it was last erased (R19)."""
    row = db.execute(ERASED, (key,)).fetchone()
    return max(held_since(db, key, now), row[0] if row else 0)


def changed_hands(db: sqlite3.Connection, names: Iterable[bytes], now: int) -> int:
    """When links last had it change hands, in Unix milliseconds; 0 for what no account had, or what does not pass on.
    `names`: what one identifier goes by. For what is counted by its time.
    """
    return max((had.changed(now) for had in _passed(db, names)), default=0)


def spans_of(db: sqlite3.Connection, column: str, key: bytes, without: bytes = b"") -> list[Had]:
    """The times of links, made again from every change of them, as `links.put` made them."""
    found: dict[tuple[bytes, bytes], list[Had]] = {}
    for seq, account, identifier, start, until, released, said in db.execute(EVENTS.format(column=column), (key,)):
        if account == without:
            continue
        times = found.setdefault((account, identifier), [])
        told = Span(start, until)
        if times and not times[-1].ended and (released or not times[-1].span.over(said)):
            span = Span(times[-1].span.start, until) if released else times[-1].span.told_again(told, said)
            times[-1] = replace(times[-1], span=span, ended=bool(released) or span.over(said))
        elif not released:
            times.append(Had(account, identifier, told, seq, said, told.over(said)))
    return [each for times in found.values() for each in times]


def kind_of(db: sqlite3.Connection, key: bytes) -> str:
    """The kind of identifier; empty where no entry tells it."""
    row = db.execute(KIND, (key,)).fetchone()
    return row[0] if row else ""


def _passed(db: sqlite3.Connection, names: Iterable[bytes]) -> list[Had]:
    """Whoever had a number or mailbox; what no entry tells the kind of may be one."""
    had = (each for name in names for each in spans_of(db, "identifier", name))
    return [each for each in had if (kind_of(db, each.key) or PASSED_ON[0]).startswith(PASSED_ON)]


def _taken(found: Collection[Had], now: int, proved: Collection[bytes]) -> Iterator[tuple[int, Had]]:
    """When others left it, or it came to somebody behind others, in Unix milliseconds, and by which link."""
    for had in found:
        before = {each.account for each in found if each.seq < had.seq}.difference(proved, {had.account})
        if had.account not in proved and had.span.over(now):
            yield had.changed(now), had
        elif before:
            yield had.shown().span.start, had


def _last(db: sqlite3.Connection, key: bytes, changes: Iterable[tuple[int, Had]]) -> int:
    """The entry behind the last change, or behind the last time that it was given back."""
    entries = (had.seq if at == had.at else _entry_at(db, at) for at, had in changes)
    return max(released_since(db, key), *entries, 0)


def _entry_at(db: sqlite3.Connection, at: int) -> int:
    """The first entry behind what was said before a moment; in doubt a later one."""
    return int(db.execute(FIRST_AT, {"at": at}).fetchone()[0])
