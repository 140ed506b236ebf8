"""Who is alike: people to whom the same happened in the same order, under other keys, in other entries and at other
moments. What the rules say of one they say of all, so `verify` and `prune` ask them once.

A rule compares keys, numbers and moments with each other and with nothing else, but for dates that are said (the end of
a link, a release, an act that is good for some minutes): whoever has one is like nobody. Reads only.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise, repeat
from typing import Any

from gateway.ledger.standing_rows import Row

# What differs among those who are alike: keys, numbers of entries, numbers of the entries behind those, times, marks of
# installations (and sources with a mark); and in which columns of their rows that lies.
KEYS, NUMBERS, BEHIND, MOMENTS, MARKS = range(5)
KINDS = {
    **dict.fromkeys(("key", "origin", "via", "account", "identifier"), (KEYS,)),
    **dict.fromkeys(("seq", "ended"), (NUMBERS,)),
    **dict.fromkeys(("out_at", "in_at", "start", "until"), (MOMENTS,)),
    **dict.fromkeys(("mark", "source"), (MARKS,)),
    "changed": (BEHIND, NUMBERS),
}


@dataclass(slots=True, eq=False)
class PeopleGroup:
    """Keys that hang together, and all that happened to them, one thing behind the other: `words` are what it was but
    for its keys, numbers, moments and marks. `dated`: they are like nobody, else `like` is all who are like them.
    """

    keys: Sequence[bytes]
    named: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    moments: list[int] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    words: list[Hashable] = field(default_factory=list)
    dated: bool = False
    like: "LikePeople | None" = None


class LikePeople:
    """All who are alike. `first`: whom the rules are asked for; `wrong`: the rules of the tables and the fold do not
    tell the same of them.
    """

    def __init__(self, first: PeopleGroup, kinds: Sequence[int]) -> None:
        self.first, self.wrong, self._kinds = first, False, kinds
        self.values: list[Row] = []  # of each what differs, in one order
        self._columns: Sequence[Sequence[Any]] = ()
        self._places: Mapping[tuple[int, Any], int] = {}
        self._rows: dict[str, list[list[Iterable[Any]]]] = {}  # by table, each column of one row of everybody

    def learn(self, table: str, names: Sequence[str], row: Row) -> None:
        """One of the rows that the rules give the first one."""
        if not self._columns:
            self._columns = [*zip(*self.values, strict=True)]
            self._places = {cell: at for at, cell in enumerate(zip(self._kinds, self.values[0], strict=True))}
        self._rows.setdefault(table, []).append([*map(self._column, names, row)])

    def _column(self, name: str, value: Any) -> Iterable[Any]:
        places = [self._places[kind, value] for kind in KINDS.get(name, ()) if (kind, value) in self._places]
        return self._columns[places[0]] if places else repeat(value)

    def rows(self, table: str) -> Iterator[Row]:
        """Everybody's."""
        return chain.from_iterable(zip(*columns, strict=False) for columns in self._rows.get(table, ()))


class Likenesses(dict[Hashable, LikePeople]):
    """Of many groups, by what happened to them."""

    def settle(self, group: PeopleGroup) -> None:
        """Once all is told of it."""
        if group.dated:
            return
        keys, numbers, _, moments, marks = values = _values(group)
        happened = (
            len(keys),
            tuple([later - one == 1 for one, later in pairwise(numbers)]),
            _by_place(keys, group.named),
            _by_place(numbers, group.numbers),
            _by_place(moments, group.moments),
            _by_place(marks, group.marks),
            tuple(group.words),
        )
        if happened not in self:
            self[happened] = LikePeople(group, [kind for kind, each in enumerate(values) for _ in each])
        like = group.like = self[happened]
        like.values.append((*chain.from_iterable(values),))
        for told in (group.named, group.moments, group.marks, group.words):
            told.clear()


def _values(group: PeopleGroup) -> tuple[Sequence[Any], ...]:
    """What is its own, by kind."""
    keys, numbers = [*dict.fromkeys((*group.named, *group.keys))], sorted({*group.numbers})
    return keys, numbers, [number + 1 for number in numbers], sorted({*group.moments}), [*dict.fromkeys(group.marks)]


def _by_place(values: Sequence[Any], told: Sequence[Any]) -> tuple[int, ...]:
    return tuple(map({value: place for place, value in enumerate(values)}.__getitem__, told))
