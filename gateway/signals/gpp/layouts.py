"""Where every field of every US section lies: the specification's tables as one table, for `us` and the package.

Fields follow each other without gaps, 2 bits each unless a width is written (`Version:6`); `*n` is a list of n. Field
names are the specification's, as `parsedSections` of the client API has them. Beside them: the sensitive item that is a
precise location, and whether an item is an opt-out (CA, UT, IA) or a consent (elsewhere). (Global-Privacy-Platform
@b27beb4, Sections/US-*.)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from gateway.signals.bits import lengths

WIDTH = 2


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    width: int = WIDTH
    count: int | None = None  # None: a single value

    @property
    def bits(self) -> int:
        return self.width * (self.count or 1)


@dataclass(frozen=True)
class Layout:
    """A core or a subsection. `name` is that of its first field of substance: what `absent` calls it."""

    name: str
    fields: tuple[Field, ...]

    @cached_property
    def bits(self) -> int:
        return sum(field.bits for field in self.fields)

    @cached_property
    def characters(self) -> frozenset[int]:
        """How long its string may be, in the three paddings."""
        return lengths(self.bits)

    @cached_property
    def slots(self) -> tuple[tuple[Field, int, int], ...]:
        """Each field with its first bit and the bit behind its last."""
        ends = [*accumulate((field.bits for field in self.fields), initial=0)]
        return tuple(zip(self.fields, ends, ends[1:], strict=False))


@dataclass(frozen=True)
class Section:
    """`cores` by version, the newest first. `with_header`: sections 24 to 27, whose specification puts a header
    subsection in front that the reference library does not write. `drafts`: codings of the core that were given up,
    each of another length than the cores; what one refuses counts, and none allows.
    """

    id: int
    name: str
    cores: Mapping[int, Layout]
    subsections: tuple[Layout, ...]
    precise: int | None = None  # index of precise geolocation in SensitiveDataProcessing
    with_header: bool = False
    drafts: tuple[Layout, ...] = ()

    @property
    def newest(self) -> Layout:
        return next(iter(self.cores.values()))


def _layout(name: str, text: str) -> Layout:
    return Layout(name, tuple(_field(word) for word in text.split()))


def _field(word: str) -> Field:
    name, _, count = word.partition("*")
    name, _, width = name.partition(":")
    return Field(name, int(width) if width else WIDTH, int(count) if count else None)


GPC = _layout("Gpc", "GpcSegmentType Gpc:1")
SENSITIVE = _layout("SensitiveDataProcessing", "SensitiveDataProcessing*8")
MSPA = "MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"
NATIONAL = (
    "Version:6 SharingNotice SaleOptOutNotice SharingOptOutNotice TargetedAdvertisingOptOutNotice"
    " SensitiveDataProcessingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut"
    " TargetedAdvertisingOptOut SensitiveDataProcessing*{sensitive} KnownChildSensitiveDataConsents*{child}"
    f" PersonalDataConsents {MSPA}"
)
CALIFORNIA = (
    "Version:6 SaleOptOutNotice SharingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut"
    f" SensitiveDataProcessing*9 KnownChildSensitiveDataConsents*2 PersonalDataConsents {MSPA}"
)
# {notice}: SharingNotice or ProcessingNotice; {extra}: UT and IA have one notice more, which shifts all that follows
STATE = (
    "Version:6 {notice} SaleOptOutNotice TargetedAdvertisingOptOutNotice {extra} SaleOptOut TargetedAdvertisingOptOut"
    f" SensitiveDataProcessing*{{sensitive}} {{child}} {{additional}} {MSPA}"
)
# Sections 24 to 27: the MSPA fields come first; {child}: MD has none. So since c436976 (2025-12-17, "Removed Version
# field from Core") and in @iabgpp/cmpapi 3.2.0 (2026-08-04). Before that the core began with a Version; and a draft of
# the library (June 2026) had the sensitive items in the core, and a GPC subsection in place of theirs.
STATE_2025 = (
    "MspaVersion:6 MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice"
    " SaleOptOut TargetedAdvertisingOptOut {child} AdditionalDataProcessingConsent"
)
DRAFTS_2025 = ("Version:6 " + STATE_2025, STATE_2025 + " SensitiveDataProcessing*8")
CHILD = "KnownChildSensitiveDataConsents"
ADDITIONAL = "AdditionalDataProcessingConsent"
SHARING, PROCESSING = "SharingNotice", "ProcessingNotice"
UT_NOTICE, IA_NOTICE = "SensitiveDataProcessingOptOutNotice", "SensitiveDataOptOutNotice"

# id, name, first notice, extra notice, sensitive items, child field, additional consent, GPC, precise location
STATES = (
    (9, "usva", SHARING, "", 8, CHILD, "", False, 7),
    (10, "usco", SHARING, "", 7, CHILD, "", True, None),
    (11, "usut", SHARING, UT_NOTICE, 8, CHILD, "", False, 7),
    (12, "usct", SHARING, "", 8, f"{CHILD}*3", "", True, 7),
    (13, "usfl", PROCESSING, "", 8, f"{CHILD}*3", ADDITIONAL, False, 7),
    (14, "usmt", SHARING, "", 8, f"{CHILD}*3", ADDITIONAL, True, 7),
    (15, "usor", PROCESSING, "", 11, f"{CHILD}*3", ADDITIONAL, True, 10),
    (16, "ustx", PROCESSING, "", 8, CHILD, ADDITIONAL, True, 7),
    (17, "usde", PROCESSING, "", 9, f"{CHILD}*5", ADDITIONAL, True, 7),
    (18, "usia", PROCESSING, IA_NOTICE, 8, CHILD, "", True, 7),
    (19, "usne", PROCESSING, "", 8, CHILD, ADDITIONAL, True, 7),
    (20, "usnh", PROCESSING, "", 8, f"{CHILD}*3", ADDITIONAL, True, 7),
    (21, "usnj", PROCESSING, "", 10, f"{CHILD}*5", ADDITIONAL, True, 7),
    # the specification's table has the singular here, the libraries and the client API the plural
    (22, "ustn", PROCESSING, "", 8, CHILD, ADDITIONAL, True, 7),
    (23, "usmn", PROCESSING, "", 8, CHILD, ADDITIONAL, True, 7),
)


def _state(
    number: int,
    name: str,
    notice: str,
    extra: str,
    sensitive: int,
    child: str,
    additional: str,
    gpc: bool,
    precise: int | None,
) -> Section:
    text = STATE.format(notice=notice, extra=extra, sensitive=sensitive, child=child, additional=additional)
    return Section(number, name, {1: _layout("core", text)}, (GPC,) if gpc else (), precise)


def _state_2025(number: int, name: str, child: str, subsection: Layout, precise: int | None) -> Section:
    core, *drafts = (_layout("core", text.format(child=child)) for text in (STATE_2025, *DRAFTS_2025))
    return Section(number, name, {1: core}, (subsection,), precise, with_header=True, drafts=(*drafts,))


SECTIONS: tuple[Section, ...] = (
    Section(
        7, "usnat",
        {2: _layout("core", NATIONAL.format(sensitive=16, child=3)),
         1: _layout("core", NATIONAL.format(sensitive=12, child=2))},
        (GPC,), precise=7,
    ),
    Section(8, "usca", {1: _layout("core", CALIFORNIA)}, (GPC,), precise=2),
    *(_state(*row) for row in STATES),
    _state_2025(24, "usmd", "", GPC, None),
    _state_2025(25, "usin", CHILD, SENSITIVE, 7),
    _state_2025(26, "usky", CHILD, SENSITIVE, 7),
    _state_2025(27, "usri", CHILD, SENSITIVE, 7),
)  # fmt: skip
BY_ID: Mapping[int, Section] = {section.id: section for section in SECTIONS}
BY_NAME: Mapping[str, Section] = {section.name: section for section in SECTIONS}

# What else has an id: strings of other formats. 3 is the header itself, 4 is reserved (signal integrity).
TCF_EU_1, TCF_EU_2, TCF_CA_1, US_PRIVACY = 1, 2, 5, 6
OTHER_NAMES: Mapping[int, str] = {TCF_EU_1: "tcfeuv1", TCF_EU_2: "tcfeuv2", TCF_CA_1: "tcfcav1", US_PRIVACY: "uspv1"}
NAMES: Mapping[int, str] = {**OTHER_NAMES, **{section.id: section.name for section in SECTIONS}}
IDS: Mapping[str, int] = {name: number for number, name in NAMES.items()}
