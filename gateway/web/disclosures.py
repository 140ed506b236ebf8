"""POST /v1/disclosures: a caller says what became of its checks (R22), and of rows that were handed back to it. Each
line is answered, durably, in order.

`recorded`; `repeated`: said before, or already known to have been sent; `denied`: it was sent although the answer was
no, which is on record and an alarm; `expired`: said an hour late, it stays "may have been sent"; `unknown`: no decision
of ours; `malformed`.
"""

from starlette.requests import Request
from starlette.responses import Response

from gateway.credentials import Credentials
from gateway.lines import Line
from gateway.web import auth, reports_of, wire


class DisclosuresDoor:
    """The door for whoever sends after asking. `rows`: who handed rows back; a replica hands back none."""

    def __init__(
        self, disclosing: reports_of.Taking, credentials: Credentials, rows: reports_of.Handing | None = None
    ) -> None:  # fmt: skip
        self._disclosing = disclosing
        self._credentials = credentials
        self._rows = rows

    async def post(self, request: Request) -> Response:
        """One object, or NDJSON; in both cases a line a report comes back, then the end. Of rows a key speaks that may
        share: what it says was sent is not handed back again.
        """
        key = auth.anybody(request, self._credentials)
        auth.want(key, "check", "share")
        lines = wire.require_json(request, lines=True)
        body = await wire.read_body(request)
        rows = self._rows if key.may("share") else None
        said = wire.lines_of(body) if lines else [Line(1, body)]
        told = await reports_of.taken(self._disclosing, [line.text for line in said], rows)
        answers = [wire.placed(each, line) for each, line in zip(told, said, strict=True)]
        return wire.lines_answer([*answers, {"end": True, "count": len(answers)}])
