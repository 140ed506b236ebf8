"""Addresses that an operator writes into the configuration: which of them may be used for what. Asks no network."""

import re
from ipaddress import IPv4Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

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
