"""Reading an answer: whatever is not understood or contradicts itself is a no with the reason `no_answer`, and what is
over is one with the reason `expired`.

Strict on purpose: a word that a later gateway added is read as a deny (api.md, I15).
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.terms import Answer, Reason

NO_ANSWER, EXPIRED = "no_answer", "expired"
MILLISECOND = 0.001  # the gateway's times are cut off to it
LONGEST = 2.0  # seconds that an answer is believed at most, as the gateway's own setting allows
KNOWN, REASONS = frozenset(Answer), frozenset(Reason)
ALLOWED, DENIED_ALL = {Answer.ALLOW}, {Answer.DENY}


class Unreadable(Exception):
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
        return cls(_unix(time_) + MILLISECOND - asked, asked, time.monotonic() - asked)

    def until(self, stated: object) -> float:
        """The monotonic time until which the gateway's clock has surely not come to a stated one; what came just now
        holds no longer than any answer may, however the gateway's clock was set meanwhile. Raises `Unreadable`.
        """
        return min(_unix(stated) - self.ahead, time.monotonic() + LONGEST)


def _unix(stated: object) -> float:
    try:
        found = datetime.fromisoformat(stated) if isinstance(stated, str) else None
    except ValueError:
        raise Unreadable from None
    if found is None or found.tzinfo is None:
        raise Unreadable
    return found.timestamp()


@dataclass(frozen=True, slots=True)
class Verdict:
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


DENIED = Verdict()


def read(
    stated: object, asked: Collection[str] | None, began: float, ref: str, clock: Clock | None = None
) -> Verdict:  # fmt: skip
    """One verdict of an answer whose question was begun at a monotonic time. `asked`: the classes that were named; each
    must be answered. `ref`: what the question was marked with, for an answer to another one is none. `clock`: by which
    one of many, decided long after all were asked, holds from there. Raises `Unreadable`.
    """
    if not isinstance(stated, dict) or stated.get("ref") != ref:
        raise Unreadable
    allowed, partly, data, reason = (stated.get(name) for name in ("allowed", "partly", "data", "reason"))
    if not isinstance(allowed, bool) or not isinstance(partly, bool):
        raise Unreadable
    if not isinstance(data, dict) or not isinstance(reason, str):
        raise Unreadable
    try:
        answers = set(data.values())
        known = reason in REASONS and answers <= KNOWN and data.keys() >= set(asked or ())
    except TypeError:  # a list or an object where a word belongs
        raise Unreadable from None
    if not known or (allowed and answers != ALLOWED) or (partly and answers <= DENIED_ALL):
        raise Unreadable
    lasts = seconds_of(stated.get("valid_for_ms"))
    until = began + lasts
    if clock:
        until = max(until, min(clock.until(stated.get("valid_until")), time.monotonic() + lasts))
    return Verdict(
        reason, _text(stated, "place"), _text(stated, "rule"), _text(stated, "decision"),
        stated["downstream"] if isinstance(stated.get("downstream"), dict) else {},
        data, until, allowed, partly,
    )  # fmt: skip


def seconds_of(stated: object) -> float:
    """How long an answer holds. Raises `Unreadable` where it does not say."""
    if not isinstance(stated, int) or isinstance(stated, bool) or stated <= 0:
        raise Unreadable
    return min(stated / 1000, LONGEST)


def _text(stated: Mapping[str, Any], name: str) -> str:
    found = stated.get(name)
    return found if isinstance(found, str) else ""
