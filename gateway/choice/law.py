"""The law as data: dated rows, each with its citation, and the strictest of them over a set of places. Verdicts and
`gateway law` ask it.

Which rows speak for a place: a state's and the federal ones, a province's and its country's. What no row covers:
another US state is opt-out with "no law on file"; a country without rows is the opt-in regime; a country alone, or with
a part that nobody knows, has the rows of all its parts as well; a missing, unknown or unreadable place, and bare `US`,
is the opt-in regime with the strictest of all places above it (R13, L61).

A row says: in this place, from and until these days, for this purpose or data class, at this age, this rule. Rows are
read from tables as `tomllib` gives them (the TOML files beside this one; nothing here reads a file or a clock). A
`[[row]]` stands alone; a `[[law]]` holds what its rows have in common (place, first day, citation), and each row says
the rest, or says it otherwise. A word that is not known refuses the table: a misspelt one that is skipped would be a
rule that is lost.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import IntEnum
from functools import lru_cache

from gateway.choice.place import EUROPEAN, STATES_OF, UNION, UNKNOWN_PLACE, US, is_listed, is_named, is_state, spelled
from gateway.terms import CHOOSABLE, DataClass

AGES = ("under_13", "13_15", "16_17", "adult")  # from young to old
RANKS: Mapping[str | None, int] = {band: rank for rank, band in enumerate(AGES)} | {None: AGES.index("adult")}
YOUNGEST = 0
BANDS = ((13, "under_13"), (16, "13_15"), (18, "16_17"))
UNIVERSAL_OPT_OUT = "universal_opt_out"  # the duty to hear a signal such as GPC: only told, for all are heard anyway
PRECISE_GEO = DataClass.PRECISE_GEO
# What a row may be about beside purposes that people choose about: the exact point, whose law stands by itself, and the
# classes of which a row is asked beside that of the purpose. Content never goes, and of data of nobody there is no law.
ABOUT_DATA = frozenset(DataClass) - {PRECISE_GEO, DataClass.CONTENT, DataClass.AGGREGATE, DataClass.DEIDENTIFIED}
SUBJECTS = frozenset({*CHOOSABLE, PRECISE_GEO, *ABOUT_DATA, UNIVERSAL_OPT_OUT})
CONFIDENCES = ("P", "S", "B", "?")  # primary text, secondary source, background, open


def band_of(years: int) -> str:
    """The band of an age in whole years."""
    return next((name for limit, name in BANDS if years < limit), "adult")


class LawRule(IntEnum):
    """From loose to strict; the strictest holds."""

    ALLOWED = 0
    OPT_OUT = 1
    LIMIT = 2
    OPT_IN = 3
    PARENTAL = 4  # a yes that a parent gives: their own is none
    BANNED = 5


@dataclass(frozen=True, slots=True)
class LawRow:
    """One rule for one subject in one place.

    `subject` is a purpose or a data class. `until` is the last day. `ages`: the bands it is for, none for everybody.
    `in_band`: a consent that this very request carries (a TC string) may allow. `confidence`: how sure the reading of
    the law is. `notice_days`, `notice_years`: silence approves once so many whole days after a notice are over, and
    until so many years after it.
    """

    place: str
    subject: str
    rule: LawRule
    citation: str
    start: date
    until: date | None = None
    confidence: str = "?"
    ages: tuple[str, ...] = ()
    in_band: bool = False
    note: str = ""
    notice_days: int = 0
    notice_years: int = 0
    text: str = field(init=False, compare=False)  # what a verdict cites, put together once

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", f"{self.place} {self.citation}")

    @property
    def strictness(self) -> tuple[LawRule, bool, bool]:
        """What rows are compared by: the rule, whether silence wants a notice, whether an in-band consent is worth
        nothing.
        """
        return self.rule, bool(self.notice_days), not self.in_band

    @property
    def reach(self) -> int:
        """The oldest band it holds for, as a place in `AGES`. What holds for a child holds for a younger one."""
        return max((RANKS[band] for band in self.ages), default=RANKS["adult"])

    @property
    def for_everybody(self) -> bool:
        return self.reach == RANKS["adult"]

    def holds(self, on: date, age: str | None = None) -> bool:
        """Whether it is in force for a person of that age; None is an adult, an unknown word the youngest."""
        in_force = self.start <= on and (self.until is None or on <= self.until)
        return in_force and RANKS.get(age, YOUNGEST) <= self.reach

    def __str__(self) -> str:
        return self.text


LawPath = tuple[str | int, ...]  # ("law", 0, "row", 2): the third row of a table's first [[law]]
RULES = {rule.name.lower(): rule for rule in LawRule}
TOO_LONG = 1000  # days or years of a notice
FIELDS = (
    "place", "places", "subjects", "ages", "rule", "in_band", "from", "until", "citation", "confidence", "note",
    "notice_days", "notice_years",
)  # fmt: skip


def entries(table: Mapping[str, object]) -> Iterator[tuple[LawPath, Mapping[str, object]]]:
    """The rows of a table as `tomllib` gives it, each with where it stands. Raises ValueError."""
    _only(table, ("law", "row"))
    for number, shared in enumerate(_listed(table, "law")):
        common, rows = {key: value for key, value in shared.items() if key != "row"}, _listed(shared, "row")
        if not rows:
            raise ValueError(f"[[law]] {number + 1} has no row")
        for inner, own in enumerate(rows):
            yield ("law", number, "row", inner), common | own
    for number, alone in enumerate(_listed(table, "row")):
        yield ("row", number), alone


def read_law(entry: Mapping[str, object]) -> Iterator[LawRow]:
    """A row for each of its places and subjects. Raises ValueError that says what is wrong with it."""
    _only(entry, FIELDS)
    rule = RULES[_one_of(RULES, _text(entry, "rule"), "rule")]
    start, until = _day(entry, "from"), _day(entry, "until")
    ages = _ages(entry, rule)
    confidence = _one_of(CONFIDENCES, _text(entry, "confidence") or "?", "confidence")
    citation, note, in_band = _text(entry, "citation"), _text(entry, "note"), entry.get("in_band", False)
    if start is None or not citation:
        raise ValueError("wants a first day (from) and a citation")
    if until is not None and not start <= until < date.max:
        raise ValueError(f"ends on {until}: wants a last day after its first, or none")
    if not isinstance(in_band, bool):
        raise ValueError("in_band is true or false")  # noqa: TRY004 - all that is wrong with a table is a ValueError
    if in_band and rule is not LawRule.OPT_IN:
        raise ValueError(f"in_band is for opt_in: no consent in a request changes {rule.name.lower()}")
    days, years = _number(entry, "notice_days"), _number(entry, "notice_years")
    if bool(days) != bool(years) or (days and rule is not LawRule.OPT_OUT):
        raise ValueError("notice_days and notice_years go together, and with opt_out: how silence approves")
    for place in _places(entry):
        for subject in _subjects(entry, rule):
            yield LawRow(place, subject, rule, citation, start, until, confidence, ages, in_band, note, days, years)


def _places(entry: Mapping[str, object]) -> list[str]:
    if ("place" in entry) == ("places" in entry):
        raise ValueError("wants a place, or a list of places")
    places = _words(entry, "places") if "places" in entry else [_text(entry, "place")]
    strange = [place for place in places if place != US and not is_named(place)]
    if strange or not places:
        raise ValueError(f"wants ISO 3166 places; there is {strange}")
    return places


def _ages(entry: Mapping[str, object], rule: LawRule) -> tuple[str, ...]:
    ages = tuple(_one_of(AGES, band, "age band") for band in _words(entry, "ages"))
    if rule is LawRule.PARENTAL and (not ages or AGES[-1] in ages):
        raise ValueError("parental wants ages: nobody's parent says yes for an adult")
    return ages


def _subjects(entry: Mapping[str, object], rule: LawRule) -> list[str]:
    subjects = [_one_of(SUBJECTS, subject, "subject") for subject in _words(entry, "subjects")]
    if not subjects:
        raise ValueError("wants subjects")
    data = ABOUT_DATA.intersection(subjects)
    if data and rule < LawRule.OPT_IN:
        raise ValueError(f"{rule.name.lower()} of {min(data)} adds nothing to the purpose's rule: opt_in or banned")
    return subjects


def _listed(table: Mapping[str, object], key: str) -> list[dict[str, object]]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ValueError(f"a law table is made of [[law]] and [[row]]; its {key} is something else")
    return found


def _only(table: Mapping[str, object], known: Iterable[str]) -> None:
    for key in table:
        _one_of(known, key, "key")


def _one_of(known: Iterable[str], word: str, what: str) -> str:
    if word not in known:
        raise ValueError(f"{word!r} is no {what}: {', '.join(sorted(known))}")
    return word


def _text(entry: Mapping[str, object], key: str) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f"{key} is a text")  # noqa: TRY004 - all that is wrong with a table is a ValueError
    return value


def _number(entry: Mapping[str, object], key: str) -> int:
    value = entry.get(key, 0)
    if type(value) is not int or not 0 <= value < TOO_LONG:
        raise ValueError(f"{key} is a number")
    return value


def _words(entry: Mapping[str, object], key: str) -> list[str]:
    value = entry.get(key, [])
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError(f"{key} is a list of words")
    return value


def _day(entry: Mapping[str, object], key: str) -> date | None:
    value = entry.get(key)
    if value is not None and type(value) is not date:  # a time of day is a date to isinstance
        raise ValueError(f"{key} is a day, as 2026-10-01")
    return value


NOWHERE = frozenset({UNKNOWN_PLACE})
REMEMBERED = 16_384  # answers: 60 places, 30 subjects, 5 ages and room for sets of places; 5 MB when full, measured


class LawTable:
    """All rows, found by place and subject. Never changes once made."""

    def __init__(self, rows: Iterable[LawRow]) -> None:
        self.rows = tuple(rows)
        self._found: dict[tuple[str, str], list[LawRow]] = {}
        for row in self.rows:
            self._found.setdefault((row.place, row.subject), []).append(row)
        self.classes = ABOUT_DATA.intersection(row.subject for row in self.rows)  # of which a row says something
        self._everywhere = tuple(sorted({row.place for row in self.rows}))
        self._strictest = lru_cache(maxsize=REMEMBERED)(self._find_strictest)

    def strictest(self, places: frozenset[str], subject: str, on: date, age: str | None = None) -> LawRow:
        """The strictest row in force for a subject over a set of places (R13). An empty set is an unknown place.

        `age`: a band of `AGES`; None counts as adult, an unknown word as the youngest.
        """
        return self._strictest(places or NOWHERE, subject, on, age)

    def wants_own(self, places: frozenset[str], subject: str, on: date, age: str | None) -> bool:
        """Whether one of these places, or one that they may be, has somebody of that age say yes themselves: where
        another one has a parent do so, neither yes is good for both. An unknown place may be one without any row.
        """
        return any(self._wants_own(spelled(place), subject, on, age) for place in places or NOWHERE)

    def _wants_own(self, place: str, subject: str, on: date, age: str | None) -> bool:
        if not is_named(place):
            return True
        alone = (self._of_itself(each, subject, on, age) for each in (place, *self._may_hold(place)))
        return any(max(rows, key=lambda row: row.strictness).rule is LawRule.OPT_IN for rows in alone)

    def applying(self, place: str, subject: str, on: date, age: str | None = None) -> list[LawRow]:
        """Every row that speaks for a place, the strictest first; the regime's default where none is for everybody."""
        place = spelled(place)
        rows = self._of_itself(place, subject, on, age) + self._rows_of(self._may_hold(place), subject, on, age)
        return sorted(rows, key=lambda row: row.strictness, reverse=True)

    def _of_itself(self, place: str, subject: str, on: date, age: str | None) -> list[LawRow]:
        rows = self.on_file(place, subject, on, age) if is_named(place) else []
        if not any(row.for_everybody for row in rows):  # a row for the young adds to what adults have
            rows.append(_default(place, subject))
        return rows

    def _may_hold(self, place: str) -> Iterable[str]:
        """Whose rows hold there as well, for all that anybody knows: those of each part of a country of which no part
        is told that a row or a list knows, and everybody's where it could be any of them.
        """
        country = place.partition("-")[0]
        if not is_named(place):
            return self._everywhere
        if country == UNION:
            return tuple(each for each in self._everywhere if each in EUROPEAN)
        is_known = place != country and (place in self._everywhere or is_listed(place))
        parts = () if is_known else self._parts_of(country)
        return (*parts, STATES_OF[country]) if country in STATES_OF else parts

    def _parts_of(self, country: str) -> tuple[str, ...]:
        return tuple(place for place in self._everywhere if place.startswith(f"{country}-"))

    def on_file(self, place: str, subject: str, on: date, age: str | None = None) -> list[LawRow]:
        """The rows of a place and of its country, as the tables have them."""
        return self._rows_of(dict.fromkeys((place, place.partition("-")[0])), subject, on, age)

    def banning(self, subject: str) -> frozenset[str]:
        """The places in which a row bans it, whomever and on whatever days."""
        return frozenset(row.place for row in self.rows if row.subject == subject and row.rule is LawRule.BANNED)

    def days(self) -> list[date]:
        """The days on which the law of some place changes: a row's first, and the one after its last."""
        first = {row.start for row in self.rows}
        return sorted(first | {row.until + timedelta(days=1) for row in self.rows if row.until})

    def _find_strictest(self, places: frozenset[str], subject: str, on: date, age: str | None) -> LawRow:
        found = [self.applying(place, subject, on, age)[0] for place in sorted(places)]
        return max(found, key=lambda row: row.strictness)

    def _rows_of(self, places: Iterable[str], subject: str, on: date, age: str | None) -> list[LawRow]:
        return [row for place in places for row in self._found.get((place, subject), ()) if row.holds(on, age)]


def _default(place: str, subject: str) -> LawRow:
    """What holds where no row does. Of a class of data by itself nothing: the purpose's row says what holds."""
    if subject in ABOUT_DATA:
        return LawRow(place, subject, LawRule.ALLOWED, "no law of its own", date.min)
    if is_state(place):
        return LawRow(place, subject, LawRule.OPT_OUT, "no law on file", date.min)
    return LawRow(place, subject, LawRule.OPT_IN, "opt-in regime: place unknown or foreign", date.min)


def parse_law(tables: Iterable[Mapping[str, object]]) -> LawTable:
    """Tables as `tomllib` gives them: `[[row]]` of place (or places), subjects, rule, from and citation, and perhaps
    until, ages, in_band, confidence and note; `[[law]]` for what several rows share.

    Raises ValueError that names the row and what is wrong with it.
    """
    rows: list[LawRow] = []
    for table in tables:
        for path, entry in entries(table):
            try:
                rows.extend(read_law(entry))
            except ValueError as error:
                where = " ".join(str(step + 1) if isinstance(step, int) else step for step in path)
                raise ValueError(f"law {where} ({entry.get('place', '')}): {error}") from error
    return LawTable(rows)
