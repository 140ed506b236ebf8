"""TC strings: TCF v2 (GPP section 2, `euconsent-v2`), TCF Canada v1 (section 5), TCF v1.1 (section 1, read only).

The door of the room: what reads and writes whole strings, and what asks their fields. Never raises on hostile input;
a string that is not valid never says `allowed`.
"""

from collections.abc import Collection

from gateway.signals.reading import Fields, Reading
from gateway.signals.tcf import meaning, segments
from gateway.signals.tcf.advertisers import advertisers
from gateway.signals.tcf.meaning import (
    PRECISE_GEOLOCATION,
    answered,
    in_force,
    purposes_consented,
    special_features_consented,
    vendor_may,
    vendors_consented,
)
from gateway.terms import SIGNAL_PURPOSES

PRECISE_SECTIONS = frozenset({"tcfeuv2", "tcfcav1"})
__all__ = [
    "PRECISE_GEOLOCATION",
    "advertisers",
    "answered",
    "in_force",
    "precise_refused",
    "purposes_consented",
    "read_ca",
    "read_eu",
    "read_v1",
    "special_features_consented",
    "vendor_may",
    "vendors_consented",
    "write_ca",
    "write_eu",
]


def read_eu(text: str) -> Reading:
    """A TCF v2.x string, bare or as GPP section 2: sections `{"tcfeuv2": fields}`. Errors: `size`, `alphabet`,
    `truncated`, `version`, `letters`, `range`, `restriction`, `padding`, `segment`. (signals.md 3.1, 3.2)
    """
    return _read(text, segments.EU)


def read_ca(text: str) -> Reading:
    """A TCF Canada v1 string, GPP section 5, in the specification's coding or the earlier one: `{"tcfcav1": fields}`.
    Errors as of `read_eu`, and `fibonacci`.
    """
    return _read(text, segments.CA)


def read_v1(text: str) -> Reading:
    """A TCF v1.1 string, GPP section 1: `{"tcfeuv1": fields}`. `VendorConsents` holds the vendors consented to,
    whether the string lists them or the others. TCF v1 ended in 2020: no choice is ever allowed.
    """
    return _read(text, segments.V1)


def precise_refused(reading: Reading) -> bool:
    """Whether an answered string leaves precise geolocation out (special feature 1): it can only tighten."""
    known = [fields for name, fields in reading.sections.items() if name in PRECISE_SECTIONS]
    return any(answered(fields) and PRECISE_GEOLOCATION not in special_features_consented(fields) for fields in known)


def write_eu(fields: Fields, absent: Collection[str] = ()) -> str:
    """The TCF v2.x string of the fields that `read_eu` shows: core, disclosed vendors, publisher, and where there
    are any allowed vendors, which 2.2 removed; a segment named in `absent` is left out. Raises `ValueError` for a field
    that is missing, unknown or does not fit.
    """
    return segments.encode(fields, segments.EU, absent)


def write_ca(fields: Fields, absent: Collection[str] = ()) -> str:
    """The TCF Canada v1 string of the fields that `read_ca` shows, in the specification's coding: core, publisher and,
    where there are any, disclosed vendors. Raises `ValueError` as `write_eu` does.
    """
    return segments.encode(fields, segments.CA, absent)


def _read(text: str, form: segments.Form) -> Reading:
    decoded = segments.decode(text, form)
    says = meaning.refusal if decoded.error else meaning.choices
    sections = {form.name: decoded.fields} if decoded.core_is_exact else {}
    refused = not decoded.error and meaning.refused(decoded.fields)
    unanswered = frozenset() if refused else frozenset(SIGNAL_PURPOSES)
    return Reading(says(decoded.fields), sections, decoded.absent, decoded.error, unanswered)
