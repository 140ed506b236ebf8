"""Raw sockets against the real server: what hides a second request in a first is refused, and the connection ends."""

import json
import socket
import time
import urllib.request

import pytest
from support import raw
from support.service import service
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.web.shell import protocol
from gateway.web.shell.protocol import HEAD_BYTES, HEADERS, Protocol

pytestmark = pytest.mark.slow

FORM = b"Host: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
BODY = b"action=opt_out"
HIDDEN = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def post(headers: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"POST /privacy-choices HTTP/" + version + b"\r\n" + FORM + headers + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked\r\n"
PIECE = b"e\r\naction=opt_out"
SMUGGLING = {
    "both lengths": post(b"Content-Length: 14\r\n" + CHUNKED, b"0\r\n\r\n" + HIDDEN),
    "both lengths, the other way": post(CHUNKED + b"Content-Length: 14\r\n", b"0\r\n\r\n" + HIDDEN),
    "two lengths": post(b"Content-Length: 14\r\nContent-Length: 15\r\n", BODY + HIDDEN),
    "one length twice": post(b"Content-Length: 14\r\nContent-Length: 14\r\n", BODY + HIDDEN),
    "a list of lengths": post(b"Content-Length: 14, 14\r\n", BODY + HIDDEN),
    "a signed length": post(b"Content-Length: +14\r\n", BODY + HIDDEN),
    "a negative length": post(b"Content-Length: -14\r\n", BODY + HIDDEN),
    "a space before the colon": post(b"Content-Length : 14\r\n", BODY + HIDDEN),
    "another coding": post(b"Transfer-Encoding: identity\r\n", HIDDEN),
    "a coding that looks like it": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + HIDDEN),
    "chunked and not last": post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n" + HIDDEN),
    "chunked behind another": post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n" + HIDDEN),
    "chunked twice": post(CHUNKED * 2, b"0\r\n\r\n" + HIDDEN),
    "chunked in HTTP/1.0": post(CHUNKED, b"0\r\n\r\n" + HIDDEN, b"1.0"),
    "rubbish behind a chunk": post(CHUNKED, PIECE + b"XX0\r\n\r\n" + HIDDEN),
    "bare LF behind a chunk": post(CHUNKED, PIECE + b"\n0\r\n\r\n" + HIDDEN),
    "bare LF behind a chunk's size": post(CHUNKED, b"e\naction=opt_out\r\n0\r\n\r\n" + HIDDEN),
    "bare LF behind a chunk's extension": post(CHUNKED, b"e;x\naction=opt_out\r\n0\r\n\r\n" + HIDDEN),
    "a chunk's size in C": post(CHUNKED, b"0x" + PIECE + b"\r\n0\r\n\r\n" + HIDDEN),
    "a chunk's size with a space": post(CHUNKED, b"e \r\naction=opt_out\r\n0\r\n\r\n" + HIDDEN),
    "a negative chunk": post(CHUNKED, b"-" + PIECE + b"\r\n0\r\n\r\n" + HIDDEN),
    "a chunk without end": post(CHUNKED, b"FFFFFFFFFFFFFFFFF\r\naction=opt_out"),
    "bare LF in the head": b"GET /livez HTTP/1.1\nHost: 127.0.0.1\n\n" + HIDDEN,
    "bare LF between two fields": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\nA: b\r\n\r\n" + HIDDEN,
    "bare LF at the end": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\n" + HIDDEN,
    "bare CR": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\rA: b\r\n\r\n" + HIDDEN,
    "a folded line": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nA: b\r\n c\r\n\r\n" + HIDDEN,
    "a line folded by a tab": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nA: b\r\n\tc\r\n\r\n" + HIDDEN,
    "a fold before the first field": b"GET /livez HTTP/1.1\r\n Host: 127.0.0.1\r\n\r\n" + HIDDEN,
    "NUL in a value": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nA: b\x00\r\n\r\n" + HIDDEN,
    "NUL in a name": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nA\x00: b\r\n\r\n" + HIDDEN,
    "a field without a colon": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nAb\r\n\r\n" + HIDDEN,
    "a field without a name": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n: b\r\n\r\n" + HIDDEN,
    "no Host": b"GET /livez HTTP/1.1\r\n\r\n" + HIDDEN,
    "two Hosts": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n" + HIDDEN,
    "HTTP/0.9": b"GET /livez\r\n\r\n" + HIDDEN,
    "HTTP/2 without a handshake": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version that is none": b"GET /livez HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n" + HIDDEN,
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + HIDDEN,
}  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("raw")) as started:
        yield started


def entries(running) -> int:
    with urllib.request.urlopen(f"{running.url}/readyz") as answer:
        return json.load(answer)["ledger"]["entries"]


@pytest.mark.parametrize("what", SMUGGLING)
def test_what_could_hide_a_second_request_is_refused_once_and_the_connection_ends(running, what):
    before = entries(running)
    heard = raw.ask(running.port, SMUGGLING[what])
    assert (heard.statuses, heard.closed) == ([400], True)
    assert json.loads(heard.body)["type"].endswith(":not_http")
    assert b"cache-control: no-store" in heard.text
    assert entries(running) == before


@pytest.mark.parametrize("headers", [b"Content-Length: 14\r\n", b"Content-Length: 14\r\nExpect: 100-continue\r\n"])
def test_a_form_that_is_well_made_is_taken_from_the_same_socket(running, headers):
    """The control: the harness does not refuse everything."""
    heard = raw.ask(running.port, post(headers, BODY) + HIDDEN, answers=2 + (b"100-continue" in headers))
    assert [status for status in heard.statuses if status != 100] == [303, 200]
    assert not heard.closed


def test_a_chunked_form_in_pieces_is_taken_byte_by_byte(running):
    whole = post(CHUNKED, PIECE + b"\r\n0\r\n\r\n")
    heard = raw.ask(running.port, *(whole[index : index + 1] for index in range(len(whole))), answers=1)
    assert heard.statuses == [303]


@pytest.mark.parametrize("body", [(b"Content-Length: 14\r\n", BODY), (CHUNKED, PIECE + b"\r\n0\r\n\r\n")])
def test_a_form_of_a_client_that_would_rather_speak_http_2_is_not_lost(running, body):
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    lengths, content = body
    before = entries(running)
    heard = raw.ask(running.port, post(offer + lengths, content[:5]), content[5:])
    assert (heard.statuses, heard.closed) == ([303], True)
    assert entries(running) == before + 1


def test_a_trailer_is_no_header(running):
    sent = (
        b"POST /privacy-choices/observe HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        + CHUNKED
        + b"\r\n2\r\n{}\r\n0\r\nSec-GPC: 1\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
    )
    heard = raw.ask(running.port, sent, answers=1)
    assert heard.statuses == [200]
    assert json.loads(heard.body)["gpc"] is False


LARGE = {
    "one field": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nA: " + b"b" * 2**20,
    "an address": b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "many small fields": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"a: b\r\n" * (HEADERS + 1) + b"\r\n",
    "fields in one packet": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"a: " + b"b" * HEAD_BYTES + b"\r\n\r\n",
    "a chunk's extension": post(CHUNKED, b"e;" + b"x" * 2**20),
    "trailers": post(CHUNKED, PIECE + b"\r\n0\r\n" + b"a: b\r\n" * 2**16),
}


@pytest.mark.parametrize("what", LARGE)
def test_a_head_without_end_is_refused_before_it_is_kept(running, what):
    heard = raw.ask(running.port, LARGE[what])
    assert heard.closed
    assert heard.statuses in ([431], [303])  # trailers may be cut off behind an answer that was given already
    if heard.statuses == [431]:
        assert json.loads(heard.body)["type"].endswith(":head_too_large")


@pytest.mark.parametrize("count", [1, HEADERS - 1])
def test_a_head_within_the_limits_is_answered(running, count):
    filling = b"a: " + b"b" * 200 + b"\r\n"
    asked = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + filling * count + b"\r\n"
    heard = raw.ask(running.port, asked, answers=1)
    assert heard.statuses == [200]


@pytest.mark.parametrize("sent", [b"", b"GET /livez HTT", b"GET /livez HTTP/1.1\r\nHost: 127.0", HIDDEN + b"GET /"])
def test_a_client_that_never_ends_its_head_is_let_go(monkeypatch, sent):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    with raw.served(raw.echo, Protocol) as port:
        heard = raw.ask(port, sent, silence=8.0)
    assert heard.closed
    assert heard.statuses[-1] == 408
    assert json.loads(heard.body.rpartition(b"\r\n\r\n")[2])["type"].endswith(":too_slow")


def test_a_connection_that_waits_for_its_next_request_is_not_let_go_for_a_slow_head(monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    with raw.served(raw.echo, Protocol) as port:
        heard = raw.ask(port, HIDDEN, silence=1.0)
    assert (heard.statuses, heard.closed) == ([200], False)


@pytest.mark.parametrize(
    ("sent", "silence"),
    [(SMUGGLING["no Host"], 0.6), (SMUGGLING["two Hosts"], 0.6), (SMUGGLING["chunked behind another"], 0.6),
     (LARGE["one field"] + b"\r\n\r\n", 0.6), (b"GET /livez HTT", 0.6)],
)  # fmt: skip
def test_the_parser_alone_would_take_all_that(monkeypatch, sent, silence):
    """The control: without our protocol each of these is answered, or waited for without end."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    with raw.served(raw.echo, HttpToolsProtocol) as port:
        heard = raw.ask(port, sent, silence=silence)
    assert 400 not in heard.statuses[:1]
    assert not heard.closed


FILL = b"; ".join(b"t%d=%b" % (number, b"x" * 4000) for number in range(5))  # 20 kB of a tracker's cookies


@pytest.mark.parametrize(
    "said", [b"Sec-GPC: 1 \t\r\n", b"Sec-GPC:\t 1\r\n", b"Sec-GPC: 0, 1\r\n", b"Cookie: " + FILL + b"\r\n"], ids=repr
)
def test_a_visitor_is_heard_whatever_stands_around_what_they_say(running, said):
    asked = b"GET /privacy-choices/status HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    heard = raw.ask(running.port, asked + said + b"\r\n")
    assert heard.statuses == [200]
    assert json.loads(heard.body)["purposes"]["sale"] == "opted_out"
    silent = raw.ask(running.port, asked + b"Sec-GPC: 0 \r\n\r\n")
    assert json.loads(silent.body)["purposes"]["sale"] != "opted_out"  # control


@pytest.mark.slow
def test_a_body_that_is_cut_off_leaves_one_line_and_no_trace_of_a_fault(running):
    time.sleep(0.2)  # the lines of before are written
    before, told = entries(running), running.log.read_text()
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.sendall(post(b"Content-Length: 500\r\n", BODY))
        time.sleep(0.3)
    ends = time.monotonic() + 60
    while running.log.read_text() == told and time.monotonic() < ends:
        time.sleep(0.02)
    time.sleep(0.2)  # whatever else there is to say
    (line,) = running.log.read_text()[len(told) :].splitlines()
    assert [json.loads(line)[name] for name in ("event", "route", "status")] == ["request", "/privacy-choices", 400]
    assert entries(running) == before
