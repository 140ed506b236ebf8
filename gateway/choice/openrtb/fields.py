"""Where OpenRTB keeps personal data: every place of 2.5 and of 2.6, by data class.

The union of what Prebid Server in Go, in Java and Prebid.js remove in any of their cases (enforcement.md section 1.6),
and what none of them looks at. Owns the table; whatever of a person's objects it does not name never leaves (R20).
"""

from collections.abc import Iterator, Mapping

from gateway.terms import DataClass

Json = Mapping[str, object]

# --- the device ---
HASHED_DEVICE_IDS = ("didsha1", "didmd5", "dpidsha1", "dpidmd5", "macsha1", "macmd5")
DEVICE: Mapping[str, DataClass] = {
    "ifa": DataClass.AD_ID,
    **dict.fromkeys(HASHED_DEVICE_IDS, DataClass.DEVICE_ID),
    "hwv": DataClass.DEVICE_ID,  # a hardware version beside a model is a step towards one device
    "carrier": DataClass.DEVICE_ID,
    "mccmnc": DataClass.DEVICE_ID,
    "ip": DataClass.IP,
    "ipv6": DataClass.IP,
}
# What an ad's shape and language need; beside no id it names nobody.
DEVICE_PLAIN = frozenset(
    {"ua", "sua", "devicetype", "make", "model", "os", "osv", "h", "w", "ppi", "pxratio", "js", "geofetch", "language",
     "langb", "connectiontype", "dnt", "lmt"}
)  # fmt: skip

# --- the person ---
USER: Mapping[str, DataClass] = {
    **dict.fromkeys(("id", "buyeruid", "eids"), DataClass.AD_ID),
    **dict.fromkeys(("yob", "gender", "data", "customdata"), DataClass.DEMOGRAPHICS),
    **dict.fromkeys(("keywords", "kwarray"), DataClass.KEYWORDS),
}
USER_PLAIN = frozenset({"consent"})  # a signal, not a datum
# Members of one of `eids` beside `uids`, and of one of those (OpenRTB 2.6, 3.2.27 and 3.2.28): what another one says
# was not looked up.
EID = frozenset({"source", "inserter", "matcher", "mm"})
UID = frozenset({"id", "atype"})

# --- where they are ---
POINT = ("lat", "lon")
GEO: Mapping[str, DataClass] = {
    **dict.fromkeys((*POINT, "accuracy", "lastfix", "ipservice", "type", "zip"), DataClass.PRECISE_GEO),
    **dict.fromkeys(("city", "metro", "utcoffset"), DataClass.COARSE_GEO),
}
GEO_PLAIN = frozenset({"country", "region", "regionfips104"})  # a state or more: what a contextual ad may know (R3)

# --- the request ---
# Ids of one auction: many bidders of one request put what they get together by it (Prebid's transmitTid).
TRANSACTION = frozenset({"tid", "tidSource"})
REQUEST = frozenset(
    {"id", "imp", "site", "app", "dooh", "device", "user", "test", "at", "tmax", "wseat", "bseat", "allimps", "cur",
     "wlang", "wlangb", "acat", "bcat", "cattax", "badv", "bapp", "source", "regs", "ext"}
)  # fmt: skip
# Members of extensions that stand, by the path of the object that holds the `ext`. Any other extension could hold
# anything: it never leaves unless the operator's configuration names it.
EXTENSIONS: Mapping[str, frozenset[str]] = {
    "imp": frozenset({"prebid", "bidder", "gpid", "skadn", "data"}),
    "source": frozenset({"schain", "omidpn", "omidpv"}),
    "user": frozenset({"consent", "ConsentedProvidersSettings", "consented_providers_settings"}),
    "user.data": frozenset({"segtax", "segclass"}),  # by which list segments are named (IAB Tech Lab)
    "device": frozenset({"atts"}),
    "site": frozenset({"amp"}),
    "regs": frozenset({"dsa"}),
}
USER_EXT: Mapping[str, DataClass] = {"eids": DataClass.AD_ID, "data": DataClass.DEMOGRAPHICS}
DEVICE_EXT: Mapping[str, DataClass] = dict.fromkeys(("ifv", "idfv"), DataClass.DEVICE_ID)


def part(holder: object, name: str) -> Json:
    """A member that is an object; empty where it is not there or something else."""
    found = holder.get(name) if isinstance(holder, dict) else None
    return found if isinstance(found, dict) else {}


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
        yield part(imp, "ext")
