"""Reads one identifier of a call by its kind, and finds identifiers in what a person typed into a form.

People write "415-555-0123 (mobile)", two numbers, or the address with its name as a mail program copies it. For an
opt-out whatever can be found counts (`typed`). It is never used where a value could allow anything.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from phonenumbers import SUPPORTED_REGIONS, Leniency, PhoneNumberMatcher

from gateway.choice.identity import device, email_address, kinds, phone_number, spelling
from gateway.choice.identity.kinds import (
    AD_IDS,
    DIGESTS,
    KINDS,
    PLAIN,
    SOURCED,
    TELEVISION,
    TELEVISIONS,
    UUIDS,
    Limited,
    Name,
    NormalIdentifier,
    Read,
    Undeclared,
    digest,
    named,
    unwritable,
)
from gateway.choice.identity.phone_number import elsewhere
from gateway.terms import Malformed

MAX_VALUE = 1024  # characters; a bound on the work: partners' sealed ids are some hundreds long
MAX_INTEGER = 10**64  # an id sent as a number; Python refuses to print numbers of thousands of digits
MAX_SOURCE = 255  # a host name's length, RFC 1035 3.1
PREFIX = "id:"
ACCOUNT = "account"
SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//")  # RFC 3986 3.1
PORT = re.compile(r":[0-9]{1,5}\Z")
HOST = re.compile(r"[^\s.]+(?:\.[^\s.]+)+\.?")


def read_identifier(
    kind: object,
    value: object,
    *,
    source: object = None,
    country: str = "US",
    countries: Sequence[str] = (),
    declared: Collection[str] = (),
    alone: Collection[str] | None = None,
) -> Read:
    """One identifier of a call. `country` reads national phone numbers (ISO 3166-1), `countries` are the operator's,
    where they may be numbers too; `declared` are the names of the `id:<name>` kinds of the configuration. `alone`: of
    an ad id's names only itself, the digests of these kinds, and the first of all others. Never raises.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < MAX_INTEGER:
        value = str(value)
    if not isinstance(kind, str) or not isinstance(value, str):
        return Malformed("identifier", "type")
    plain = value.isascii()
    text = value.strip() if plain else unicodedata.normalize("NFC", value).strip()
    if len(text) > MAX_VALUE or "\x00" in text or (not plain and unwritable(text)):
        return Malformed(_label(kind), "value")
    if kind == "phone":
        return phone_number.read_number(spelling.plain(text), country, countries, blank=value[:1] == " ")
    if kind in SOURCED:
        return _sourced(kind, text, source)
    if kind in PLAIN or (kind.startswith(PREFIX) and kind.removeprefix(PREFIX) in declared):
        return _opaque(kind, text, _as_written(kind, value, text))
    if alone is not None and kind in AD_IDS and plain:
        return device.uuid(kind, text, alone)
    return _formed(kind, text)


def read_kept(kind: str, value: str) -> Read:
    """Once more what was read before, by its kind as it is kept: of what has a source with that, of an operator's own
    whether it is declared or not.
    """
    form, _, name = kind.partition(":")
    return read_identifier(form if form in SOURCED else kind, value, source=name, declared=(name,))


def _formed(kind: str, text: str) -> Read:
    """The reading of a kind that has a normal form."""
    if kind == "email":
        return email_address.read_address(text)
    reader = READERS.get(kind)
    if reader is None:
        return Undeclared(PREFIX if kind.startswith(PREFIX) else _label(kind))
    return reader(kind, text if text.isascii() else spelling.ascii_digits(spelling.plain(text)))


def _label(kind: str) -> str:
    """A kind that may stand in a metric: ours, or `other`."""
    return kind if kind in KINDS else "other"


def _as_written(kind: str, value: str, text: str) -> list[Name]:
    """Further names of an account: as it came, and with each accent by itself (NFD), as some systems write it. The
    doors of sites knew people by these, and what stands on record of them is theirs.
    """
    if kind != ACCOUNT or (value == text and text.isascii()):
        return []
    return [(kind, form) for form in (value, unicodedata.normalize("NFD", text)) if form != text]


def _opaque(kind: str, text: str, more: Iterable[Name] = ()) -> Read:
    """An id whose form is its owner's: as it stands. What it looks like may be another's, which denies and no more."""
    if not text:
        return Malformed(_label(kind), "empty")
    if device.withheld(text):
        return Limited(_label(kind))
    looks = () if text.isascii() else ((kind, spelling.plain(text)),)
    listed = [(TELEVISION, digest("sha256", form)) for form in (text.lower(), text.upper()) if kind in TELEVISIONS]
    return named(kind, text, ((kind, text), *listed, *more), (name for name in looks if name[1] and name[1] != text))


def _sourced(kind: str, text: str, source: object) -> Read:
    name = source.strip() if isinstance(source, str) else ""
    if not 0 < len(name) <= MAX_SOURCE or unwritable(name):
        return Malformed(kind, "source")
    bare = spelling.unquoted(text) if kind == "cookie" else text  # RFC 6265 4.1.1
    if device.withheld(bare):
        return Limited(kind) if bare else Malformed(kind, "empty")
    full, before = (f"{kind}:{form}" for form in ((name, name) if kind == "cookie" else (_host(name), name.lower())))
    found = _opaque(full, bare)  # cookie names have a case, hosts have none
    if not isinstance(found, NormalIdentifier) or (before, text) in found.names:
        return found
    return replace(found, names=(*found.names, (before, text)))  # what was said when that was its name still denies


def _host(source: str) -> str:
    """A source of ids as the registries list it: the host alone, in lower case. Some write it as an address."""
    bare = spelling.plain(source).lower()
    schemeless = SCHEME.sub("", bare)
    host = PORT.sub("", schemeless.partition("/")[0] if schemeless != bare else bare.removesuffix("/"))
    return email_address.domain_name(host) if HOST.fullmatch(host.translate(email_address.DOTS)) else source.lower()


READERS: Mapping[str, Callable[[str, str], Read]] = {
    "imei": device.imei,
    "serial": device.code,
    "udid": device.udid,
    **dict.fromkeys(UUIDS, device.uuid),
    **dict.fromkeys(DIGESTS, device.read_digest),
}


DOUBLE = "\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a"  # quotation marks of all languages, which no address holds
SINGLE = "\u2018\u2019'"  # and those that one may: O'Brien
QUOTES = re.compile(rf"""["{SINGLE}{DOUBLE}](.*)["{SINGLE}{DOUBLE}]""", re.DOTALL)
BREAKS = rf"""\s<>()\[\]{{}},;:@{DOUBLE}"|/\\"""  # what stands around an address in a text
ADDRESS = re.compile(rf"(?<!@)(?<![^{BREAKS}])[^{BREAKS}]++@[^{BREAKS}]++(?!@)")
BLANK = re.compile(r"\s")
AFTER = ".!?" + SINGLE  # what ends the sentence or the quotation, and no address
BESIDE = re.compile(r"[^\d\s().+-]+")  # what stands between two numbers, and in none
LISTED = re.compile(r"[;,|/]")  # and between two ids of devices
REST = re.compile(r"\d[^\d@]*\d[^\d@]*\d|@")  # three digits: perhaps a part of a number
MOST_LISTED = 320  # characters of one value that is looked at as a list
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
    if kind == "phone" and not blank and (listed := several(kind, text, country, countries)):
        return Typed(tuple((kind, each) for each in listed), whole=True)
    found, rest = _found(unicodedata.normalize("NFKC", text), country, countries)
    every = tuple(dict.fromkeys([*own, *found]))
    return Typed(every[:MOST], bool(own) or (0 < len(every) <= MOST and not REST.search(rest)))


def may_be(text: str, country: str, countries: Sequence[str]) -> list[str]:
    """Numbers of the operator's countries that somebody may mean who stated one that cannot be read: E.164 of each."""
    if country.upper() in SUPPORTED_REGIONS or not countries:
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
            whole = number.raw_string
            for part in [whole] if _readable("phone", whole, country, countries) else BESIDE.split(whole):
                value = part.partition(";")[0]  # as it stands: where it belongs is for its reader
                if _readable("phone", value, country, countries):
                    found.append(("phone", value))
                    rest = rest.replace(part, " ", 1)
    return found, rest


def several(kind: str, value: str, country: str, countries: Sequence[str]) -> tuple[str, ...]:
    """The numbers or the devices' ids that stand in one value, where it is nothing but two or more: for a no alone."""
    if len(value) > MOST_LISTED or not (kind == "phone" or kind in kinds.DEVICES or kind in UUIDS):
        return ()
    apart = BESIDE if kind == "phone" else LISTED
    parts = [part for each in apart.split(spelling.ascii_digits(spelling.plain(value))) if (part := each.strip())]
    if not 1 < len(parts) <= MOST or not all(_readable(kind, part, country, countries) for part in parts):
        return ()
    return tuple(parts)


def _readable(kind: str, value: str, country: str, countries: Sequence[str]) -> bool:
    return isinstance(read_identifier(kind, value, country=country, countries=countries), NormalIdentifier)
