"""The desk's page of the year's report, `/desk/report`: the numbers that 11 CCR 7102 wants published, of all places or
of one, and the same as JSON, as CSV and as a page that stands alone; for whoever publishes them. What nobody counted
is not there, and never 0.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.desk.answered_requests import EARLIEST
from gateway.desk.office.officers import Officer
from gateway.ledger.store import ledger_needed
from gateway.records import year_report
from gateway.web.desk.desk_door import DeskDoor, Form
from gateway.web.desk.desk_page import HEADERS, show_desk
from gateway.web.shell.problem import Problem

PLACES = {"": "everywhere", "US-CA": "California", "US-CO": "Colorado", "CA": "Canada"}
FILES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "json": ("application/json", lambda told: json.dumps(told, indent=1)),
    "csv": ("text/csv", year_report.report_as_csv),
    "html": ("text/html", year_report.report_as_page),
}


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
        told = await asyncio.to_thread(self._report, int(year), place)
        if file:
            return _as_file(told, file)
        return show_desk(
            request, "report.html", officer=officer, years=years, year=year, places=PLACES, place=place, files=FILES,
            heads=year_report.WORDS, lines=year_report.report_lines(told), notes=year_report.report_notes(told),
            is_over=int(year) < today.year,
        )  # fmt: skip

    def _report(self, year: int, place: str) -> dict[str, Any]:
        with ledger_needed():
            return year_report.yearly_report(self.folder, year, place, self.door.clock().date())


def _as_file(told: Mapping[str, Any], file: str) -> Response:
    media, written = FILES[file]
    name = "-".join(["privacy-requests", str(told["year"]), *([told["place"]] if "place" in told else [])])
    attached = {"Content-Disposition": f'attachment; filename="{name}.{file}"'}
    return Response(written(told), headers={**HEADERS, **attached}, media_type=media)
