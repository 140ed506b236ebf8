"""The deletion mechanisms of states as dated data (`deletion_mechanisms.toml`), and what is due by them. `gateway drop`
and the alarm of a running gateway ask it.
"""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib import resources
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One state's. `start`: the first day on which lists are to be fetched; the days as the file says."""

    place: str
    name: str
    start: date
    fetch_days: int
    answer_days: int
    officer_day: int
    citation: str


class Fetched(NamedTuple):
    """One download. `open`: how many of its requests are not answered yet."""

    place: str
    received: date
    open: int


class ListDue(NamedTuple):
    """What is to be done by a day. `what`: `fetch` or `answer`; `open`: how many requests wait for the latter; `soon`:
    it is the officer's by now, or late.
    """

    place: str
    what: str
    by: date
    open: int
    soon: bool


@cache
def mechanisms() -> tuple[Mechanism, ...]:
    """All that there are, those to come too."""
    text = (resources.files("gateway.choice") / "deletion_mechanisms.toml").read_text(encoding="utf-8")
    return tuple(
        Mechanism(
            each["place"], each["name"], each["from"], each["fetch_days"], each["answer_days"], each["officer_day"],
            each["citation"],
        )
        for each in tomllib.loads(text)["mechanism"]
    )  # fmt: skip


def mechanism_of(place: str, on: date) -> Mechanism | None:
    """The state's that is in force on a day; None: it has none yet."""
    held = [each for each in mechanisms() if each.place == place and each.start <= on]
    return max(held, key=lambda each: each.start, default=None)


def due(fetched: Iterable[Fetched], today: date) -> Iterator[ListDue]:
    """By when the open requests of each download are answered, and the next list of each state is fetched."""
    last = dict[str, date]()
    for place, received, still_open in sorted(fetched):
        last[place] = received
        if still_open and (law := mechanism_of(place, max(received, today))):
            officers = received + timedelta(days=law.officer_day) <= today
            yield ListDue(place, "answer", received + timedelta(days=law.answer_days), still_open, officers)
    for place, received in last.items():
        if law := mechanism_of(place, today):
            by = received + timedelta(days=law.fetch_days)
            yield ListDue(place, "fetch", by, 0, received + timedelta(days=law.officer_day) <= today)
