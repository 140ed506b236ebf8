"""What is heard: `Heard`, of one request (which denials, how long each holds, what could not be read), and `Reading`,
the answer of every string reader (GPP, TCF, US Privacy, Additional Consent, AdChoices): its fields, and what it says of
each purpose. Also header values as RFC 9110 has them, for whoever compares one to the letter.

The one promise that callers build on is kept here and nowhere else: a string that is not valid never says `allowed`,
while an opt-out that could be read in it still counts.

Servers differ in what they leave on a header's value; `trimmed` and `members` take off the blanks around it, and take
apart what a proxy joined.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property

from gateway.terms import SIGNAL_PURPOSES, Malformed, Purpose, Source, Stated


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
    vendors: frozenset[int] = frozenset()

    @cached_property
    def denied(self) -> frozenset[Purpose]:
        return frozenset(purpose for said in self.said for purpose in said.purposes)

    @cached_property
    def gpc(self) -> bool:
        return any(said.source == Source.GPC for said in self.said)

    @cached_property
    def is_gpc_alone(self) -> bool:
        """Whether it is GPC that is to be written, and nothing else."""
        kept = [said.source for said in self.said if said.kept is not KeptFor.MOMENT]
        return bool(kept) and not self.ended and all(source == Source.GPC for source in kept)

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


Choices = Mapping[Purpose, Stated]
Fields = Mapping[str, object]
UNKNOWN: Choices = dict.fromkeys(SIGNAL_PURPOSES, Stated.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Reading:
    """`choices` holds every purpose that a signal may set. `sections`: the fields by section, named as in the
    specification. `absent`: sections and subsections that were not there, whose fields are the specification's
    defaults. `error`: why the string is not valid, as a short code; empty when it is. `unanswered`: purposes that are
    opted out only by what may be a tool's untouched default, such as a consent string without any consent.
    """

    choices: Choices = field(default_factory=lambda: UNKNOWN)
    sections: Mapping[str, Fields] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    error: str = ""
    unanswered: frozenset[Purpose] = frozenset()
    opted_out: frozenset[Purpose] = field(init=False, repr=False, compare=False, default=frozenset())

    def __post_init__(self) -> None:
        if self.error:
            object.__setattr__(self, "choices", without_allows(self.choices))
        out = frozenset([purpose for purpose, stated in self.choices.items() if stated is Stated.OPTED_OUT])
        object.__setattr__(self, "opted_out", out)
        object.__setattr__(self, "unanswered", self.unanswered & out)

    @property
    def ok(self) -> bool:
        return not self.error

    def as_json(self) -> dict[str, object]:
        """The shape that `gateway decode` prints."""
        choices = {purpose.value: stated.value for purpose, stated in self.choices.items()}
        if self.error:
            found = {"sections": self.sections} if self.sections else {}
            return {"ok": False, "error": self.error, **found, "choices": choices}
        return {"ok": True, "sections": self.sections, "choices": choices, "absent": list(self.absent)}


def without_allows(choices: Choices) -> Choices:
    """The same with every `allowed` read as `unknown`."""
    return {purpose: Stated.UNKNOWN if stated is Stated.ALLOWED else stated for purpose, stated in choices.items()}


def stated(opted_out: Iterable[Purpose] = (), allowed: Iterable[Purpose] = ()) -> Choices:
    """Every signal purpose: an opt-out wins over an allow, and what is in neither is unknown."""
    out, allows = frozenset(opted_out), frozenset(allowed)
    return {
        purpose: Stated.OPTED_OUT if purpose in out else Stated.ALLOWED if purpose in allows else Stated.UNKNOWN
        for purpose in SIGNAL_PURPOSES
    }


def strictest(readings: Iterable[Choices]) -> Choices:
    """Several statements together: any opt-out wins; allowed only where one says so and none says otherwise."""
    found = [*readings]
    if len(found) == 1:
        return found[0]
    out = {purpose for choices in found for purpose, word in choices.items() if word is Stated.OPTED_OUT}
    allowed = {purpose for choices in found for purpose, word in choices.items() if word is Stated.ALLOWED}
    return stated(out, allowed)


OWS = b" \t"  # optional whitespace (RFC 9110 5.6.3)
Headers = Sequence[tuple[bytes, bytes]]


def trimmed(headers: Headers) -> Headers:
    """The same headers; optional whitespace around a value is no part of it (5.5)."""
    return [(name, value.strip(OWS)) for name, value in headers]


def members(value: bytes) -> list[bytes]:
    """What one field says: its value, or the values of several that somebody on the way put into one line (5.3)."""
    if b"," not in value:
        return [value.strip(OWS)]
    return [part.strip(OWS) for part in value.split(b",")]
