"""One row of a share, shaped by its verdict: what goes as it stands, what goes changed, what does not go.

A field that the recipient's field map does not name never goes (R20). A raw e-mail or phone leaves only as its hash, an
IP address only as its network, a keyword only out of the vocabulary. Owns the shape, never the decision.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice, product
from typing import NamedTuple

from gateway.choice import geo, identity, ip, keywords
from gateway.choice.keywords import Sifted, Vocabulary
from gateway.terms import Answer, DataClass

KINDS_OF: Mapping[DataClass, tuple[str, ...]] = {
    DataClass.AD_ID: (*identity.AD_IDS, *identity.AD_ID_DIGESTS),
    DataClass.DEVICE_ID: ("idfv", "appset", "imei", "serial", "udid"),
    DataClass.EMAIL_HASH: ("email", "email_sha256", "email_sha1", "email_md5"),
    DataClass.PHONE_HASH: ("phone", "phone_sha256", "phone_sha1", "phone_md5"),
    DataClass.CONTACT: ("email", "phone"),
    DataClass.ACCOUNT: ("account",),
}
HASHED = frozenset({DataClass.EMAIL_HASH, DataClass.PHONE_HASH, DataClass.CONTACT})
SPOTS = 16  # places of one row that are looked at
UNMAPPED = "unmapped"  # a field that the recipient's map does not name
DENIED = "denied"  # the verdict's answer
UNREADABLE = "unreadable"  # allowed, but no form of this value may go


class Shaped(NamedTuple):
    """What may leave, by field; the data classes that leave; how many values do not, by why: the three words above,
    or a `keywords.Why`.
    """

    out: dict[str, object]
    classes: tuple[str, ...]
    dropped: Mapping[str, int]


def shape(
    data: Mapping[str, object], fields: Mapping[str, DataClass], answers: Mapping[str, Answer], words: Vocabulary
) -> Shaped:
    """A class without an answer is denied. `out` is empty when nothing may leave."""
    going, dropped = _sorted(data, fields, answers)
    places = {name: value for name, value in going.items() if _is_place(name, fields[name], answers[fields[name]])}
    out = geo.coarsen_point(places)
    dropped[UNREADABLE] += len(places) - len(out)
    for name in [name for name in going if name not in places]:
        changed = _change(going[name], fields[name], answers[fields[name]], words)
        dropped.update(changed.dropped)
        if changed.kept is not None:
            out[name] = changed.kept
    classes = {DataClass.COARSE_GEO if name in places else fields[name] for name in out}
    return Shaped(out, tuple(sorted(classes)), +dropped)  # +: without zeros


def classes_of(data: Mapping[str, object], fields: Mapping[str, DataClass]) -> tuple[DataClass, ...]:
    """The data classes that a row asks to send, in a fixed order."""
    return tuple(sorted({fields[name] for name, value in data.items() if name in fields and value is not None}))


def identifiers_in(data: Mapping[str, object], fields: Mapping[str, DataClass]) -> list[dict[str, object]]:
    """What the row's own data names somebody by, under every kind that it may be."""
    return [
        {"type": kind, "value": value}
        for name, value in data.items()
        for kind in KINDS_OF.get(fields.get(name, DataClass.AGGREGATE), ())
    ]


def spots(data: Mapping[str, object], fields: Mapping[str, DataClass]) -> tuple[dict[str, object], ...]:
    """Every place that the row's own data names, as `geo` of a check: each latitude with each longitude, known to the
    worst accuracy, and each cell or ZIP code by itself (R13, L70). Past `SPOTS` of them one that cannot be read.
    """
    found: dict[str, list[object]] = {}
    for name, value in data.items():
        if value is not None and fields.get(name) in {DataClass.PRECISE_GEO, DataClass.COARSE_GEO}:
            found.setdefault(geo.kind(name), []).append(value)
    accuracy = {"accuracy": _worst(found["accuracy"])} if "accuracy" in found else {}
    pairs = product(found.get("lat", [None]), found.get("lon", [None]))
    named: list[dict[str, object]] = [
        {"lat": north, "lon": east} | accuracy for north, east in islice(pairs, SPOTS + 1)
    ]
    named += [{kind: value} for kind in ("geohash", "h3", "zip") for value in found.get(kind, [])]
    if len(named) > SPOTS:
        return (*named[:SPOTS], {"lat": None, "lon": UNREADABLE})
    return tuple(spot for spot in named if any(spot[kind] is not None for kind in spot if kind != "accuracy"))


def _worst(stated: list[object]) -> object:
    """The largest of several accuracies; one that cannot be read where there is such a one."""
    read = [geo.number(value) for value in stated]
    return UNREADABLE if None in read else max(value for value in read if value is not None)


def _sorted(
    data: Mapping[str, object], fields: Mapping[str, DataClass], answers: Mapping[str, Answer]
) -> tuple[dict[str, object], Counter[str]]:
    """(what is named and not denied, how many are not, by why). An empty field is neither."""
    going: dict[str, object] = {}
    dropped: Counter[str] = Counter()
    for name, value in data.items():
        if value is None:
            continue
        if name not in fields:
            dropped[UNMAPPED] += 1
        elif answers.get(fields[name], Answer.DENY) is Answer.DENY:
            dropped[DENIED] += 1
        else:
            going[name] = value
    return going, dropped


def _is_place(name: str, data_class: DataClass, answer: Answer) -> bool:
    """What leaves coarse or not at all. An operator who calls a latitude coarse has not made it so."""
    return answer is Answer.COARSEN or (data_class is DataClass.COARSE_GEO and bool(geo.kind(name)))


def _change(value: object, data_class: DataClass, answer: Answer, words: Vocabulary) -> Sifted:
    """The form in which one value may leave."""
    if data_class is DataClass.KEYWORDS:  # a hash of a text, or a coarse one, is a text that nobody has listed
        return keywords.sift(value, words) if answer is Answer.ALLOW else Sifted(None, {DENIED: 1})
    if answer is Answer.HASH:  # of anything else a hash is soon guessed: there are four billion addresses
        kept = _hash(value) if data_class in HASHED else None
    else:
        kept = CHANGED.get(data_class, _plain)(value)
    return Sifted(kept, {UNREADABLE: 1} if kept is None else {})


def _plain(value: object) -> object | None:
    """As it stands; a list or an object could hold anything, so it never leaves."""
    return value if isinstance(value, str | int | float) else None


def _hash(value: object) -> object | None:
    """Contact data of either kind: its hash, or nothing."""
    return _hash_of("email", value) or _hash_of("phone", value)


def _hash_of(kind: str, value: object) -> object | None:
    for each in (f"{kind}_sha256", kind):
        read = identity.read(each, value)
        if isinstance(read, identity.Identifier):
            return read.names[0][1]
    return None


def _named(data_class: DataClass, value: object) -> object | None:
    """What names somebody leaves only where it can be read as one of its class's kinds: else it was not checked."""
    read = (identity.read(kind, value) for kind in KINDS_OF[data_class])
    return _plain(value) if any(isinstance(one, identity.Identifier) for one in read) else None


CHANGED: Mapping[DataClass, Callable[[object], object | None]] = {
    **{named: partial(_named, named) for named in (DataClass.AD_ID, DataClass.DEVICE_ID, DataClass.ACCOUNT)},
    DataClass.EMAIL_HASH: partial(_hash_of, "email"),
    DataClass.PHONE_HASH: partial(_hash_of, "phone"),
    DataClass.IP: ip.truncate,  # a whole address is a device's own number (enforcement.md sections 5 and 7)
}
