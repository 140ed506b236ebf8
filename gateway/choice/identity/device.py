"""Identifiers of devices (advertising and vendor ids, IMEI, serial number, UDID), digests that a caller made, and the
placeholders that stand for none. `reading` calls it by the kind.

A placeholder (sentinel) is what a platform or a program sends when it has no identifier; everybody without one shares
it. As a key it would opt out, or link, all those people together; read as an unknown person it would allow. So it means
"limited".

Digests in hex of any case or in base64 are the same bytes (I33). The kind comes from the field, never from the look of
a value: what looks hashed could be anything.
"""

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import lru_cache

from gateway.choice.identity import spelling
from gateway.choice.identity.kinds import (
    AD_ID_DIGESTS,
    AD_IDS,
    ALGORITHMS,
    DIGESTS,
    UUIDS,
    Limited,
    Name,
    NormalIdentifier,
    Read,
    alone,
    digest,
    digests,
    named,
)
from gateway.terms import Malformed

ZERO_ID = "00000000-0000-0000-0000-000000000000"
WITHHELD_MAC = "02:00:00:00:00:00"  # what iOS 7 and Android 6 answer to everyone who asks for the hardware address
# How programs print the absence of a value: SQL and JSON, Python, Objective-C, JavaScript, Android's Build.UNKNOWN.
SENTINEL_WORDS = frozenset({"", "null", "(null)", "nil", "none", "nan", "undefined", "unknown", "n/a"})
# An id of an ad network after an opt-out there, and UID2's answer for an opted-out person.
OPT_OUTS = frozenset({"0", "-1", "noid", "optout", "opt_out", "opt-out"})
# Serials that factories left in: the digits in their order, from 0 or from 1, and Android 2.2's shared ANDROID_ID.
COUNTING = ("0123456789abcdef", "1234567890abcdef", "01234567890123456789")
SHARED = frozenset({"9774d56d682e549c", WITHHELD_MAC.replace(":", "")})
SEPARATORS = str.maketrans("", "", "-:{} /.")
ENOUGH = 8  # characters in which a repeated or a counted digit is no accident; shorter ones may be a real id


def word(text: str) -> bool:
    """Nothing, or a program's word for nothing."""
    return text.lower() in SENTINEL_WORDS


def withheld(text: str) -> bool:
    """An opaque id (of a cookie, a partner, an account) that stands for none: a word, an opt-out, a zero id."""
    return word(text) or text.lower() in OPT_OUTS or set(text.translate(SEPARATORS)) == {"0"}


def placeholder(text: str) -> bool:
    """A device's id that many devices have."""
    bare = text.lower().translate(SEPARATORS)
    return (
        word(text)
        or bare in SHARED
        or repeated(bare)
        or (len(bare) >= ENOUGH and any(bare in run for run in COUNTING))
        or bare in DIGESTS_OF_NOTHING.get(len(bare), ())
    )


def repeated(text: str) -> bool:
    """One character over and over, and zeros however few."""
    return text != "" and text == text[0] * len(text) and (text[0] == "0" or len(text) >= ENOUGH)


def digest_of_nothing(value: str) -> bool:
    """Lower-case hex: the digest of a sentinel, or UID2's null and ones hashes."""
    return len(set(value)) == 1 or value in DIGESTS_OF_NOTHING[len(value)]


def _spellings() -> set[str]:
    """As consumers spell before hashing: in lower and upper case, with and without separators."""
    plain = {*SENTINEL_WORDS, ZERO_ID, WITHHELD_MAC, *SHARED, "0", "0" * 15, "0" * 16}  # 15: an IMEI, 16: an ANDROID_ID
    cased = {form(text) for text in plain for form in (str.lower, str.upper, str.capitalize)}
    return cased | {text.translate(SEPARATORS) for text in cased}


DIGESTS_OF_NOTHING: Mapping[int, frozenset[str]] = {  # by length in hex
    len(digest(algorithm, "")): frozenset(digest(algorithm, text) for text in _spellings()) for algorithm in ALGORITHMS
}


NORMAL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
UUID = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})")
UUID_BYTES = 16
NORMAL_AS_UUID = frozenset({*UUIDS, "account"})  # kinds under which a normal uuid is its own normal form
IMEI = re.compile(r"([0-9]{14})[0-9]{0,2}")  # 3GPP TS 23.003 6.2: with a check digit 15, with a software version 16
# One word of visible ASCII, without what stands between two of a list; the longest, a SHA-512 in hex.
CODE = re.compile(r"[!-+\--:<-{}~]{1,128}")
SPACED = re.compile(r"[ ./-]")  # how an IMEI is printed on a box
TWO_IMEIS = re.compile(r"(?:[^0-9]*[0-9]){28}")
# What stands before an id on a box, in a settings screen, in a log line or in a URN.
WORDS = r"(?:ad(?:vertis(?:ing|er))?[ _-]?id(?:entifier)?|[ago]aid|idf[av]|if[av]|app[ _-]?set(?:[ _-]?id)?|[gu]uid)"
UUID_LABEL = re.compile(rf"(?:urn:uuid:|{WORDS}\s*[:=#]\s*)+", re.IGNORECASE)
IMEI_LABEL = re.compile(
    r"(?:urn:gsma:imei:|(?:imei(?:[ /_-]?sv)?|meid|esn)\s*(?:\(?[12]\)?\s*[:=#]|[:=#])?\s*)", re.IGNORECASE
)
SERIAL_LABEL = re.compile(r"(?:s/?n|serial(?:[ _-]?(?:no|nr|number))?\.?)\s*[:=#]\s*", re.IGNORECASE)
UDID_LABEL = re.compile(r"udid\s*[:=#]\s*", re.IGNORECASE)


def uuid(kind: str, text: str, apart: Collection[str] | None = None) -> Read:
    """Lower case with hyphens; braces, ids without hyphens, and base64 of one or of its bytes, are read too. `apart`:
    `alone` of `reading.read_identifier`.
    """
    if not NORMAL.fullmatch(text):
        groups = UUID.fullmatch(text.lower())
        if not groups:
            text = spelling.unlabelled(text, UUID_LABEL)
            groups = UUID.fullmatch(text.lower()) or UUID.fullmatch(_uncoded(text))
        if not groups:
            return Limited(kind) if placeholder(text) else Malformed(kind, "value")
        text = "-".join(groups.groups())
    if repeated(text.replace("-", "")):
        return Limited(kind)
    return named(kind, text, names_asked(kind, text, apart)) if kind in AD_IDS else alone(kind, text)


def is_normal_uuid(text: str) -> bool:
    """Whether it stands in its normal form, and is an id."""
    return NORMAL.fullmatch(text) is not None and not repeated(text.replace("-", ""))


def reading_of_normal(kind: str, text: str) -> str | None:
    """What a text that is a normal uuid reads as, under a kind that it was said to be of: itself, or where the kind is
    a digest of sixteen bytes those, which it may be with hyphens. None: under this kind it is read like any text.
    """
    if kind in NORMAL_AS_UUID:
        return text
    bare = text.replace("-", "")
    return bare if DIGESTS.get(kind) == UUID_BYTES and not digest_of_nothing(bare) else None


def names_asked(kind: str, text: str, apart: Collection[str] | None = None) -> list[Name]:
    """The names of an ad id in normal form; `apart` as of `uuid`."""
    # recipients hash the lower or the upper spelling with hyphens (LiveRamp, X, Meta, Adjust); others go without
    if apart is None:
        return [(kind, text), *digests("ad_id", _forms(text))]
    asked = [(kind, text), *digests("ad_id", (text,), _one_of_the_others(frozenset(apart)))]
    return [*dict.fromkeys([*asked, *digests("ad_id", _forms(text), apart)])] if apart else asked


@lru_cache(maxsize=16)
def _one_of_the_others(apart: frozenset[str]) -> tuple[str, ...]:
    """A kind of digest of which nothing is named alone; none where each is."""
    return tuple(each for each in AD_ID_DIGESTS if each not in apart)[:1]


def _forms(text: str) -> tuple[str, ...]:
    bare = text.replace("-", "")
    return text, text.upper(), bare, bare.upper()


def _uncoded(text: str) -> str:
    raw = spelling.decoded(text)
    return raw.hex() if len(raw) == UUID_BYTES else spelling.decoded_text(text).lower()


def imei(kind: str, text: str) -> Read:
    """15 digits. The same phone also says 14 of them, or 16 with its software version, or 0 for the check digit (3GPP
    TS 23.003 6.2.1), so that one is computed. The ESN or MEID of a phone without an IMEI stands as it is.
    """
    stated, text = text, spelling.unlabelled(text, IMEI_LABEL)
    digits = IMEI.fullmatch(SPACED.sub("", text))
    if digits and placeholder(digits[1]):
        return Limited(kind)
    if not digits:
        return Malformed(kind, "value") if TWO_IMEIS.match(text) else code(kind, stated)
    return _known_as(alone(kind, digits[1] + _check_digit(digits[1])), stated.upper())


def _check_digit(digits: str) -> str:
    """Luhn's, of 14 digits (3GPP TS 23.003 B.2): every second one counts double, as the sum of its digits."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[1::2])
    return str(-(sum(doubled) + sum(map(int, digits[::2]))) % 10)


def code(kind: str, text: str) -> Read:
    """In upper case: Android's serial has no case by its documentation, Apple's is in upper case."""
    stated, text = text, spelling.unlabelled(text, SERIAL_LABEL if kind == "serial" else IMEI_LABEL)
    if placeholder(text):
        return Limited(kind)
    return _known_as(alone(kind, text.upper()), stated.upper()) if CODE.fullmatch(text) else Malformed(kind, "value")


def udid(kind: str, text: str) -> Read:
    """Hex in lower case without hyphens: 40 digits, or since 2018 8 and 16, with or without a hyphen between."""
    stated, text = text, spelling.unlabelled(text, UDID_LABEL)
    if placeholder(text):
        return Limited(kind)
    value = text.lower().replace("-", "")
    known = _known_as(alone(kind, value), stated.lower().replace("-", ""))
    return known if CODE.fullmatch(value) else Malformed(kind, "value")


def _known_as(found: NormalIdentifier, before: str) -> NormalIdentifier:
    """What was said of an id with its label, when that was a part of it, still denies."""
    labelled = ":" in before or "=" in before or "#" in before
    looser = ((found.kind, before),) if labelled and before != found.value and CODE.fullmatch(before) else ()
    return replace(found, names=(*found.names, *looser))


HEX = re.compile(r"[0-9A-Fa-f]+")
# What a program writes before one, to say what it is: "sha256:", "SHA-1=", "sha256-" (Subresource Integrity), "0x".
LABEL = re.compile(r"(?:sha-?(?:256|1)|md5|hash)\s*[:=$-]\s*|0x(?=[0-9a-f]+\Z)|\\x(?=[0-9a-f]+\Z)", re.IGNORECASE)
GROUPS = re.compile(r"(?<=[0-9A-Fa-f]{2})[: -](?=[0-9A-Fa-f]{2})")  # bytes that are written apart


def read_digest(kind: str, text: str) -> Read:
    """A digest in lower-case hex. That of a sentinel is limited."""
    if word(text):
        return Limited(kind)
    raw = _bytes(spelling.unlabelled(text, LABEL), DIGESTS[kind])
    if raw is None:
        return Malformed(kind, "value")
    return Limited(kind) if digest_of_nothing(raw.hex()) else alone(kind, raw.hex())


def _bytes(text: str, size: int) -> bytes | None:
    apart = GROUPS.sub("", text)
    if len(apart) == 2 * size and HEX.fullmatch(apart):
        return bytes.fromhex(apart)
    standard = text.replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == size else None
