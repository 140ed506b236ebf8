"""On which connections the client asks: one is kept for many questions, and none is shared by two processes."""

import contextlib
import itertools
import json
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gateway.client import Client, connection

PROGRAM = Path(__file__).parents[1] / "support" / "before_a_fork.py"
YES = {"allowed": True, "partly": False, "data": {"ad_id": "allow"}, "reason": "no_choice", "valid_for_ms": 20_000}
SELF = {"api": "1.0", "key": {"name": "k", "scopes": ["check"]}, "recipients": {}}


class Gateway:
    """Says yes to everything. `asked`: (number of the connection, ref, whom) of each check; `said`: reports."""

    def __init__(self, *, closes: bool = False, talks: bytes = b""):
        self.asked, self.said, self.captive = [], [], False
        self.talk, self.talked = threading.Event(), threading.Event()
        told, numbers = self, iter(range(1000))

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                self.number = next(numbers)

            def do_GET(self):
                self.answer(SELF)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/disclosures":
                    lines = [json.loads(line)["decision"] for line in body.splitlines()]
                    if told.captive:
                        return self.answer({"sign in": "to the network"})
                    told.said += lines
                    return self.answer({"end": True, "count": len(lines)})
                stated = json.loads(body)
                whom = stated["identifiers"][0]["value"]
                told.asked.append((self.number, stated["ref"], whom))
                return self.answer(YES | {"ref": stated["ref"], "decision": whom})

            def answer(self, body):
                content = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                if closes:
                    self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(content)
                if talks and not self.number and told.talk.wait(60):  # once the answer was read
                    self.wfile.write(talks)
                    told.talked.set()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextlib.contextmanager
def gateway(**how):
    made = Gateway(**how)
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        thread.join()
        made.server.server_close()


def ask(client, whom="me") -> bool:
    return client.check(recipient="advertisers", identifiers=[{"type": "account", "value": whom}]).allowed


@pytest.mark.parametrize(("closes", "connections"), [(False, {0}), (True, {0, 1, 2})])
def test_one_connection_serves_many_questions_unless_it_is_ended(closes, connections):
    with gateway(closes=closes) as there, Client(there.url, key="k", timeout_ms=20_000) as client:
        assert [ask(client) for _ in range(3)] == [True] * 3
    assert {number for number, *_ in there.asked} == connections


@pytest.mark.parametrize("looks", [True, False])
def test_what_came_on_a_connection_that_nobody_asked_for_answers_no_question(monkeypatch, looks):
    """The control reads it: there it is the mark of the question alone that refuses it."""
    late = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    if not looks:
        monkeypatch.setattr(connection, "_is_quiet", lambda _: True)
    with gateway(talks=late) as there, Client(there.url, key="k", timeout_ms=20_000) as client:
        assert ask(client)
        there.talk.set()
        assert there.talked.wait(60)
        assert ask(client) == looks


@pytest.mark.slow
@pytest.mark.parametrize("control", [[], ["control"]])
def test_the_workers_of_a_server_that_asked_before_the_fork_share_no_connection_and_no_mark(control):
    with gateway() as there:
        subprocess.run([sys.executable, str(PROGRAM), there.url, *control], check=True, timeout=60)
    assert sorted(whom for *_, whom in there.asked) == ["one", "parent", "two"]
    numbers, marks = ({each[index] for each in there.asked} for index in (0, 1))
    assert (len(numbers), len(marks)) == ((1, 1) if control else (3, 3))
    if not control:  # each says what became of its own answers, and nobody says another's
        assert sorted(there.said) == ["of the parent", "one", "parent", "two"]


def test_a_report_that_something_else_answered_is_said_again():
    """A page of the network in between, with its 200, is nobody's word that it is on record."""
    with gateway() as there, Client(there.url, timeout_ms=20_000) as client:
        there.captive = True
        client.say("one", "sent")
        deadline = time.monotonic() + 60
        while not client.failures["reports_unreadable"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        there.captive = False
        while there.said != ["one"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert (client.unreported, there.said) == (0, ["one"])


class Machines(BaseHTTPRequestHandler):
    """Behind a balancer of connections: each is to another machine, whose clock is a second ahead of the one before."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    numbers, asked = itertools.count(), []

    def setup(self):
        super().setup()
        self.number = next(self.numbers)

    def do_GET(self):
        self.asked.append(self.number)
        self.answer(json.dumps(SELF | {"time": self.stamp(0)}).encode())

    def do_POST(self):
        rows = self.rfile.read(int(self.headers["Content-Length"])).splitlines()
        until = self.stamp(0.2)
        lines = [
            json.dumps({"id": json.loads(row)["id"], "outcome": "returned", "row": {"a": 1}, "valid_until": until})
            for row in rows
        ]
        self.answer("\n".join([*lines, json.dumps({"complete": True}), ""]).encode())

    def stamp(self, seconds):
        at = datetime.now(UTC) + timedelta(seconds=self.number + seconds)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def answer(self, content):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Gateway-Clock", f"clock {self.number}")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def test_rows_are_read_by_the_clock_behind_their_own_connection_which_is_asked_for_once_a_call():
    served = ThreadingHTTPServer(("127.0.0.1", 0), Machines)
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    try:
        with Client(f"http://127.0.0.1:{served.server_port}", key="k.k", timeout_ms=30_000) as client:
            client.ready()  # over the connection that is kept
            for number in (1, 2, 3):
                Machines.asked.clear()
                untils = [each.until for each in client.share("teemo", [{"id": f"r{each}"} for each in range(50)])]
                now = time.monotonic()
                assert len(untils) == 50
                assert all(now - 0.8 < until < now + 0.2 for until in untils)
                assert Machines.asked == [number]
            assert not client.failures
    finally:
        served.shutdown()
        thread.join()
        served.server_close()
