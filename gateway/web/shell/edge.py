"""The outermost layer around every door: which path is served on which address, the development guard, request ids, one
log line, security headers. Plain ASGI; `app.service` puts it on.

A path asked on the wrong address is 404. The log line has route, status, time and the name of the caller's key; never a
path with an id in it, a query, an address or a header.

`Shield` adds what our answers tell browsers not to do (ASVS 5.0.0 V3.4; our V9, V10). A door that says something itself
is not overruled. The site behind us is the operator's: its answers are left alone.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import getrandbits
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.signals.heard import trimmed
from gateway.web.shell import problem, wire
from gateway.web.shell.door_router import Call
from gateway.web.shell.header_names import REQUEST_ID
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.peer import Peers
from gateway.web.shell.problem import Problem

Headers = list[tuple[bytes, bytes]]
# Nothing of ours is a page by default, so none of it may load, frame or post anything; pages say what they may.
ALWAYS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
RESOURCES = b"cross-origin-resource-policy"
# Read on purpose by other sites' pages, and the same for everybody: the log, the statement, the ad tools' endpoints,
# and the files of a choices page that stands on another of the operator's hosts.
PUBLIC_PATHS = (
    "/ledger/",
    "/.well-known/",
    "/adchoices",
    "/privacy-choices/consent.js",
    "/privacy-choices/choices.css",
)
SAME_SITE = (b"SameSite=Lax", b"SameSite=Strict")
EVERYWHERE = b"SameSite=None; Partitioned"  # CHIPS: a cookie jar for each site that the page is framed by
FRAMED = b"frame-ancestors 'self'"  # what a page says that may be framed at all
SENT_HERE = (b"vary", b"Sec-Fetch-Site, Origin")  # what decides whether a form is ours (cross_site)


class Shield:
    """`transport` is the Strict-Transport-Security of answers that went out encrypted (RFC 6797, 7.2: on no others);
    empty: none, as in development, where a browser would refuse this machine's plain loopback for a year. `framed_by`:
    exact origins of the operator that may show the choices page in a frame; its cookies go with it there.
    """

    def __init__(self, peers: Peers, transport: str = "", framed_by: Sequence[str] = ()) -> None:
        self._peers = peers
        self._transport = transport.encode()
        self._framed_by = " ".join([FRAMED.decode(), *framed_by]).encode() if framed_by else b""

    def over(self, scope: Scope, said: Iterable[tuple[bytes, bytes]]) -> Headers:
        """The headers of an answer, completed."""
        headers = [self._framed(*pair) for pair in said] if self._framed_by else list(said)
        path = scope["path"]
        headers += _missing(frozenset([name for name, _ in headers]), path.startswith(PUBLIC_PATHS))
        if scope["method"] == "POST" and path.startswith("/privacy-choices"):
            headers.append(SENT_HERE)
        if self._transport and self._peers.https(scope):
            headers.append((b"strict-transport-security", self._transport))
        return headers

    def _framed(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        """A header as it has to be where a page of ours stands in a frame of another site."""
        if name == b"content-security-policy":
            return name, value.replace(FRAMED, self._framed_by)
        if name == b"set-cookie":
            for words in SAME_SITE:
                value = value.replace(words, EVERYWHERE)
        return name, value


@lru_cache(maxsize=256)  # a door's answers have few sets of headers; asked once more for each check
def _missing(names: frozenset[bytes], public: bool) -> tuple[tuple[bytes, bytes], ...]:
    """What an answer with these headers does not say by itself."""
    resources = (RESOURCES, b"cross-origin" if public else b"same-origin")
    return tuple(pair for pair in (*ALWAYS, resources) if pair[0] not in names)


Door = Callable[[Request], Awaitable[Response]]
Said = Mapping[bytes, bytes]  # a request's header fields, none of which stands twice
AtOnce = Callable[[Said, bytes, str], bytes | None]  # of these, a body and a request's id


@dataclass(slots=True)
class Calls:
    """The doors that are asked all the time, by method and path, and those of them that answer a POST `at_once`, by
    path: JSON, or None where the request is to come in by the door.
    """

    doors: dict[tuple[str, str], Door] = field(default_factory=dict)
    at_once: dict[str, AtOnce] = field(default_factory=dict)

    def add(self, others: "Calls") -> None:
        """Those that are open now."""
        self.doors.update(others.doors)
        self.at_once.update(others.at_once)


PUBLIC, INTERNAL, METRICS, DESK = "public", "internal", "metrics", "desk"
# From the first segment of a path to the addresses it is served on; what is not named is public (the site itself).
SERVED: Mapping[str, frozenset[str]] = {
    "v1": frozenset({INTERNAL}),
    "authz": frozenset({INTERNAL}),  # believes what a caller says of a request
    "openapi.json": frozenset({INTERNAL}),
    "livez": frozenset({PUBLIC, INTERNAL, METRICS}),
    "readyz": frozenset({PUBLIC, INTERNAL, METRICS}),
    "metrics": frozenset({METRICS}),
    "desk": frozenset({DESK}),
}
# Calls that apps (I31), and providers of text messages, make from the internet.
FROM_APPS = frozenset(
    f"/v1/{name}" for name in ("access", "choices", "codes", "erasures", "links", "observe", "standing", "texts")
)
FROM_AGENTS = ("/v1/agent/", "/v1/data-rights-request")  # by the Data Rights Protocol
TRACEPARENT = re.compile(rb"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")
# Of a server that takes a whole answer (`gateway.web.shell.protocol`): an extension of ASGI, as its scope names it.
WHOLE = "gateway.whole_answer"
HEAD_AT_ONCE = b"%bcontent-length: %d\r\n" + REQUEST_ID + b": %b\r\nserver-timing: " + wire.TIMING + b"\r\n\r\n%b"
NOTHING_MORE: Mapping[str, Any] = {}
KEY_NAME = "key_name"  # scope["state"] key: what the operator calls the key that a call came with
PROXIED, PROXIED_BY = frozenset({b"forwarded", b"x-real-ip", b"via"}), b"x-forwarded-"

log = structlog.get_logger("gateway")


def _trace(scope: Scope) -> str:
    """The trace id of a `traceparent` (W3C Trace Context), by which a caller finds its own request again; of calls
    with a key alone, for a visitor's may be anything.
    """
    if scope["path"].startswith("/v1/"):
        for name, value in scope["headers"]:
            if name == b"traceparent" and (found := _traced(value)):
                return found
    return ""


def _traced(stated: bytes) -> str:
    found = TRACEPARENT.fullmatch(stated.strip())
    return found[1].decode() if found else ""


def listeners_of(path: str) -> frozenset[str]:
    served = SERVED.get(path.split("/", 2)[1] if path.startswith("/") else "", frozenset({PUBLIC}))
    return served | {PUBLIC} if path in FROM_APPS or path.startswith(FROM_AGENTS) else served


@dataclass(frozen=True, slots=True)
class Addresses:
    """Which listener a local port is; in development one port is public and internal at once."""

    by_port: dict[int, frozenset[str]]

    def of(self, scope: Scope) -> frozenset[str]:
        server = scope.get("server") or ("", None)
        return self.by_port.get(server[1] or 0, frozenset({INTERNAL}))


def fields_of(headers: Headers) -> bytes:
    """As they go out. Raises ValueError where one would be another line of the answer."""
    text = b"".join([b"%b: %b\r\n" % pair for pair in headers])
    if text.count(b"\n") != len(headers) or text.count(b"\r") != len(headers):
        raise ValueError("a header field has a line's end in it")
    return text


class Edge:
    """`listener` says by the ASGI scope on which of the addresses a request came in, `shield` what covers the answer:
    nothing where it is the site's own. `calls`: the doors that are asked all the time, once they are open; their whole
    answers are in memory. A server that has a whole request in memory, and no other layer before this one, may ask
    `at_once`.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        listener: Callable[[Scope], frozenset[str]],
        *,
        shield: Callable[[Scope], Shield | None],
        guard: Callable[[Scope], str] | None = None,
        logged: bool = True,
        calls: Calls | None = None,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._listener = listener
        self._shield = shield
        self._guard = guard
        self._logged = logged
        self._calls = calls or Calls()
        self._heads: dict[tuple[str, int | None], bytes | None] = {}  # of an answer at once, by path and port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _trace(scope) or f"{getrandbits(64):016x}"  # a name and no secret
        listeners = self._listener(scope)
        state = {**scope.get("state", {}), "request_id": request_id, "listeners": listeners}
        scope = {**scope, "headers": trimmed(scope["headers"]), "state": state}
        door = self._calls.doors.get((scope["method"], scope["path"]))
        if door and not scope.get("root_path"):
            await self._call(door, scope, receive, send, began)
            return
        status, shield = 0, self._shield(scope)

        async def outward(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", []), (REQUEST_ID, request_id.encode())]
                message["headers"] = shield.over(scope, headers) if shield else headers
            await send(message)

        try:
            await self._serve(scope, receive, outward)
        except asyncio.CancelledError:  # while it waited for its turn, or for its body
            if status:
                raise
            await problem.response(problem.stopped(), request_id)(scope, receive, outward)
        finally:
            self._told(scope, request_id, status or 500, time.perf_counter() - began)

    async def _call(self, door: Door, scope: Scope, receive: Receive, send: Send, began: float) -> None:
        """Asks a door that is asked all the time: what the layers within do for others is here one function."""
        request_id: str = scope["state"]["request_id"]
        status, shield, failed = 500, self._shield(scope), None
        scope["gateway_route"] = scope["path"]
        try:
            try:
                refusal = self._refusal(scope)
                answer = problem.response(refusal, request_id) if refusal else await door(Call(scope, receive, send))
            except asyncio.CancelledError:
                answer = problem.response(problem.stopped(), request_id)
            except Exception as error:  # noqa: BLE001 - told to the caller, and raised again where it is our fault
                answer, failed = problem.response(problem.problem_of(error), request_id), error
            status, headers = answer.status_code, [*answer.raw_headers, (REQUEST_ID, request_id.encode())]
            headers = shield.over(scope, headers) if shield else headers
            whole = scope.get("extensions", NOTHING_MORE).get(WHOLE)
            if failed or not whole or not whole(status, fields_of(headers), answer.body):
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": answer.body})
        finally:
            self._told(scope, request_id, status, time.perf_counter() - began)
        if failed is not None and not isinstance(failed, problem.HANDLED):
            raise failed

    def at_once(self, path: str, fields: Headers, body: bytes, server: tuple[str, int | None]) -> bytes | None:
        """The head's fields, behind those of every answer, and the body of the 200 to a POST over plain HTTP, without
        a coroutine. None: nothing was done, and it is to come in as any request does, which words what is wrong with
        it. Never raises.
        """
        door, said = self._calls.at_once.get(path), dict(fields)
        if door is None or len(said) != len(fields) or b"x-forwarded-proto" in said:
            return None
        if self._guard and self._guard({"headers": fields}):
            return None
        began = time.perf_counter()
        request_id = (b"traceparent" in said and _traced(said[b"traceparent"])) or f"{getrandbits(64):016x}"
        try:
            if (path, server[1]) not in self._heads:
                self._heads[path, server[1]] = self._head_at_once(path, server)
            head = self._heads[path, server[1]]
            answer = head and door(said, body, request_id)
        except Exception:  # noqa: BLE001 - by the door it is raised again, and heard
            return None
        if not head or not answer:
            return None
        seconds = time.perf_counter() - began
        self._metrics.took("POST", path, 200, seconds)
        return HEAD_AT_ONCE % (head, len(answer), request_id.encode(), seconds * 1000, answer)

    def _head_at_once(self, path: str, server: tuple[str, int | None]) -> bytes | None:
        """What the head of each such answer says; None where none is given."""
        scope: Scope = {
            "type": "http", "method": "POST", "scheme": "http", "path": path, "server": server, "headers": [],
        }  # fmt: skip
        if not listeners_of(path) & self._listener(scope):
            return None
        shield, own = self._shield(scope), [wire.NO_STORE, wire.OF_JSON]
        return fields_of(shield.over(scope, own) if shield else own)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if refusal := self._refusal(scope):
            await problem.response(refusal, scope["state"]["request_id"])(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Problem | None:
        """Why a request is not for any door."""
        why = self._guard(scope) if self._guard else ""
        if why:
            return Problem("not_loopback", why)
        if not listeners_of(scope["path"]) & scope["state"]["listeners"]:
            return Problem("not_found", "not on this address")
        return None

    def _told(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or scope.get("gateway_route", "other")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.took(method, route, status, seconds)
        if not self._logged or (status < 400 and route in COUNTED_ONLY):  # noqa: PLR2004 - errors are always logged
            return
        ms, key = round(seconds * 1000, 2), scope["state"].get(KEY_NAME)
        log.info("request", route=route, method=method, status=status, ms=ms, id=request_id, key=key)


# Asked all the time; metrics count them.
COUNTED_ONLY = frozenset({
    "/v1/check", "/v1/openrtb", "/authz/nginx", "/authz/forward", "/authz/envoy/{path:path}", "/livez", "/readyz",
    "/metrics",
})  # fmt: skip
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def loopback_only(scope: Scope) -> str:
    """Why a request must not reach a development server, whose key everybody knows; empty where it may."""
    for name, value in scope["headers"]:
        if name in PROXIED or name.startswith(PROXIED_BY):
            return "a development server stands behind no proxy"
        if name == b"host" and not _is_loopback(value):
            return "a development server is asked by the name of this machine's loopback only"
    return ""


def _is_loopback(host: bytes) -> bool:
    name = host.rsplit(b":", 1)[0] if not host.endswith(b"]") else host
    return name in {b"localhost", b"[::1]"} or (name.startswith(b"127.") and name.replace(b".", b"").isdigit())
