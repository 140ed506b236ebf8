"""What a bid request says: about whom, where they are, how old they are, and what they refused. Also the difference
between a request and its reduced form.

Both versions' places are read, and where they disagree both count, so the stricter holds. Never raises on what a
stranger sends but for a request nested deeper than anybody's (`BidTooDeep`). The difference is in JSON Pointers (RFC
6901): what is gone, and what stands there now.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote

from gateway.choice import identity
from gateway.choice.identity.likeness import LARGEST
from gateway.choice.openrtb.bid_words import NO_WORDS, OWN_OF_GEO, OWN_OF_USER, PAIRED, BidWords, named_for, words_in
from gateway.choice.openrtb.members import (
    APP_SET_IDS,
    BIDDERS,
    EID,
    HASHED_DEVICE_IDS,
    MEMBERS,
    VENDOR_IDS,
    Json,
    objects,
    part,
)
from gateway.choice.openrtb.signs import (
    ADDRESSES,
    APART,
    HEXES,
    NO_WORD,
    UNAMBIGUOUS,
    WITH_PLUS,
    has_run,
    may_hold_one,
    unfolded,
)
from gateway.signals.bits import MAX_ID
from gateway.signals.hear import NO_SECTION_IDS
from gateway.terms import DataClass

DEEPEST = 40  # of objects in objects; the deepest real request has about 12, and Python recurses a thousand at most
MOST_EIDS = 100  # and ids of one
MOST_NAMED = 300  # ids of a request that are looked up; what was not may be an opted-out person's
YEAR, NEVER_YET = re.compile(r"[0-9]{4}", re.ASCII), 9999
UNDER_13 = "under_13"
UNREAD: Json = {"type": "eid", "value": None}  # malformed, and so a deny
AD_ID_OF = {"ios": "idfa", "ipados": "idfa", "tvos": "idfa", "android": "gaid", "harmonyos": "oaid"}
ANY_AD_ID = ("gaid", "idfa", "oaid")  # of a system that has no kind here: whichever of them is on record counts
# Ids whose form is their owner's: declared under [identifiers], or they deny (R23).
USER_ID, BUYER_ID = "id:openrtb_user", "id:openrtb_buyer"
# name of the signal: (object that holds it, member), in the order 2.6, 2.5
SIGNALS: Mapping[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "gpp": ((("regs",), "gpp"), (("regs", "ext"), "gpp")),
    "gpp_sid": ((("regs",), "gpp_sid"), (("regs", "ext"), "gpp_sid")),
    "us_privacy": ((("regs",), "us_privacy"), (("regs", "ext"), "us_privacy")),
    "gdpr": ((("regs",), "gdpr"), (("regs", "ext"), "gdpr")),
    "gpc": ((("regs",), "gpc"), (("regs", "ext"), "gpc")),
    "tc": ((("user",), "consent"), (("user", "ext"), "consent")),
    "lmt": ((("device",), "lmt"),),
    "dnt": ((("device",), "dnt"),),
    "att": ((("device", "ext"), "atts"),),
    "adchoices": ((("regs",), "adchoices"), (("regs", "ext"), "adchoices")),
    "ac": (
        (("user", "ext", "ConsentedProvidersSettings"), "consented_providers"),
        (("user", "ext", "consented_providers_settings"), "consented_providers"),
    ),
}
# What holds them, where it is no object: a list or a text may hold an opt-out that nobody reads, and one member of it,
# of which reading, counts as one that cannot be read. An empty list is how PHP writes an empty object.
HOLDERS: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("regs",), 0, "gpp"), (("regs", "ext"), 1, "gpp"), (("user",), 0, "tc"), (("user", "ext"), 1, "tc"),
    (("device",), 0, "lmt"), (("device", "ext"), 0, "att"),
    (("user", "ext", "ConsentedProvidersSettings"), 0, "ac"),
    (("user", "ext", "consented_providers_settings"), 1, "ac"),
)  # fmt: skip
USER_IDS = ("id", "buyeruid", "customdata")
# Members of a `user` that hold no id, or whose ids are read in their place; an eid's `source` is a host.
NO_IDS = frozenset({
    *USER_IDS, "eids", "geo", "data", "keywords", "kwarray", "consent", "ConsentedProvidersSettings",
    "consented_providers_settings",
})  # fmt: skip
NO_IDS_WITHIN = NO_IDS - frozenset(USER_IDS)  # in what such a member holds
# Of a `device` and its extension what is a browser's or a network's; what the list does not name may hold an id.
NO_DEVICE_IDS = frozenset({*MEMBERS["device"], "sua"})
NO_EXTENSION_IDS = frozenset({"atts", "ifa_type", "sua"})
NO_DATA_IDS = frozenset({"name", "segment"})  # what an audience is called is on many people
ID_LIKE = re.compile(r"(?=.*[0-9])[!-~]{8,512}")
AROUND = re.compile(r"""[\s;,&=|:"'(){}\[\]<>]+""")  # what stands around an id in a text of several words
TEXT_OR_NUMBER = (str, int, float)
NO_SENTENCE = 64  # characters: a text that is longer is no id as a whole, unless it has one of its signs
HOLDERS_OF_MORE, NUMBERS = (dict, list), (int, float)
MOST_LOOSE = 100  # values that have the form of an id, in places of none
HASHED = frozenset(identity.DIGESTS)
# Each in one object alone: under the same name anywhere else it is a member like any other. A transaction's id is of
# the auction, as the request's own and its slots'; Prebid's copy in its bag is not known to be one.
OF_REQUEST, OF_AUCTION, OF_UID = frozenset({"id", "regs", "user"}), frozenset({"id", "tid"}), frozenset({"id"})
OF_DEVICE, OF_DEVICE_EXT = frozenset({"ifa", *HASHED_DEVICE_IDS}), frozenset({*VENDOR_IDS, *APP_SET_IDS})
OF_USER = frozenset({"buyeruid"})
# Names of members that are a list's and nobody's: of objects, of bidders, of their parameters.
KNOWN = frozenset().union(
    *MEMBERS.values(), BIDDERS, *(each.scalar.union(*each.required) for each in BIDDERS.values())
)  # fmt: skip
SILENT = KNOWN - PAIRED - frozenset(filter(named_for, KNOWN))  # and those of them that say nothing by themselves
LEAST_NUMBER = 10 ** (UNAMBIGUOUS - 1)
SIGNS = "+@%&\\"  # of an address, of a number, and of what may be one by its codes
NOTHING: tuple[object, ...] = (None, "", [], {})
NO_CHILD: tuple[object, ...] = (None, "", 0, "0")


class BidTooDeep(ValueError):
    """A request nested deeper than `DEEPEST`."""


@dataclass(frozen=True, slots=True)
class BidSaid:
    """`signals`: one reading a version's places, both count. `age`: a band the request itself states. `geo`: device's,
    user's and every other point, all count. `words`: what it tells besides, wherever it stands. `identifiers`: as a
    call would list them; `beside`: the same values under other kinds that they could be, and what anywhere else has the
    form of one, which can only deny; `names`: as many of these as need no reading, in normal form, without digests of
    ad ids.
    """

    identifiers: tuple[Json, ...]
    beside: tuple[Json, ...]
    names: tuple[identity.Name, ...]
    signals: tuple[Json, ...]
    geo: tuple[Json, ...]
    ip: tuple[str, ...]
    age: str | None
    born: int | None
    words: BidWords = NO_WORDS


def check_depth(request: Json) -> None:
    """Of JSON as it was read. Raises `BidTooDeep`."""
    level: list[Any] = [request]
    for _ in range(DEEPEST - 1):
        level = [
            child
            for each in level
            for child in (each.values() if type(each) is dict else each)
            if type(child) in HOLDERS_OF_MORE
        ]
        if not level:
            return
    if any(level):
        raise BidTooDeep(f"nested deeper than {DEEPEST} levels")


def said_in_bid(request: Json) -> BidSaid:
    """Reads what a bid request says."""
    device, user = part(request, "device"), part(request, "user")
    regs = part(request, "regs")
    coppa = any(holder.get("coppa") not in NO_CHILD for holder in (regs, part(regs, "ext")))  # in doubt a child
    forms = BidForms()
    named = (*_of_device(device), *_of_user(user, forms))
    if len(named) > MOST_NAMED:
        named = (*named[:MOST_NAMED], UNREAD)
    beside, names = _as_others(named, forms)
    met = _gather(request, _read_elsewhere(request))
    is_whole = _put_elsewhere(met, forms, beside, names)
    spots = tuple(geo for geo in (part(device, "geo"), part(user, "geo")) if geo)
    others = (inside for text, inside in met.like_ids.items() if inside is not text)
    own = ((user, OWN_OF_USER), *((geo, OWN_OF_GEO) for geo in spots))
    words = words_in(met.of_user, met.elsewhere, own, (*met.texts, *others))
    return BidSaid(
        identifiers=named if is_whole and words.is_whole else (*named, UNREAD),
        beside=tuple(beside),
        names=tuple(names),
        signals=_signals(request),
        geo=spots + words.geo,
        ip=tuple(value for name in ("ip", "ipv6") if isinstance(value := device.get(name), str) and value),
        age=UNDER_13 if coppa else None,
        born=_year(user.get("yob")),
        words=words,
    )


def _year(stated: object) -> int | None:
    """A year of birth, also as a text or with a point; None for none. One that cannot be read may be a child's."""
    if stated in (None, "", 0):
        return None
    if isinstance(stated, float) and stated.is_integer():
        stated = int(stated)
    text = "" if isinstance(stated, bool) else str(stated).strip() if isinstance(stated, int | str) else ""
    return int(text) if YEAR.fullmatch(text) else NEVER_YET


def is_modern(request: Json) -> bool:
    """Whether it is of version 2.6, whose fields left their extensions; of 2.5 where only those are there."""
    regs, user = part(request, "regs"), part(request, "user")
    old = part(regs, "ext").keys() & {"gpp", "gpp_sid", "us_privacy", "gdpr"} or part(user, "ext").keys() & {
        "eids",
        "consent",
    }
    new = regs.keys() & {"gpp", "gpp_sid", "us_privacy", "gdpr"} or user.keys() & {"eids", "consent"}
    return bool(new) or not old


Ids = frozenset[tuple[str, DataClass | None]]


def persons_ids(request: Json) -> Ids:
    """What stands where a person's ids do, as it is written, with its class; without one where no list says of which it
    is. Of a `user` and a `device` also what they say in members that are read nowhere, as far as it looks like an id.
    All of it, however many: who has too many is asked about elsewhere.
    """
    device, user = part(request, "device"), part(request, "user")
    extra, bag = part(device, "ext"), part(user, "ext")
    of_person = [device.get("ifa"), extra.get("session_id"), *(user.get(name) for name in USER_IDS)]
    of_device = [device.get(name) for name in HASHED_DEVICE_IDS]
    of_device += [extra.get(name) for name in (*VENDOR_IDS, *APP_SET_IDS)]
    of_person += [uid.get("id") for holder in (user, bag) for eid in _each(holder.get("eids")) for uid in _uids(eid)]
    return frozenset(
        (value, data_class)
        for values, data_class in (
            (_scalars(of_person), DataClass.AD_ID),
            (_scalars(of_device), DataClass.DEVICE_ID),
            (_like_a_persons(request), DataClass.AD_ID),
            (_like_a_devices(request), None),
        )
        for value in values
    )


def _like_a_persons(request: Json) -> Iterator[str]:
    user = request.get("user")
    if not isinstance(user, dict):
        yield from _id_like(user)
        return
    yield from _id_like(user.get("customdata"))
    yield from _id_like(_but(user, NO_IDS), NO_IDS_WITHIN)
    yield from _id_like(part(user, "geo").get("ext"))
    for holder in (user, part(user, "ext")):
        yield from _id_like(_each(holder.get("data")), NO_DATA_IDS)
        for eid in _each(holder.get("eids")):
            yield from _id_like(_but(eid, EID | {"uids"}))
            yield from _id_like([_but(uid, {"id"}) for uid in _uids(eid)])
        if isinstance(holder.get("eids"), str):
            yield from _id_like(holder["eids"])


def _like_a_devices(request: Json) -> Iterator[str]:
    device = request.get("device")
    if not isinstance(device, dict):
        yield from _id_like(device)
        return
    read = {*VENDOR_IDS, *APP_SET_IDS, "session_id"}
    yield from _id_like(_but(device, NO_DEVICE_IDS))
    yield from _id_like(_but(part(device, "ext"), NO_EXTENSION_IDS | read))
    yield from _id_like(part(device, "geo").get("ext"))


def _each(stated: object) -> list[Json]:
    """The objects of a list; one that stands in no list is the only one."""
    return [stated] if isinstance(stated, dict) else objects(stated)


def _uids(eid: Json) -> list[Json]:
    return _each(eid.get("uids"))


def _but(holder: Json, names: Collection[str]) -> Json:
    return {name: value for name, value in holder.items() if name not in names}


def _scalars(stated: object) -> Iterator[str]:
    """Each text and number, within whatever lists and objects."""
    waiting = [stated]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, HOLDERS_OF_MORE):
            waiting += inner.values() if isinstance(inner, dict) else inner
        elif isinstance(inner, TEXT_OR_NUMBER) and not isinstance(inner, bool):
            yield str(inner)


def _id_like(holder: object, but: frozenset[str] = frozenset()) -> Iterator[str]:
    """Words of at least eight characters, with a digit: a text that is one, and those in a text of several. `but`:
    members that are passed over, however deep.
    """
    waiting = [holder]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            waiting += [item for name, item in inner.items() if name not in but]
        elif isinstance(inner, list):
            waiting += inner
        elif isinstance(inner, str | int):
            text = str(inner)
            words = AROUND.split(unquote(text) if "%" in text else text)
            yield from (word for word in dict.fromkeys((text, *words)) if ID_LIKE.fullmatch(word))


def _of_device(device: Json) -> Iterator[Json]:
    system = device.get("os")
    kinds = (AD_ID_OF.get(system.strip().lower(), ""),) if isinstance(system, str) else ("",)
    if device.get("ifa") not in (None, ""):
        yield from ({"type": kind, "value": device["ifa"]} for kind in (kinds if kinds[0] else ANY_AD_ID))
    extra = part(device, "ext")
    for names, kind in ((VENDOR_IDS, "idfv"), (APP_SET_IDS, "appset")):
        yield from ({"type": kind, "value": extra[name]} for name in names if extra.get(name) not in (None, ""))
    for name in HASHED_DEVICE_IDS:
        if device.get(name) not in (None, ""):
            yield {"type": f"id:openrtb_{name}", "value": device[name]}
            if not _is_hex(device[name]) and not HASHED.intersection(identity.could_be(device[name])):
                yield UNREAD


def _is_hex(value: object) -> bool:
    """Whether it is a digest as nearly all are."""
    return isinstance(value, str) and "-" not in value and HEXES.fullmatch(value) is not None


class BidForms(dict[str, identity.PlainForm | None]):
    """What the texts of one request are by one look at them, each looked at once."""

    def __missing__(self, text: str) -> identity.PlainForm | None:
        found = self[text] = identity.plain_form(text)
        return found

    def of(self, value: object) -> identity.PlainForm | None:
        return self[value] if type(value) is str else None


def _of_user(user: Json, forms: BidForms) -> Iterator[Json]:
    for name, kind in (("id", USER_ID), ("buyeruid", BUYER_ID)):
        if user.get(name) not in (None, ""):
            yield from _opaque({"type": kind, "value": user[name]}, forms)
    for holder in (user, part(user, "ext")):
        for eid in _listed(holder.get("eids")):
            yield from _of_eid(eid, forms)


def _of_eid(eid: object, forms: BidForms) -> Iterator[Json]:
    if not isinstance(eid, Mapping):
        yield UNREAD
        return
    for uid in _listed(eid.get("uids")):
        yield from _opaque(
            {"type": "eid", "source": eid.get("source"), "value": part({"uid": uid}, "uid").get("id")}, forms
        )


def _opaque(identifier: Json, forms: BidForms) -> Iterator[Json]:
    """An id whose form is its owner's. An address, a number or a point in its place is no such id."""
    yield identifier
    if forms.of(identifier["value"]) is None and identity.says_who(identifier["value"]):
        yield UNREAD


Names = dict[identity.Name, None]  # each once


def _as_others(named: Sequence[Json], forms: BidForms) -> tuple[list[Json], Names]:
    """The values under the other kinds that they could be: a phone's vendor id may stand where its ad id belongs."""
    kinds: dict[object, set[str]] = {}
    for each in named:
        if isinstance(each.get("value"), str | int):
            kinds.setdefault(each["value"], set()).add(str(each["type"]))
    beside: list[Json] = []
    names: Names = {}
    for value, own in kinds.items():
        form = forms.of(value)
        if form is None:
            beside += identity.alike(value, own) + identity.as_account(value, own)
        else:
            names |= dict.fromkeys((*form.names, *identity.account_of(str(value))))
    return beside, names


class BidMet(NamedTuple):
    """What the one walk through a request met. `numbers`: long ones; `like_ids`: texts with a sign of an id, each with
    what is in it by its codes; `of_user`, `elsewhere`: objects that say something by a member's name (`bid_words`).
    """

    texts: list[str]
    numbers: list[float]
    like_ids: dict[str, str]
    of_user: list[Json]
    elsewhere: list[Json]


def _put_elsewhere(met: BidMet, forms: BidForms, beside: list[Json], names: Names) -> bool:
    """Puts to these what in any other member has the form of an identifier: in a bidder's parameters, in a page's
    query, in what nobody knows, in a member's name. Whether all of it was looked at.
    """
    found = 0
    for word in dict.fromkeys(word for text, inside in met.like_ids.items() for word in _words(text, inside)):
        form = forms[word]
        others = identity.alike(word) if form is None else ()
        if others or (form and form.has_form):
            found += 1
            if found > MOST_LOOSE:
                return False
            beside += others
            names |= dict.fromkeys(form.names if form else ())
    return True


def _read_elsewhere(request: Json) -> Mapping[int, frozenset[str]]:
    """The very objects of whose members some are read in their own place, or name an auction. What is not there is an
    empty one that no request holds.
    """
    device, user, source, imps = (*(part(request, name) for name in ("device", "user", "source")), request.get("imp"))
    read = {id(request): OF_REQUEST, id(user): OF_USER, id(device): OF_DEVICE, id(part(device, "ext")): OF_DEVICE_EXT}
    slots = [holder for imp in objects(imps) for holder in (imp, part(imp, "ext"))]
    read |= dict.fromkeys(map(id, (source, part(source, "ext"), *slots)), OF_AUCTION)
    for holder in (user, part(user, "ext")):
        for eid in objects(holder.get("eids"))[:MOST_EIDS]:
            read |= dict.fromkeys(map(id, objects(eid.get("uids"))[:MOST_EIDS]), OF_UID)
    return read


def _ids_of_auction(request: Json) -> Iterator[str]:
    """A UUID is the usual one, an address or a number with its plus is none."""
    source, imps = part(request, "source"), objects(request.get("imp"))
    for holder in (request, source, part(source, "ext"), *imps, *(part(imp, "ext") for imp in imps)):
        for name in OF_AUCTION:
            if isinstance(value := holder.get(name), str):
                yield value


def _gather(request: Json, read: Mapping[int, frozenset[str]]) -> BidMet:
    """Every member of a request passes here. Of texts, names of members and numbers those are `like_ids` that are long
    enough for an id, or have a sign of one.
    """
    met = BidMet([], [], {}, [], [])
    _walk([request, [part(part(request, "regs"), "ext").get("dsa")]], read, met, met.elsewhere)
    _walk([[request.get("user")]], read, met, met.of_user)
    numbers = (str(abs(int(each))) for each in met.numbers if abs(each) < LARGEST)
    met.like_ids.update((text, unfolded(text)) for text in dict.fromkeys((*_telling(met.texts), *numbers)))
    for text in _ids_of_auction(request):
        if "@" in (inside := unfolded(text)) or "+" in inside:
            met.texts.append(text)
            met.like_ids[text] = inside
    return met


def _walk(waiting: list[Any], read: Mapping[int, frozenset[str]], met: BidMet, holders: list[Json]) -> None:
    texts, numbers = met.texts, met.numbers
    while waiting:
        inner = waiting.pop()
        if type(inner) is dict:
            inner = _values(inner, read.get(id(inner)), texts, holders)
        for item in inner:
            kind = type(item)  # as JSON has them: asked this way it takes half as long
            if kind is str:
                texts.append(item)
            elif kind in HOLDERS_OF_MORE:
                waiting.append(item)
            elif kind in NUMBERS and abs(item) >= LEAST_NUMBER:
                numbers.append(item)


def _values(
    holder: dict[str, object], read: frozenset[str] | None, texts: list[str], holders: list[Json]
) -> Iterable[object]:
    """Of the members that are not read in their own place; names that are no list's are put to the texts, and an object
    with a name that says something to `holders`.
    """
    if not SILENT.issuperset(holder):
        texts += [name for name in holder if name not in KNOWN]
        if not PAIRED.isdisjoint(holder) or any(map(named_for, holder)):
            holders.append(holder)
    return [value for name, value in holder.items() if name not in read] if read else holder.values()


def _telling(texts: Sequence[str]) -> Iterator[str]:
    """Texts that are long, or have a sign of an id. All short ones are asked for the plainest signs at once first:
    hardly ever one has any.
    """
    yield from (text for text in texts if len(text) >= NO_WORD)
    short = [text for text in texts if len(text) < NO_WORD]
    yield from (text for text in short if len(text) >= UNAMBIGUOUS and may_hold_one(text))
    if _has_sign(APART.join(short)):
        yield from filter(_has_sign, short)


def _has_sign(text: str) -> bool:
    return not text.isascii() or any(sign in text for sign in SIGNS)


def _words(text: str, inside: str) -> Iterator[str]:
    """The text, and what in it has the form of an id: in an address's query, in a list of words."""
    run = has_run(inside)
    if run or len(text) <= NO_SENTENCE or "@" in inside or "+" in inside:
        yield text
    if inside is not text and len(inside) <= NO_SENTENCE:
        yield inside
    if run:
        yield from HEXES.findall(inside)
    if "@" in inside:
        yield from ADDRESSES.findall(inside)
    if "+" in inside:
        yield from WITH_PLUS.findall(inside)


def _listed(stated: object) -> Iterator[object]:
    """The items of a list; beside them one that reads as no id where there are more, or it is none at all: what was not
    read may be an opted-out person's, and so it denies.
    """
    if isinstance(stated, list):
        yield from stated[:MOST_EIDS]
    if stated not in (None, "") and (not isinstance(stated, list) or len(stated) > MOST_EIDS):
        yield None


def _signals(request: Json) -> tuple[Json, ...]:
    """One mapping of all the places of 2.6, and one of those of 2.5, without what they say alike."""
    found: Sequence[dict[str, object]] = ({}, {})
    for name, places in SIGNALS.items():
        for reading, (path, member) in zip(found, places, strict=False):
            holder: Json = request
            for step in path:
                holder = part(holder, step)
            if holder.get(member) is not None:
                reading[name] = holder[member]
    _add_unreadable(request, found)
    if "ac" in found[1]:
        found[1]["ac"] = _providers(found[1]["ac"])
    _add_where_it_counts(*found)
    _add_where_it_counts(*reversed(found))
    return tuple(
        {name: _flag(name, value) for name, value in each.items() if value is not None} for each in found if each
    )


def _add_where_it_counts(one: dict[str, object], other: Json) -> None:
    """By which law and section a string is read either version may say."""
    if "tc" in one:
        one.setdefault("gdpr", other.get("gdpr"))
    if "gpp" in one and one.get("gpp_sid") in NO_SECTION_IDS:
        one["gpp_sid"] = other.get("gpp_sid")


def _add_unreadable(request: Json, found: Sequence[dict[str, object]]) -> None:
    for path, version, member in HOLDERS:
        holder = request
        for step in path[:-1]:
            holder = part(holder, step)
        stated = holder.get(path[-1])
        if stated not in NOTHING and not isinstance(stated, Mapping):
            found[version][member] = {}


def _providers(listed: object) -> object:
    """Google's string, as Prebid takes it apart: the numbers in it, of which none is a no."""
    if not isinstance(listed, list) or not all(type(each) is int and 0 < each <= MAX_ID for each in listed):
        return listed
    return f"1~{'.'.join(map(str, listed))}"


def _flag(name: str, value: object) -> object:
    """GPC is a number in some bidders' requests and a text in others'."""
    return str(value) if name == "gpc" and isinstance(value, int) and not isinstance(value, bool) else value


@dataclass(slots=True)
class Difference:
    """`remove`: pointers of members; a list that lost an item is replaced whole, so their order does not matter.
    `replace`: values by pointer, added members among them.
    """

    remove: list[str] = field(default_factory=list)
    replace: dict[str, object] = field(default_factory=dict)


def difference(before: object, after: object) -> Difference:
    """What has to be done to `before` for it to be `after`."""
    found = Difference()
    _compare(before, after, "", found)
    return found


def _compare(before: object, after: object, pointer: str, found: Difference) -> None:
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            if name not in after:
                found.remove.append(f"{pointer}/{_escaped(str(name))}")
            elif value is not after[name]:  # most of a request goes as the very object that came
                _compare(value, after[name], f"{pointer}/{_escaped(str(name))}", found)
        found.replace |= {f"{pointer}/{_escaped(str(n))}": value for n, value in after.items() if n not in before}
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            _compare(one, other, f"{pointer}/{index}", found)
    elif before != after or type(before) is not type(after):
        found.replace[pointer] = after


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
