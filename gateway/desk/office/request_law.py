"""The clocks of requests and appeals and the reasons to deny them, read from `request_law.toml` beside this file. Cases
and the desk's pages ask it; no check does.
"""

import calendar
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from gateway.choice.place import EUROPEAN
from gateway.delivery.deadlines import LAST_ZONE, Calendar

TABLE: Mapping[str, list[dict[str, Any]]] = tomllib.loads(
    (resources.files("gateway.desk.office") / "request_law.toml").read_text(encoding="utf-8")
)


class RequestKind(StrEnum):
    """What somebody may ask for."""

    OPT_OUT = "opt_out"
    LIMIT = "limit"
    KNOW = "know"
    DELETE = "delete"
    CORRECT = "correct"


@dataclass(frozen=True, slots=True)
class RequestClock:
    """The spans of one row, each as the table has it; empty where the law has none."""

    citation: str
    acknowledge: Mapping[str, int]
    answer: Mapping[str, int]
    extend: Mapping[str, int]

    def answered_by(self, received: datetime, days: Calendar, *, extended: bool) -> datetime:
        """By when it has to be answered; once extended, by when at the latest."""
        last = last_of(self.answer, received, days)
        assert last is not None
        more = last_of(self.extend, last + LAST_ZONE, days) if extended else None
        return more or last


class DenialReason(NamedTuple):
    """Why a request may be denied, as its answer says it."""

    name: str
    words: str
    citation: str


def clock_of(kind: RequestKind, place: str, on: date) -> RequestClock:
    """The row that holds for a kind of request from a place on a day; before there was any, the first that came."""
    rows = [row for row in TABLE["clock"] if kind in row["kinds"] and row["place"] in _wider(place)]
    held = [row for row in rows if row["from"] <= on] or [min(rows, key=lambda each: each["from"])]
    row = max(held, key=lambda each: (_wider(place).index(each["place"]), each["from"]))
    return RequestClock(row["citation"], row.get("acknowledge", {}), row["answer"], row.get("extend", {}))


def reasons_of(kind: RequestKind, on: date) -> list[DenialReason]:
    """Why a request of a kind may be denied on a day; before there was any reason, for the first that came."""
    rows = [row for row in TABLE["reason"] if kind in row["kinds"]]
    rows = [row for row in rows if row["from"] <= on] or rows
    return [DenialReason(row["name"], row["words"], row["citation"]) for row in rows]


@dataclass(frozen=True, slots=True)
class AppealLaw:
    """What is known of appeals somewhere. `answer`: the span of one row; empty where none is known. `authority`: where
    a person may complain of a refusal; empty where that is not known.
    """

    citation: str
    answer: Mapping[str, int]
    authority: str


def appeal_law_of(place: str, on: date, table: Mapping[str, list[dict[str, Any]]] = TABLE) -> AppealLaw | None:
    """The row that holds for an appeal from a place on a day; None where nothing is known of it."""
    held = [row for row in table["appeal"] if row["place"] in _wider(place) and row["from"] <= on]
    if not held:
        return None
    row = max(held, key=lambda each: (_wider(place).index(each["place"]), each["from"]))
    return AppealLaw(row["citation"], row.get("answer", {}), row.get("authority", ""))


@cache
def _wider(place: str) -> tuple[str, ...]:
    """The places that a row may name for somebody there, the widest first."""
    country = place.partition("-")[0]
    europe = ("EU",) if country == "EU" or country in EUROPEAN - {"CH"} else ()
    return tuple(dict.fromkeys(("", *europe, country, place)))


def last_of(span: Mapping[str, int], received: datetime, days: Calendar) -> datetime | None:
    """The last moment (UTC) of a span that began with a request; of a day in the last zone, as deadlines are. None: the
    law has none.
    """
    if not span:
        return None
    day = (received.astimezone(UTC) - LAST_ZONE).date()
    return datetime.combine(_after(day, span, days), time.max, UTC)


def _after(day: date, span: Mapping[str, int], days: Calendar) -> date:
    if "business" in span:
        return days.after(day, span["business"])
    if "days" in span:
        return day + timedelta(days=span["days"])
    year, month = divmod(day.year * 12 + day.month - 1 + span["months"], 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
