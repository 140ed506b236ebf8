"""POST /v1/links: the backend tells which phones, e-mails and devices an account has (scope desk; R2, R5)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.law import country_of
from gateway.consent import Consent
from gateway.credentials import Credentials
from gateway.ledger.links import Span
from gateway.ledger.records import milliseconds
from gateway.web import auth, problem, wire
from gateway.web.problem import Problem

KNOWN = frozenset({"account", "identifiers", "from", "until", "event", "place", "age"})
RELEASED = "number_released"
AHEAD = timedelta(minutes=5)  # clocks differ; a link that starts later than that cannot carry a choice yet


class Links:
    """The door."""

    def __init__(self, consent: Consent, credentials: Credentials) -> None:
        self._consent = consent
        self._credentials = credentials

    async def post(self, request: Request) -> Response:
        """One object, or NDJSON with an answer a line. A bad line costs only itself."""
        auth.caller(request, self._credentials, "desk")
        lines = wire.require_json(request, lines=True)
        body = await wire.read_body(request)
        if not lines:
            return wire.answer(await self._take(wire.parse(body)), 201)
        answers: list[object] = []
        for row in wire.lines_of(body):
            try:
                answers.append(await self._take(wire.parse(row)))
            except problem.HANDLED as error:
                answers.append({"linked": 0, **problem.line(error)})
        return wire.lines_answer([*answers, {"end": True, "count": len(answers)}])

    async def _take(self, body: object) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise Problem("malformed", "a link is a JSON object")
        unknown = sorted(set(body) - KNOWN)
        if unknown:
            raise Problem("unknown_member", "a link has no such member", f"/{unknown[0][:64]}")
        released = body.get("event") == RELEASED
        if body.get("event") is not None and not released:
            raise Problem("malformed", f"event is {RELEASED}", "/event")
        items = body.get("identifiers")
        if not isinstance(items, list) or not items:
            raise Problem("malformed", "identifiers is a list with something in it", "/identifiers")
        if len(items) > wire.MAX_IDENTIFIERS:
            raise Problem("too_large", f"at most {wire.MAX_IDENTIFIERS} identifiers a line", "/identifiers")
        named = self._consent.people.name(items, country_of(body.get("place")))
        ignored = [{"pointer": f"/identifiers/{index}", "reason": word} for index, word in named.ignored]
        others = [subject for subject in named.subjects if not subject.is_account]
        if len(others) < len(named.subjects):
            raise Problem("malformed", "an account is not linked to an account", "/identifiers")
        account, band = self._account(body, released), _band(body)
        changed = await self._consent.link(account, others, self._span(body), released=released)
        if band and not released:
            await self._consent.say_age([account], band, may_rise=True)
        return {"linked": 0 if released else len(others), "changed": changed, "ignored": ignored}

    def _account(self, body: Mapping[str, Any], released: bool) -> Any:
        stated = body.get("account")
        if released and stated is None:
            return self._consent.people.account("")
        named = self._consent.people.name([{"type": "account", "value": stated}])
        if not named.subjects:
            raise Problem("malformed", "account is the account's id", "/account")
        return named.subjects[0]

    def _span(self, body: Mapping[str, Any]) -> Span:
        now = self._consent.clock()
        start = _moment(body, "from") or now
        until = _moment(body, "until")
        if start > now + AHEAD:
            raise Problem("malformed", "from lies in the future", "/from")
        return Span(milliseconds(min(start, now)), milliseconds(until) if until else None)


def _band(body: Mapping[str, Any]) -> str | None:
    """How old the account's person is, by the operator's own records."""
    stated = body.get("age")
    if stated is not None and (isinstance(stated, bool) or not isinstance(stated, int | str)):
        raise Problem("malformed", "age is a number of years or a band", "/age")
    return wire.band(stated)


def _moment(body: Mapping[str, Any], name: str) -> datetime | None:
    stated = body.get(name)
    if stated is None:
        return None
    found = wire.moment(stated)
    if found is None:
        raise Problem("malformed", f"{name} is an RFC 3339 time", f"/{name}")
    return found
