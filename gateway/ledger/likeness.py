"""Who is alike: people to whom the same happened in the same order, and who have the same rows, under other keys, in
other entries and at other moments. What the rules say of one they say of all, so `verify` and `prune` ask them once.

A rule compares keys, numbers and moments with each other and with nothing else, but for dates that are said (the end of
a link, a release, an act that is good for some minutes): whoever has one is like nobody. Reads only.
"""

import sqlite3
from bisect import bisect_right
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

from gateway.fold import record as told
from gateway.fold.record import EVERYBODY, Record, Said
from gateway.ledger import log_records
from gateway.ledger.log_records import PlacedRecord
from gateway.ledger.standing_rows import FOR_EVER, Row

ASKED = (told.SaidIn, told.GrantSaid, told.KeptEnd)  # on a screen
BITS = 32
PLACE = (1 << BITS) - 1
GROUP = ~PLACE
# Of what a row says behind its key, which are keys, numbers of entries, times, marks of installations, and sources
# with a mark. Of the two largest tables: `Likenesses.add_standings`, `add_travelled`.
COLUMNS = {
    "own_choice": "..ntt...",
    "device_state": "s.n",
    "grant_choice": "....n..",
    "told": "..n",
    "age": "..n.",
    "age_word": "m.n",
    "link": "kttnn.",
    "release": "n",
}
MARKED = (told.SaidOut, told.SaidPruned, told.StateSaid, told.AgeTold)  # by an installation of an app


def records_of_groups(db: sqlite3.Connection, groups: Iterable[Sequence[bytes]]) -> list[list[Record]]:
    """What the entries of groups say, in the order of the log; a void of a screen where something was said on it."""
    found = [(keys, list[Record]()) for keys in groups]
    records_of = {key: records for keys, records in found for key in keys}
    for record in log_records.records_of(db, keys=records_of.keys()):
        if isinstance(record.said, told.ScreenVoided):
            for _, records in found:
                records.append(record)
        else:
            records_of[record.key].append(record)
    return [_without_other_screens(records) for _, records in found]


def _without_other_screens(records: list[Record]) -> list[Record]:
    screens = {record.said.screen for record in records if isinstance(record.said, ASKED)}
    return [each for each in records if not isinstance(each.said, told.ScreenVoided) or each.said.screen in screens]


class Ranks(dict[Any, Any]):
    """Moments by their place among those of the records, or how far behind that."""

    def __init__(self, moments: Iterable[int]) -> None:
        self.sorted = sorted({*moments})
        super().__init__({moment: rank for rank, moment in enumerate(self.sorted)})

    def __missing__(self, moment: int | None) -> Any:
        if moment is None or moment in (0, FOR_EVER):
            return moment
        rank = bisect_right(self.sorted, moment) - 1
        return rank, moment - self.sorted[rank] if rank >= 0 else moment


class Turns(dict[Any, int]):
    """Names by the order in which they come up."""

    def __missing__(self, name: Any) -> int:
        self[name] = len(self)
        return len(self) - 1


@dataclass(slots=True)
class PeopleGroup:
    """Keys that hang together, and what is said of them: first as records, then as what whoever is like them has too.
    `entries`: which of the log.
    """

    keys: Sequence[bytes]
    said: list[PlacedRecord] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)
    happened: int | None = None
    rows: list[int] = field(default_factory=list)

    def like(self) -> Hashable | None:
        """The same for all who are alike; None: whoever is like nobody."""
        return None if self.happened is None else (self.happened, *sorted(self.rows))


class Likenesses:
    """Of many groups. What is told of each is kept once for all who are alike. A key's place and an entry's number are
    its group's number, in the upper bits, and its place in it.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._voided = {row[0] for row in db.execute("SELECT ui FROM voided_ui")}
        self._groups: list[PeopleGroup] = []
        self._moments: list[Ranks] = []
        self._marks: list[Turns] = []
        self._places: dict[bytes, int] = {}
        self._numbers: dict[int, int] = {}
        self._known: dict[Hashable, int] = {}

    def settle(self, group: PeopleGroup, below: int = FOR_EVER) -> None:
        """Once all is said of it; `below`: of what was before an entry."""
        records = [each.record for each in sorted(group.said, key=PlacedRecord.order) if each.record.seq < below]
        keys, marks, moments = Turns(), Turns(), Ranks(moment for record in records for moment in _moments(record))
        happened = happened_to(records, keys, moments, marks)
        if not any(self._is_unlike(record.said) for record in records):
            group.happened = self._number(happened)
        base = len(self._groups) << BITS
        for key in group.keys:
            self._places[key] = base + keys[key]
        group.entries.sort()
        self._numbers.update({seq: base + number for number, seq in enumerate(group.entries)})
        group.said.clear()
        self._groups.append(group)
        self._moments.append(moments)
        self._marks.append(marks)

    def _number(self, content: Hashable) -> int:
        return self._known.setdefault(content, len(self._known))

    def _is_unlike(self, said: Said) -> bool:
        """Whether a date is said, or a screen was named that is voided."""
        dated = isinstance(said, told.Released) or getattr(said, "until", None) is not None
        return dated or (isinstance(said, ASKED) and said.screen in self._voided)

    def add(self, table: str, rows: Iterable[Row]) -> int:
        """Each row to its group, by the key in its first column. Returns how many are nobody's."""
        places, known, groups, kinds, others = self._places, self._known, self._groups, COLUMNS[table], 0
        for row in rows:
            place = places.get(row[0])
            if place is None:
                others += 1
                continue
            content = (table, place & PLACE, *map(self._renamed, kinds, row[1:], repeat(place >> BITS)))
            groups[place >> BITS].rows.append(known.setdefault(content, len(known)))
        return others

    def _renamed(self, kind: str, value: Any, group: int) -> Any:
        """A column's value under another key, in another entry, at another moment, by another installation."""
        if kind == "k":
            return self._places.get(value, -1) - (group << BITS)
        if kind == "n":
            return None if value is None else self._numbers.get(value, -1) - (group << BITS)
        if kind == "t":
            return self._moments[group][value]
        if kind == "s":
            source, _, mark = value.partition("@")
            return source, _mark(mark, self._marks[group])
        return _mark(value, self._marks[group]) if kind == "m" else value

    def add_standings(self, rows: Iterable[Row]) -> int:
        """As `add` does, for there are many. A row was written when its last entry was there, or later."""
        places, numbers, known, groups, others = self._places, self._numbers, self._known, self._groups, 0
        for key, own, travelled, age, seq, linked, granted, held, changed, *more in rows:
            place = places.get(key)
            if place is None:
                others += 1
                continue
            base = place & GROUP
            last = None if seq is None else numbers.get(seq, -1) - base
            written = numbers.get(changed - 1, -1) - base
            content = (place - base, own, travelled, age, last, linked, granted, held, written, *more)
            groups[place >> BITS].rows.append(known.setdefault(content, len(known)))
        return others

    def add_travelled(self, rows: Iterable[Row]) -> None:
        """As `add` does, for there are many."""
        places, numbers, known, groups = self._places, self._numbers, self._known, self._groups
        for key, purpose, origin, via, seq in rows:
            place = places[key]
            base = place & GROUP
            content = (
                place - base,
                purpose,
                places.get(origin, -1) - base,
                places.get(via, -1) - base,
                numbers.get(seq, -1) - base,
            )
            groups[place >> BITS].rows.append(known.setdefault(content, len(known)))


def happened_to(records: Sequence[Record], keys: Turns, moments: Ranks, marks: Turns) -> tuple[Hashable, ...]:
    """What happened to people, under other keys, in other entries and at other moments."""
    numbers = Ranks(record.seq for record in records)
    return tuple([
        (numbers[seq], moments[at], keys[key], _renamed(said, keys, moments, marks), account)
        for seq, at, key, said, account in records
    ])  # fmt: skip


def _moments(record: Record) -> tuple[int, ...]:
    return (record.at, record.said.start) if isinstance(record.said, told.LinkSaid) else (record.at,)


def _renamed(said: Said, keys: Turns, moments: Ranks, marks: Turns) -> tuple[Any, ...]:
    if isinstance(said, MARKED):
        return (type(said), said._replace(mark=""), _mark(said.mark, marks)) if said.mark else (type(said), said)
    if isinstance(said, told.LinkSaid):
        return keys[said.account], moments[said.start], said.claimed
    if isinstance(said, told.NamesLearnt):
        mailbox = None if said.mailbox is None else keys[said.mailbox]
        return tuple([keys[each] for each in said.same]), tuple([keys[each] for each in said.looser]), mailbox
    if isinstance(said, told.KeptNo):
        return said.purpose, keys[said.origin], keys[said.via]
    return type(said), said


def _mark(mark: str, marks: Turns) -> int | str:
    return marks[mark] if mark not in {"", EVERYBODY} else mark
