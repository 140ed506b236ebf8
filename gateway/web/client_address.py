"""Which address a visitor has, as the operator's own proxies saw it. Read for the place, then forgotten (R13).

Whoever writes into `X-Forwarded-For` further left than those proxies is not believed. Never logs, keeps or answers it.
"""

from collections.abc import Callable

from gateway.places import Places
from gateway.web.visitor import Scope

FORWARDED = b"x-forwarded-for"


def address(scope: Scope, proxies: int) -> str:
    """The address that the outermost of `proxies` own proxies saw; 0: the connection's. Each proxy adds the one that it
    saw at the right, so that many from the end is the last word that nobody outside could write. Empty where one of
    them said nothing: the connection's would be a proxy's, and name the wrong place.
    """
    if not proxies:
        return str((scope.get("client") or ("",))[0])
    said = b",".join(value for name, value in scope["headers"] if name == FORWARDED).decode("latin-1")
    hops = [hop.strip() for hop in said.split(",") if hop.strip()]
    return _without_port(hops[-proxies]) if len(hops) >= proxies else ""


def _without_port(hop: str) -> str:
    """Some proxies write a port behind the address: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def place_by_address(places: Places, proxies: int) -> Callable[[Scope], object]:
    """Where the operator's IP database knows a visitor to be; nowhere without one."""
    return lambda scope: sorted(places.of(ip=address(scope, proxies)))
