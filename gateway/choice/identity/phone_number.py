"""Phone numbers: E.164 with its plus is the normal form. `reading` calls it.

A number that says where it belongs (+, 00, 011) is that one. Any other is read in the country that was stated and in
each of the operator's, where it is valid there: all of a country's numbers are possible in some other, and half may be
valid there. Without an area code it would be many people's and is refused. An extension is left out, for recipients
hash the number without it; what is as long as a number is none, but another number that would be lost with it. The
letters of a vanity number are its digits.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, ValidationResult

from gateway.choice.identity import device, spelling
from gateway.choice.identity.kinds import LAST_TEN, TEN_ABROAD, Limited, NormalIdentifier, Read, digest, digests, named
from gateway.terms import Malformed

STARTS = re.compile(r"(\W*(?:tel:)?\W*)(?=\d)", re.IGNORECASE)  # a number, not a text with one somewhere in it
PLUSES = frozenset("+\uff0b")
# Dialled before a country code: 00 where ITU-T E.164's recommendation is followed, 011 in North America. No country
# code begins with 0, so that either behind a plus says the same.
INTERNATIONAL = re.compile(r"00|011")
NORTH_AMERICA = 1  # the country code
TEN = 10  # digits of a whole number there
# In the normal form as it stands; of all that the library could say of it, only one digit over and over is not that.
NORMAL = re.compile(r"\+1[2-9][0-9]{2}[2-9][0-9]{6}")
# An extension has fewer digits than a number of anybody, of which a local one has seven.
AN_EXTENSION = 6
PARAMETERS = re.compile(r";(?!phone-context=)(?:ext=)?", re.IGNORECASE)  # RFC 3966 3: a context is where it is dialled
NANP = re.compile(r"[2-9]\d{2}[2-9]\d{6}")  # the North American Numbering Plan: NPA-NXX-XXXX, N from 2 to 9


def read_number(text: str, country: str, countries: Sequence[str] = (), *, blank: bool = False) -> Read:
    """A number as it was typed or sent. `country` is ISO 3166-1, in any case, for numbers without a country code;
    `countries` are the operator's. `blank`: one stood before it, which is what an unescaped plus of a form becomes.
    """
    if NORMAL.fullmatch(text) and len(set(text[2:])) > 1:
        return _named(text, (text[2:],))
    if device.word(text):
        return Limited("phone")
    text, stated = spelling.ascii_digits(text), country.upper()
    found = _readings(text, stated, countries, blank=blank and bool(countries))
    if _placeholder(text, found[0] if found else None):
        return Limited("phone")
    if not found:
        return Malformed("phone", "value")
    first, *more = map(_identifier, found)
    return (
        replace(first, further=tuple(more), possible=(*first.possible, *_taken_before(text, stated, found)))
        if countries
        else first
    )


def elsewhere(text: str, countries: Sequence[str]) -> list[str]:
    """What a national number of a country that cannot be read may be in the operator's: E.164 of each."""
    if not countries:
        return []
    found = _readings(spelling.ascii_digits(text), countries[0].upper(), countries, blank=False)
    return [_e164(number) for number in found if phonenumbers.is_valid_number(number)]


def shown(e164: str) -> tuple[str, str]:
    """What lets a person recognise their number, and tells nobody else: its country (ISO 3166-1, or the country code
    where that has none) and its last two digits.
    """
    number = phonenumbers.parse(e164)
    return phonenumbers.region_code_for_number(number) or f"+{number.country_code}", e164[-2:]


def at_home(digits: str) -> str:
    """The digits of an E.164 number without its country code (ITU-T E.164: one to three, and none begins another)."""
    codes = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    return next((digits[size:] for size in (1, 2, 3) if int(digits[:size]) in codes), digits)


def _readings(text: str, stated: str, countries: Sequence[str], *, blank: bool) -> list[PhoneNumber]:
    """Every number that a text may be, the likeliest first."""
    starts = STARTS.match(text)
    if not starts:
        return []
    bare = text[starts.end() :]
    if not PLUSES.isdisjoint(starts[1]):
        number = _parse(text, stated) or _parse(f"+{INTERNATIONAL.sub('', bare, count=1)}", stated)
        return [number] if number else []
    dialled = INTERNATIONAL.match(bare)
    abroad = _parse(f"+{bare[dialled.end() if dialled else 0 :]}", stated) if dialled or blank else None
    if abroad and dialled and dialled[0] == "00":
        return [abroad]
    if stated not in phonenumbers.SUPPORTED_REGIONS:
        return [abroad] if abroad else []
    return _in_countries(
        text, list(dict.fromkeys((stated, *(each.upper() for each in countries)))), abroad, blank=blank
    )


def _in_countries(text: str, regions: Sequence[str], abroad: PhoneNumber | None, *, blank: bool) -> list[PhoneNumber]:
    """A national number in the country that was stated, which is the first, and in the operator's. `abroad`: what it
    is if its beginning was dialled, which a number of a city (011 in Turin, 0113 in Leeds) may look like.
    """
    national = [number for region in regions if (number := _parse(text, region))]
    valid = [number for number in national if phonenumbers.is_valid_number(number)]
    if abroad and phonenumbers.is_valid_number(abroad):
        own = not blank and bool(valid) and valid[0] == national[0]
        valid.insert(1 if own else 0, abroad)
    found = valid or national[:1]
    return list({_e164(number): number for number in found}.values())


def _taken_before(text: str, stated: str, found: Sequence[PhoneNumber]) -> tuple[NormalIdentifier, ...]:
    """What a number was taken for while every possible one of the stated country was: what was said of it holds."""
    number = _parse(text, stated)
    return (_identifier(number),) if number and number not in found else ()


def _parse(text: str, country: str) -> PhoneNumber | None:
    """The number in the country's own spelling; None where it is none, or half of one."""
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    return number if _complete(number) and not _with_another(text, number) else None


def _with_another(text: str, number: PhoneNumber) -> bool:
    """Whether a second number stands behind it, which the library takes for an extension or drops."""
    behind = PARAMETERS.split(text)[1:]
    return len(number.extension or "") > AN_EXTENSION or any(
        sum(map(str.isdigit, part.partition(";")[0])) > AN_EXTENSION for part in behind
    )


def _complete(number: PhoneNumber) -> bool:
    """Not "possible locally": a number without its area code would be many people's."""
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return False
    return number.country_code != NORTH_AMERICA or NANP.fullmatch(str(number.national_number)) is not None


def _placeholder(text: str, number: PhoneNumber | None) -> bool:
    """One digit over and over, typed where a number was asked for, unless a carrier could give it to somebody."""
    digits = str(number.national_number) if number else re.sub(r"\D", "", text)
    return device.repeated(digits) and not (number and phonenumbers.is_valid_number(number))


def _e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _identifier(number: PhoneNumber) -> NormalIdentifier:
    """LiveRamp and the DAA's TokenChoices hash a North American number without its country code. Ten digits may be the
    whole of another country's number, so they are a looser form; of other countries nobody hashes a national form.
    """
    return _named(_e164(number), (str(number.national_number),) if number.country_code == NORTH_AMERICA else ())


def _named(e164: str, national: tuple[str, ...]) -> NormalIdentifier:
    """By digests with the plus (UID2, Google, TikTok until June 2025) and without it (Meta, Snap, TikTok since); of an
    American number also by that of its ten digits alone (California's deletion list). The last ten of another country's
    are an American's whole number, so they are a looser form that no American number has.
    """
    own, looser = digests("phone", (e164, e164.removeprefix("+"))), digests("phone", national)
    if not national:
        return named("phone", e164, own, [*looser, (TEN_ABROAD, digest("sha256", e164[1:][-TEN:]))])
    return named("phone", e164, [*own, *((LAST_TEN, digest("sha256", each)) for each in national)], looser)
