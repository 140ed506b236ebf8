"""What the own data of a row says of its person beside ids: how old they are, where they are, by which address.
`consent.share` asks it of each row, for all of it counts as what a check says of the same person (R13, R14).

A field is read by its class, whether or not its value may leave. Of an age the youngest counts that a number, a range
or a date can hold; of a region or country each reading.

A field of demographics is an age's by its name alone, and then strictly: what cannot be read is a child's, but for
words that the operator lists with the field and that name nobody young. A name may say that an age is only spoken of
(`age_verified`) or that a birth is (`birthplace`): there a readable age or date of birth counts and nothing else does.
In every other field a text counts that has the form of ages (`25-34`, `13_15`), and no lone number: it is a code, a
count or a score far more often than an age. A field that the map does not name is read where its own name says that it
is an age's and it can be read.

A region that cannot be read is in no known place, unless the operator lists it; so is a country, listed or not. Cities,
counties, metros, ZIP codes and time zones say nothing here: no law is theirs. A number of three digits is a metro's
only where the name is not a country's or a state's, for countries are numbered as well (ISO 3166-1).
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from gateway.choice import coarsening
from gateway.choice.law import AGES, RANKS, YOUNGEST, band_of
from gateway.choice.place import ALPHA_3, COUNTRIES, PLACE, STATE_NAMES, STATES, STATES_BY_NAME, UNREADABLE_PLACE, US
from gateway.choice.recipient import ANYTHING, Held
from gateway.terms import DataClass

OF_BIRTH = frozenset({"birth", "born"})  # alone or with one of the next; birthplaces and birth months are others
WHEN = frozenset({"year", "yr", "date", "dt"})
BIRTHS = frozenset({"yob", "dob", "byear", "birthyear", "birthdate", "birthday", "yearofbirth", "dateofbirth"})
OF_AGE = BIRTHS | {"age", "ages", "agerange", "ageband", "agegroup", "agegrp", "agebracket", "userage", "yearsold"}
LIMITS = frozenset({"over", "under"})
MINORS = frozenset({"minor", "coppa"})  # fields that say yes of a child
OLDEST_LIMIT = 21  # no law asks whether somebody is older
SPOKEN_OF = frozenset({"verified", "verification", "confirmed", "checked", "consent", "source"})
AT = frozenset({"at", "on", "date", "time", "timestamp"})  # when it was
COUNTED = frozenset(
    {"children", "kids", "dependents", "household", "people", "persons", "size", "count", "number", "income", "tier",
     "length", "tenure", "residence"}
)  # fmt: skip
VERSIONS = frozenset({"version", "ver", "sdk", "os", "api"})  # the minor number of one
# What is so old is no person, where a member that nobody mapped has an age and no birth.
NO_PERSON = frozenset(
    {"account", "cookie", "session", "device", "app", "page", "cache", "max", "membership", "gate", "vehicle", "car",
     "auto", "home", "property", "business"}
)  # fmt: skip
YES, NO = frozenset({"1", "true", "yes", "y", "t"}), frozenset({"0", "false", "no", "n", "f"})
NOT_SAID = frozenset(
    {"", "-", "--", "-1", "-1.0", "unknown", "undisclosed", "prefer not to say", "n/a", "nan", "none", "null"}
)
NO_AGE = NOT_SAID | {"na"}  # Namibia is, of a place
YOUNG = re.compile(
    r"child|kid|teen|tween|school|kinder|newborn|adolesc|elementary|junior|minor|youth|juvenile|infant|toddler|pupil"
    r"|\b(?:bab(?:y|ies)\b(?! boom)|under|zoomer|gen(?:eration)? ?(?:z|alpha)\b)|[0-9]"
)
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
YEAR = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}(?=$|[^0-9]|[01][0-9][0-3][0-9]$)")
# 34, 25-34, 13 to 15, 65+, 18 and over, "over 21", "aged 25-34 years"; no "up to 17", which a child may be
IN_YEARS = re.compile(
    r"(?:(?:age[sd]?|from|over|between|>=?|≥) ?)*[0-9]{1,3}"
    r"(?: ?(?:-|to|and)? ?[0-9]{1,3}| ?\+| ?plus| (?:and|or) (?:over|older|up|above))?"
    r"(?: ?(?:years|year|yrs|y))?(?: old)?"
)
YOUNGER = re.compile(r"(?:under|below|younger than|<) ?(1[0-9]|2[01]|[0-9])")  # and so perhaps a child
DIGITS = re.compile(r"[0-9 /.:+tz,-]+")  # of a date or years
MONTH = re.compile(
    r"(?<![a-z])(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)(?![a-z])"
)
SHORT = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{1,2})")  # a date with a year of two digits, at either end
LAST_DAY = 31
LONGEST_AGES = 64  # characters
OLDEST, FIRST_YEAR, LAST_YEAR = 150, 1900, 2099  # as a check takes them

NO_LAWS = frozenset(
    {"city", "town", "county", "locality", "neighborhood", "neighbourhood", "countyfips", "metro", "dma", "msa",
     "census", "zip", "zipcode", "postal", "postalcode", "postcode", "timezone", "tz", "utcoffset"}
)  # fmt: skip
AMERICAN = frozenset(
    {"northeast", "midwest", "south", "west", "southeast", "southwest", "northwest", "east", "north", "central",
     "new england", "mid-atlantic", "mid atlantic", "middle atlantic", "east north central", "west north central",
     "south atlantic", "east south central", "west south central", "mountain", "pacific", "east coast", "west coast",
     "urban", "suburban", "rural"}
)  # fmt: skip  # parts of the country that are of no one law: the Census Bureau's, and those that people say
OF_COUNTRY = frozenset({"country", "countrycode", "countryname", "nation"})
OF_LAWS = frozenset({"state", "statecode", "statename", "province", "iso"})  # whose numbers are no metro's
COUNTIES = frozenset({"county", "countyfips"})
OF_FIPS = frozenset({"fips", "fipscode", "statefips", "countyfips"})
FIPS_CODES = """
01 02 60 04 05 06 08 09 10 11 12 13 66 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 69 39
40 41 42 72 44 45 46 47 48 49 50 78 51 53 54 55 56
"""  # FIPS 5-2, of the states in the order of `STATE_NAMES`; a county's five digits begin with its state's two
STATE_OF = dict(zip(FIPS_CODES.split(), STATE_NAMES, strict=True))
FIPS_DIGITS = {1: 2, 2: 2, 4: 5, 5: 5}  # a number has lost its first zero
IN_ITS_STATE = 3  # digits of a county's number without its state
COUNTRY_NAMES: Mapping[str, str] = {
    **ALPHA_3, "UNITED STATES": US, "UNITED STATES OF AMERICA": US, "840": US, "CANADA": "CA"
}  # fmt: skip
ALSO: Mapping[str, str] = {"georgia": "GE", "washington": f"{US}-DC"}  # what a state's name means besides
PART = re.compile(r"[A-Z0-9]{1,3}")


def age_said(
    data: Mapping[str, object],
    fields: Mapping[str, DataClass],
    year: int,
    stated: str | None = None,
    held: Held = ANYTHING,
) -> str | None:
    """The youngest band that a row leaves possible in a year, `stated` beside its data; None where nothing says an
    age. `held`: what the recipient's map says of fields beside their class.
    """
    bands = [
        band
        for name, value in data.items()
        if value is not None and (band := _band(name, value, fields.get(name), year, _is_listed(name, value, held)))
    ]
    return min([*bands, *([stated] if stated else [])], key=RANKS.__getitem__, default=None)


class AgeName(NamedTuple):
    """The name of a member that says an age. `of_limit`: whether somebody is of one (`is_minor`); `of_band`: it holds
    the ages itself (`age_25_34`); `from_zero`: whether zero says something, for so a year of birth is left out;
    `strict`: it is nothing but an age's, and so one that cannot be read is a child's.
    """

    of_limit: bool
    of_band: bool
    from_zero: bool
    strict: bool


@lru_cache(maxsize=1024)
def age_name(name: str) -> AgeName | None:
    """Of a member of a bid request, whose names nobody mapped; None where it says no age."""
    words = _words(name)
    if "minor" in words and not VERSIONS.isdisjoint(words):
        return None
    of_limit = _is_yes_or_no(words)
    if not of_limit and (not _is_of_age(words) or not (_is_of_birth(words) or NO_PERSON.isdisjoint(words))):
        return None
    of_band = not of_limit and any(each.isdigit() for each in words)
    strict = "".join(words).removeprefix("user") in OF_AGE | OF_BIRTH or not SPOKEN_OF.isdisjoint(words)
    return AgeName(of_limit, of_band, not {"age", "over"}.isdisjoint(words), strict)


def says_yes_or_no(value: object) -> bool:
    """Whether it is plainly one: of a member of a bid request that may say of a person whether they are of an age."""
    return _plain(str(value)).removesuffix(".0") in YES | NO


def says_ages(text: str, beside: str) -> bool:
    """Whether a text of a bid's segment has the form of ages, and not of what is counted. `beside`: the title or the
    name that says which.
    """
    band = None if text.isdigit() or len(text) > LONGEST_AGES else _read_ages(text, LAST_YEAR)
    if band is None:
        return False
    words = [each.lower() for each in WORD.findall(f"{beside} {text}")]
    if _is_of_age(words):
        return NO_PERSON.isdisjoint(words)
    plain = _plain(text)  # "6-10" alone is a number of rooms or of visits as well
    is_ages = band != AGES[YOUNGEST] or plain.replace(" ", "_") in AGES or YOUNGER.fullmatch(plain) or "year" in plain
    return bool(is_ages) and COUNTED.isdisjoint(words)


def _is_listed(name: str, value: object, held: Held) -> bool:
    return name in held and isinstance(value, str) and value.strip().casefold() in held[name].values


def _band(name: str, value: object, data_class: DataClass | None, year: int, listed: bool) -> str | None:
    words = _words(name)
    if data_class is None:
        return _read_age(value, year) if _is_of_age(words) and "".join(words) in OF_AGE | OF_BIRTH else None
    if data_class is not DataClass.DEMOGRAPHICS:
        return None
    if _is_yes_or_no(words):
        return _limited(words, value)
    if _is_of_age(words):
        return _strictly(words, value, year, listed)
    if "birth" in "".join(words) or "born" in words:
        number = coarsening.number(value)
        unread = AGES[YOUNGEST] if number is not None and number > LAST_DAY else None  # no day, and no month
        return _read_birth(value, year) or unread
    return _read_ages(value, year) if COUNTED.isdisjoint(words) else None


@lru_cache(maxsize=1024)
def _words(name: str) -> tuple[str, ...]:
    """Of `user.ageRange` age and range."""
    return tuple(each.lower() for each in WORD.findall(name.rpartition(".")[2]))


def _is_of_age(words: Collection[str]) -> bool:
    """Whether a name says that its field is an age's or a date of birth's."""
    return not OF_AGE.isdisjoint(words) or "yearsold" in "".join(words) or _is_of_birth(words)


def _is_yes_or_no(words: Collection[str]) -> bool:
    """Of age_over_18, under_13, is_minor, which say whether it is so."""
    years = any(each.isdigit() and int(each) <= OLDEST_LIMIT for each in words)
    return not MINORS.isdisjoint(words) or (not LIMITS.isdisjoint(words) and (years or "age" in words))


def _limited(words: Collection[str], value: object) -> str | None:
    """Whatever is not said clearly is a child's."""
    text = _plain(str(value)).removesuffix(".0")
    return None if text in NO_AGE | (YES if "over" in words else NO) else AGES[YOUNGEST]


def _is_of_birth(words: Collection[str]) -> bool:
    alone = len(words) == 1 or not WHEN.isdisjoint(words)
    return not BIRTHS.isdisjoint(words) or (alone and not OF_BIRTH.isdisjoint(words))


def _strictly(words: Collection[str], value: object, year: int, listed: bool) -> str | None:
    text = _plain(str(value))
    if text in NO_AGE:
        return None
    spoken_of = not SPOKEN_OF.isdisjoint(words)
    if isinstance(value, bool) or (spoken_of and (text.removesuffix(".0") in YES | NO or not AT.isdisjoint(words))):
        return None
    read = _read_short_year(text, year) if _is_of_birth(words) else None
    may_be_none = (spoken_of or listed) and not YOUNG.search(text)
    return read or _read_age(value, year) or (None if may_be_none else AGES[YOUNGEST])


def _read_short_year(text: str, year: int) -> str | None:
    """Of a number of two digits, which may be an age as well."""
    number = coarsening.number(text)
    if number is None or not 0 <= number < 100:  # noqa: PLR2004 - two digits
        return None
    return _youngest_in([int(number), _with_century(int(number), year)], year)


def _plain(text: str) -> str:
    return re.sub(r"[\s_]+", " ", re.sub(r"[\u2010-\u2015\u2212~]", "-", text)).strip().casefold()


def _read_age(value: object, year: int) -> str | None:
    """None for what cannot be read."""
    if not isinstance(value, str):
        number = coarsening.number(value)
        return None if number is None else _youngest_in([int(number)], year)
    text = _plain(value).removesuffix(".0")
    alone = [int(text)] if text.isascii() and text.isdigit() and len(text) < len("1000") else []
    return _youngest_in(alone, year) or _read_ages(text, year) or _read_birth(text, year)


def _read_ages(value: object, year: int) -> str | None:
    """Of a text with the form of ages, which a lone number has not."""
    text = _plain(value) if isinstance(value, str) else ""
    if (band := text.replace(" ", "_")) in AGES:
        return band
    if YOUNGER.fullmatch(text):
        return AGES[YOUNGEST]
    is_range = IN_YEARS.fullmatch(text) and not text.isdigit()
    return _youngest_in([int(each) for each in re.findall("[0-9]+", text)], year) if is_range else None


def _read_birth(value: object, year: int) -> str | None:
    """Of a year of four digits or a whole date; of two digits each year that they can be."""
    if not isinstance(value, str):
        number = coarsening.number(value)
        return _youngest_in([int(number)], year) if number is not None and FIRST_YEAR <= number <= LAST_YEAR else None
    text = MONTH.sub("1", _plain(value)).removesuffix(".0")
    if DIGITS.fullmatch(text) and (years := YEAR.findall(text)):
        return _youngest_in([int(each) for each in years], year)
    short = SHORT.fullmatch(re.sub(r"[ ,]+", "-", text))
    return _youngest_in(_years_of([int(short[1]), int(short[3]), int(short[4])], year), year) if short else None


def _years_of(parts: list[int], year: int) -> list[int]:
    """The years that a date in three short numbers may be of; none where it is no date."""
    ends = [part for part in (parts[0], parts[-1]) if part > LAST_DAY] or [parts[0], parts[-1]]
    is_date = sum(part > LAST_DAY for part in parts) <= 1 and parts[1] <= LAST_DAY
    return [_with_century(part, year) for part in ends] if is_date else []


def _with_century(part: int, year: int) -> int:
    """A year of two digits, the latest that is not to come."""
    return year - (year - part) % 100


def _youngest_in(numbers: Iterable[int], year: int) -> str | None:
    """Of ages and years of birth; whoever is born in a year may have their birthday still to come. None where there is
    none, or another number.
    """
    ages = [max(0, year - each - 1) if FIRST_YEAR <= each <= LAST_YEAR else each for each in numbers]
    return band_of(min(ages)) if ages and all(0 <= each <= OLDEST for each in ages) else None


def places_said(
    data: Mapping[str, object], fields: Mapping[str, DataClass], stated: object = None, held: Held = ANYTHING
) -> tuple[dict[str, object], ...]:
    """Every place that the regions and countries of a row name, as `geo` of a check. `stated`: what its caller says of
    it, which tells what a code of two meanings means: of these every one counts that nothing decides. A country alone
    adds nothing where a place in it is known. `held`: what the recipient's map says of fields beside their class.
    """
    asked = [*_regions(data, fields, held)]
    if not asked:
        return ()
    stated_places = stated if isinstance(stated, list) else [stated]
    known = {each.strip().upper() for each in stated_places if isinstance(each, str)}
    countries = {_country(each.text) for each in asked if each.is_country}
    found = {place for each in asked if not each.is_country for place in _readings(each.text, known, countries)}
    named = {place.partition("-")[0] for place in known | found if "-" in place}
    told = sorted((found | countries) - known - named)
    return tuple(dict(zip(("country", "region"), place.split("-"), strict=False)) for place in told)


class _Region(NamedTuple):
    """A text of a row, and whether it is a country's."""

    text: str
    is_country: bool


def _regions(data: Mapping[str, object], fields: Mapping[str, DataClass], held: Held) -> Iterator[_Region]:
    for name, value in data.items():
        if fields.get(name) is not DataClass.COARSE_GEO or value is None or coarsening.kind(name):
            continue
        words = _joined(_words(name))
        text, is_country = _place_text(value), not OF_COUNTRY.isdisjoint(words)
        of_laws = is_country or not OF_LAWS.isdisjoint(words)
        in_its_state = len(text) <= IN_ITS_STATE and not COUNTIES.isdisjoint(words)
        if not OF_FIPS.isdisjoint(words) and not in_its_state:
            text = _of_fips(text)
        elif not of_laws and (coarsening.is_metro(value) or _says_no_law(words, text)):
            continue
        if _plain(text) not in NOT_SAID and (of_laws or not _is_lawless(name, value, held)):
            yield _Region(text, is_country)


def _is_lawless(name: str, value: object, held: Held) -> bool:
    """Of a part of the country, and of a number that the operator gave to a territory of its own (T12, Zone 4). A word
    of letters alone may be a place that we cannot read.
    """
    text = _plain(str(value))
    has_number = any(each.isdigit() for each in text) and not PLACE.fullmatch(text.upper())
    return text in AMERICAN or (has_number and _is_listed(name, value, held))


def _says_no_law(words: Collection[str], text: str) -> bool:
    """Of a name, which a code of a region belies."""
    is_code = "-" in text and PLACE.fullmatch(text.upper())
    return not (is_code or NO_LAWS.isdisjoint(words) or "region" in words)


def _joined(words: tuple[str, ...]) -> set[str]:
    """Each word, and each two that are one as others write them: time zone, country code."""
    return {*words, *(one + other for one, other in pairwise(words))}


def _place_text(value: object) -> str:
    if isinstance(value, str):
        return value.strip().replace(".", "")  # U.S.
    number = coarsening.number(value)
    return f"{number:.0f}" if number is not None and number == int(number) else UNREADABLE_PLACE


def _of_fips(text: str) -> str:
    """The state that a state's or county's number is in; another text as it stands."""
    if not text.isascii() or not text.isdigit():
        return text
    state = STATE_OF.get(text.zfill(FIPS_DIGITS.get(len(text), 0))[:2]) if len(text) in FIPS_DIGITS else None
    return f"{US}-{state}" if state else UNREADABLE_PLACE


def _country(text: str) -> str:
    code = COUNTRY_NAMES.get(text.upper(), text.upper())
    return code if PLACE.fullmatch(code) else UNREADABLE_PLACE


def _readings(text: str, known: Collection[str], countries: Collection[str]) -> set[str]:
    """`known`: what the caller said; `countries`: those that the row itself names."""
    code, name = text.upper(), text.casefold()
    if name in STATES_BY_NAME:
        also = {ALSO[name]} if name in ALSO else set[str]()
        return _decided({f"{US}-{STATES_BY_NAME[name]}"} | also, {*known, *countries})
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
