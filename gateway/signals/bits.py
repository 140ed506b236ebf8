"""Base64url strings as bits, for the readers and writers of GPP, TCF and AdChoices strings.

A string becomes a text of "0" and "1", read from the left: slicing it costs what is sliced, where shifting one large
integer would cost its whole length at each field. Fibonacci numbers and ranges are the GPP specification's (data
types). Every count is held against a limit before anything is made of it, since one short string can ask for millions
of ids.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from itertools import pairwise

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
LETTERS = frozenset(ALPHABET)
TO_STANDARD = bytes.maketrans(b"-_", b"+/")
MAX_CHARACTERS = 16 * 1024  # TC strings with every vendor stay under 4,000; consumers cut at 8,192
MAX_ID = 65_535  # vendor ids have 16 bits
FIBONACCI = [1, 2]
while FIBONACCI[-1] <= MAX_ID:
    FIBONACCI.append(FIBONACCI[-1] + FIBONACCI[-2])


class Unreadable(Exception):
    """Inside the readers only: why a string is not valid, as a short code. Every reader catches it at its door."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Bits:
    """A reader over bits. Each method raises `Unreadable` past the end."""

    __slots__ = ("at", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def number(self, width: int) -> int:
        """An unsigned big-endian integer of `width` bits."""
        end = self.at + width
        if end > len(self.text):
            raise Unreadable("truncated")
        value = int(self.text[self.at : end], 2)
        self.at = end
        return value

    def flag(self) -> bool:
        return self.number(1) == 1

    def numbers(self, width: int, count: int) -> list[int]:
        return [self.number(width) for _ in range(count)]

    def flags(self, count: int) -> list[bool]:
        """`count` single bits, in order."""
        end = self.at + count
        if end > len(self.text):
            raise Unreadable("truncated")
        piece = self.text[self.at : end]
        self.at = end
        return [bit == "1" for bit in piece]

    def fibonacci(self) -> int:
        """A Fibonacci-coded number of 1 or more: terms from the least, closed by a second 1."""
        end = self.text.find("11", self.at, self.at + len(FIBONACCI) + 1)
        if end < 0:
            raise Unreadable("fibonacci")
        code = self.text[self.at : end + 1]
        self.at = end + 2
        return sum(term for term, bit in zip(FIBONACCI, code, strict=False) if bit == "1")

    def fibonacci_range(self, most: int, limit: int) -> list[int]:
        """Range(Fibonacci): ids in rising order, at most `most` of them, none over `limit`."""
        ids: list[int] = []
        last = 0
        for _ in range(self.number(12)):
            group = self.flag()
            first = last + self.fibonacci()
            last = first + self.fibonacci() if group else first
            if last > limit or len(ids) + last - first >= most:
                raise Unreadable("range")
            ids.extend(range(first, last + 1))
        return ids

    def rest_is_zero(self) -> bool:
        return "1" not in self.text[self.at :]


def bits_of(text: str) -> str:
    """The bits of a base64url string without padding characters. Raises `Unreadable`."""
    if len(text) > MAX_CHARACTERS:
        raise Unreadable("size")
    if not LETTERS.issuperset(text):
        raise Unreadable("alphabet")
    if not text:
        return ""
    raw = binascii.a2b_base64((text + "A" * (-len(text) % 4)).encode().translate(TO_STANDARD))
    return format(int.from_bytes(raw), f"0{8 * len(raw)}b")[: 6 * len(text)]


def lengths(bits: int) -> frozenset[int]:
    """How many characters that many bits may have, in the three conventions of the field: to 6; to 8 and then 6, what
    cmpapi and the Java library write; to 24, what TC strings have.
    """
    eight = bits + -bits % 8
    return frozenset({-(-bits // 6), -(-eight // 6), -(-bits // 24) * 4})


def text_of(bits: str, pad_to: int = 8) -> str:
    """Base64url of bits, padded with zeros to a multiple of `pad_to` and then of 6."""
    padded = bits + "0" * (-len(bits) % pad_to)
    padded += "0" * (-len(padded) % 6)
    raw = int(padded + "0" * (-len(padded) % 24) or "0", 2).to_bytes(-(-len(padded) // 24) * 3)
    return base64.urlsafe_b64encode(raw).decode("ascii")[: len(padded) // 6]


def number_bits(value: int, width: int) -> str:
    """An integer as `width` bits. Raises `ValueError` where it does not fit."""
    if not 0 <= value < 1 << width:
        raise ValueError(f"{value} does not fit into {width} bits")
    return format(value, f"0{width}b")


def flag_bits(values: Iterable[bool]) -> str:
    return "".join("1" if value else "0" for value in values)


def fibonacci_bits(value: int) -> str:
    """The Fibonacci code of a number of 1 or more."""
    terms = [term for term in FIBONACCI if term <= value]
    bits = []
    for term in reversed(terms):
        bits.append("1" if term <= value else "0")
        value -= term if term <= value else 0
    return "".join(reversed(bits)) + "1"


def runs(ids: Sequence[int]) -> list[tuple[int, int]]:
    """Rising ids as (first, last) runs."""
    breaks = [index for index, (a, b) in enumerate(pairwise(ids), 1) if b != a + 1]
    bounds = [0, *breaks, len(ids)] if ids else []
    return [(ids[start], ids[end - 1]) for start, end in pairwise(bounds)]


def fibonacci_range_bits(ids: Iterable[int]) -> str:
    """Range(Fibonacci) of ids, in rising order, neighbours as groups."""
    parts = []
    last = 0
    spans = runs(sorted(set(ids)))
    for first, end in spans:
        group = "1" if end > first else "0"
        length = fibonacci_bits(end - first) if end > first else ""
        parts.append(group + fibonacci_bits(first - last) + length)
        last = end
    return number_bits(len(spans), 12) + "".join(parts)
