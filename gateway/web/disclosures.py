"""POST /v1/disclosures: a caller says what became of its checks (R22). Each line is answered, durably, in order.

`recorded`; `repeated`: said before, or already known to have been sent; `denied`: it was sent although the answer was
no, which is on record and an alarm; `expired`: said an hour late, it stays "may have been sent"; `unknown`: no decision
of ours; `malformed`.
"""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.credentials import Credentials
from gateway.disclosing import OUTCOMES, Disclosing, Report
from gateway.web import auth, wire
from gateway.web.problem import Problem, of


class DisclosuresDoor:
    """The door for whoever sends after asking."""

    def __init__(self, disclosing: Disclosing, credentials: Credentials) -> None:
        self._disclosing = disclosing
        self._credentials = credentials

    async def post(self, request: Request) -> Response:
        """One object, or NDJSON; in both cases a line a report comes back, then the end."""
        auth.caller(request, self._credentials, "check")
        lines = wire.require_json(request, lines=True)
        body = await wire.read_body(request)
        read = [_read(line) for line in (wire.lines_of(body) if lines else [body])]
        took = await self._disclosing.report([each for each in read if isinstance(each, Report)])
        answers = _answers(read, took)
        return wire.lines_answer([*answers, {"end": True, "count": len(answers)}])


def _read(line: bytes) -> Report | Problem:
    try:
        return _report(wire.convert(wire.parse(line), wire.Disclosure))
    except Problem as problem:
        return problem


def _report(body: wire.Disclosure) -> Report:
    """Raises `Problem`."""
    at = wire.since_1970(body.at) if isinstance(body.at, int) else wire.moment(body.at)
    if body.at is not None and at is None:
        raise Problem("malformed", "at is RFC 3339 or epoch milliseconds", "/at")
    if body.outcome not in OUTCOMES:
        raise Problem("malformed", f"outcome is one of {', '.join(sorted(OUTCOMES))}", "/outcome")
    return Report(body.decision, body.outcome, at)


def _answers(read: Sequence[Report | Problem], took: Sequence[str]) -> list[object]:
    results, answers = iter(took), list[object]()
    for each in read:
        if isinstance(each, Report):
            answers.append({"decision": each.decision, "result": next(results)})
        else:
            answers.append({"decision": None, "result": "malformed", "problem": _told(each)})
    return answers


def _told(problem: Problem) -> dict[str, Any]:
    found = of(problem)
    return {"type": found.kind, "detail": found.detail, "pointer": found.pointer}
