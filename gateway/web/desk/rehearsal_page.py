"""The desk's matrix, `/desk/rehearsal`: each way to say no by each recipient, as the last rehearsal on record found it,
and of each way what its cells rest on.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.desk.evidence import last_rehearsal
from gateway.desk.office.officers import Officer
from gateway.ledger.store import Store, asked_of
from gateway.web.desk.desk_door import Form
from gateway.web.desk.desk_page import show_desk
from gateway.web.shell import words

HELD, FAILED, NOT_HERE = "held", "FAILED", "not allowed here"


@dataclass(frozen=True, slots=True)
class RehearsedCell:
    """What a way proved of a recipient: purposes; those that could not go before, and why; what failed (purpose, door,
    why), of all `failures`.
    """

    proved: tuple[str, ...] = ()
    not_allowed: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str, str], ...] = ()
    failures: int = 0

    @property
    def word(self) -> str:
        """One word for all: a failure outweighs whatever was proved."""
        return FAILED if self.failures else HELD if self.proved else NOT_HERE


def _cells(told: Mapping[str, Any]) -> dict[str, dict[str, RehearsedCell]]:
    """By way and recipient; nothing of a rehearsal of before the matrix was entered."""
    cells = [_cell(each) for each in told.get("cells", [])]
    return {name: {recipient: cells[at] for recipient, at in of.items()} for name, of in told.get("matrix", {}).items()}


def _cell(plain: Mapping[str, Any]) -> RehearsedCell:
    failed = tuple((purpose, door, why) for purpose, door, why in plain.get("failed", []))
    return RehearsedCell(
        tuple(plain.get("proved", ())), tuple(plain.get("not_allowed", {}).items()), failed, plain.get("failures", 0)
    )


@dataclass(frozen=True)
class MatrixPage:
    """Both pages."""

    store: Store

    async def show(self, request: Request, officer: Officer, _: Form) -> Response:
        """`GET`; with `way`, its number in the table, what its cells rest on."""
        last = await asyncio.to_thread(asked_of, self.store, last_rehearsal)
        told = last.told if last else {}
        ways = _cells(told)
        asked, names = request.query_params.get("way", ""), list(ways)
        at = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 0  # noqa: PLR2004 - no such many
        cells = [cell for of in ways.values() for cell in of.values()]
        return show_desk(
            request, "rehearsal.html", officer=officer, last=last, ways=ways, words=words.word,
            recipients=sorted({recipient for of in ways.values() for recipient in of if recipient}),
            milliseconds={name: counts[-1] for name, counts in told.get("ways", {}).items()},
            closed=told.get("closed", {}),
            way=names[at - 1] if 0 < at <= len(names) else "",
            counts={word: sum(cell.word == word for cell in cells) for word in (HELD, FAILED, NOT_HERE)},
        )  # fmt: skip
