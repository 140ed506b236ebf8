"""Identifiers of devices: advertising and vendor ids (UUIDs), IMEI, serial number, UDID.

Owns their normal forms. A platform answers a placeholder where it withholds one; that is never a key (sentinels).
"""

import re

from gateway.choice.identity import sentinels
from gateway.choice.identity.kinds import AD_IDS, Limited, Read, alone, digest, named
from gateway.terms import Malformed

UUID = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})")
IMEI = re.compile(r"([0-9]{14})[0-9]{0,2}")  # 3GPP TS 23.003 6.2: with a check digit 15, with a software version 16
CODE = re.compile(r"[!-~]{1,128}")  # one word of visible ASCII; the longest, a SHA-512 in hex
SPACED = re.compile(r"[ ./-]")  # how an IMEI is printed on a box


def uuid(kind: str, text: str) -> Read:
    """Lower case with hyphens; braces, and ids without hyphens, are read too."""
    groups = UUID.fullmatch(text.lower().removeprefix("{").removesuffix("}"))
    if sentinels.repeated("".join(groups.groups())) if groups else sentinels.placeholder(text):
        return Limited(kind)
    if not groups:
        return Malformed(kind, "value")
    value = "-".join(groups.groups())
    if kind not in AD_IDS:
        return alone(kind, value)
    # recipients hash the lower or the upper spelling, always with hyphens (LiveRamp, X, Meta, Adjust)
    hashes = (("ad_id_sha256", digest("sha256", spelling)) for spelling in (value, value.upper()))
    return named(kind, value, ((kind, value), *hashes))


def imei(kind: str, text: str) -> Read:
    """15 digits. The same phone also says 14 of them, or 16 with its software version, or 0 for the check digit (3GPP
    TS 23.003 6.2.1), so that one is computed. The ESN or MEID of a phone without an IMEI stands as it is.
    """
    digits = IMEI.fullmatch(SPACED.sub("", text))
    if digits and sentinels.placeholder(digits[1]):
        return Limited(kind)
    return alone(kind, digits[1] + _check_digit(digits[1])) if digits else code(kind, text)


def _check_digit(digits: str) -> str:
    """Luhn's, of 14 digits (3GPP TS 23.003 B.2): every second one counts double, as the sum of its digits."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[1::2])
    return str(-(sum(doubled) + sum(map(int, digits[::2]))) % 10)


def code(kind: str, text: str) -> Read:
    """In upper case: Android's serial has no case by its documentation, Apple's is in upper case."""
    if sentinels.placeholder(text):
        return Limited(kind)
    return alone(kind, text.upper()) if CODE.fullmatch(text) else Malformed(kind, "value")


def udid(kind: str, text: str) -> Read:
    """Hex in lower case without hyphens: 40 digits, or since 2018 8 and 16, with or without a hyphen between."""
    if sentinels.placeholder(text):
        return Limited(kind)
    value = text.lower().replace("-", "")
    return alone(kind, value) if CODE.fullmatch(value) else Malformed(kind, "value")
