"""What an answer is on record as, and its id (R22): the same for the gateway and for a replica, which differ in where
the record lies. An announced send is on record before it is answered, and is checked again after that.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from gateway.check import Ask, Checked, Checks
from gateway.decisions import NOBODY, Decision, Decisions, Stands, in_order
from gateway.ledger.disclosed import POSSIBLE, SENT
from gateway.ledger.errors import StoreUnavailable
from gateway.terms import Answer, DataClass

ATTEMPTS = 3  # checks of one announced send
IMPERSONAL = frozenset({DataClass.AGGREGATE, DataClass.DEIDENTIFIED})
COUNTED_AS = {Stands.POSSIBLE: POSSIBLE, Stands.SENT: SENT}

Blocked = Callable[[str, Checked], bool]  # whether nothing goes to a recipient whatever the verdict
Made = tuple[str, Decision]  # an id, and what it says


class Deciding(ABC):
    """Whoever puts answers on record says how."""

    def __init__(self, checks: Checks, decisions: Decisions, clock: Callable[[], datetime]) -> None:
        self._checks = checks
        self._decisions = decisions
        self._clock = clock

    @abstractmethod
    def _note(self, made: Sequence[Made], checked: Checked) -> None:
        """What may go is counted. Never waits."""

    @abstractmethod
    async def _intend(self, ask: Ask, checked: Checked, going: Sequence[Made]) -> None:
        """What is about to go is on record once this returns. Raises `StoreUnavailable`."""

    @abstractmethod
    async def _withdraw(self, going: Sequence[Made]) -> None:
        """It does not go after all."""

    def decide(self, ask: Ask, checked: Checked, stands: Stands, blocked: Blocked | None = None) -> dict[str, str]:
        """The id of each answer, by recipient; what may go is counted as it `stands`. `blocked`: nothing goes there
        whatever the verdict.
        """
        made = self._make(ask, checked, stands, blocked)
        counted = [each for each in made.values() if each[1].stands in COUNTED_AS]
        if counted:
            self._note(counted, checked)
        return {name: text for name, (text, _) in made.items()}

    def record(self, ask: Ask, checked: Checked, stands: Stands) -> None:
        """As `decide`, for a caller that is told no ids: of what cannot go none is made."""
        going = [name for name, verdict in checked.verdicts.items() if verdict.allowed or verdict.partly]
        found = [self._decision(name, ask, checked, stands, None) for name in going]
        counted = [(self._decisions.make(each), each) for each in found if each.stands in COUNTED_AS]
        if counted:
            self._note(counted, checked)

    async def announce(
        self, ask: Ask, checked: Checked, blocked: Blocked | None = None
    ) -> tuple[Checked, dict[str, str], datetime]:
        """As `decide`, for a caller that will send at once: what may go is on record as intended before this returns,
        and is checked again after that; from when its answer is good. Raises `StoreUnavailable`; then nothing may be
        sent.
        """
        for _ in range(ATTEMPTS):
            made = self._make(ask, checked, Stands.INTENDED, blocked)
            going = [each for each in made.values() if each[1].stands is Stands.INTENDED]
            texts = {name: text for name, (text, _) in made.items()}
            await self._intend(ask, checked, going)
            at = self._clock()
            if not going or not self._checks.moved(checked.keys, checked.position):
                return checked, texts, at
            again = self._checks.check(ask)
            if all(again.verdicts[name].data == verdict.data for name, verdict in checked.verdicts.items()):
                return again, texts, at
            await self._withdraw(going)
            checked = again
        raise StoreUnavailable("the person's choices change faster than this can be answered")

    def _make(self, ask: Ask, checked: Checked, stands: Stands, blocked: Blocked | None) -> dict[str, Made]:
        found = {name: self._decision(name, ask, checked, stands, blocked) for name in checked.verdicts}
        return {name: (self._decisions.make(decision), decision) for name, decision in found.items()}

    def _decision(self, name: str, ask: Ask, checked: Checked, stands: Stands, blocked: Blocked | None) -> Decision:
        recipient, key = self._checks.recipients.get(name), checked.own[0] if checked.own else NOBODY
        stated = (ask.purpose,) if ask.purpose else recipient.purposes if recipient else ()
        sends = recipient is not None and not (blocked and blocked(name, checked))
        told = _told(stated, tuple(checked.verdicts[name].data.items()), sends=sends)
        if not told.personal or key == NOBODY:
            stands = Stands.NOTHING
        at, named = int(self._clock().timestamp()), name if recipient else ""
        return Decision(key, named, told.purposes, told.classes, at, stands, told.denied)


class Told(NamedTuple):
    """What an id says of a verdict. `personal`: something goes that tells of the person."""

    purposes: tuple[str, ...]
    classes: tuple[str, ...]
    personal: bool
    denied: bool


@lru_cache(maxsize=4096)
def _told(stated: tuple[str, ...], data: tuple[tuple[str, Answer], ...], *, sends: bool) -> Told:
    """Remembered: few purposes and classes are asked for, again and again. `sends`: False where nothing goes whatever
    the verdict.
    """
    going: frozenset[str] = frozenset(word for word, answer in data if sends and answer is not Answer.DENY)
    personal = going - IMPERSONAL
    purposes, classes = in_order(frozenset(stated), personal or going or frozenset(word for word, _ in data))
    return Told(purposes, classes, bool(personal), not going)
