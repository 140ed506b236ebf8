"""The desk's matrix, `/desk/rehearsal`: each way to say no by each recipient, as the last rehearsal on record found it,
and of each way what its cells rest on.
"""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from gateway.desk.office.officers import Officer
from gateway.desk.rehearsed_matrix import FAILED, HELD, NOT_HERE, last_matrix
from gateway.ledger.store import Store
from gateway.web.desk.desk_door import Form
from gateway.web.desk.desk_page import show_desk
from gateway.web.shell import words


@dataclass(frozen=True)
class MatrixPage:
    """Both pages."""

    store: Store

    async def show(self, request: Request, officer: Officer, _: Form) -> Response:
        """`GET`; with `way`, its number in the table, what its cells rest on."""
        found = await asyncio.to_thread(last_matrix, self.store)
        names = list(found.ways) if found else []
        asked = request.query_params.get("way", "")
        at = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 0  # noqa: PLR2004 - no such many
        cells = [cell for of in found.ways.values() for cell in of.values()] if found else []
        return show_desk(
            request, "rehearsal.html", officer=officer, found=found, words=words.word,
            way=names[at - 1] if 0 < at <= len(names) else "",
            counts={word: sum(cell.word == word for cell in cells) for word in (HELD, FAILED, NOT_HERE)},
        )  # fmt: skip
