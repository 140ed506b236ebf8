"""The members of a bid request: which may be sent, in which answer and in which form, and which hold personal data of
which class; and bidders' own parameters. `reading`, `filtering` and `traces` obey it.

Two files of data beside this one, `members.toml` and `bidders.toml`, read once as the program is. Where personal data
is: the union of what Prebid Server in Go, in Java and Prebid.js remove in any of their cases, and what none of them
looks at, at both versions' places.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import resources
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from gateway.choice.openrtb.signs import degree_pairs
from gateway.terms import DataClass


class Bidder(NamedTuple):
    """Parameters that may stand where a class is denied, and sets of them of which a schema asks for one."""

    scalar: frozenset[str]
    required: tuple[frozenset[str], ...]


def _data(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("gateway.choice.openrtb") / name).read_text(encoding="utf-8"))


MEMBERS: Mapping[str, Mapping[str, str]] = _data("members.toml")
# Prebid Server looks a bidder up whatever the case of its name.
BIDDERS: Mapping[str, Bidder] = {
    name.lower(): Bidder(frozenset(each["scalar"]), tuple(map(frozenset, each["required"])))
    for name, each in _data("bidders.toml")["bidders"].items()
}
CLASSES: Mapping[str, DataClass] = {word.value: word for word in DataClass}


def classed(name: str) -> dict[str, DataClass]:
    """The members of an object that are of a data class."""
    return {member: CLASSES[word] for member, word in MEMBERS[name].items() if word in CLASSES}


# --- the form of a value that is about nobody ---
NUMBERS = (int, float)  # a type of both is asked twice as long
LARGEST = 10**9  # a phone number, an IMEI and a time in milliseconds are larger; prices, sizes and enumerations are not
LONGEST = 128  # characters of an id or a parameter
NUMERAL = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,6})?")
TOKEN = re.compile(rf"[\w./:#|~-]{{1,{LONGEST}}}", re.ASCII)  # without @, ?, =, &, % and blanks
CODE = re.compile(r"[\w./:+;*-]{1,64}", re.ASCII)
HOST = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,8}", re.IGNORECASE)
LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8}){0,3}")
MODEL = re.compile(r"[\w.,()/+-]{1,24}( [\w.,()/+-]{1,16}){0,2}", re.ASCII)  # "Pixel 7 Pro"; no sentence
# A product first, with its version (RFC 9110 10.1.5), then visible ASCII but for what an address and a query have.
AGENT = re.compile(r"[\w.!-]{1,40}(?:/(?!.*[@?#=&])[ -~]{1,512})?", re.ASCII)
PLACE_CODE = re.compile(r"[A-Z0-9-]{1,6}", re.IGNORECASE)
# What names somebody wherever it stands: a UUID, a digest in hex (MD5 has 32 digits), a phone number with its plus.
SHORTEST_DIGEST = 32
NAMES = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}", re.IGNORECASE)
NUMBER_WITH_PLUS = re.compile(r"\+[0-9]{8,15}")
ADDRESS = re.compile(r"@|%40", re.IGNORECASE)
SCHEME = re.compile(r"(https?:)?//", re.IGNORECASE)
NO_PARAMETER = re.compile(r"@|%40|\?|\+[0-9]{8,15}", re.IGNORECASE)
BLANKS = 3  # of a parameter: "Homepage Top 300x250 left"
SHORT_ENOUGH = 2048  # characters of an address (URL)


def number(value: object) -> object | None:
    """Also a truth value, and a number that is written as a text."""
    if isinstance(value, NUMBERS):
        return value if -LARGEST < value < LARGEST else None
    return value if isinstance(value, str) and NUMERAL.fullmatch(value) else None


def auction_id(value: object) -> object | None:
    """An id of this request alone, of which a UUID is the usual one."""
    if not isinstance(value, str):
        return number(value)
    return value if TOKEN.fullmatch(value) and "://" not in value else None


def _unnamed(pattern: re.Pattern[str]) -> Callable[[object], object | None]:
    def form(value: object) -> object | None:
        if not isinstance(value, str):
            return number(value)
        if not pattern.fullmatch(value) or (len(value) >= SHORTEST_DIGEST and NAMES.search(value)):
            return None
        return None if "+" in value and NUMBER_WITH_PLUS.search(value) else value

    return form


def address(value: object) -> str | None:
    """Without its query and its fragment; its path ends before the first part in which somebody, or an exact point, is
    named.
    """
    if not isinstance(value, str) or len(value) > SHORT_ENOUGH:
        return None
    bare = value.partition("#")[0].partition("?")[0]
    start, slashes, rest = bare.partition("//") if SCHEME.match(bare) else ("", "", bare)
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    return f"{start}{slashes}{host}{port}{_unnaming(parts.path.partition(';')[0])}" if HOST.fullmatch(host) else None


def _unnaming(path: str) -> str:
    found = [found.start() for each in (ADDRESS, NAMES, NUMBER_WITH_PLUS) if (found := each.search(path))]
    found += [pair.at for pair in degree_pairs(path)]
    return path[: path.rfind("/", 0, min(found)) + 1] if found else path


def parameter(value: object) -> object | None:
    """Of a bidder: a scalar. A placement's id may well be a UUID or hex digits or have some words; it is no address, no
    phone number and no sentence.
    """
    if not isinstance(value, str):
        return value if isinstance(value, NUMBERS) else None
    if len(value) > LONGEST or value.count(" ") > BLANKS or not value.isprintable():
        return None
    return None if NO_PARAMETER.search(value) else value


def parsed(text: object) -> Mapping[str, object] | None:
    """An object that is written as a text, as `native.request` is."""
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def written(value: object) -> str:
    """The text of a value that came as JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


FORMS: Mapping[str, Callable[[object], object | None]] = {
    "number": number,
    "auction": auction_id,
    "url": address,
    "id": _unnamed(TOKEN),
    "code": _unnamed(CODE),
    "host": _unnamed(HOST),
    "language": _unnamed(LANGUAGE),
    "model": _unnamed(MODEL),
    "agent": _unnamed(AGENT),
    "place": _unnamed(PLACE_CODE),
}


Json = Mapping[str, object]

HASHED_DEVICE_IDS = ("didsha1", "didmd5", "dpidsha1", "dpidmd5", "macsha1", "macmd5")
# A hardware version or a carrier beside a model is a step towards one device: device_id, as the data has them.
DEVICE: Mapping[str, DataClass] = {**classed("device"), "ip": DataClass.IP, "ipv6": DataClass.IP}
DEVICE_EXT = classed("device_ext")
VENDOR_IDS = ("ifv", "idfv")  # of the device's extension
APP_SET_IDS = ("app_set_id", "appsetid")

USER: Mapping[str, DataClass] = {
    **classed("user"),
    "eids": DataClass.AD_ID,
    "data": DataClass.DEMOGRAPHICS,
    **dict.fromkeys(("keywords", "kwarray"), DataClass.KEYWORDS),
}
USER_EXT: Mapping[str, DataClass] = {"eids": DataClass.AD_ID, "data": DataClass.DEMOGRAPHICS}
# Members of one of `eids` beside `uids`, and of one of those (OpenRTB 2.6, 3.2.27 and 3.2.28): what another one says
# was not looked up.
EID = frozenset({"source", "inserter", "matcher", "mm"})
UID = frozenset({"id", "atype"})

POINT = ("lat", "lon")
GEO = classed("geo")
GEO_PLAIN = frozenset({"country", "region", "regionfips104"})  # a state or more: what a contextual ad may know (R3)

# Ids of one auction: many bidders of one request put what they get together by it (Prebid's transmitTid).
TRANSACTION = frozenset({"tid", "tidSource"})


def part(holder: object, name: str) -> Json:
    """A member that is an object; empty where it is not there or something else."""
    found = holder.get(name) if isinstance(holder, dict) else None
    return found if isinstance(found, dict) else {}


def objects(listed: object) -> list[Json]:
    """Those of a list; none where it is none."""
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def is_for_somebody(extension: Json) -> bool:
    """Whether a slot's extension names a bidder."""
    return bool(part(part(extension, "prebid"), "bidder")) or "bidder" in extension


def classes_in(request: Json, told: Iterable[DataClass] = ()) -> tuple[DataClass, ...]:
    """The data classes that a request would send, in a fixed order. `told`: those that anything in it tells, wherever
    it stands (`bid_words`).
    """
    return tuple(sorted({*_classes(request), *told}))


def _classes(request: Json) -> Iterator[DataClass]:
    device, user, source = part(request, "device"), part(request, "user"), part(request, "source")
    for holder, table in (
        (device, DEVICE),
        (user, USER),
        (part(device, "ext"), DEVICE_EXT),
        (part(user, "ext"), USER_EXT),
        (part(device, "geo"), GEO),
        (part(user, "geo"), GEO),
    ):
        yield from (table[name] for name, value in holder.items() if name in table and value not in (None, "", [], {}))
    if any(not TRANSACTION.isdisjoint(holder) for holder in (source, part(source, "ext"), *_imp_extensions(request))):
        yield DataClass.AD_ID


def _imp_extensions(request: Json) -> Iterator[Json]:
    for imp in objects(request.get("imp")):
        yield (extension := part(imp, "ext"))
        yield part(extension, "prebid")
