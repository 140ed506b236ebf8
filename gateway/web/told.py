"""GET /v1/notices/due: who must be told of something new (scope export or desk). POST /v1/notices: the operator's
sender tells who was shown or sent a notice (scope desk; R15, 47 CFR 64.2008).

Until a person was told, nothing goes to a recipient that a later notice named; silence approves nothing. What came back
undelivered is recorded and tells nobody.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from gateway import seals
from gateway.consent import Consent
from gateway.credentials import Credentials
from gateway.ledger.due import Due
from gateway.notifying import Notifying
from gateway.terms import NoticeKind, Told
from gateway.web import auth, desk_call, wire
from gateway.web.problem import Problem

Word = TypeVar("Word", NoticeKind, Told)
PAGE, MOST = 100, 1_000  # accounts of one page
KNOWN = frozenset({"identifiers", "notice", "on", "outcome", "place"})


class ToldDoor:
    """The door."""

    def __init__(self, consent: Consent, credentials: Credentials, notifying: Notifying) -> None:
        self._consent = consent
        self._credentials = credentials
        self._notifying = notifying

    async def due(self, request: Request) -> Response:
        """A page of those who must be told, and of what; `next` is the following page's `after`. Whoever is reported as
        told is on no later page.
        """
        auth.want(auth.anybody(request, self._credentials), "export", "desk")
        unknown = sorted(set(request.query_params) - {"after", "limit"})
        if unknown:
            raise Problem("unknown_member", "the parameters are after and limit", f"/{unknown[0][:64]}")
        try:
            found, following = await self._notifying.page(request.query_params.get("after", ""), _limit(request))
        except seals.Opening:
            raise Problem("malformed", "after is what an earlier page gave as next", "/after") from None
        body = {"due": [_owed(item) for item in found.due], "next": following}
        return wire.answer(body, headers={"Cache-Control": "no-store"})

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


def _limit(request: Request) -> int:
    stated = request.query_params.get("limit", str(PAGE))
    if not (stated.isascii() and stated.isdigit() and 1 <= int(stated[:9]) <= MOST):
        raise Problem("malformed", f"limit is a number from 1 to {MOST}", "/limit")
    return int(stated)


def _owed(item: Due) -> dict[str, Any]:
    owed = [{"recipient": each.recipient, "what": each.what or None, "on": each.on} for each in item.owed]
    return {"account": item.account, "told": item.told, "bounced": item.bounced, "owed": owed}


def _word(body: Mapping[str, Any], name: str, words: type[Word]) -> Word:
    stated = body.get(name)
    if not isinstance(stated, str) or stated not in set(words):
        raise Problem("malformed", f"{name} is one of {', '.join(words)}", f"/{name}")
    return words(stated)
