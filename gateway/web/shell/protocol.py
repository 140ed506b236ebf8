"""How large and how slow a request's head may be, and what none may hold: what uvicorn's parser leaves to its user.
`gateway serve` hands it to uvicorn.

llhttp, under httptools, refuses what request smuggling needs: both lengths, doubled lengths, bad chunk ends, bare LF,
folded lines (tests/web/test_protocol.py asks each). It has no limit of size or time, takes a request without a Host,
puts trailer fields among the headers, and drops the body of a request that offers an upgrade. Never keeps a body.

A request that is asked all the time, and came whole, is answered here by a plain call: of the application itself
(`Edge.at_once`). Where another layer stands before that, it has such a call too, or none is answered so.
"""

import asyncio
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.web.shell import edge, problem
from gateway.web.shell.edge import WHOLE
from gateway.web.shell.problem import Problem

HEAD_BYTES = 65_536  # nginx takes 4 x 8 KiB (large_client_header_buffers)
HEADERS = 256  # a browser sends 20; Apache takes 100 (LimitRequestFields)
HEAD_SECONDS = 20.0  # from the connection, or the first byte of a later request, to the end of its head
LINGER_SECONDS = 2.0  # what still comes is thrown away: closing at once would reset the connection and lose the answer
LENGTHS = frozenset({b"content-length", b"transfer-encoding"})
ASKED_AT_ONCE = frozenset({b"/v1/check"})  # of those that the edge answers at once
AtOnce = Callable[[str, edge.Headers, bytes, tuple[str, int | None]], bytes | None]


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
        self._whole: list[bytes] | None = None  # of a request that may be answered at once: what came of its body
        self._at_once: AtOnce | None = getattr(self.app, "at_once", None)
        self._told = False  # one was, in this turn of the event loop: whoever sends many together has others between

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", WholeWrites(transport, self.loop)))
        self._timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._unset_keepalive_if_required()
        self._told = False
        self._head += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._refused or Problem("not_http", "this is no request in HTTP/1.1"))
            return
        if self._whole is not None:
            self._go_on()
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
        if self._may_be_whole():
            self._whole, self.headers = [], []  # the scope keeps them; what follows a body is none of them
        else:
            self._begin()

    def _may_be_whole(self) -> bool:
        """Whether a request is one that is asked all the time, with nothing before it on this connection that is not
        answered yet.
        """
        return (
            self._at_once is not None
            and self.url in ASKED_AT_ONCE
            and not self._told
            and (self.cycle is None or self.cycle.response_complete)
            and not (self._upgrades or self.expect_100_continue or self.pipeline or self.flow.write_paused)
            and self.scheme == "http"
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and bool(self.parser.should_keep_alive())
        )

    def _begin(self) -> None:
        """As uvicorn does with every request: in a task of its own, whether its body is there or not."""
        self._unset_keepalive_if_required()  # which an answer at once has set, to what came together with this one
        super().on_headers_complete()
        # weakly, or each request's scope and body stay until somebody looks for what only a cycle holds
        offered: dict[str, Any] = {WHOLE: partial(answer_whole, weakref.proxy(self.cycle))}
        self.scope["extensions"] = offered
        self.headers = []  # trailers end up here; the request's headers stay as they came (RFC 9110, 6.5.1)
        self._head = 0

    def on_body(self, body: bytes) -> None:
        if self._whole is None:
            super().on_body(body)
        else:
            self._whole.append(body)
        self._head = 0

    def on_message_complete(self) -> None:
        if self._whole is not None and self._answered():
            return
        if not self._upgrades:  # else the body is yet to come
            super().on_message_complete()
            self._head = 0

    def _answered(self) -> bool:
        """Whether a request that came whole was answered at once, in this turn of the event loop and without a task of
        its own, which together take longer than many an answer. False: it goes on as any other.
        """
        common, body = common_fields.of(self.server_state.default_headers), b"".join(self._whole or ())
        if common is not None and self._at_once and not self.transport.is_closing():
            told = self._at_once(self.url.decode(), [*self.scope["headers"]], body, self.server or ("", None))
            if told is not None:
                self._whole, self._head, self._told = None, 0, True
                cast("WholeWrites", self.transport).write_whole(b"%b%b%b" % (STATUS_LINE[200], common, told))
                self.on_response_complete()
                return True
        self._go_on()
        return False

    def _go_on(self) -> None:
        """With a request whose head waited for its body."""
        body, self._whole = self._whole or (), None
        self.expect_100_continue = False  # it was said by no header; a trailer asks for nothing
        self._begin()
        for each in body:
            self.on_body(each)

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


class WholeWrites:
    """A connection's transport, by which an answer's head and its body go out as one: uvicorn writes them one after the
    other, and each write wakes whoever reads. What is held back is written with what follows, at the latest behind this
    turn of the event loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held = b""

    def write(self, data: bytes) -> None:
        """As the transport's."""
        if self._held:
            data, self._held = self._held + data, b""
            self._transport.write(data)
        elif data:
            self._held = data
            self._loop.call_soon(self._let_go)

    def write_whole(self, data: bytes) -> None:
        """A head and its body, behind which nothing comes: not held back."""
        self._transport.write(self._held + data)
        self._held = b""

    def close(self) -> None:
        """As the transport's: behind what was written."""
        self._let_go()
        self._transport.close()

    def write_eof(self) -> None:
        """Likewise."""
        self._let_go()
        self._transport.write_eof()

    def _let_go(self) -> None:
        held, self._held = self._held, b""
        if held:
            self._transport.write(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def answer_whole(cycle: RequestResponseCycle, status: int, fields: bytes, body: bytes) -> bool:
    """Sends an answer that is in memory, `fields` as they go out: what uvicorn does in two messages, looking at each
    field of the head. False: nothing was sent and it has to go by messages, as where the connection ends with it.
    """
    transport, common = cycle.transport, common_fields.of(cycle.default_headers)
    if common is None or cycle.response_started or cycle.disconnected or not cycle.keep_alive:
        return False
    if cycle.flow.write_paused or not isinstance(transport, WholeWrites):
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    transport.write_whole(b"%b%b%b\r\n%b" % (STATUS_LINE[status], common, fields, body))
    cycle.message_event.set()
    cycle.on_response()
    return True


class CommonFields:
    """What uvicorn puts on every answer, as it goes out: another list each second."""

    def __init__(self) -> None:
        self._last: tuple[edge.Headers, bytes | None] = ([], b"")

    def of(self, fields: edge.Headers) -> bytes | None:
        """None: one of them ends the connection."""
        told, text = self._last
        if told is not fields:
            ends = any(name.lower() == b"connection" for name, _ in fields)
            text = None if ends else edge.fields_of(fields)
            self._last = fields, text
        return text


common_fields = CommonFields()


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
