"""Where a connection may go: to addresses of the public internet, looked at after the name was resolved. Everything
that sends, and the settings, ask it.

A recipient's endpoint is a name, and whoever answers for the name could answer with an address inside our own network,
or with another one at the second question (V30). So the name is resolved once a connection, every address of the answer
is judged, and the connection is made to the very address that was judged. TLS still proves the name.

Which addresses an operator may write into the configuration, and for what, is judged without asking a network.
"""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

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
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
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


NARROWEST = 8  # bits of a network that one house can have: 10.0.0.0/8
NARROWEST_V6 = 16  # the shortest prefix that a registry gave to one organisation
PRIVATE_V6 = IPv6Network("fc00::/7")  # RFC 4193: everybody's own
OF_V4 = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))  # in which the whole of IPv4 lies again
LONGEST = 253  # characters of a host's name (RFC 1035)
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
PORT = re.compile(r"[0-9]{1,5}")
LAST_PORT = 65_535
ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")
WRITTEN = re.compile(r"[!-\[\]_a-z~]+")  # what an address is written with: ASCII, no blank, quote or brace


def may_send_to(endpoint: str) -> bool:
    """https, or http on this machine."""
    parts = _taken_apart(endpoint)
    if parts is None or not parts.hostname:
        return False
    if parts.scheme == "https":
        return True
    return parts.scheme == "http" and is_loopback(parts.hostname)


def _taken_apart(url: str) -> SplitResult | None:
    """An address with a host that there can be, or None."""
    if not WRITTEN.fullmatch(url) or "#" in url:
        return None
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:  # a bracket that is not closed, a port that is none
        return None
    return parts if port != 0 and not parts.netloc.endswith(":") and is_machine(host) else None


def is_origin(url: str) -> bool:
    """A scheme and a host as browsers write them, and nothing after them."""
    return may_send_to(url) and ORIGIN.fullmatch(url) is not None


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_machine(host: str) -> bool:
    """A name as the domain name system has them, or an address."""
    labels = host.split(".")
    if len(host) <= LONGEST and all(map(LABEL.fullmatch, labels)) and not labels[-1].isdigit():
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def is_domain(host: str) -> bool:
    """A name of the internet: it has a dot, and is no address."""
    return "." in host and ":" not in host and is_machine(host) and not host.rpartition(".")[2].isdigit()


def is_host(host: str) -> bool:
    """A name of the internet, or an IPv4 address, as an address of a page has them."""
    return "." in host and ":" not in host and is_machine(host)


def is_port(text: str) -> bool:
    return PORT.fullmatch(text) is not None and 0 < int(text) <= LAST_PORT


def is_of_one_house(text: str) -> bool:
    """An address or a network that one operator can have; whoever is in it will be believed to be anybody, or be
    connected to. Raises ValueError for what is neither.
    """
    network = ip_network(text)
    if network.network_address.is_unspecified or network.network_address.is_multicast or "%" in text:
        return False
    if isinstance(network.network_address, IPv4Address):
        return network.prefixlen >= NARROWEST
    return _is_of_one_house_v6(IPv6Network(network))


def _is_of_one_house_v6(network: IPv6Network) -> bool:
    around = next((each for each in OF_V4 if network.overlaps(each)), None)
    if around is not None:
        return network.prefixlen >= around.prefixlen + NARROWEST
    least = NARROWEST if network.subnet_of(PRIVATE_V6) else NARROWEST_V6
    return network.prefixlen >= least
