"""What is told beside entries, from which the fold is made, against what the entries say themselves (`gateway verify`):
in the same order, the same word about the same person at the same time, and nothing where an entry says nothing. What a
leaf does not show, sealed details do (`boxes_check`). Reads only.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from gateway.fold import record as told
from gateway.fold.record import Kept, Record, Said
from gateway.fold.state import FOR_EVER
from gateway.ledger.audit.reading import Entry, Leaf
from gateway.ledger.choice_record import said_place
from gateway.ledger.errors import EntryUnread
from gateway.ledger.log_records import SideRow, all_sides, is_order, mentions_in, readable_sides_of
from gateway.ledger.mentions import sum_of_mentions
from gateway.ledger.proof.entry import DELETION_LIST
from gateway.ledger.subjects import ACT, ACTS
from gateway.terms import ChoiceKind, DataClass, GrantKind, NoticeKind, Purpose, Source

LINKS = frozenset({ChoiceKind.LINKED, ChoiceKind.UNLINKED})
# Of these nothing need be told: nothing rests on it, or it is of somebody who is forgotten.
MAY_BE_SILENT = frozenset({*LINKS, ChoiceKind.TOLD, ChoiceKind.ERASED, ChoiceKind.UNLINKED_PERSON})
BESIDE = told.NamesLearnt | told.ActUsed | Kept  # what may be learnt without an entry; and that a link is over
# What reports read of links and notices.
LINKED = (
    "SELECT seq, identifier, account, start, until, claimed FROM link_event WHERE NOT released AND seq BETWEEN ? AND ?"
)
GIVEN = "SELECT seq, notice, day FROM told_event WHERE seq BETWEEN ? AND ?"
Sides = Mapping[int, SideRow]  # by the entries that say it
Reported = Mapping[int, tuple[object, ...]]
UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError)  # whatever is there instead


class SidesCheck:
    """Takes the entries as they go by, and walks along what is told beside them. `found`: what is no entry's word, by
    entry.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.found = list[str]()
        self._db = db
        self._walk = all_sides(db)
        self._next: SideRow | None = None
        self._restated, self._going = dict[int, tuple[Entry, Leaf]](), dict[int, tuple[Entry, Leaf]]()
        self._last = -1  # the entry whose row went by last
        self._led = 0  # from each key to each row, as a sum
        self._listed, self._named = Counter[int](), 0  # noes of deletion lists: how many an entry has, and all as a sum
        [self._pruned] = db.execute("SELECT pruned FROM head").fetchone()
        self._go_on()

    def add_going(self, rows: Sequence[Entry], leaves: Sequence[Leaf]) -> Sides:
        """Before all others: entries that a prune that was cut off has left, of which something may still be told."""
        self._going |= {row[0]: (row, leaf) for row, leaf in zip(rows, leaves, strict=True)}
        return {side.seq: side for side in readable_sides_of(self._db, [row[0] for row in rows])}

    def add(self, rows: Sequence[Entry], leaves: Sequence[Leaf]) -> Sides:
        """The next entries, with what they say. Returns what is told beside them, as far as it can be read."""
        if rows[0][0] < self._pruned:
            self._restated |= {row[0]: (row, leaf) for row, leaf in zip(rows, leaves, strict=True)}
            return {side.seq: side for side in readable_sides_of(self._db, [row[0] for row in rows])}
        reported, found = self._reported(rows[0][0], rows[-1][0]), dict[int, SideRow]()
        for row, leaf in zip(rows, leaves, strict=True):
            side = self._side_of(row[0])
            if side is not None:
                found[side.seq] = side
            if side is None or not _is_of(row, leaf, side, *reported) or not self._has_its_orders(row[0], leaf):
                self._tell(row[0])
        return found

    def finish(self) -> None:
        """That nothing else is told, and that keys lead to all that is."""
        while self._next is not None:
            self._stray(self._next)
            self._go_on()
        if self._led != sum_of_mentions(self._db):
            self.found.append("what leads from people to what is told of them is not what is told")
        if self._named != sum(map(hash, self._db.execute("SELECT seq, key FROM deletion_key"))):
            self.found.append("the requests of deletion lists are not those whose no is told")

    def _has_its_orders(self, seq: int, leaf: Leaf) -> bool:
        """Whether as many requests of a deletion list are told beside an entry as it says; of most entries none."""
        return self._listed.pop(seq, 0) == (leaf.get("count") if leaf["e"] == DELETION_LIST else 0)

    def _side_of(self, seq: int) -> SideRow | None:
        """The row of an entry, where it comes in its turn; those before it are looked at."""
        while (row := self._next) is not None and not (row.entered and row.seq >= seq):
            self._stray(row)
            self._go_on()
        self._last = seq
        if row is None or row.seq > seq:
            return None
        self._go_on()
        return row

    def _go_on(self) -> None:
        """To the next row that can be read."""
        while True:
            try:
                self._next = next(self._walk, None)
                led = mentions_in(self._next.place, self._next.records()) if self._next else ()
            except EntryUnread as error:
                self.found.append(str(error))
            else:
                self._led += sum(map(hash, led))
                return

    def _stray(self, row: SideRow) -> None:
        """A row that is none of an entry whose body is kept."""
        if not row.entered:
            orders = [(each.key, each.said.mark) for each in row.records() if is_order(each.said)]
            self._listed[row.seq] += sum(bool(mark) for _, mark in orders)  # without one: the same request's second
            self._named += sum(hash((row.seq, key)) for key, _ in orders)
            if row.seq > self._last + 1 or not all(_may_be_learnt(row, each) for each in row.records()):
                self.found.append(f"something is told before entry {row.seq} that only an entry may say")
            return
        is_pruned = all(isinstance(each.said, told.SaidPruned) for each in row.own())
        if row.seq in self._restated:
            right = self._is_word_of(self._restated[row.seq], row)
        elif row.seq in self._going and not is_pruned:
            right = self._is_word_of(self._going[row.seq], row)
        else:
            right = row.seq < self._pruned and is_pruned
        if not right or row.seq <= self._last:
            self._tell(row.seq)
        self._last = max(self._last, row.seq)

    def _is_word_of(self, said: tuple[Entry, Leaf], row: SideRow) -> bool:
        return _is_of(*said, row, *self._reported(row.seq, row.seq))

    def _tell(self, seq: int) -> None:
        self.found.append(f"what is told beside entry {seq} is not what it says")

    def _reported(self, first: int, last: int) -> tuple[Reported, Reported]:
        links, notices = (_by_number(self._db.execute(sql, (first, last))) for sql in (LINKED, GIVEN))
        return links, notices


def _by_number(rows: Iterable[tuple[Any, ...]]) -> Reported:
    return {seq: tuple(row) for seq, *row in rows}


def _may_be_learnt(row: SideRow, record: Record) -> bool:
    """Between two entries; a link that is over is so before the day on which that is told."""
    if isinstance(record.said, told.LinkSaid):
        return record.said.until == record.at < row.side.at
    return (isinstance(record.said, BESIDE) or is_order(record.said)) and record.at == row.side.at < FOR_EVER


def _is_of(row: Entry, leaf: Leaf, side: SideRow, links: Reported, notices: Reported) -> bool:
    """Whether the side of an entry is its own, and reports have the same of it. About nobody is an entry, too, whose
    person is forgotten.
    """
    own = side.own()
    linked = next(((each.key, *each.said) for each in own if isinstance(each.said, told.LinkSaid)), None)
    try:
        given = (leaf["k"], _day(leaf)) if leaf["e"] == ChoiceKind.TOLD else None
        reported = links.get(side.seq) == linked and notices.get(side.seq, given) == given
        return reported and (_is_about_nobody(leaf, side, own) if row[2] is None else _is_about(row, leaf, side, own))
    except UNREADABLE:
        return False


def _is_about_nobody(leaf: Leaf, side: SideRow, own: Collection[Record]) -> bool:
    voids = leaf["e"] == ChoiceKind.CONSENT_VOIDED
    said = [told.ScreenVoided(leaf["ui"])] if voids else []
    return [each.said for each in own] == said and all(each.at == side.side.at < FOR_EVER for each in own)


def _is_about(row: Entry, leaf: Leaf, side: SideRow, own: Sequence[Record]) -> bool:
    _, _, key, at, *_, kind = row
    if any((each.key, each.at) != (key, at) for each in side.records()) or side.side.at != at:
        return False
    if not own:
        return leaf["e"] in MAY_BE_SILENT
    [record] = own
    return record.account == (kind == "account") and record.said == _shown(ChoiceKind(leaf["e"]), leaf, at, record.said)


def _day(leaf: Leaf) -> int:
    return date.fromisoformat(leaf["day"]).toordinal()


def _shown(word: ChoiceKind, leaf: Leaf, at: int, said: Said) -> Said | None:
    """What a leaf says, with what only its side has. None: it says nothing."""
    if word in LINKS:
        return said if isinstance(said, told.LinkSaid) else None
    if word is ChoiceKind.AGE:
        return said if isinstance(said, told.AgeTold) else None
    if word is ChoiceKind.TOLD:
        return told.NoticeGiven(NoticeKind(leaf["k"]), _day(leaf))
    if word in MAY_BE_SILENT:
        return None
    if word in {ChoiceKind.NUMBER_RELEASED, ChoiceKind.CHILD_FOUND}:
        return told.Released() if word is ChoiceKind.NUMBER_RELEASED else told.ChildFound()
    return _chosen(word, leaf, at, said)


def _chosen(word: ChoiceKind, leaf: Leaf, at: int, said: Said) -> Said:
    purposes, source, mark = _purposes(tuple(leaf.get("p", ()))), leaf.get("src", ""), getattr(said, "mark", "")
    if word in {ChoiceKind.STATE_BEGAN, ChoiceKind.STATE_ENDED}:
        return told.StateSaid(word is ChoiceKind.STATE_BEGAN, purposes, source, mark)
    recipient, screen, place = leaf.get("to", ""), leaf.get("ui", ""), said_place(source, leaf.get("j", ""))
    of = DataClass(leaf["c"][0]) if leaf.get("c") else None
    if word in ACTS:
        until = at + ACT if ACTS[word] is GrantKind.DIRECTED else None
        return told.GrantSaid(recipient, purposes, of, ACTS[word], screen, until, place)
    if word is not ChoiceKind.OPT_IN:
        return told.SaidOut(purposes, source, mark, dated=source != Source.READING, place=place)
    if recipient:
        return told.GrantSaid(recipient, purposes, of, GrantKind.OPTED_IN, screen, place=place)
    return told.SaidIn(purposes, screen, getattr(said, "informed", False), getattr(said, "parental", False), place)


@lru_cache
def _purposes(said: tuple[str, ...]) -> tuple[Purpose, ...]:
    return tuple(each for each in Purpose if each in said)
