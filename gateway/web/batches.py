"""POST /v1/disclosures/batches: what a replica answered since it last said so, for the gateway's record (R22). Scope
replica; internal, between a gateway and replicas of its version.

NDJSON: a head, then a line an answer: its id alone, an announced send, or what a caller said. A line that cannot be
read costs the others nothing and counts as lost: no second try would make it readable.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.credentials import Credentials
from gateway.handed_over import Announced, Batch, HandedOver
from gateway.ledger.handed import Numbered
from gateway.reporting import OUTCOMES, Report
from gateway.web import auth, wire
from gateway.web.problem import Problem

MOST = 2**53 - 1  # what an entry may hold (RFC 8785)
Number = Annotated[int, msgspec.Meta(ge=0, le=MOST)]


class Head(wire.Strict, frozen=True):
    """The first line. `spool`: 32 hexadecimal digits, another one at each start of a replica."""

    spool: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    number: Annotated[int, msgspec.Meta(ge=1, le=MOST)]
    position: Number
    log: Annotated[str, msgspec.Meta(max_length=1024)]
    lost: Number = 0
    doubtful: bool = False


class Going(wire.Strict, frozen=True):
    """A send that was announced to the replica."""

    decision: Annotated[str, msgspec.Meta(max_length=128)]
    names: str


class Said(wire.Strict, frozen=True):
    """What a caller said became of an answer. `at`: when by the caller, `said`: when it told the replica; milliseconds
    since 1970.
    """

    decision: Annotated[str, msgspec.Meta(max_length=128)]
    outcome: str
    said: Number
    at: int | None = None


class BatchesDoor:
    """The door for replicas."""

    def __init__(self, handed_over: HandedOver, credentials: Credentials) -> None:
        self._handed_over = handed_over
        self._credentials = credentials

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "replica")
        wire.require_json(request, lines=True)
        lines = [line.text for line in wire.lines_of(await wire.read_body(request))]
        head = wire.convert(wire.parse(lines[0] if lines else b""), Head)
        numbered = Numbered(bytes.fromhex(head.spool), key.name, head.number)
        taken = await self._handed_over.take(_batch(numbered, head, lines[1:]))
        return wire.answer({"again": taken.again, "missing": taken.missing, "unread": taken.unread})


def _batch(numbered: Numbered, head: Head, lines: Sequence[bytes]) -> Batch:
    read = [_line(line) for line in lines]
    return Batch(
        numbered, head.position, head.log, head.lost, head.doubtful,
        unread=sum(each is None for each in read),
        answers=[each for each in read if isinstance(each, str)],
        announced=[Announced(each.decision, each.names) for each in read if isinstance(each, Going)],
        reports=[_report(each) for each in read if isinstance(each, Said)],
    )  # fmt: skip


def _line(line: bytes) -> str | Going | Said | None:
    try:
        stated = wire.parse(line)
        if isinstance(stated, str):
            return stated
        if isinstance(stated, dict) and "names" in stated:
            return wire.convert(stated, Going)
        said = wire.convert(stated, Said)
    except Problem:
        return None
    return said if said.outcome in OUTCOMES and wire.since_1970(said.said) else None


def _report(said: Said) -> Report:
    at = wire.since_1970(said.at) if said.at is not None else None
    return Report(said.decision, said.outcome, at, wire.since_1970(said.said))
