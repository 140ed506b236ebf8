"""POST /v1/explain: a check's verdict with every rule that was tried, for a person to read.

`at` asks for another moment: what stood on record then, rebuilt from the ledger's entries, under the law of that day
(L85). That is history, so it wants scope desk or export. Recipients are those that are configured now.
"""

from datetime import date, datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType, field
from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.verdict import Step
from gateway.consent.check import Explained
from gateway.consent.verbs import Consent
from gateway.keys.api_keys import ApiKey, Credentials
from gateway.terms import Answer, DataClass, Purpose, Reason
from gateway.web.api import check_request
from gateway.web.shell import auth, wire
from gateway.web.shell.problem import Problem


class StepBody(Struct, kw_only=True):
    """One rule that was tried; answer null: it had no opinion, and the next was asked."""

    purpose: Purpose
    data_class: DataClass = field(name="class")
    rule: str
    asks: str
    answer: Answer | None
    reason: Reason | UnsetType = UNSET
    cites: str | UnsetType = UNSET


class VerdictTried(check_request.VerdictShown, kw_only=True):
    """A verdict and its chain."""

    tried: list[StepBody]


class ExplainedBody(VerdictTried, kw_only=True):
    """The verdict of one recipient and its chain. `on`: of another moment."""

    position: int | None
    on: date | UnsetType = UNSET


class ExplainedByRecipient(Struct, kw_only=True):
    """The same of several."""

    verdicts: dict[str, VerdictTried]
    position: int | None
    on: date | UnsetType = UNSET


class ExplainDoor:
    """POST /v1/explain, for whoever has to answer for a verdict."""

    def __init__(self, consent: Consent, credentials: Credentials) -> None:
        self._consent = consent
        self._credentials = credentials

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "check")
        wire.require_json(request)
        wire.no_parameters(request)
        body = wire.convert(wire.parse_body(await wire.read_body(request)), wire.Explain)
        ask = check_request.to_ask(body)
        explained, then = await self._consent.explain(ask, self._moment(body.at, key))
        verdicts = {name: self._told(item, key) for name, item in explained.items()}
        about = {"on": then.on, "position": then.position} if then else {"position": self._consent.checks.position()}
        if body.recipients is not None:
            return wire.wire_answer({"verdicts": verdicts, **about})
        return wire.wire_answer({**next(iter(verdicts.values())), **about})

    def _moment(self, at: str | None, key: ApiKey) -> datetime | None:
        """Raises `Problem`."""
        if at is None:
            return None
        if not check_request.sees_entries(key):
            raise Problem("forbidden", "what stood on record at another moment wants scope desk or export", "/at")
        moment = wire.moment(at)
        if moment is None or moment > self._consent.clock():
            raise Problem("malformed", "at is an RFC 3339 time or date that is past", "/at")
        return moment

    def _told(self, item: Explained, key: ApiKey) -> dict[str, Any]:
        verdict = check_request.verdict(item.verdict, self._consent, key)
        return {**verdict, "tried": [_step(step) for step in item.steps]}


def _step(step: Step) -> StepBody:
    told = StepBody(
        purpose=step.purpose, data_class=step.data_class, rule=step.rule.name, asks=step.rule.asks, answer=None
    )
    if step.ruling:
        told.answer, told.reason, told.cites = step.ruling.answer, step.ruling.reason, step.ruling.rule
    return told
