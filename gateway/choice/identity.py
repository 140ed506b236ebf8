"""Identifiers: kinds, normalisation, and the names that one identifier goes by.

A *name* is a (kind, value) pair that a key is made from. A raw e-mail or phone is the same identifier as the SHA-256
of its normal form, so that both find one standing; other digests are further names of it (enforcement.md section 6).
Sentinels (a zero id, a hash of one, a hash of nothing) are never a key: they mean "limited" (api.md, Identifier).
"""

import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers

from gateway.terms import Malformed

Name = tuple[str, str]

MAX_VALUE = 1024
MAX_INTEGER = 10**64  # an id sent as a number; Python refuses to print numbers of thousands of digits
AD_IDS = ("gaid", "idfa", "oaid")  # what `ad_id_sha256` may be a digest of
UUIDS = (*AD_IDS, "idfv", "appset")
PLAIN = ("account", "browser", "imei", "serial", "udid")
SOURCED = ("cookie", "eid")
DIGESTS = {  # kind: bytes of the digest
    "email_sha256": 32,
    "email_sha1": 20,
    "email_md5": 16,
    "phone_sha256": 32,
    "ad_id_sha256": 32,
}
KINDS = ("browser", "account", "email", "phone", *UUIDS, "imei", "serial", "udid", *DIGESTS, *SOURCED)
ZERO_ID = "00000000-0000-0000-0000-000000000000"
UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,255}")
HEX = re.compile(r"[0-9A-Fa-f]+")
PREFIX = "id:"


@dataclass(frozen=True, slots=True)
class Identifier:
    """One typed value in normal form. `names[0]` is what its own standing is kept under."""

    kind: str
    value: str
    names: tuple[Name, ...]

    def __repr__(self) -> str:
        """Without the value: an identifier in a traceback is personal data in a log."""
        return f"Identifier({self.kind})"


@dataclass(frozen=True, slots=True)
class Limited:
    """The platform withholds the identifier: not a key, and never an allow."""

    kind: str


@dataclass(frozen=True, slots=True)
class Undeclared:
    """A kind that the configuration does not know."""

    kind: str


Read = Identifier | Limited | Undeclared | Malformed


@lru_cache
def _sentinel_digests(size: int) -> frozenset[str]:
    algorithm = {32: hashlib.sha256, 20: hashlib.sha1, 16: hashlib.md5}[size]
    texts = ("", ZERO_ID, ZERO_ID.replace("-", ""), "null")
    zero, ones = "00" * size, "ff" * size  # UID2 refuses the null and the ones hash
    return frozenset({algorithm(text.encode()).hexdigest() for text in texts} | {zero, ones})


def read(
    kind: object, value: object, *, source: object = None, country: str = "US", declared: Collection[str] = ()
) -> Read:
    """One identifier of a call. `country` reads national phone numbers (ISO 3166-1); `declared` are the names of
    the `id:<name>` kinds of the configuration. Never raises.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < MAX_INTEGER:
        value = str(value)
    if not isinstance(kind, str) or not isinstance(value, str):
        return Malformed("identifier", "type")
    text = unicodedata.normalize("NFC", value).strip()
    if len(text) > MAX_VALUE or "\x00" in text or _unwritable(text):
        return Malformed(_label(kind), "value")
    if kind in SOURCED:
        return _sourced(kind, text, source)
    if kind.startswith(PREFIX):
        return _one(kind, text) if kind[len(PREFIX) :] in declared else Undeclared(PREFIX)
    if kind == "phone":
        return _phone(text, country)
    reader = READERS.get(kind)
    return reader(kind, text) if reader else Undeclared(_label(kind))


def _unwritable(text: str) -> bool:
    """Half a surrogate pair, which no encoding has."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _label(kind: str) -> str:
    """A kind that may stand in a metric: ours, or `other`."""
    return kind if kind in KINDS else "other"


def _one(kind: str, text: str) -> Read:
    return Identifier(kind, text, ((kind, text),)) if text else Malformed(_label(kind), "empty")


def _sourced(kind: str, text: str, source: object) -> Read:
    name = source.strip() if isinstance(source, str) else ""
    if not 0 < len(name) <= 255 or _unwritable(name):  # noqa: PLR2004 - a host name's length, RFC 1035
        return Malformed(kind, "source")
    return _one(f"{kind}:{name.lower() if kind == 'eid' else name}", text)  # cookie names have a case, hosts have none


def _email(_: str, text: str) -> Read:
    address = text.lower()
    if not address:
        return Limited("email")
    if not EMAIL.fullmatch(address):
        return Malformed("email", "value")
    raw = address.encode()
    return Identifier(
        "email",
        address,
        (
            ("email_sha256", hashlib.sha256(raw).hexdigest()),
            ("email_sha1", hashlib.sha1(raw, usedforsecurity=False).hexdigest()),
            ("email_md5", hashlib.md5(raw, usedforsecurity=False).hexdigest()),
        ),
    )


NORTH_AMERICA = 1  # the country code


def _phone(text: str, country: str) -> Read:
    """E.164 with its plus is the normal form; recipients also hash it without (Meta, TikTok, Snap), and the DAA's
    TokenChoices the ten digits of a North American number.
    """
    if not text:
        return Limited("phone")
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return Malformed("phone", "value")
    # not "possible locally": a number without its area code would be many people's
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return Malformed("phone", "value")
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    ten = (str(number.national_number),) if number.country_code == NORTH_AMERICA else ()
    forms = (e164, e164.removeprefix("+"), *ten)
    return Identifier(
        "phone", e164, tuple(("phone_sha256", hashlib.sha256(form.encode()).hexdigest()) for form in forms)
    )


def _uuid(kind: str, text: str) -> Read:
    value = text.lower()
    if not value:
        return Limited(kind)
    if not UUID.fullmatch(value):
        return Malformed(kind, "value")
    digits = value.replace("-", "")
    value = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    if value == ZERO_ID:
        return Limited(kind)
    names: tuple[Name, ...] = ((kind, value),)
    if kind in AD_IDS:  # recipients hash the lower or the upper spelling (LiveRamp, Adjust)
        spellings = (value, value.upper())
        names += tuple(("ad_id_sha256", hashlib.sha256(form.encode()).hexdigest()) for form in spellings)
    return Identifier(kind, value, names)


def _digest(kind: str, text: str) -> Read:
    """Hex in any case, base64 or base64url (I33)."""
    size = DIGESTS[kind]
    if not text:
        return Limited(kind)
    raw = _digest_bytes(text, size)
    if raw is None:
        return Malformed(kind, "value")
    if raw.hex() in _sentinel_digests(size):
        return Limited(kind)
    return Identifier(kind, raw.hex(), ((kind, raw.hex()),))


def _digest_bytes(text: str, size: int) -> bytes | None:
    if len(text) == 2 * size:
        return bytes.fromhex(text) if HEX.fullmatch(text) else None  # fromhex alone would skip blanks
    try:
        standard = text.replace("-", "+").replace("_", "/").rstrip("=")
        raw = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == size else None


READERS: dict[str, Callable[[str, str], Read]] = {
    "email": _email,
    **dict.fromkeys(UUIDS, _uuid),
    **dict.fromkeys(DIGESTS, _digest),
    **dict.fromkeys(PLAIN, _one),
}
