"""A Cookie header parser that loses nothing, and a sieve that finds in a header the few cookies that anybody reads.
`signals.hear` and `web.site.visitor` call it.

`http.cookies` gives up on a whole header at one odd value and keeps the last of two equal names; an opt-out cookie
behind such a value would vanish (measured). Here: split at `;`, at the first `=`, trim, keep every duplicate and the
raw value.

A site sets the same names for all its visitors, so what a name is worth is judged once and remembered. What is
remembered are names without values, and of fields that say nothing a hash.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

FOLDED = re.compile(rb",[ \t]*(?=__(?:Host|Secure)-)")
BLANK = " \t"  # RFC 6265: what may stand around a pair; latin-1 has more that str.strip() would take
MAX_BYTES = 16 * 1024  # of a longer header only this much is read, and it is counted


def pairs(headers: Iterable[bytes]) -> list[tuple[str, str]]:
    """All cookies in order as (name, raw value), however many there are: for whoever looks for its own names."""
    return list(_pairs(unfolded(b"; ".join(headers)).decode("latin-1")))


def unfolded(header: bytes) -> bytes:
    """A proxy that folds two Cookie fields by a comma, as if they were a list, hides no cookie whose name has a prefix
    of RFC 6265bis; other values may have commas.
    """
    return FOLDED.sub(b"; ", header) if b"," in header else header


def parse_cookies(headers: Iterable[bytes]) -> tuple[list[tuple[str, str]], bool]:
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


MOST_NAMES = 4096  # a site has dozens; strangers may send any number, and then names are judged anew
MOST_FIELDS = 8192  # a browser sends the same Cookie field with each request of a page
LONGEST_NAME = 128  # bytes; a longer one is judged each time and never remembered
KEPT_BYTES = 1024  # of one cookie of ours; ours are shorter
Judge = Callable[[str], bool]
Abridging = Callable[[str], str]  # of a raw value, which then has less of what nobody reads
Pairs = tuple[tuple[str, str], ...]


class SiftedHeaders(NamedTuple):
    """`signals`: the Cookie fields that hearing is to read, as they came or made shorter. `ours`: cookies that are the
    gateway's own, or the site's ids, as (name, raw value) in their order.
    """

    signals: tuple[bytes, ...] = ()
    ours: tuple[tuple[str, str], ...] = ()


NOTHING = SiftedHeaders()


NOBODYS, SPEAKS, OURS = 0, 1, 2  # what a name is worth; the last two are bits


class Sieve:
    """`speaks`: whether a cookie of this name may be a signal. `ours`: whether it is one that is read otherwise.
    `abridges`: how one that may be a signal is made shorter, so that those of many browsers are the same bytes. Each is
    asked about a name once, and must not change its mind.
    """

    def __init__(self, speaks: Judge, ours: Judge, abridges: Callable[[str], Abridging | None] | None = None) -> None:
        self._speaks = speaks
        self._ours = ours
        self._abridges = abridges
        self._shorter: dict[bytes, Abridging] = {}
        self._plain: set[bytes] = set()  # beginnings of cookies that nobody reads, with the blank before them
        self._worth: dict[bytes, int] = {}  # of the others
        self._silent: set[tuple[int, int]] = set()  # whole fields in which nobody reads anything

    def sift(self, fields: Sequence[bytes]) -> SiftedHeaders:
        """The Cookie fields of one request. Over `cookies.MAX_BYTES` nothing is left out, so that hearing knows that
        something was cut off; what is ours is found wherever it stands.
        """
        whole = unfolded(fields[0] if len(fields) == 1 else b"; ".join(fields))
        if len(whole) > MAX_BYTES:
            return SiftedHeaders(tuple(fields), tuple(pair for pair in pairs(fields) if self._ours(pair[0])))
        mark = (hash(whole), len(whole))  # keyed and of 64 bits: no value is kept, and no two fields are taken for one
        if mark in self._silent:
            return NOTHING
        parts = whole.split(b";")
        begins = [part.partition(b"=")[0] for part in parts]
        if not self._plain.issuperset(begins):
            return self._sorted(parts, begins)
        if len(self._silent) >= MOST_FIELDS:
            self._silent.clear()
        self._silent.add(mark)
        return NOTHING

    def _sorted(self, parts: Sequence[bytes], begins: Sequence[bytes]) -> SiftedHeaders:
        signals: list[bytes] = []
        ours: list[tuple[str, str]] = []
        for part, begin in zip(parts, begins, strict=True):
            if begin in self._plain:
                continue
            worth = self._worth.get(begin) or self._judged(begin)
            if worth & SPEAKS:
                shorter = self._shorter.get(begin)
                signals.append(_abridged(part, shorter) if shorter else part)
            if worth & OURS:
                ours += (_parsed if len(part) <= KEPT_BYTES else _parsed.__wrapped__)(part)
        return SiftedHeaders((b";".join(signals),) if signals else (), tuple(ours))

    def _judged(self, begin: bytes) -> int:
        name = begin.decode("latin-1").strip(BLANK)
        worth = (SPEAKS if self._speaks(name) else NOBODYS) | (OURS if self._ours(name) else NOBODYS)
        if len(begin) <= LONGEST_NAME:
            if len(self._plain) + len(self._worth) >= MOST_NAMES:
                self._plain.clear()
                self._worth.clear()
                self._shorter.clear()
            if worth:
                self._worth[begin] = worth
                shorter = self._abridges(name) if self._abridges else None
                if shorter:
                    self._shorter[begin] = shorter
            else:
                self._plain.add(begin)
        return worth


def _abridged(part: bytes, shorter: Abridging) -> bytes:
    begin, separator, value = part.partition(b"=")
    if not separator:
        return part
    return begin + separator + shorter(value.decode("latin-1").strip(BLANK)).encode("latin-1")


@lru_cache(maxsize=2048)
def _parsed(part: bytes) -> Pairs:
    """One cookie of ours. A browser brings the same with each request, and what its bytes say never changes."""
    return tuple(parse_cookies([part])[0])
