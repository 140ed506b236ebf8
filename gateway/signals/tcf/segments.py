"""A whole TC string, `core.segment.segment`: taken apart into fields, and put together again.

Owns the three forms as tables, the exactness of each segment, and what an absent one stands for. Never judges what a
field says. The first three bits of a segment are its type (signals.md 3.1); segments may come in any order.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.signals.bits import ALPHABET, MAX_CHARACTERS, Unreadable, text_of
from gateway.signals.reading import Fields
from gateway.signals.tcf.core import (
    CA_CORE,
    CA_CORE_EARLIER,
    EU_CORE,
    V1_CORE,
    Layout,
    exactly,
    flags,
    flags_counted_by,
    layout,
    number,
    vendors,
)
from gateway.signals.tcf.vendors import FIBONACCI, FIXED, PURPOSES, Ranges, SegmentBits

DISCLOSED, ALLOWED, PUBLISHER = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Segment:
    """`empty`: the text that says nothing, which an absent segment is read as. `layouts`: more than one where encoders
    disagree; the first is the one that is written.
    """

    name: str
    empty: str
    layouts: tuple[Layout, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of string. `segments` by type, in the order in which the fields are shown. `always`: the types that
    are written whatever they hold, in that order; the others only where they are not empty.
    """

    name: str
    cores: tuple[Layout, ...]
    segments: Mapping[int, Segment] = field(default_factory=dict)
    always: tuple[int, ...] = ()
    pad_to: int = 8  # bits; signals.md 1.3


@dataclass(frozen=True, slots=True)
class Decoded:
    """`core_is_exact`: all fields are there. Otherwise `fields` holds what stands in front of the damage."""

    fields: Fields
    error: str = ""
    absent: tuple[str, ...] = ()
    core_is_exact: bool = False


def decode(text: str, form: Form) -> Decoded:
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


def _read_segments(bits: SegmentBits, texts: list[str], form: Form) -> tuple[dict[int, dict[str, object]], str]:
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


def encode(fields: Fields, form: Form, absent: Collection[str] = ()) -> str:
    """The string of these fields. Those of a segment may be left out; those of the core may not. A segment that is
    named in `absent`, as `decode` names it, is not written. Raises `ValueError` for a field that is missing, unknown or
    does not fit, and for more than can be read again.
    """
    defaults = {name: value for segment in form.segments.values() for name, value in _nothing(segment).items()}
    given = {**defaults, **fields}
    if wrong := given.keys() ^ {*defaults, *(each.name for each in form.cores[0])}:
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
    """Any zeros may follow the last field: the three paddings of the field (signals.md 1.3) and, seen in cmpapi's own
    tests, a publisher segment of twice its length.
    """
    fields: dict[str, object] = {}
    bits.left = left
    try:
        bits.turn_to(text)
        for each in candidate:
            fields[each.name] = each.kind.read(bits, fields)
        error = "" if bits.rest_is_zero() else "padding"
    except Unreadable as reason:
        error = reason.code
    return _Attempt(fields, error, candidate, bits.left)


def _nothing(segment: Segment) -> dict[str, object]:
    return _read(SegmentBits(), segment.empty, segment.layouts[:1])[0]


def _bits(fields: Fields, written: Layout) -> str:
    parts = []
    for each in written:
        try:
            parts.append(each.kind.write(fields[each.name], fields))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{each.name}: {error}") from error
    return "".join(parts)


def _write(fields: Fields, written: Layout, pad_to: int) -> str:
    return text_of(_bits(fields, written), pad_to)


def _vendor_list(segment_type: int, name: str, listed: str, codings: tuple[Ranges, ...]) -> Segment:
    layouts = tuple(
        layout(**{f"{name}SegmentType": exactly(segment_type, 3, "segment"), listed: vendors(ranges)})
        for ranges in codings
    )
    return Segment(name, ALPHABET[segment_type << 3] + "AAA", layouts)


def _publisher(name: str, purposes: tuple[str, str], custom: tuple[str, str]) -> Segment:
    kinds = {
        f"{name}SegmentType": exactly(PUBLISHER, 3, "segment"),
        **dict.fromkeys(purposes, flags(PURPOSES)),
        "NumCustomPurposes": number(6),
        **dict.fromkeys(custom, flags_counted_by("NumCustomPurposes")),
    }
    return Segment(name, "YAAAAAAAAA", (layout(**kinds),))


EU = Form(
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
CA = Form(
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
V1 = Form("tcfeuv1", (V1_CORE,))
