"""What a person said in the DAA's tools: the string that their browser extension sends with every request, and what
TokenChoices and AppChoices send to a participant. `signals.hear` and `web.pages.adchoices` call it.

The string (DAA AdChoices Signal 1.16 of 2025-09-24) says one thing of all participants, or one thing each of some. Of
those only our own counts; what a person wants of others, and of interest categories, stands in `sections` and decides
nothing.

TokenChoices and AppChoices name identifiers, hashed or not, as parameters of a call (the DAA's implementation
instructions). Here they become kinds and values; whether a value is one is for whoever makes keys of it. Category
wishes cannot be followed one by one, so a wish to limit any is an opt-out of all, as the instructions allow. Nothing
here is ever an opt-in.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.signals import bits
from gateway.signals.bits import Bits, Unreadable
from gateway.signals.heard import Choices, Reading, stated
from gateway.terms import AD_CHOICE_PURPOSES, Malformed, Purpose, Stated

HEADER = b"x-adchoices"  # Chrome and Firefox
SAFARI_HEADER = b"cookie2"  # Safari lets an extension set only this one; once RFC 2965's, which browsers never sent
HEADERS = (HEADER, SAFARI_HEADER)
PARAMETER = "adchoices_signal"  # in addresses; OpenRTB has it as regs.ext.adchoices
SECTION = "adchoices"

VERSION = 1
NUMBERS = (("Version", 6), ("Timestamp", 32), ("GlobalPreference", 4))
LISTS = ("Participants", "Categories")
COUNT_BITS = ID_BITS = 12
STATUS_BITS = 4
# Appendices 3 and 4. Zero is the opt-out here, where most other formats have it the other way round.
STATED = {0: Stated.OPTED_OUT, 1: Stated.ALLOWED, 2: Stated.UNKNOWN}
STRICTEST_FIRST = (Stated.OPTED_OUT, Stated.UNKNOWN, Stated.ALLOWED)
LEGIBLE = re.compile("[A-Za-z0-9_-]*")


def read_adchoices(
    text: str, *, participant: int = 0, purposes: frozenset[Purpose] = frozenset(AD_CHOICE_PURPOSES)
) -> Reading:
    """What a signal says of `purposes`: 0 of all participants is an opt-out, 1 allowed, 2 unknown.

    `participant` is our own DAA number, 0 without one; the status of a record with it decides where it is stricter.
    Errors: alphabet, size, truncated, version, value (a status over 2), trailing. What stands before the first letter
    that is not base64url is still read, for it may be an opt-out. Zeros at the end are padding (PMC 2.0
    specification: "should be ignored").
    """
    string = text.strip()
    lead = LEGIBLE.match(string, 0, bits.MAX_CHARACTERS)
    assert lead is not None  # the pattern matches nothing at all, too
    error = "size" if len(string) > bits.MAX_CHARACTERS else "alphabet" if lead.end() < len(string) else ""
    reader = Bits(bits.bits_of(lead[0]))
    fields: dict[str, Any] = {}
    try:
        _take(reader, fields)
    except Unreadable as unreadable:
        error = error or unreadable.code
    else:
        error = error or _fault(reader, fields)
    return Reading(_choices(fields, participant, purposes), {SECTION: fields} if fields else {}, error=error)


def _take(reader: Bits, fields: dict[str, Any]) -> None:
    """Field by field, so that what came before a broken place is there."""
    for name, width in NUMBERS:
        fields[name] = reader.number(width)
    for name in LISTS:
        records: list[list[int]] = []
        fields[name] = records
        count = reader.number(COUNT_BITS)
        records.extend([reader.number(ID_BITS), reader.number(STATUS_BITS)] for _ in range(count))


def _fault(reader: Bits, fields: Mapping[str, Any]) -> str:
    if fields["Version"] != VERSION:
        return "version"
    statuses = {status for name in LISTS for _, status in fields[name]}
    if not {fields["GlobalPreference"], *statuses} <= STATED.keys():
        return "value"
    return "" if reader.rest_is_zero() else "trailing"


def _choices(fields: Mapping[str, Any], participant: int, purposes: frozenset[Purpose]) -> Choices:
    own = [status for number, status in fields.get("Participants", ()) if participant and number == participant]
    words = [STATED.get(status, Stated.UNKNOWN) for status in (fields.get("GlobalPreference"), *own)]
    word = min(words, key=STRICTEST_FIRST.index)
    return stated(
        opted_out=purposes if word is Stated.OPTED_OUT else (), allowed=purposes if word is Stated.ALLOWED else ()
    )


def limited_categories(reading: Reading) -> list[int]:
    """The numbers of the interest categories that the person does not want to be targeted by."""
    fields: Mapping[str, Any] = reading.sections.get(SECTION, {})
    return [number for number, preference in fields.get("Categories", ()) if preference == 0]


Kind = tuple[str, str]  # the kind, and the source that an eid is of
PARAMETERS: Mapping[str, Mapping[str, Kind]] = {
    "email": {
        "sha256": ("email_sha256", ""),
        "sha1": ("email_sha1", ""),
        "md5": ("email_md5", ""),
        "uid2": ("eid", "uidapi.com"),
    },
    "phone": {"sha256": ("phone_sha256", ""), "uid2": ("eid", "uidapi.com")},
}
# AppChoices fills %tokens into an address of the participant's own; ours names each parameter as its token. What it
# can send besides (SHA-512, MD5 or SHA-1 of a phone or an ad id, MAC addresses) is no kind that this gateway keeps.
APP_PARAMETERS: Mapping[str, Mapping[str, Kind]] = {
    "ios": {"adid": ("idfa", ""), "o-udid": ("udid", "")},
    "android": {"adid": ("gaid", "")},
}
OPT_OUTS = frozenset({"", "opt-out", "optout", "revoke"})  # "set to opt-out by default"; an opt-out revokes consent
PREFERENCES = "prefstring"
NO_VALUE = frozenset({"", "null", "none", "undefined"})
CATEGORIES = re.compile("[01-]+")  # one letter a category: 0 limit, 1 allow, - no preference


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """One identifier of a request and what was asked for it. `source` is an eid's."""

    kind: str
    value: str = field(repr=False)
    opted_out: bool
    source: str = ""


def read_token(parameters: Mapping[str, object], *, participant: int = 0) -> list[TokenChoice] | Malformed:
    """A TokenChoices request: its query and, of a POST, the members of its JSON body, as one mapping.

    `idt` is email or phone, hashed in lower case and as ten digits. `pref` may be a category string or an AdChoices
    signal, in which `participant` is our own number. Every digest is a choice of its own, for who is known by one of
    them may be known by no other. Malformed: action, identifier_type, preference, identifier (none that is kept).
    """
    asked = {name.lower(): _text(value) for name, value in parameters.items()}
    action, kinds = asked.get("action", "").lower(), PARAMETERS.get(asked.get("idt", "").lower())
    if action not in {*OPT_OUTS, PREFERENCES}:
        return Malformed("token_choices", "action")
    if kinds is None:
        return Malformed("token_choices", "identifier_type")
    opted_out = action in OPT_OUTS or _limits(asked.get("pref", ""), participant)
    if opted_out is None:
        return Malformed("token_choices", "preference")
    return _token_choices(asked, kinds, opted_out) or Malformed("token_choices", "identifier")


def read_app(parameters: Mapping[str, object]) -> list[TokenChoice] | Malformed:
    """An AppChoices call, which is always an opt-out. `os` is ios or android: both send `adid`, and the address that
    the participant hands in for each system says which it is. Malformed: system, identifier.
    """
    asked = {name.lower(): _text(value) for name, value in parameters.items()}
    kinds = APP_PARAMETERS.get(asked.get("os", "").lower())
    if kinds is None:
        return Malformed("app_choices", "system")
    return _token_choices(asked, kinds, opted_out=True) or Malformed("app_choices", "identifier")


def _token_choices(asked: Mapping[str, str], kinds: Mapping[str, Kind], opted_out: bool) -> list[TokenChoice]:
    return [
        TokenChoice(kind, asked[name], opted_out, source)
        for name, (kind, source) in kinds.items()
        if asked.get(name) and not asked[name].startswith("%")  # a token that the tool did not fill in
    ]


def _limits(preference: str, participant: int) -> bool | None:
    """Whether something is limited; None where the text cannot be read."""
    if CATEGORIES.fullmatch(preference):
        return "0" in preference
    if not preference:
        return False
    reading = read_adchoices(preference, participant=participant)
    if reading.opted_out or limited_categories(reading):
        return True
    return False if reading.ok else None


def _text(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    return "" if text.lower() in NO_VALUE else text
