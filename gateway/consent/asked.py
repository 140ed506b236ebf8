"""A check as it is asked, what is met of whom it names, and as it is answered: shapes that doors, shares, replicas and
the checks themselves hand to each other. `consent.check` fills them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

from gateway.choice.downstream import GppSections, Outcome
from gateway.choice.identity import Name
from gateway.choice.question import DENIED, NAMED, Grant, Naming, Office, Question, Verdict
from gateway.choice.recipient import Recipient
from gateway.choice.rules.case import NOT_PERSONAL
from gateway.choice.standing import Standing
from gateway.choice.verdict import Step
from gateway.consent.people import Named, Said
from gateway.consent.places import Places
from gateway.consent.tokens import DeviceToken
from gateway.desk.evidence import HeldThen
from gateway.desk.history import NOT_FORGOTTEN, Forgotten
from gateway.signals.hear import Hearing
from gateway.signals.heard import Heard
from gateway.state.lookup import Reached, Seen
from gateway.terms import SIGNAL_PURPOSES, Answer, DataClass, Reason

NO_SIGNALS: Mapping[str, object] = {}
NOTHING_MAY = Outcome(frozenset(SIGNAL_PURPOSES))


class Ask(NamedTuple):
    """A check, read from a body but not yet understood. None means not said; `collected` then is today, but for a row
    of a share, whose day nobody knows. `geo` and `ip` may be several, which all count, as do the signals that were said
    in a second place (`also`).
    """

    recipients: tuple[str, ...]
    identifiers: Sequence[Mapping[str, object]] = ()
    purpose: str | None = None
    data: tuple[str, ...] | None = None
    place: object = None
    geo: object = None
    ip: object = None
    age: str | None = None
    count: int | None = None  # type: ignore[assignment]  # a tuple's method of that name is asked by nobody
    collected: date | None = None
    during_call: bool = False
    signals: Mapping[str, object] = NO_SIGNALS
    also: Sequence[Mapping[str, object]] = ()
    row: bool = False  # a row of a share: it needs an identifier
    beside: Sequence[Mapping[str, object]] = ()  # identifiers that the data itself holds
    names: Sequence[Name] = ()  # the same in normal form, where they were read before; of ad ids without their digests
    named: Named | None = None  # whom the call names and shows, where that was read before; `identifiers` are not then
    seen: Seen | None = None  # what stands of those, where that was read before
    token: DeviceToken | None = None  # of the app's installation that asks
    seen_to_leave: bool = False  # what it names stands in what leaves: a bid request
    numbered: bool = False  # whoever asks may learn which entry decided
    instead: tuple[Standing, ...] = ()  # of what stands on record, which the caller may not know


class Around(NamedTuple):
    """What a check says beside whom it is about: where that may be, what was heard, and whether the point may lie in a
    sensitive place.
    """

    places: frozenset[str]
    heard: Heard
    sensitive: bool = False


class Likeness(NamedTuple):
    """All by which the answers to one question differ from person to person, but for grants, which name their entries:
    two people of one likeness are answered alike. `alike`: what the standings say, each word once. `fixed`: of an
    account that a gateway for trying things out always answers the same.
    """

    alike: tuple[Standing, ...]
    naming: Naming = NAMED
    limited: bool = False
    fixed: str = ""


class Met(NamedTuple):
    """What stands on record of whom a check names. `own`: keys of those it is about, the first identifier's own key
    first; `keys`: of all that it was read from. `refused`: why it could not be read. `said`: see `Checked`. `others`:
    what stands of ids in the data itself, which are not of those whom it is about.
    """

    own: tuple[bytes, ...]
    keys: tuple[bytes, ...]
    likeness: Likeness
    position: int | None = None
    standings: tuple[Standing, ...] = ()
    grants: tuple[Grant, ...] = ()
    reached: Reached | None = None
    said: Said | None = None
    refused: Reason | None = None
    others: tuple[Standing, ...] = ()

    @property
    def is_like_others(self) -> bool:
        """Whether all of one likeness are answered alike: grants name entries of their own, and no answer is none."""
        return not (self.grants or self.refused)

    def holds_who_refused(self, question: Question) -> bool:
        """Whether what is said to be of many or of nobody holds an id of somebody who said no."""
        noes = (each.denies(purpose) for each in self.others for purpose in question.purposes)
        return NOT_PERSONAL.issuperset(question.data) and any(noes)


class Checked(NamedTuple):
    """Verdicts by recipient. `position` is None where the store gave no answer. `keys`: what it was read from, the
    first identifier's own key first; `own`: those of the identifiers that the question is about. `age`: the
    youngest band that anything says. `grants`: what they allowed single recipients, newest first. `said`: of a row, by
    what it names them. `reached`: by what to ask whether anything changed since. `until`: of a replica's, before which
    moment of its clock a send on it has to start.
    """

    verdicts: dict[str, Verdict]
    position: int | None
    heard: Heard
    keys: tuple[bytes, ...] = ()
    outcome: Outcome = NOTHING_MAY
    own: tuple[bytes, ...] = ()
    age: str | None = None
    grants: tuple[Grant, ...] = ()
    said: Said | None = None
    reached: Reached | None = None
    until: float = float("-inf")

    def outcome_for(self, name: str) -> Outcome:
        """What one recipient is to be told: never less than its verdict."""
        data = self.verdicts[name].data
        if set(data.values()) <= DENIED:
            return self.outcome.all_denied()
        precise = data.get(DataClass.PRECISE_GEO.value) is Answer.ALLOW
        return replace(self.outcome, precise=True) if precise else self.outcome


@dataclass(frozen=True, slots=True)
class Then:
    """What stood on record about the people of a check at some moment, and the day of it. `held`: what was in force
    then, where it is on record; without it what is in force now is asked, under the law of that day. `forgotten` as
    `history.Rebuilt` has it.
    """

    on: date
    position: int
    standings: tuple[Standing, ...]
    grants: tuple[Grant, ...] = ()
    held: HeldThen | None = None
    forgotten: Forgotten = NOT_FORGOTTEN

    def leaves_open(self, explained: "Explained") -> bool:
        """Whether a verdict may have been another one on the day, so that it is neither an allow nor a deny: what is
        forgotten takes back no opt-out that is on record still.
        """
        reasons = {step.ruling.reason for step in explained.steps if step.ruling}
        lost = self.forgotten.purposes
        taken_back = any(standing.denies(each) for standing in self.standings for each in lost)
        return self.forgotten != NOT_FORGOTTEN and (taken_back or reasons != {Reason.OPTED_OUT})


class Explained(NamedTuple):
    """One recipient's verdict with the rules that were tried; none where the check names what is not configured."""

    verdict: Verdict
    steps: tuple[Step, ...]


class InForce(NamedTuple):
    """What every answer of now rests on beside the question: equal ones, and the same question is answered the same."""

    office: Office
    recipients: Mapping[str, Recipient]
    places: Places
    hearing: Hearing
    said_in: GppSections


class Basis(NamedTuple):
    """What was in force, and when (`disk.boot_seconds`), right before somebody was met."""

    in_force: InForce
    since: float
