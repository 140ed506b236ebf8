"""The client's answers: a verdict read strictly, and the data that it lets go. `Client` makes them, ad servers use
them.

Whatever is not understood or contradicts itself is a no with the reason `no_answer`, and what is over is one with the
reason `expired`. A word that a later gateway added is read as a deny (I15).

Asking and sending are one thing (`ClientDisclosure`), so that the two cannot drift apart: the data is handed out only
while the answer holds, and what became of it is said when the block ends.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self

import orjson

from gateway.terms import Answer, Reason

NO_ANSWER, EXPIRED = "no_answer", "expired"
MILLISECOND = 0.001  # the gateway's times are cut off to it
MOVED = 0.01  # seconds by which its clock may be moved before it says that it is another one (`Gateway-Clock`)
LONGEST = 2.0  # seconds that an answer is believed at most, as the gateway's own setting allows
KNOWN, REASONS = frozenset(Answer), frozenset(Reason)
ALLOWED, DENIED_ALL = {Answer.ALLOW}, {Answer.DENY}


class VerdictUnreadable(Exception):
    """Not an answer that may be obeyed."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The gateway's clock as far as it can be ahead of ours: the time that it said, and what passed since before it was
    asked. `ahead`: Unix seconds at the monotonic clock's zero; `took`: seconds of the answer, by which it may be wrong,
    and answers are over that much earlier.
    """

    ahead: float
    asked: float
    took: float

    @classmethod
    def of(cls, stated: object, asked: float) -> "Clock":
        """`stated`: what `/v1/self` answered, asked at a monotonic time. Raises `Unreadable`."""
        time_ = stated.get("time") if isinstance(stated, dict) else None
        return cls(_unix(time_) + MILLISECOND + MOVED - asked, asked, time.monotonic() - asked)

    def until(self, stated: object) -> float:
        """The monotonic time until which the gateway's clock has surely not come to a stated one; what came just now
        holds no longer than any answer may, however the gateway's clock was set meanwhile. Raises `Unreadable`.
        """
        return min(_unix(stated) - self.ahead, time.monotonic() + LONGEST)


def _unix(stated: object) -> float:
    try:
        found = datetime.fromisoformat(stated) if isinstance(stated, str) else None
    except ValueError:
        raise VerdictUnreadable from None
    if found is None or found.tzinfo is None:
        raise VerdictUnreadable
    return found.timestamp()


@dataclass(frozen=True, slots=True)
class ClientVerdict:
    """`allowed`: every class asked for may go as it stands; `partly`: follow `data`. Both are false once the time is
    over in which a send may start, counted on the monotonic clock from before the question, or from when the gateway
    decided, as far as that is known; then the `reason` is `expired`. `decision`: the id for `/v1/disclosures`; empty
    where nothing came.
    """

    stated: str = NO_ANSWER
    place: str = "unknown"
    rule: str = ""
    decision: str = field(default="", repr=False)
    downstream: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    until: float = float("-inf")
    said_allowed: bool = False
    said_partly: bool = False

    @property
    def fresh(self) -> bool:
        return time.monotonic() < self.until

    @property
    def reason(self) -> str:
        over = (self.said_allowed or self.said_partly) and not self.fresh
        return EXPIRED if over else self.stated

    @property
    def allowed(self) -> bool:
        return self.said_allowed and self.fresh

    @property
    def partly(self) -> bool:
        return self.said_partly and self.fresh

    @property
    def data(self) -> Mapping[str, str]:
        """By class: allow, coarsen, hash or deny; everything is deny once it is over."""
        return self.answers if self.fresh else dict.fromkeys(self.answers, Answer.DENY.value)


DENIED = ClientVerdict()


class ToldInside(NamedTuple):
    """An answer of one's own process, with no JSON between. `verdict`: what everybody is told who is answered alike;
    `downstream`: JSON, for each reader has its own; `lasts`: milliseconds.
    """

    verdict: ClientVerdict
    downstream: bytes
    decision: str
    lasts: int

    def read(self, asked: Collection[str] | None, began: float) -> ClientVerdict:
        """As `read_verdict`. Raises `Unreadable`."""
        alike = self.verdict
        if asked and not alike.answers.keys() >= set(asked):
            raise VerdictUnreadable
        return ClientVerdict(
            alike.stated,
            alike.place,
            alike.rule,
            self.decision,
            orjson.loads(self.downstream),
            dict(alike.answers),
            began + seconds_of(self.lasts),
            alike.said_allowed,
            alike.said_partly,
        )


def read_verdict(
    stated: object, asked: Collection[str] | None, began: float, ref: str | None, clock: Clock | None = None
) -> ClientVerdict:
    """One verdict of an answer whose question was begun at a monotonic time. `asked`: the classes that were named; each
    must be answered. `ref`: what the question was marked with, for an answer to another one is none. `clock`: by which
    one of many, decided long after all were asked, holds from there. Raises `Unreadable`.
    """
    if not isinstance(stated, dict) or stated.get("ref") != ref:
        raise VerdictUnreadable
    allowed, partly, data, reason = (stated.get(name) for name in ("allowed", "partly", "data", "reason"))
    if not isinstance(allowed, bool) or not isinstance(partly, bool):
        raise VerdictUnreadable
    if not isinstance(data, dict) or not isinstance(reason, str):
        raise VerdictUnreadable
    try:
        answers = set(data.values())
        known = reason in REASONS and answers <= KNOWN and data.keys() >= set(asked or ())
    except TypeError:  # a list or an object where a word belongs
        raise VerdictUnreadable from None
    if not known or (allowed and answers != ALLOWED) or (partly and answers <= DENIED_ALL):
        raise VerdictUnreadable
    lasts = seconds_of(stated.get("valid_for_ms"))
    until = began + lasts
    if clock:
        until = max(until, min(clock.until(stated.get("valid_until")), time.monotonic() + lasts))
    return ClientVerdict(
        reason,
        _text(stated, "place"),
        _text(stated, "rule"),
        _text(stated, "decision"),
        stated["downstream"] if isinstance(stated.get("downstream"), dict) else {},
        data,
        until,
        allowed,
        partly,
    )


def seconds_of(stated: object) -> float:
    """How long an answer holds. Raises `VerdictUnreadable` where it does not say."""
    if not isinstance(stated, int) or isinstance(stated, bool) or stated <= 0:
        raise VerdictUnreadable
    return min(stated / 1000, LONGEST)


def _text(stated: Mapping[str, Any], name: str) -> str:
    found = stated.get(name)
    return found if isinstance(found, str) else ""


SENT, NOT_SENT, UNKNOWN = "sent", "not_sent", "unknown"
Say = Callable[[str, str, int], None]  # decision, outcome, Unix milliseconds


class NothingMayGo(Exception):
    """`data` was asked for although the answer is no. The text is the reason."""


class Expired(Exception):
    """`data` was asked for after the time in which a send may start. Ask again."""


class ClientDisclosure:
    """`with client.disclosure(…) as d: if d.allowed: send(d.data)`. `data`: classes, or values by class; `d.data` has
    the classes, or the values, that may go as they stand. At the end of the block what was taken was sent; where the
    block raised, nobody knows; what was not taken was not sent.
    """

    def __init__(self, ask: Callable[[], ClientVerdict], say: Say, values: Mapping[str, Any] | Collection[str]) -> None:
        self._ask = ask
        self._say = say
        self._values = values
        self._outcome = NOT_SENT
        self._at = 0
        self._said = False
        self.verdict = ClientVerdict()

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
