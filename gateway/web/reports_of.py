"""Lines that say what became of answers, read one by one: a bad one costs the others nothing. For the door, and for
callers in the service's own process.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from gateway.reporting import OUTCOMES, Report
from gateway.web import wire
from gateway.web.problem import Problem, of


class Taking(Protocol):
    """Who takes reports: `gateway.disclosing.Disclosing`, or a fake of it."""

    async def report(self, reports: Sequence[Report]) -> list[str]: ...


async def taken(disclosing: Taking, lines: Sequence[bytes]) -> list[object]:
    """An answer a line. Raises `StoreUnavailable`: nothing was taken."""
    read = [_read(line) for line in lines]
    return _answers(read, await disclosing.report([each for each in read if isinstance(each, Report)]))


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
