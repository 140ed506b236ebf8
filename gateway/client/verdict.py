"""Reading an answer: whatever is not understood, contradicts itself or is over is a no with the reason `no_answer`.

Strict on purpose: a word that a later gateway added is read as a deny (api.md, I15).
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.terms import Answer, Reason

NO_ANSWER = "no_answer"
LONGEST = 2.0  # seconds that an answer is believed at most, as the gateway's own setting allows
KNOWN, REASONS = frozenset(Answer), frozenset(Reason)
ALLOWED, DENIED_ALL = {Answer.ALLOW}, {Answer.DENY}


class Unreadable(Exception):
    """Not an answer that may be obeyed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`allowed`: every class asked for may go as it stands; `partly`: follow `data`. Both are false once the time is
    over in which a send may start, counted on the monotonic clock from before the question. `decision`: the id for
    `/v1/disclosures`; empty where nothing came.
    """

    reason: str = NO_ANSWER
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


def read(stated: object, asked: Collection[str] | None, began: float, ref: str) -> Verdict:
    """One verdict of an answer whose question was begun at a monotonic time. `asked`: the classes that were named; each
    must be answered. `ref`: what the question was marked with, for an answer to another one is none. Raises
    `Unreadable`.
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
    return Verdict(
        reason, _text(stated, "place"), _text(stated, "rule"), _text(stated, "decision"),
        stated["downstream"] if isinstance(stated.get("downstream"), dict) else {},
        data, began + seconds_of(stated.get("valid_for_ms")), allowed, partly,
    )  # fmt: skip


def seconds_of(stated: object) -> float:
    """How long an answer holds. Raises `Unreadable` where it does not say."""
    if not isinstance(stated, int) or isinstance(stated, bool) or stated <= 0:
        raise Unreadable
    return min(stated / 1000, LONGEST)


def _text(stated: Mapping[str, Any], name: str) -> str:
    found = stated.get(name)
    return found if isinstance(found, str) else ""
