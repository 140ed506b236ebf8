"""What the DAA's TokenChoices and AppChoices tools send to a participant: whose identifier, and what was asked.

Both name identifiers that a person typed or a device has, hashed or not, as parameters of a call (DAA TokenChoices and
AppChoices implementation instructions; signals.md 7.4). Here they become kinds and values in api.md's words; whether a
value is one is for whoever makes keys of it. Category wishes cannot be followed one by one, so a wish to limit any is
an opt-out of all, as the instructions allow. Nothing here is ever an opt-in.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.signals import adchoices
from gateway.terms import Malformed

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
    return _choices(asked, kinds, opted_out) or Malformed("token_choices", "identifier")


def read_app(parameters: Mapping[str, object]) -> list[TokenChoice] | Malformed:
    """An AppChoices call, which is always an opt-out. `os` is ios or android: both send `adid`, and the address that
    the participant hands in for each system says which it is. Malformed: system, identifier.
    """
    asked = {name.lower(): _text(value) for name, value in parameters.items()}
    kinds = APP_PARAMETERS.get(asked.get("os", "").lower())
    if kinds is None:
        return Malformed("app_choices", "system")
    return _choices(asked, kinds, opted_out=True) or Malformed("app_choices", "identifier")


def _choices(asked: Mapping[str, str], kinds: Mapping[str, Kind], opted_out: bool) -> list[TokenChoice]:
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
    reading = adchoices.read(preference, participant=participant)
    if reading.opted_out or adchoices.limited_categories(reading):
        return True
    return False if reading.ok else None


def _text(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    return "" if text.lower() in NO_VALUE else text
