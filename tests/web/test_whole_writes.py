"""An answer's head and body are one write, and nothing that was written is ever lost or late."""

import asyncio
import gc
import logging
import weakref

import pytest
from uvicorn import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from gateway.web.shell import edge
from gateway.web.shell.protocol import Protocol, WholeWrites, answer_whole

pytestmark = pytest.mark.anyio


class Wire:
    """What a transport was told, in order."""

    def __init__(self):
        self.told = []

    def write(self, data):
        self.told.append(bytes(data))

    def close(self):
        self.told.append("close")

    def write_eof(self):
        self.told.append("end")

    def is_closing(self):
        return False


def whole():
    wire = Wire()
    return wire, WholeWrites(wire, asyncio.get_running_loop())


async def test_a_head_goes_out_with_its_body():
    wire, transport = whole()
    transport.write(b"head ")
    transport.write(b"body")
    await asyncio.sleep(0)
    assert wire.told == [b"head body"]


async def test_a_head_whose_body_is_not_there_yet_goes_out_behind_its_turn():
    wire, transport = whole()
    transport.write(b"head")
    assert not wire.told
    await asyncio.sleep(0)
    transport.write(b"")  # an answer without one
    transport.write(b"a piece")
    transport.write(b", another")
    transport.write(b", a third")
    await asyncio.sleep(0)
    assert wire.told == [b"head", b"a piece, another", b", a third"]


@pytest.mark.parametrize(("end", "word"), [("close", "close"), ("write_eof", "end")])
async def test_the_end_comes_behind_all_that_was_written(end, word):
    wire, transport = whole()
    transport.write(b"refused")
    getattr(transport, end)()
    await asyncio.sleep(0)
    assert wire.told == [b"refused", word]
    assert transport.is_closing() is False, "what it does not do itself the transport does"


COMMON, CLOSE = (b"date", b"Sun, 29 Nov 2026 12:00:00 GMT"), (b"connection", b"close")
FIELDS = [(b"cache-control", b"no-store"), (b"content-length", b"4"), (b"server-timing", b"verdict;dur=0.12")]


def asked(common=(COMMON,), *, keep_alive=True):
    """A request that came in, and what goes out."""
    wire, transport = whole()
    done = []
    cycle = RequestResponseCycle(
        {"type": "http", "method": "POST"}, transport, FlowControl(transport), logging.getLogger(),
        logging.getLogger(), False, list(common), asyncio.Event(), False, keep_alive, lambda: done.append(True),
    )  # fmt: skip
    return wire, cycle, done


async def test_an_answer_that_is_whole_goes_out_as_it_would_in_two_messages():
    wire, cycle, done = asked()
    assert answer_whole(cycle, 200, edge.fields_of(FIELDS), b"body")
    assert (cycle.response_complete, cycle.message_event.is_set(), done) == (True, True, [True])
    other, messages, _ = asked()
    await messages.send({"type": "http.response.start", "status": 200, "headers": FIELDS})
    await messages.send({"type": "http.response.body", "body": b"body"})
    await asyncio.sleep(0)
    assert wire.told == other.told == [wire.told[0]]
    assert wire.told[0].startswith(b"HTTP/1.1 200 OK\r\ndate: Sun")


async def test_what_is_written_behind_what_is_held_back_comes_behind_it():
    wire, cycle, _ = asked()
    cycle.transport.write(b"an earlier answer ")
    answer_whole(cycle, 200, b"", b"body")
    await asyncio.sleep(0)
    assert [each.partition(b"HTTP")[0] for each in wire.told] == [b"an earlier answer "]


@pytest.mark.parametrize("why", ["it ends the connection", "a server that ends", "nobody is there", "nobody reads"])
async def test_it_is_left_to_messages_where_more_is_to_be_done(why):
    wire, cycle, done = asked((COMMON, CLOSE) if "server" in why else (COMMON,), keep_alive="ends the" not in why)
    cycle.disconnected = "there" in why
    if "reads" in why:
        cycle.flow.pause_writing()
    assert not answer_whole(cycle, 200, edge.fields_of(FIELDS), b"body")
    await asyncio.sleep(0)
    assert (wire.told, done, cycle.response_started) == ([], [], False)


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb"])
def test_a_field_that_would_be_two_is_none(value):
    with pytest.raises(ValueError, match="line's end"):
        edge.fields_of([(b"gateway-warning", value)])


HEAD = b"POST /v1/check HTTP/1.1\r\nHost: a\r\n"
ASKED = HEAD + b"Content-Length: 4\r\n\r\nbody"
CLOSING = HEAD + b"Connection: close\r\nContent-Length: 4\r\n\r\nbody"
SENT = {
    "one": [ASKED],
    "one after the other": [ASKED, ASKED],
    "three at once": [ASKED * 3],
    "the last of three ends the connection": [ASKED * 2 + CLOSING],
    "nothing behind the end": [CLOSING + ASKED],
    "HTTP/1.0": [ASKED.replace(b"1.1", b"1.0")],
    "HTTP/1.0 that would be kept": [ASKED.replace(b"1.1\r\n", b"1.0\r\nConnection: keep-alive\r\n")],
    "whoever waits for a word": [HEAD + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n", b"body"],
    "HTTP/2 is offered": [HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nbody"],
    "HEAD": [ASKED.replace(b"POST", b"HEAD") + ASKED],
    "cut off in the body": [ASKED[:-2], None],
    "rubbish behind it": [ASKED + b"rubbish\r\n\r\n"],
}
ANSWERS = {
    "one after the other": 2, "three at once": 3, "the last of three ends the connection": 3, "cut off in the body": 0,
    "rubbish behind it": 0,
}  # fmt: skip


class Outgoing(Wire):
    """A transport whole enough for the server."""

    def is_closing(self):
        return "close" in self.told

    def get_extra_info(self, name):
        return None

    def can_write_eof(self):
        return True

    def pause_reading(self):
        """The pieces are few."""

    resume_reading = pause_reading


class Connection:
    """Of the server, with what went out on it; its door answers by an answer that is whole, or by messages."""

    def __init__(self, *, by_messages=False):
        self.wire, self.by_messages = Outgoing(), by_messages
        config = Config(self.answer, http=Protocol, interface="asgi3", lifespan="off", access_log=False)
        config.load()
        self.protocol = Protocol(config, ServerState(), {})
        self.protocol.connection_made(self.wire)

    async def answer(self, scope, receive, send):
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] != "http.request":
            return
        headers = [(b"content-length", b"2")]
        put = scope["extensions"][edge.WHOLE]
        if scope["method"] == "HEAD" or self.by_messages or not put(200, edge.fields_of(headers), b"ok"):
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"ok"})

    async def sends(self, *pieces):
        for piece in pieces:
            if piece is None:
                self.protocol.connection_lost(None)
            elif not self.wire.is_closing():
                self.protocol.data_received(piece)
            for _ in range(20):
                await asyncio.sleep(0)
        self.protocol._stop_timer()
        self.protocol._unset_keepalive_if_required()
        return b"".join(each if isinstance(each, bytes) else each.encode() for each in self.wire.told)


@pytest.mark.parametrize("how", SENT)
async def test_however_it_is_asked_the_bytes_are_those_of_messages(how):
    found = await Connection().sends(*SENT[how])
    assert found == await Connection(by_messages=True).sends(*SENT[how])
    assert found.count(b"ok") == ANSWERS.get(how, 1)


async def test_a_request_that_is_answered_is_let_go_at_once():
    """Its body may have a megabyte, and the service looks rarely for what only a cycle holds."""
    connection, gone = Connection(), []
    gc.disable()
    try:
        for _ in range(3):
            await connection.sends(ASKED)
            gone.append(weakref.ref(connection.protocol.cycle))
        assert [each() is None for each in gone] == [True, True, False]
    finally:
        gc.enable()
