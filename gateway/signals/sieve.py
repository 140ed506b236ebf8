"""Finds in a Cookie header, by name, the few cookies that anybody reads; the many others cost a look-up each.

A site sets the same names for all its visitors, so what a name is worth is judged once and remembered. What is kept
here are names without values, and of fields that say nothing a hash. Says nothing of what a cookie means.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from gateway.signals import cookies

MOST_NAMES = 4096  # a site has dozens; strangers may send any number, and then names are judged anew
MOST_FIELDS = 8192  # a browser sends the same Cookie field with each request of a page
LONGEST_NAME = 128  # bytes; a longer one is judged each time and never remembered
KEPT_BYTES = 1024  # of one cookie of ours; ours are shorter
Judge = Callable[[str], bool]
Pairs = tuple[tuple[str, str], ...]


class Sifted(NamedTuple):
    """`signals`: the Cookie fields that hearing is to read, as they came or made shorter. `ours`: cookies that are the
    gateway's own, or the site's ids, as (name, raw value) in their order.
    """

    signals: tuple[bytes, ...] = ()
    ours: tuple[tuple[str, str], ...] = ()


NOTHING = Sifted()


NOBODYS, SPEAKS, OURS = 0, 1, 2  # what a name is worth; the last two are bits


class Sieve:
    """`speaks`: whether a cookie of this name may be a signal. `ours`: whether it is one that is read otherwise. Both
    are asked about a name once, and must not change their minds.
    """

    def __init__(self, speaks: Judge, ours: Judge) -> None:
        self._speaks = speaks
        self._ours = ours
        self._plain: set[bytes] = set()  # beginnings of cookies that nobody reads, with the blank before them
        self._worth: dict[bytes, int] = {}  # of the others
        self._silent: set[tuple[int, int]] = set()  # whole fields in which nobody reads anything

    def sift(self, fields: Sequence[bytes]) -> Sifted:
        """The Cookie fields of one request. Over `cookies.MAX_BYTES` nothing is left out, so that hearing knows that
        something was cut off; what is ours is found wherever it stands.
        """
        whole = cookies.unfolded(fields[0] if len(fields) == 1 else b"; ".join(fields))
        if len(whole) > cookies.MAX_BYTES:
            return Sifted(tuple(fields), tuple(pair for pair in cookies.pairs(fields) if self._ours(pair[0])))
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

    def _sorted(self, parts: Sequence[bytes], begins: Sequence[bytes]) -> Sifted:
        signals: list[bytes] = []
        ours: list[tuple[str, str]] = []
        for part, begin in zip(parts, begins, strict=True):
            if begin in self._plain:
                continue
            worth = self._worth.get(begin) or self._judged(begin)
            if worth & SPEAKS:
                signals.append(part)
            if worth & OURS:
                ours += (_parsed if len(part) <= KEPT_BYTES else _parsed.__wrapped__)(part)
        return Sifted((b";".join(signals),) if signals else (), tuple(ours))

    def _judged(self, begin: bytes) -> int:
        name = begin.decode("latin-1").strip(cookies.BLANK)
        worth = (SPEAKS if self._speaks(name) else NOBODYS) | (OURS if self._ours(name) else NOBODYS)
        if len(begin) <= LONGEST_NAME:
            if len(self._plain) + len(self._worth) >= MOST_NAMES:
                self._plain.clear()
                self._worth.clear()
            if worth:
                self._worth[begin] = worth
            else:
                self._plain.add(begin)
        return worth


@lru_cache(maxsize=2048)
def _parsed(part: bytes) -> Pairs:
    """One cookie of ours. A browser brings the same with each request, and what its bytes say never changes."""
    return tuple(cookies.parse([part])[0])
