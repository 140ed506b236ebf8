"""Shopify: `_tracking_consent` in its three forms, and `_cmp_a`.

Each holds two things: what the visitor chose, and what the shop applies after its regional defaults. Only the first is
an act. The second denies where it is off, and never shows an allow: the tool's own reader fails open (signals.md
section 6).
"""

import re
from collections.abc import Iterator, Mapping

from gateway.signals.cmp_cookies.cookie import Cookie, States
from gateway.signals.cmp_cookies.state import By, ToolState
from gateway.signals.cmp_cookies.values import json_object, plain, record, truths

# Version 3: `3<choice>.<effective>_<region>_...`; a capital accepts, a small letter declines.
COMPACT = re.compile(r"3([AMPSamps]*)\.([AMPSamps]*)(?:_|$)")


def read(cookie: Cookie) -> Iterator[ToolState]:
    """The choice, and apart from it what is off without one. Raises `ValueError` for another form."""
    compact = COMPACT.match(plain(cookie.value))
    chosen, effective = _letters(*compact.groups()) if compact else _members(json_object(cookie.value))
    yield cookie.of(chosen, By.PERSON)
    unchosen = cookie.words(effective, on=False) - cookie.words(chosen, on=False)
    if unchosen:
        yield cookie.shows(unchosen, by=By.TOOL)


def _letters(choice: str, effective: str) -> tuple[States, States]:
    """Sorted, a small letter comes after its capital: of both the refusal holds."""
    chosen = {letter.lower(): letter.isupper() for letter in sorted(choice)}
    return chosen, {letter: letter.upper() in effective for letter in "ms"}


def _members(found: Mapping[str, object]) -> tuple[States, States]:
    """Version 2.1 has `con.CMP` and `purposes`; version 2.0 one value in `con` for each regime, and in `lim` the
    regimes that forbid without a yes.
    """
    if not found.keys() & {"con", "purposes"}:
        raise ValueError("neither choice nor purposes")
    choice = record(found.get("con"))
    chosen = truths([*choice.items(), *record(choice.get("CMP")).items()])
    regime, limits = found.get("reg"), found.get("lim")
    limited = isinstance(regime, str) and isinstance(limits, list) and regime in limits and regime not in chosen
    forbidden = {str(regime): False} if limited else {}
    return chosen, truths(record(found.get("purposes")).items()) | forbidden
