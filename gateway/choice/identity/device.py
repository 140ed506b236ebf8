"""Identifiers of devices: advertising and vendor ids (UUIDs), IMEI, serial number, UDID.

Owns their normal forms. A platform answers a placeholder where it withholds one; that is never a key (sentinels).
"""

import re
from dataclasses import replace

from gateway.choice.identity import sentinels, spelling
from gateway.choice.identity.kinds import AD_IDS, Identifier, Limited, Read, alone, digests, named
from gateway.terms import Malformed

UUID = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})")
UUID_BYTES = 16
IMEI = re.compile(r"([0-9]{14})[0-9]{0,2}")  # 3GPP TS 23.003 6.2: with a check digit 15, with a software version 16
CODE = re.compile(r"[!-~]{1,128}")  # one word of visible ASCII; the longest, a SHA-512 in hex
SPACED = re.compile(r"[ ./-]")  # how an IMEI is printed on a box
# What stands before an id on a box, in a settings screen, in a log line or in a URN.
WORDS = r"(?:ad(?:vertis(?:ing|er))?[ _-]?id(?:entifier)?|[ago]aid|idf[av]|if[av]|app[ _-]?set(?:[ _-]?id)?|[gu]uid)"
UUID_LABEL = re.compile(rf"(?:urn:uuid:|{WORDS}\s*[:=#]\s*)+", re.IGNORECASE)
IMEI_LABEL = re.compile(
    r"(?:urn:gsma:imei:|(?:imei(?:[ /_-]?sv)?|meid|esn)\s*(?:\(?[12]\)?\s*[:=#]|[:=#])?\s*)", re.IGNORECASE
)
SERIAL_LABEL = re.compile(r"(?:s/?n|serial(?:[ _-]?(?:no|nr|number))?\.?)\s*[:=#]\s*", re.IGNORECASE)
UDID_LABEL = re.compile(r"udid\s*[:=#]\s*", re.IGNORECASE)


def uuid(kind: str, text: str) -> Read:
    """Lower case with hyphens; braces, ids without hyphens, and base64 of one or of its bytes, are read too."""
    text = spelling.unlabelled(text, UUID_LABEL)
    groups = UUID.fullmatch(text.lower()) or UUID.fullmatch(_uncoded(text))
    if sentinels.repeated("".join(groups.groups())) if groups else sentinels.placeholder(text):
        return Limited(kind)
    if not groups:
        return Malformed(kind, "value")
    value = "-".join(groups.groups())
    if kind not in AD_IDS:
        return alone(kind, value)
    # recipients hash the lower or the upper spelling with hyphens (LiveRamp, X, Meta, Adjust); others go without
    forms = (value, value.upper(), bare := value.replace("-", ""), bare.upper())
    return named(kind, value, ((kind, value), *digests("ad_id", forms)))


def _uncoded(text: str) -> str:
    raw = spelling.decoded(text)
    return raw.hex() if len(raw) == UUID_BYTES else spelling.decoded_text(text).lower()


def imei(kind: str, text: str) -> Read:
    """15 digits. The same phone also says 14 of them, or 16 with its software version, or 0 for the check digit (3GPP
    TS 23.003 6.2.1), so that one is computed. The ESN or MEID of a phone without an IMEI stands as it is.
    """
    stated, text = text, spelling.unlabelled(text, IMEI_LABEL)
    digits = IMEI.fullmatch(SPACED.sub("", text))
    if digits and sentinels.placeholder(digits[1]):
        return Limited(kind)
    return _known_as(alone(kind, digits[1] + _check_digit(digits[1])), stated.upper()) if digits else code(kind, stated)


def _check_digit(digits: str) -> str:
    """Luhn's, of 14 digits (3GPP TS 23.003 B.2): every second one counts double, as the sum of its digits."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[1::2])
    return str(-(sum(doubled) + sum(map(int, digits[::2]))) % 10)


def code(kind: str, text: str) -> Read:
    """In upper case: Android's serial has no case by its documentation, Apple's is in upper case."""
    stated, text = text, spelling.unlabelled(text, SERIAL_LABEL if kind == "serial" else IMEI_LABEL)
    if sentinels.placeholder(text):
        return Limited(kind)
    return _known_as(alone(kind, text.upper()), stated.upper()) if CODE.fullmatch(text) else Malformed(kind, "value")


def udid(kind: str, text: str) -> Read:
    """Hex in lower case without hyphens: 40 digits, or since 2018 8 and 16, with or without a hyphen between."""
    stated, text = text, spelling.unlabelled(text, UDID_LABEL)
    if sentinels.placeholder(text):
        return Limited(kind)
    value = text.lower().replace("-", "")
    known = _known_as(alone(kind, value), stated.lower().replace("-", ""))
    return known if CODE.fullmatch(value) else Malformed(kind, "value")


def _known_as(found: Identifier, before: str) -> Identifier:
    """What was said of an id with its label, when that was a part of it, still denies."""
    labelled = ":" in before or "=" in before or "#" in before
    looser = ((found.kind, before),) if labelled and before != found.value and CODE.fullmatch(before) else ()
    return replace(found, names=(*found.names, *looser))
