"""Messages to recipients, signed as a Standard Webhook."""

import base64
import contextlib
import hmac
import time
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from support.listening import Quiet, listening
from support.ports import free_port

from gateway.delivery import webhook
from gateway.delivery.guard import LOOPBACK
from gateway.delivery.webhook import Courier, Parcel
from gateway.keys.secret_files import Secrets

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


async def send(url, keys=(b"k" * 32,)):
    courier = Courier(LOOPBACK)
    try:
        return await courier.carry(Parcel("msg_1", b'{"type":"delete"}', url, keys), AT)
    finally:
        await courier.close()


async def test_a_receiver_checks_the_signature_with_its_secret_alone():
    with listener() as (url, arrived):
        assert (await send(url)).taken
    [(headers, body)] = arrived
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(b"k" * 32, signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", str(int(AT.timestamp())))


def test_the_signature_is_the_one_that_the_specification_publishes():
    """The example of the Standard Webhooks specification, "Signature scheme"."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = webhook.signed([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(("status", "taken"), [(200, True), (204, True), (301, False), (400, False), (503, False)])
async def test_only_a_2xx_is_taken(status, taken):
    with listener(status, Location="http://127.0.0.1:1/") as (url, _):
        assert (await send(url)).taken is taken


async def test_a_receiver_that_is_away_has_not_taken_it():
    assert not (await send(f"http://127.0.0.1:{free_port()}/")).taken


def test_each_recipient_has_a_secret_of_its_own():
    one, other = (webhook.secret_of(SECRETS, name) for name in ("teemo", "matching"))
    assert one != other
    assert webhook.printed(one).startswith("whsec_")
    assert base64.b64decode(webhook.printed(one).removeprefix("whsec_")) == one


async def test_a_receiver_checks_it_with_the_specifications_own_library():
    secret, at = b"k" * 32, datetime.now(UTC)  # the library takes no message older than five minutes
    with listener() as (url, arrived):
        courier = Courier(LOOPBACK)
        assert (await courier.carry(Parcel("msg_1", b'{"type":"opt_out"}', url, [secret]), at)).taken
        await courier.close()
    [(headers, body)] = arrived
    assert Webhook(webhook.printed(secret)).verify(body, headers) == {"type": "opt_out"}
    with pytest.raises(WebhookVerificationError):
        Webhook(webhook.printed(b"x" * 32)).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(webhook.printed(secret)).verify(body + b" ", headers)


async def test_while_a_secret_is_replaced_both_check_it():
    newer, older = b"n" * 32, b"o" * 32
    headers = webhook.signed([newer, older], "msg_1", datetime.now(UTC), b"{}")
    for key in (newer, older):
        Webhook(webhook.printed(key)).verify(b"{}", headers, json_parse=False)


def test_a_later_secret_is_another_one_and_the_first_stays_what_it_was():
    first, second = webhook.secret_of(SECRETS, "teemo"), webhook.secret_of(SECRETS, "teemo", 1)
    assert first != second
    assert webhook.secret_of(SECRETS, "teemo", 0) == first


async def test_410_is_gone_and_a_pause_is_understood():
    with listener(410) as (url, _):
        assert (await send(url)).outcome is webhook.PostOutcome.GONE
    with listener(429, **{"Retry-After": "120"}) as (url, _):
        tried = await send(url)
    assert (tried.outcome, tried.answer, tried.wait) == (webhook.PostOutcome.FAILED, "429", 120_000)


async def test_a_slow_receiver_has_a_bounded_time(monkeypatch):
    monkeypatch.setattr(webhook, "IN_ALL", 0.3)

    class Drips(Quiet):
        """A byte now and then: no time-out of one read ever ends it."""

        def posted(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(600):
                    self.wfile.write(b".")
                    self.wfile.flush()
                    time.sleep(0.05)

    with listening(Drips) as url:
        began = time.monotonic()
        tried = await send(url)
        took = time.monotonic() - began
    assert (tried.outcome, tried.answer) == (webhook.PostOutcome.FAILED, "too slow")
    assert took < 15, "of thirty seconds"


async def test_an_endless_answer_is_not_read_to_its_end():
    class Talks(Quiet):
        def posted(self):
            self.body()  # what is left unread when it hangs up takes the answer with it
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(b"." * 100_000)

    with listening(Talks) as url:
        tried = await send(url)
    assert (tried.taken, tried.body) == (True, b"")
