"""POST /v1/notices: the operator's sender tells who was shown or sent a notice (scope desk; R15, 47 CFR 64.2008).

Until a person was told, nothing goes to a recipient that a later notice named; silence approves nothing. What came back
undelivered is recorded and tells nobody.
"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.law import country_of
from gateway.consent import Consent
from gateway.credentials import Credentials
from gateway.terms import NoticeKind, Told
from gateway.web import auth, problem, wire
from gateway.web.problem import Problem

KNOWN = frozenset({"identifiers", "notice", "on", "outcome", "place"})


class ToldDoor:
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
                answers.append({"recorded": 0, **problem.line(error)})
        return wire.lines_answer([*answers, {"end": True, "count": len(answers)}])

    async def _take(self, body: object) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise Problem("malformed", "a report is a JSON object")
        unknown = sorted(set(body) - KNOWN)
        if unknown:
            raise Problem("unknown_member", "a report has no such member", f"/{unknown[0][:64]}")
        notice, outcome = _word(body, "notice", NoticeKind), _word(body, "outcome", Told)
        today = self._consent.clock().date()
        on = wire.day(body.get("on"), "/on") or today
        if on > today:
            raise Problem("malformed", "on lies in the future", "/on")
        items = body.get("identifiers")
        if not isinstance(items, list) or not items:
            raise Problem("malformed", "identifiers is a list with something in it", "/identifiers")
        if len(items) > wire.MAX_IDENTIFIERS:
            raise Problem("too_large", f"at most {wire.MAX_IDENTIFIERS} identifiers a line", "/identifiers")
        named = self._consent.people.name(items, country_of(body.get("place")))
        ignored = [{"pointer": f"/identifiers/{index}", "reason": word} for index, word in named.ignored]
        await self._consent.tell(named.subjects, NoticeKind(notice), on, Told(outcome))
        return {"recorded": len(named.subjects), "ignored": ignored}


def _word(body: Mapping[str, Any], name: str, words: type[NoticeKind] | type[Told]) -> str:
    stated = body.get(name)
    if not isinstance(stated, str) or stated not in set(words):
        raise Problem("malformed", f"{name} is one of {', '.join(words)}", f"/{name}")
    return stated
