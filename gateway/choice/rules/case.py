"""A case: one question, turned to one (purpose, data class) pair after the other, with the facts that the rules look
at.

What holds for the whole question is worked out once, since every rule asks for it (a verdict has 10 us).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from gateway.choice.law import AGES, RANKS, YOUNGEST, LawRow
from gateway.choice.place import UNKNOWN_PLACE, UNREADABLE_PLACE, US
from gateway.choice.question import Grant, Office, Question, Ruling
from gateway.choice.standing import IN, IN_BITS, OUT_BITS, SHIFT, Standing
from gateway.terms import SIGNAL_PURPOSES, Answer, DataClass, GrantKind, Purpose, Reason, Role

# Members that rules compare with, by names of their own: in Python 3.11 reading one through its class costs 120 ns
# (measured), which is more than most rules.
CONTENT, KEYWORDS, CPNI = DataClass.CONTENT, DataClass.KEYWORDS, DataClass.CPNI
PRECISE_GEO, COARSE_GEO = DataClass.PRECISE_GEO, DataClass.COARSE_GEO
SERVICE, TRANSFER, CALL_LOCATION = Purpose.SERVICE, Purpose.TRANSFER, Purpose.CALL_LOCATION
LEGAL, SERVICE_PROVIDER, CONSUMER_DIRECTED = Role.LEGAL, Role.SERVICE_PROVIDER, Role.CONSUMER_DIRECTED
DENY, ALLOW, COARSEN = Answer.DENY, Answer.ALLOW, Answer.COARSEN
NOT_PERSONAL = frozenset({DataClass.AGGREGATE, DataClass.DEIDENTIFIED})
POINTS = frozenset({PRECISE_GEO, COARSE_GEO, CPNI})  # what may tell where a call was made from
# Nobody can opt out of these; with the person's own act they are not a sale either.
NOT_CHOOSABLE = frozenset({Purpose.SERVICE, Purpose.SECURITY, Purpose.LEGAL, Purpose.LEGAL_NOTICE})
UNKNOWN = frozenset({UNKNOWN_PLACE})
NOWHERE = frozenset({UNKNOWN_PLACE, UNREADABLE_PLACE, US})  # places that say nothing of which law
CHILD = AGES[YOUNGEST]
SIGNALS = frozenset(SIGNAL_PURPOSES)
OPTED_IN = GrantKind.OPTED_IN
IN_SHIFTS: Mapping[Purpose, int] = {purpose: IN << shift for purpose, shift in SHIFT.items()}


def with_homes(places: frozenset[str], standings: Iterable[Standing]) -> frozenset[str]:
    """The places of a call, and where its people live (R13), beside an unknown place as well: it is stricter."""
    homes = [standing.places for standing in standings if standing.places]
    return (places or UNKNOWN).union(*homes) if homes else places


@lru_cache(maxsize=1024)
def of_a_home(row: LawRow) -> LawRow:
    """A row that holds for where its person lives, and for no place of the call: an answer does not tell which."""
    return replace(row, place="the law", citation="of where this person lives")


class Case:
    """`out`, `opt_ins` and `informed` are the bits of all the standings together, of opt-ins those that count at this
    age. `places`: those of the question, and where these people said that they are (R13). `third`: whoever gets the
    data is outside the business.
    """

    __slots__ = (
        "band",
        "data_class",
        "grown",
        "informed",
        "legal",
        "office",
        "opt_ins",
        "out",
        "personal",
        "places",
        "purpose",
        "question",
        "recipient",
        "role",
        "rows",
        "third",
    )

    purpose: Purpose
    data_class: DataClass
    personal: bool

    def __init__(self, question: Question, office: Office) -> None:
        self.question, self.office, self.recipient = question, office, question.recipient
        self.role, self.third = question.recipient.role, question.recipient.third
        self.band = youngest(question.age, question.standings)
        self.out = self.opt_ins = self.informed = 0
        self.grown, self.places = False, with_homes(question.places, question.standings)
        for standing in question.standings:
            self.out |= standing.own & OUT_BITS | standing.travelled
            yes = yes_bits(standing, self.band)
            self.opt_ins |= yes
            self.informed |= yes & standing.informed
            self.grown = self.grown or standing.grown
        self.legal = self.role is LEGAL
        self.rows: dict[str, LawRow] = {}

    def turn_to(self, purpose: Purpose, data_class: DataClass) -> None:
        self.purpose, self.data_class = purpose, data_class
        self.personal = data_class not in NOT_PERSONAL

    def row(self, subject: str) -> LawRow:
        """The strictest row in force for this person: all places, the day, the age."""
        row = self.rows.get(subject)
        if row is None:
            row = self._strictest(self.places, subject)
            if self.places is not self.question.places and row != self._strictest(self.question.places, subject):
                row = of_a_home(row)
            self.rows[subject] = row
        return row

    def _strictest(self, places: frozenset[str], subject: str) -> LawRow:
        return self.office.law.strictest(places, subject, self.office.on, self.band)

    def opted_in(self, purpose: Purpose) -> bool:
        """Whether somebody of the question said yes to it. That nobody else said no was asked before."""
        return bool(self.opt_ins & IN_SHIFTS.get(purpose, 0))

    def grant(self, kind: GrantKind, *, by_name: bool = False) -> Grant | None:
        """What the person allowed this recipient for this purpose and class (`by_name`: for no other), newest first of
        that kind.
        """
        for grant in self.question.grants:
            if (
                grant.kind is kind
                and grant.recipient == self.recipient.name
                and grant.purpose == self.purpose
                and (grant.data_class == self.data_class or not (by_name or grant.data_class))
                and (kind is not OPTED_IN or self._is_theirs(grant))
            ):
                return grant
        return None

    def _is_theirs(self, grant: Grant) -> bool:
        """A child's is one where a parent said yes to the purpose, and none once they are older (R14)."""
        return self.opted_in(self.purpose) if self.band == CHILD else not grant.child

    @property
    def somewhere(self) -> bool:
        """Whether every place that was said names a law."""
        places = self.question.places
        return bool(places) and places.isdisjoint(NOWHERE)


OneRule = Callable[[Case], Ruling | None]


class Rule(NamedTuple):
    """`asks` is the question that the rule answers, for a person to read; no opinion means that the next is asked."""

    name: str
    asks: str
    apply: OneRule


def deny(reason: Reason, rule: str, seq: int | None = None, by: int | None = None) -> Ruling:
    return Ruling(DENY, reason, rule, seq, by)


def yes_bits(standing: Standing, band: str) -> int:
    """The opt-ins of a standing that are good at an age, by who may give them (L71): a parent's for a child that is one
    on record, since nobody opens by calling somebody a child; from 13 on the person's own.
    """
    return parents_yes(standing, YOUNGEST) if band == CHILD else standing.own & IN_BITS & ~standing.parental


def parents_yes(standing: Standing, reach: int) -> int:
    """The opt-ins of a parent that are good for bands up to a place in `AGES`: as long as the record says that it is
    one of these. Of whoever was younger once the band may be an app's unproved word, which reopens nothing: it is none
    where an account is known, and a proved child was never younger.
    """
    if standing.age_band is None or RANKS.get(standing.age_band, YOUNGEST) > reach:
        return 0
    proved = not standing.grown or (standing.linked and standing.age_band != CHILD)
    return standing.parental if proved else 0


def youngest(age: str | None, standings: Iterable[Standing]) -> str:
    """The youngest of the age on record and the one that the caller says; an adult where nothing is known (R14). A word
    that is no band is as good as the youngest.
    """
    return AGES[min([RANKS.get(band, YOUNGEST) for band in (age, *[standing.age_band for standing in standings])])]
