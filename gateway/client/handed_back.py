"""Rows that the gateway hands back to be sent (mode `return`), for `Client.share`: each may start to be sent while it
holds, and goes on being handed back until what became of it is said.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.client.connection import Heard, NoAnswer
from gateway.client.verdict import EXPIRED, NO_ANSWER, Clock, VerdictUnreadable

ROWS = 5_000  # of one call, which takes 10,000 and 16 MiB
RETURNED = "returned"

Post = Callable[[bytes, Heard], Iterable[bytes]]  # NDJSON to the lines of its answer; raises `NoAnswer`
Tell = Callable[[Mapping[str, str | int]], None]


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one row. `row`: what may be sent, None where nothing may or its time is over; then the `reason` is
    `expired`, and it is to be posted again. `again`: it was handed back before.
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

    @property
    def row(self) -> Mapping[str, Any] | None:
        return self.stated if time.monotonic() < self.until else None

    @property
    def reason(self) -> str:
        return EXPIRED if self.stated is not None and self.row is None else self.stated_reason

    def sent(self) -> None:
        """It left: it is not handed back again. Never waits."""
        self._say("sent")

    def not_sent(self) -> None:
        """It did not leave, and may be posted again. Never waits."""
        self._say("not_sent")

    def _say(self, outcome: str) -> None:
        at = time.time_ns() // 1_000_000
        self.tell({"recipient": self.recipient, "id": self.id, "outcome": outcome, "at": at})


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
        row, data, outcome = stated.get("row"), stated.get("data"), _word(stated, "outcome")
        going = row if outcome == RETURNED and isinstance(row, dict) else None
        return Answered(
            stated["id"],
            outcome,
            _word(stated, "reason"),
            data if isinstance(data, dict) else {},
            stated.get("again") is True,
            going,
            self._until(stated.get("valid_until"), clock),
            self._recipient,
            self._tell,
        )

    @staticmethod
    def _until(stated: object, clock: Clock | None) -> float:
        """Without the gateway's clock nobody knows that it is not over."""
        try:
            return clock.until(stated) if clock else float("-inf")
        except VerdictUnreadable:
            return float("-inf")


def _word(stated: Mapping[str, Any], name: str) -> str:
    found = stated.get(name)
    return found if isinstance(found, str) else NO_ANSWER
