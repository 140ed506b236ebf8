"""The desk's plots, `/desk/numbers`: opt-outs by source and day, signals by kind, denies by reason and recipient,
deadlines kept, what deliveries wait, the share of GPC; for whoever has to tell how it goes. And the year's report,
`/desk/report`: the numbers that 11 CCR 7102 wants published, of all places or of one, also as JSON, as CSV and as a
page that stands alone.

Each is SVG that the server draws, with its numbers as a table. They come from the ledger's entries, those of each
day's evidence among them, the desk's cases and the outbox; what none of them counted is not shown, and never 0.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from gateway.consent.telling import Telling
from gateway.delivery.deadlines import Calendar
from gateway.desk.answered_requests import EARLIEST
from gateway.desk.evidence import MERGED, CountedDay, counted_days, opt_outs_by_day
from gateway.desk.office.cases import Cases, DeskCase
from gateway.desk.office.officers import Officer
from gateway.desk.office.request_law import clock_of
from gateway.ledger.store import Store, ledger_needed
from gateway.records import year_report
from gateway.web.desk.desk_door import DeskDoor, Form
from gateway.web.desk.desk_page import as_file, show_desk
from gateway.web.desk.requests_in import KINDS, NO_REQUEST
from gateway.web.shell import words
from gateway.web.shell.problem import Problem

SPANS = (30, 90, 365)  # days, today's not among them
MOST_CASES = 100_000
SOURCES = {"phone": "phone call"}  # which as a kind of identifier is a number
TOGETHER = "cells of fewer than ten, together"
KEPT, LATE, OVERDUE = "answered in time", "answered late", "open and past due"
Cell = tuple[str, ...]
PLACES = {"": "everywhere", "US-CA": "California", "US-CO": "Colorado", "CA": "Canada"}
FILES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "json": ("application/json", lambda told: json.dumps(told, indent=1)),
    "csv": ("text/csv", year_report.report_as_csv),
    "html": ("text/html", year_report.report_as_page),
}


class PlottedBar(NamedTuple):
    """One bar of a list. `share`: of the longest, in percent."""

    label: str
    number: int
    share: float


class PlottedDay(NamedTuple):
    """One day of a strip: where its bar stands and how high it is, in percent. `text`: empty where nothing is on
    record.
    """

    day: date
    left: float
    height: float
    text: str


class PlottedStrip(NamedTuple):
    """A row of days. `most`: what the highest bar stands for."""

    label: str
    most: str
    days: list[PlottedDay]


def plotted_bars(counts: Mapping[str, int]) -> list[PlottedBar]:
    """The longest first."""
    most = max(counts.values(), default=0)
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return [PlottedBar(label, count, round(100 * count / most, 2)) for label, count in ordered if count]


def plotted_strip(
    label: str, values: Mapping[date, float] | Mapping[date, int], days: list[date], most: float, unit: str
) -> PlottedStrip:
    """`values`: of the days of which something is on record."""
    found = [
        PlottedDay(
            day,
            round(100 * at / len(days), 3),
            round(100 * values.get(day, 0) / most, 2) if most else 0,
            f"{values[day]:g}{unit}" if day in values else "",
        )
        for at, day in enumerate(days)
    ]
    return PlottedStrip(label, f"{most:g}{unit}", found)


@dataclass(frozen=True)
class NumbersPage:
    """`GET /desk/numbers`."""

    door: DeskDoor
    store: Store
    cases: Cases
    telling: Telling
    calendar: Calendar

    async def show(self, request: Request, officer: Officer, _: Form) -> Response:
        asked = request.query_params.get("days", "")
        span = int(asked) if asked in map(str, SPANS) else SPANS[0]
        today = self.door.clock().date()
        days = [today - timedelta(days=back) for back in range(span, 0, -1)]
        found = await asyncio.to_thread(counted_days, self.store, days[0], days[-1])
        opt_outs = await asyncio.to_thread(opt_outs_by_day, self.store, days[0], today)
        opened, answered = await asyncio.to_thread(self._cases)
        return show_desk(
            request, "numbers.html", officer=officer, span=span, spans=SPANS, days=days,
            missing=len(days) - len(found),
            opt_outs=list(_opt_outs(opt_outs, [*days, today])), opted_days=[*days, today],
            few={table for each in found.values() for table in each.few},
            signals=plotted_bars(_counted(found, "signals", lambda cell: words.word(cell[-1]))),
            reasons=plotted_bars(_counted(found, "decisions", lambda cell: _denied(cell)[1])),
            recipients=plotted_bars(_counted(found, "decisions", lambda cell: _denied(cell)[0])),
            kept=list(self._deadlines(opened, answered, days[0])),
            waiting=await self.telling.open(), gpc=_share_of_gpc(found, days),
        )  # fmt: skip

    def _cases(self) -> tuple[list[DeskCase], list[DeskCase]]:
        return self.cases.open_cases(), self.cases.last_answered(MOST_CASES)

    def _deadlines(
        self, opened: list[DeskCase], answered: list[DeskCase], first: date
    ) -> Iterator[tuple[str, dict[str, int]]]:
        """By kind of request: how many of each outcome, of those that were answered since, or are open."""
        counts: dict[str, Counter[str]] = {}
        for case in (*opened, *answered):
            clock = clock_of(case.kind, case.place, case.received.date())
            last = clock.answered_by(case.received, self.calendar, extended=case.extended)
            of_kind = counts.setdefault(KINDS[case.kind], Counter())
            if case.outcome == NO_REQUEST:
                continue
            if case.answered and case.answered.date() >= first:
                of_kind[KEPT if case.answered <= last else LATE] += 1
            elif not case.answered and self.door.clock() > last:
                of_kind[OVERDUE] += 1
        for kind, found in sorted(counts.items()):
            if found:
                yield kind, {name: found[name] for name in (KEPT, LATE, OVERDUE)}


def _counted(found: Mapping[date, CountedDay], table: str, label: Callable[[Cell], str]) -> Counter[str]:
    """What a table counted in all these days, by label; an empty one is not meant."""
    counts = Counter[str]()
    for day in found.values():
        for cell, count in day.cells[table].items():
            counts[TOGETHER if cell == (MERGED,) else label(cell)] += count
    counts.pop("", None)
    return counts


def _denied(cell: Cell) -> tuple[str, str]:
    """The recipient and the reason of a deny that counted, both empty of anything else: recipient, allowed, reason, and
    a last word where it was a dry run.
    """
    *recipient, allowed, reason = cell if len(cell) > 2 else ("", "", "")  # noqa: PLR2004 - the three
    return (" ".join(recipient), words.word(reason)) if allowed == "false" else ("", "")


def _opt_outs(sources: Mapping[str, Mapping[date, int]], days: list[date]) -> Iterator[PlottedStrip]:
    """A strip for each source, all on one scale."""
    most = max((count for by_day in sources.values() for count in by_day.values()), default=0)
    for source, by_day in sorted(sources.items(), key=lambda each: -sum(each[1].values())):
        yield plotted_strip(SOURCES.get(source) or words.word(source), by_day, days, most, "")


def _share_of_gpc(found: Mapping[date, CountedDay], days: list[date]) -> PlottedStrip | None:
    """Of all signals that were heard on a day, how many in a hundred were Global Privacy Control. None: none was."""
    shares: dict[date, float] = {}
    for day, counted in found.items():
        cells = counted.cells["signals"]
        heard = sum(cells.values())
        if heard:
            shares[day] = round(100 * sum(count for cell, count in cells.items() if cell[-1] == "gpc") / heard, 1)
    return plotted_strip("Global Privacy Control", shares, days, 100, " %") if shares else None


@dataclass(frozen=True)
class YearPage:
    """`GET /desk/report`: of which year, which place, and as which file is in the query."""

    door: DeskDoor
    folder: Path

    async def show(self, request: Request, officer: Officer, _: Form) -> Response:
        """Without a year that of today. Raises `Problem`, `StoreUnavailable`."""
        asked, today = request.query_params, self.door.clock().date()
        years = [str(year) for year in range(today.year, EARLIEST.year - 1, -1)]
        year, place, file = asked.get("year", years[0]), asked.get("place", ""), asked.get("file", "")
        if year not in years or place not in PLACES or (file and file not in FILES):
            raise Problem("not_found", "There is no such report.")
        with ledger_needed():
            told = await asyncio.to_thread(year_report.yearly_report, self.folder, int(year), place, today)
        if file:
            media, written = FILES[file]
            name = "-".join(["privacy-requests", year, *([told["place"]] if "place" in told else [])])
            return as_file(written(told), f"{name}.{file}", media)
        return show_desk(
            request, "report.html", officer=officer, years=years, year=year, places=PLACES, place=place, files=FILES,
            heads=year_report.WORDS, lines=year_report.report_lines(told), notes=year_report.report_notes(told),
            is_over=int(year) < today.year,
        )  # fmt: skip
