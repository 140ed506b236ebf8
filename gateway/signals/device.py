"""What a phone says: its settings (ATT, limit-ad-tracking, Do Not Track) and the keys under which apps keep signals.
`signals.hear` calls it for what an app sends.

Each setting denies sale, sharing and targeted ads in the answer at hand. Only what somebody has set is kept as the
device's state (R26): ATT "denied" and limit-ad-tracking; "not asked yet", "restricted" and DNT hold while they are
said. None is consent, and `DNT` is never read as GPC (L12).

`IABGPP_*`, `IABTCF_*`, `IABUSPrivacy_String` and `gad_rdp` lie in NSUserDefaults on iOS and in the default
SharedPreferences on Android (the IAB's in-app specifications of each). They are read into the members of a call's
`signals`; `choice/downstream.py` makes the ones that an app writes back. A key of a single field is `IABGPP_`, its
section's prefix and the field's name (GPP's CMP API specification, "How is GPP used in-app?"), a list the ids joined by
`_`. The TCF's section names the consents otherwise than that page and keeps their bits, so either name is read in
either form.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum

from gateway.terms import Malformed


class Limit(Enum):
    """What one flag of a device says."""

    NOTHING = "nothing"
    NOW = "now"  # limits while it is said
    SET = "set"  # limits, and somebody set it so
    LIFTED = "lifted"  # says that it no longer limits


# ATTrackingManager.AuthorizationStatus: 0 not asked, 1 restricted, 2 denied, 3 authorised
ATT = {0: Limit.NOW, 1: Limit.NOW, 2: Limit.SET, 3: Limit.LIFTED}
LMT = {0: Limit.LIFTED, 1: Limit.SET}
DNT = {0: Limit.NOTHING, 1: Limit.NOW}
FLAGS = {"att": ATT, "lmt": LMT, "dnt": DNT}


def limits(name: str, value: object) -> Limit | Malformed:
    """What the flag `att`, `lmt` or `dnt` says; numbers may come as text."""
    if value is None:
        return Limit.NOTHING
    number = _number(value)
    found = FLAGS[name].get(number) if number is not None else None
    return found or Malformed(name, "value")


def _number(value: object) -> int | None:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and value.strip() in {"0", "1", "2", "3"}:
        return int(value)
    return None


GPP_VERSION, GPP_STRING = "IABGPP_HDR_Version", "IABGPP_HDR_GppString"
GPP_SECTIONS, GPP_APPLICABLE = "IABGPP_HDR_Sections", "IABGPP_GppSID"
US_PRIVACY, TC_STRING = "IABUSPrivacy_String", "IABTCF_TCString"
GDPR_APPLIES, ADDITIONAL_CONSENT = "IABTCF_gdprApplies", "IABTCF_AddtlConsent"
GDPR_KEYS = (GDPR_APPLIES, "IABGPP_TCFEU2_gdprApplies")
PURPOSES = ("IABTCF_PurposeConsents", "IABGPP_TCFEU2_PurposesConsent", "IABGPP_TCFEU2_PurposeConsents")
NEEDED = frozenset({1, 3, 4})  # storage, profiles for advertising, advertising chosen by them
IDS = re.compile("[0-9]{1,2}(_[0-9]{1,2})*", re.ASCII)
USP_OPT_OUT = "IABGPP_USP1_OptOut"
US_OPT_OUT = re.compile(  # of a state that has no section yet, too
    "IABGPP_US(NAT|[A-Z]{2})_(SaleOptOut|SharingOptOut|TargetedAdvertisingOptOut|Gpc)", re.ASCII
)
WORDS = {"0": False, "1": True, "2": False, "false": False, "true": True}  # 2 did not opt out, 0 does not apply
USP_WORDS = WORDS | {"y": True, "n": False, "-": False}
SECTION = re.compile("IABGPP_([1-9][0-9]{0,2})_String", re.ASCII)
RESTRICTED = "gad_rdp"  # Google's restricted data processing
RESTRICTED_WORDS = frozenset({"", "0", "1", "true", "false", "none"})
APPLIES = frozenset({"", "0", "1"})
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


def read_stored_keys(stored: Mapping[str, object]) -> dict[str, object]:
    """The stored keys as members of `signals`; beside them `rdp`, true where restricted data processing was asked for,
    `sections`, the strings of single GPP sections by id, and `refused`, true where a key of one field says no. A key
    that holds nothing says nothing.
    """
    found = {member: stored[key] for key, member in MEMBERS.items() if stored.get(key) not in (None, "")}
    strings = {
        int(match[1]): value
        for key, value in stored.items()
        if (match := SECTION.fullmatch(str(key))) and isinstance(value, str) and value
    }
    if strings:
        found["sections"] = strings
    if any(_fields_say(stored)) or _refuses(stored):
        found["refused"] = True
    if str(stored.get(RESTRICTED, "")).strip().lower() in {"1", "true"}:
        found["rdp"] = True
    return found


def malformed(stored: Mapping[str, object]) -> bool:
    """Whether a key that we read holds what it never holds: the opt-out in it may be lost."""
    strings = [value for key, value in stored.items() if SECTION.fullmatch(str(key)) and value is not None]
    odd = _word(stored.get(RESTRICTED)) not in RESTRICTED_WORDS or _word(stored.get(GDPR_KEYS[1])) not in APPLIES
    unread = None in _fields_say(stored) or any(_consented(text) is None for text in _consents(stored))
    return odd or unread or not all(isinstance(value, str) for value in strings)


def _word(value: object) -> str:
    return "" if value is None else str(value).strip().lower()


def _fields_say(stored: Mapping[str, object]) -> Iterator[bool | None]:
    """Of each US key of a single field whether it says no; None: it holds what it never holds."""
    for key, value in stored.items():
        words = USP_WORDS if key == USP_OPT_OUT else WORDS if US_OPT_OUT.fullmatch(str(key)) else None
        if words and (word := _word(value)):
            yield words.get(word)


def _consents(stored: Mapping[str, object]) -> list[str]:
    said = {key: stored.get(key) for key in PURPOSES}
    if not isinstance(said[PURPOSES[0]], str):  # the TCF's own is a text of bits: a number there is nobody's word
        del said[PURPOSES[0]]
    return [word for value in said.values() if (word := _word(value))]


def _consented(text: str) -> frozenset[int] | None:
    """Purposes by number: those with a one in their place, or those that are listed. None: neither form."""
    if not text.strip("01"):
        return frozenset(place for place, bit in enumerate(text, 1) if bit == "1")
    return frozenset(map(int, text.split("_"))) if IDS.fullmatch(text) else None


def _refuses(stored: Mapping[str, object]) -> bool:
    """Whether consents by purpose are without those that advertising needs, where their law applies."""
    said = [word for key in GDPR_KEYS if (word := _word(stored.get(key)))]
    if said and set(said) == {"0"}:
        return False
    return any(not (_consented(text) or frozenset()) >= NEEDED for text in _consents(stored))


def write_gpp(text: str, sections: Mapping[int, str], applicable: list[int]) -> dict[str, str]:
    """The keys of a GPP string: whole, by section, and which ids apply, joined by `_`."""
    return {
        GPP_VERSION: "1",
        GPP_STRING: text,
        GPP_SECTIONS: "_".join(map(str, sections)),
        GPP_APPLICABLE: "_".join(map(str, applicable)),
        **{section_key(number): string for number, string in sections.items()},
    }
