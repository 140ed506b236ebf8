"""POST /v1/links: the backend tells which phones, e-mails and devices an account has (scope desk; R2, R5)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.consent import Consent
from gateway.credentials import Credentials
from gateway.ledger.links import Span
from gateway.ledger.records import milliseconds
from gateway.web import desk_call, wire
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
        """One object, or NDJSON with an answer a line."""
        return await desk_call.answer(request, self._credentials, self._take, "linked")

    async def _take(self, stated: object) -> dict[str, Any]:
        body = desk_call.members(stated, KNOWN, "a link")
        released = body.get("event") == RELEASED
        if body.get("event") is not None and not released:
            raise Problem("malformed", f"event is {RELEASED}", "/event")
        named, ignored = desk_call.named(self._consent, body)
        others = [subject for subject in named.subjects if not subject.is_account]
        if len(others) < len(named.subjects):
            raise Problem("malformed", "an account is not linked to an account", "/identifiers")
        account, band = self._account(body, released), wire.band(body.get("age"))
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


def _moment(body: Mapping[str, Any], name: str) -> datetime | None:
    stated = body.get(name)
    if stated is None:
        return None
    found = wire.moment(stated)
    if found is None:
        raise Problem("malformed", f"{name} is an RFC 3339 time", f"/{name}")
    return found
