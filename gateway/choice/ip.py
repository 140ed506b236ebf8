"""Internet addresses: as much of one as may leave.

Owns the truncation and nothing else; who an address belongs to is never looked up here. A whole address is a device's
own number: /24 is what every exchange keeps of IPv4; of IPv6 a /56 or a /64 is commonly one household's, so /48
(enforcement.md section 5). What cannot be read is dropped; others let it through as it stands (section 1.6).
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

KEPT_BITS = {4: 24, 6: 48}
WITH_PORT = re.compile(r"\[(?P<six>[^\[\]]+)\](?::[0-9]{1,5})?|(?P<four>[0-9.]+):[0-9]{1,5}")


def truncate(value: object) -> str | None:
    """The network of an address, with zeros for the rest: /24 of IPv4, /48 of IPv6. Its port and zone go. Private and
    loopback addresses are treated alike. None for whatever is no address in text.
    """
    address = _read(value)
    if address is None:
        return None
    return str(ip_network((address, KEPT_BITS[address.version]), strict=False).network_address)


def _read(value: object) -> IPv4Address | IPv6Address | None:
    if not isinstance(value, str):
        return None
    text = value.strip()
    if found := WITH_PORT.fullmatch(text):
        text = found["six"] or found["four"]
    try:
        address = ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None
    return _inside(address) if isinstance(address, IPv6Address) else address


def _inside(address: IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address of a mapped one; and of 6to4, whose first 48 bits hold it whole (RFC 3056)."""
    return address.ipv4_mapped or address.sixtofour or address
