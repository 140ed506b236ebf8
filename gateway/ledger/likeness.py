"""Who is alike: people to whom the same happened in the same order, under other keys, in other entries and at other
moments. What the rules say of one they say of all, so `verify` and `prune` ask them once.

A rule compares keys, numbers and moments with each other and with nothing else, but for dates that are said (the end of
a link, a release, an act that is good for some minutes): whoever has one is like nobody. Reads only.
"""

import sqlite3
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import Any

from gateway.fold import record as told
from gateway.fold.record import EVERYBODY, Record, Said
from gateway.ledger.log_records import PlacedRecord
from gateway.ledger.standing_rows import FOR_EVER, Row

ASKED = (told.SaidIn, told.GrantSaid, told.KeptEnd)  # on a screen
MARKED = (told.SaidOut, told.SaidPruned, told.StateSaid, told.AgeTold)  # by an installation of an app
# What differs among those who are alike, by where it lies in their `values`: keys, numbers of entries, numbers of the
# entries behind those, times, marks of installations (and sources with a mark).
KEYS, NUMBERS, BEHIND, MOMENTS, MARKS = range(5)
KINDS = {
    **dict.fromkeys(("key", "origin", "via", "account", "identifier"), (KEYS,)),
    **dict.fromkeys(("seq", "ended"), (NUMBERS,)),
    **dict.fromkeys(("out_at", "in_at", "start", "until"), (MOMENTS,)),
    **dict.fromkeys(("mark", "source"), (MARKS,)),
    "changed": (BEHIND, NUMBERS),
}
LARGEST = 200  # keys: of a larger group each place would be looked for too long


class Turns(dict[Any, int]):
    """Names by the order in which they come up."""

    def __missing__(self, name: Any) -> int:
        self[name] = len(self)
        return len(self) - 1


@dataclass(slots=True, eq=False)
class PeopleGroup:
    """Keys that hang together, what is said of them, and in which `entries` of the log. `like`: all who are like them;
    None: nobody is. `values`: what differs among those, in the order in which it comes up.
    """

    keys: Sequence[bytes]
    said: list[PlacedRecord] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)
    like: "LikePeople | None" = None
    values: Row = ()

    def tell(self, each: PlacedRecord) -> None:
        self.said.append(each)
        self.entries.append(each.record.seq)


class LikePeople:
    """All who are alike. `first`: whom the rules are asked for; `number`: how many groups they are; `wrong`: the rules
    of the tables and the fold do not tell the same of them.
    """

    def __init__(self, first: PeopleGroup, values: Sequence[Sequence[Any]]) -> None:
        self.first, self.number, self.wrong, self._values = first, 0, False, values
        self.fixed: list[Any] = []  # what is the same for all
        self.rows: dict[str, dict[int, Callable[[Row], Row]]] = {}  # by table and place, made from values and `fixed`

    def learn(self, table: str, key: bytes, columns: Sequence[str], cells: Row) -> None:
        """The rows that the rules give the first one's key, one behind the other."""
        places = [self._place(columns[at % len(columns)], cell) for at, cell in enumerate(cells)]
        self.rows.setdefault(table, {})[self.first.values.index(key)] = itemgetter(*places)

    def _place(self, column: str, value: Any) -> int:
        """Where it lies in anybody's values, or, from the end, in what is the same for all."""
        for kind in KINDS.get(column, ()):
            if value in self._values[kind]:
                return sum(map(len, self._values[:kind])) + self._values[kind].index(value)
        if value not in self.fixed:
            self.fixed.insert(0, value)
        return self.fixed.index(value) - len(self.fixed)


class Likenesses:
    """Of many groups."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._voided = {row[0] for row in db.execute("SELECT ui FROM voided_ui")}
        self.known: dict[Hashable, LikePeople] = {}

    def settle(self, group: PeopleGroup, below: int = FOR_EVER) -> None:
        """Once all is said of it; `below`: of what was before an entry."""
        records = [each.record for each in sorted(group.said, key=PlacedRecord.order) if each.record.seq < below]
        group.said.clear()
        group.entries.sort()
        if len(group.keys) > LARGEST or any(self._is_unlike(record.said) for record in records):
            return
        keys, marks, numbers = Turns(), Turns(), _ranks(record.seq for record in records)
        moments = _ranks(moment for record in records for moment in _moments(record))
        happened = (
            len(group.keys),
            tuple([later - one == 1 for one, later in pairwise(numbers)]),
            tuple([
                (numbers[seq], moments[at], keys[key], _renamed(said, keys, moments, marks), account)
                for seq, at, key, said, account in records
            ]),
        )  # fmt: skip
        for key in group.keys:
            keys[key]
        values = (*keys,), (*numbers,), tuple([number + 1 for number in numbers]), (*moments,), (*marks,)
        group.values = tuple([value for each in values for value in each])
        like = self.known.get(happened)
        if like is None:
            like = self.known[happened] = LikePeople(group, values)
        group.like, like.number = like, like.number + 1

    def _is_unlike(self, said: Said) -> bool:
        """Whether a date is said, or a screen was named that is voided."""
        dated = isinstance(said, told.Released) or getattr(said, "until", None) is not None
        return dated or (isinstance(said, ASKED) and said.screen in self._voided)


def _ranks(values: Iterable[int]) -> dict[int, int]:
    return {value: rank for rank, value in enumerate(sorted({*values}))}


def _moments(record: Record) -> tuple[int, ...]:
    return (record.at, record.said.start) if isinstance(record.said, told.LinkSaid) else (record.at,)


def _renamed(said: Said, keys: Turns, moments: dict[int, int], marks: Turns) -> tuple[Any, ...]:
    if isinstance(said, MARKED):
        if said.mark in {"", EVERYBODY}:
            return type(said), said
        more = marks[f"{said.source}@{said.mark}"] if isinstance(said, told.StateSaid) else -1
        return type(said), said._replace(mark=""), marks[said.mark], more
    if isinstance(said, told.LinkSaid):
        return keys[said.account], moments[said.start], said.claimed
    if isinstance(said, told.NamesLearnt):
        mailbox = None if said.mailbox is None else keys[said.mailbox]
        return tuple([keys[each] for each in said.same]), tuple([keys[each] for each in said.looser]), mailbox
    if isinstance(said, told.KeptNo):
        return said.purpose, keys[said.origin], keys[said.via]
    return type(said), said
