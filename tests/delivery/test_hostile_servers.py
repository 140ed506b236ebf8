"""Whoever we send to may be hostile: twenty ways to answer, tried on each that sends. None of them costs memory or
time without end, none makes us believe what was not said.
"""

import asyncio
import contextlib
import gzip
import socket
import threading
import time
import tracemalloc
import zlib
from datetime import UTC, datetime

import httpx2
import pytest
from support.certificates import certificate

from gateway.consent import witnesses
from gateway.delivery import forwarding, outgoing, webhook
from gateway.delivery.forwarding import Forwarder
from gateway.delivery.guard import LOOPBACK
from gateway.delivery.outgoing import NoHttpAnswer, ask_blocking
from gateway.delivery.webhook import Courier, Parcel
from gateway.disk import boot_seconds

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECONDS = 1.5  # that one request may take, here
MOST = 32 * 2**20  # bytes more that any of them may cost
OK = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(bytes(64 * 2**20))


def without_end(piece: bytes, pause: float = 0.0):
    def talk(wire):
        while True:
            wire.sendall(piece)
            time.sleep(pause)

    return talk


def says(*pieces: bytes, then=None):
    def talk(wire):
        for piece in pieces:
            wire.sendall(piece)
        if then:
            then(wire)

    return talk


def redirects_to(where: str):
    return says(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: " + where.encode() + b"\r\nContent-Length: 0\r\n\r\n")


def is_silent(wire):
    while wire.recv(65536):
        pass


def resets(wire):
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


PACKED = OK + b"Content-Type: application/json\r\nContent-Length: %d\r\nContent-Encoding: "
ANSWERS = {
    "a gzip bomb": says(PACKED % len(BOMB) + b"gzip\r\n\r\n", BOMB),
    "a deflate bomb": says(
        (PACKED + b"deflate\r\n\r\n") % len(zlib.compress(bytes(2**26))), zlib.compress(bytes(2**26))
    ),
    "a bomb packed twice": says((PACKED + b"gzip, gzip\r\n\r\n") % len(gzip.compress(BOMB)), gzip.compress(BOMB)),
    "a body without end": says(OK + b"Content-Type: text/plain\r\n\r\n", then=without_end(b"." * 65536)),
    "chunks without end": says(
        OK + b"Transfer-Encoding: chunked\r\n\r\n", then=without_end(b"10000\r\n" + b"." * 65536 + b"\r\n")
    ),
    "a byte now and then": says(OK + b"Content-Length: 1000\r\n\r\n", then=without_end(b".", 0.1)),
    "a header now and then": says(OK, then=without_end(b"X: y\r\n", 0.1)),
    "headers without end": says(OK, then=without_end(b"X-Filler: " + b"y" * 60_000 + b"\r\n")),
    "a header line without end": says(OK + b"X-Filler: ", then=without_end(b"y" * 60_000)),
    "goes on and on": without_end(b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.001),
    "a chunk of a terabyte": says(
        OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n", then=without_end(b"." * 65536)
    ),
    "a length below zero": says(OK + b"Content-Length: -1\r\n\r\n"),
    "two lengths": says(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "a length of which nothing comes": says(OK + b"Content-Length: 99999999999\r\n\r\n", then=is_silent),
    "no HTTP": says(b"220 smtp.example ESMTP\r\n" * 10),
    "silence": is_silent,
    "nothing, and closes": says(),
    "resets": resets,
    "half a status": says(b"HTTP/1.1 20"),
    "a redirect to this machine": redirects_to("http://127.0.0.1:1/"),
    "a redirect to the cloud's own address": redirects_to("http://169.254.169.254/latest/meta-data"),
    "a status that does not exist": says(b"HTTP/1.1 999 Whatever\r\nContent-Length: 0\r\n\r\n"),
}


@contextlib.contextmanager
def answering(talk, context=None):
    """(address, connections)."""
    listener = socket.create_server(("127.0.0.1", 0))
    met, ends = [], threading.Event()

    def serve(wire):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(wire)
            if context:
                wire = stack.enter_context(context.wrap_socket(wire, server_side=True))
            wire.settimeout(10)
            wire.recv(65536)
            talk(wire)

    def accept():
        while not ends.is_set():
            with contextlib.suppress(OSError):
                wire, _ = listener.accept()
                met.append(wire)
                threading.Thread(target=serve, args=(wire,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", met
    finally:
        ends.set()
        listener.close()
        for wire in met:
            with contextlib.suppress(OSError):
                wire.close()


async def forwarded(url):
    forwarder = Forwarder(LOOPBACK)
    try:
        sent = await forwarder.send(url, "key", [{"id": "r1"}], boot_seconds() + 60)
    finally:
        await forwarder.close()
    return sent is forwarding.ForwardOutcome.SENT


async def told(url):
    courier = Courier(LOOPBACK)
    try:
        return (await courier.carry(Parcel("msg_1", b"{}", url, [b"k" * 32]), AT)).taken
    finally:
        await courier.close()


async def witnessed(url):
    try:
        status, _, _ = await asyncio.to_thread(witnesses.submit, url, b"old 0\n\nsigned")
    except OSError:
        return False
    return status == 200


async def dated(url):
    """As `gateway ledger anchor` asks a time-stamp authority."""

    def ask():
        return ask_blocking("POST", url, headers={}, body=b"q", seconds=SECONDS)

    try:
        answer = await asyncio.to_thread(ask)
    except NoHttpAnswer:
        return False
    return answer.is_success


SENDERS = (forwarded, told, witnessed, dated)
# What says 200 whole enough to be believed: the rows were taken; of a body that is too long only the status counts.
ENDLESS = {"a body without end", "chunks without end", "a chunk of a terabyte"}  # a witness's is read, so it is none
BELIEVED = {"a gzip bomb", "a deflate bomb", "a bomb packed twice", *ENDLESS}


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(forwarding, "FORWARD_CONNECT", SECONDS)
    monkeypatch.setattr(forwarding, "ANSWER", SECONDS / 2)
    monkeypatch.setattr(webhook, "IN_ALL", SECONDS)
    monkeypatch.setattr(witnesses, "SECONDS", SECONDS)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_hostile_answer_costs_no_memory_and_no_time_and_says_nothing_that_it_did_not_say(name):
    for sender in SENDERS:
        with answering(ANSWERS[name]) as (address, met):
            tracemalloc.start()
            began = time.monotonic()
            try:
                said = await sender(f"http://{address}/rows")
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert time.monotonic() - began < 10 * SECONDS, "not without end"
        assert peak < MOST, sender.__name__
        assert len(met) == 1, "asked once, and nobody else"
        whole = name in BELIEVED and not (sender is witnessed and name in ENDLESS)
        assert said is whole, sender.__name__


async def test_a_client_that_unpacks_is_found():
    """The control: an ordinary client unpacks what came."""
    with answering(ANSWERS["a gzip bomb"]) as (address, _):
        tracemalloc.start()
        async with httpx2.AsyncClient(trust_env=False, timeout=SECONDS * 10) as client:
            await client.post(f"http://{address}/rows", content=b"")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak > MOST


async def test_an_endpoint_that_is_gone_is_not_gone_for_rows_that_come_later():
    """410, then alive again: what a recipient is told stops, and an operator's retry reaches it."""
    answers = [b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", OK + b"Content-Length: 0\r\n\r\n"]
    with answering(lambda wire: wire.sendall(answers.pop(0))) as (address, _):
        courier = Courier(LOOPBACK)
        first = await courier.carry(Parcel("msg_1", b"{}", f"http://{address}/", [b"k" * 32]), AT)
        second = await courier.carry(Parcel("msg_1", b"{}", f"http://{address}/", [b"k" * 32]), AT)
        await courier.close()
    assert (first.outcome, second.outcome) == (webhook.PostOutcome.GONE, webhook.PostOutcome.TAKEN)


@pytest.mark.parametrize(("name", "gets"), [("recipient.example", True), ("somebody-else.example", False)])
async def test_whoever_cannot_show_the_recipients_name_gets_nothing(monkeypatch, tmp_path, name, gets):
    monkeypatch.setattr(forwarding, "FORWARD_CONNECT", 10.0)
    monkeypatch.setattr(webhook, "IN_ALL", 10.0)
    server, client = certificate(name, tmp_path)
    monkeypatch.setattr(outgoing, "authorities", lambda: client)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, *_, **__: [(2, 1, 6, "", ("127.0.0.1", port))])
    with answering(says(OK + b"Content-Length: 0\r\n\r\n", then=is_silent), server) as (address, _):
        port = address.rpartition(":")[2]
        for sender in (forwarded, told):
            assert await sender(f"https://recipient.example:{port}/") is gets


@pytest.mark.parametrize("sender", [forwarded, told])
async def test_a_name_that_leads_inside_at_the_second_question_is_asked_once(monkeypatch, sender):
    """DNS rebinding: the first answer is public, and the connection goes to that one."""
    connected = []
    first = ["8.8.8.8"]

    async def connect(self, host, *_, **__):
        connected.append(host)
        raise outgoing.httpx2.ConnectError("not in this test")

    monkeypatch.setattr("httpcore2.AnyIOBackend.connect_tcp", connect)
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, port, *_, **__: [(2, 1, 6, "", (first.pop() if first else "127.0.0.1", port))],
    )
    assert not await sender("http://recipient.example/")
    assert connected == ["8.8.8.8"]
