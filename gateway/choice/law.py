"""The law as data: dated rows, each with its citation, and the strictest of them over a set of places.

A row says: in this place, from and until these days, for this purpose or data class, this rule. Rows come in as
plain mappings (the tables are TOML files beside this room); nothing here reads a file or a clock. What no row
covers: another US state is opt-out with "no law on file"; a missing, unknown or foreign place, and bare `US`, is the
opt-in regime (design decision 7).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from functools import lru_cache

UNKNOWN_PLACE = "unknown"
STATE_CODES = """
AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA
RI SC SD TN TX UT VT VA WA WV WI WY AS GU MP PR VI
"""  # ISO 3166-2:US, the territories included
STATES = frozenset(STATE_CODES.split())
PLACE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
US = "US"
UNREADABLE_PLACE = "ZZ"  # ISO 3166 user-assigned: a place that was said and cannot be read


class Rule(IntEnum):
    """From loose to strict; the strictest holds."""

    ALLOWED = 0
    OPT_OUT = 1
    LIMIT = 2
    OPT_IN = 3
    BANNED = 4


@dataclass(frozen=True, slots=True)
class Row:
    """`subject` is a purpose or a data class. `until` is the last day; `confidence` is law.md's mark."""

    place: str
    subject: str
    rule: Rule
    citation: str
    start: date
    until: date | None = None
    confidence: str = ""

    def holds(self, on: date) -> bool:
        return self.start <= on and (self.until is None or on <= self.until)

    def __str__(self) -> str:
        return f"{self.place} {self.citation}"


class LawTable:
    """All rows, found by place and subject."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            self._rows.setdefault((row.place, row.subject), []).append(row)
        self._places = sorted({place for place, _ in self._rows if place.startswith(US)})
        self._strictest = lru_cache(maxsize=4096)(self._find_strictest)

    def strictest(self, places: frozenset[str], subject: str, on: date) -> Row:
        """The strictest row in force for a subject over a set of places (R13). An empty set is an unknown place."""
        return self._strictest(places or frozenset({UNKNOWN_PLACE}), subject, on)

    def _find_strictest(self, places: frozenset[str], subject: str, on: date) -> Row:
        return max((self._at(place, subject, on) for place in sorted(places)), key=lambda row: row.rule)

    def _at(self, place: str, subject: str, on: date) -> Row:
        """The strictest of a place's own rows and the federal ones; without any, the regime's default."""
        if place.startswith("US-") and place[3:] in STATES:
            own, regime = [place, US], Row(place, subject, Rule.OPT_OUT, "no law on file", date.min)
        else:
            # A place that says no more than "here" could be any state, so the strictest of them holds too (R13, L61).
            anywhere = place.startswith(US) or place in {UNKNOWN_PLACE, UNREADABLE_PLACE}
            own = self._places if anywhere else [place]
            regime = Row(place, subject, Rule.OPT_IN, "opt-in regime: place unknown or foreign", date.min)
        rows = [row for name in own for row in self._in_force(name, subject, on)]
        if own is self._places or not rows:
            rows.append(regime)
        return max(rows, key=lambda row: row.rule)

    def _in_force(self, place: str, subject: str, on: date) -> Iterable[Row]:
        return (row for row in self._rows.get((place, subject), ()) if row.holds(on))


def country_of(place: object) -> str:
    """The ISO 3166-1 country of a place, or of the first of several; empty where none can be read."""
    first = place[0] if isinstance(place, list) and place else place
    code = first.strip().upper() if isinstance(first, str) else ""
    return code.partition("-")[0] if PLACE.fullmatch(code) else ""


def parse(tables: Iterable[Mapping[str, object]]) -> LawTable:
    """Tables as `tomllib` gives them: {"row": [{place, subjects, rule, from, until?, citation, confidence}]}.

    Raises ValueError that names the row and what is wrong with it.
    """
    rows: list[Row] = []
    for table in tables:
        entries = table.get("row", [])
        if not isinstance(entries, list):
            raise ValueError("a law table is a list of [[row]]")  # noqa: TRY004
        for number, entry in enumerate(entries, 1):
            rows.extend(_rows(number, entry))
    return LawTable(rows)


def _rows(number: int, entry: Mapping[str, object]) -> Iterable[Row]:
    if not isinstance(entry, Mapping):
        raise ValueError(f"law row {number} is not a table")  # noqa: TRY004 - all that is wrong with a table is a ValueError
    try:
        subjects, start, until = entry["subjects"], entry["from"], entry.get("until")
        rule = Rule[str(entry["rule"]).upper()]
        place, citation = str(entry["place"]), str(entry["citation"])
    except KeyError as missing:
        raise ValueError(f"law row {number}: {missing} is missing or unknown") from None
    valid = isinstance(subjects, list) and type(start) is date and (until is None or type(until) is date)
    if not valid or not citation or not PLACE.fullmatch(place):
        raise ValueError(f"law row {number} ({place}): wants subjects, a date, a citation and an ISO 3166 place")
    assert isinstance(subjects, list)
    assert isinstance(start, date)
    assert until is None or isinstance(until, date)
    for subject in subjects:
        yield Row(place, str(subject), rule, citation, start, until, str(entry.get("confidence", "?")))
