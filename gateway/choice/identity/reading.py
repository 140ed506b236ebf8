"""Reading one identifier of a call: which kind, which reader. Owns the dispatch and the limits; no normal form."""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from gateway.choice.identity import device, digests, email_address, phone_number, sentinels, spelling
from gateway.choice.identity.kinds import (
    DIGESTS,
    KINDS,
    PLAIN,
    SOURCED,
    UUIDS,
    Identifier,
    Limited,
    Read,
    Undeclared,
    named,
    unwritable,
)
from gateway.terms import Malformed

MAX_VALUE = 1024  # characters; a bound on the work: partners' sealed ids are some hundreds long
MAX_INTEGER = 10**64  # an id sent as a number; Python refuses to print numbers of thousands of digits
MAX_SOURCE = 255  # a host name's length, RFC 1035 3.1
PREFIX = "id:"
SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//")  # RFC 3986 3.1
PORT = re.compile(r":[0-9]{1,5}\Z")
HOST = re.compile(r"[^\s.]+(?:\.[^\s.]+)+\.?")


def read(
    kind: object,
    value: object,
    *,
    source: object = None,
    country: str = "US",
    countries: Sequence[str] = (),
    declared: Collection[str] = (),
) -> Read:
    """One identifier of a call. `country` reads national phone numbers (ISO 3166-1), `countries` are the operator's,
    where they may be numbers too; `declared` are the names of the `id:<name>` kinds of the configuration. Never raises.
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
        return phone_number.read(spelling.plain(text), country, countries, blank=value[:1] == " ")
    if kind in SOURCED:
        return _sourced(kind, text, source)
    if kind in PLAIN or (kind.startswith(PREFIX) and kind.removeprefix(PREFIX) in declared):
        return _opaque(kind, text)
    return _formed(kind, text)


def _formed(kind: str, text: str) -> Read:
    """A kind that has a normal form."""
    if kind == "email":
        return email_address.read(text)
    reader = READERS.get(kind)
    return (
        reader(kind, spelling.ascii_digits(spelling.plain(text)))
        if reader
        else Undeclared(PREFIX if kind.startswith(PREFIX) else _label(kind))
    )


def _label(kind: str) -> str:
    """A kind that may stand in a metric: ours, or `other`."""
    return kind if kind in KINDS else "other"


def _opaque(kind: str, text: str) -> Read:
    """An id whose form is its owner's: as it stands. What it looks like may be another's, which denies and no more."""
    if not text:
        return Malformed(_label(kind), "empty")
    if sentinels.withheld(text):
        return Limited(_label(kind))
    looks = () if text.isascii() else ((kind, spelling.plain(text)),)
    return named(kind, text, ((kind, text),), (name for name in looks if name[1] and name[1] != text))


def _sourced(kind: str, text: str, source: object) -> Read:
    name = source.strip() if isinstance(source, str) else ""
    if not 0 < len(name) <= MAX_SOURCE or unwritable(name):
        return Malformed(kind, "source")
    bare = spelling.unquoted(text) if kind == "cookie" else text  # RFC 6265 4.1.1
    if sentinels.withheld(bare):
        return Limited(kind) if bare else Malformed(kind, "empty")
    full, before = (f"{kind}:{form}" for form in ((name, name) if kind == "cookie" else (_host(name), name.lower())))
    found = _opaque(full, bare)  # cookie names have a case, hosts have none
    if not isinstance(found, Identifier) or (before, text) in found.names:
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
    **dict.fromkeys(DIGESTS, digests.read),
}
