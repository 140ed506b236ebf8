"""`Reading`, the answer of every string reader (GPP, TCF, US Privacy, Additional Consent, AdChoices): its fields, and
what it says of each purpose. Also header values as RFC 9110 has them, for whoever compares one to the letter.

The one promise that callers build on is kept here and nowhere else: a string that is not valid never says `allowed`,
while an opt-out that could be read in it still counts.

Servers differ in what they leave on a header's value; `trimmed` and `members` take off the blanks around it, and take
apart what a proxy joined.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.terms import SIGNAL_PURPOSES, Purpose, Stated

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

    def __post_init__(self) -> None:
        if self.error:
            object.__setattr__(self, "choices", without_allows(self.choices))
        object.__setattr__(self, "unanswered", self.unanswered & self.opted_out)

    @property
    def ok(self) -> bool:
        return not self.error

    @property
    def opted_out(self) -> frozenset[Purpose]:
        return frozenset(purpose for purpose, stated in self.choices.items() if stated is Stated.OPTED_OUT)

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
