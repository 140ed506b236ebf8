"""Who is at the other end of a connection: the sender's address, whether the request came over https, and where a
visitor is, by that address or by the word of the operator's own proxy or CDN (`[places] header`, R13). The edge, the
queue and the service ask it.

A header that anybody can write is believed from proxies that the operator named and from nobody else. Addresses are
looked at and let go: no entry, log line or metric has one. A place that is none is none: nobody knows where, which is
the strictest of all.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.types import Scope

from gateway.choice.place import US, is_assigned, is_state
from gateway.consent.places import Places
from gateway.signals.heard import OWS

Address = IPv4Address | IPv6Address
FORWARDED_FOR, FORWARDED_PROTO = b"x-forwarded-for", b"x-forwarded-proto"
MOST_HOPS = 32  # real chains have two or three; the right end is what our own proxies wrote
NO_REGION = frozenset({"", "?", "NO REGION"})  # the latter two are Fastly's
PART = re.compile(r"[A-Z0-9]{1,3}")


class Peers:
    """`trusted`: addresses and networks of the operator's own proxies, as the settings have checked them."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._networks = tuple(ip_network(text) for text in trusted)
        self._trusts = lru_cache(maxsize=1024)(self._is_trusted)
        self._nearest = lru_cache(maxsize=1024)(self._read)  # by the text that the server has of it

    def sender(self, scope: Scope) -> Address | None:
        """The rightmost hop that is none of our proxies; where all are, the leftmost. None: a local socket that tells
        nobody's address.
        """
        client = scope.get("client")
        found, trusted = self._nearest(client[0]) if client else (None, False)
        if found is not None and not trusted:
            return found
        for hop in reversed(_hops(scope)):
            said = address(hop)
            if said is None:  # "unknown", or rubbish: whoever wrote it is the last that can be named
                return found
            found = said
            if not self._trusts(said):
                break
        return found

    def visitor(self, scope: Scope) -> Address | None:
        """The sender's address where it is nobody's of our own: a proxy's would name the wrong place."""
        found = self.sender(scope)
        return None if found is None or self._trusts(found) else found

    def https(self, scope: Scope) -> bool:
        """Whether the person's side of the connection is encrypted, by the connection itself or a trusted proxy."""
        if scope.get("scheme") == "https":
            return True
        if _last(scope, FORWARDED_PROTO).rpartition(b",")[2].strip().lower() != b"https":
            return False
        return self.trusts_nearest(scope)

    def trusts_nearest(self, scope: Scope) -> bool:
        """Whether whoever is connected to us is a proxy of the operator's; a local socket is. A client that a server
        has out of X-Forwarded-For is whoever a stranger said.
        """
        client = scope.get("client")
        return not client or (self._nearest(client[0])[1] and not _is_rewritten(scope, client[1]))

    def _read(self, text: str) -> tuple[Address | None, bool]:
        found = address(text)
        return found, found is not None and self._trusts(found)

    def _is_trusted(self, who: Address) -> bool:
        return any(who in network for network in self._networks if network.version == who.version)


def address(text: str) -> Address | None:
    """An address as a proxy writes it, with or without a port or brackets; IPv4 in IPv6 is IPv4."""
    bare = text.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def place_by_address(places: Places, peers: Peers) -> Callable[[Scope], object]:
    """Where the operator's IP database knows a visitor to be; nowhere without one (R13)."""
    return lambda scope: sorted(places.of(ip=str(peers.visitor(scope) or "")))


def _is_rewritten(scope: Scope, port: int | None) -> bool:
    """Whether uvicorn put another one than the peer there (`--forwarded-allow-ips`): with the port that a hop names, or
    none. A proxy's own connection has a port that no hop does.
    """
    return not port or any(hop.strip().endswith(f":{port}") for hop in _hops(scope, every=True))


def _hops(scope: Scope, *, every: bool = False) -> list[str]:
    """Of all X-Forwarded-For fields together, in their order; the last ones only, or every one."""
    fields = [value for name, value in scope["headers"] if name == FORWARDED_FOR]
    hops = b",".join(fields).decode("latin-1").rsplit(",", -1 if every else MOST_HOPS)
    return hops if every else hops[-MOST_HOPS:] if fields else []


def _last(scope: Scope, wanted: bytes) -> bytes:
    return next((bytes(value) for name, value in reversed(scope["headers"]) if name == wanted), b"")


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
