"""Rows of the law, read from tables as `tomllib` gives them.

A `[[row]]` stands alone; a `[[law]]` holds what its rows have in common (place, first day, citation), and each row says
the rest, or says it otherwise. A word that is not known refuses the table: a misspelt one that is skipped would be a
rule that is lost. Never looks at a second row, and never at a file.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from gateway.choice.law_rows import AGES, CONFIDENCES, SUBJECTS, Row, Rule
from gateway.choice.place import US, is_named

RULES = {rule.name.lower(): rule for rule in Rule}
TOO_LONG = 1000  # days or years of a notice
FIELDS = (
    "place", "places", "subjects", "ages", "rule", "in_band", "from", "until", "citation", "confidence", "note",
    "notice_days", "notice_years",
)  # fmt: skip


def entries(table: Mapping[str, object]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The rows of a table as `tomllib` gives it, each with where it stands. Raises ValueError."""
    _only(table, ("law", "row"))
    for number, shared in enumerate(_listed(table, "law"), 1):
        common = {key: value for key, value in shared.items() if key != "row"}
        for inner, own in enumerate(_listed(shared, "row"), 1):
            yield f"law {number} row {inner}", common | own
    for number, alone in enumerate(_listed(table, "row"), 1):
        yield f"row {number}", alone


def read(entry: Mapping[str, object]) -> Iterator[Row]:
    """A row for each of its places and subjects. Raises ValueError that says what is wrong with it."""
    _only(entry, FIELDS)
    rule = RULES[_one_of(RULES, _text(entry, "rule"), "rule")]
    start, until = _day(entry, "from"), _day(entry, "until")
    ages = tuple(_one_of(AGES, band, "age band") for band in _words(entry, "ages"))
    confidence = _one_of(CONFIDENCES, _text(entry, "confidence") or "?", "confidence")
    citation, note, in_band = _text(entry, "citation"), _text(entry, "note"), entry.get("in_band", False)
    if start is None or not citation:
        raise ValueError("wants a first day (from) and a citation")
    if until is not None and not start <= until < date.max:
        raise ValueError(f"ends on {until}: wants a last day after its first, or none")
    if not isinstance(in_band, bool):
        raise ValueError("in_band is true or false")  # noqa: TRY004 - all that is wrong with a table is a ValueError
    if in_band and rule is not Rule.OPT_IN:
        raise ValueError(f"in_band is for opt_in: no consent in a request changes {rule.name.lower()}")
    days, years = _number(entry, "notice_days"), _number(entry, "notice_years")
    if bool(days) != bool(years) or (days and rule is not Rule.OPT_OUT):
        raise ValueError("notice_days and notice_years go together, and with opt_out: how silence approves")
    for place in _places(entry):
        for subject in _subjects(entry):
            yield Row(place, subject, rule, citation, start, until, confidence, ages, in_band, note, days, years)


def _places(entry: Mapping[str, object]) -> list[str]:
    if ("place" in entry) == ("places" in entry):
        raise ValueError("wants a place, or a list of places")
    places = _words(entry, "places") if "places" in entry else [_text(entry, "place")]
    strange = [place for place in places if place != US and not is_named(place)]
    if strange or not places:
        raise ValueError(f"wants ISO 3166 places; there is {strange}")
    return places


def _subjects(entry: Mapping[str, object]) -> list[str]:
    subjects = [_one_of(SUBJECTS, subject, "subject") for subject in _words(entry, "subjects")]
    if not subjects:
        raise ValueError("wants subjects")
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
