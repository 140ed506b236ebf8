"""What a check is answered from, and how it was: shapes that `gateway.check` fills. Owns no rule, looks nothing up."""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from gateway.choice.question import NAMED, Grant, Naming, Verdict
from gateway.choice.standing import Standing
from gateway.choice.verdict import Step
from gateway.exports.held_then import HeldThen
from gateway.signals.heard import Heard


class Known(NamedTuple):
    """What is the same for all the recipients of one check. `alike`: the standings without the numbers of their
    entries, by which answers are remembered.
    """

    places: frozenset[str]
    heard: Heard
    standings: tuple[Standing, ...]
    alike: tuple[Standing, ...]
    grants: tuple[Grant, ...]
    limited: bool
    sensitive: bool = False
    naming: Naming = NAMED


@dataclass(frozen=True, slots=True)
class Then:
    """What stood on record about the people of a check at some moment, and the day of it. `held`: what was in force
    then, where it is on record; without it what is in force now is asked, under the law of that day.
    """

    on: date
    position: int
    standings: tuple[Standing, ...]
    grants: tuple[Grant, ...] = ()
    held: HeldThen | None = None


class Explained(NamedTuple):
    """One recipient's verdict with the rules that were tried; none where the check names what is not configured."""

    verdict: Verdict
    steps: tuple[Step, ...]
