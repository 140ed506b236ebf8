"""What a person wrote into a field of a form: an address or a number, or a text that has some in it.

`read` takes a value; people write "415-555-0123 (mobile)", two numbers, or the address with its name as a mail program
copies it. For an opt-out whatever can be found counts. Never used where a value could allow anything.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from phonenumbers import SUPPORTED_REGIONS, Leniency, PhoneNumberMatcher

from gateway.choice.identity import spelling
from gateway.choice.identity.kinds import Identifier
from gateway.choice.identity.phone_number import elsewhere
from gateway.choice.identity.reading import read

DOUBLE = "\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a"  # quotation marks of all languages, which no address holds
SINGLE = "\u2018\u2019'"  # and those that one may: O'Brien
QUOTES = re.compile(rf"""["{SINGLE}{DOUBLE}](.*)["{SINGLE}{DOUBLE}]""", re.DOTALL)
BREAKS = rf"""\s<>()\[\]{{}},;:@{DOUBLE}"|/\\"""  # what stands around an address in a text
ADDRESS = re.compile(rf"(?<!@)(?<![^{BREAKS}])[^{BREAKS}]++@[^{BREAKS}]++(?!@)")
BLANK = re.compile(r"\s")
AFTER = ".!?" + SINGLE  # what ends the sentence or the quotation, and no address
REST = re.compile(r"\d[^\d@]*\d[^\d@]*\d|@")  # three digits: perhaps a part of a number
MOST = 8  # identifiers out of one field of 320 characters; a longer list is the desk's


class Typed(NamedTuple):
    """`found`: kind and value of each, readable by `read`. `whole`: nothing that looks like one was passed over."""

    found: tuple[tuple[str, str], ...]
    whole: bool


def typed(kind: str, text: str, country: str, countries: Sequence[str] = ()) -> Typed:
    """`kind` is the field's: email or phone. An address in the field for numbers is an address all the same. `country`
    was stated; `countries` are the operator's.
    """
    blank, text = text[:1] == " ", spelling.seen(text)  # which a form's plus may have been
    quoted = QUOTES.fullmatch(text)
    text = (quoted[1] if quoted else text).strip()
    text = spelling.with_signs(text, loosely=kind == "email")
    own = [(kind, f" {text}" if blank else text)] if _readable(kind, text, country, countries) else []
    if own and not (kind == "email" and BLANK.search(text)):  # "Jane jane@example.com" is readable without its blank
        return Typed(tuple(own), whole=True)
    found, rest = _found(unicodedata.normalize("NFKC", text), country, countries)
    every = tuple(dict.fromkeys([*own, *found]))
    return Typed(every[:MOST], bool(own) or (0 < len(every) <= MOST and not REST.search(rest)))


def may_be(text: str, country: str, countries: Sequence[str]) -> list[str]:
    """Numbers of the operator's countries that somebody may mean who stated one that cannot be read: E.164 of each."""
    if country.upper() in SUPPORTED_REGIONS:
        return []
    found = typed("phone", text, countries[0], countries).found
    return [e164 for kind, value in found if kind == "phone" for e164 in elsewhere(value, countries)]


def _found(text: str, country: str, countries: Sequence[str]) -> tuple[list[tuple[str, str]], str]:
    """Addresses and numbers in a text, and what is left of it."""
    found: list[tuple[str, str]] = []
    rest = text
    for address in ADDRESS.findall(text):
        value = address.lstrip(SINGLE).rstrip(AFTER)
        if "." in value.rpartition("@")[2] and _readable("email", value, country, ()):
            found.append(("email", value))
            rest = rest.replace(address, " ", 1)
    for region in dict.fromkeys((country, *countries)):
        for number in PhoneNumberMatcher(rest, region.upper(), leniency=Leniency.POSSIBLE, max_tries=MOST):
            value = number.raw_string.partition(";")[0]  # as it stands: where it belongs is for its reader
            if _readable("phone", value, country, countries):
                found.append(("phone", value))
                rest = rest.replace(number.raw_string, " ", 1)
    return found, rest


def _readable(kind: str, value: str, country: str, countries: Sequence[str]) -> bool:
    return isinstance(read(kind, value, country=country, countries=countries), Identifier)
