"""Cookies that consent tools leave on a first-party site: what each shows, and whether a person did it.

First tool: OneTrust's `OptanonConsent` (signals.md section 6). Groups are named by the site, so the mapping is an
argument. A tool's default is kept apart from an act: a default denies in this answer and is never remembered (R25).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from gateway.signals import cookies
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
MAX_FIELDS = 256  # a real cookie has about a dozen keys


@dataclass(frozen=True, slots=True)
class ToolState:
    """`denied`: purposes off in this request. `act`: a person's doing, to be remembered; else perhaps a default."""

    denied: frozenset[Purpose]
    act: bool


def read_onetrust(value: str, groups: Mapping[str, tuple[Purpose, ...]] = ONETRUST_GROUPS) -> ToolState | Malformed:
    """One `OptanonConsent` value: a query string whose inner values may or may not be percent-encoded again.
    Of equal keys any opt-out wins.
    """
    text = cookies.unquoted(value)
    text = text if "=" in text else unquote(text)
    pairs = [pair.partition("=") for pair in text.split("&", MAX_FIELDS)]
    gpc = any(name == "isGpcEnabled" and content == "1" for name, _, content in pairs)
    stated = [content for name, _, content in pairs if name == "groups"]
    if not stated and "isGpcEnabled" not in {name for name, _, _ in pairs}:
        return Malformed("cmp_cookie", "format")
    off = {group for content in stated for group in _groups_off(content)}
    denied = {purpose for group in off for purpose in groups.get(group, ())} | (set(SIGNAL_PURPOSES) if gpc else set())
    return ToolState(frozenset(denied), act=gpc or bool(off & DO_NOT_SELL_GROUPS))


def _groups_off(text: str) -> Iterable[str]:
    for pair in unquote(unquote(text)).split(","):
        name, _, state = pair.strip().partition(":")
        if state.strip() == "0":
            yield name.strip()
