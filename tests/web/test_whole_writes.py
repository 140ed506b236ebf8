"""An answer's head and body are one write, and nothing that was written is ever lost or late."""

import asyncio
import logging

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.web.shell import edge
from gateway.web.shell.protocol import WholeWrites, answer_whole

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
