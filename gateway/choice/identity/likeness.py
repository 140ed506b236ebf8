"""What kinds a value could be by its form, whatever field it stands in, so that an opted-out person's id under another
name is found. Rows and bid requests are asked about under those kinds too, where they can only deny.

A field says of which kind its values are; a partner's table does not always obey. What stands around an id (a label of
any name, quotes, brackets, what a program put before or after it) hides none.
"""

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import NamedTuple

from gateway.choice.identity import device, spelling
from gateway.choice.identity.kinds import DIGESTS, UUIDS, Name

LARGEST = 10**20  # of numbers that may be somebody's
SHORTEST = 22  # characters of a UUID or a digest: sixteen bytes in base64 without its padding
MOST = 320  # characters; longer than any address
LABEL = re.compile(r"\A[A-Za-z][A-Za-z0-9_ -]{1,30}\s*[:=#]\s*")  # "IMEI: 49...", "idfa=..."
EXTENSION = re.compile(r"(?<=[0-9])\s*(?:x|ext\.?|#|;ext=)\s*[0-9]{1,6}\Z", re.IGNORECASE)
AS_IT_STANDS = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
BETWEEN = "[^0-9A-Za-z]?"  # the groups of a UUID, whatever a program has for its hyphens
UUID = re.compile(
    rf"(?<![0-9a-f])([0-9a-f]{{8}}){3 * f'{BETWEEN}([0-9a-f]{{4}})'}{BETWEEN}([0-9a-f]{{12}})(?![0-9a-f])",
    re.IGNORECASE,
)
HEX = re.compile(r"(?<![0-9a-f])[0-9a-f]{32,}(?![0-9a-f])", re.IGNORECASE)
BYTES = re.compile(r"(?:[0-9a-f]{2}[: -]){15,}[0-9a-f]{2}", re.IGNORECASE)  # of a digest, written apart
BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
UDIDS = (25, 24, 40)  # characters: 8 and 16 hex digits with or without a hyphen, and before 2018 forty
UDID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{16}|[0-9a-f]{40}", re.IGNORECASE)
IMEI = re.compile(r"(?:[0-9][ ./-]?){14,16}")
PHONE = re.compile(r"\+?(?:[ ().\u2010-\u2015/-]*[0-9]){7,15}")
IP = re.compile(r"[0-9a-fA-F]*[.:][0-9a-fA-F.:]*")
ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
UUID_BYTES = 16
FEWEST_HIDDEN = 10  # digits of a number without its plus that base64 hides
MD5S = tuple(kind for kind, size in DIGESTS.items() if size == UUID_BYTES)  # a uuid's hyphens fit them too
MIN_RUN, HEXES = 31, re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
FEWEST, FEWEST_DIGITS = 6, 12  # characters of an account's id that is no other number or word by chance
POINT = re.compile(r"[-+]?[0-9]{1,3}\.[0-9]+\s*[,;/ ]\s*[-+]?[0-9]{1,3}\.[0-9]+")


def _by_length() -> dict[int, tuple[str, ...]]:
    """The kinds of a digest by the length that it has in hex, or in base64 with or without its padding."""
    found: dict[int, tuple[str, ...]] = {}
    for kind, size in DIGESTS.items():
        for length in {2 * size, -(-size // 3) * 4, -(-size * 4 // 3)}:
            found[length] = (*found.get(length, ()), kind)
    return found


BY_LENGTH: Mapping[int, tuple[str, ...]] = _by_length()


# Words of nothing but letters and digits, of lengths that neither bytes of a UUID nor a digest have in base64.
BARE = re.compile(r"[A-Za-z0-9]{1,320}")
IN_HEX: Mapping[int, tuple[str, ...]] = {
    2 * size: tuple(kind for kind, other in DIGESTS.items() if other == size) for size in DIGESTS.values()
}
IN_BASE64 = frozenset(BY_LENGTH).difference(IN_HEX)


class PlainForm(NamedTuple):
    """What a value is by one look at it, as nearly all ids are. `has_form`: of an identifier other than an account;
    `names`: in normal form, of each kind that it could be, without digests of ad ids; none of what stands for no id.
    """

    has_form: bool
    names: tuple[Name, ...] = ()


WORD = PlainForm(has_form=False)


def plain_form(value: object) -> PlainForm | None:
    """Of a UUID with its hyphens, a digest in hex and a word without any form, what `alike` and `says_who` find of it,
    ready to be looked up; None of all else, which they are asked about.
    """
    if type(value) is not str:
        return None
    if AS_IT_STANDS.fullmatch(value):
        return _of_uuid(value.lower())
    size = len(value)
    if size in IN_BASE64 or not BARE.fullmatch(value) or spelling.decoded_text(value):
        return None
    if size in IN_HEX and HEX.fullmatch(value):
        return _of_hex(value.lower())
    # A number, perhaps with its extension or in hex; a longer run of hex digits within a word.
    if value[0].isdigit() and (value.isdigit() or "x" in value.lower()):
        return None
    return None if "0x" in value.lower() or (size > MIN_RUN and HEXES.search(value)) else WORD


def _of_uuid(value: str) -> PlainForm:
    bare = value.replace("-", "")
    if device.repeated(bare):
        return PlainForm(has_form=True)
    found = [(kind, value) for kind in UUIDS]
    if not device.digest_of_nothing(bare):
        found += [(kind, bare) for kind in MD5S]
    return PlainForm(True, tuple(found))


def _of_hex(value: str) -> PlainForm:
    if len(value) == 2 * UUID_BYTES:
        return _of_uuid(f"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}")
    found = () if device.digest_of_nothing(value) else tuple((kind, value) for kind in IN_HEX[len(value)])
    if len(value) in UDIDS and not device.placeholder(value):
        found = (*found, ("udid", value))
    return PlainForm(True, found)


def account_of(value: str) -> tuple[Name, ...]:
    """A value that has a plain form as an account's id, as `as_account` has it."""
    return (("account", value),) if len(value) >= FEWEST and not device.withheld(value) else ()


def could_be(value: object) -> tuple[str, ...]:
    """The kinds that a value has the form of. What is a word like any other (an account, a serial number) has none."""
    return tuple(dict.fromkeys(kind for kind, _ in _found(_text(value))))


def says_who(value: object) -> bool:
    """Whether it is plainly an address, a number with its plus, a point, an internet address or a page's: no id of a
    device, a partner or an account looks like that.
    """
    text = _text(value)
    bare = spelling.unlabelled(text, LABEL)
    return any(map(_is_plainly, (text, bare))) or any(
        "@" in other for each in (text, bare) for other in _readable(each)
    )


def _readable(text: str) -> Iterator[str]:
    """An address or an id that is written otherwise: in base64, or with words in brackets for its signs."""
    if "@" not in text and (other := spelling.with_signs(text)) != text:
        yield other
    other = spelling.decoded_text(text)
    if (
        ADDRESS.fullmatch(other)
        or UUID.fullmatch(other)
        or HEX.fullmatch(other)
        or (PHONE.fullmatch(other) and (other[:1] == "+" or sum(map(str.isdigit, other)) >= FEWEST_HIDDEN))
    ):
        yield other


def _is_plainly(text: str) -> bool:
    if "@" in text or "%40" in text or "://" in text or POINT.fullmatch(text):
        return True
    return (text.startswith("+") and PHONE.fullmatch(text) is not None) or _is_ip(text)


def alike(value: object, but: Iterable[str] = ()) -> list[dict[str, object]]:
    """A value as identifiers of each kind that it could be, without these as it stands: as it stands, and as what is
    left of it without its surroundings.
    """
    if isinstance(value, str) and AS_IT_STANDS.fullmatch(value):  # as nearly all are, and nothing else but that
        return [{"type": kind, "value": value} for kind in (*UUIDS, *MD5S) if kind not in but]
    found = dict.fromkeys(_found(_text(value)))
    found |= {(kind, text): None for one, text in found if one == UUIDS[0] and "-" in text for kind in MD5S}
    bare = [(kind, text) for kind, text in found if text != value and not (kind in but and str(value) == text)]
    whole = [(kind, value) for kind in dict.fromkeys(kind for kind, _ in found) if kind not in but]
    return [{"type": kind, "value": each} for kind, each in (*whole, *bare)]


def as_account(value: object, but: Iterable[str] = ()) -> list[dict[str, object]]:
    """A value as an account's id, which any word may be: of the operator's account in a field of another's ids. Not
    what is as short as many an other number or word is.
    """
    text = _text(value)
    if "account" in but or len(text) < (FEWEST_DIGITS if text.isdigit() else FEWEST):
        return []
    return [{"type": "account", "value": value if isinstance(value, int | str) else text}]


def _text(value: object) -> str:
    """What is seen of a value, without quotes and brackets."""
    if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST:
        return str(value)
    if not isinstance(value, str) or not 0 < len(value) <= MOST:
        return ""
    return spelling.unbracketed(spelling.ascii_digits(spelling.plain(value)))


def _found(text: str) -> Iterator[tuple[str, str]]:
    """Each kind that a text has the form of, with or without its label, and what of it is that."""
    bare = spelling.unlabelled(spelling.unlabelled(text, LABEL), device.LABEL)
    for each in dict.fromkeys((bare, text)):
        if each:
            yield from _kinds(each)


def _kinds(text: str) -> Iterator[tuple[str, str]]:
    yield from _long(text) if len(text) >= SHORTEST else ()
    if len(text) in UDIDS and UDID.fullmatch(text):
        yield "udid", text
    if "@" in text:
        yield "email", text
    elif (worded := spelling.with_signs(text, loosely=True)) != text:
        yield "email", worded
    yield from _coded(text)
    number = EXTENSION.sub("", text).replace("_", "-")
    if number[-1:].isdigit():
        if PHONE.fullmatch(number):
            yield "phone", number
        if IMEI.fullmatch(number):
            yield "imei", number


def _coded(text: str) -> Iterator[tuple[str, str]]:
    """What base64 hides; the bytes of a uuid in either order, for Windows has its first three groups turned."""
    for other in _readable(text):
        yield from _kinds(other)
    raw = spelling.decoded(text) if len(text.rstrip("=")) == SHORTEST else b""
    if len(raw) == UUID_BYTES:
        yield from ((kind, str(each)) for each in (uuid.UUID(bytes=raw), uuid.UUID(bytes_le=raw)) for kind in UUIDS)


def _long(text: str) -> Iterator[tuple[str, str]]:
    """What UUIDs and digests in a text could be."""
    for groups in UUID.finditer(text):
        yield from ((kind, "-".join(groups.groups())) for kind in UUIDS)
    apart = device.GROUPS.sub("", text) if BYTES.fullmatch(text) else text
    for run in HEX.findall(apart):
        yield from ((kind, run) for kind in BY_LENGTH.get(len(run), ()) if len(run) == 2 * DIGESTS[kind])
    kinds = BY_LENGTH.get(len(text), ())
    if kinds and BASE64.fullmatch(text) and len(text) != 2 * DIGESTS[kinds[0]]:
        yield from ((kind, text) for kind in kinds)


def _is_ip(text: str) -> bool:
    if not IP.fullmatch(text):
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
