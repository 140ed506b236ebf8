"""Who is alike: people to whom the same happened in the same order, under other keys, in other entries and at other
moments. What the rules say of one they say of all, so `prune` asks them once.

A rule compares keys, numbers and moments with each other and with nothing else, but for dates that are said (the end of
a link, a release, an act that is good for some minutes): whoever has one is like nobody. Reads only.
"""

import sqlite3
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, pairwise, repeat
from operator import itemgetter
from typing import Any

import orjson

from gateway.fold import fold
from gateway.fold import record as told
from gateway.fold.reading import standing_of
from gateway.fold.record import EVERYBODY, Record, SaidOut
from gateway.fold.state import Place
from gateway.ledger import log_records, reach
from gateway.ledger.log_records import NOBODY, NOTHING_BESIDE, Entered
from gateway.ledger.reading import EVERY, Entry, Leaf, LedgerReading
from gateway.ledger.standing_rows import Row
from gateway.terms import ChoiceKind, Purpose, Source

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
        for each in (group.named, group.moments, group.marks, group.words):
            each.clear()


def _values(group: PeopleGroup) -> tuple[Sequence[Any], ...]:
    """What is its own, by kind."""
    keys, numbers = [*dict.fromkeys((*group.named, *group.keys))], sorted({*group.numbers})
    return keys, numbers, [number + 1 for number in numbers], sorted({*group.moments}), [*dict.fromkeys(group.marks)]


def _by_place(values: Sequence[Any], told: Sequence[Any]) -> tuple[int, ...]:
    return tuple(map({value: place for place, value in enumerate(values)}.__getitem__, told))


EntryWord = tuple[int, bool, str | None]
VARYING = frozenset("dist")  # members of a leaf that no two entries share
ACCOUNT = "account"
UNNAMED, MARKED = frozenset({None, "", EVERYBODY}), "marked"
# What no entry says: as of which entry, when, of whom; then other keys, as far as a place, and what else a row says.
SAID_BESIDE = {
    table: (names, f"SELECT {columns} FROM {table} WHERE seq < ? AND {which}")  # noqa: S608 - ours
    for table, names, columns, which in (
        ("looser_name", 4, "seq, 0, canonical, alias", "true ORDER BY seq, canonical"),
        ("name", 4, "seq, at, canonical, alias", "true ORDER BY turn"),
        ("mailbox_name", 4, "seq, at, spelling, mailbox", "true ORDER BY turn"),
        ("link_event", 3, "seq, start, identifier", "at IS NULL"),  # from before links were entries
        ("act_used", 3, "seq, at, key, recipient", "true ORDER BY turn"),
        ("kept_deny", 5, "seq, at, key, origin, via, purpose", "true ORDER BY seq"),
        ("kept_end", 3, "seq, at, key, purpose, what, ui", "true ORDER BY seq"),
        ("kept_revoked", 3, "seq, at, key, recipient, purpose, data_class, kind", "true ORDER BY seq"),
        ("kept_told", 3, "seq, at, key, notice, day", "true ORDER BY seq"),
        ("kept_age", 3, "seq, at, key, band, youngest, fixed", "true ORDER BY seq"),
    )
}
AS_OF = itemgetter(0, 1, 2)
# Whoever said more than one thing, or something that was voided.
SEVERAL = """
SELECT key FROM detail GROUP BY key HAVING count(*) > 1
UNION SELECT d.key FROM voided_choice v JOIN detail d ON d.seq = v.seq
"""
NOES = frozenset({ChoiceKind.OPT_OUT, ChoiceKind.LIMIT, ChoiceKind.WITHDRAW})


class OwnBits(dict[tuple[str, ...], int]):
    """What one no denies for whoever said it, by what its entry says, as the fold has it; 0: it is no such no."""

    def __missing__(self, word: tuple[str, ...]) -> int:
        kind, source, *purposes = word
        self[word] = 0
        if kind in NOES and source != Source.READING:
            said = SaidOut(tuple(Purpose(each) for each in purposes), source)
            state = fold(Record(0, 0, NOBODY, said), dict[Place, Any]().get)
            self[word] = standing_of(NOBODY, state.get, 0).own
        return self[word]


class LikenessReading(LedgerReading):
    """One pass over the log, or over what lies `below` an entry. `groups`: who hangs together with somebody, or said
    anything but one no, with all of it. `alone`: everybody else, as `rows_check` reads their rows.
    """

    def __init__(self, db: sqlite3.Connection, below: int = EVERY) -> None:
        self.groups: dict[bytes, PeopleGroup] = {}
        for keys in chain(reach.connected_groups(db), db.execute(SEVERAL)):
            if keys[0] not in self.groups:
                self.groups.update(dict.fromkeys(keys, PeopleGroup(keys)))
        self.alone = list[Row]()
        super().__init__(db)
        self.unread: set[bytes] = set()  # of whom an entry cannot be read
        self._own, self._words = OwnBits(), dict[Hashable, EntryWord]()
        self._voided = {row[0] for row in db.execute("SELECT seq FROM voided_choice")}
        self._screens = {row[0] for row in db.execute("SELECT ui FROM voided_ui")}
        for table, (names, sql) in SAID_BESIDE.items():
            for (number, at, key), rows in groupby(db.execute(sql, (below,)), AS_OF):
                group, columns = self._group(key), [*zip(*rows, strict=True)]
                group.named.append(key)
                group.numbers.append(number)
                group.moments.append(at)
                for column in columns[3:names]:
                    group.named += column
                group.words.append((table, len(columns[0]), *columns[names:]))
                if table == "link_event" or (table == "kept_end" and not self._screens.isdisjoint(columns[-1])):
                    group.dated = True

    def _group(self, key: bytes) -> PeopleGroup:
        return self.groups.get(key) or self.groups.setdefault(key, PeopleGroup([key]))

    def add(self, rows: Sequence[Entry]) -> Sequence[Leaf]:
        """The next entries, all of them pruned ones or none."""
        leaves = super().add(rows)
        seqs, _, keys, ats, *_, kinds = zip(*rows, strict=True)
        beside = log_records.beside_entries(self._db, seqs[0], seqs[-1])
        groups, alone, own_bits = self.groups, self.alone, self._own
        for seq, at, key, kind, leaf in zip(seqs, ats, keys, kinds, leaves, strict=True):
            try:
                if key is None:
                    continue
                if key not in groups and (own := own_bits[leaf["e"], leaf.get("src", ""), *leaf.get("p", ())]):
                    alone.append((key, own, seq, at))
                else:
                    self._hear(Entered(seq, at, key, kind, leaf, *beside.get(seq, NOTHING_BESIDE)))
            except (KeyError, TypeError, ValueError):
                self.unread.add(key)
        return leaves

    def _hear(self, entered: Entered) -> None:
        """Tells it of whoever it is about."""
        group, (_, dated, source) = self._group(entered.key), (word := self._word(entered))
        group.named.append(entered.key)
        group.numbers.append(entered.seq)
        group.moments.append(entered.at)
        group.words.append(word)
        group.dated = group.dated or dated
        if entered.account is not None:
            group.named.append(entered.account)
            group.moments.append(entered.start)
        if entered.mark and entered.mark not in UNNAMED:
            group.marks += [entered.mark, f"{source}@{entered.mark}"]

    def _word(self, entered: Entered) -> EntryWord:
        """What it says but for keys, numbers, moments and marks: which that is, whether it names a date, its source."""
        leaf = entered.leaf
        for name in VARYING:
            leaf.pop(name, None)
        what = (
            *(entered.kind == ACCOUNT, orjson.dumps(leaf), entered.seq in self._voided, entered.day, entered.outcome),
            *(entered.account is None, entered.until is None, entered.claimed, entered.informed, entered.parental),
            *(entered.band, entered.may_rise, entered.mark if entered.mark in UNNAMED else MARKED),
        )
        if what not in self._words:
            each = log_records.entry_record(entered)
            said = each.record.said if each else None
            dated = isinstance(said, told.Released) or getattr(said, "until", None) is not None
            dated = dated or getattr(said, "screen", None) in self._screens
            self._words[what] = len(self._words), dated, leaf.get("src")
        return self._words[what]

    def people(self) -> list[PeopleGroup]:
        """Each group once."""
        return [group for key, group in self.groups.items() if key == group.keys[0]]
