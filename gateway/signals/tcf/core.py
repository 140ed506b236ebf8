"""Fields of a TC string: their kinds, and the layouts of the cores as tables.

Owns names, widths and order. Names are those of cmpapi 3.2.0; TCF v1.1, which it lacks, is named as in its own
specification. Knows no segment delimiter and no meaning. Layouts: signals.md 3.1; section 5: GPP Sections/Canada.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from gateway.signals.bits import MAX_ID, Unreadable, flag_bits, number_bits
from gateway.signals.reading import Fields
from gateway.signals.tcf.vendors import (
    FIBONACCI,
    FIXED,
    PURPOSES,
    WITH_DEFAULT,
    Ranges,
    SegmentBits,
    read_restrictions,
    read_vendors,
    write_restrictions,
    write_vendors,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DECISECOND = timedelta(milliseconds=100)
LETTER_A = ord("A")
LETTER_COUNT = 26
SPECIAL_FEATURES = 12


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value stands in bits. Both functions are also given the segment's other fields, since the length of some
    stands in another: those already read, and all that are to be written. `read` raises `Unreadable`; `write` raises
    `ValueError`, or `TypeError` for a value of another shape.
    """

    read: Callable[[SegmentBits, Fields], object]
    write: Callable[[Any, Fields], str]


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kind: Kind


Layout = tuple[Field, ...]


def number(width: int) -> Kind:
    return Kind(lambda bits, _: bits.number(width), lambda value, _: number_bits(value, width))


def exactly(expected: int, width: int, code: str) -> Kind:
    """A number with one valid value; `code` is the error of any other."""

    def read(bits: SegmentBits, _: Fields) -> int:
        if bits.number(width) != expected:
            raise Unreadable(code)
        return expected

    def write(value: int, _: Fields) -> str:
        if value != expected:
            raise ValueError(f"{value} is not {expected}")
        return number_bits(expected, width)

    return Kind(read, write)


def flags(count: int) -> Kind:
    """`count` booleans, no fewer and no more."""
    return Kind(lambda bits, _: bits.flags(count), lambda value, _: _counted(value, count))


def flags_counted_by(name: str) -> Kind:
    """As many booleans as the field of that name says."""
    return Kind(
        lambda bits, seen: bits.flags(cast("int", seen[name])),
        lambda value, fields: _counted(value, cast("int", fields[name])),
    )


def _counted(values: list[bool], count: int) -> str:
    if len(values) != count or not {True, False}.issuperset(values):
        raise ValueError(f"not {count} booleans")
    return flag_bits(values)


def _read_date(bits: SegmentBits, _: Fields) -> str:
    moment = EPOCH + bits.number(36) * DECISECOND
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_date(value: str, _: Fields) -> str:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value} has no time zone")
    deciseconds, rest = divmod(moment - EPOCH, DECISECOND)
    if rest:
        raise ValueError(f"{value} is finer than a tenth of a second")
    return number_bits(deciseconds, 36)


def _read_letters(bits: SegmentBits, _: Fields) -> str:
    codes = bits.numbers(6, 2)
    if max(codes) >= LETTER_COUNT:
        raise Unreadable("letters")
    return "".join(chr(LETTER_A + code) for code in codes)


def _write_letters(value: str, _: Fields) -> str:
    first, second = (ord(letter) - LETTER_A for letter in value)
    if max(first, second) >= LETTER_COUNT:
        raise ValueError(f"{value} is not two letters from A to Z")
    return number_bits(first, 6) + number_bits(second, 6)


def vendors(ranges: Ranges) -> Kind:
    return Kind(lambda bits, _: read_vendors(bits, ranges), lambda ids, _: write_vendors(ids, ranges))


FLAG = Kind(lambda bits, _: bits.flag(), lambda value, _: _counted([value], 1))
DATE = Kind(_read_date, _write_date)  # tenths of a second since 1970, shown as ISO 8601 in UTC
LETTERS = Kind(_read_letters, _write_letters)  # two letters of 6 bits each
# Restrictions: bare ranges in section 2; in section 5 each is a vendor list with its own maximum.
FIXED_RESTRICTIONS = Kind(
    lambda bits, _: read_restrictions(bits, lambda inner: FIXED.read(inner, MAX_ID)),
    lambda value, _: write_restrictions(value, FIXED.write),
)
FIBONACCI_RESTRICTIONS = Kind(
    lambda bits, _: read_restrictions(bits, lambda inner: read_vendors(inner, FIBONACCI)),
    lambda value, _: write_restrictions(value, lambda ids: write_vendors(ids, FIBONACCI)),
)


def layout(**kinds: Kind) -> Layout:
    return tuple(Field(name, kind) for name, kind in kinds.items())


def _opening(version: int) -> Layout:
    return layout(
        Version=exactly(version, 6, "version"),
        Created=DATE,
        LastUpdated=DATE,
        CmpId=number(12),
        CmpVersion=number(12),
        ConsentScreen=number(6),
        ConsentLanguage=LETTERS,
        VendorListVersion=number(12),
    )


EU_CORE = _opening(2) + layout(
    PolicyVersion=number(6),
    IsServiceSpecific=FLAG,
    UseNonStandardStacks=FLAG,
    SpecialFeatureOptins=flags(SPECIAL_FEATURES),
    PurposeConsents=flags(PURPOSES),
    PurposeLegitimateInterests=flags(PURPOSES),
    PurposeOneTreatment=FLAG,
    PublisherCountryCode=LETTERS,
    VendorConsents=vendors(FIXED),
    VendorLegitimateInterests=vendors(FIXED),
    PublisherRestrictions=FIXED_RESTRICTIONS,
)
V1_CORE = _opening(1) + layout(PurposesAllowed=flags(PURPOSES), VendorConsents=vendors(WITH_DEFAULT))


def ca_core(ranges: Ranges, restrictions: Kind) -> Layout:
    """The specification's form has Fibonacci ranges; encoders before cmpapi 3.2.0 wrote fixed ones (1.3, 1.7 j)."""
    return _opening(1) + layout(
        TcfPolicyVersion=number(6),
        UseNonStandardStacks=FLAG,
        SpecialFeatureExpressConsent=flags(SPECIAL_FEATURES),
        PurposesExpressConsent=flags(PURPOSES),
        PurposesImpliedConsent=flags(PURPOSES),
        VendorExpressConsent=vendors(ranges),
        VendorImpliedConsent=vendors(ranges),
        PubRestrictions=restrictions,
    )


CA_CORE = ca_core(FIBONACCI, FIBONACCI_RESTRICTIONS)
CA_CORE_EARLIER = ca_core(FIXED, FIXED_RESTRICTIONS)
