"""What is wrong with law tables: rows that cannot be read, rows that can never matter, days without a rule.

Owns what `gateway law check` says. Tables come in as `tomllib` gives them, by file name; nothing is mended here.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from itertools import chain, combinations
from typing import NamedTuple

from gateway.choice.law import LawTable
from gateway.choice.law_reading import entries, read
from gateway.choice.law_rows import AGES, Row
from gateway.terms import CHOOSABLE, Purpose

UNCERTAIN = frozenset({"B", "?"})  # what takes the stricter reading, and has to say which one that is
ONE_DAY = timedelta(days=1)


class Placed(NamedTuple):
    """A row, and where it stands: the file and the row's number in it."""

    where: str
    row: Row

    def __str__(self) -> str:
        return f"{self.where} ({self.row.place} {self.row.subject})"


Finding = tuple[Placed, str]


def findings(tables: Mapping[str, Mapping[str, object]]) -> list[str]:
    """A sentence for each thing that is wrong, naming file and row; empty when nothing is."""
    placed: list[Placed] = []
    unreadable: list[str] = []
    for name, table in tables.items():
        _read(name, table, placed, unreadable)
    law = LawTable(item.row for item in placed)
    told: dict[tuple[str, str, str], str] = {}  # a row of thirty states is told once, not thirty times
    between = chain(
        _unexplained(placed), _shadowed(placed), _doubled(placed), _ended(placed, law), _silent(placed, law)
    )
    for item, what in between:
        told.setdefault((item.where, item.row.subject, what), f"{item}: {what}")
    return [*unreadable, *told.values()]


def _read(name: str, table: Mapping[str, object], placed: list[Placed], unreadable: list[str]) -> None:
    where = name
    try:
        for number, entry in entries(table):
            where = f"{name} {number}"
            try:
                placed += [Placed(where, row) for row in read(entry)]
            except ValueError as error:
                unreadable.append(f"{where}: {error}")
    except ValueError as error:
        unreadable.append(f"{name}: {error}")


def _unexplained(placed: list[Placed]) -> Iterator[Finding]:
    for item in placed:
        if item.row.confidence in UNCERTAIN and not item.row.note:
            yield item, f"confidence {item.row.confidence} wants a note that says how it was read"


def _shadowed(placed: list[Placed]) -> Iterator[Finding]:
    """Of two rows of one place and subject: the one that, while both hold, is the strictest for nobody."""
    for first, second in _pairs(placed):
        since, until = max(first.row.start, second.row.start), min(_end(first.row), _end(second.row))
        for strong, weak in ((first, second), (second, first)):
            covered = strong.row.strictness >= weak.row.strictness and strong.row.reach >= weak.row.reach
            if since <= until and covered:
                yield (
                    weak,
                    f"can never matter from {since}: {strong.where} is {strong.row.rule.name.lower()} for the same",
                )
                break


def _doubled(placed: list[Placed]) -> Iterator[Finding]:
    """The same law twice, where one row over both spells would say it."""
    for first, second in _pairs(placed):
        earlier, later = sorted((first, second), key=lambda item: item.row.start)
        told = [(row.rule, row.in_band, row.reach, row.citation) for row in (first.row, second.row)]
        if earlier.row.until and earlier.row.until + ONE_DAY == later.row.start and told[0] == told[1]:
            yield later, f"says what {earlier.where} says, by the same citation"


def _pairs(placed: list[Placed]) -> Iterator[tuple[Placed, Placed]]:
    groups: defaultdict[tuple[str, str], list[Placed]] = defaultdict(list)
    for item in placed:
        groups[item.row.place, item.row.subject].append(item)
    for group in groups.values():
        yield from combinations(group, 2)


def _end(row: Row) -> date:
    return row.until or date.max


def _ended(placed: list[Placed], law: LawTable) -> Iterator[Finding]:
    """A row that ends, and the day after nothing is said for the people it was for."""
    for item in placed:
        row = item.row
        if row.until and not law.on_file(row.place, row.subject, row.until + ONE_DAY, AGES[row.reach]):
            yield item, f"ends on {row.until}, and nothing follows"


def _silent(placed: list[Placed], law: LawTable) -> Iterator[Finding]:
    """A general law (it has a rule for the sale of an adult's data) that leaves a purpose of people's choice out."""
    last = max(law.days(), default=date.min)
    for item in placed:
        if item.row.subject == Purpose.SALE and item.row.for_everybody:
            for purpose in CHOOSABLE:
                if not law.on_file(item.row.place, purpose, last):
                    yield item, f"a law for {item.row.place} without a rule for {purpose}"
