"""POST /v1/notices: the operator's sender tells who was shown or sent a notice (scope desk; R15, 47 CFR 64.2008).

Until a person was told, nothing goes to a recipient that a later notice named; silence approves nothing. What came back
undelivered is recorded and tells nobody.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from gateway.consent import Consent
from gateway.credentials import Credentials
from gateway.terms import NoticeKind, Told
from gateway.web import desk_call, wire
from gateway.web.problem import Problem

Word = TypeVar("Word", NoticeKind, Told)
KNOWN = frozenset({"identifiers", "notice", "on", "outcome", "place"})


class ToldDoor:
    """The door."""

    def __init__(self, consent: Consent, credentials: Credentials) -> None:
        self._consent = consent
        self._credentials = credentials

    async def post(self, request: Request) -> Response:
        """One object, or NDJSON with an answer a line."""
        return await desk_call.answer(request, self._credentials, self._take, "recorded")

    async def _take(self, stated: object) -> dict[str, Any]:
        body = desk_call.members(stated, KNOWN, "a report")
        notice, outcome = _word(body, "notice", NoticeKind), _word(body, "outcome", Told)
        today = self._consent.clock().date()
        on = wire.day(body.get("on"), "/on") or today
        if on > today:
            raise Problem("malformed", "on lies in the future", "/on")
        named, ignored = desk_call.named(self._consent, body)
        await self._consent.tell(named.subjects, notice, on, outcome)
        return {"recorded": len(named.subjects), "ignored": ignored}


def _word(body: Mapping[str, Any], name: str, words: type[Word]) -> Word:
    stated = body.get(name)
    if not isinstance(stated, str) or stated not in set(words):
        raise Problem("malformed", f"{name} is one of {', '.join(words)}", f"/{name}")
    return words(stated)
