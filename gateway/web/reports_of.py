"""Lines that say what became of answers, read one by one: a bad one costs the others nothing. For the door, and for
callers in the service's own process.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from gateway.ledger.disclosed import POSSIBLE, UNKNOWN
from gateway.ledger.disclosures import Acknowledged
from gateway.reporting import OUTCOMES, Report
from gateway.web import wire
from gateway.web.problem import Problem, of


class Taking(Protocol):
    """Who takes reports: `gateway.disclosing.Disclosing`, or a fake of it."""

    async def report(self, reports: Sequence[Report]) -> list[str]: ...


class Handing(Protocol):
    """Who handed rows back: `gateway.sharing.Sharing`."""

    async def acknowledge(self, said: Sequence[Acknowledged]) -> list[tuple[str, int]]: ...


async def taken(disclosing: Taking, lines: Sequence[bytes], rows: Handing | None = None) -> list[dict[str, Any]]:
    """An answer a line. `rows`: None where nobody handed any back, or the caller may not speak of them. Raises
    `StoreUnavailable`: what was taken before that answers `repeated` when the same is said again.
    """
    read = [_read(line) for line in lines]
    took = iter(await disclosing.report([each for each in read if isinstance(each, Report)]))
    said = [each for each in read if isinstance(each, Acknowledged)]
    became = iter(await rows.acknowledge(said) if rows else [("unknown", 0)] * len(said))
    answers = list[dict[str, Any]]()
    for each in read:
        if isinstance(each, Report):
            answers.append({"decision": each.decision, "result": next(took)})
        elif isinstance(each, Acknowledged):
            result, count = next(became)
            named = {"job": each.job, "id": each.row_id, "recipient": each.recipient}
            answers.append({name: word for name, word in named.items() if word} | {"result": result, "rows": count})
        else:
            answers.append({"decision": None, "result": "malformed", "problem": _told(each)})
    return answers


def _read(line: bytes) -> Report | Acknowledged | Problem:
    try:
        return _report(wire.convert(wire.parse(line), wire.Disclosure))
    except Problem as problem:
        return problem


def _report(body: wire.Disclosure) -> Report | Acknowledged:
    """Raises `Problem`."""
    at = wire.since_1970(body.at) if isinstance(body.at, int) else wire.moment(body.at)
    if body.at is not None and at is None:
        raise Problem("malformed", "at is RFC 3339 or epoch milliseconds", "/at")
    if body.outcome not in OUTCOMES:
        raise Problem("malformed", f"outcome is one of {', '.join(sorted(OUTCOMES))}", "/outcome")
    of_rows = body.job or (body.recipient and body.id)
    if body.decision and not (body.job or body.id or body.recipient):
        return Report(body.decision, body.outcome, at)
    if body.decision or not of_rows:
        raise Problem("malformed", "of a decision, of a job, or of an id with its job or recipient", "/decision")
    outcome = POSSIBLE if body.outcome == UNKNOWN else body.outcome
    return Acknowledged(outcome, body.job or "", body.id or "", body.recipient or "")


def _told(problem: Problem) -> dict[str, Any]:
    found = of(problem)
    return {"type": found.kind, "detail": found.detail, "pointer": found.pointer}
