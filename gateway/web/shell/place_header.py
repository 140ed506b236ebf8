"""Where a visitor is by the word of the operator's own proxy or CDN (`[places] header`). The service asks it for every
visitor, in place of looking an address up (R13).

Believed from whoever is next to us and is one of `[listen] trusted_proxies`, and from nobody else. What names no
country that there is, is no place: nobody knows where, which is the strictest of all.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from starlette.types import Scope

from gateway.choice.place import US, is_assigned, is_state
from gateway.signals.heard import OWS
from gateway.web.shell.peer import Peers

NO_REGION = frozenset({"", "?", "NO REGION"})  # the latter two are Fastly's
PART = re.compile(r"[A-Z0-9]{1,3}")


def place_by_header(names: Sequence[str], peers: Peers) -> Callable[[Scope], str | None]:
    """Reads one header, or the country's and the region's."""
    wanted = [name.lower().encode() for name in names]

    def place(scope: Scope) -> str | None:
        if not peers.trusts_nearest(scope):
            return None
        told = [{value.strip(OWS) for name, value in scope["headers"] if name == each} for each in wanted]
        if any(len(values) > 1 for values in told):  # one of them is not our proxy's
            return None
        return place_said(*(next(iter(values), b"").decode("latin-1") for values in told))

    return place


@lru_cache(maxsize=1024)
def place_said(stated: str, region: str = "") -> str | None:
    """The place (`US-CA`, `DE`) of what a proxy says: `US` and `CA`; `US-CA`; Unicode's `USCA` beside `US` or behind
    it, as in `US,USCA`. None: it says none, or several. A state that there is not leaves `US`, which is any of them.
    """
    if not (stated.isascii() and region.isascii()):
        return None
    first, comma, behind = (each.strip() for each in stated.upper().partition(","))
    country, _, part = first.partition("-")
    if not is_assigned(country):
        return None
    # Two headers may have been folded into one: both say the same, or nothing. `US,USCA` is one, `US,CA` are two.
    if comma and behind == first:
        behind = ""
    elif comma and (part or "-" in behind):
        return None
    found = {_part(country, part, bare=True), _part(country, behind, bare=False), _part(country, region, bare=True)}
    parts = found - {""}
    if None in parts or len(parts) > 1:
        return None
    place = "-".join([country, *filter(None, parts)])
    return place if country != US or is_state(place) else US


def _part(country: str, stated: str, *, bare: bool) -> str | None:
    """Which part of a country it names; empty: none, None: it cannot be read. `bare`: without its country, too."""
    text = stated.strip().upper()
    if text in NO_REGION or text == country:
        return ""
    if text.startswith(country):
        text = text.removeprefix(country).removeprefix("-")
    elif not bare:
        return None
    return text if PART.fullmatch(text) else None
