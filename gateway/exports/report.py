"""The year's numbers as 11 CCR 7102 wants them published: requests received, complied with and denied, and the median
of days until the answer. Counts, never a request.
"""

import statistics
from collections.abc import Iterable
from typing import Any

from gateway.exports.requests import ACCESSES, DELETIONS, Request
from gateway.terms import ChoiceKind

OPT_OUT, LIMIT, SIGNALS = "opt_out", "limit", "opt_out_signals"
# What each heading counts, by the entries' own words.
HEADINGS = {
    OPT_OUT: frozenset({ChoiceKind.OPT_OUT.value, ChoiceKind.WITHDRAW.value}),
    LIMIT: frozenset({ChoiceKind.LIMIT.value}),
    "deletion": DELETIONS,
    "access": ACCESSES,
}


class _Heading:
    def __init__(self) -> None:
        self.received = self.denied = 0
        self.days: list[float] = []

    def add(self, request: Request) -> None:
        self.received += 1
        self.denied += bool(request.denied)
        self.days.append(request.days)

    def told(self) -> dict[str, Any]:
        median = round(statistics.median(self.days), 2) if self.days else None
        return {"received": self.received, "complied": self.received - self.denied, "denied": self.denied,
                "median_days": median}  # fmt: skip


def report(number: int, requests: Iterable[Request], gone: int = 0) -> dict[str, Any]:
    """A heading each. A signal is written where it changes something, so `opt_out_signals` counts browsers and devices
    that newly said no, not page loads. `gone`: entries of the year without a body, told where there are any, for then
    the numbers are too small.
    """
    headings = {name: _Heading() for name in (*HEADINGS, SIGNALS)}
    for request in requests:
        for name, natures in HEADINGS.items():
            if request.nature in natures:
                headings[SIGNALS if name == OPT_OUT and request.is_signal else name].add(request)
    short = {"bodies_gone": gone} if gone else {}
    return {"year": number, **short, **{name: heading.told() for name, heading in headings.items()}}
