"""What a value could be by its form, whatever field it stands in: an opted-out person's id under another name is found.

A field says of which kind its values are; a partner's table does not always obey. So whoever asks about a row or a bid
request asks under the kinds that are answered here, too, where they can only deny. Reads nothing: that is `reading`.
"""

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from gateway.choice.identity.kinds import DIGESTS, UUIDS

MOST = 320  # characters; longer than any address
LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,11}\s*[:=]\s*")  # "IMEI: 49...", "idfa=..."
UUID = re.compile(r"\{?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}?", re.IGNORECASE)
HEX = re.compile(r"[0-9a-f]+", re.IGNORECASE)
BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
UDIDS = (25, 24, 40)  # characters: 8 and 16 hex digits with or without a hyphen, and before 2018 forty
UDID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{16}|[0-9a-f]{40}", re.IGNORECASE)
IMEI = re.compile(r"(?:[0-9][ ./-]?){14,16}")
PHONE = re.compile(r"\+?(?:[ ().\u2010-\u2015/-]*[0-9]){7,15}")
IP = re.compile(r"[0-9a-fA-F]*[.:][0-9a-fA-F.:]*")
POINT = re.compile(r"[-+]?[0-9]{1,3}\.[0-9]+\s*[,;/ ]\s*[-+]?[0-9]{1,3}\.[0-9]+")


def _by_length() -> dict[int, tuple[str, ...]]:
    """The kinds of a digest by the length that it has in hex, or in base64 with or without its padding."""
    found: dict[int, tuple[str, ...]] = {}
    for kind, size in DIGESTS.items():
        for length in {2 * size, -(-size // 3) * 4, -(-size * 4 // 3)}:
            found[length] = (*found.get(length, ()), kind)
    return found


BY_LENGTH: Mapping[int, tuple[str, ...]] = _by_length()


def could_be(value: object) -> tuple[str, ...]:
    """The kinds that a value has the form of. What is a word like any other (an account, a serial number) has none."""
    text = _text(value)
    if not text:
        return ()
    return tuple(_kinds(text))


def says_who(value: object) -> bool:
    """Whether it is plainly an address, a number with its plus, a point, an internet address or a page's: no id of a
    device, a partner or an account looks like that.
    """
    text = _text(value)
    if "@" in text or POINT.fullmatch(text) or (isinstance(value, str) and "://" in value):
        return True
    return (text.startswith("+") and PHONE.fullmatch(text) is not None) or _is_ip(text)


def alike(value: object, but: Iterable[str] = ()) -> list[dict[str, object]]:
    """A value as identifiers of each kind that it could be, without these."""
    return [{"type": kind, "value": value} for kind in could_be(value) if kind not in but]


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**20:
        return str(value)
    if not isinstance(value, str) or not 0 < len(value) <= MOST:
        return ""
    text = value.strip()
    found = LABEL.match(text)
    return text[found.end() :] if found else text


def _kinds(text: str) -> Iterable[str]:
    length = len(text)
    if length >= 32 and UUID.fullmatch(text):  # noqa: PLR2004 - its hex digits
        yield from UUIDS
    digests = BY_LENGTH.get(length, ())
    if digests and (HEX if length == 2 * DIGESTS[digests[0]] else BASE64).fullmatch(text):
        yield from digests
    if length in UDIDS and UDID.fullmatch(text):
        yield "udid"
    if "@" in text:
        yield "email"
    if text[-1].isdigit():
        if PHONE.fullmatch(text):
            yield "phone"
        if IMEI.fullmatch(text):
            yield "imei"


def _is_ip(text: str) -> bool:
    if not IP.fullmatch(text):
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
