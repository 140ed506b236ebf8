"""Where a connection may go: to addresses of the public internet, looked at after the name was resolved.

A recipient's endpoint is a name, and whoever answers for the name could answer with an address inside our own network,
or with another one at the second question (V30). So the name is resolved once a connection, every address of the answer
is judged, and the connection is made to the very address that was judged. TLS still proves the name.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpcore2
import httpx2

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))  # for receivers of the operator's own
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))  # development
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052's well-known prefix; 64:ff9b:1::/48 is each network's own (RFC 8215)
GLOBAL = IPv6Network("2000::/3")  # what IANA gives out of for single machines
RESOLVE_SECONDS = 5.0
TRIED = 4  # addresses of one name; an answer may hold hundreds


class Forbidden(httpcore2.ConnectError):
    """The name leads to an address that messages do not go to."""


def may_connect(text: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether an address is of the public internet, or in a network that the operator named."""
    address: Address = ip_address(text.partition("%")[0])
    inner = _inside(address)
    if any(each.version == network.version and each in network for each in (address, inner) for network in allowed):
        return True
    return _is_given_out(address) and all(each.is_global and not each.is_multicast for each in (address, inner))


def leads_inside(host: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether a host of an address is itself an address that nothing is sent to. Of a name that shows later."""
    try:
        return not may_connect(network_of(host), allowed)
    except ValueError:
        return False


def network_of(host: str) -> str:
    """A host of an address as `[delivery] networks` names it."""
    return "127.0.0.1" if host == "localhost" else host


def _is_given_out(address: Address) -> bool:
    """Whether an IPv6 address is of the space that is given out. What lies beside it leads where a network says: old
    forms that hold an IPv4 address (`::127.0.0.1`), site-local ones, a NAT64 prefix of the network's own.
    """
    if isinstance(address, IPv4Address):
        return True
    return address in GLOBAL or address in NAT64 or address.ipv4_mapped is not None


def _inside(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for: mapped, 6to4, or NAT64 (RFC 6052's well-known prefix)."""
    if isinstance(address, IPv4Address):
        return address
    nat64 = IPv4Address(int(address) & 0xFFFF_FFFF) if address in NAT64 else None
    return address.ipv4_mapped or address.sixtofour or nat64 or address


class Guarded(httpcore2.AsyncNetworkBackend):
    """Connects like the library's own, to judged addresses only."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,  # noqa: ASYNC109 - the library's own signature
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:  # fmt: skip
        """Raises `Forbidden` where any of the name's addresses is not to be connected to."""
        *others, last = await self._resolved(host, port)
        for address in others:
            with contextlib.suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
        return await self._inner.connect_tcp(last, port, timeout, local_address, socket_options)

    async def _resolved(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            asked = loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = await asyncio.wait_for(asked, RESOLVE_SECONDS)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise httpcore2.ConnectError("the name has no address") from error
        addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
        if not addresses or not all(may_connect(address, self._allowed) for address in addresses):
            raise Forbidden("an address that is not of the public internet")
        return addresses[:TRIED]


class Transport(httpx2.AsyncHTTPTransport):
    """httpx's own transport on guarded connections; it follows nothing and uses no proxy."""

    def __init__(self, context: ssl.SSLContext, allowed: Sequence[Network]) -> None:
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context, network_backend=Guarded(allowed), keepalive_expiry=5.0, max_connections=20
        )
