"""One row of a share, shaped by its verdict: what goes as it stands, what goes changed, what does not go.

A field that the recipient's field map does not name never goes (R20); a raw e-mail or phone leaves only as its hash.
"""

from collections.abc import Mapping

from gateway.choice import geo, identity
from gateway.terms import Answer, DataClass

KINDS_OF: Mapping[DataClass, tuple[str, ...]] = {
    DataClass.AD_ID: (*identity.AD_IDS, "ad_id_sha256"),
    DataClass.DEVICE_ID: ("idfv", "appset", "imei", "serial", "udid"),
    DataClass.EMAIL_HASH: ("email", "email_sha256", "email_sha1", "email_md5"),
    DataClass.PHONE_HASH: ("phone", "phone_sha256"),
    DataClass.CONTACT: ("email", "phone"),
    DataClass.ACCOUNT: ("account",),
}
# Keywords may be the message itself (R20): they leave only by a vocabulary, which is not there yet.
NOT_YET = frozenset({DataClass.KEYWORDS})
# What names somebody leaves only where it can be read as one of its class's kinds: else it could not be checked.
NAMED = frozenset({DataClass.AD_ID, DataClass.DEVICE_ID, DataClass.ACCOUNT})
HASHES = {DataClass.EMAIL_HASH: ("email", "email_sha256"), DataClass.PHONE_HASH: ("phone", "phone_sha256")}


def shape(
    data: Mapping[str, object], fields: Mapping[str, DataClass], answers: Mapping[str, Answer]
) -> tuple[dict[str, object], tuple[str, ...]]:
    """(what may leave, the data classes that leave). Empty when nothing may."""
    out: dict[str, object] = {}
    classes: set[str] = set()
    for name, value in data.items():
        data_class = fields.get(name)
        if data_class is None or value is None:
            continue
        changed = _change(name, value, data_class, answers.get(data_class, Answer.DENY))
        if changed is not None:
            out[name] = changed
            coarse = answers[data_class] is Answer.COARSEN
            classes.add(DataClass.COARSE_GEO if coarse else data_class)
    return out, tuple(sorted(classes))


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


def coordinates(data: Mapping[str, object], fields: Mapping[str, DataClass]) -> tuple[object, object]:
    """The row's own (latitude, longitude), for the place it was taken at (R13)."""
    found: dict[str, object] = {}
    for name, value in data.items():
        if fields.get(name) is DataClass.PRECISE_GEO:
            found.setdefault(geo.axis(name), value)
    return found.get("lat"), found.get("lon")


def _change(name: str, value: object, data_class: DataClass, answer: Answer) -> object | None:
    if answer is Answer.DENY or data_class in NOT_YET or not isinstance(value, str | int | float):
        return None  # a list or an object could hold anything, so it never leaves
    if answer is Answer.COARSEN:
        return geo.coarsen(name, value)
    if answer is Answer.HASH:  # contact data of either kind: its hash, or nothing
        return next((found for kinds in HASHES.values() if (found := _hashed(value, kinds)) is not None), None)
    if data_class in NAMED and not any(
        isinstance(identity.read(kind, value), identity.Identifier) for kind in KINDS_OF[data_class]
    ):
        return None
    return _hashed(value, HASHES[data_class]) if data_class in HASHES else value


def _hashed(value: object, kinds: tuple[str, str]) -> object | None:
    raw, digest = kinds
    for kind in (digest, raw):
        read = identity.read(kind, value)
        if isinstance(read, identity.Identifier):
            return read.names[0][1]
    return None
