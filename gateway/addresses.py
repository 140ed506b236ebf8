"""Addresses that an operator writes into the configuration: which of them may be used for what. Asks no network."""

import re
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

NARROWEST = 8  # bits of a network that one house can have: 10.0.0.0/8
ORIGIN = re.compile(r"https?://([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:]+\])(:[0-9]{1,5})?")


def may_send_to(endpoint: str) -> bool:
    """https, or http on this machine."""
    try:
        parts = urlsplit(endpoint)
        _ = parts.port
    except ValueError:  # a bracket that is not closed, a port that is none
        return False
    if parts.scheme == "https" and parts.hostname:
        return True
    return parts.scheme == "http" and is_loopback(parts.hostname or "")


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


def is_of_one_house(network: str) -> bool:
    """An address or a network that one operator can have; whoever is in it will be believed to be anybody. Raises
    ValueError for what is neither.
    """
    return ip_network(network).prefixlen >= NARROWEST
