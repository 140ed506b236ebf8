"""One US section of a GPP string: its subsections as fields, what they say of sale, sharing and targeted advertising,
and what else they refuse. The package calls it.

Valid is: each part has exactly the length of its layout in one of the three paddings, nothing but zeros behind it, no
reserved value, a known version, the right subsection type. In anything else, a coding that was given up too, an opt-out
that can be read still counts, and nothing is allowed (`Reading` sees to that).

Beside its opt-outs a section refuses for a notice not given, a known child, sensitive data and the MSPA: what Prebid
Server (Java) and Prebid.js both deny, in the terms of each state's own section; the later sections, which both pass by,
are read the same way. These denials hold in the answer to this request and are written nowhere: they do not show that a
person chose.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile

from gateway.signals.bits import ALPHABET, LETTERS, Bits, Unreadable, bits_of, lengths, number_bits, text_of
from gateway.signals.gpp.layouts import BY_ID, BY_NAME, GPC, WIDTH, Field, Layout, Section
from gateway.signals.heard import Choices, Fields, Reading, stated
from gateway.terms import SIGNAL_PURPOSES, Purpose

OPTED_OUT, DID_NOT_OPT_OUT = 1, 2
RESERVED = 3
NEVER_ZERO = "MspaCoveredTransaction"  # "0 = not allowed" (GPP Sections/US-*)
PAIRS = {format(value, "02b"): value for value in range(4)}
GPC_TYPE = 1
SHORT = 2  # characters that a GPC has and a sensitive subsection never
MAX_SURPLUS = 8  # a section has two subsections; each surplus one is looked at for a GPC
# Which field speaks of which purpose. California has no field for targeted advertising and the others, but for the
# national section, none for sharing: there the one stands for the other (GPP Sections/US-*).
SPEAKS: Mapping[Purpose, tuple[str, ...]] = {
    Purpose.SALE: ("SaleOptOut",),
    Purpose.SHARING: ("SharingOptOut", "TargetedAdvertisingOptOut"),
    Purpose.TARGETED_ADS: ("TargetedAdvertisingOptOut", "SharingOptOut"),
}
OPT_OUTS = frozenset(name for names in SPEAKS.values() for name in names)


def read_us_section(section: Section, text: str) -> Reading:
    """A section's string without the GPP header: core and subsections joined by `.`."""
    core, *parts = text.split(".")
    errors: list[str] = []
    if section.with_header and core[:1] == ALPHABET[section.id]:
        core, parts = _without_header(core, parts, errors)
    fields = _core(section, core, errors)
    gpc = False
    absent: tuple[str, ...] = ()
    for layout in section.subsections:
        while parts and layout is not GPC and 0 < len(parts[0].rstrip("=")) <= SHORT:
            errors.append("subsection")  # a GPC where the section has none
            gpc = _subsection(GPC, parts.pop(0), errors).get("Gpc") is True or gpc
        if parts:
            found = _subsection(layout, parts.pop(0), errors)
            gpc = gpc or found.get("Gpc") is True
            fields.update(found)
        else:
            fields = _defaults(layout) | fields  # a draft has in its core what is a subsection today
            absent += (f"{section.name}.{layout.name}",)
    for extra in parts[:MAX_SURPLUS]:  # not of this section's layout; a GPC among them is one all the same
        errors.append("subsection")
        gpc = gpc or _subsection(GPC, extra, errors).get("Gpc") is True
    choices = stated(SIGNAL_PURPOSES) if gpc else _choices(fields)
    return Reading(choices, {section.name: fields}, absent, next(iter(errors), ""))


def write_us_section(section: Section, fields: Mapping[str, object], absent: Sequence[str] = ()) -> str:
    """The reference library's form: core first, no header subsection, padded to 8. Every field is said on purpose: a
    library's blank string claims a transaction covered by the MSPA. Raises `ValueError` for one that is missing or
    does not fit; a subsection named in `absent`, or with no field given, is left out.
    """
    version = fields.get("Version", fields.get("MspaVersion", max(section.cores)))
    if not isinstance(version, int) or version not in section.cores:
        raise ValueError(f"{section.name} has no version {version!r}")
    core = _core_to_write(section, fields, version)
    present = [sub for sub in section.subsections if sub.name in fields and f"{section.name}.{sub.name}" not in absent]
    return ".".join(_written(section, layout, fields, version) for layout in (core, *present))


def _core_to_write(section: Section, fields: Mapping[str, object], version: int) -> Layout:
    """The layout of the version; where the lists have another's length, that one: libraries write version 1 in the
    layout of version 2, and what was read so is written so again.
    """
    lengths_given = {name: len(value) for name, value in fields.items() if isinstance(value, list | tuple)}
    fitting = [
        layout
        for layout in (section.cores[version], section.newest)
        if all(lengths_given.get(field.name, field.count) == field.count for field in layout.fields)
    ]
    return next(iter(fitting), section.cores[version])


def _core(section: Section, text: str, errors: list[str]) -> dict[str, object]:
    bits = _bits(text, errors)
    drafts = [each for each in section.drafts if len(bits) // 6 in each.characters and "1" not in bits[each.bits :]]
    if drafts:
        return _of_a_draft([*drafts, section.newest], bits, errors)
    layout = _layout_of(section, text, bits)
    fields = _fields(layout, bits, len(text), errors)
    version = fields.get("Version", fields.get("MspaVersion"))
    newest = layout is section.newest
    known = version in section.cores if newest else section.cores.get(version) is layout  # type: ignore[call-overload]
    if not known:  # version 1 in the layout of version 2 is what Java and older libraries write (1.7 b)
        errors.append("version")
    return fields


def _of_a_draft(layouts: Sequence[Layout], bits: str, errors: list[str]) -> dict[str, object]:
    """A coding that was given up, or today's in a length that it never has. Where it could be several, what any of them
    refuses counts; in none of them is `MspaCoveredTransaction` 0.
    """
    errors.append("version")
    readings = [_fields(layout, bits, len(bits) // 6, errors) for layout in layouts]
    likely = [fields for fields in readings if fields[NEVER_ZERO]] or readings
    refused = {name: OPTED_OUT for fields in likely for name in OPT_OUTS if fields.get(name) == OPTED_OUT}
    return likely[0] | refused


def _layout_of(section: Section, text: str, bits: str) -> Layout:
    """By length, never by the Version field, which libraries write wrong. Twelve characters hold version 2, or
    version 1 padded to 24: then its last 12 bits are zero, and version 2's MspaCoveredTransaction there never is.
    """
    for layout in section.cores.values():
        older = layout is section.newest and len(section.cores) > 1 and "1" not in bits[section.cores[1].bits :]
        if len(text) in layout.characters and not older:
            return layout
    return section.newest


def _subsection(layout: Layout, text: str, errors: list[str]) -> dict[str, object]:
    bits = _bits(text, errors)
    if layout is not GPC and len(bits) == layout.bits + 2 and bits.startswith("01") and not bits.endswith("00"):
        bits = bits[2:]  # iabgpp-rs puts the 2-bit id 1 in front of the sensitive subsection (1.7 a)
    fields = _fields(layout, bits, len(text), errors)
    if layout is GPC:
        if fields.get("GpcSegmentType") != GPC_TYPE:
            errors.append("subsection")
            return fields | {"Gpc": False}
        fields["Gpc"] = fields.get("Gpc") == 1
    return fields


def _without_header(core: str, parts: list[str], errors: list[str]) -> tuple[str, list[str]]:
    """The specification's form of sections 24 to 27: SectionID, Version, SubSections; then core and subsections. The
    core has id 0, which a Fibonacci number cannot say, so the list names the others only.
    """
    try:
        bits = Bits(bits_of(core))
        bits.number(6)
        if bits.number(6) != 1:
            errors.append("version")
        named = bits.fibonacci_range(most=8, limit=8)
        if not bits.rest_is_zero() or len(core) not in lengths(bits.at):
            errors.append("padding")
        if len(named) != len(parts) - 1:
            errors.append("subsection")
    except Unreadable as error:
        errors.append(error.code)
    return (parts[0], parts[1:]) if parts else ("", [])


def _bits(text: str, errors: list[str]) -> str:
    if not text:
        errors.append("empty")
    legible = text if LETTERS.issuperset(text) else "".join(takewhile(LETTERS.__contains__, text))
    if legible != text:
        errors.append("alphabet")  # an opt-out in front of it counts all the same
    try:
        return bits_of(legible)
    except Unreadable as error:
        errors.append(error.code)
        return ""


def _fields(layout: Layout, bits: str, characters: int, errors: list[str]) -> dict[str, object]:
    """As many fields as there are bits for."""
    fields: dict[str, object] = {}
    for field, start, end in layout.slots:
        if end > len(bits):
            errors.append("truncated")
            return fields
        if field.count:
            values = [PAIRS[bits[at : at + WIDTH]] for at in range(start, end, WIDTH)]
            fields[field.name] = values
            reserved = RESERVED in values
        else:
            fields[field.name] = value = int(bits[start:end], 2)
            reserved = field.width == WIDTH and (value == RESERVED or (value == 0 and field.name == NEVER_ZERO))
        if reserved:
            errors.append("reserved")
    if "1" in bits[layout.bits :]:
        errors.append("padding")
    elif characters not in layout.characters:
        errors.append("length")
    return fields


def _defaults(layout: Layout) -> dict[str, object]:
    if layout is GPC:
        return {"GpcSegmentType": GPC_TYPE, "Gpc": False}
    return {field.name: [0] * (field.count or 1) for field in layout.fields}


def _choices(fields: Mapping[str, object]) -> Choices:
    said = {purpose: next((fields[n] for n in names if n in fields), None) for purpose, names in SPEAKS.items()}
    return stated(
        (purpose for purpose, value in said.items() if value == OPTED_OUT),
        (purpose for purpose, value in said.items() if value == DID_NOT_OPT_OUT),
    )


def _written(section: Section, layout: Layout, fields: Mapping[str, object], version: int) -> str:
    implied = {"Version": version, "MspaVersion": version, "GpcSegmentType": GPC_TYPE}
    bits = []
    for field in layout.fields:
        value = fields.get(field.name, implied.get(field.name))
        try:
            bits += [number_bits(each, field.width) for each in _values(field, value)]
        except (TypeError, ValueError) as error:
            raise ValueError(f"{section.name}.{field.name}: {error}") from None
    return text_of("".join(bits))


def _values(field: Field, value: object) -> list[int]:
    stated = value if isinstance(value, list | tuple) else [value]
    values = [int(each) for each in stated if isinstance(each, int)]
    if len(values) != (field.count or 1) or len(values) != len(stated):
        raise ValueError(f"wants {f'{field.count} numbers' if field.count else 'one number'}")
    if field.width == WIDTH and RESERVED in values:
        raise ValueError("3 is reserved")
    return values


NOT_APPLICABLE = 0
NOT_PROVIDED = 2  # of a notice
REFUSED, CONSENTED = 1, 2
NOTHING: frozenset[Purpose] = frozenset()
FULL = frozenset(SIGNAL_PURPOSES)
PRECISE = frozenset({Purpose.SENSITIVE})  # how a precise point is refused
# One value each that ends everything. Consent to processing beyond the purpose is an invalid state to both products;
# sections 13 and up call it AdditionalDataProcessingConsent, and 24 to 27 have one MspaMode.
ENDS_ALL: Mapping[str, int] = {
    "MspaServiceProviderMode": 1,
    "MspaMode": 2,
    "PersonalDataConsents": CONSENTED,
    "AdditionalDataProcessingConsent": CONSENTED,
}
# The notices that must have come before each "did not opt out". `ProcessingNotice` is the later sections' first notice.
TOLD_BY: Mapping[str, tuple[str, ...]] = {
    "SaleOptOut": ("SaleOptOutNotice",),
    "SharingOptOut": ("SharingOptOutNotice", "SharingNotice"),
    "TargetedAdvertisingOptOut": ("TargetedAdvertisingOptOutNotice",),
}
NOTICES = frozenset({"ProcessingNotice", "SharingNotice", *(name for names in TOLD_BY.values() for name in names)})
SENSITIVE_NOTICES = (
    "SensitiveDataProcessingOptOutNotice",
    "SensitiveDataLimitUseNotice",
    "SensitiveDataOptOutNotice",  # Iowa's name for it
)
# Sensitive items, counted from 1, that refuse even with consent, for they "must never be in scope": genetic and
# biometric data, papers, accounts, contents of messages, victims of crime, transgender (GPP Sections/US-*).
NEVER_IN_SCOPE: Mapping[str, frozenset[int]] = {
    "usnat": frozenset({6, 7, 9, 10, 12, 14, 16}),
    "usca": frozenset({1, 2, 5, 6, 7}),
    "usor": frozenset({5, 8, 9, 10}),
    "usde": frozenset({6, 7, 9}),
    "usnj": frozenset({6, 7, 9, 10}),
}
GENETIC_AND_BIOMETRIC = frozenset({6, 7})  # where they are in the other states' lists
# The national section's answers about a known child that refuse: 13 to 15, under 13, 16 and 17.
NATIONAL_CHILD = (frozenset({1}), frozenset({1, 2}), frozenset({1}))


def refused_now(reading: Reading, section_ids: Collection[int] | None) -> frozenset[Purpose]:
    """What the sections that apply refuse in this request. One that is said to apply and is not in a readable string
    refuses sale, sharing and targeted ads, as Prebid.js has it.
    """
    known = [BY_ID[number] for number in section_ids or () if number in BY_ID]
    if reading.ok and any(section.name not in reading.sections for section in known):
        return FULL
    refused = NOTHING
    for name, fields in reading.sections.items():
        section = BY_NAME.get(name)
        if section is not None and (section_ids is None or section.id in section_ids):
            refused |= _refused(section, fields)
    return refused


def _refused(section: Section, fields: Fields) -> frozenset[Purpose]:
    if any(fields.get(name) == value for name, value in ENDS_ALL.items()) or _refuses_for_a_child(section, fields):
        return FULL | PRECISE
    untold = _was_not_told(fields)
    return (FULL if untold else NOTHING) | _refused_of_sensitive(section, fields)


def _refuses_for_a_child(section: Section, fields: Fields) -> bool:
    """In a state's section any word about a known child counts as no consent, as in both products' normalisation."""
    said = _refusal_values(fields, "KnownChildSensitiveDataConsents")
    if section.name != "usnat":
        return any(said)
    return any(value in refusing for value, refusing in zip(said, NATIONAL_CHILD, strict=False))


def _was_not_told(fields: Fields) -> bool:
    """A notice was not given, or somebody "did not opt out" of what no notice told of."""
    if any(fields.get(name) == NOT_PROVIDED for name in NOTICES):
        return True
    return any(
        fields.get(opt_out) == CONSENTED and NOT_APPLICABLE in [fields.get(notice) for notice in notices]
        for opt_out, notices in TOLD_BY.items()
    )


def _refused_of_sensitive(section: Section, fields: Fields) -> frozenset[Purpose]:
    """The precise point by itself; any other sensitive item refuses that data go along at all. That the item of the
    precise point is refused is `precise_refused`.
    """
    notices = [fields.get(name) for name in SENSITIVE_NOTICES]
    if NOT_PROVIDED in notices:
        return FULL | PRECISE
    items = dict(enumerate(_refusal_values(fields, "SensitiveDataProcessing")))
    precise = items.pop(section.precise, None) if section.precise is not None else None
    untold = NOT_APPLICABLE in notices
    others = untold and CONSENTED in items.values()
    refused = FULL if others or _refuses_an_item(section, items) else NOTHING
    return refused | (PRECISE if untold and precise == CONSENTED else NOTHING)


def _refuses_an_item(section: Section, items: Mapping[int, object]) -> bool:
    never = NEVER_IN_SCOPE.get(section.name, GENETIC_AND_BIOMETRIC)
    return any(value == REFUSED or (value == CONSENTED and index + 1 in never) for index, value in items.items())


def _refusal_values(fields: Fields, name: str) -> Iterable[object]:
    """A field's values, whether the section has one or a list of them."""
    found = fields.get(name, ())
    return found if isinstance(found, list | tuple) else [found]
