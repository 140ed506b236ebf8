"""Text messages go by the operator's own sender, which is told by a signed message."""

import json
from datetime import UTC, datetime

import pytest
from delivery.test_post import SECRETS, listener
from support.people import phone

from gateway.delivery import post
from gateway.delivery.letter import Letter
from gateway.delivery.texts import Texts

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


async def send(url):
    texts = Texts(url, SECRETS, lambda: AT)
    try:
        return await texts.send(phone(1), Letter("Your code", "Your code: 1234 5678", "en"))
    finally:
        await texts.close()


async def test_the_sender_of_texts_is_told_whom_and_what_signed():
    with listener() as (url, arrived):
        assert await send(url)
    [(headers, body)] = arrived
    assert json.loads(body) == {"type": "code", "to": phone(1), "text": "Your code: 1234 5678", "language": "en"}
    expected = post.signed([post.secret_of(SECRETS, "texts")], headers["webhook-id"], AT, body)
    assert headers["webhook-signature"] == expected["webhook-signature"]


async def test_a_sender_that_does_not_take_it_did_not_send_it():
    with listener(500) as (url, _):
        assert not await send(url)
