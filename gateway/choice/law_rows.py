"""A row of the law: in this place, from and until these days, for this purpose or data class, at this age, this rule.

Owns what a row is, when it holds, and which of two is the stricter. Never knows where a row came from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum

from gateway.terms import DataClass, Purpose

AGES = ("under_13", "13_15", "16_17", "adult")  # from young to old
RANKS: Mapping[str | None, int] = {band: rank for rank, band in enumerate(AGES)} | {None: AGES.index("adult")}
YOUNGEST = 0
UNIVERSAL_OPT_OUT = "universal_opt_out"  # the duty to hear a signal such as GPC: only told, for all are heard anyway
SUBJECTS = frozenset({*Purpose, *DataClass, UNIVERSAL_OPT_OUT})
CONFIDENCES = ("P", "S", "B", "?")  # primary text, secondary source, background, open


class Rule(IntEnum):
    """From loose to strict; the strictest holds."""

    ALLOWED = 0
    OPT_OUT = 1
    LIMIT = 2
    OPT_IN = 3
    BANNED = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One rule for one subject in one place.

    `subject` is a purpose or a data class. `until` is the last day. `ages`: the bands it is for, none for everybody.
    `in_band`: a consent that this very request carries (a TC string) may allow. `confidence` is law.md's mark.
    `notice_days`, `notice_years`: silence approves once so many whole days after a notice are over, and until so many
    years after it.
    """

    place: str
    subject: str
    rule: Rule
    citation: str
    start: date
    until: date | None = None
    confidence: str = "?"
    ages: tuple[str, ...] = ()
    in_band: bool = False
    note: str = ""
    notice_days: int = 0
    notice_years: int = 0
    text: str = field(init=False, compare=False)  # what a verdict cites, put together once

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", f"{self.place} {self.citation}")

    @property
    def strictness(self) -> tuple[Rule, bool, bool]:
        """What rows are compared by: the rule, whether silence wants a notice, whether an in-band consent is worth
        nothing.
        """
        return self.rule, bool(self.notice_days), not self.in_band

    @property
    def reach(self) -> int:
        """The oldest band it holds for, as a place in `AGES`. What holds for a child holds for a younger one."""
        return max((RANKS[band] for band in self.ages), default=RANKS["adult"])

    @property
    def for_everybody(self) -> bool:
        return self.reach == RANKS["adult"]

    def holds(self, on: date, age: str | None = None) -> bool:
        """Whether it is in force for a person of that age; None is an adult, an unknown word the youngest."""
        in_force = self.start <= on and (self.until is None or on <= self.until)
        return in_force and RANKS.get(age, YOUNGEST) <= self.reach

    def __str__(self) -> str:
        return self.text
