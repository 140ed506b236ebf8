"""Text messages go by the operator's own sender, which is told by a signed message."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from delivery.test_post import SECRETS, listener
from support.people import phone

from gateway.delivery import webhook
from gateway.delivery.letters import Letter, TextMessages

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class Purse:
    """What the ledger's file counts, in memory."""

    def __init__(self, a_day):
        self.a_day, self.days = a_day, {}

    async def spend(self, day, price):
        spent, refused = self.spent(day)
        may = spent + price <= self.a_day
        self.days[day] = (spent + price, refused) if may else (spent, refused + 1)
        return may

    def spent(self, day):
        return self.days.get(day, (0, 0))


async def send(url):
    texts = TextMessages(url, SECRETS, lambda: AT, {"US": 1}, Purse(100))
    try:
        return await texts.send(phone(1), Letter("Your code", "Your code: 1234 5678", "en"))
    finally:
        await texts.close()


async def test_the_sender_of_texts_is_told_whom_and_what_signed():
    with listener() as (url, arrived):
        assert await send(url)
    [(headers, body)] = arrived
    assert json.loads(body) == {"type": "code", "to": phone(1), "text": "Your code: 1234 5678", "language": "en"}
    expected = webhook.signed([webhook.secret_of(SECRETS, "texts")], headers["webhook-id"], AT, body)
    assert headers["webhook-signature"] == expected["webhook-signature"]


async def test_a_sender_that_does_not_take_it_did_not_send_it():
    with listener(500) as (url, _):
        assert not await send(url)


@pytest.mark.parametrize("number", ["+18765550100", "+447700900100", "+8811234567", "no number"])
async def test_no_text_goes_to_a_country_that_has_no_price(number):
    """+1 876 is Jamaica."""
    with listener() as (url, arrived):
        texts = TextMessages(url, SECRETS, lambda: AT, {"US": 1}, Purse(100))
        assert not await texts.send(number, Letter("Your code", "1234", "en"))
        assert texts.alarms() == []
        await texts.close()
    assert arrived == []


async def test_texts_cost_no_more_than_a_day_may_and_somebody_is_told_before():
    day = [AT]
    with listener() as (url, arrived):
        texts = TextMessages(url, SECRETS, lambda: day[0], {"US": 10}, Purse(50))
        sent = []
        for _ in range(6):
            sent.append((await texts.send(phone(1), Letter("Your code", "1234", "en")), bool(texts.alarms())))
        assert sent == [(True, False)] * 3 + [(True, True)] * 2 + [(False, True)]
        [alarm] = texts.alarms()
        assert alarm.startswith("texts with codes cost 50 of the day's 50; 1 were not sent: see who asks for them")
        day[0] += timedelta(days=1)
        assert texts.alarms() == []
        assert await texts.send(phone(1), Letter("Your code", "1234", "en"))
        await texts.close()
    assert len(arrived) == 6
