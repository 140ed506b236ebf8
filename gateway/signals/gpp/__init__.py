"""The IAB Global Privacy Platform string: header and sections 1 to 27, read for `signals.hear`, split and written for
`choice.downstream`. (Global-Privacy-Platform @b27beb4.)

The US sections are one table of layouts (`us`); sections 1, 2, 5 and 6 are strings of other formats with readers of
their own.
A section that no reader knows is kept as it came and written back untouched; while it applies nothing is allowed, for
nobody knows what it says. A section outside `gpp_sid` still shows the person's will, so it can deny and never allow.
Precise geolocation is the one sensitive item that the gateway knows as a data class.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import lru_cache

from gateway.signals import tcf, usprivacy
from gateway.signals.bits import (
    Bits,
    Unreadable,
    bits_of,
    fibonacci_range_bits,
    lengths,
    number_bits,
    text_of,
)
from gateway.signals.gpp import us
from gateway.signals.gpp.layouts import BY_ID, BY_NAME, IDS, NAMES, TCF_CA_1, TCF_EU_1, TCF_EU_2, US_PRIVACY
from gateway.signals.gpp.us import refused_now
from gateway.signals.heard import Choices, Fields, Reading, stated, strictest, without_allows
from gateway.terms import SIGNAL_PURPOSES, Purpose

# What `gateway help gpp` promises to whoever uses this as a library.
__all__ = ["joined", "precise_refused", "read_gpp_string", "refused_now", "split_gpp_string", "write_gpp_string"]

TYPE, VERSION = 3, 1  # of the header
MAX_CHARACTERS = 8192  # what consumers cut at (IAB Tech Lab's trusted-server); a full TC string is under 4,000
MAX_SECTIONS = 64  # 27 exist
LONGEST_KEPT = 64  # characters of what is read once: a header, a state's section
MAX_SECTION_ID = 5000  # far above any id; the reference's own test set goes to 5,000
FULL, NONE = frozenset(SIGNAL_PURPOSES), frozenset[Purpose]()
OTHERS: Mapping[int, Callable[[str], Reading]] = {
    TCF_EU_2: tcf.read_eu,
    TCF_CA_1: tcf.read_ca,
    US_PRIVACY: usprivacy.read_usprivacy,
}


def read_gpp_string(text: str, section_ids: Collection[int] | None = None) -> Reading:
    """A GPP string, or a bare TC string. `section_ids`: the applicable ones as `gpp_sid` says them; None: not said, so
    every section counts; [-1]: none does.
    """
    sections, fault = _parts(text)
    readings = {number: _section(number, raw) for number, raw in sections.items()}
    said = [_counted(number, found, section_ids) for number, found in readings.items()]
    fields: dict[str, Fields] = {}
    for number, found in readings.items():
        fields |= found.sections or ({NAMES[number]: {}} if number in NAMES else {})
    absent = tuple([name for found in readings.values() for name in found.absent])
    error = next(filter(None, [fault, *[found.error for found in readings.values()]]), "")
    acts = NONE.union(*[found.opted_out - found.unanswered for found in readings.values()])
    choices = _together(readings, said, section_ids)
    return Reading(choices, fields, absent, error, FULL - acts)


def split_gpp_string(text: str) -> dict[int, str]:
    """Section ids with their strings as they stand. Raises `ValueError` where the header is not valid."""
    sections, fault = _parts(text)
    if fault:
        raise ValueError(fault)
    return sections


def _parts(text: str) -> tuple[dict[int, str], str]:
    """The sections that the header names, and what is wrong with the header. Where there are more or fewer sections,
    they are taken from the end and then from the start, as far as they go: nothing is allowed then, and an opt-out
    behind a number too many is not lost.
    """
    if not text or len(text) > MAX_CHARACTERS:
        return {}, "size" if text else "empty"
    if text[0] == "C" and "~" not in text:  # a TC string by itself, which the reference takes too
        return {TCF_EU_2: text}, ""
    header, *raw = text.split("~")
    numbers, fault = _header(header) if len(header) <= LONGEST_KEPT else _header.__wrapped__(header)
    if len(numbers) == len(raw):
        return dict(zip(numbers, raw, strict=True)), fault
    from_end = dict(zip(reversed(numbers), reversed(raw), strict=False))
    kept = {number: text for number, text in from_end.items() if _section(number, text).opted_out}
    return dict(zip(numbers, raw, strict=False)) | kept, fault or "section_count"


def write_gpp_string(sections: Mapping[str | int, Fields | str], absent: Collection[str] = ()) -> str:
    """A GPP string. Keys are section names or ids; a value is the section's fields, or its string as it stands (which
    is how a section that we do not know is written back). Raises `ValueError`.
    """
    raw = {_number(key): _written(key, value, absent) for key, value in sections.items()}
    if len(raw) != len(sections):
        raise ValueError("a section is named twice")
    return "~".join([header(raw), *(raw[number] for number in sorted(raw))])


def joined(raw: Mapping[int, str]) -> str:
    """Strings of single sections as one GPP string, as they stand."""
    known = {number: text for number, text in raw.items() if 1 <= number <= MAX_SECTION_ID}
    return "~".join([header(known), *(known[number] for number in sorted(known))])


def header(numbers: Collection[int]) -> str:
    bits = number_bits(TYPE, 6) + number_bits(VERSION, 6) + fibonacci_range_bits(numbers)
    return text_of(bits)


@lru_cache(maxsize=1024)
def _header(text: str) -> tuple[tuple[int, ...], str]:
    """The numbers that a header names, and what is wrong with it. A region has a handful of them."""
    legible = text.rstrip("=")  # padding that the alphabet does not have and encoders write
    try:
        bits = Bits(bits_of(legible))
        if bits.number(6) != TYPE:
            return (), "header"
        if bits.number(6) != VERSION:
            return (), "header_version"
        numbers = tuple(bits.fibonacci_range(MAX_SECTIONS, MAX_SECTION_ID))
    except Unreadable as unreadable:
        return (), unreadable.code
    if legible != text:
        return numbers, "alphabet"
    exact = bits.rest_is_zero() and len(text) in lengths(bits.at)
    return numbers, "" if exact else "padding"


def _section(number: int, raw: str) -> Reading:
    if not raw:
        return Reading(error="empty")
    if number in BY_ID:
        return _us_section(number, raw) if len(raw) <= LONGEST_KEPT else us.read_us_section(BY_ID[number], raw)
    if number == TCF_EU_1:  # nobody writes version 1 any more, so its string is kept beside its fields
        found = tcf.read_v1(raw)
        return replace(found, sections={name: {**shown, "String": raw} for name, shown in found.sections.items()})
    if number in OTHERS:
        return OTHERS[number](raw)
    return Reading(sections={str(number): {"String": raw}})


@lru_cache(maxsize=4096)
def _us_section(number: int, raw: str) -> Reading:
    """Few texts say all that the law of a state lets somebody say, and nothing in them is anybody's own."""
    return us.read_us_section(BY_ID[number], raw)


def _counted(number: int, found: Reading, section_ids: Collection[int] | None) -> Choices:
    """What a section adds. One that does not apply can only deny, and a tool's default in it says nothing."""
    if section_ids is None or number in section_ids:
        return found.choices
    return stated(opted_out=found.opted_out - found.unanswered)


def _together(readings: Mapping[int, Reading], said: list[Choices], section_ids: Collection[int] | None) -> Choices:
    choices = strictest(said)
    unknown = readings.keys() - NAMES.keys()
    if unknown if section_ids is None else unknown & set(section_ids):
        return without_allows(choices)
    return choices


def _number(key: str | int) -> int:
    number = IDS.get(str(key)) or (int(key) if str(key).isdecimal() else 0)
    if not 1 <= number <= MAX_SECTION_ID:
        raise ValueError(f"no section {key!r}")
    return number


def _written(key: str | int, value: Fields | str, absent: Collection[str]) -> str:
    number = _number(key)
    if isinstance(value, str):
        return _raw(value)
    if "String" in value:
        return _raw(str(value["String"]))
    if number in BY_ID:
        return us.write_us_section(BY_ID[number], value, tuple(absent))
    if number == US_PRIVACY:
        return usprivacy.write_usprivacy(
            *(str(value.get(name, "")) for name in ("Notice", "OptOutSale", "LspaCovered"))
        )
    if number == TCF_EU_2:
        return tcf.write_eu(value, absent)
    if number == TCF_CA_1:
        return tcf.write_ca(value, absent)
    raise ValueError(f"section {key!r} is written from its string only")


def _raw(text: str) -> str:
    if not text or "~" in text or not text.isascii():
        raise ValueError("a section's string is ASCII and has no ~")
    return text


REFUSED = 1  # "opted out" in CA, UT and IA, "no consent" elsewhere


def precise_refused(reading: Reading) -> bool:
    """Whether a section refuses precise geolocation, applicable or not: it can only tighten. Not said is not refused
    here: without an opt-in a precise point does not go anyway (R7).
    """
    for name, fields in reading.sections.items():
        section = BY_NAME.get(name)
        if section is None or section.precise is None:
            continue
        items = fields.get("SensitiveDataProcessing")
        if isinstance(items, list) and len(items) > section.precise and items[section.precise] == REFUSED:
            return True
    return False
