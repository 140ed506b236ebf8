"""Where a bid request keeps personal data, by data class, at both versions' places: "which classes would this send?",
for `reading` and `filtering`.

The union of what Prebid Server in Go, in Java and Prebid.js remove in any of their cases, and what none of them looks
at. The lists are data (`members`).
"""

from collections.abc import Iterator, Mapping

from gateway.choice.openrtb.members import classed
from gateway.terms import DataClass

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


def is_for_somebody(extension: Json) -> bool:
    """Whether a slot's extension names a bidder."""
    return bool(part(part(extension, "prebid"), "bidder")) or "bidder" in extension


def classes_in(request: Json) -> tuple[DataClass, ...]:
    """The data classes that a request would send, in a fixed order."""
    return tuple(sorted(set(_classes(request))))


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
    imps = request.get("imp")
    for imp in imps if isinstance(imps, list) else []:
        yield (extension := part(imp, "ext"))
        yield part(extension, "prebid")
