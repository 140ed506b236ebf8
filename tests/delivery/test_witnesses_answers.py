"""Asking over a real local connection."""

import contextlib
import gzip
import time

import pytest
from support.listening import Quiet, listening
from support.ports import free_port

from gateway.consent import witnesses
from gateway.delivery import outgoing


@contextlib.contextmanager
def answering(status=200, body=b"", pause=0.0, **headers):
    """(url, what arrived)."""
    arrived = []

    class Handler(Quiet):
        def posted(self):
            arrived.append((self.path, self.body(), dict(self.headers)))
            self.send_response(status)
            for name, value in {"Content_Type": "text/plain", "Content_Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            with contextlib.suppress(OSError):
                for at in range(0, len(body), 4096):
                    self.wfile.write(body[at : at + 4096])
                    time.sleep(pause)

    with listening(Handler) as url:
        yield url, arrived


def test_the_witness_gets_the_bytes_and_its_answer_comes_back():
    with answering(409, b"7\n", Content_Type="text/x.tlog.size") as (url, arrived):
        assert witnesses.submit(f"{url}/w1/add-checkpoint", b"old 0\n\nsigned") == (409, "text/x.tlog.size", b"7\n")
    ((path, body, _),) = arrived
    assert (path, body) == ("/w1/add-checkpoint", b"old 0\n\nsigned")


def test_a_redirect_is_an_answer_and_not_followed():
    with answering(307, Location="http://127.0.0.1:1/") as (url, arrived):
        assert witnesses.submit(url, b"x")[0] == 307
    assert len(arrived) == 1


def test_an_answer_without_end_is_cut_off():
    with answering(body=b"x" * (outgoing.MOST_ANSWER + 1)) as (url, _), pytest.raises(OSError, match="too long"):
        witnesses.submit(url, b"x")


def test_a_packed_answer_is_not_unpacked():
    """A few bytes may unpack to gigabytes."""
    with answering(body=gzip.compress(bytes(10**6)), Content_Encoding="gzip") as (url, arrived):
        assert len(witnesses.submit(url, b"x")[2]) < 10_000
    assert arrived[0][2]["Accept-Encoding"] == "identity"


def test_a_dripping_answer_has_an_end(monkeypatch):
    monkeypatch.setattr(witnesses, "SECONDS", 0.2)
    with answering(body=b"x" * 40_960, pause=0.05) as (url, _), pytest.raises(OSError, match="too slow"):
        witnesses.submit(url, b"x")


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "http://[", "ftp://127.0.0.1/", "not a url"])
def test_whom_nobody_reaches_is_an_oserror(url):
    with pytest.raises(OSError, match=r"\w"):
        witnesses.submit(url.format(port=free_port()), b"x")
