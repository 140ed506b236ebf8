"""One row of a share, shaped by its verdict: what goes as it stands, what goes changed, what does not go.
`consent.share` calls it.

A field that the recipient's field map does not name never goes (R20). A raw e-mail or phone leaves only as its hash, an
IP address only as its network, a keyword only out of the vocabulary, a region or an age only as a known value, an id
only where it reads as the kind that its field is said to hold. A precise point leaves on the opt-ins that `relied_on`
finds.

Regions, metros, ages and genders leave as codes of known lists, for free text could be anybody's; what a recipient's
field needs beyond these the operator lists with it (`values`).
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from itertools import islice, product
from typing import NamedTuple

from gateway.choice import coarsening, identity, keywords
from gateway.choice.identity import spelling
from gateway.choice.keywords import SiftedKeywords, Vocabulary
from gateway.choice.openrtb.members import HASHED_DEVICE_IDS
from gateway.choice.openrtb.traces import Traces, texts_of
from gateway.choice.place import STATES, STATES_BY_NAME
from gateway.choice.question import Grant
from gateway.choice.recipient import ANYTHING, NOT_SAID, Held, Holds, Recipient
from gateway.choice.rules.case import CONSUMER_DIRECTED, LEGAL, NOT_CHOOSABLE, OPTED_IN, PRECISE_GEO
from gateway.terms import Answer, DataClass, Purpose


def relied_on(recipient: Recipient, grants: Iterable[Grant]) -> tuple[Grant, ...] | None:
    """One opt-in a purpose that wants one, the newest (`grants` are in that order); None where one is missing: then
    nothing precise leaves, whoever allowed it (R7). Empty: the service itself or the law, which want none.
    """
    wanted = [purpose for purpose in recipient.purposes if _wants_one(recipient, purpose)]
    found: dict[str, Grant] = {}
    for grant in grants:
        named = (grant.recipient, grant.kind, grant.data_class) == (recipient.name, OPTED_IN, PRECISE_GEO)
        if named and grant.purpose in wanted:
            found.setdefault(grant.purpose, grant)
    return tuple(found[purpose] for purpose in wanted) if len(found) == len(wanted) else None


def _wants_one(recipient: Recipient, purpose: Purpose) -> bool:
    served = purpose in NOT_CHOOSABLE and recipient.role is not CONSUMER_DIRECTED
    return not served and recipient.role is not LEGAL


# ISO 3166-2 (US-CA, CA-ON) and ISO 3166-1 in two or three letters; a state's letters alone are of two.
PLACE_CODE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?|[A-Z]{3}")
AGES = re.compile(r"[0-9]{1,2}\s?[-\u2013]\s?[0-9]{1,3}|[0-9]{1,2}\+|under_13|13_15|16_17|adult")
OLDEST, YEARS = 120, range(1900, 2100)
GENDERS = frozenset(
    {"f", "m", "o", "u", "x", "female", "male", "woman", "man", "other", "unknown", "nonbinary", "non-binary",
     "non_binary", "prefer_not_to_say", "undisclosed"}
)  # fmt: skip
EXACTEST = 10**6  # no altitude, speed, heading or accuracy is larger; a phone number is
EDGES: Mapping[str, int] = {"lat": 90, "lon": 180}
ZIP = re.compile(r"(?=.*[0-9])[A-Z0-9]{2,5}[ -]?[A-Z0-9]{0,5}", re.IGNORECASE)


def is_region(_: str, value: object) -> bool:
    """Of a field of a region or a metro."""
    if coarsening.is_metro(value):
        return True
    text = value.strip() if isinstance(value, str) else ""
    code = text.upper()
    return code in STATES or text.casefold() in STATES_BY_NAME or PLACE_CODE.fullmatch(code) is not None


def is_demographic(_: str, value: object) -> bool:
    """Of a field of an age, a year of birth, a gender, or a yes or no."""
    if isinstance(value, int | float):
        return 0 <= value <= OLDEST or value in YEARS
    text = value.strip().casefold() if isinstance(value, str) else ""
    return text in GENDERS or AGES.fullmatch(text) is not None


def is_exact(field: str, value: object) -> bool:
    """Whether a value is a part of a precise point as its field's name says: a number in its bounds, a cell, a code."""
    kind = coarsening.kind(field)
    if kind in CELLS:
        return isinstance(value, str) and CELLS[kind](value)
    read = coarsening.number(value)
    return read is not None and abs(read) <= EDGES.get(kind, EXACTEST)


CELLS = {
    "geohash": lambda text: coarsening.bounds(text) is not None,
    "h3": lambda text: coarsening.H3_INDEX.fullmatch(text) is not None,
    "zip": lambda text: ZIP.fullmatch(text.strip()) is not None,
    "metro": coarsening.is_metro,
}


def tells_of_nobody(_: str, value: object) -> bool:
    """Whether a value that is said to be of many people or of nobody, or of calls and not of who they were with, has at
    least no form that names one: a count, a sum, a day, a word.
    """
    if not isinstance(value, str):
        return isinstance(value, int | float) and abs(value) < 10 ** (FEWEST_DIGITS - 1)
    text = value.strip()
    if DAY.fullmatch(text):
        return True
    digits = (sum(map(str.isdigit, each)) for each in (text, spelling.decoded_text(text)))
    if len(text) > LONGEST_WORD or any(count >= FEWEST_DIGITS for count in digits):
        return False
    return not identity.says_who(value) and (text.isdigit() or not identity.could_be(value))


FEWEST_DIGITS = 10  # of a phone number without its country
LONGEST_WORD = 64  # characters; who is named in a sentence nobody can tell by its form
DAY = re.compile(
    r"(?:19|20)[0-9]{2}-[01][0-9](?:-[0-3][0-9]"
    r"(?:[T ][0-2][0-9]:[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?(?:Z|[+-][01][0-9]:[0-5][0-9])?)?)?"
)


KINDS_OF: Mapping[DataClass, tuple[str, ...]] = {
    DataClass.AD_ID: (*identity.AD_IDS, *identity.AD_ID_DIGESTS),
    DataClass.DEVICE_ID: ("idfv", "appset", "imei", "serial", "udid"),
    DataClass.EMAIL_HASH: ("email", *(kind for kind in identity.DIGESTS if kind.startswith("email_"))),
    DataClass.PHONE_HASH: ("phone", *(kind for kind in identity.DIGESTS if kind.startswith("phone_"))),
    DataClass.CONTACT: ("email", "phone"),
    DataClass.ACCOUNT: ("account",),
}
HASHED_AS = {"email": "email_sha256", "phone": "phone_sha256"}  # where a class says that a hash goes
# What stands where a phone's own numbers do in a bid request.
DEVICES_OF_BIDS = frozenset(f"id:openrtb_{name}" for name in HASHED_DEVICE_IDS)


def is_of(kind: str, classes: Collection[str]) -> bool:
    """Whether an identifier that leaves as this kind, as a call says it or as it is kept, is what one of these classes
    of data stands for: the one place where that is said. Ids whose form is their owner's (a network's, a cookie's, a
    partner's) go as ad ids do where a bid request has them, which was seen to leave.
    """
    if kind in DEVICES_OF_BIDS:
        return DataClass.DEVICE_ID in classes
    if identity.plain_kind(kind) in identity.SOURCED or kind.startswith("id:"):
        return DataClass.AD_ID in classes
    if kind in HASHED_AS:
        return DataClass.CONTACT in classes
    return any(kind in KINDS_OF.get(DataClass(name), ()) for name in classes)


def is_held(kind: str, classes: Collection[str], recipient: Recipient | None) -> bool:
    """The same where nobody saw what left, and a caller may have named more than it sent (R18): an id whose form is its
    owner's goes only where the recipient's own map has it with one of these classes. A network's goes too where the map
    says of no ad id of which kind it is. None: nobody knows the map.
    """
    plain = identity.plain_kind(kind)
    if plain not in identity.SOURCED and not plain.startswith("id:"):
        return is_of(kind, classes)
    if recipient is None:
        return False
    if plain in kinds_held(recipient, classes):
        return True
    return plain == "eid" and is_of(kind, classes) and not kinds_held(recipient, [DataClass.AD_ID])


def kinds_held(recipient: Recipient, classes: Collection[str]) -> set[str]:
    """The kinds that a recipient's map says its fields of these classes to hold."""
    said = ((recipient.held.get(name, NOT_SAID).kinds, each) for name, each in recipient.fields.items())
    return {kind for kinds, data_class in said if data_class in classes for kind in kinds}


# Whose fields may hold ids, and do only where the recipient's map says so: who was called.
KINDS_IF_SAID: Mapping[DataClass, tuple[str, ...]] = {DataClass.CPNI: ("phone", "account")}
# Of which no list says what a field may hold. What leaves of other classes without kinds is a value of a list, a
# number in its bounds, or coarse.
OPEN = frozenset({DataClass.AGGREGATE, DataClass.DEIDENTIFIED, DataClass.CPNI, DataClass.CONTENT})
UUIDS = frozenset(identity.UUIDS)
WORDS = ("imei", "serial", "udid")  # kinds that a word of no form of its own may be (an old phone has an ESN)
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
    data: Mapping[str, object],
    fields: Mapping[str, DataClass],
    answers: Mapping[str, Answer],
    words: Vocabulary,
    held: Held = ANYTHING,
    own: Collection[str] = (),
) -> Shaped:
    """A class without an answer is denied. `out` is empty when nothing may leave. `held`: what the recipient's map says
    of fields beside their class; `own`: the ids by which the row says whom it is about.
    """
    going, dropped = _sorted(data, fields, answers)
    places = {name: value for name, value in going.items() if _is_place(name, fields[name], answers[fields[name]])}
    out = coarsening.coarsen_point(places)
    dropped[UNREADABLE] += len(places) - len(out)
    for name in [name for name in going if name not in places]:
        changed = _change(name, going[name], fields[name], answers[fields[name]], words, held.get(name, NOT_SAID))
        dropped.update(changed.dropped)
        if changed.kept is not None:
            out[name] = changed.kept
    for name in _naming_again(out, fields, held, own):
        del out[name]
        dropped[UNREADABLE] += 1
    classes = {DataClass.COARSE_GEO if name in places else fields[name] for name in out}
    return Shaped(out, tuple(sorted(classes)), +dropped)  # +: without zeros


def _naming_again(
    out: Mapping[str, object], fields: Mapping[str, DataClass], held: Held, own: Collection[str]
) -> list[str]:
    """Fields that hold no id and have the row's own in them, in any writing."""
    texts = {
        name: found
        for name in out
        if fields[name] in OPEN and not kinds_of(name, fields, held) and (found := texts_of(out[name]))
    }
    if not own or not texts:
        return []
    traces = Traces(own)
    return [name for name, found in texts.items() if traces.is_too_much(found) or traces.are_in(found)]


def classes_of(data: Mapping[str, object], fields: Mapping[str, DataClass]) -> tuple[DataClass, ...]:
    """The data classes that a row asks to send, in a fixed order."""
    return tuple(sorted({fields[name] for name, value in data.items() if name in fields and value is not None}))


def identifiers_in(
    data: Mapping[str, object], fields: Mapping[str, DataClass], held: Held = ANYTHING
) -> list[dict[str, object]]:
    """What the row's own data names somebody by, under every kind that it may be: that of its field, and those that it
    has the form of.
    """
    found: list[dict[str, object]] = []
    for name, value in data.items():
        kinds = kinds_of(name, fields, held)
        if not kinds and fields.get(name) not in OPEN:
            continue
        others, accounts = identity.alike(value, kinds), identity.as_account(value, kinds)
        if not others and (kinds or accounts):  # a word: in a field of no ids one that is long enough for an account's
            others = [{"type": kind, "value": value} for kind in WORDS if kind not in kinds]
        found += [{"type": kind, "value": value} for kind in kinds] + others + accounts
    return found


def kinds_of(name: str, fields: Mapping[str, DataClass], held: Held = ANYTHING) -> tuple[str, ...]:
    """The kinds of identifier that a field is said to hold; none where its class names nobody."""
    data_class = fields.get(name, DataClass.AGGREGATE)
    if data_class not in KINDS_OF and data_class not in KINDS_IF_SAID:
        return ()
    return held.get(name, NOT_SAID).kinds or KINDS_OF.get(data_class, ())


def spots(data: Mapping[str, object], fields: Mapping[str, DataClass]) -> tuple[dict[str, object], ...]:
    """Every place that the row's own data names, as `geo` of a check: each latitude with each longitude, known to the
    worst accuracy, and each cell or ZIP code by itself (R13, L70). Past `SPOTS` of them one that cannot be read.
    """
    found: dict[str, list[object]] = {}
    for name, value in data.items():
        if value is not None and fields.get(name) in {DataClass.PRECISE_GEO, DataClass.COARSE_GEO}:
            found.setdefault(coarsening.kind(name), []).append(value)
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
    read = [coarsening.number(value) for value in stated]
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
    return answer is Answer.COARSEN or (data_class is DataClass.COARSE_GEO and bool(coarsening.kind(name)))


def _change(
    name: str, value: object, data_class: DataClass, answer: Answer, words: Vocabulary, holds: Holds
) -> SiftedKeywords:
    """The form in which one value may leave."""
    if data_class is DataClass.KEYWORDS:  # a hash of a text, or a coarse one, is a text that nobody has listed
        return keywords.sift(value, words) if answer is Answer.ALLOW else SiftedKeywords(None, {DENIED: 1})
    if answer is Answer.HASH:  # of anything else a hash is soon guessed: there are four billion addresses
        kept = _hash(value) if data_class in HASHED else None
    elif data_class in NAMING or (data_class in {DataClass.CONTACT, *KINDS_IF_SAID} and holds.kinds):
        kept = _named(holds.kinds or KINDS_OF[data_class], value)
    elif data_class in LISTED:
        kept = _of_list(name, value, data_class, holds)
    else:
        kept = CHANGED.get(data_class, _plain)(value)
    return SiftedKeywords(kept, {UNREADABLE: 1} if kept is None else {})


def _plain(value: object) -> object | None:
    """As it stands; a list or an object could hold anything, so it never leaves."""
    return value if isinstance(value, str | int | float) else None


def _of_list(name: str, value: object, data_class: DataClass, holds: Holds) -> object | None:
    """A known value, or one that the operator lists with the field, as it is listed."""
    if isinstance(value, str) and (listed := holds.values.get(value.strip().casefold())) is not None:
        return listed
    return _plain(value) if LISTED[data_class](name, value) else None


def _hash(value: object) -> object | None:
    """Contact data of either kind: its hash, or nothing."""
    return _hash_of("email", value) or _hash_of("phone", value)


def _hash_of(kind: str, value: object) -> object | None:
    for each in (f"{kind}_sha256", kind):
        read = identity.read_identifier(each, value)
        if isinstance(read, identity.NormalIdentifier):
            return read.names[0][1]
    return None


def _named(kinds: tuple[str, ...], value: object) -> object | None:
    """What names somebody leaves only where it reads as a kind of its field: else it was not checked as what it is. Any
    word reads as a serial number or as a partner's id, also an address, a number or a point, which are none.
    """
    if type(value) is str and identity.is_normal_uuid(value) and not UUIDS.isdisjoint(kinds):
        return value  # as most ids stand; nothing else looks like that
    declared = [kind.partition(":")[2] for kind in kinds if kind.startswith("id:")]
    read = (identity.read_identifier(kind, value, declared=declared) for kind in kinds)
    if not any(isinstance(one, identity.NormalIdentifier) for one in read):
        return None
    stranger = identity.says_who(value) and not {"email", "phone"}.intersection(kinds)
    return None if stranger else _plain(value)


NAMING = frozenset({DataClass.AD_ID, DataClass.DEVICE_ID, DataClass.ACCOUNT})
LISTED: Mapping[DataClass, Callable[[str, object], bool]] = {
    DataClass.COARSE_GEO: is_region,
    DataClass.DEMOGRAPHICS: is_demographic,
    DataClass.AGGREGATE: tells_of_nobody,
    DataClass.DEIDENTIFIED: tells_of_nobody,
    DataClass.CPNI: tells_of_nobody,
    DataClass.PRECISE_GEO: is_exact,
}
CHANGED: Mapping[DataClass, Callable[[object], object | None]] = {
    DataClass.EMAIL_HASH: partial(_hash_of, "email"),
    DataClass.PHONE_HASH: partial(_hash_of, "phone"),
    DataClass.IP: coarsening.truncate,  # a whole address is a device's own number
}
