"""What the own data of a row says of its person beside ids: how old they are, where they are, by which address.
`consent.share` asks it of each row, for all of it counts as what a check says of the same person (R13, R14).

A field is read by its class, whether or not its value may leave. Of an age the youngest counts that a number, a range
or a year can hold; of a region or country each reading; an age that cannot be read is a child's, and a region that
cannot is in no known place. A field of demographics is an age's by its name, or where its value is a number but 0 and
1, which may be a no and a yes, or has the form of ages. A field that the map does not name is read where its own name
says that it is an age's and it can be read. Cities, counties and metros say nothing here: no law is theirs.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache

from gateway.choice import coarsening
from gateway.choice.law import AGES, RANKS, YOUNGEST, band_of
from gateway.choice.place import ALPHA_3, COUNTRIES, PLACE, STATE_NAMES, STATES, UNREADABLE_PLACE, US
from gateway.terms import DataClass

OF_AGE = frozenset({"age", "ages", "agerange", "ageband", "agegroup", "agebracket", "yob", "dob", "born"})
AGE_ALONE = OF_AGE | {"birthyear", "yearofbirth", "dateofbirth", "birthdate", "birthday"}  # the whole of a name
COUNTED = frozenset({"children", "kids", "household", "people", "persons", "size", "count", "number", "income"})
FLAGS = (0, 1, "0", "1")
NOT_SAID = frozenset({"", "unknown", "undisclosed", "prefer not to say", "n/a", "none", "null"})
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
YEAR = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}(?=$|[^0-9]|[01][0-9][0-3][0-9]$)")
# 34, 25-34, 13 to 15, 65+, 18 and over, "over 21", "aged 25-34 years"; no "up to 17", which a child may be
IN_YEARS = re.compile(
    r"(?:(?:age[sd]?|from|over|between|>=?|≥) ?)*[0-9]{1,3}"
    r"(?: ?(?:-|to|and)? ?[0-9]{1,3}| ?\+| ?plus| (?:and|or) (?:over|older|up|above))?"
    r"(?: ?(?:years|year|yrs|y))?(?: old)?"
)
DIGITS = re.compile(r"[0-9 /.:+tz-]+")  # of a date or years
OLDEST, FIRST_YEAR, LAST_YEAR = 150, 1900, 2099  # as a check takes them

NO_LAWS = frozenset({"city", "town", "county", "metro", "dma", "neighborhood", "timezone", "tz"})
OF_COUNTRY = frozenset({"country", "countrycode", "nation"})
COUNTRY_NAMES: Mapping[str, str] = {**ALPHA_3, "UNITED STATES": US, "UNITED STATES OF AMERICA": US, "CANADA": "CA"}
ALSO: Mapping[str, str] = {"georgia": "GE", "washington": f"{US}-DC"}  # what a state's name means besides
PART = re.compile(r"[A-Z0-9]{1,3}")


def age_said(
    data: Mapping[str, object], fields: Mapping[str, DataClass], year: int, stated: str | None = None
) -> str | None:
    """The youngest band that a row leaves possible in a year, `stated` beside its data; None where nothing says an
    age.
    """
    bands = [band for name, value in data.items() if (band := _band(name, value, fields.get(name), year))]
    return min([*bands, *([stated] if stated else [])], key=RANKS.__getitem__, default=None)


def _band(name: str, value: object, data_class: DataClass | None, year: int) -> str | None:
    if data_class not in {None, DataClass.DEMOGRAPHICS} or value is None or isinstance(value, bool):
        return None
    words = _words(name)
    whole = "".join(words)
    if data_class is None:
        return _read_age(value, year) if whole in AGE_ALONE else None
    if not OF_AGE.isdisjoint(words) or whole in AGE_ALONE or "birth" in whole:
        said = not isinstance(value, str) or _plain(value) not in NOT_SAID
        return (_read_age(value, year) or AGES[YOUNGEST]) if said else None
    return _read_age(value, year) if COUNTED.isdisjoint(words) and value not in FLAGS else None


@lru_cache(maxsize=1024)
def _words(name: str) -> tuple[str, ...]:
    """Of `user.ageRange` age and range."""
    return tuple(each.lower() for each in WORD.findall(name.rpartition(".")[2]))


def _plain(text: str) -> str:
    return re.sub(r"[\s_]+", " ", re.sub(r"[\u2010-\u2015\u2212~]", "-", text)).strip().casefold()


def _read_age(value: object, year: int) -> str | None:
    """None for what cannot be read."""
    if not isinstance(value, str):
        number = coarsening.number(value)
        return None if number is None else _youngest_in([int(number)], year)
    text = _plain(value).removesuffix(".0")
    if (band := text.replace(" ", "_")) in AGES:
        return band
    years = YEAR.findall(text) if DIGITS.fullmatch(text) else []
    numbers = years or (re.findall("[0-9]+", text) if IN_YEARS.fullmatch(text) else [])
    return _youngest_in([int(each) for each in numbers], year)


def _youngest_in(numbers: Iterable[int], year: int) -> str | None:
    """Of ages and years of birth; whoever is born in a year may have their birthday still to come. None where there is
    none, or another number.
    """
    ages = [max(0, year - each - 1) if FIRST_YEAR <= each <= LAST_YEAR else each for each in numbers]
    return band_of(min(ages)) if ages and all(0 <= each <= OLDEST for each in ages) else None


def places_said(
    data: Mapping[str, object], fields: Mapping[str, DataClass], stated: object = None
) -> tuple[dict[str, object], ...]:
    """Every place that the regions and countries of a row name, as `geo` of a check. `stated`: what its caller says of
    it, which tells what a code of two meanings means: of these every one counts that nothing decides. A country alone
    adds nothing where a place in it is known.
    """
    asked = [*_regions(data, fields)]
    if not asked:
        return ()
    listed = stated if isinstance(stated, list) else [stated]
    known = {each.strip().upper() for each in listed if isinstance(each, str)}
    countries = {_country(text) for text, is_country in asked if is_country}
    found = {place for text, is_country in asked if not is_country for place in _readings(text, known, countries)}
    named = {place.partition("-")[0] for place in known | found if "-" in place}
    told = sorted((found | countries) - known - named)
    return tuple(dict(zip(("country", "region"), place.split("-"), strict=False)) for place in told)


def _regions(data: Mapping[str, object], fields: Mapping[str, DataClass]) -> Iterator[tuple[str, bool]]:
    """Texts, and whether each is a country's."""
    for name, value in data.items():
        if fields.get(name) is not DataClass.COARSE_GEO or value is None or coarsening.kind(name):
            continue
        words = _words(name)
        text = value.strip() if isinstance(value, str) else UNREADABLE_PLACE
        if NO_LAWS.isdisjoint(words) and _plain(text) not in NOT_SAID and not coarsening.is_metro(value):
            yield text, not OF_COUNTRY.isdisjoint(words)


def _country(text: str) -> str:
    code = COUNTRY_NAMES.get(text.upper(), text.upper())
    return code if PLACE.fullmatch(code) else UNREADABLE_PLACE


def _readings(text: str, known: Collection[str], countries: Collection[str]) -> set[str]:
    """`known`: what the caller said; `countries`: those that the row itself names."""
    code, name = text.upper(), text.casefold()
    if name in STATE_NAMES:
        also = {ALSO[name]} if name in ALSO else set[str]()
        return _decided({f"{US}-{STATE_NAMES[name]}"} | also, {*known, *countries})
    if "-" in code or code in COUNTRY_NAMES:
        return {_country(code)}
    if not PART.fullmatch(code):
        return {UNREADABLE_PLACE}
    if countries:
        return {f"{each}-{code}" for each in countries if "-" not in each} or {UNREADABLE_PLACE}
    readings = {f"{US}-{code}"} if code in STATES else set[str]()
    readings |= {code} if code in COUNTRIES else set()
    readings |= {each for each in known if each.endswith(f"-{code}")}
    abroad = {f"{each}-{code}" for each in known if "-" not in each and each != US}
    decided = _decided(readings, known)
    return decided if decided < readings else readings | abroad or {UNREADABLE_PLACE}


def _decided(readings: set[str], beside: Collection[str]) -> set[str]:
    """Those that the places beside them speak for, or else all."""
    return {each for each in readings if each in beside or ("-" in each and each[:2] in beside)} or readings


def addresses_said(data: Mapping[str, object], fields: Mapping[str, DataClass]) -> tuple[str, ...]:
    """The internet addresses of a row."""
    read = (coarsening.address(value) for name, value in data.items() if fields.get(name) is DataClass.IP)
    return tuple(dict.fromkeys(each for each in read if each))
