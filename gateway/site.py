"""What holds for one visitor of the website, or for one person in the app. Owns the answer; never looks anything up."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.choice.downstream import GppSections, Outcome
from gateway.choice.law import AGES, UNKNOWN_PLACE
from gateway.choice.question import NOTHING, Office, Question
from gateway.choice.recipient import Recipient
from gateway.choice.rules.case import youngest
from gateway.choice.standing import Standing, out_bits
from gateway.choice.verdict import decide
from gateway.ledger.records import Subject
from gateway.signals.heard import Heard, Kept, Said
from gateway.terms import SIGNAL_PURPOSES, DataClass, Purpose, Role

ADULT = AGES[-1]
# Whoever the site or the app might hand an ad id to, with everything in order that is not about the person.
ANYBODY = Recipient(
    "anybody", Role.THIRD_PARTY, SIGNAL_PURPOSES, (DataClass.AD_ID,), contract="any", transfer_basis="any"
)  # fmt: skip
SAID_NO = Heard((Said("signal", frozenset(SIGNAL_PURPOSES), Kept.MOMENT),))


@dataclass(frozen=True, slots=True)
class Site:
    """What the website may do for this visitor. `status`: honored, none or unknown (api.md, To the site)."""

    allowed: Mapping[Purpose, bool]
    status: str
    places: frozenset[str]
    gpc: bool = False
    standings: tuple[Standing, ...] = ()
    said_in: GppSections = GppSections.BOTH

    @property
    def place(self) -> str:
        return _place(self.places)

    @property
    def opted_out(self) -> bool:
        return self.status != "none"

    @property
    def restricted(self) -> bool:
        """Whether anything must not be done: opted out, or in a place where silence is a no."""
        return not all(self.allowed.values())

    @property
    def outcome(self) -> Outcome:
        """The same, for the strings that a page or an app is given."""
        denied = frozenset(purpose for purpose, may in self.allowed.items() if not may)
        minor = is_young(None, self.standings)
        return Outcome(denied, self.places, self.gpc, minor=minor, said_in=self.said_in)

    def learns(self, heard: Heard, subjects: Sequence[Subject]) -> bool:
        """Whether some subject's row lacks a denial that was heard, or has one that may have ended; the writer looks
        again in its transaction.
        """
        chosen = heard.remembered
        if chosen and len(self.standings) < len(subjects):
            return True
        bits = out_bits(chosen)
        if not all(standing.own & bits == bits for standing in self.standings):
            return True
        if not (heard.ended or heard.has_states):
            return False
        held = Counter(source for standing in self.standings for source in standing.held)
        devices = sum(subject.is_device for subject in subjects)
        return any(held[state.source] < devices for state in heard.states()) or not heard.ended.isdisjoint(held)


@lru_cache(maxsize=1024)
def _place(places: frozenset[str]) -> str:
    return ",".join(sorted(places)) or UNKNOWN_PLACE


def is_young(age: str | None, standings: Sequence[Standing]) -> bool:
    return youngest(age, standings) != ADULT


@lru_cache(maxsize=4096)
def outcome_of(
    places: frozenset[str], said_no: bool, gpc: bool, standings: tuple[Standing, ...], age: str | None, office: Office,
    said_in: GppSections = GppSections.BOTH,
) -> Outcome:  # fmt: skip
    """What holds for the person whoever asks. Remembered by its arguments, as what it is made from is."""
    allowed, _ = what_may(places, said_no, standings, age, office)
    denied = frozenset(purpose for purpose, may in allowed.items() if not may)
    return Outcome(denied, places, gpc, minor=is_young(age, standings), said_in=said_in)


@lru_cache(maxsize=4096)
def what_may(
    places: frozenset[str], said_no: bool, standings: tuple[Standing, ...], age: str | None, office: Office
) -> tuple[Mapping[Purpose, bool], bool]:
    """Which purposes may be done at all: what the verdict says of anybody who is in order; and whether somebody said no
    to one. `said_no`: this request did. Remembered by its arguments: most people have no record and say nothing.
    """
    heard = SAID_NO if said_no else NOTHING
    allowed = {
        purpose: decide(
            Question(ANYBODY, (purpose,), ANYBODY.data, places, age, heard, standings, collected=office.on), office
        ).allowed
        for purpose in SIGNAL_PURPOSES
    }  # fmt: skip
    chosen = said_no or any(standing.denies(purpose) for standing in standings for purpose in SIGNAL_PURPOSES)
    return allowed, chosen
