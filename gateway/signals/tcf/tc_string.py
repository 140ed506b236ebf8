"""A whole TC string, `core.segment.segment`: taken apart into fields and put together again, by layouts that are
tables. `signals.tcf` calls it.

Field names are those of cmpapi 3.2.0; TCF v1.1, which it lacks, is named as in its own specification. Layouts: IAB Tech
Lab, "Consent string and vendor list formats v2"; of section 5, GPP Sections/Canada. The first three bits of a segment
are its type; segments may come in any order. What a field means is `signals.tcf`'s.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

from gateway.signals.bits import ALPHABET, MAX_CHARACTERS, MAX_ID, Unreadable, flag_bits, number_bits, text_of
from gateway.signals.heard import Fields
from gateway.signals.tcf.vendors import (
    FIBONACCI,
    FIXED,
    PURPOSES,
    WITH_DEFAULT,
    Ranges,
    SegmentBits,
    read_restrictions,
    read_vendors,
    write_restrictions,
    write_vendors,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DECISECOND = timedelta(milliseconds=100)
LETTER_A = ord("A")
LETTER_COUNT = 26
SPECIAL_FEATURES = 12


@dataclass(frozen=True, slots=True)
class TcFieldKind:
    """How a value stands in bits. Both functions are also given the segment's other fields, since the length of some
    stands in another: those already read, and all that are to be written. `read` raises `Unreadable`; `write` raises
    `ValueError`, or `TypeError` for a value of another shape.
    """

    read: Callable[[SegmentBits, Fields], object]
    write: Callable[[Any, Fields], str]


Layout = Mapping[str, TcFieldKind]  # by the names of the fields, in their order


def number(width: int) -> TcFieldKind:
    return TcFieldKind(lambda bits, _: bits.number(width), lambda value, _: number_bits(value, width))


def exactly(expected: int, width: int, code: str) -> TcFieldKind:
    """A number with one valid value; `code` is the error of any other."""

    def read(bits: SegmentBits, _: Fields) -> int:
        if bits.number(width) != expected:
            raise Unreadable(code)
        return expected

    def write(value: int, _: Fields) -> str:
        if value != expected:
            raise ValueError(f"{value} is not {expected}")
        return number_bits(expected, width)

    return TcFieldKind(read, write)


def flags(count: int) -> TcFieldKind:
    """`count` booleans, no fewer and no more."""
    return TcFieldKind(lambda bits, _: bits.flags(count), lambda value, _: _counted(value, count))


def flags_counted_by(name: str) -> TcFieldKind:
    """As many booleans as the field of that name says."""
    return TcFieldKind(
        lambda bits, seen: bits.flags(cast("int", seen[name])),
        lambda value, fields: _counted(value, cast("int", fields[name])),
    )


def _counted(values: list[bool], count: int) -> str:
    if len(values) != count or not {True, False}.issuperset(values):
        raise ValueError(f"not {count} booleans")
    return flag_bits(values)


def _read_date(bits: SegmentBits, _: Fields) -> str:
    moment = EPOCH + bits.number(36) * DECISECOND
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_date(value: str, _: Fields) -> str:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value} has no time zone")
    deciseconds, rest = divmod(moment - EPOCH, DECISECOND)
    if rest:
        raise ValueError(f"{value} is finer than a tenth of a second")
    return number_bits(deciseconds, 36)


def _read_letters(bits: SegmentBits, _: Fields) -> str:
    codes = bits.numbers(6, 2)
    if max(codes) >= LETTER_COUNT:
        raise Unreadable("letters")
    return "".join(chr(LETTER_A + code) for code in codes)


def _write_letters(value: str, _: Fields) -> str:
    first, second = (ord(letter) - LETTER_A for letter in value)
    if max(first, second) >= LETTER_COUNT:
        raise ValueError(f"{value} is not two letters from A to Z")
    return number_bits(first, 6) + number_bits(second, 6)


def vendors(ranges: Ranges) -> TcFieldKind:
    return TcFieldKind(lambda bits, _: read_vendors(bits, ranges), lambda ids, _: write_vendors(ids, ranges))


FLAG = TcFieldKind(lambda bits, _: bits.flag(), lambda value, _: _counted([value], 1))
DATE = TcFieldKind(_read_date, _write_date)  # tenths of a second since 1970, shown as ISO 8601 in UTC
LETTERS = TcFieldKind(_read_letters, _write_letters)  # two letters of 6 bits each
# Restrictions: bare ranges in section 2; in section 5 each is a vendor list with its own maximum.
FIXED_RESTRICTIONS = TcFieldKind(
    lambda bits, _: read_restrictions(bits, lambda inner: FIXED.read(inner, MAX_ID)),
    lambda value, _: write_restrictions(value, FIXED.write),
)
FIBONACCI_RESTRICTIONS = TcFieldKind(
    lambda bits, _: read_restrictions(bits, lambda inner: read_vendors(inner, FIBONACCI)),
    lambda value, _: write_restrictions(value, lambda ids: write_vendors(ids, FIBONACCI)),
)


def layout(**kinds: TcFieldKind) -> dict[str, TcFieldKind]:
    return kinds


def _opening(version: int) -> dict[str, TcFieldKind]:
    return layout(
        Version=exactly(version, 6, "version"),
        Created=DATE,
        LastUpdated=DATE,
        CmpId=number(12),
        CmpVersion=number(12),
        ConsentScreen=number(6),
        ConsentLanguage=LETTERS,
        VendorListVersion=number(12),
    )


EU_CORE = _opening(2) | layout(
    PolicyVersion=number(6),
    IsServiceSpecific=FLAG,
    UseNonStandardStacks=FLAG,
    SpecialFeatureOptins=flags(SPECIAL_FEATURES),
    PurposeConsents=flags(PURPOSES),
    PurposeLegitimateInterests=flags(PURPOSES),
    PurposeOneTreatment=FLAG,
    PublisherCountryCode=LETTERS,
    VendorConsents=vendors(FIXED),
    VendorLegitimateInterests=vendors(FIXED),
    PublisherRestrictions=FIXED_RESTRICTIONS,
)
V1_CORE = _opening(1) | layout(PurposesAllowed=flags(PURPOSES), VendorConsents=vendors(WITH_DEFAULT))


def ca_core(ranges: Ranges, restrictions: TcFieldKind) -> Layout:
    """The specification's form has Fibonacci ranges; encoders before cmpapi 3.2.0 wrote fixed ones (1.3, 1.7 j)."""
    return _opening(1) | layout(
        TcfPolicyVersion=number(6),
        UseNonStandardStacks=FLAG,
        SpecialFeatureExpressConsent=flags(SPECIAL_FEATURES),
        PurposesExpressConsent=flags(PURPOSES),
        PurposesImpliedConsent=flags(PURPOSES),
        VendorExpressConsent=vendors(ranges),
        VendorImpliedConsent=vendors(ranges),
        PubRestrictions=restrictions,
    )


CA_CORE = ca_core(FIBONACCI, FIBONACCI_RESTRICTIONS)
CA_CORE_EARLIER = ca_core(FIXED, FIXED_RESTRICTIONS)


DISCLOSED, ALLOWED, PUBLISHER = 1, 2, 3


@dataclass(frozen=True, slots=True)
class TcSegment:
    """`empty`: the text that says nothing, which an absent segment is read as. `layouts`: more than one where encoders
    disagree; the first is the one that is written.
    """

    name: str
    empty: str
    layouts: tuple[Layout, ...]


@dataclass(frozen=True, slots=True)
class TcForm:
    """One kind of string. `segments` by type, in the order in which the fields are shown. `always`: the types that
    are written whatever they hold, in that order; the others only where they are not empty.
    """

    name: str
    cores: tuple[Layout, ...]
    segments: Mapping[int, TcSegment] = field(default_factory=dict)
    always: tuple[int, ...] = ()
    pad_to: int = 8  # bits; the field pads to 6, 8 or 24


@dataclass(frozen=True, slots=True)
class Decoded:
    """`core_is_exact`: all fields are there. Otherwise `fields` holds what stands in front of the damage."""

    fields: Fields
    error: str = ""
    absent: tuple[str, ...] = ()
    core_is_exact: bool = False


def decode(text: str, form: TcForm) -> Decoded:
    """Never raises. The first thing that is wrong is the error; later segments are then read as absent."""
    if len(text) > MAX_CHARACTERS:
        return Decoded({}, "size")
    core, *others = text.strip().split(".")
    bits = SegmentBits()
    fields, error = _read(bits, core, form.cores)
    if error:
        return Decoded(fields, error)
    found, error = _read_segments(bits, others, form)
    for segment_type, segment in form.segments.items():
        fields |= found.get(segment_type) or _nothing(segment)
    absent = tuple(f"{form.name}.{form.segments[missing].name}" for missing in form.segments if missing not in found)
    return Decoded(fields, error, absent, core_is_exact=True)


def _read_segments(bits: SegmentBits, texts: list[str], form: TcForm) -> tuple[dict[int, dict[str, object]], str]:
    """The fields of each segment by its type, up to the first that is unknown, repeated or damaged, and the error."""
    found: dict[int, dict[str, object]] = {}
    for text in texts:
        segment_type = ALPHABET.find(text[:1]) >> 3
        if segment_type in found or segment_type not in form.segments:
            return found, "segment"
        fields, error = _read(bits, text, form.segments[segment_type].layouts)
        if error:
            return found, error
        found[segment_type] = fields
    return found, ""


def encode(fields: Fields, form: TcForm, absent: Collection[str] = ()) -> str:
    """The string of these fields. Those of a segment may be left out; those of the core may not. A segment that is
    named in `absent`, as `decode` names it, is not written. Raises `ValueError` for a field that is missing, unknown or
    does not fit, and for more than can be read again.
    """
    defaults = {name: value for segment in form.segments.values() for name, value in _nothing(segment).items()}
    given = {**defaults, **fields}
    if wrong := given.keys() ^ {*defaults, *form.cores[0]}:
        raise ValueError(f"{form.name}: missing or unknown: {', '.join(sorted(wrong))}")
    texts = {each: _write(given, segment.layouts[0], form.pad_to) for each, segment in form.segments.items()}
    said = [each for each, text in texts.items() if text.rstrip("A") != form.segments[each].empty.rstrip("A")]
    left_out = {each for each, segment in form.segments.items() if f"{form.name}.{segment.name}" in absent}
    order = [*form.always, *(each for each in form.segments if each not in form.always and each in said)]
    written = [each for each in order if each not in left_out]
    text = ".".join([_write(given, form.cores[0], form.pad_to), *(texts[each] for each in written)])
    if error := decode(text, form).error:
        raise ValueError(f"{form.name}: too much for one string: {error}")
    return text


class _Attempt(NamedTuple):
    """What one layout makes of a segment: all fields and no error, or those in front of the damage and its code."""

    fields: dict[str, object]
    error: str
    layout: Layout
    left: int


def _read(bits: SegmentBits, text: str, layouts: tuple[Layout, ...]) -> tuple[dict[str, object], str]:
    """The fields and no error by the layout that fits; by the first where none does. Where several fit and differ, by
    the one that would have written these bits: so cmpapi 3.2.0 tells the two codings of section 5 apart.
    """
    left = bits.left
    attempts = [_attempt(bits, text, candidate, left) for candidate in layouts]
    exact = [each for each in attempts if not each.error] or attempts[:1]
    if any(each.fields != exact[0].fields for each in exact):
        exact.sort(key=lambda each: not bits.text.startswith(_bits(each.fields, each.layout)))
    best = exact[0]
    bits.left = best.left
    return best.fields, best.error


def _attempt(bits: SegmentBits, text: str, candidate: Layout, left: int) -> _Attempt:
    """Any zeros may follow the last field: the three paddings of the field and, seen in cmpapi's own tests, a publisher
    segment of twice its length.
    """
    fields: dict[str, object] = {}
    bits.left = left
    try:
        bits.turn_to(text)
        for name, kind in candidate.items():
            fields[name] = kind.read(bits, fields)
        error = "" if bits.rest_is_zero() else "padding"
    except Unreadable as reason:
        error = reason.code
    return _Attempt(fields, error, candidate, bits.left)


def _nothing(segment: TcSegment) -> dict[str, object]:
    return _read(SegmentBits(), segment.empty, segment.layouts[:1])[0]


def _bits(fields: Fields, written: Layout) -> str:
    parts = []
    for name, kind in written.items():
        try:
            parts.append(kind.write(fields[name], fields))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{name}: {error}") from error
    return "".join(parts)


def _write(fields: Fields, written: Layout, pad_to: int) -> str:
    return text_of(_bits(fields, written), pad_to)


def _vendor_list(segment_type: int, name: str, listed: str, codings: tuple[Ranges, ...]) -> TcSegment:
    layouts = tuple(
        layout(**{f"{name}SegmentType": exactly(segment_type, 3, "segment"), listed: vendors(ranges)})
        for ranges in codings
    )
    return TcSegment(name, ALPHABET[segment_type << 3] + "AAA", layouts)


def _publisher(name: str, purposes: tuple[str, str], custom: tuple[str, str]) -> TcSegment:
    kinds = {
        f"{name}SegmentType": exactly(PUBLISHER, 3, "segment"),
        **dict.fromkeys(purposes, flags(PURPOSES)),
        "NumCustomPurposes": number(6),
        **dict.fromkeys(custom, flags_counted_by("NumCustomPurposes")),
    }
    return TcSegment(name, "YAAAAAAAAA", (layout(**kinds),))


EU = TcForm(
    "tcfeuv2",
    (EU_CORE,),
    {
        PUBLISHER: _publisher(
            "PublisherPurposes",
            ("PublisherConsents", "PublisherLegitimateInterests"),
            ("PublisherCustomConsents", "PublisherCustomLegitimateInterests"),
        ),
        ALLOWED: _vendor_list(ALLOWED, "VendorsAllowed", "VendorsAllowed", (FIXED,)),  # removed in 2.2: read only
        DISCLOSED: _vendor_list(DISCLOSED, "VendorsDisclosed", "VendorsDisclosed", (FIXED,)),
    },
    always=(DISCLOSED, PUBLISHER),
    pad_to=24,
)
CA = TcForm(
    "tcfcav1",
    (CA_CORE, CA_CORE_EARLIER),
    {
        PUBLISHER: _publisher(
            "PubPurposes",
            ("PubPurposesExpressConsent", "PubPurposesImpliedConsent"),
            ("CustomPurposesExpressConsent", "CustomPurposesImpliedConsent"),
        ),
        DISCLOSED: _vendor_list(DISCLOSED, "DisclosedVendors", "DisclosedVendors", (FIBONACCI, FIXED)),
    },
    always=(PUBLISHER,),
)
V1 = TcForm("tcfeuv1", (V1_CORE,))
