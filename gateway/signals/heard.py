"""`Heard`, the result of hearing one request: which denials, how long each holds, and what could not be read."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property

from gateway.terms import SIGNAL_PURPOSES, Malformed, Purpose, Source


class KeptFor(Enum):
    """How long a denial holds. A tool's default is never mistaken for a person's act, and a doubt is never an allow."""

    MOMENT = "moment"  # in this answer only: a default, a flag that nobody set, a string that cannot be read
    STATE = "state"  # of this browser or device, until the same source says the opposite (R26)
    CHOICE = "choice"  # a person's own, written like any other choice


@dataclass(frozen=True, slots=True)
class Said:
    """One signal that denies something."""

    source: Source | str
    purposes: frozenset[Purpose]
    kept: KeptFor = KeptFor.CHOICE


@dataclass(frozen=True)
class Heard:
    """`ended`: sources that now say the opposite of a state that may be on record for them. `vendors`: whom a TC string
    of this request lets advertise, by their numbers in IAB Europe's list; nobody where anything else in it says no.
    What follows from these is worked out once: the same bytes are heard as the same object.
    """

    said: tuple[Said, ...] = ()
    malformed: tuple[Malformed, ...] = ()
    ended: frozenset[str] = frozenset()
    cookies: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    vendors: frozenset[int] = frozenset()

    def __hash__(self) -> int:
        """Of the members that tell apart what answers are looked up by: whom a TC string names is another set for
        nearly every European. Cookies are not among them: no answer is worked out from those.
        """
        return hash((self.said, self.malformed, self.ended, self.vendors))

    @cached_property
    def denied(self) -> frozenset[Purpose]:
        return frozenset(purpose for said in self.said for purpose in said.purposes)

    @cached_property
    def gpc(self) -> bool:
        return any(said.source == Source.GPC for said in self.said)

    @cached_property
    def remembered(self) -> frozenset[Purpose]:
        """The purposes of the choices among the signals."""
        return _purposes(said for said in self.said if said.kept is KeptFor.CHOICE)

    def to_remember(self) -> Said | None:
        """The one choice to write: the signal that says most, the first of equals. A no to one of its purposes denies
        all of them, so the others would add nothing.
        """
        chosen = [said for said in self.said if said.kept is KeptFor.CHOICE]
        most = max(chosen, key=lambda said: len(said.purposes), default=None)
        return Said(most.source, _purposes([most])) if most else None

    def beside(self, other: "Heard") -> "Heard":
        """Both together; what one still denies, the other has not ended, and no TC string of the other opens."""
        held = {said.source for said in (*self.said, *other.said) if said.kept is not KeptFor.MOMENT}
        both = Heard(
            (*other.said, *self.said),
            (*other.malformed, *self.malformed),
            (self.ended | other.ended) - held,
            other.cookies or self.cookies,
        )
        if both.malformed or not both.denied.isdisjoint(SIGNAL_PURPOSES):
            return both
        several = self.vendors and other.vendors
        return replace(both, vendors=self.vendors & other.vendors if several else self.vendors | other.vendors)

    def without_endings(self) -> "Heard":
        """For callers who can only tighten: nothing ends and nobody is let in."""
        return replace(self, ended=frozenset(), vendors=frozenset())

    @cached_property
    def keeps(self) -> bool:
        """Whether there is anything to write: a choice, a state, or the end of one."""
        return bool(self.ended) or any(said.kept is not KeptFor.MOMENT for said in self.said)

    @cached_property
    def has_states(self) -> bool:
        return any(said.kept is KeptFor.STATE for said in self.said)

    def states(self) -> list[Said]:
        """The states that began or go on, one a source."""
        held = [said for said in self.said if said.kept is KeptFor.STATE]
        return [
            Said(source, _purposes(said for said in held if said.source == source), KeptFor.STATE)
            for source in dict.fromkeys(said.source for said in held)
        ]


def _purposes(said: Iterable[Said]) -> frozenset[Purpose]:
    """What a signal may set, of all that these say."""
    found = {purpose for each in said for purpose in each.purposes}
    return frozenset(purpose for purpose in SIGNAL_PURPOSES if purpose in found)
