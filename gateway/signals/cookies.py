"""A Cookie header parser that loses nothing.

`http.cookies` gives up on a whole header at one odd value, and keeps the last of two equal names; an opt-out cookie
behind such a value would vanish (signals.md section 6, measured). Here: split at `;`, at the first `=`, trim, keep
every duplicate and the raw value.
"""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

FOLDED = re.compile(rb",[ \t]*(?=__(?:Host|Secure)-)")
BLANK = " \t"  # RFC 6265: what may stand around a pair; latin-1 has more that str.strip() would take
MAX_BYTES = 16 * 1024  # api.md: over 16 kB only the first 16 kB is read, and counted


def pairs(headers: Iterable[bytes]) -> list[tuple[str, str]]:
    """All cookies in order as (name, raw value), however many there are: for whoever looks for its own names."""
    return list(_pairs(unfolded(b"; ".join(headers)).decode("latin-1")))


def unfolded(header: bytes) -> bytes:
    """A proxy that folds two Cookie fields by a comma, as if they were a list, hides no cookie whose name has a prefix
    of RFC 6265bis; other values may have commas.
    """
    return FOLDED.sub(b"; ", header) if b"," in header else header


def parse(headers: Iterable[bytes]) -> tuple[list[tuple[str, str]], bool]:
    """The same, to be read for signals, and whether something was cut off at `MAX_BYTES`.

    Bytes are read as latin-1, one code point a byte, so nothing is undecodable.
    """
    whole = b"; ".join(headers)
    text = whole[:MAX_BYTES].decode("latin-1")
    return list(_pairs(text)), len(whole) > MAX_BYTES


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split(";"):
        name, separator, value = part.partition("=")
        name = name.strip(BLANK)
        if separator and name:
            yield name, value.strip(BLANK)


PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
ESCAPE = re.compile(r"\\([0-7]{3}|.)")  # how http.cookies writes what may not stand in a value


def unquoted(value: str) -> str:
    """A value without quotes around it, and without the escapes that Python's servers write inside them."""
    if len(value) < 2 or not value[0] == value[-1] == '"':  # noqa: PLR2004 - a pair of quotes
        return value
    return ESCAPE.sub(_unescaped, value[1:-1]) if "\\" in value else value[1:-1]


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 8)) if len(match[1]) > 1 else match[1]


def unwrap(value: str) -> str:
    """A value without quotes around it and percent-encoding in it: tools write both."""
    return unquoted(percent_decoded(unquoted(value)))


def percent_decoded(text: str) -> str:
    """Once. Signs that begin no escape stay; a value of nothing but them, which a stranger may send, costs one look."""
    return unquote(text) if PERCENT.search(text) else text


def without(header: bytes, name: bytes) -> bytes:
    """The header's value with every cookie of that name taken out; the rest as it stands."""
    kept: list[bytes] = []
    done, at = 0, header.find(name)
    while at >= 0:
        begin, end = header.rfind(b";", done, at) + 1, header.find(b";", at)
        begin, end = begin or done, len(header) if end < 0 else end
        if header[begin:end].partition(b"=")[0].strip(BLANK.encode()) == name:
            kept.append(header[done:begin])
            done = end + 1
        at = header.find(name, end)
    rest = b"".join([*kept, header[done:]])
    return (rest.removesuffix(b";") if done > len(header) else rest).strip()  # the last one went, and what parted it
