"""The keys that apps keep signals under on a phone: `IABGPP_*`, `IABTCF_*`, `IABUSPrivacy_String`, `gad_rdp`.

NSUserDefaults on iOS, the default SharedPreferences on Android (signals.md 1.9, 3.3, 8). Read into the members of a
call's `signals`; `choice/downstream` makes the ones that an app writes back. No per-field key of a US section has a
specification, so their strings are what counts.
"""

from collections.abc import Mapping

GPP_VERSION, GPP_STRING = "IABGPP_HDR_Version", "IABGPP_HDR_GppString"
GPP_SECTIONS, GPP_APPLICABLE = "IABGPP_HDR_Sections", "IABGPP_GppSID"
US_PRIVACY, TC_STRING = "IABUSPrivacy_String", "IABTCF_TCString"
GDPR_APPLIES, ADDITIONAL_CONSENT = "IABTCF_gdprApplies", "IABTCF_AddtlConsent"
RESTRICTED = "gad_rdp"  # Google's restricted data processing
MEMBERS: Mapping[str, str] = {
    GPP_STRING: "gpp",
    GPP_APPLICABLE: "gpp_sid",
    US_PRIVACY: "us_privacy",
    TC_STRING: "tc",
    GDPR_APPLIES: "gdpr",
    ADDITIONAL_CONSENT: "ac",
}


def section_key(section_id: int) -> str:
    """`IABGPP_7_String`: where one section's string lies."""
    return f"IABGPP_{section_id}_String"


def read(stored: Mapping[str, object]) -> dict[str, object]:
    """The stored keys as members of `signals`; `rdp` is true where restricted data processing was asked for. A key
    that holds nothing says nothing.
    """
    found = {member: stored[key] for key, member in MEMBERS.items() if stored.get(key) not in (None, "")}
    if str(stored.get(RESTRICTED, "")).strip().lower() in {"1", "true"}:
        found["rdp"] = True
    return found


def write_gpp(text: str, sections: Mapping[int, str], applicable: list[int]) -> dict[str, str]:
    """The keys of a GPP string: whole, by section, and which ids apply, joined by `_`."""
    return {
        GPP_VERSION: "1",
        GPP_STRING: text,
        GPP_SECTIONS: "_".join(map(str, sections)),
        GPP_APPLICABLE: "_".join(map(str, applicable)),
        **{section_key(number): string for number, string in sections.items()},
    }
