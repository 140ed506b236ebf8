"""Asking and sending as one thing, so that the two cannot drift apart: the data is handed out only while the answer
holds, and what became of it is said when the block ends.
"""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Self

from gateway.client.verdict import Verdict
from gateway.terms import Answer

SENT, NOT_SENT, UNKNOWN = "sent", "not_sent", "unknown"
Say = Callable[[str, str, int], None]  # decision, outcome, Unix milliseconds


class NothingMayGo(Exception):
    """`data` was asked for although the answer is no. The text is the reason."""


class Expired(Exception):
    """`data` was asked for after the time in which a send may start. Ask again."""


class Disclosure:
    """`with client.disclosure(…) as d: if d.allowed: send(d.data)`. `data`: classes, or values by class; `d.data` has
    the classes, or the values, that may go as they stand. At the end of the block what was taken was sent; where the
    block raised, nobody knows; what was not taken was not sent.
    """

    def __init__(
        self, ask: Callable[[], Verdict], say: Say, values: Mapping[str, Any] | Collection[str]
    ) -> None:  # fmt: skip
        self._ask = ask
        self._say = say
        self._values = values
        self._outcome = NOT_SENT
        self._at = 0
        self._said = False
        self.verdict = Verdict()

    def __enter__(self) -> Self:
        self.verdict = self._ask()
        self._at = _now()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._said:
            self._tell(UNKNOWN if kind is not None and self._outcome == SENT else self._outcome)

    @property
    def allowed(self) -> bool:
        return self.verdict.allowed

    @property
    def partly(self) -> bool:
        return self.verdict.partly

    @property
    def reason(self) -> str:
        return self.verdict.reason

    @property
    def data(self) -> dict[str, Any]:
        """What may go as it stands; it counts as sent from here on. Raises `NothingMayGo` and `Expired`."""
        going = [name for name, answer in self.verdict.answers.items() if answer == Answer.ALLOW]
        if not going or not (self.verdict.said_allowed or self.verdict.said_partly):
            raise NothingMayGo(self.verdict.reason)
        if not self.verdict.fresh:
            raise Expired("the answer is over; ask again")
        self._outcome, self._at = SENT, _now()
        values = self._values
        if isinstance(values, Mapping):
            return {name: values[name] for name in going if name in values}
        return dict.fromkeys(going, Answer.ALLOW.value)

    def not_sent(self) -> None:
        """What was taken did not leave after all."""
        self._tell(NOT_SENT)

    def _tell(self, outcome: str) -> None:
        self._said = True
        if self.verdict.decision and (self.verdict.said_allowed or self.verdict.said_partly):
            self._say(self.verdict.decision, outcome, self._at)


def _now() -> int:
    """Unix milliseconds: a claim beside the record's own time."""
    return time.time_ns() // 1_000_000
