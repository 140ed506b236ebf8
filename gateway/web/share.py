"""POST /v1/shares/{recipient}: rows in, one answer a row out, after the whole body was read (I3)."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.consent import Consent
from gateway.credentials import Credentials
from gateway.sharing import Row, Shared, Sharing
from gateway.web import auth, wire
from gateway.web.metrics import Metrics
from gateway.web.problem import Problem

AHEAD = timedelta(minutes=5)  # a row's time may be this far ahead (I29)


class ShareDoor:
    """The door for sharing jobs."""

    def __init__(
        self, consent: Consent, sharing: Sharing, credentials: Credentials, metrics: Metrics, *,
        max_rows: int, max_bytes: int,
    ) -> None:  # fmt: skip
        self._consent = consent
        self._sharing = sharing
        self._credentials = credentials
        self._metrics = metrics
        self._max_rows = max_rows
        self._max_bytes = max_bytes

    async def post(self, request: Request) -> Response:
        auth.caller(request, self._credentials, "share")
        recipient = self._consent.recipients.get(request.path_params["recipient"])
        if recipient is None:
            raise Problem("not_found", "no such recipient is configured")
        lines = wire.require_json(request, lines=True)
        body = await wire.read_body(request, self._max_bytes)
        rows = wire.lines_of(body, self._max_rows) if lines else [body]
        if recipient.mode == "forward" and not recipient.endpoint:
            raise Problem("not_found", f"recipients.{recipient.name} has no endpoint to forward to")
        shared = await self._sharing.share(recipient, [self._row(row) for row in rows])
        for item in shared:
            self._metrics.shares.labels(recipient.name, item.outcome).inc()
        return wire.lines_answer([*map(_line, shared), {"summary": self._summary(shared), "complete": True}])

    def _summary(self, shared: Sequence[Shared]) -> dict[str, Any]:
        """Counts; and until when rows that were handed back may start to be sent."""
        counts = _counts(shared)
        until = self._consent.clock() + self._consent.send_window
        return {**counts, "valid_until": wire.stamp(until)} if counts["returned"] else counts

    def _row(self, line: bytes) -> Row:
        """One bad row is refused as malformed, never a 400 for the call; its id is kept where there is one."""
        value: Any = None
        try:
            value = wire.parse(line)
            row = wire.convert(value, wire.Row)
            collected = self._at(row.at)
        except Problem as problem:
            stated = value.get("id") if isinstance(value, dict) else None
            return Row(stated[:256] if isinstance(stated, str) else "", problem=problem.detail)
        return Row(
            row.id, wire.plain(row.identifiers), row.data, row.place, row.count, collected, during_call=row.during_call
        )  # fmt: skip

    def _at(self, stated: str | int | None) -> date | None:
        """The day of a row: RFC 3339 or epoch milliseconds, not ahead of our clock."""
        if stated is None:
            return None
        try:
            at = datetime.fromtimestamp(stated / 1000, UTC) if isinstance(stated, int) else wire.moment(stated)
        except (ValueError, OverflowError, OSError):
            at = None
        if at is None:
            raise Problem("malformed", "at is RFC 3339 or epoch milliseconds")
        if at > self._consent.clock() + AHEAD:
            raise Problem("malformed", "at lies in the future")
        return at.date()


def _line(item: Shared) -> dict[str, Any]:
    line: dict[str, Any] = {
        "id": item.id,
        "outcome": item.outcome,
        "reason": item.reason,
        "data": dict(item.data),
    }
    if item.row is not None:
        line["row"] = dict(item.row)
    return line


def _counts(shared: Sequence[Shared]) -> dict[str, Any]:
    outcomes = Counter(item.outcome for item in shared)
    refused = Counter(str(item.reason) for item in shared if item.outcome == "refused")
    counts = {word: outcomes.get(word, 0) for word in ("sent", "returned", "duplicate", "unknown")}
    dropped: Counter[str] = Counter()
    for item in shared:
        dropped.update(item.dropped)
    sums = {"refused": dict(sorted(refused.items())), "dropped": dict(sorted(dropped.items()))}
    return {"rows": len(shared), **counts, **sums}
