"""Values of header fields as RFC 9110 has them: without the blanks around them, and apart where a proxy joined them.

Servers differ in what they leave on a value. Whoever compares one to the letter takes it from here: the readers of
signals, which hear requests in front of any site on any server, and the outermost layer, for all of our own doors.
"""

from collections.abc import Sequence

OWS = b" \t"  # optional whitespace (RFC 9110 5.6.3)
Headers = Sequence[tuple[bytes, bytes]]


def trimmed(headers: Headers) -> Headers:
    """The same headers; optional whitespace around a value is no part of it (5.5)."""
    return [(name, value.strip(OWS)) for name, value in headers]


def members(value: bytes) -> list[bytes]:
    """What one field says: its value, or the values of several that somebody on the way put into one line (5.3)."""
    if b"," not in value:
        return [value.strip(OWS)]
    return [part.strip(OWS) for part in value.split(b",")]
