"""GET /v1/reports/{year}: the numbers that 11 CCR 7102 wants published, for keys with scope export. Reads only, and
tells of nobody.
"""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.credentials import Credentials
from gateway.exports import requests
from gateway.exports.report import report
from gateway.ledger.errors import LedgerRefused, StoreUnavailable
from gateway.web import auth, wire
from gateway.web.problem import Problem

FIRST, LAST = 2018, 9998  # the statute's own year; the calendar's last whole one


class Reports:
    """The door."""

    def __init__(self, folder: Path, credentials: Credentials) -> None:
        self._folder = folder
        self._credentials = credentials

    async def get(self, request: Request) -> Response:
        auth.caller(request, self._credentials, "export")
        stated = request.path_params["year"]
        if not (
            stated.isascii() and stated.isdigit() and len(stated) == len(str(FIRST)) and FIRST <= int(stated) <= LAST
        ):
            raise Problem("not_found", "a report is of a calendar year")
        return wire.answer(await asyncio.to_thread(self._report, int(stated)))

    def _report(self, year: int) -> dict[str, Any]:
        try:
            return report(year, requests.year(self._folder, year), requests.gone_of(self._folder, year))
        except (sqlite3.Error, LedgerRefused) as error:
            raise StoreUnavailable(f"the ledger cannot be read: {type(error).__name__}") from error
