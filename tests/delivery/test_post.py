"""Messages to recipients, signed as a Standard Webhook."""

import base64
import contextlib
import hmac
from datetime import UTC, datetime

import pytest
from support.listening import Quiet, listening
from support.service import free_port

from gateway.delivery import post
from gateway.delivery.post import Courier
from gateway.keys import Secrets

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECRETS = Secrets(*((letter * 32,) for letter in (b"p", b"s", b"t", b"w", b"a", b"g")))


@contextlib.contextmanager
def listener(status: int = 200, **headers: str):
    """(url, what arrived): (headers, body) each."""
    arrived = []

    class Handler(Quiet):
        def posted(self):
            arrived.append((dict(self.headers), self.body()))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with listening(Handler) as url:
        yield f"{url}/deletions", arrived


async def send(url):
    courier = Courier()
    try:
        return await courier.post(url, b"k" * 32, "msg_1", AT, b'{"type":"delete"}')
    finally:
        await courier.close()


async def test_a_receiver_checks_the_signature_with_its_secret_alone():
    with listener() as (url, arrived):
        assert await send(url)
    [(headers, body)] = arrived
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(b"k" * 32, signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", str(int(AT.timestamp())))


def test_the_signature_is_the_one_that_the_specification_publishes():
    """The example of the Standard Webhooks specification, "Signature scheme"."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = post.signed(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(("status", "taken"), [(200, True), (204, True), (301, False), (400, False), (503, False)])
async def test_only_a_2xx_is_taken(status, taken):
    with listener(status, Location="http://127.0.0.1:1/") as (url, _):
        assert await send(url) is taken


async def test_a_receiver_that_is_away_has_not_taken_it():
    assert not await send(f"http://127.0.0.1:{free_port()}/")


def test_each_recipient_has_a_secret_of_its_own():
    one, other = (post.secret_of(SECRETS, name) for name in ("teemo", "matching"))
    assert one != other
    assert post.printed(one).startswith("whsec_")
    assert base64.b64decode(post.printed(one).removeprefix("whsec_")) == one
