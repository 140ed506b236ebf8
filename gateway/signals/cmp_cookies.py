"""Cookies that consent tools leave on a first-party site: what each shows, and whether a person did it.

First tool: OneTrust's `OptanonConsent` (signals.md section 6). Groups are named by the site, so the mapping is an
argument. A tool's default is kept apart from an act: a default denies in this answer and is never remembered (R25).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Malformed, Purpose

ONETRUST = "OptanonConsent"
# OneTrust's own group ids: SPD_BG sale of personal data, OSSTA_BG sale, sharing and targeted ads; C0004 and the
# older numeric 4 the ads group.
ONETRUST_GROUPS: Mapping[str, tuple[Purpose, ...]] = {
    "SPD_BG": SIGNAL_PURPOSES,
    "OSSTA_BG": SIGNAL_PURPOSES,
    "C0004": AD_CHOICE_PURPOSES,
    "4": AD_CHOICE_PURPOSES,
}
DO_NOT_SELL_GROUPS = frozenset({"SPD_BG", "OSSTA_BG"})
FIELDS = 64  # keys a real cookie has: about a dozen


@dataclass(frozen=True, slots=True)
class ToolState:
    """`denied`: purposes off in this request. `act`: a person's doing, to be remembered; else perhaps a default."""

    denied: frozenset[Purpose]
    act: bool


def read_onetrust(value: str, groups: Mapping[str, tuple[Purpose, ...]] = ONETRUST_GROUPS) -> ToolState | Malformed:
    """One `OptanonConsent` value: a query string whose inner values may or may not be percent-encoded again."""
    try:
        fields = dict(parse_qsl(value, keep_blank_values=True, max_num_fields=FIELDS))
    except ValueError:
        return Malformed("cmp_cookie", "fields")
    if "isGpcEnabled" not in fields and "groups" not in fields:
        return Malformed("cmp_cookie", "format")
    off = set(_groups_off(fields.get("groups", "")))
    denied = {purpose for group in off for purpose in groups.get(group, ())}
    gpc = fields.get("isGpcEnabled") == "1"
    if gpc:
        denied |= set(SIGNAL_PURPOSES)
    return ToolState(frozenset(denied), act=gpc or bool(off & DO_NOT_SELL_GROUPS))


def _groups_off(text: str) -> Iterable[str]:
    for pair in unquote(text).split(","):
        name, _, state = pair.strip().partition(":")
        if state.strip() == "0":
            yield name
