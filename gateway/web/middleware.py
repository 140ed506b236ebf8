"""`ConsentMiddleware`: plain ASGI in front of any site. Hears every request, tells the site what it may do, remembers.

Inbound `Gateway-*` names are removed, whatever their spelling (`_` counts as `-`: PHP and WSGI cannot tell them
apart), and ours are set, every key always present (api.md, To the site). The sealed cookie never reaches the site.
`Sec-GPC` goes on unchanged (L6). Streaming bodies pass untouched.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.signals import cookies, gpc
from gateway.web import proof_cookie
from gateway.web.browser_cookie import COOKIE
from gateway.web.visit import VARY, Visit, Visits
from gateway.web.visitor import Headers, Scope

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFIX = b"gateway-"


class ConsentMiddleware:
    """Mounts before an ASGI application."""

    def __init__(self, app: App, visits: Visits) -> None:
        self._app = app
        self._visits = visits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        visit = await self._visits.of(scope)
        await self._app(_inward(scope, visit), receive, _Answer(visit, send).send)


def _inward(scope: Scope, visit: Visit) -> Scope:
    headers = [*_clean(scope["headers"]), *visit.headers]
    if visit.adds_gpc:
        headers.append((gpc.HEADER, b"1"))
    return {**scope, "headers": headers, "state": {**scope.get("state", {}), "gateway": visit.site}}


def _clean(headers: Headers) -> list[tuple[bytes, bytes]]:
    kept = []
    for name, value in headers:
        if name.replace(b"_", b"-").startswith(PREFIX):
            continue
        if name == b"cookie":
            for ours in (COOKIE, proof_cookie.COOKIE):
                value = cookies.without(value, ours.encode())  # noqa: PLW2901
            if not value:
                continue
        kept.append((name, value))
    return kept


class _Answer:
    """One response on its way out: `Vary`, the cookie, and the policy of delivery."""

    def __init__(self, visit: Visit, send: Send) -> None:
        self._visit = visit
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = self._outward(list(message.get("headers", [])))
        await self._send(message)

    def _outward(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        kept = [(n, v) for n, v in headers if not n.lower().replace(b"_", b"-").startswith(PREFIX)]
        kept.append((b"vary", VARY))
        if self._visit.cookie:
            kept.append((b"set-cookie", self._visit.cookie.encode()))
        if self._visit.policy:
            kept.append((b"content-security-policy", self._visit.policy.encode()))
        return _privately(kept) if self._visit.private else kept


def _privately(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """No shared cache may keep an answer that one person's cookie or account had a part in (R33)."""
    said = b", ".join(value for name, value in headers if name.lower() == b"cache-control").lower()
    if b"no-store" in said or (b"private" in said and b"public" not in said):
        return headers
    kept = [(name, value) for name, value in headers if name.lower() != b"cache-control"]
    return [*kept, (b"cache-control", b"private, no-cache")]
