"""The client's answers: a verdict read strictly, and the data that it lets go. `Client` makes them, ad servers use
them.

Whatever is not understood or contradicts itself is a no with the reason `no_answer`, and what is over is one with the
reason `expired`. A word that a later gateway added is read as a deny (I15).

Asking and sending are one thing (`ClientDisclosure`), so that the two cannot drift apart: the data is handed out only
while the answer holds, and what became of it is said when the block ends. Of rows that the gateway hands back to be
sent (mode `return`, `HandedBack`) each may start to be sent while it holds, and goes on being handed back until what
became of it is said.
"""

import itertools
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self

import orjson

from gateway.client.connection import Heard, NoAnswer, boot_seconds
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
    asked. `ahead`: Unix seconds at the zero of `boot_seconds`; `took`: seconds of the answer, by which it may be wrong,
    and answers are over that much earlier.
    """

    ahead: float
    asked: float
    took: float

    @classmethod
    def of(cls, stated: object, asked: float) -> "Clock":
        """`stated`: what `/v1/self` answered, asked at a time of `boot_seconds`. Raises `Unreadable`."""
        time_ = stated.get("time") if isinstance(stated, dict) else None
        return cls(_unix(time_) + MILLISECOND + MOVED - asked, asked, boot_seconds() - asked)

    def until(self, stated: object) -> float:
        """The time of `boot_seconds` until which the gateway's clock has surely not come to a stated one; what came
        just now holds no longer than any answer may, however the gateway's clock was set meanwhile. Raises
        `Unreadable`.
        """
        return min(_unix(stated) - self.ahead, boot_seconds() + LONGEST)


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
    over in which a send may start, counted by `boot_seconds` from before the question, or from when the gateway
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
        return boot_seconds() < self.until

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
    """One verdict of an answer whose question was begun at a time of `boot_seconds`. `asked`: the classes that were
    named; each must be answered. `ref`: what the question was marked with, for an answer to another one is none.
    `clock`: by which one of many, decided long after all were asked, holds from there. Raises `Unreadable`.
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
        until = max(until, min(clock.until(stated.get("valid_until")), boot_seconds() + lasts))
    return ClientVerdict(
        reason,
        text_in(stated, "place"),
        text_in(stated, "rule"),
        text_in(stated, "decision"),
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


def text_in(stated: Mapping[str, Any], name: str, otherwise: str = "") -> str:
    """A member of an answer, where it is text."""
    found = stated.get(name)
    return found if isinstance(found, str) else otherwise


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


ROWS = 5_000  # of one call, which takes 10,000 and 16 MiB
RETURNED = "returned"

Post = Callable[[bytes, Heard], Iterable[bytes]]  # NDJSON to the lines of its answer; raises `NoAnswer`
Tell = Callable[[Mapping[str, str | int]], None]


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one row. `row`: what may be sent, None where nothing may or its time is over; then the `reason` is
    `expired`, and it is to be posted again. `again`: it was handed back before. `mark`: of this hand-back, so that what
    is said of it is said of no other one.
    """

    id: str
    outcome: str = NO_ANSWER
    stated_reason: str = NO_ANSWER
    data: Mapping[str, str] = field(default_factory=dict)
    again: bool = False
    stated: Mapping[str, Any] | None = field(default=None, repr=False)
    until: float = float("-inf")
    recipient: str = ""
    tell: Tell = field(default=lambda _: None, repr=False)
    mark: str = field(default="", repr=False)

    @property
    def row(self) -> Mapping[str, Any] | None:
        return self.stated if boot_seconds() < self.until else None

    @property
    def reason(self) -> str:
        return EXPIRED if self.stated is not None and self.row is None else self.stated_reason

    def sent(self) -> None:
        """It left: it is not handed back again. Never waits."""
        self._say(SENT)

    def not_sent(self) -> None:
        """It did not leave, and may be posted again. Never waits."""
        self._say(NOT_SENT)

    def _say(self, outcome: str) -> None:
        marked = {"mark": self.mark} if self.mark else {}  # a gateway of before says none
        self.tell({"recipient": self.recipient, "id": self.id, **marked, "outcome": outcome, "at": _now()})


class HandedBack:
    """An answer for each row that came, in order, once. `whole`: after the last one, whether every row was answered; if
    not, post those again that you did not say were sent.
    """

    def __init__(
        self,
        recipient: str,
        rows: Iterable[Mapping[str, Any]],
        post: Post,
        clock: Callable[[Heard], Clock | None],
        tell: Tell,
        failed: Callable[[Exception], object],
    ) -> None:
        self._recipient = recipient
        self._rows = iter(rows)
        self._post = post
        self._clock = clock
        self._tell = tell
        self._failed = failed
        self.whole = False

    def __iter__(self) -> Iterator[Answered]:
        while some := list(itertools.islice(self._rows, ROWS)):
            self.whole, heard, clocks = False, Heard(), list[Clock | None]()
            try:
                for line in self._post(b"\n".join(map(orjson.dumps, some)), heard):
                    clocks = clocks or [self._clock(heard)]  # asked once: of an unknown one at each line nobody learns
                    found = self._read(line, clocks[0])
                    if found:
                        yield found
            except (NoAnswer, TypeError) as error:  # a row that is no JSON
                self._failed(error)
            if not self.whole:
                return

    def _read(self, line: bytes, clock: Clock | None) -> Answered | None:
        """None for the last line, and for one that tells of no row."""
        try:
            stated = orjson.loads(line)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(stated, dict) or not isinstance(stated.get("id"), str):
            self.whole = isinstance(stated, dict) and stated.get("complete") is True
            return None
        row, data, outcome = stated.get("row"), stated.get("data"), text_in(stated, "outcome", NO_ANSWER)
        going = row if outcome == RETURNED and isinstance(row, dict) else None
        return Answered(
            stated["id"],
            outcome,
            text_in(stated, "reason", NO_ANSWER),
            data if isinstance(data, dict) else {},
            stated.get("again") is True,
            going,
            self._until(stated.get("valid_until"), clock),
            self._recipient,
            self._tell,
            text_in(stated, "mark"),
        )

    @staticmethod
    def _until(stated: object, clock: Clock | None) -> float:
        """Without the gateway's clock nobody knows that it is not over."""
        try:
            return clock.until(stated) if clock else float("-inf")
        except VerdictUnreadable:
            return float("-inf")
