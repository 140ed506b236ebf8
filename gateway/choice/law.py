"""The law as data: dated rows, each with its citation, and the strictest of them over a set of places.

Owns which rows speak for a place: a state's and the federal ones, a province's and its country's. What no row covers:
another US state is opt-out with "no law on file"; a country without rows is the opt-in regime; a missing, unknown or
unreadable place, and bare `US`, is the opt-in regime with the strictest of all places above it (design decision 7,
R13, L61). Rows come in as plain mappings (the tables are TOML files beside this room); nothing here reads a file or
a clock.
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from functools import lru_cache

from gateway.choice.law_reading import entries, read
from gateway.choice.law_rows import AGES, UNIVERSAL_OPT_OUT, Row, Rule
from gateway.choice.place import (
    PLACE,
    STATE_CODES,
    STATES,
    UNKNOWN_PLACE,
    UNREADABLE_PLACE,
    US,
    country_of,
    is_named,
    is_state,
)  # fmt: skip

__all__ = [
    "AGES", "PLACE", "STATES", "STATE_CODES", "UNIVERSAL_OPT_OUT", "UNKNOWN_PLACE", "UNREADABLE_PLACE", "US",
    "LawTable", "Row", "Rule", "country_of", "parse",
]  # fmt: skip
NOWHERE = frozenset({UNKNOWN_PLACE})
REMEMBERED = 16_384  # answers: 60 places, 30 subjects, 5 ages and room for sets of places; 5 MB when full, measured


class LawTable:
    """All rows, found by place and subject. Never changes once made."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)
        self._found: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            self._found.setdefault((row.place, row.subject), []).append(row)
        self._everywhere = tuple(sorted({row.place for row in self.rows}))
        self._strictest = lru_cache(maxsize=REMEMBERED)(self._find_strictest)

    def strictest(self, places: frozenset[str], subject: str, on: date, age: str | None = None) -> Row:
        """The strictest row in force for a subject over a set of places (R13). An empty set is an unknown place.

        `age`: a band of `AGES`; None counts as adult, an unknown word as the youngest.
        """
        return self._strictest(places or NOWHERE, subject, on, age)

    def applying(self, place: str, subject: str, on: date, age: str | None = None) -> list[Row]:
        """Every row that speaks for a place, the strictest first; the regime's default where none is for everybody."""
        if not is_named(place):  # it could be any of them, and no row says for sure that it holds there
            rows = [_default(place, subject), *self._rows_of(self._everywhere, subject, on, age)]
        else:
            rows = self.on_file(place, subject, on, age)
            if not any(row.for_everybody for row in rows):  # a row for the young adds to what adults have
                rows.append(_default(place, subject))
        return sorted(rows, key=lambda row: row.strictness, reverse=True)

    def on_file(self, place: str, subject: str, on: date, age: str | None = None) -> list[Row]:
        """The rows of a place and of its country, as the tables have them."""
        return self._rows_of(dict.fromkeys((place, place.partition("-")[0])), subject, on, age)

    def days(self) -> list[date]:
        """The days on which the law of some place changes: a row's first, and the one after its last."""
        first = {row.start for row in self.rows}
        return sorted(first | {row.until + timedelta(days=1) for row in self.rows if row.until})

    def _find_strictest(self, places: frozenset[str], subject: str, on: date, age: str | None) -> Row:
        found = [self.applying(place, subject, on, age)[0] for place in sorted(places)]
        return max(found, key=lambda row: row.strictness)

    def _rows_of(self, places: Iterable[str], subject: str, on: date, age: str | None) -> list[Row]:
        return [row for place in places for row in self._found.get((place, subject), ()) if row.holds(on, age)]


def _default(place: str, subject: str) -> Row:
    """What holds where no row does (design decision 7)."""
    if is_state(place):
        return Row(place, subject, Rule.OPT_OUT, "no law on file", date.min)
    return Row(place, subject, Rule.OPT_IN, "opt-in regime: place unknown or foreign", date.min)


def parse(tables: Iterable[Mapping[str, object]]) -> LawTable:
    """Tables as `tomllib` gives them: `[[row]]` of place (or places), subjects, rule, from and citation, and perhaps
    until, ages, in_band, confidence and note; `[[law]]` for what several rows share.

    Raises ValueError that names the row and what is wrong with it.
    """
    rows: list[Row] = []
    for table in tables:
        for where, entry in entries(table):
            try:
                rows.extend(read(entry))
            except ValueError as error:
                raise ValueError(f"law {where} ({entry.get('place', '')}): {error}") from error
    return LawTable(rows)
