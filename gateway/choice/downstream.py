"""What a recipient is told along with the data: one answer in every form that recipients read. Checks, bid requests and
the site's status call it.

GPP with the section of the person's place, and on a no the national one beside it where a reader in the field does not
read the state's (gpp_readers.toml); US Privacy, non-personalised ads, restricted data processing, Meta's Limited Data
Use, Google's consent mode, and the keys that an app stores on its phone. Every field is said on purpose: a library's
blank string claims a transaction covered by the MSPA. Answers are kept by outcome.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import lru_cache
from importlib import resources

from gateway.choice.place import UNKNOWN_PLACE, UNREADABLE_PLACE, US
from gateway.signals import device, gpp, usprivacy
from gateway.signals.gpp.layouts import BY_NAME, Layout, Section
from gateway.terms import SIGNAL_PURPOSES, Purpose

NOT_APPLICABLE, OPTED_OUT, DID_NOT_OPT_OUT = 0, 1, 2
NO_CONSENT, CONSENT = 1, 2
NOTICE_PROVIDED = 1
NOT_COVERED = 2  # MspaCoveredTransaction: not a transaction under the MSPA, unless an operator has signed it
NOWHERE = frozenset({US, UNKNOWN_PLACE, UNREADABLE_PLACE})  # where the national section says all there is to say
NATIONAL = BY_NAME["usnat"]
# Meta's state codes; a state without one is left to Meta to find (0; Meta, "Data Processing Options")
LDU_US, LDU_ANYWHERE = 1, 0
LDU_STATES = {
    "CA": 1000, "CO": 1001, "CT": 1002, "FL": 1003, "OR": 1004, "TX": 1005, "MT": 1006, "DE": 1007, "NE": 1008,
    "NH": 1009, "NJ": 1010, "MN": 1011, "MD": 1012, "RI": 1013,
}  # fmt: skip
FIELDS_OF: Mapping[str, Purpose] = {
    "SaleOptOut": Purpose.SALE,
    "SharingOptOut": Purpose.SHARING,
    "TargetedAdvertisingOptOut": Purpose.TARGETED_ADS,
}
CONSENT_MODE = ("ad_storage", "ad_user_data", "ad_personalization")
GPC_SEGMENT = 1  # GpcSegmentType, the only subsection that US sections have


@dataclass(frozen=True, slots=True)
class Reader:
    """Who in the field acts on GPP strings: which sections it reads, each with the day since when, and the source."""

    name: str
    reads: Mapping[int, date]
    source: str


def _readers() -> tuple[Reader, ...]:
    """The table beside this module: part of the program, so it is read as a module is, once and before any answer."""
    table = tomllib.loads((resources.files("gateway.choice") / "gpp_readers.toml").read_text(encoding="utf-8"))
    return tuple(
        Reader(
            each["name"],
            {section: some["since"] for some in each["reads"] for section in some["sections"]},
            each["source"],
        )
        for each in table["reader"]
    )


READERS = _readers()
# Sections that anybody reads. Without a reader a state's section tells nobody anything, so the national one, which
# covers every state since its version 2, is said alone: so it is for 24 to 27 (MD, IN, KY, RI).
READ = frozenset(section for reader in READERS for section in reader.reads)


class GppSections(StrEnum):
    """`[signals] gpp_sections`: in which sections a string speaks where a state has one of its own."""

    BOTH = "both"  # the state's, and on a no the national one too where some reader does not read the state's
    STATE = "state"
    NATIONAL = "national"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What holds for one person: the purposes that must not be done, whether GPC was heard in this request, whether
    precise geolocation may go, whether the person is a minor, and where they are; and the operator's word for the
    sections that say so.
    """

    denied: frozenset[Purpose]
    places: frozenset[str] = frozenset()
    gpc: bool = False
    precise: bool = False
    minor: bool = False
    said_in: GppSections = GppSections.BOTH

    def all_denied(self) -> "Outcome":
        """The same with everything denied."""
        return replace(self, denied=frozenset(SIGNAL_PURPOSES), precise=False)


@dataclass(frozen=True, slots=True)
class Strings:
    """The GPP string with its parts, and the rest of the signals, ready for JSON. `parsed`: by section name, its core
    and its subsections in order, as `getSection` of the CMP API 1.1 hands them out.
    """

    gpp: str
    gpp_sid: list[int]
    sections: Mapping[int, str]
    us_privacy: str
    out: bool
    parsed: Mapping[str, list[dict[str, object]]]

    def for_recipient(self, outcome: Outcome) -> dict[str, object]:
        """The `downstream` member of a verdict."""
        return {
            "gpp": self.gpp,
            "gpp_sid": self.gpp_sid,
            "us_privacy": self.us_privacy,
            "gpc": "1" if outcome.gpc else None,
            "npa": int(self.out),
            "rdp": int(self.out),
            "ldu": limited_data_use(outcome),
        }

    def for_page(self) -> dict[str, object]:
        """The `strings` member of a visitor's status."""
        ads = "denied" if self.out else "granted"
        return {
            "gpp": self.gpp,
            "gpp_sid": self.gpp_sid,
            "us_privacy": self.us_privacy,
            "consent_mode": dict.fromkeys(CONSENT_MODE, ads),
            "rdp": int(self.out),
            "npa": int(self.out),
            "parsed": self.parsed,
        }

    def for_store(self) -> dict[str, object]:
        """The keys that an app writes; None is to be removed. Keys of sections that do not apply are removed, so that
        none is left from another place.
        """
        other = {device.section_key(s.id): None for s in BY_NAME.values() if s.id not in self.sections}
        return {
            **other,
            **device.write_gpp(self.gpp, self.sections, self.gpp_sid),
            device.US_PRIVACY: self.us_privacy,
            device.RESTRICTED: 1 if self.out else None,
        }


@lru_cache(maxsize=4096)
def downstream(outcome: Outcome) -> Mapping[str, object]:
    """The `downstream` member of a verdict, made once an outcome: not to be changed."""
    return strings(outcome).for_recipient(outcome)


@lru_cache(maxsize=4096)
def strings(outcome: Outcome) -> Strings:
    """All strings of an outcome: a few hundred outcomes a day, asked for at each verdict (about 60 us a section)."""
    out = bool(outcome.denied)
    said = {section.name: fields(section, outcome) for section in sections_of(outcome)}
    text = gpp.write_gpp_string(dict(said.items()))
    if not said:
        return Strings(text, [-1], {}, usprivacy.write_usprivacy("-", "-", "-"), out, {})
    sections, us_privacy = gpp.split_gpp_string(text), usprivacy.write_usprivacy("Y", "Y" if out else "N", "N")
    return Strings(text, [*sections], sections, us_privacy, out, {name: _parsed(each) for name, each in said.items()})


def opted_out() -> Strings:
    """What a page says while the gateway has not answered: everything denied, in the national section. The page's
    script and its inline stub carry it as a constant (I11).
    """
    return strings(Outcome(frozenset(SIGNAL_PURPOSES), frozenset({US})))


def _parsed(said: Mapping[str, object]) -> list[dict[str, object]]:
    core = {name: value for name, value in said.items() if name != "Gpc"}
    return [core, {"GpcSegmentType": GPC_SEGMENT, "Gpc": said["Gpc"]}] if "Gpc" in said else [core]


@lru_cache(maxsize=4096)
def stores(outcome: Outcome) -> Mapping[str, object]:
    """What an app keeps on its phone: for now, and for as soon as the person opts out while it is offline. Made once an
    outcome: not to be changed.
    """
    return {"store": strings(outcome).for_store(), "store_opted_out": strings(outcome.all_denied()).for_store()}


def sections_of(outcome: Outcome) -> tuple[Section, ...]:
    """The GPP sections that say an outcome: the state's own where it is one state with a section that somebody reads,
    the national one for the rest of the United States and where nothing is known; none elsewhere. On a no both, where
    some reader of the national section does not read the state's: to that reader the no would be silence. Never both
    otherwise: what is not a no needs no second word.
    """
    places = outcome.places
    if places and not any(place in NOWHERE or place.startswith(f"{US}-") for place in places):
        return ()
    (place,) = places if len(places) == 1 else ("",)
    own = BY_NAME.get("us" + place.removeprefix(f"{US}-").lower())
    if own is None or own.id not in READ or outcome.said_in is GppSections.NATIONAL:
        return (NATIONAL,)
    unread = any(NATIONAL.id in reader.reads and own.id not in reader.reads for reader in READERS)
    return (NATIONAL, own) if outcome.denied and unread and outcome.said_in is GppSections.BOTH else (own,)


def fields(section: Section, outcome: Outcome) -> dict[str, object]:
    """Every field of a section. A denial for want of consent is written as an opt-out too: a recipient is never told
    less than the verdict.
    """
    said = {field.name: _value(section, field.name, field.count, outcome) for field in section.newest.fields}
    said[section.newest.fields[0].name] = max(section.cores)  # Version; MspaVersion in 24 to 27
    if any(layout.name == "Gpc" for layout in section.subsections):
        said["Gpc"] = outcome.gpc
    return said


def _value(section: Section, name: str, count: int | None, outcome: Outcome) -> object:
    if name == "SensitiveDataProcessing":
        items = [NOT_APPLICABLE] * (count or 1)
        if section.precise is not None:
            items[section.precise] = CONSENT if outcome.precise else NO_CONSENT
        return items
    if name in FIELDS_OF:
        return OPTED_OUT if _denied(name, section.newest, outcome) else DID_NOT_OPT_OUT
    if name == "KnownChildSensitiveDataConsents":
        value = NO_CONSENT if outcome.minor else NOT_APPLICABLE
        return [value] * count if count else value
    if name == "MspaCoveredTransaction":
        return NOT_COVERED
    return NOTICE_PROVIDED if name.endswith(("Notice", "UseNotice")) else NOT_APPLICABLE


def _denied(name: str, layout: Layout, outcome: Outcome) -> bool:
    """A purpose without a field of its own is said by the nearest: sharing by targeted advertising, and the other way
    round in California.
    """
    names = {field.name for field in layout.fields}
    spoken = {FIELDS_OF[name]}
    if name != "SaleOptOut":
        spoken |= {purpose for field, purpose in FIELDS_OF.items() if field not in names}
    return not spoken.isdisjoint(outcome.denied)


def limited_data_use(outcome: Outcome) -> dict[str, object]:
    """Meta's data processing options; an empty list says explicitly that nothing is limited."""
    states = {place.removeprefix(f"{US}-") for place in outcome.places if place.startswith(f"{US}-")}
    state = LDU_STATES.get(min(states), LDU_ANYWHERE) if len(states) == 1 else LDU_ANYWHERE
    if not outcome.denied:
        return {"options": [], "country": LDU_ANYWHERE, "state": LDU_ANYWHERE}
    country = LDU_US if states or US in outcome.places else LDU_ANYWHERE
    return {"options": ["LDU"], "country": country, "state": state}
