"""The records of today's log as the fold reads them (`gateway.fold.record`), from the entries and their side tables.

The one place where the two meet: it reads what `happenings` reads, and never the live standings or what they are made
from. What was voided by a moment is left out; of what was pruned only that something was said is known.
"""

import re
import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from hashlib import sha256
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import orjson

from gateway.fold import record as told
from gateway.fold.record import Kept, Record, Said
from gateway.ledger.grants import ACT
from gateway.ledger.happenings import (
    ENTERED,
    ENTRIES,
    KEPT_AGES,
    KEPT_DENIES,
    KEPT_ENDS,
    KEPT_NOTICES,
    KEPT_REVOKED,
    LINKS,
    MAILBOXES,
    NAMES,
    OLD_LINKS,
    SPELT,
    SPENT,
    USED,
    VOIDED,
    rows_of,
)
from gateway.ledger.reach import SKEW
from gateway.ledger.records import ACTS
from gateway.ledger.standing_rows import FOR_EVER
from gateway.ledger.tree import root_at
from gateway.ledger.unlinked_remains import End
from gateway.terms import ChoiceKind, DataClass, GrantKind, NoticeKind, Purpose, Source, Told

NOBODY = b""  # the key of a record about no one
ABOUT = re.compile(r"(\w\.)?\w+ IN \({marks}\) AND ")  # in a statement: about whom
Rows = Callable[..., Iterable[tuple[Any, ...]]]

LEARNT = "SELECT seq, at, turn, canonical, alias FROM name WHERE canonical IN ({marks}) AND at <= ? ORDER BY turn"
LOOSER = "SELECT seq, canonical, alias FROM looser_name WHERE canonical IN ({marks}) AND true"
OLD = (
    "SELECT seq, turn, account, identifier, start, until,"
    " coalesce((SELECT at FROM detail d WHERE d.seq < l.seq ORDER BY d.seq DESC LIMIT 1), 0),"
    " (SELECT min(seq) FROM detail d WHERE d.seq >= l.seq AND d.at >= l.until)"
    " FROM link_event l WHERE identifier IN ({marks}) AND at IS NULL AND start <= ?"
)
DATED = """
SELECT account, identifier, start, until, claimed FROM link_event l
WHERE seq < ?1 AND account IS NOT NULL AND NOT released AND until IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM link_event o WHERE NOT o.released
                  AND o.account = l.account AND o.identifier = l.identifier AND o.turn > l.turn AND o.seq < ?1)
  AND NOT EXISTS (SELECT 1 FROM detail d WHERE d.at >= l.until + ?2 AND d.seq > l.seq AND d.seq < ?1)
ORDER BY turn
"""
CHANGES = """
SELECT origin || ' ' || hex(ledger), size, peppers, pruned, (SELECT count(*) FROM voided_choice),
  (SELECT max(by) FROM voided_choice), (SELECT max(seq) FROM erasure) FROM head
"""
PLACES = 2**20  # records that may have one entry's place: of an unlink some thousands
SAID = f"SELECT d.seq, d.at, d.key, d.kind, {ENTERED}"
BESIDE = """
SELECT d.seq,
  g.informed, g.parental, l.account, l.start, l.until, l.claimed, t.day, t.outcome, a.band, a.may_rise, m.mark FROM (
  SELECT seq FROM given WHERE seq BETWEEN ?1 AND ?2 UNION SELECT seq FROM told_event WHERE seq BETWEEN ?1 AND ?2 UNION
  SELECT seq FROM link_event WHERE seq BETWEEN ?1 AND ?2 UNION SELECT seq FROM age_event WHERE seq BETWEEN ?1 AND ?2
  UNION SELECT seq FROM acted WHERE seq BETWEEN ?1 AND ?2
) d LEFT JOIN given g ON g.seq = d.seq
LEFT JOIN link_event l ON l.seq = d.seq AND l.at IS NOT NULL AND NOT l.released
LEFT JOIN told_event t ON t.seq = d.seq LEFT JOIN age_event a ON a.seq = d.seq LEFT JOIN acted m ON m.seq = d.seq
"""
NOTHING_BESIDE = (None,) * 11


class PlacedRecord(NamedTuple):
    """A record with its place among what has one number."""

    phase: int
    turn: int
    record: Record

    def order(self) -> tuple[int, ...]:
        return self.record.seq, self.phase, self.record.at, self.turn


def records_of(db: sqlite3.Connection, now: int = FOR_EVER, since: int = 0) -> list[Record]:
    """Everything until a moment in Unix milliseconds, in the order of the log; `since`: from that entry on."""
    return [*with_ends(said_of(db, now, since), _dated_before(db, since))]


def said_of(
    db: sqlite3.Connection, now: int = FOR_EVER, since: int = 0, keys: Collection[bytes] | None = None
) -> list[Record]:
    """The same without the ends of links by their date. `keys`: only what is about these, and voids of screens."""

    def rows(sql: str, *more: int) -> Iterable[tuple[Any, ...]]:
        if keys is not None:
            return [*rows_of(db, sql, keys, *more)]
        late = "" if sql is OLD else f"seq >= {since:d} AND "  # an older link may end later
        return db.execute(ABOUT.sub(lambda of: late and f"{of[1] or ''}{late}", sql), more)

    found = [*_beside(rows, now), *_entries(rows(SAID, now, now)), *_screens(db, now)]
    return [each.record for each in sorted(found, key=PlacedRecord.order) if each.record.seq >= since]


def beside_entries(db: sqlite3.Connection, first: int, last: int) -> dict[int, tuple[Any, ...]]:
    """What stands beside some entries of the log, as `Entered` has it: of those beside which anything does."""
    return {seq: tuple(beside) for seq, *beside in db.execute(BESIDE, (first, last))}


def said_in(db: sqlite3.Connection, seqs: Collection[int]) -> Iterator[PlacedRecord]:
    """What some entries say."""
    return _entries(rows_of(db, SAID.replace("d.key IN", "d.seq IN"), seqs, FOR_EVER, FOR_EVER))


def said_beside(db: sqlite3.Connection) -> Iterator[PlacedRecord]:
    """What no entry says."""
    return _beside(lambda sql, *more: db.execute(ABOUT.sub("", sql), more), FOR_EVER)


def _beside(rows: Rows, now: int) -> Iterator[PlacedRecord]:
    for said in (_names, _mailboxes, _old_links, _used, _kept):
        yield from said(rows, now)


def _names(rows: Rows, now: int) -> Iterator[PlacedRecord]:
    """What one call learnt is learnt at once. Of looser forms no time is known: they are there before all else."""
    for seq, key, alias in rows(LOOSER):
        yield PlacedRecord(NAMES, -1, Record(seq, 0, key, told.NamesLearnt(looser=(alias,))))
    for (seq, at, key), learnt in groupby(rows(LEARNT, now), key=itemgetter(0, 1, 3)):
        names = list(learnt)
        yield PlacedRecord(NAMES, names[0][2], Record(seq, at, key, told.NamesLearnt(tuple(row[4] for row in names))))


def _mailboxes(rows: Rows, now: int) -> Iterator[PlacedRecord]:
    for seq, at, turn, spelling, mailbox in rows(SPELT, now):
        yield PlacedRecord(MAILBOXES, turn, Record(seq, at, spelling, told.NamesLearnt(mailbox=mailbox)))


def _old_links(rows: Rows, now: int) -> Iterator[PlacedRecord]:
    """Links and releases from before they were entries, as of the last state that is known of each."""
    for seq, turn, account, identifier, start, until, before, over in rows(OLD, now):
        if account is None:
            yield PlacedRecord(OLD_LINKS, turn, Record(seq, before, identifier, told.Released(ends_links=False)))
            continue
        at = max(start, before)
        yield PlacedRecord(OLD_LINKS, turn, Record(seq, at, identifier, told.LinkSaid(account, start, until)))
        if over is not None:
            yield PlacedRecord(OLD_LINKS, turn, Record(over, until, identifier, told.LinkSaid(account, start, until)))


def _used(rows: Rows, now: int) -> Iterator[PlacedRecord]:
    for seq, at, turn, key, recipient in rows(SPENT, now):
        yield PlacedRecord(USED, turn, Record(seq, at, key, told.ActUsed(recipient)))


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
    return told.KeptEnd(Purpose(purpose), no=what == End.BOTH, back=what == End.BACK, screen=ui)


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
        each = entry_record(Entered._make((*row[:4], orjson.loads(row[4] or "{}"), *row[5:])))
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
    screen = leaf.get("ui", leaf.get("nv", ""))  # older ones name no screen: the notice's version stands for it
    if recipient:  # and no class, for there was no other
        data_class = DataClass(classes[0]) if classes else DataClass.PRECISE_GEO
        return told.GrantSaid(recipient, purposes, data_class, GrantKind.OPTED_IN, screen)
    return told.SaidIn(purposes, screen, bool(entered.informed), bool(entered.parental))


Dated = dict[tuple[bytes, bytes], told.LinkSaid]  # links with a date that has not come, by account and key


def with_ends(records: Iterable[Record], dated: Dated | None = None) -> Iterator[Record]:
    """With the ends of links by their date, which are no entries yet: denials cross a link until a clock is as far past
    it as one may be wrong (`reach.SKEW`). `dated`: links from before the records.
    """
    dated = {} if dated is None else dated
    for record in records:
        for account, key in [link for link, said in dated.items() if (said.until or 0) <= record.at - SKEW]:
            said = dated.pop((account, key))
            yield Record(record.seq, said.until or 0, key, said)
        yield record
        if isinstance(record.said, told.LinkSaid):
            dated.pop(link := (record.said.account, record.key), None)
            if record.said.until is not None:
                dated[link] = record.said


def _dated_before(db: sqlite3.Connection, since: int) -> Dated:
    """As they are before an entry. Of one whose end was told already it is told again, and then is no news."""
    found: Dated = {}
    for account, key, start, until, claimed in db.execute(DATED, (since, SKEW)) if since else ():
        found[account, key] = told.LinkSaid(account, start, until, bool(claimed))
    return found


class LedgerLog:
    """Today's ledger as a state follows it (`gateway.state.upkeep.FollowedLog`), at one moment of a connection. A
    position is that of an entry and how many records have been there; so what is told between two entries is folded at
    once. An older record may change here still, by a void, an unlink, a prune or a new pepper: then each root is
    another one.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.name, size, *changes = db.execute(CHANGES).fetchone()
        self._size, self._changes = size, repr(changes).encode()
        self._since, self._records = FOR_EVER, list[Record]()

    def root(self, position: int) -> bytes | None:
        seq, count = divmod(position, PLACES)
        if seq > self._size:
            return None
        there = [each for each in self._from(seq) if each.seq == seq][:count]
        if len(there) < count:
            return None
        return sha256(root_at(self._db, seq) + self._changes + repr(there).encode()).digest()

    def read(self, after: int) -> Iterator[tuple[int, Record]]:
        """Each with the position behind it."""
        since, skip = divmod(after, PLACES)
        for seq, records in groupby(self._from(since), key=attrgetter("seq")):
            for number, record in enumerate(records):
                if seq > since or number >= skip:
                    yield seq * PLACES + number + 1, record

    def _from(self, seq: int) -> list[Record]:
        if seq < self._since:
            self._since, self._records = seq, records_of(self._db, since=seq)
        return self._records[bisect_left(self._records, seq, key=attrgetter("seq")) :]
