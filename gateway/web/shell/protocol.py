"""How large and how slow a request's head may be, and what none may hold: what uvicorn's parser leaves to its user.
`gateway serve` hands it to uvicorn.

llhttp, under httptools, refuses what request smuggling needs: both lengths, doubled lengths, bad chunk ends, bare LF,
folded lines (tests/web/test_protocol.py asks each). It has no limit of size or time, takes a request without a Host,
puts trailer fields among the headers, and drops the body of a request that offers an upgrade. Never keeps a body.
"""

import asyncio
import re
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.web.shell import edge, problem
from gateway.web.shell.problem import Problem

HEAD_BYTES = 65_536  # nginx takes 4 x 8 KiB (large_client_header_buffers)
HEADERS = 256  # a browser sends 20; Apache takes 100 (LimitRequestFields)
HEAD_SECONDS = 20.0  # from the connection, or the first byte of a later request, to the end of its head
LINGER_SECONDS = 2.0  # what still comes is thrown away: closing at once would reset the connection and lose the answer
BODILESS = frozenset({204, 304})  # statuses whose answers have no body, RFC 9110 6.4.1
CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # besides the ends of lines, which are counted
LENGTHS = frozenset({b"content-length", b"transfer-encoding"})


class Protocol(HttpToolsProtocol):
    """One connection of uvicorn's. A refusal is a problem document and the connection's end (RFC 9112, 3.2, 6.3 and
    11.2).
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._head = 0  # bytes since the last whole head or piece of a body
        self._timer: asyncio.TimerHandle | None = None
        self._refused: Problem | None = None
        self._begun = False  # a head has, and not ended
        self._over = False
        self._upgrades = False
        self._idle_since: float | None = None  # in the loop's time

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._idle_since = None
        self._head += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._refused or Problem("not_http", "this is no request in HTTP/1.1"))
            return
        if self._head > HEAD_BYTES:
            self._refuse(Problem("head_too_large", f"the head of a request has at most {HEAD_BYTES} bytes"))
        elif self._begun and self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offered:
            self._read_on(data[offered.args[0] :])

    def on_message_begin(self) -> None:
        self._begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._begun = False
        self._stop_timer()
        self._refused = _wrong(self.parser.get_http_version(), self.headers, self._head)
        if self._refused:
            raise self._refused  # httptools makes a parser error of it, which `data_received` catches
        self._upgrades = bool(self.parser.should_upgrade())
        super().on_headers_complete()
        self.cycle.__class__ = WholeAnswer  # before its task has begun
        self.headers = []  # trailers end up here; the request's headers stay as they came (RFC 9110, 6.5.1)
        self._head = 0

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._head = 0

    def on_message_complete(self) -> None:
        if not self._upgrades:  # else the body is yet to come
            super().on_message_complete()
            self._head = 0

    def on_response_complete(self) -> None:
        """What follows an answer: the next request, or a wait for one. One timer a connection is set once for many
        waits; uvicorn sets one for each.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _wait(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Ends a connection that was idle for as long as it may be."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # the answer that it is busy with sets another
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._wait(left)
        else:
            super().timeout_keep_alive_handler()

    def _read_on(self, rest: bytes) -> None:
        """Nobody has to upgrade (RFC 9110, 7.8), and a client that offers it beside a form sends the form all the same:
        Java's HttpClient and `curl --http2` offer h2c. A parser that is told the length alone reads the body.
        """
        self._upgrades, self.cycle.keep_alive = False, False
        lengths = b"".join(b"%b: %b\r\n" % pair for pair in self.scope["headers"] if pair[0] in LENGTHS)
        self.parser = httptools.HttpRequestParser(_BodyOf(self))
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n%b" % (lengths, rest))

    def _late(self) -> None:
        self._refuse(Problem("too_slow", f"the head of a request takes at most {HEAD_SECONDS:.0f} seconds"))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, refused: Problem) -> None:
        self._stop_timer()
        self._over = True
        running = self.cycle is not None and not self.cycle.response_complete
        if not self.pipeline and not (running and self.cycle.response_started):  # not amid another answer
            self.transport.write(_document(refused))
        if running:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)


class WholeAnswer(RequestResponseCycle):
    """An answer whose head goes out with the first piece of its body: uvicorn writes them one after the other, and each
    write wakes whoever reads. A head that does not say how long the body is goes out at the latest behind this turn of
    the event loop, for a stream's first piece may be long in coming.
    """

    _held = b""

    async def send(self, message: Any) -> None:
        """As uvicorn's. Raises `RuntimeError` for what is no answer in HTTP."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.start" and not self.response_started:
            self._begin(message["status"], [*self.default_headers, *message.get("headers", ())])
        elif kind == "http.response.body" and self.response_started and not self.response_complete:
            self._go_on(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"{kind} has no place here")

    def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.response_started, self.waiting_for_100_continue = True, False
        head, said = b"".join([b"%b: %b\r\n" % pair for pair in headers]), dict(headers)
        if CONTROLS.search(head) or head.count(b"\n") + head.count(b"\r") != 2 * len(headers):
            raise RuntimeError("a header holds what none may hold")
        if b"close" in [word.strip() for word in said.get(b"connection", b"").lower().split(b",")]:
            self.keep_alive = False
        elif not self.keep_alive:
            head += b"connection: close\r\n"
        self.chunked_encoding = b"content-length" not in said and status not in BODILESS and not self._is_bodiless()
        if self.chunked_encoding:
            head += b"transfer-encoding: chunked\r\n"
            asyncio.get_running_loop().call_soon(self._write, b"")
        self.expected_content_length = 0 if self.chunked_encoding else int(said.get(b"content-length", b"0"))
        self._held = STATUS_LINE[status] + head + b"\r\n"

    def _is_bodiless(self) -> bool:
        return self.scope["method"] == "HEAD"

    def _go_on(self, body: bytes, more: bool) -> None:
        if self._is_bodiless():
            body, self.expected_content_length = b"", 0
        elif self.chunked_encoding:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (self.expected_content_length and not more):
                raise RuntimeError("a body of another length than its head says")
        self._write(body)
        if not more:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()

    def _write(self, data: bytes) -> None:
        data, self._held = self._held + data, b""
        if data:
            self.transport.write(data)


class _BodyOf:
    """A parser's callbacks for the body alone, on behalf of a connection."""

    def __init__(self, connection: Protocol) -> None:
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete


def _wrong(version: str, headers: list[tuple[bytes, bytes]], size: int) -> Problem | None:
    """What is wrong with a head that the parser took. `size`: of what came so far."""
    if len(headers) > HEADERS:
        return Problem("head_too_large", f"a request has at most {HEADERS} header fields")
    if size > HEAD_BYTES and sum(len(name) + len(value) for name, value in headers) > HEAD_BYTES:
        return Problem("head_too_large", f"the head of a request has at most {HEAD_BYTES} bytes")
    if version not in {"1.1", "1.0"}:
        return Problem("not_http", "HTTP/1.1 or 1.0 is spoken here")
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts > 1 or (not hosts and version == "1.1"):
        return Problem("not_http", "a request names one Host")
    if b"transfer-encoding" in names and (
        version == "1.0" or dict(headers)[b"transfer-encoding"].lower() != b"chunked"
    ):
        return Problem("not_http", "a Transfer-Encoding is chunked and nothing else, in HTTP/1.1")
    return None


def _document(refused: Problem) -> bytes:
    answer = problem.response(refused)
    headers = [*answer.raw_headers, *edge.ALWAYS, (b"connection", b"close")]
    head = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return STATUS_LINE[answer.status_code] + head + b"\r\n" + bytes(answer.body)
