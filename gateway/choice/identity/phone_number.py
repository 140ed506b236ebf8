"""Phone numbers: E.164 with its plus is the normal form. Never says whether a number is in use.

A national number needs its country; without an area code it would be many people's and is refused. An extension is
left out, for recipients hash the number without it; the letters of a vanity number are its digits.
"""

import re

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, ValidationResult

from gateway.choice.identity import sentinels
from gateway.choice.identity.kinds import Limited, Name, Read, digest, named
from gateway.terms import Malformed

STARTS = re.compile(r"\W*(?:tel:)?\W*\d", re.IGNORECASE)  # a number, not a text with one somewhere in it
INTERNATIONAL = "00"  # dialled before a country code where ITU-T E.164's recommendation is followed
NORTH_AMERICA = 1  # the country code
# In the normal form as it stands; of all that the library could say of it, only one digit over and over is not that.
NORMAL = re.compile(r"\+1[2-9][0-9]{2}[2-9][0-9]{6}")
NANP = re.compile(r"[2-9]\d{2}[2-9]\d{6}")  # the North American Numbering Plan: NPA-NXX-XXXX, N from 2 to 9


def read(text: str, country: str) -> Read:
    """A number as it was typed or sent. `country` is ISO 3166-1, in any case, for numbers without a country code."""
    if NORMAL.fullmatch(text) and len(set(text[2:])) > 1:
        return named("phone", text, map(_name, (text, text[1:])), (_name(text[2:]),))
    if sentinels.word(text):
        return Limited("phone")
    number = _parse(text, country.upper()) if STARTS.match(text) else None
    if _placeholder(text, number):
        return Limited("phone")
    if number is None:
        return Malformed("phone", "value")
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return named("phone", e164, map(_name, (e164, e164.removeprefix("+"))), map(_name, _national(number)))


def _parse(text: str, country: str) -> PhoneNumber | None:
    """The number in the country's own spelling, or else behind the 00 of most other countries."""
    spellings = [text, f"+{text.removeprefix(INTERNATIONAL)}"] if text.startswith(INTERNATIONAL) else [text]
    for spelling in spellings:
        try:
            number = phonenumbers.parse(spelling, country)
        except phonenumbers.NumberParseException:
            continue
        if _complete(number):
            return number
    return None


def _complete(number: PhoneNumber) -> bool:
    """Not "possible locally": a number without its area code would be many people's."""
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return False
    return number.country_code != NORTH_AMERICA or NANP.fullmatch(str(number.national_number)) is not None


def _placeholder(text: str, number: PhoneNumber | None) -> bool:
    """One digit over and over, typed where a number was asked for, unless a carrier could give it to somebody."""
    digits = str(number.national_number) if number else re.sub(r"\D", "", text)
    return sentinels.repeated(digits) and not (number and phonenumbers.is_valid_number(number))


def _national(number: PhoneNumber) -> tuple[str, ...]:
    """LiveRamp and the DAA's TokenChoices hash a North American number without its country code. Ten digits may be the
    whole of another country's number, so they are a looser form; of other countries nobody hashes a national form.
    """
    return (str(number.national_number),) if number.country_code == NORTH_AMERICA else ()


def _name(form: str) -> Name:
    """With the plus (UID2, Google, TikTok until June 2025), or without it (Meta, Snap, TikTok since)."""
    return "phone_sha256", digest("sha256", form)
