"""Reading one identifier of a call: which kind, which reader. Owns the dispatch and the limits; no normal form."""

import unicodedata
from collections.abc import Callable, Collection, Mapping

from gateway.choice.identity import device, digests, email_address, phone_number, sentinels
from gateway.choice.identity.kinds import (
    DIGESTS,
    KINDS,
    PLAIN,
    SOURCED,
    UUIDS,
    Limited,
    Read,
    Undeclared,
    alone,
    unwritable,
)
from gateway.terms import Malformed

MAX_VALUE = 1024  # characters; a bound on the work: partners' sealed ids are some hundreds long
MAX_INTEGER = 10**64  # an id sent as a number; Python refuses to print numbers of thousands of digits
MAX_SOURCE = 255  # a host name's length, RFC 1035 3.1
PREFIX = "id:"


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
    plain = value.isascii()
    text = value.strip() if plain else unicodedata.normalize("NFC", value).strip()
    if len(text) > MAX_VALUE or "\x00" in text or (not plain and unwritable(text)):
        return Malformed(_label(kind), "value")
    if kind in SOURCED:
        return _sourced(kind, text, source)
    if kind.startswith(PREFIX):
        return _opaque(kind, text) if kind[len(PREFIX) :] in declared else Undeclared(PREFIX)
    if kind == "phone":
        return phone_number.read(text, country)
    reader = READERS.get(kind)
    return reader(kind, text) if reader else Undeclared(_label(kind))


def _label(kind: str) -> str:
    """A kind that may stand in a metric: ours, or `other`."""
    return kind if kind in KINDS else "other"


def _opaque(kind: str, text: str) -> Read:
    """An id whose form is its owner's: as it stands."""
    if not text:
        return Malformed(_label(kind), "empty")
    return Limited(_label(kind)) if sentinels.withheld(text) else alone(kind, text)


def _sourced(kind: str, text: str, source: object) -> Read:
    name = source.strip() if isinstance(source, str) else ""
    if not 0 < len(name) <= MAX_SOURCE or unwritable(name):
        return Malformed(kind, "source")
    if sentinels.withheld(text):
        return Limited(kind) if text else Malformed(kind, "empty")
    return alone(f"{kind}:{name.lower() if kind == 'eid' else name}", text)  # cookie names have a case, hosts have none


def _email(_: str, text: str) -> Read:
    return email_address.read(text)


READERS: Mapping[str, Callable[[str, str], Read]] = {
    "email": _email,
    "imei": device.imei,
    "serial": device.code,
    "udid": device.udid,
    **dict.fromkeys(UUIDS, device.uuid),
    **dict.fromkeys(DIGESTS, digests.read),
    **dict.fromkeys(PLAIN, _opaque),
}
