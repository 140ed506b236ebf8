"""What a US section refuses beside its opt-outs: for a notice not given, a known child, sensitive data, the MSPA.

Owns the table of what Prebid Server (Java) and Prebid.js both deny (enforcement.md 1.3), in the terms of each state's
own section (1.4); the later sections, which both pass by, are read the same way. Never reads a string, and never says
that a person chose: these denials hold in the answer to this request and are written nowhere.
"""

from collections.abc import Collection, Iterable, Mapping

from gateway.signals.gpp.layouts import BY_ID, BY_NAME, Section
from gateway.signals.reading import Fields, Reading
from gateway.terms import SIGNAL_PURPOSES, Purpose

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
# biometric data, papers, accounts, contents of messages, victims of crime, transgender (signals.md 1.6).
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
    refuses sale, sharing and targeted ads, as Prebid.js has it (enforcement.md 1.3).
    """
    if reading.ok and any(_is_missing(number, reading) for number in section_ids or ()):
        return FULL
    refused = NOTHING
    for name, fields in reading.sections.items():
        section = BY_NAME.get(name)
        if section is not None and (section_ids is None or section.id in section_ids):
            refused |= _refused(section, fields)
    return refused


def _is_missing(number: int, reading: Reading) -> bool:
    return number in BY_ID and BY_ID[number].name not in reading.sections


def _refused(section: Section, fields: Fields) -> frozenset[Purpose]:
    if any(fields.get(name) == value for name, value in ENDS_ALL.items()) or _refuses_for_a_child(section, fields):
        return FULL | PRECISE
    untold = _was_not_told(fields)
    return (FULL if untold else NOTHING) | _refused_of_sensitive(section, fields)


def _refuses_for_a_child(section: Section, fields: Fields) -> bool:
    """In a state's section any word about a known child counts as no consent, as in both products' normalisation."""
    said = _values(fields, "KnownChildSensitiveDataConsents")
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
    items = dict(enumerate(_values(fields, "SensitiveDataProcessing")))
    precise = items.pop(section.precise, None) if section.precise is not None else None
    untold = NOT_APPLICABLE in notices
    others = untold and CONSENTED in items.values()
    refused = FULL if others or _refuses_an_item(section, items) else NOTHING
    return refused | (PRECISE if untold and precise == CONSENTED else NOTHING)


def _refuses_an_item(section: Section, items: Mapping[int, object]) -> bool:
    never = NEVER_IN_SCOPE.get(section.name, GENETIC_AND_BIOMETRIC)
    return any(value == REFUSED or (value == CONSENTED and index + 1 in never) for index, value in items.items())


def _values(fields: Fields, name: str) -> Iterable[object]:
    """A field's values, whether the section has one or a list of them."""
    found = fields.get(name, ())
    return found if isinstance(found, list | tuple) else [found]
