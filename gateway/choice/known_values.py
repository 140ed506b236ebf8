"""Values of a row that are codes of a known list: of regions, metros, ages and genders. Free text could be anybody's.

What a recipient's field needs beyond these the operator lists with it (`values`). Owns the lists; `rows` asks.
"""

import re
from collections.abc import Mapping

from gateway.choice import geo, identity
from gateway.choice.place import STATES

# ISO 3166-2 (US-CA, CA-ON) and ISO 3166-1 in two or three letters; a state's letters alone are of two.
PLACE_CODE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?|[A-Z]{3}")
AGES = re.compile(r"[0-9]{1,2}\s?[-\u2013]\s?[0-9]{1,3}|[0-9]{1,2}\+|under_13|13_15|16_17|adult")
OLDEST, YEARS = 120, range(1900, 2100)
GENDERS = frozenset(
    {"f", "m", "o", "u", "x", "female", "male", "woman", "man", "other", "unknown", "nonbinary", "non-binary",
     "non_binary", "prefer_not_to_say", "undisclosed"}
)  # fmt: skip
STATE_NAMES = frozenset(
    """
alabama|alaska|arizona|arkansas|california|colorado|connecticut|delaware|district of columbia|florida|georgia|hawaii
idaho|illinois|indiana|iowa|kansas|kentucky|louisiana|maine|maryland|massachusetts|michigan|minnesota|mississippi
missouri|montana|nebraska|nevada|new hampshire|new jersey|new mexico|new york|north carolina|north dakota|ohio|oklahoma
oregon|pennsylvania|rhode island|south carolina|south dakota|tennessee|texas|utah|vermont|virginia|washington
west virginia|wisconsin|wyoming|american samoa|guam|northern mariana islands|puerto rico|virgin islands
""".strip()
    .replace("\n", "|")
    .split("|")
)
EXACTEST = 10**6  # no altitude, speed, heading or accuracy is larger; a phone number is
EDGES: Mapping[str, int] = {"lat": 90, "lon": 180}
ZIP = re.compile(r"(?=.*[0-9])[A-Z0-9]{2,5}[ -]?[A-Z0-9]{0,5}", re.IGNORECASE)


def is_region(_: str, value: object) -> bool:
    """Of a field of a region or a metro."""
    if geo.is_metro(value):
        return True
    text = value.strip() if isinstance(value, str) else ""
    code = text.upper()
    return code in STATES or text.casefold() in STATE_NAMES or PLACE_CODE.fullmatch(code) is not None


def is_demographic(_: str, value: object) -> bool:
    """Of a field of an age, a year of birth, a gender, or a yes or no."""
    if isinstance(value, int | float):
        return 0 <= value <= OLDEST or value in YEARS
    text = value.strip().casefold() if isinstance(value, str) else ""
    return text in GENDERS or AGES.fullmatch(text) is not None


def is_exact(field: str, value: object) -> bool:
    """Whether a value is a part of a precise point as its field's name says: a number in its bounds, a cell, a code."""
    kind = geo.kind(field)
    if kind in CELLS:
        return isinstance(value, str) and CELLS[kind](value)
    read = geo.number(value)
    return read is not None and abs(read) <= EDGES.get(kind, EXACTEST)


CELLS = {
    "geohash": lambda text: geo.bounds(text) is not None,
    "h3": lambda text: geo.H3_INDEX.fullmatch(text) is not None,
    "zip": lambda text: ZIP.fullmatch(text.strip()) is not None,
    "metro": geo.is_metro,
}


def tells_of_nobody(_: str, value: object) -> bool:
    """Whether a value that is said to be of many people or of nobody has at least no form that names one."""
    if not isinstance(value, str):
        return isinstance(value, int | float)
    number = value.strip().isdigit()  # a count
    return not identity.says_who(value) and (number or not identity.could_be(value))
