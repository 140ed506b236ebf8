"""What one consent-tool cookie shows. Vocabulary only: no reader and no rule of a tool is here."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Purpose

# What a site's category stands for: do not sell, or advertising (R25).
Word = Literal["sale", "ads"]
DENIES: Mapping[Word, frozenset[Purpose]] = {
    "sale": frozenset(SIGNAL_PURPOSES),
    "ads": frozenset(AD_CHOICE_PURPOSES),
}
Words = frozenset[Word]
SALE: Words = frozenset({"sale"})
ADS: Words = frozenset({"ads"})
NOTHING: Words = frozenset()


class Shown(StrEnum):
    """`OPTED_OUT`: refused. `ALLOWED`: on by a person's act, and nothing refused. `DEFAULT`: nothing that anybody can
    be shown to have chosen; what the tool holds off by itself is denied all the same. `OPAQUE`: not readable here.
    """

    OPTED_OUT = "opted_out"
    ALLOWED = "allowed"
    DEFAULT = "default"
    OPAQUE = "opaque"


class By(StrEnum):
    """Who put a tool's switches where they are."""

    PERSON = "person"
    TOOL = "tool"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Carried:
    """A string of another format inside a cookie, for its own reader. `channel` is gpp, tc, ac or us_privacy.
    `section_ids`: the GPP sections that the tool says apply (gpp_sid), `None` where it says nothing.
    """

    channel: str
    text: str
    section_ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ToolState:
    """One cookie's answer. `denied`: purposes off in this request. `act`: certainly a person's doing, to be remembered;
    `OPTED_OUT` without it is off, and nobody can tell who did it. `granted`: what it says is on and the tool did not
    put on by itself; `refused`: what is off, in words.
    """

    tool: str
    cookie: str
    shown: Shown
    denied: frozenset[Purpose] = frozenset()
    act: bool = False
    carried: tuple[Carried, ...] = ()
    granted: Words = NOTHING
    refused: Words = NOTHING
