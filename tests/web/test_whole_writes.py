"""An answer's head and body are one write, and nothing that was written is ever lost or late."""

import asyncio
import socket
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
from support import raw
from uvicorn.protocols.http.flow_control import FlowControl

from gateway.web.shell.protocol import Protocol, WholeAnswer

pytestmark = pytest.mark.anyio
BODY, MORE = {"type": "http.response.body", "body": b"body"}, {"type": "http.response.body", "more_body": True}


class Wire:
    """What a transport was told, in order."""

    def __init__(self):
        self.told = []

    def write(self, data):
        self.told.append(bytes(data))

    def close(self):
        self.told.append("close")


def start(*headers, status=200):
    return {"type": "http.response.start", "status": status, "headers": [(b"x", b"1"), *headers]}


LENGTH = (b"content-length", b"4")


def answer(method="GET", **named):
    wire = Wire()
    said = {"default_headers": [], "access_log": False, "expect_100_continue": False, "keep_alive": True, **named}
    nobody = SimpleNamespace()
    return wire, WholeAnswer(
        scope={"method": method}, transport=wire, flow=FlowControl(wire), logger=nobody, access_logger=nobody,
        message_event=asyncio.Event(), on_response=lambda: wire.told.append("done"), **said,
    )  # fmt: skip


async def test_a_head_goes_out_with_its_body():
    wire, made = answer()
    await made.send(start(LENGTH))
    assert not wire.told
    await made.send(BODY)
    assert wire.told == [b"HTTP/1.1 200 OK\r\nx: 1\r\ncontent-length: 4\r\n\r\nbody", "done"]


async def test_the_head_of_a_stream_waits_for_its_first_piece_no_longer_than_a_turn():
    wire, made = answer()
    await made.send(start())
    assert not wire.told
    await asyncio.sleep(0)
    head = b"HTTP/1.1 200 OK\r\nx: 1\r\ntransfer-encoding: chunked\r\n\r\n"
    assert wire.told == [head]
    await made.send({**MORE, "body": b"one"})
    await made.send({**MORE, "body": b""})
    await made.send(BODY)
    assert wire.told == [head, b"3\r\none\r\n", b"4\r\nbody\r\n0\r\n\r\n", "done"]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_where_no_body_may_be_none_is_sent(method, status):
    wire, made = answer(method)
    await made.send(start(LENGTH if method == "HEAD" else (b"y", b"2"), status=status))
    await made.send(BODY if method == "HEAD" else {"type": "http.response.body"})
    assert wire.told[0].endswith(b"\r\n\r\n")
    assert b"chunked" not in wire.told[0]
    assert wire.told[1:] == ["done"]


@pytest.mark.parametrize("named", [{"keep_alive": False}, {"default_headers": [(b"connection", b"Close")]}])
async def test_a_connection_that_ends_says_so_once_and_ends_behind_all_that_was_written(named):
    wire, made = answer(**named)
    await made.send(start(LENGTH))
    await made.send(BODY)
    assert wire.told[0].lower().count(b"connection: close\r\n") == 1
    assert wire.told[1:] == ["close", "done"]


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb", b"a\x00b", b"\x7f"])
async def test_a_header_that_would_be_two_is_never_sent(value):
    wire, made = answer()
    with pytest.raises(RuntimeError):
        await made.send(start((b"location", value)))
    await asyncio.sleep(0)
    assert not wire.told


@pytest.mark.parametrize("body", [b"bod", b"bodyy", b""])
async def test_a_body_of_another_length_than_was_said_is_no_answer(body):
    wire, made = answer()
    await made.send(start(LENGTH))
    with pytest.raises(RuntimeError):
        await made.send({**BODY, "body": body})
    assert "done" not in wire.told


async def test_what_comes_out_of_turn_is_refused():
    _, made = answer()
    for message in (BODY, start(LENGTH), start(LENGTH), BODY, BODY, start(LENGTH)):
        with suppress(RuntimeError):
            await made.send(message)
    assert made.response_complete
    with pytest.raises(RuntimeError):
        await made.send(BODY)


def test_an_idle_connection_ends_when_its_time_is_over_and_not_while_it_is_used():
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with (
        raw.served(raw.echo, Protocol, timeout_keep_alive=0.5) as port,
        socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
    ):
        for _ in range(4):
            connection.sendall(request)
            assert b"200 OK" in connection.recv(4096)
            time.sleep(0.2)
        began = time.monotonic()
        assert connection.recv(4096) == b"", "the server closes it"
        assert 0.1 < time.monotonic() - began < 4
