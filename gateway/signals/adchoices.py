"""The AdChoices signal: what a person said in the DAA's tools, as their browser extension sends it with every request.

Reads and writes the string (DAA AdChoices Signal 1.16 of 2025-09-24; signals.md 7.3). It says one thing of all
participants, or one thing each of some. Of those only our own counts here; what a person wants of others, and of
interest categories, stands in `sections` and decides nothing. Never asks which participant has which number.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.signals import bits
from gateway.signals.bits import Bits, Unreadable, number_bits
from gateway.signals.reading import Choices, Reading, stated
from gateway.terms import AD_CHOICE_PURPOSES, Purpose, Stated

HEADER = b"x-adchoices"  # Chrome and Firefox
SAFARI_HEADER = b"cookie2"  # Safari lets an extension set only this one; once RFC 2965's, which browsers never sent
HEADERS = (HEADER, SAFARI_HEADER)
PARAMETER = "adchoices_signal"  # in addresses; OpenRTB has it as regs.ext.adchoices
SECTION = "adchoices"

VERSION = 1
NUMBERS = (("Version", 6), ("Timestamp", 32), ("GlobalPreference", 4))
LISTS = ("Participants", "Categories")
COUNT_BITS = ID_BITS = 12
STATUS_BITS = 4
# Appendices 3 and 4. Zero is the opt-out here, where most other formats have it the other way round.
STATED = {0: Stated.OPTED_OUT, 1: Stated.ALLOWED, 2: Stated.UNKNOWN}
STRICTEST_FIRST = (Stated.OPTED_OUT, Stated.UNKNOWN, Stated.ALLOWED)
LEGIBLE = re.compile("[A-Za-z0-9_-]*")

Record = tuple[int, int]


def read(text: str, *, participant: int = 0, purposes: frozenset[Purpose] = frozenset(AD_CHOICE_PURPOSES)) -> Reading:
    """What a signal says of `purposes`: 0 of all participants is an opt-out, 1 allowed, 2 unknown.

    `participant` is our own DAA number, 0 without one; the status of a record with it decides where it is stricter.
    Errors: alphabet, size, truncated, version, value (a status over 2), trailing. What stands before the first letter
    that is not base64url is still read, for it may be an opt-out. Zeros at the end are padding (PMC 2.0
    specification: "should be ignored").
    """
    string = text.strip()
    lead = LEGIBLE.match(string, 0, bits.MAX_CHARACTERS)
    assert lead is not None  # the pattern matches nothing at all, too
    error = "size" if len(string) > bits.MAX_CHARACTERS else "alphabet" if lead.end() < len(string) else ""
    reader = Bits(bits.bits_of(lead[0]))
    fields: dict[str, Any] = {}
    try:
        _take(reader, fields)
    except Unreadable as unreadable:
        error = error or unreadable.code
    else:
        error = error or _fault(reader, fields)
    return Reading(_choices(fields, participant, purposes), {SECTION: fields} if fields else {}, error=error)


def _take(reader: Bits, fields: dict[str, Any]) -> None:
    """Field by field, so that what came before a broken place is there."""
    for name, width in NUMBERS:
        fields[name] = reader.number(width)
    for name in LISTS:
        records: list[list[int]] = []
        fields[name] = records
        count = reader.number(COUNT_BITS)
        records.extend([reader.number(ID_BITS), reader.number(STATUS_BITS)] for _ in range(count))


def _fault(reader: Bits, fields: Mapping[str, Any]) -> str:
    if fields["Version"] != VERSION:
        return "version"
    statuses = {status for name in LISTS for _, status in fields[name]}
    if not {fields["GlobalPreference"], *statuses} <= STATED.keys():
        return "value"
    return "" if reader.rest_is_zero() else "trailing"


def _choices(fields: Mapping[str, Any], participant: int, purposes: frozenset[Purpose]) -> Choices:
    own = [status for number, status in fields.get("Participants", ()) if participant and number == participant]
    words = [STATED.get(status, Stated.UNKNOWN) for status in (fields.get("GlobalPreference"), *own)]
    word = min(words, key=STRICTEST_FIRST.index)
    return stated(
        opted_out=purposes if word is Stated.OPTED_OUT else (), allowed=purposes if word is Stated.ALLOWED else ()
    )


def limited_categories(reading: Reading) -> list[int]:
    """The numbers of the interest categories that the person does not want to be targeted by."""
    fields: Mapping[str, Any] = reading.sections.get(SECTION, {})
    return [number for number, preference in fields.get("Categories", ()) if preference == 0]


def write(
    timestamp: int, preference: int = 2, participants: Iterable[Record] = (), categories: Iterable[Record] = ()
) -> str:
    """The string of one statement: `timestamp` in seconds since 1970, `preference` of all participants, records of
    (number, status), each status as in `STATED`. Raises `ValueError` where a number does not fit its field.
    """
    lists = [[*participants], [*categories]]
    if not {preference, *(status for records in lists for _, status in records)} <= STATED.keys():
        raise ValueError(f"a status is one of {', '.join(map(str, STATED))}")
    values = (VERSION, timestamp, preference)
    head = [number_bits(value, width) for value, (_, width) in zip(values, NUMBERS, strict=True)]
    string = bits.text_of("".join([*head, *map(_list_bits, lists)]))
    if len(string) > bits.MAX_CHARACTERS:
        raise ValueError(f"{len(string)} characters are more than any reader takes")
    return string


def _list_bits(records: list[Record]) -> str:
    pairs = [number_bits(number, ID_BITS) + number_bits(status, STATUS_BITS) for number, status in records]
    return number_bits(len(pairs), COUNT_BITS) + "".join(pairs)
