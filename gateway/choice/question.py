"""The shapes of a verdict: what it is asked, what it is asked of, and what it answers. No rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from gateway.choice.law import LawTable
from gateway.choice.recipient import Recipient
from gateway.choice.standing import Standing
from gateway.signals.heard import Heard
from gateway.terms import Answer, DataClass, GrantKind, Purpose, Reason

NOTHING = Heard()
ALLOWED, DENIED = frozenset({Answer.ALLOW}), frozenset({Answer.DENY})


@dataclass(frozen=True, slots=True)
class Grant:
    """What a person allowed one recipient. `data_class` None: every class. An act that is over is not among them.
    `child`: by somebody who was known as a child under 13, however old they are now.
    """

    recipient: str
    purpose: Purpose
    data_class: DataClass | None
    seq: int
    kind: GrantKind = GrantKind.OPTED_IN
    child: bool = False


class Naming(NamedTuple):
    """How a question names whom it is about. `row`: it is a row of a share, which is about somebody. `nobody`: no
    identifier of it can be looked up. `undeclared`, `malformed`: one has a kind that the configuration does not know,
    or cannot be read.
    """

    row: bool = False
    nobody: bool = False
    undeclared: bool = False
    malformed: bool = False


NAMED = Naming()


class Question(NamedTuple):
    """`places`: all that are known, strictest wins; empty is unknown. `age`: a band, None when nothing is known.
    `limited`: an identifier list with nothing usable, or a zero id in it. `count`: of how many people aggregate or
    deidentified data tells; None is unknown. `collected`: the day the data was taken; None is unknown.
    `during_call`: a point that was taken during a call (47 USC 222(f)). `sensitive`: one that may lie in a sensitive
    place (L70).
    """

    recipient: Recipient
    purposes: tuple[Purpose, ...]
    data: tuple[DataClass, ...]
    places: frozenset[str] = frozenset()
    age: str | None = None
    heard: Heard = NOTHING
    standings: tuple[Standing, ...] = ()
    grants: tuple[Grant, ...] = ()
    limited: bool = False
    count: int | None = None  # type: ignore[assignment]  # a tuple's method of that name is asked by nobody
    collected: date | None = None
    during_call: bool = False
    sensitive: bool = False
    naming: Naming = NAMED


@dataclass(frozen=True, slots=True)
class Gap:
    """Days (both included) on which no notice of the right to opt out was posted on a surface: `web`, `app`, or empty
    for both (L55).
    """

    start: date
    until: date
    surface: str = ""


@dataclass(frozen=True, slots=True)
class Notices:
    """What the operator has announced. `told_everyone`: the day of the last notice that everybody was shown or sent;
    whoever has no day of their own on record was told then. `gaps`: days without a posted notice. `wait`: days from a
    person's own notice until it counts.
    """

    told_everyone: date = date.max
    gaps: tuple[Gap, ...] = ()
    wait: int = 0


ALL_TOLD = Notices()


@dataclass(frozen=True, slots=True, eq=False)  # one object a day: compared by identity
class Office:
    """What holds for every question: the law, the day, the operator's age floor (0: none), what was announced, the
    fewest people that aggregate data may tell of, and whether the rules for CPNI are applied (off: none goes, R27).
    """

    law: LawTable
    on: date
    age_floor: int = 0
    notices: Notices = ALL_TOLD
    least_count: int = 10
    cpni: bool = True


class Ruling(NamedTuple):
    """What one rule says of one (purpose, class) pair. `by`: which of the standings decided, `seq`: its entry, or that
    of a grant.
    """

    answer: Answer
    reason: Reason
    rule: str
    seq: int | None = None
    by: int | None = None


class Verdict(NamedTuple):
    """`allowed`: every class asked for may go as it stands. `partly`: some may, or changed (R3). `seq`: the entry that
    decided; `by`: which of the question's standings, if it was one.
    """

    data: Mapping[str, Answer]
    reason: Reason
    rule: str
    place: str
    seq: int | None = None
    by: int | None = None

    @property
    def allowed(self) -> bool:
        return set(self.data.values()) == ALLOWED

    @property
    def partly(self) -> bool:
        answers = set(self.data.values())
        return answers != ALLOWED and not answers <= DENIED

    def shown(self) -> dict[str, object]:
        """As callers and commands are shown it, but for what decided."""
        told = {"data": self.data, "reason": self.reason, "rule": self.rule, "place": self.place}
        return {"allowed": self.allowed, "partly": self.partly, **told}
