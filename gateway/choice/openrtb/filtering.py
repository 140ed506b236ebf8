"""The bid request that may be sent: what the verdict lets go, the rest as for a contextual ad.

A contextual request keeps the page, the slot, a region and a truncated address, joined to no id (R3): where any id
leaves, a denied address or region does not. What no table names never leaves, in any case.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from gateway.choice import geo, ip, keywords
from gateway.choice.downstream import Strings
from gateway.choice.keywords import Vocabulary
from gateway.choice.openrtb.fields import (
    DEVICE,
    DEVICE_EXT,
    DEVICE_PLAIN,
    EID,
    EXTENSIONS,
    GEO,
    GEO_PLAIN,
    POINT,
    REQUEST,
    TRANSACTION,
    UID,
    USER,
    USER_EXT,
    USER_PLAIN,
    Json,
    part,
)
from gateway.choice.openrtb.reading import is_modern
from gateway.terms import Answer, DataClass

Out = dict[str, object]
NO_WORDS = Vocabulary()
HOLDERS = (dict, list)  # as JSON has them; by `Mapping`, an abstract class, each question takes a microsecond
IDS = frozenset({DataClass.AD_ID, DataClass.DEVICE_ID})


@dataclass(frozen=True, slots=True)
class Leave:
    """What one recipient may have. `answers`: the verdict's, by data class; a class without one is denied. `strings`
    and `gpc`: what it is told. `words`: the vocabulary of keywords. `extensions`: further paths that the operator lets
    stand, `imp.ext.mybidder`. `young`: nothing personal at all, no truncated address either (under the age floor).
    """

    answers: Mapping[str, Answer]
    strings: Strings
    gpc: bool = False
    words: Vocabulary = NO_WORDS
    extensions: frozenset[str] = frozenset()
    young: bool = False

    def may(self, data_class: DataClass) -> bool:
        return self.answers.get(data_class, Answer.DENY) is Answer.ALLOW

    @property
    def anything_denied(self) -> bool:
        return self.strings.out or any(answer is not Answer.ALLOW for answer in self.answers.values())

    @property
    def any_id(self) -> bool:
        return any(self.may(one) for one in IDS)


def lawful(request: Json, leave: Leave) -> Out:
    """The request as it may be sent, in the version that it came in. The one handed in is left as it is."""
    out = {name: value for name, value in request.items() if name in REQUEST}
    shapers: Mapping[str, Callable[[Json, Leave], Out]] = {"device": _device, "user": _user, "source": _source}
    for name, shaper in shapers.items():
        shaped = shaper(part(request, name), leave)
        _put(out, name, shaped, kept=name in request)
    imps = request.get("imp")
    out["imp"] = [_imp(imp, leave) for imp in imps if isinstance(imp, dict)] if isinstance(imps, list) else []
    for name in ("site", "app", "dooh"):
        if name in request:
            out[name] = _surface(part(request, name), name, leave)
    _put(out, "ext", _extension(part(request, "ext"), "", leave), kept=False)
    out["regs"] = _regs(request, leave)
    return out


def _put(out: Out, name: str, value: Out | list[Out], *, kept: bool) -> None:
    """An object that became empty stays where it was, as an empty one: bidders expect `user` and `device`."""
    if value or kept:
        out[name] = value
    else:
        out.pop(name, None)


def _device(device: Json, leave: Leave) -> Out:
    out = {name: value for name, value in device.items() if name in DEVICE_PLAIN or _goes(name, DEVICE, leave)}
    for name in ("ip", "ipv6"):
        out.pop(name, None)
        # As in a share: a whole address is a device's own number, allowed or not (enforcement.md section 5).
        if (leave.may(DataClass.IP) or _contextual(leave)) and (network := ip.truncate(device.get(name))):
            out[name] = network
    if leave.strings.out:
        out["lmt"] = 1
    if "geo" in device:
        out["geo"] = _geo(part(device, "geo"), leave)
    _put(out, "ext", _extension(part(device, "ext"), "device", leave, DEVICE_EXT), kept=False)
    return out


def _contextual(leave: Leave) -> bool:
    """Whether a truncated address and a region may stand: with no id beside them, and of nobody too young."""
    return not leave.any_id and not leave.young


def _user(user: Json, leave: Leave) -> Out:
    plain = frozenset() if leave.anything_denied else USER_PLAIN  # no consent is claimed that does not hold
    out = {name: value for name, value in user.items() if name in plain or _goes(name, USER, leave)}
    for name in ("keywords", "kwarray"):
        if name in out:
            sifted = keywords.sift(out.pop(name), leave.words).kept
            out |= {} if sifted is None else {name: sifted}
    _put(out, "eids", _eids(out.get("eids")), kept=False)
    if "data" in out:
        out["data"] = _cleaned(out["data"], "user.data", leave)
    if "geo" in user:
        out["geo"] = _geo(part(user, "geo"), leave)
    extension = _extension(part(user, "ext"), "user", leave, USER_EXT)
    _put(extension, "eids", _eids(extension.get("eids")), kept=False)
    if leave.anything_denied:
        extension = {name: value for name, value in extension.items() if name not in EXTENSIONS["user"]}
    _put(out, "ext", extension, kept=False)
    return out


def _goes(name: str, table: Mapping[str, DataClass], leave: Leave) -> bool:
    return name in table and leave.may(table[name])


def _geo(place: Json, leave: Leave) -> Out:
    """The point as the verdict has it, exact or at one decimal; the region where a contextual ad may have it."""
    region = leave.may(DataClass.COARSE_GEO) or _contextual(leave)
    out = {name: v for name, v in place.items() if (name in GEO_PLAIN and region) or _goes(name, GEO, leave)}
    if leave.answers.get(DataClass.PRECISE_GEO) is Answer.COARSEN:
        out |= geo.coarsen_point({name: place.get(name) for name in POINT})
        if "type" in place and "lat" in out:
            out["type"] = place["type"]  # how it was found stands; how exact it was does not (section 5)
    return out


def _source(source: Json, leave: Leave) -> Out:
    plain = {name: value for name, value in source.items() if name not in {"ext", *TRANSACTION}}
    out = plain | ({name: source[name] for name in TRANSACTION & source.keys()} if leave.may(DataClass.AD_ID) else {})
    _put(out, "ext", _extension(part(source, "ext"), "source", leave, _transaction()), kept=False)
    return out


def _transaction() -> Mapping[str, DataClass]:
    return dict.fromkeys(TRANSACTION, DataClass.AD_ID)


def _imp(imp: Json, leave: Leave) -> Out:
    out = {
        name: _cleaned(value, f"imp.{name}", leave) if name != "ext" and isinstance(value, HOLDERS) else value
        for name, value in imp.items()
    }  # fmt: skip
    extension = _extension(part(imp, "ext"), "imp", leave, _transaction())
    if not leave.may(DataClass.AD_ID):
        extension = {name: _without_transaction(value) for name, value in extension.items()}
    _put(out, "ext", extension, kept=False)
    return out


def _without_transaction(value: object) -> object:
    """Prebid keeps a copy of the transaction's id inside its own bag, `imp[].ext.prebid.tid`."""
    if isinstance(value, list):
        return [_without_transaction(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_transaction(item) for name, item in value.items() if name not in TRANSACTION}


def _surface(surface: Json, name: str, leave: Leave) -> Out:
    """The page or the app. An address's query can hold anything, a search's words are the person's."""
    cleaned = _cleaned(surface, name, leave)
    out = dict(cleaned) if isinstance(cleaned, dict) else {}
    if leave.anything_denied:
        out.pop("search", None)
        for member in ("page", "ref"):
            address = out.get(member)
            if isinstance(address, str):
                out[member] = address.partition("#")[0].partition("?")[0]
    return out


def _cleaned(value: object, path: str, leave: Leave) -> object:
    """A part of the request that is about no person, without its unknown extensions, however deep."""
    if isinstance(value, list):
        return [_cleaned(item, path, leave) if isinstance(item, HOLDERS) else item for item in value]
    if not isinstance(value, dict):
        return value
    out: Out = {
        name: _cleaned(item, f"{path}.{name}", leave) if isinstance(item, HOLDERS) else item
        for name, item in value.items() if name != "ext"
    }  # fmt: skip
    if "ext" in value and (extension := _extension(part(value, "ext"), path, leave)):
        out["ext"] = extension
    return out


def _eids(listed: object) -> list[Out]:
    """What was read of them, and so looked up: `reading` reads the same."""
    return [
        _plain(eid, EID) | {"uids": [_plain(uid, UID) for uid in _objects(eid.get("uids"))]} for eid in _objects(listed)
    ]


def _objects(listed: object) -> list[Json]:
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _plain(holder: Json, names: Collection[str]) -> Out:
    """These members, where they are no bag that holds others."""
    return {name: value for name, value in holder.items() if name in names and not isinstance(value, HOLDERS)}


def _extension(
    extension: Json, path: str, leave: Leave, table: Mapping[str, DataClass] | None = None
) -> Out:  # fmt: skip
    """Of an `ext` bag what a table or the operator names."""
    if not extension:
        return {}
    plain, prefix = EXTENSIONS.get(path, frozenset()), f"{path}.ext." if path else "ext."
    return {
        name: value
        for name, value in extension.items()
        if name in plain or f"{prefix}{name}" in leave.extensions or _goes(name, table or {}, leave)
    }


def _regs(request: Json, leave: Leave) -> Out:
    """What holds, said in one place and one way: that of the version."""
    regs = part(request, "regs")
    old = part(regs, "ext")
    out: Out = {name: regs[name] for name in ("coppa",) if name in regs}
    extension = {name: value for name, value in old.items() if name in EXTENSIONS["regs"]}
    said: Out = {"gpp": leave.strings.gpp, "gpp_sid": leave.strings.gpp_sid, "us_privacy": leave.strings.us_privacy}
    gdpr = next((holder["gdpr"] for holder in (regs, old) if holder.get("gdpr") in (0, 1)), None)
    if any(holder.get("gdpr") in (1, "1") for holder in (regs, old)):
        gdpr = 1  # where two places disagree the stricter holds
    if gdpr is not None:
        said["gdpr"] = gdpr
    if leave.gpc:
        extension["gpc"] = "1"
    if is_modern(request):
        out |= said
    else:
        extension = {**extension, **said}
    _put(out, "ext", extension, kept=False)
    return out
