"""Writes AdChoices signals, as the DAA's extension sends them."""

from collections.abc import Iterable

from gateway.signals import bits
from gateway.signals.adchoices import COUNT_BITS, ID_BITS, NUMBERS, STATUS_BITS, VERSION

Record = tuple[int, int]


def write_adchoices(
    timestamp: int, preference: int = 2, participants: Iterable[Record] = (), categories: Iterable[Record] = ()
) -> str:
    """`timestamp` in seconds since 1970, `preference` of all participants, records of (number, status)."""
    head = zip((VERSION, timestamp, preference), (width for _, width in NUMBERS), strict=True)
    lists = [[*participants], [*categories]]
    return bits.text_of("".join([*(bits.number_bits(*each) for each in head), *map(_list_bits, lists)]))


def _list_bits(records: list[Record]) -> str:
    pairs = [bits.number_bits(number, ID_BITS) + bits.number_bits(status, STATUS_BITS) for number, status in records]
    return bits.number_bits(len(pairs), COUNT_BITS) + "".join(pairs)
