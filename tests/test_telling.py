"""Recipients that had the data of an erased person are told, until they took it (R18)."""

import json
from datetime import timedelta

import anyio
import pytest
from delivery.test_post import listener
from support import inside
from support.people import GAID, named

from gateway.app import open_house
from gateway.ledger import disclosures, outbox
from gateway.ledger.disclosures import Intended
from gateway.ledger.erasure import Order
from gateway.ledger.records import milliseconds
from gateway.telling import Telling
from gateway.terms import Erasing, Purpose

pytestmark = pytest.mark.anyio


class Desk:
    def __init__(self, house):
        self.house, self.at = house, house.consent.clock()
        self.subject = house.consent.people.name([named("gaid", GAID)]).subjects[0]

    def telling(self, **endpoints):
        return Telling(self.house.writer, endpoints, self.house.secrets, lambda: self.at)

    async def erase(self):
        """Teemo had the ad id."""

        def job(tx):
            rows = [Intended("r1", self.subject.key, ("ad_id",))]
            batch = disclosures.intend(tx, "teemo", [Purpose.SALE], rows, self.at)
            disclosures.mark(tx, "teemo", batch, rows, "sent")

        await self.house.writer.commit(job)
        await self.house.consent.erase(Order(Erasing.DETAILS, [self.subject], self.at))

    async def rows(self):
        return await self.house.writer.commit(
            lambda tx: tx.db.execute("SELECT recipient, body, tries, due, taken FROM outbox").fetchall()
        )


@pytest.fixture
def desk(house):
    return Desk(house)


async def test_a_recipient_with_an_endpoint_gets_the_message_once_and_its_body_goes(desk):
    await desk.erase()
    with listener() as (url, arrived):
        telling = desk.telling(teemo=url)
        assert await telling.deliver() == 1
        assert await telling.deliver() == 0
        await telling._courier.close()
    [(_, body)] = arrived
    message = json.loads(body)
    assert message["identifiers"] == [{"type": "gaid", "value": GAID}]
    assert set(message) == {"type", "identifiers", "date", "duty"}
    [(_, left, _, _, taken)] = await desk.rows()
    assert left is None
    assert taken == milliseconds(desk.at)


async def test_a_recipient_that_is_away_gets_it_later_and_later_under_the_same_id(desk):
    await desk.erase()
    pauses = []
    with listener(503) as (url, arrived):
        telling = desk.telling(teemo=url)
        for _ in range(3):
            assert await telling.deliver() == 0
            assert await telling.deliver() == 0, "not before it is due"
            [(_, _, _, due, _)] = await desk.rows()
            pauses.append(due - milliseconds(desk.at))
            desk.at += timedelta(milliseconds=pauses[-1])
        await telling._courier.close()
    assert pauses == [1_000, 2_000, 4_000]
    assert len({headers["webhook-id"] for headers, _ in arrived}) == 1
    with listener() as (url, _):
        telling = desk.telling(teemo=url)
        assert await telling.deliver() == 1
        await telling._courier.close()


async def test_a_pause_is_an_hour_at_most(desk):
    await desk.erase()
    (message,) = await desk.house.writer.commit(lambda tx: outbox.read(tx, "teemo"))
    for _ in range(20):
        await desk.house.writer.commit(lambda tx: outbox.failed(tx, message.id, 0))
    [(_, _, _, due, _)] = await desk.rows()
    assert due == 3_600_000


async def test_a_recipient_without_an_endpoint_waits_for_the_desk_which_takes_each_once(desk):
    await desk.erase()
    with listener() as (url, arrived):
        telling = desk.telling(matching=url)
        assert await telling.deliver() == 0
        await telling._courier.close()
    assert arrived == []
    [waiting] = await telling.waiting()
    assert (waiting.recipient, waiting.count, waiting.oldest) == ("teemo", 1, milliseconds(desk.at))
    taken = []
    assert await telling.take("teemo", taken.append) == 1
    assert json.loads(taken[0].body)["type"] == "delete"
    assert await telling.waiting() == []
    assert await telling.take("teemo", taken.append) == 0


async def test_a_message_whose_printing_failed_still_waits(desk):
    await desk.erase()

    def breaks(_):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await desk.telling().take("teemo", breaks)
    assert [each.count for each in await desk.telling().waiting()] == [1]


async def test_a_running_service_delivers_by_itself_and_after_a_restart_what_was_left(tmp_path):
    with open_house(inside.install(tmp_path / "data"), inside.settings(), dev=True) as house:
        await Desk(house).erase()
    with listener() as (url, arrived):
        config = tmp_path / "config.toml"
        config.write_text(f'[recipients.teemo]\ndeletions = "{url}"\n')
        async with inside.application(tmp_path / "data", inside.settings(config)):
            with anyio.fail_after(10):
                while not arrived:
                    await anyio.sleep(0.02)
    assert json.loads(arrived[0][1])["type"] == "delete"
