"""The bid request that may be sent: what the verdict lets go, the rest as for a contextual ad.

One list of members per object says what is left (`members`); what it does not name never leaves, in any case. Where
nobody may be in it the slot, the page, the device's make and a region are left, joined to no id (R3): where any id
leaves, a denied address or region does not. A bidder of whose parameters nothing is known gets nothing where anything
is denied.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from gateway.choice import coarsening, keywords
from gateway.choice.downstream import Strings
from gateway.choice.keywords import Vocabulary
from gateway.choice.openrtb import bid_words
from gateway.choice.openrtb.members import (
    BIDDERS,
    CLASSES,
    EID,
    FORMS,
    GEO,
    GEO_PLAIN,
    MEMBERS,
    POINT,
    TRANSACTION,
    UID,
    USER,
    Json,
    address,
    is_for_somebody,
    objects,
    parameter,
    parsed,
    part,
    written,
)
from gateway.choice.openrtb.reading import Ids, is_modern
from gateway.choice.openrtb.traces import MOST_NEEDLES, Traces, formed, texts_of, without
from gateway.terms import Answer, DataClass

Out = dict[str, object]
NO_WORDS = Vocabulary()
HOLDERS = (dict, list)  # as JSON has them; by `Mapping`, an abstract class, each question takes a microsecond
IDS = frozenset({DataClass.AD_ID, DataClass.DEVICE_ID})
ALLOWED, REDUCED, CONTEXTUAL, BLOCKED = "allow", "reduced", "contextual", "block"
PLAY_STORE = "https://play.google.com/store/apps/details"  # whose addresses have the app in their query


@dataclass(frozen=True, slots=True)
class Leave:
    """What one recipient may have. `answers`: the verdict's, by data class; a class without one is denied. `strings`
    and `gpc`: what it is told. `words`: the vocabulary of keywords. `extensions`: further paths that the operator lets
    stand, `imp.ext.mybidder`. `young`: nothing personal at all, no truncated address either (under the age floor).
    `name`: the recipient's, by which parameters are known that stand without their bidder's.
    """

    answers: Mapping[str, Answer]
    strings: Strings
    gpc: bool = False
    words: Vocabulary = NO_WORDS
    extensions: frozenset[str] = frozenset()
    young: bool = False
    name: str = ""

    def may(self, data_class: DataClass) -> bool:
        return self.answers.get(data_class, Answer.DENY) is Answer.ALLOW

    @property
    def allowed(self) -> frozenset[str]:
        return frozenset(name for name, answer in self.answers.items() if answer is Answer.ALLOW)

    @property
    def word(self) -> str:
        """`reduced`: something was taken, and it still tells of a person; `contextual`: nobody is in it."""
        given = set(self.answers.values())
        if given == {Answer.ALLOW}:
            return ALLOWED
        return REDUCED if given - {Answer.DENY} else CONTEXTUAL

    @property
    def anything_denied(self) -> bool:
        return self.strings.out or self.word != ALLOWED

    @property
    def any_id(self) -> bool:
        return any(self.may(one) for one in IDS)

    @property
    def unjoined(self) -> bool:
        """Whether a truncated address and a region may stand: with no id beside them, and of nobody too young."""
        return not self.any_id and not self.young


class Cut(NamedTuple):
    """What every member is asked about: whether all may go, whether somebody may be in it, the classes that may, and
    whether the person opted out of anything.
    """

    whole: bool
    somebody: bool
    classes: frozenset[str]
    out: bool
    leave: Leave


Rule = Callable[[object, Cut, str], object | None]  # of a value and the path of what holds it; None: it is taken out


class LawfulBid(NamedTuple):
    """What may be sent, and all texts in it (`traces.texts_of`); of one that all may go of none are looked at."""

    request: Out
    texts: list[str]


def lawful(request: Json, leave: Leave, ids: Ids) -> LawfulBid | None:
    """The request as it may be sent, in the version that it came in; None where nothing of it may. The one handed in is
    left as it is. `ids`: `reading.persons_ids` of it.
    """
    word = leave.word
    cut = Cut(word == ALLOWED, word != CONTEXTUAL, classes := leave.allowed, leave.anything_denied, leave)
    out = _object(request, REQUEST, cut, "")
    for name, shaped in (("device", _device(request, cut)), ("user", _user(request, cut))):
        if shaped is not None and name in request:
            out[name] = shaped
    imps, kept = request.get("imp"), list(_imps(request, cut))
    if ("id" in request and "id" not in out) or (imps and not kept):
        return None
    out["imp"] = kept
    if isinstance(app := out.get("app"), dict):
        _name_store(app)
    out["regs"] = _regs(request, cut)
    if cut.whole:
        return LawfulBid(out, [])
    traces, texts = _traces(request, ids, classes), texts_of(out)
    left = None if traces is None else without(out, texts, traces, leave.name)
    return left if left is None else LawfulBid(left, texts if left is out else texts_of(left))


# --- members by the list ---


def _object(holder: Json, table: Mapping[str, Rule], cut: Cut, path: str) -> Out:
    out: Out = {}
    for name, value in holder.items():
        rule = table.get(name)
        if rule is not None and (kept := rule(value, cut, path)) is not None:
            out[name] = kept
    return out


def _scalar(value: object) -> object | None:
    """A value that is no bag, or a list of such."""
    if isinstance(value, list):
        return [item for item in value if not isinstance(item, HOLDERS)]
    return None if isinstance(value, dict) else value


def _formed(form: Callable[[object], object | None], value: object, cut: Cut, _: str) -> object | None:
    if cut.whole:
        return _scalar(value)
    if isinstance(value, list):
        return [kept for item in value if (kept := form(item)) is not None]
    return form(value)


def _address(value: object, cut: Cut, _: str) -> object | None:
    """An address's query can hold anything, also where all may go to a recipient in spite of an opt-out."""
    return address(value) if cut.out else _scalar(value)


def _of_class(data_class: str, value: object, cut: Cut, _: str) -> object | None:
    return _scalar(value) if data_class in cut.classes else None


def _nested(name: str, member: str, value: object, cut: Cut, path: str) -> object | None:
    table, inner = RULES[name], f"{path}.{member}" if path else member
    if isinstance(value, list):
        return [_object(item, table, cut, inner) for item in value if isinstance(item, dict)]
    return _object(value, table, cut, inner) if isinstance(value, dict) else None


def _extension(name: str, value: object, cut: Cut, path: str) -> Out | None:
    """Of an `ext` bag what the list or the operator names; without anything it is not there."""
    if not isinstance(value, dict):
        return None
    inner = f"{path}.ext" if path else "ext"
    out = _object(value, RULES[name], cut, inner)
    if cut.leave.extensions:
        _add_listed(value, out, cut, f"{inner}.")
    return out or None


def _add_listed(bag: Json, out: Out, cut: Cut, prefix: str) -> None:
    """The operator's own members. Where anything is denied only a scalar that is named by its whole path, in a form
    that is about nobody: what a bag holds next year nobody has looked at.
    """
    for path in cut.leave.extensions:
        if not path.startswith(prefix):
            continue
        steps = path.removeprefix(prefix).split(".")
        value: object = bag
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        kept = value if cut.whole else FORMS["id"](value)
        if kept is not None:
            _plant(out, steps, kept)


def _plant(out: Out, steps: list[str], value: object) -> None:
    for step in steps[:-1]:
        inner = out.get(step)
        out[step] = out = {**inner} if isinstance(inner, dict) else {}
    out[steps[-1]] = value


def _text(value: object, cut: Cut, _: str) -> object | None:
    return _scalar(value) if cut.whole else None


def _bag(value: object, cut: Cut, _: str) -> object | None:
    return _with_words_listed(_without_transaction(value, cut), cut) if cut.whole else None


def _search(value: object, cut: Cut, _: str) -> object | None:
    """A search's words are the person's."""
    return None if cut.out else _scalar(value)


def _joined(value: object, cut: Cut, _: str) -> object | None:
    return _scalar(value) if cut.somebody else None


def _joined_object(rule: Rule, value: object, cut: Cut, path: str) -> object | None:
    return rule(value, cut, path) if cut.somebody else None


def _keywords(value: object, cut: Cut, _: str) -> object | None:
    """A page's own may be the reader's message as well, whatever the verdict (R20)."""
    words = cut.leave.words
    return keywords.sift(value, words).kept if words.listed else None


def _native(value: object, cut: Cut, _: str) -> object | None:
    """A native ad's request is a text with an object in it."""
    if cut.whole:
        return value if isinstance(value, str) else None
    found = parsed(value)
    return None if found is None else written(_object(found, RULES["native_request"], cut, "native"))


WORDS: Mapping[str, Rule] = {
    **{word: partial(_formed, form) for word, form in FORMS.items()},
    **{word: partial(_of_class, word) for word in CLASSES},
    "url": _address,
    "text": _text,
    "open": _bag,
    "search": _search,
    "joined": _joined,
    "keywords": _keywords,
    "native": _native,
}


def _rule(member: str, word: str) -> Rule:
    condition, arrow, name = word.rpartition("-> ")
    if not arrow:
        return WORDS[word]
    if member == "ext":
        return _imp_extension if name == "imp_ext" else partial(_extension, name)
    rule = _prebid if name == "imp_prebid" else partial(_nested, name, member)
    return partial(_joined_object, rule) if condition else rule


# --- slots and bidders ---


def _imps(request: Json, cut: Cut) -> Iterator[Out]:
    """Slots; without those whose bidders are all unknown."""
    for imp in objects(request.get("imp")):
        out = _object(imp, RULES["imp"], cut, "imp")
        unnamed = "id" in imp and "id" not in out
        if not unnamed and (not is_for_somebody(part(imp, "ext")) or is_for_somebody(part(out, "ext"))):
            yield out


def _imp_extension(value: object, cut: Cut, path: str) -> Out | None:
    """With parameters of bidders: in Prebid's bag, under a bidder's own name, or, for whom they are known, alone."""
    if not isinstance(value, dict):
        return None
    out = _extension("imp_ext", value, cut, path) or {}
    for name, bag in value.items():
        if not isinstance(bag, dict):
            continue
        if cut.whole and name in WHOLE_BAGS:
            bag = _without_transaction(bag, cut)  # noqa: PLW2901 - the same, as it may go
            out[name] = _with_words_listed(bag, cut) if name == "data" else bag
        elif name == "bidder" or (name not in MEMBERS["imp_ext"] and name.lower() in BIDDERS):
            _put_parameters(out, name, cut.leave.name if name == "bidder" else name, bag, cut)
    return out or None


def _prebid(value: object, cut: Cut, path: str) -> Out | None:
    if not isinstance(value, dict):
        return None
    out = _object(value, RULES["imp_prebid"], cut, f"{path}.prebid")
    bidders: Out = {}
    for name, bag in part(value, "bidder").items():
        _put_parameters(bidders, name, name, bag, cut)
    return out | ({"bidder": bidders} if bidders else {})


def _put_parameters(out: Out, name: str, bidder: str, bag: object, cut: Cut) -> None:
    """What the operator lists of them may stand there already."""
    known = BIDDERS.get(bidder.lower())
    if not isinstance(bag, dict):
        return
    if cut.whole:
        out[name] = _without_transaction(bag, cut)
    elif known is not None:
        out[name] = {
            each: kept for each in bag if each in known.scalar and (kept := parameter(bag[each])) is not None
        } | {**part(out, name)}


def _without_transaction(value: object, cut: Cut) -> object:
    """Prebid keeps a copy of the transaction's id inside its own bag, `imp[].ext.prebid.tid`."""
    if DataClass.AD_ID in cut.classes:
        return value
    if isinstance(value, list):
        return [_without_transaction(item, cut) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_transaction(item, cut) for name, item in value.items() if name not in TRANSACTION}


def _with_words_listed(value: object, cut: Cut) -> object:
    """First-party data, of whose keywords those of the vocabulary alone go (R20). What a bidder's parameters call so
    the operator wrote there.
    """
    if isinstance(value, list):
        return [_with_words_listed(item, cut) for item in value]
    if not isinstance(value, dict):
        return value
    sifted = {name: _keywords(value[name], cut, "") for name in value if name in WORDED}
    kept = {name: _with_words_listed(item, cut) for name, item in value.items() if name not in WORDED}
    return kept | {name: words for name, words in sifted.items() if words is not None}


def _name_store(app: Out) -> None:
    """Google's addresses of apps have the app in their query, and that is no person."""
    if app.get("storeurl") == PLAY_STORE and isinstance(app.get("bundle"), str):
        app["storeurl"] = f"{PLAY_STORE}?id={app['bundle']}"


# --- the device, the person and where they are ---


def _device(request: Json, cut: Cut) -> Out:
    device = part(request, "device")
    out = _object(device, RULES["device"], cut, "device")
    for name in ("ip", "ipv6"):
        # As in a share: a whole address is a device's own number, allowed or not.
        if (cut.leave.may(DataClass.IP) or cut.leave.unjoined) and (network := coarsening.truncate(device.get(name))):
            out[name] = network
    if cut.leave.strings.out:
        out["lmt"] = 1
    if "geo" in device:
        out["geo"] = _geo(part(device, "geo"), cut, "device.geo")
    return out


def _user(request: Json, cut: Cut) -> Out | None:
    """Nobody where nobody may be in it."""
    user = part(request, "user")
    if not cut.somebody:
        return None
    out = _object(user, RULES["user"], cut, "user")
    if not cut.out and isinstance(user.get("consent"), str):
        out["consent"] = user["consent"]  # no consent is claimed that does not hold
    for name in ("keywords", "kwarray"):
        sifted = keywords.sift(user[name], cut.leave.words).kept if name in user and _goes(name, USER, cut) else None
        out |= {} if sifted is None else {name: sifted}
    _put_eids(out, user, cut)
    if "data" in user and DataClass.DEMOGRAPHICS in cut.classes:
        out["data"] = _without_places(_nested("user_data", "data", user["data"], cut, "user"), cut)
    if "geo" in user:
        out["geo"] = _geo(part(user, "geo"), cut, "user.geo")
    extension = _user_extension(user, out, cut)
    if extension:
        out["ext"] = extension
    return out


def _without_places(data: object, cut: Cut) -> list[Out]:
    """Of a user's data what tells no exact point, where none may go: whole numbers of one stand in two segments."""
    listed = data if isinstance(data, list) else [data] if isinstance(data, dict) else []
    if DataClass.PRECISE_GEO in cut.classes:
        return listed
    return [
        {**each, "segment": [one for one in each["segment"] if not bid_words.tells_place(one)]}
        if isinstance(each.get("segment"), list) else each for each in listed
    ]  # fmt: skip


def _user_extension(user: Json, out: Out, cut: Cut) -> Out:
    extension, bag = dict(part(out, "ext")), part(user, "ext")
    out.pop("ext", None)
    _put_eids(extension, bag, cut)
    for name in CONSENTS:
        if not cut.out and name in bag:
            extension[name] = bag[name]
    return extension


def _put_eids(out: Out, holder: Json, cut: Cut) -> None:
    """What was read of them, and so looked up: `reading` reads the same."""
    if DataClass.AD_ID in cut.classes and (read := _eids(holder.get("eids"))):
        out["eids"] = read


def _eids(listed: object) -> list[Out]:
    return [
        _plain(eid, EID) | {"uids": [_plain(uid, UID) for uid in objects(eid.get("uids"))]} for eid in objects(listed)
    ]


def _plain(holder: Json, names: Collection[str]) -> Out:
    """These members, where they are no bag that holds others."""
    return {name: value for name, value in holder.items() if name in names and not isinstance(value, HOLDERS)}


def _goes(name: str, table: Mapping[str, DataClass], cut: Cut) -> bool:
    return name in table and table[name] in cut.classes


def _geo(place: Json, cut: Cut, path: str) -> Out:
    """The point as the verdict has it, exact or at one decimal; the region where a contextual ad may have it."""
    leave = cut.leave
    region = DataClass.COARSE_GEO in cut.classes or leave.unjoined
    out = {name: v for name, v in place.items() if _goes(name, GEO, cut) and not isinstance(v, HOLDERS)}
    codes = {name: place[name] for name in place if name in GEO_PLAIN} if region else {}
    out |= {name: code for name, value in codes.items() if (code := FORMS["place"](value)) is not None}
    if leave.answers.get(DataClass.PRECISE_GEO) is Answer.COARSEN:
        out |= coarsening.coarsen_point({name: place.get(name) for name in POINT})
        if isinstance(place.get("type"), int) and "lat" in out:
            out["type"] = place["type"]  # how it was found stands; how exact it was does not (section 5)
    extension = _extension("none", place.get("ext"), cut, path)
    return out | ({"ext": extension} if extension else {})


# --- what holds ---


def _regs(request: Json, cut: Cut) -> Out:
    """What holds, said in one place and one way: that of the version."""
    leave, regs = cut.leave, part(request, "regs")
    old = part(regs, "ext")
    out: Out = {"coppa": regs["coppa"]} if FORMS["number"](regs.get("coppa")) is not None else {}
    extension = _object(old, RULES["regs_ext"], cut, "regs.ext")
    said: Out = {"gpp": leave.strings.gpp, "gpp_sid": leave.strings.gpp_sid, "us_privacy": leave.strings.us_privacy}
    gdpr = next((holder["gdpr"] for holder in (regs, old) if holder.get("gdpr") in (0, 1)), None)
    if any(holder.get("gdpr") in (1, "1") for holder in (regs, old)):
        gdpr = 1  # where two places disagree the stricter holds
    if gdpr is not None:
        said["gdpr"] = gdpr
    if leave.gpc:
        extension["gpc"] = "1"
    if not cut.out and isinstance(old.get("adchoices"), str):
        extension["adchoices"] = old["adchoices"]  # it says something to each participant of the DAA
    if is_modern(request):
        out |= said
    else:
        extension = {**extension, **said}
    return out | ({"ext": extension} if extension else {})


# --- an id that stands in a second place ---


def _traces(request: Json, ids: Ids, classes: AbstractSet[str]) -> Traces | None:
    """Of whom nothing may be left, by what the request itself gives as theirs; None where that is too much."""
    _, denied = _parted(ids, classes)
    device = part(request, "device")
    return None if len(denied) > MOST_NEEDLES else Traces(denied, (device.get("ip"), device.get("ipv6")), classes)


def _parted(ids: Ids, classes: AbstractSet[str]) -> tuple[list[str], list[str]]:
    """The ids that may go, and those that may not."""
    allowed = {value.lower() for value, one in ids if (one in classes if one else classes >= IDS)}
    values = {value for value, _ in ids}
    return [each for each in values if each.lower() in allowed], [
        each for each in values if each.lower() not in allowed
    ]


def suspects(out: LawfulBid, leave: Leave, ids: Ids) -> dict[str, list[dict[str, object]]] | None:
    """What of a request that was cut has the form of an id and is none that may go, with what it could be; None where
    that is more than can be looked at. `ids`: `persons_ids` of the whole.
    """
    mine = _parted(ids, leave.allowed)[0] if leave.any_id else []
    device = part(out.request, "device")
    found = formed(out.texts, {*mine, device.get("ip"), device.get("ipv6")})
    if found is None:
        return None
    traces = Traces(mine) if found and 0 < len(mine) <= MOST_NEEDLES else None
    return {word: could_be for word, could_be in found.items() if not (traces and traces.are_in([word]))}


RULES: Mapping[str, Mapping[str, Rule]] = {
    name: {member: _rule(member, word) for member, word in members.items() if word not in {"shaped", "closed"}}
    for name, members in MEMBERS.items()
}
REQUEST = {member: rule for member, rule in RULES["request"].items() if member != "imp"}
WHOLE_BAGS = frozenset({"prebid", "data"})
WORDED = frozenset({"keywords", "kwarray", "kw"})
CONSENTS = ("consent", "ConsentedProvidersSettings", "consented_providers_settings")
