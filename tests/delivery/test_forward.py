"""Sending a chunk to a real local receiver."""

import contextlib
import json

import pytest
from support.listening import Quiet, listening
from support.ports import free_port

from gateway.delivery.forwarding import Forwarder, ForwardOutcome
from gateway.delivery.guard import LOOPBACK
from gateway.disk import boot_seconds

pytestmark = pytest.mark.anyio
ROWS = [{"id": "r1", "ad_id": "one"}, {"id": "r2", "ad_id": "two"}]


@contextlib.contextmanager
def receiver(status: int = 200, **headers: str):
    """(url, what arrived): whole bodies only."""
    arrived: list[tuple[str, list[dict]]] = []

    class Handler(Quiet):
        def posted(self):
            wanted = int(self.headers["Content-Length"])
            body = self.rfile.read(wanted)
            if len(body) == wanted:
                arrived.append((self.headers["Idempotency-Key"], [json.loads(line) for line in body.splitlines()]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with listening(Handler) as url:
        yield f"{url}/rows", arrived


@pytest.fixture
async def forwarder():
    made = Forwarder(LOOPBACK)
    yield made
    await made.close()


async def send(forwarder, url, seconds=5.0):
    return await forwarder.send(url, "key-1", ROWS, boot_seconds() + seconds)


async def test_the_recipient_gets_each_row_with_its_id_and_a_key_to_repeat_by(forwarder):
    with receiver() as (url, arrived):
        assert await send(forwarder, url) is ForwardOutcome.SENT
    assert arrived == [("key-1", ROWS)]


async def test_a_body_whose_check_is_over_never_starts(forwarder):
    with receiver() as (url, arrived):
        assert await send(forwarder, url, seconds=-0.001) is ForwardOutcome.LATE
        assert await send(forwarder, url) is ForwardOutcome.SENT, "the next one goes"
    assert len(arrived) == 1


async def test_a_machine_that_was_suspended_between_check_and_send_sends_nothing(forwarder, monkeypatch):
    """Its monotonic clock stands still meanwhile."""
    deadline = boot_seconds() + 5.0
    monkeypatch.setattr("gateway.delivery.forwarding.boot_seconds", lambda: boot_seconds() + 3600, raising=False)
    with receiver() as (url, arrived):
        assert await forwarder.send(url, "key-1", ROWS, deadline) is ForwardOutcome.LATE
    assert arrived == []


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (500, ForwardOutcome.UNKNOWN),
        (503, ForwardOutcome.UNKNOWN),
        (400, ForwardOutcome.REFUSED),
        (410, ForwardOutcome.REFUSED),
    ],
)
async def test_what_the_recipient_answers_is_told_apart(forwarder, status, outcome):
    with receiver(status) as (url, _):
        assert await send(forwarder, url) is outcome


async def test_a_recipient_cannot_send_the_rows_elsewhere(forwarder):
    with receiver() as (elsewhere, stolen), receiver(307, Location=elsewhere) as (url, _):
        assert await send(forwarder, url) is ForwardOutcome.REFUSED
    assert stolen == []


async def test_a_recipient_that_is_not_there_got_nothing(forwarder):
    assert await send(forwarder, f"http://127.0.0.1:{free_port()}/") is ForwardOutcome.REFUSED
