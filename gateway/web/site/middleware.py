"""`ConsentMiddleware`, plain ASGI in front of any site: hears every request, tells the site what it may do, remembers.
`app.service` puts it before the operator's application.

Inbound `Gateway-*` names are removed, whatever their spelling (`_` counts as `-`: PHP and WSGI cannot tell them apart),
and ours are set, every key always present. The sealed cookies never reach the site. `Sec-GPC: 1` goes on unchanged
(L6). Streaming bodies pass untouched.
"""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.signals import gpc
from gateway.web.shell import header_names
from gateway.web.shell.visitor import NO_STATE, Headers
from gateway.web.site import header_fields, shared_caches
from gateway.web.site.visit import EVERYBODYS, Visit, Visits

DOOR = "middleware"
GPC = (gpc.HEADER, b"1")
READ_AND_PASSED = {name for name in header_names.READ if not header_names.is_ours(name)} - {b"cookie"}
PASSING = header_names.ORDINARY_REQUEST | READ_AND_PASSED
PLAIN_ANSWER = header_names.ORDINARY_ANSWER - shared_caches.OUTRANKING - {shared_caches.PRIVATE[0]}
ANSWERS = frozenset({"http.response.start", "websocket.http.response.start"})  # the latter: a websocket refused
EARLY = "http.response.early_hint"  # 103: links to connect to, before any policy is there


class ConsentMiddleware:
    """Mounts before an ASGI application."""

    def __init__(self, app: ASGIApp, visits: Visits) -> None:
        self._app = app
        self._visits = visits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        visit, news = self._visits.hear(scope)
        if news:
            await news
        self._visits.count(visit, DOOR)

        def told(message: Message) -> Awaitable[None]:
            if message["type"] in ANSWERS:
                return send(dict(message, headers=_outward(message.get("headers", ()), visit)))
            if visit.policy and message["type"] == EARLY:
                return _untold()
            return send(message)

        headers, state = scope["headers"], scope.get("state") or NO_STATE
        if not visit.ordinary:
            headers = _clean(headers)
        told_id = "request_id" in state and visit is not EVERYBODYS  # a page of everybody's is of no one request
        request = (header_names.REQUEST_ID, state["request_id"].encode() if told_id else b"")
        if visit.adds_gpc:  # in place of what the browser said instead: a site may read the first of two
            headers = [*(header for header in headers if header[0].replace(b"_", b"-") != gpc.HEADER), GPC]
        told_site = [*headers, *visit.headers, request]
        state = dict(state, gateway=visit.answer)
        await self._app(dict(scope, headers=told_site, state=state), receive, told)


async def _untold() -> None:
    """What is kept back of an answer."""


def _clean(headers: Headers) -> Headers:
    kept = []
    for header in headers:
        name = header[0]
        if name in PASSING:
            kept.append(header)
        elif name == b"cookie":
            rest = header_fields.without_ours(header[1])
            if rest:
                kept.append((name, rest))
        elif not header_names.is_ours(name):
            kept.append(header)
    return kept


def _outward(headers: Headers, visit: Visit) -> Headers:
    if not visit.policy and PLAIN_ANSWER.issuperset(map(header_names.name_of, headers)):
        return [*headers, *visit.to_browser, *([shared_caches.PRIVATE] if visit.private else ())]
    if not header_names.ORDINARY_ANSWER.issuperset(map(header_names.name_of, headers)):
        headers = [header for header in headers if not header_names.is_ours(header[0])]
    if visit.policy:
        headers = header_fields.silently(headers)
    told = [*headers, *visit.to_browser]
    return shared_caches.privately(told) if visit.private else told
