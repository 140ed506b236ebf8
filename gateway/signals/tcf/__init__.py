"""TC strings: TCF v2 (GPP section 2, `euconsent-v2`), TCF Canada v1 (section 5), TCF v1.1 (section 1, read only); read
and written for `signals.hear`, `gpp.string` and the command line.

Never raises on hostile input; a string that is not valid never says `allowed`. Whom a string lets advertise is answered
of a European one alone, for only its vendors have numbers in IAB Europe's list.
"""

from collections.abc import Collection
from typing import cast

from gateway.signals.heard import Fields, Reading
from gateway.signals.tcf import meaning, tc_string
from gateway.signals.tcf.meaning import (
    PRECISE_GEOLOCATION,
    REQUIRE_CONSENT,
    answered,
    in_force,
    purposes_consented,
    special_features_consented,
    vendor_may,
    vendors_consented,
)
from gateway.signals.tcf.vendors import Restriction
from gateway.terms import SIGNAL_PURPOSES, Stated

SECTION = "tcfeuv2"
# Store or read on the device, make profiles for advertising, choose advertising by them: consent is the only ground for
# each (TCF 2.2 ended legitimate interest for 3 and 4), so whatever else a publisher requires bars the vendor.
NEEDED = frozenset({1, 3, 4})


def advertisers(reading: Reading) -> frozenset[int]:
    """The vendors with consent to each of purposes 1, 3 and 4 and without a restriction on them; nobody where the
    string, or one beside it in the same GPP string, does not allow sale, sharing and targeted ads.
    """
    fields = reading.sections.get(SECTION)
    if fields is None or not all(word is Stated.ALLOWED for word in reading.choices.values()):
        return frozenset()
    restrictions = cast("list[Restriction]", fields["PublisherRestrictions"])
    barred = [each["ids"] for each in restrictions if each["key"] in NEEDED and each["type"] != REQUIRE_CONSENT]
    return vendors_consented(fields).difference(*barred)


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
    `truncated`, `version`, `letters`, `range`, `restriction`, `padding`, `segment`.
    """
    return _read(text, tc_string.EU)


def read_ca(text: str) -> Reading:
    """A TCF Canada v1 string, GPP section 5, in the specification's coding or the earlier one: `{"tcfcav1": fields}`.
    Errors as of `read_eu`, and `fibonacci`.
    """
    return _read(text, tc_string.CA)


def read_v1(text: str) -> Reading:
    """A TCF v1.1 string, GPP section 1: `{"tcfeuv1": fields}`. `VendorConsents` holds the vendors consented to,
    whether the string lists them or the others. TCF v1 ended in 2020: no choice is ever allowed.
    """
    return _read(text, tc_string.V1)


def precise_refused(reading: Reading) -> bool:
    """Whether an answered string leaves precise geolocation out (special feature 1): it can only tighten."""
    known = [fields for name, fields in reading.sections.items() if name in PRECISE_SECTIONS]
    return any(answered(fields) and PRECISE_GEOLOCATION not in special_features_consented(fields) for fields in known)


def write_eu(fields: Fields, absent: Collection[str] = ()) -> str:
    """The TCF v2.x string of the fields that `read_eu` shows: core, disclosed vendors, publisher, and where there
    are any allowed vendors, which 2.2 removed; a segment named in `absent` is left out. Raises `ValueError` for a field
    that is missing, unknown or does not fit.
    """
    return tc_string.encode(fields, tc_string.EU, absent)


def write_ca(fields: Fields, absent: Collection[str] = ()) -> str:
    """The TCF Canada v1 string of the fields that `read_ca` shows, in the specification's coding: core, publisher and,
    where there are any, disclosed vendors. Raises `ValueError` as `write_eu` does.
    """
    return tc_string.encode(fields, tc_string.CA, absent)


def _read(text: str, form: tc_string.TcForm) -> Reading:
    decoded = tc_string.decode(text, form)
    says = meaning.refusal if decoded.error else meaning.choices
    sections = {form.name: decoded.fields} if decoded.core_is_exact else {}
    refused = not decoded.error and meaning.refused(decoded.fields)
    unanswered = frozenset() if refused else frozenset(SIGNAL_PURPOSES)
    return Reading(says(decoded.fields), sections, decoded.absent, decoded.error, unanswered)
