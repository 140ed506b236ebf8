"""The records of today's log as the fold reads them (`gateway.fold.record`), from the entries and what stands beside
them. For whoever folds: the state of a host, some people alone, `verify`.

The one place where the two meet. What was voided by a moment is left out; of what was pruned only that something was
said is known.
"""

import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from enum import StrEnum
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from gateway.fold import record as told
from gateway.fold.record import Kept, Record, Said
from gateway.fold.state import FOR_EVER
from gateway.ledger.errors import EntryUnread
from gateway.ledger.schema import BODY, JOINED, rows_of
from gateway.ledger.subjects import ACT, ACTS
from gateway.terms import ChoiceKind, DataClass, GrantKind, NoticeKind, Purpose, Source, Told

NOBODY = b""  # the key of a record about no one
ABOUT = re.compile(r"(\w\.)?\w+ IN \({marks}\) AND ")  # in a statement: about whom
Rows = Callable[..., Iterable[tuple[Any, ...]]]

LINKS = frozenset({ChoiceKind.LINKED, ChoiceKind.UNLINKED})
NAMES, MAILBOXES, LINKS_OVER, USED, ENTRIES = range(5)  # the order of what has one place in the log

SPELT = "SELECT seq, at, turn, spelling, mailbox FROM mailbox_name WHERE spelling IN ({marks}) AND at <= ?"
SPENT = "SELECT seq, at, turn, key, recipient FROM act_used WHERE key IN ({marks}) AND at <= ?"
KEPT_DENIES = "SELECT seq, at, key, purpose, origin, via FROM kept_deny WHERE key IN ({marks}) AND at <= ?"
KEPT_ENDS = "SELECT seq, at, key, purpose, what, ui FROM kept_end WHERE key IN ({marks}) AND at <= ?"
KEPT_REVOKED = (
    "SELECT seq, at, key, recipient, purpose, data_class, kind FROM kept_revoked WHERE key IN ({marks}) AND at <= ?"
)
KEPT_NOTICES = "SELECT seq, at, key, notice, day FROM kept_told WHERE key IN ({marks}) AND at <= ?"
KEPT_AGES = "SELECT seq, at, key, band, youngest, fixed FROM kept_age WHERE key IN ({marks}) AND at <= ?"
VOIDED = "SELECT ui, seq, at FROM voided_ui WHERE at <= ?"
# What an entry says, with what stands beside it; but for what was voided by a moment.
ENTERED = (
    f"{BODY}, g.informed, g.parental, l.account, l.start, l.until, l.claimed, t.day, t.outcome,"  # noqa: S608 - ours
    f" a.band, a.may_rise, m.mark FROM detail d {JOINED} LEFT JOIN given g ON g.seq = d.seq"
    " LEFT JOIN link_event l ON l.seq = d.seq AND NOT l.released"
    " LEFT JOIN told_event t ON t.seq = d.seq LEFT JOIN age_event a ON a.seq = d.seq"
    " LEFT JOIN acted m ON m.seq = d.seq WHERE d.key IN ({marks}) AND d.at <= ?"
    " AND NOT EXISTS (SELECT 1 FROM voided_choice v WHERE v.seq = d.seq AND v.at <= ?)"
)
LEARNT = "SELECT seq, at, turn, canonical, alias FROM name WHERE canonical IN ({marks}) AND at <= ? ORDER BY turn"
LOOSER = "SELECT seq, canonical, alias FROM looser_name WHERE canonical IN ({marks}) AND true"
OVER = (  # by its date, which is no entry yet: before the first one that was made a day behind it
    "SELECT o.seq, l.turn, account, identifier, start, until, claimed"
    " FROM link_event l JOIN link_over o ON o.turn = l.turn WHERE l.identifier IN ({marks}) AND o.at <= ?"
)
SAID = f"SELECT d.seq, d.at, d.key, d.kind, {ENTERED}"
BESIDE = """
SELECT seq FROM given WHERE seq BETWEEN ?1 AND ?2 UNION SELECT seq FROM told_event WHERE seq BETWEEN ?1 AND ?2
UNION SELECT seq FROM link_event WHERE seq BETWEEN ?1 AND ?2 UNION SELECT seq FROM age_event WHERE seq BETWEEN ?1 AND ?2
UNION SELECT seq FROM acted WHERE seq BETWEEN ?1 AND ?2
"""


class End(StrEnum):
    """What one spelling of a mailbox said, by what another one did that is erased."""

    YES = "yes"  # a no: whatever yes there was is over
    BOTH = "both"  # a yes: whatever was said is over, and so is what that had sent


class PlacedRecord(NamedTuple):
    """A record with its place among what has one number."""

    phase: int
    turn: int
    record: Record

    def order(self) -> tuple[int, ...]:
        return self.record.seq, self.phase, self.record.at, self.turn


def records_of(db: sqlite3.Connection, now: int = FOR_EVER, keys: Collection[bytes] | None = None) -> list[Record]:
    """Everything until a moment in Unix milliseconds, in the order of the log. `keys`: only what is about these, and
    voids of screens.
    """
    return [each.record for each in placed_records(db, now, keys)]


def placed_records(db: sqlite3.Connection, now: int, keys: Collection[bytes] | None) -> list[PlacedRecord]:
    """The same with their places, for who must tell what an entry says from what stands beside it."""

    def rows(sql: str, *more: int) -> Iterable[tuple[Any, ...]]:
        return db.execute(ABOUT.sub("", sql), more) if keys is None else [*rows_of(db, sql, keys, *more)]

    found = [*_beside(rows, now), *_entries(rows(SAID, now, now)), *_screens(db, now)]
    return sorted(found, key=PlacedRecord.order)


def beside_entries(db: sqlite3.Connection, first: int, last: int) -> set[int]:
    """Those of a stretch of the log beside which anything stands."""
    return {seq for (seq,) in db.execute(BESIDE, (first, last))}


def said_in(db: sqlite3.Connection, seqs: Collection[int]) -> Iterator[PlacedRecord]:
    """What some entries say."""
    return _entries(rows_of(db, SAID.replace("d.key IN", "d.seq IN"), seqs, FOR_EVER, FOR_EVER))


def _beside(rows: Rows, now: int) -> Iterator[PlacedRecord]:
    for said in (*LEARNT_BESIDE.values(), _links_over, _kept):
        yield from said(rows, now)


def _looser(rows: Rows, _: int) -> Iterator[PlacedRecord]:
    """Of looser forms no time is known: they are there before all else."""
    for seq, key, alias in rows(LOOSER):
        yield PlacedRecord(NAMES, -1, Record(seq, 0, key, told.NamesLearnt(looser=(alias,))))


def _names(rows: Rows, now: int) -> Iterator[PlacedRecord]:
    """What one call learnt is learnt at once."""
    for (seq, at, key), learnt in groupby(rows(LEARNT, now), key=itemgetter(0, 1, 3)):
        names = list(learnt)
        yield PlacedRecord(NAMES, names[0][2], Record(seq, at, key, told.NamesLearnt(tuple(row[4] for row in names))))


def _mailboxes(rows: Rows, now: int) -> Iterator[PlacedRecord]:
    for seq, at, turn, spelling, mailbox in rows(SPELT, now):
        yield PlacedRecord(MAILBOXES, turn, Record(seq, at, spelling, told.NamesLearnt(mailbox=mailbox)))


def _links_over(rows: Rows, now: int) -> Iterator[PlacedRecord]:
    for seq, turn, account, identifier, start, until, claimed in rows(OVER, now):
        said = told.LinkSaid(account, start, until, bool(claimed))
        yield PlacedRecord(LINKS_OVER, turn, Record(seq, until, identifier, said))


def _used(rows: Rows, now: int) -> Iterator[PlacedRecord]:
    for seq, at, turn, key, recipient in rows(SPENT, now):
        yield PlacedRecord(USED, turn, Record(seq, at, key, told.ActUsed(recipient)))


# What is learnt beside entries, by the word for it in the table `record`.
LEARNT_BESIDE = {"looser": _looser, "name": _names, "mailbox": _mailboxes, "used": _used}


def learnt_by_number(db: sqlite3.Connection, word: str, numbers: Collection[int]) -> list[PlacedRecord]:
    """What was learnt, by its numbers in that table."""
    column = "seq" if word == "looser" else "turn"
    return [*LEARNT_BESIDE[word](_rows_by(db, column, numbers), FOR_EVER)]


def said_at(db: sqlite3.Connection, seqs: Collection[int]) -> Iterator[PlacedRecord]:
    """What some entries say, with what comes about by them."""
    yield from said_in(db, seqs)
    yield from _kept(_rows_by(db, "seq", seqs), FOR_EVER)
    yield from _links_over(_rows_by(db, "o.seq", seqs), FOR_EVER)
    yield from (each for each in _screens(db, FOR_EVER) if each.record.seq in seqs)


def _rows_by(db: sqlite3.Connection, column: str, numbers: Collection[int]) -> Rows:
    """Those of a statement about keys, by a number instead."""

    def rows(sql: str, *more: int) -> Iterable[tuple[Any, ...]]:
        return [*rows_of(db, ABOUT.sub(f"{column} IN ({{marks}}) AND ", sql), numbers, *more)]

    return rows


def _screens(db: sqlite3.Connection, now: int) -> Iterator[PlacedRecord]:
    for ui, seq, at in db.execute(VOIDED, (now,)):
        yield PlacedRecord(ENTRIES, 0, Record(seq, at, NOBODY, told.ScreenVoided(ui)))


def _kept(rows: Rows, now: int) -> Iterator[PlacedRecord]:
    """What stayed with others of a person who is unlinked. What ended is over before what stayed is there, and what an
    account kept itself before what came through it.
    """
    kept: tuple[tuple[str, Callable[..., Kept]], ...] = (
        (KEPT_ENDS, _end),
        (KEPT_REVOKED, _revoked),
        (KEPT_DENIES, _no),
        (KEPT_NOTICES, _notice),
        (KEPT_AGES, _age),
    )
    for turn, (sql, made) in enumerate(kept):
        for seq, at, key, *row in rows(sql, now):
            said = made(*row)
            came = isinstance(said, told.KeptNo) and said.via != key
            yield PlacedRecord(ENTRIES, 2 * turn + came, Record(seq, at, key, said))


def _end(purpose: str, what: str, ui: str) -> told.KeptEnd:
    return told.KeptEnd(Purpose(purpose), no=what == End.BOTH, screen=ui)


def _revoked(recipient: str, purpose: str, data_class: str, kind: str) -> told.KeptRevoked:
    of = DataClass(data_class) if data_class else None
    return told.KeptRevoked(told.GrantName(recipient, Purpose(purpose), of, GrantKind(kind)))


def _no(purpose: str, origin: bytes, via: bytes) -> told.KeptNo:
    return told.KeptNo(Purpose(purpose), origin, via)


def _notice(notice: str, day: int) -> told.KeptNotice:
    return told.KeptNotice(NoticeKind(notice), day)


def _age(band: str, youngest: str, fixed: int) -> told.KeptAge:
    return told.KeptAge(told.KeyAge(band, youngest, bool(fixed)))


class Entered(NamedTuple):
    """A row of `SAID`, its leaf read."""

    seq: int
    at: int
    key: bytes
    kind: str
    leaf: dict[str, Any]
    informed: int | None
    parental: int | None
    account: bytes | None
    start: int
    until: int | None
    claimed: int | None
    day: int | None
    outcome: str | None
    band: str | None
    may_rise: int | None
    mark: str | None


def _entries(rows: Iterable[tuple[Any, ...]]) -> Iterator[PlacedRecord]:
    for row in rows:
        try:
            each = entry_record(Entered._make((*row[:4], orjson.loads(row[4] or b"{}"), *row[5:])))
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # whatever its body is instead
            raise EntryUnread(f"entry {row[0]} cannot be read") from error
        if each is not None:
            yield each


def entry_record(entered: Entered) -> PlacedRecord | None:
    """None: it says nothing that anything rests on."""
    known = entered.leaf.get("e")
    said = _said(ChoiceKind(known), entered) if known else told.SaidPruned(entered.mark or "")
    if said is None:
        return None
    return PlacedRecord(ENTRIES, 0, Record(entered.seq, entered.at, entered.key, said, entered.kind == "account"))


def _said(word: ChoiceKind, entered: Entered) -> Said | None:
    """None: it forgets what is sealed, told nobody anything, or links somebody who is unlinked."""
    if word in LINKS:
        return _linked(entered)
    if word is ChoiceKind.NUMBER_RELEASED:
        return told.Released()
    if word is ChoiceKind.TOLD:
        reached = entered.outcome != Told.BOUNCED and entered.day is not None
        return told.NoticeGiven(NoticeKind(entered.leaf["k"]), entered.day or 0) if reached else None
    if word is ChoiceKind.CHILD_FOUND:
        return told.ChildFound()
    if word is ChoiceKind.AGE:
        return told.AgeTold(entered.band or "", bool(entered.may_rise), entered.mark or "")
    return None if word in {ChoiceKind.ERASED, ChoiceKind.UNLINKED_PERSON} else _chose(word, entered)


def _linked(entered: Entered) -> told.LinkSaid | None:
    if entered.account is None:
        return None
    return told.LinkSaid(entered.account, entered.start, entered.until, bool(entered.claimed))


@lru_cache
def _purposes(said: tuple[str, ...]) -> tuple[Purpose, ...]:
    return tuple(each for each in Purpose if each in said)


def _chose(word: ChoiceKind, entered: Entered) -> Said:
    leaf, source = entered.leaf, entered.leaf.get("src", "")
    purposes = _purposes(tuple(leaf.get("p", ())))
    if word in {ChoiceKind.STATE_BEGAN, ChoiceKind.STATE_ENDED}:
        return told.StateSaid(word is ChoiceKind.STATE_BEGAN, purposes, source, entered.mark or "")
    recipient, classes, screen = leaf.get("to", ""), leaf.get("c", ()), leaf.get("ui", "")
    if word in ACTS:
        until = entered.at + ACT if ACTS[word] is GrantKind.DIRECTED else None
        return told.GrantSaid(
            recipient, purposes, DataClass(classes[0]) if classes else None, ACTS[word], screen, until
        )
    if word is not ChoiceKind.OPT_IN:
        return told.SaidOut(purposes, source, entered.mark or "", dated=source != Source.READING)
    if recipient:
        return told.GrantSaid(recipient, purposes, DataClass(classes[0]), GrantKind.OPTED_IN, screen)
    return told.SaidIn(purposes, screen, bool(entered.informed), bool(entered.parental))
