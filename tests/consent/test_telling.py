"""Recipients that had somebody's data are told, until they took it (R18, L37, L38)."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from delivery.test_ddrf import Recipient, opened_claims
from delivery.test_post import listener
from standardwebhooks import Webhook
from support import inside
from support.listening import Quiet, listening
from support.people import GAID, gaid, named

from gateway.app.composition import open_house
from gateway.consent import telling as telling_room
from gateway.consent.telling import DeliveryWay, Telling
from gateway.delivery import ddrf, webhook
from gateway.delivery.ddrf import Ddrf
from gateway.delivery.deadlines import Calendar
from gateway.delivery.guard import LOOPBACK
from gateway.delivery.webhook import Courier, PostOutcome, Tried
from gateway.desk import disclosures, outbox
from gateway.desk.disclosures import Intended
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.desk.outbox import OutboxKind, State
from gateway.disk import locked
from gateway.ledger.subjects import milliseconds
from gateway.terms import Erasing, Purpose

pytestmark = pytest.mark.anyio
CALENDAR = Calendar()


def ignored(*_):
    """Nobody counts what was tried."""


class Desk:
    def __init__(self, house):
        self.house, self.at, self.folder = house, house.consent.clock(), house.writer.store.folder
        self.subject = house.consent.people.name([named("gaid", GAID)]).subjects[0]

    def telling(self, allowed=LOOPBACK, **endpoints):
        carrier = Courier(allowed)
        ways = [DeliveryWay(name, url, carrier) for name, url in endpoints.items()]
        return Telling(self.folder, self.house.writer, ways, self.house.secrets, lambda: self.at, CALENDAR, ignored)

    async def erase(self):
        """Teemo had the ad id."""

        def job(tx):
            rows = [Intended("r1", self.subject.key, ("ad_id",))]
            batch = disclosures.intend(tx, "teemo", [Purpose.SALE], rows, self.at)
            disclosures.mark(tx, "teemo", batch, rows, "sent")

        await self.house.writer.commit(job)
        await self.house.consent.erase(ErasureOrder(Erasing.DETAILS, [self.subject], self.at))

    async def queue(self, recipient):
        """A message of another act."""
        content = {"type": "opt_out", "identifiers": [], "date": "2026-11-26", "duty": ""}
        await self.house.writer.commit(lambda tx: outbox.queue(tx, recipient, content, milliseconds(self.at)))

    async def rows(self):
        return await self.house.writer.commit(
            lambda tx: tx.db.execute("SELECT recipient, body, tries, due, taken FROM outbox").fetchall()
        )

    async def states(self):
        return await self.house.writer.commit(
            lambda tx: tx.db.execute("SELECT state, tries, answer FROM outbox ORDER BY at").fetchall()
        )


@pytest.fixture
def looks_often(monkeypatch):
    monkeypatch.setattr("gateway.consent.telling.PERIOD", 0.1)


@pytest.fixture
def desk(house):
    return Desk(house)


async def test_a_recipient_with_an_endpoint_gets_the_message_once_and_its_body_goes(desk):
    await desk.erase()
    with listener() as (url, arrived):
        telling = desk.telling(teemo=url)
        assert await telling.deliver() == 1
        assert await telling.deliver() == 0
        await telling.close()
    [(_, body)] = arrived
    message = json.loads(body)
    assert message["identifiers"] == [{"type": "gaid", "value": GAID}]
    assert set(message) == {"type", "identifiers", "date", "duty"}
    [(_, left, _, _, taken)] = await desk.rows()
    assert left is None
    assert taken == milliseconds(desk.at)


async def test_a_message_that_nobody_can_read_any_more_was_told_to_nobody_and_is_the_officers(desk):
    await desk.erase()
    sql = "UPDATE outbox SET person = zeroblob(length(person))"
    await desk.house.writer.commit(lambda tx: tx.db.execute(sql).rowcount)
    with listener() as (url, arrived):
        telling = desk.telling(teemo=url)
        assert await telling.deliver() == 0
        await telling.close()
    assert arrived == []
    assert await desk.states() == [("failed", 1, "its key is gone")]


async def test_while_two_keys_tokens_overlap_the_message_is_signed_for_the_secret_of_each(desk):
    given = webhook.secret_of(desk.house.secrets, "teemo")
    later = replace(desk.house.secrets, tokens=(*desk.house.secrets.tokens, b"n" * 32))
    desk.house = replace(desk.house, secrets=later)
    await desk.erase()
    with listener() as (url, arrived):
        telling = desk.telling(teemo=url)
        assert await telling.deliver() == 1
        await telling.close()
    [(headers, body)] = arrived
    for secret in (given, webhook.secret_of(later, "teemo")):
        expected = webhook.signed([secret], headers["webhook-id"], desk.at, body)["webhook-signature"]
        assert expected in headers["webhook-signature"].split()


async def test_a_recipient_that_is_away_for_a_day_gets_it_once_it_is_back_under_the_same_id(desk):
    await desk.erase()
    began = desk.at
    with listener(503) as (url, arrived):
        telling = desk.telling(teemo=url)
        while desk.at < began + timedelta(days=1):
            assert await telling.deliver() == 0
            assert await telling.deliver() == 0, "not before it is due"
            [(_, _, _, due, _)] = await desk.rows()
            desk.at += timedelta(milliseconds=due - milliseconds(desk.at))
        await telling.close()
    assert 7 <= len(arrived) <= 9, "the schedule of a day"
    with listener() as (url, later):
        telling = desk.telling(teemo=url)
        assert await telling.deliver() == 1
        await telling.close()
    assert len({headers["webhook-id"] for headers, _ in (*arrived, *later)}) == 1
    assert [state for state, *_ in await desk.states()] == ["delivered"]
    assert desk.at - began < timedelta(days=3)


@pytest.mark.slow
async def test_after_the_last_try_it_is_the_officers_who_may_try_again(desk):
    await desk.erase()
    with listener(500) as (url, arrived):
        telling = desk.telling(teemo=url)
        for _ in range(webhook.MOST_TRIES):
            await telling.deliver()
            desk.at += timedelta(days=2)
        assert await telling.deliver() == 0
        await telling.close()
    assert len(arrived) == webhook.MOST_TRIES
    assert await desk.states() == [("failed", webhook.MOST_TRIES, "500")]
    [found] = await telling.open()
    assert (found.pending, found.failed, found.overdue) == (0, 1, 1)
    with listener() as (url, _):
        telling = desk.telling(teemo=url)
        assert await telling.again(recipient="teemo") == 1
        assert await telling.deliver() == 1
        await telling.close()


async def test_a_pause_that_the_receiver_asks_for_is_kept(desk):
    await desk.erase()
    with listener(429, **{"Retry-After": "7200"}) as (url, arrived):
        telling = desk.telling(teemo=url)
        await telling.deliver()
        desk.at += timedelta(seconds=7190)
        await telling.deliver()
        assert len(arrived) == 1
        desk.at += timedelta(seconds=11)
        await telling.deliver()
        assert len(arrived) == 2
        await telling.close()


async def test_an_endpoint_that_was_given_up_gets_nothing_more_until_another_one_is_configured(desk):
    await desk.erase()
    with listener(410) as (url, arrived):
        telling = desk.telling(teemo=url)
        await telling.deliver()
        await desk.erase()
        desk.at += timedelta(days=3)
        await telling.deliver()
        await telling.close()
        [found] = await telling.open()
        assert (found.failed, found.gone) == (2, True)
    assert len(arrived) == 1
    with listener() as (url, later):
        telling = desk.telling(teemo=url)
        assert await telling.deliver() == 0, "what was given up is the officer's"
        assert await telling.again(recipient="teemo") == 2
        assert await telling.deliver() == 2
        await telling.close()
    assert len(later) == 2
    assert await telling.open() == []


async def test_the_officer_may_have_the_same_endpoint_tried_again(desk):
    await desk.erase()
    with listener(410) as (url, arrived):
        telling = desk.telling(teemo=url)
        await telling.deliver()
        await telling.again(recipient="teemo")
        await telling.deliver()
        await telling.close()
    assert len(arrived) == 2


async def test_a_receiver_that_hangs_holds_up_nobody_else(desk, monkeypatch):
    """One answers after a minute, the other gets its message meanwhile."""
    released = anyio.Event()

    class Hangs:
        async def carry(self, parcel, at):
            await released.wait()
            raise AssertionError("nobody waits for it")

        async def close(self):
            pass

    await desk.erase()
    await desk.house.writer.commit(
        lambda tx: tx.db.execute(
            "INSERT INTO outbox (id, recipient, word, at, person, body, due) SELECT x'01', 'slow', word, at, person, body, due"
            " FROM outbox"
        )
    )
    with listener() as (url, arrived):
        telling = desk.telling(teemo=url)
        telling._ways = (DeliveryWay("slow", url, Hangs()), *telling._ways)
        await desk.house.writer.commit(
            lambda tx: tx.db.execute(
                "UPDATE outbox SET body = (SELECT body FROM outbox WHERE id <> x'01') WHERE id = x'01'"
            )
        )
        with anyio.move_on_after(60):
            async with telling.running():
                while not arrived:
                    await anyio.sleep(0.02)
    assert len(arrived) == 1


async def test_a_message_that_is_refused_by_itself_holds_up_no_other(desk):
    await desk.erase()
    await desk.erase()
    taken = []

    class Picky(Quiet):
        def posted(self):
            self.body()
            taken.append(self.headers["webhook-id"])
            self.send_response(400 if len(taken) == 1 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with listening(Picky) as url:
        telling = desk.telling(teemo=url)
        assert await telling.deliver() == 1
        await telling.close()
    assert len(taken) == 2
    assert sorted(state for state, *_ in await desk.states()) == ["delivered", "pending"]


async def test_a_receiver_that_is_away_is_not_asked_with_every_message(desk):
    for _ in range(5):
        await desk.erase()
    with listener(503) as (url, arrived):
        telling = desk.telling(teemo=url)
        await telling.deliver()
        await telling.deliver()
        await telling.close()
    assert len(arrived) == 1


async def test_what_was_queued_tried_or_put_off_while_a_clock_was_ahead_goes_once_it_is_right_again(desk):
    right = desk.at
    await desk.queue("teemo")
    desk.at += timedelta(days=365)
    with listener(503) as (url, arrived):
        assert await desk.telling(teemo=url).deliver() == 0
        await desk.queue("teemo")
    desk.at = right + timedelta(minutes=1)
    with listener(503) as (url, arrived):
        assert await desk.telling(teemo=url).deliver() == 0
        assert await desk.telling(teemo=url).deliver() == 0
    assert len(arrived) == 1, "a receiver that is away is not asked with every message"
    desk.at += timedelta(hours=1)
    with listener() as (url, arrived):
        assert await desk.telling(teemo=url).deliver() == 2


async def test_nobody_knows_since_when_a_message_waits_that_a_clock_ahead_has_dated_so_it_is_told_as_late(desk):
    await desk.queue("teemo")
    telling = desk.telling()
    assert [each.overdue for each in await telling.open()] == [0]
    desk.at -= timedelta(days=365)
    assert [each.overdue for each in await telling.open()] == [1]


async def test_a_name_that_leads_into_our_network_gets_nothing(desk):
    await desk.erase()
    with listener() as (url, arrived):
        telling = desk.telling(allowed=(), teemo=url)
        assert await telling.deliver() == 0
        await telling.close()
    assert arrived == []
    assert await desk.states() == [("pending", 1, "leads into a network that is not public")]


async def test_a_secret_is_replaced_while_both_sign(desk):
    await desk.erase()
    telling = desk.telling()
    older = await telling.secret("teemo")
    newer = await telling.secret("teemo", renew=True)
    assert newer != older
    assert await telling.secret("teemo") == newer
    with listener() as (url, arrived):
        telling = desk.telling(teemo=url)
        await telling.deliver()
        desk.at += timedelta(days=15)
        await desk.erase()
        await telling.deliver()
        await telling.close()
    (headers, body), (later, _) = arrived
    for secret in (older, newer):
        Webhook(secret).verify(body, headers)
    assert " " in headers["webhook-signature"]
    assert " " not in later["webhook-signature"], "the overlap is over"


async def test_what_is_late_is_told(desk):
    desk.at = datetime(2026, 11, 24, 12, tzinfo=UTC)
    await desk.erase()
    telling = desk.telling()
    desk.at = datetime(2027, 1, 8, 23, 59, tzinfo=UTC)
    assert [(found.pending, found.overdue) for found in await telling.open()] == [(1, 0)]
    desk.at = datetime(2027, 1, 9, tzinfo=UTC)
    assert [(found.pending, found.overdue) for found in await telling.open()] == [(1, 1)]


async def test_a_recipient_without_an_endpoint_waits_for_the_desk_which_takes_each_once(desk):
    await desk.erase()
    with listener() as (url, arrived):
        telling = desk.telling(matching=url)
        assert await telling.deliver() == 0
        await telling.close()
    assert arrived == []
    [waiting] = await telling.open()
    assert (waiting.recipient, waiting.pending) == ("teemo", 1)
    taken = []
    assert await telling.take("teemo", taken.append) == 1
    assert json.loads(taken[0].body)["type"] == "delete"
    assert await telling.open() == []
    assert await telling.take("teemo", taken.append) == 0
    [(listed, _)] = await telling.listed(State.DELIVERED, 10)
    assert (listed.recipient, listed.answer) == ("teemo", "by the desk")


async def test_a_message_whose_printing_failed_still_waits(desk):
    await desk.erase()

    def breaks(_):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await desk.telling().take("teemo", breaks)
    assert [each.pending for each in await desk.telling().open()] == [1]


async def test_a_running_service_delivers_by_itself_and_after_a_restart_what_was_left(tmp_path):
    with open_house(inside.install(tmp_path / "data"), inside.settings(), dev=True) as house:
        await Desk(house).erase()
    with listener() as (url, arrived):
        config = tmp_path / "config.toml"
        config.write_text(f'[recipients.teemo]\ndeliveries = "{url}"\n')
        async with inside.application(tmp_path / "data", inside.settings(config)):
            with anyio.fail_after(60):
                while not arrived:
                    await anyio.sleep(0.02)
    assert json.loads(arrived[0][1])["type"] == "delete"


async def test_whoever_watches_the_service_sees_what_is_late_and_what_was_given_up(tmp_path):
    """/readyz?strict and /metrics, with the service's own clock a year later."""
    folder, later = inside.install(tmp_path / "data"), datetime.now(UTC) + timedelta(days=365)
    with open_house(folder, inside.settings(), dev=True) as house:
        await Desk(house).erase()
    async with inside.application(folder, clock=lambda: later) as app, inside.client(app) as client:
        alarms = (await client.get("/readyz?strict")).json()["alarms"]
        metrics = (await client.get("/metrics")).text
    assert any(text.startswith("teemo was not told in time of 1:") for text in alarms)
    assert 'gateway_deliveries{recipient="teemo",state="overdue"} 1.0' in metrics
    assert GAID not in metrics
    async with inside.application(inside.install(tmp_path / "other")) as app, inside.client(app) as client:
        assert not [text for text in (await client.get("/readyz?strict")).json()["alarms"] if "told" in text]


async def test_a_deletion_goes_by_the_framework_one_identifier_a_request_and_its_proof_is_kept(desk):
    recipient = Recipient()
    signer = ddrf.signers(desk.house.secrets, "operator.example")[0]
    recipient.claims = {"iat": int(desk.at.timestamp())}
    people = desk.house.consent.people
    ids = [named("gaid", gaid(number)) for number in (1, 2, 3)]
    subjects = people.name(ids).subjects

    def job(tx):
        rows = [Intended(f"r{number}", each.key, ("ad_id",)) for number, each in enumerate(subjects)]
        batch = disclosures.intend(tx, "teemo", [Purpose.SALE], rows, desk.at)
        disclosures.mark(tx, "teemo", batch, rows, "sent")

    await desk.house.writer.commit(job)
    await desk.house.consent.erase(ErasureOrder(Erasing.DETAILS, subjects, desk.at))
    with listening(recipient.handler()) as url:
        carrier = Ddrf(Courier(LOOPBACK), signer)
        ways = [DeliveryWay("teemo", url, carrier, OutboxKind.DELETES, one_at_a_time=True)]
        telling = Telling(desk.folder, desk.house.writer, ways, desk.house.secrets, lambda: desk.at, CALENDAR, ignored)
        assert await telling.deliver() == 3
        await telling.close()
    assert len(recipient.requests) == 3
    found = await desk.house.writer.commit(
        lambda tx: [outbox.deletion_tokens(tx, name) for (name,) in tx.db.execute("SELECT id FROM outbox").fetchall()]
    )
    assert sorted(opened_claims(token)["rqJWT"] for [token] in found) == sorted(each for each, _ in recipient.requests)
    assert {state for state, *_ in await desk.states()} == {"delivered"}


async def test_an_acknowledgement_that_was_given_before_is_none(desk):
    class Repeats:
        async def carry(self, parcel, at):
            return Tried(PostOutcome.TAKEN, "202, successful", proof="token", proof_name="ack-1")

        async def close(self):
            pass

    await desk.erase()
    await desk.erase()
    ways = [DeliveryWay("teemo", "vendor.example", Repeats())]
    telling = Telling(desk.folder, desk.house.writer, ways, desk.house.secrets, lambda: desk.at, CALENDAR, ignored)
    await telling.deliver()
    assert sorted(state for state, *_ in await desk.states()) == ["delivered", "pending"]
    assert "its acknowledgement was given before" in [answer for *_, answer in await desk.states()]


class Breaks:
    """A way that fails as nobody foresaw."""

    async def carry(self, parcel, at):
        raise KeyError(parcel.name)

    async def close(self):
        pass


@pytest.mark.usefixtures("looks_often")
async def test_a_recipient_whose_answer_breaks_us_keeps_nobody_else_from_being_told(desk):
    """While it runs beside the service, too: one way that fails ends no other, now or later."""
    await desk.erase()
    with listener() as (url, arrived):
        ways = [DeliveryWay("teemo", "vendor.example", Breaks()), DeliveryWay("matching", url, Courier(LOOPBACK))]
        telling = Telling(desk.folder, desk.house.writer, ways, desk.house.secrets, lambda: desk.at, CALENDAR, ignored)
        async with telling.running():
            with anyio.fail_after(60):
                while ("pending", 1, "KeyError") not in await desk.states():
                    await anyio.sleep(0.02)
            await desk.queue("matching")
            with anyio.fail_after(60):
                while not arrived:
                    await anyio.sleep(0.02)


@pytest.mark.usefixtures("looks_often")
async def test_a_fault_of_ours_about_one_recipient_keeps_nobody_else_from_being_told(desk, monkeypatch):
    await desk.queue("teemo")
    await desk.queue("matching")
    split = outbox.split_deletions

    def breaks(tx, recipient, now):
        assert recipient != "teemo"
        split(tx, recipient, now)

    monkeypatch.setattr(outbox, "split_deletions", breaks)
    with listener() as (url, arrived):
        carrier = Courier(LOOPBACK)
        ways = [DeliveryWay(name, url, carrier, one_at_a_time=True) for name in ("teemo", "matching")]
        telling = Telling(desk.folder, desk.house.writer, ways, desk.house.secrets, lambda: desk.at, CALENDAR, ignored)
        async with telling.running():
            with anyio.fail_after(60):
                while not arrived:
                    await anyio.sleep(0.02)
            await desk.queue("matching")
            with anyio.fail_after(60):
                while len(arrived) < 2:
                    await anyio.sleep(0.02)


async def test_of_several_processes_one_tells_and_where_it_ends_the_next(desk, looks_often):
    await desk.erase()
    with listener() as (url, arrived):
        another = locked(desk.folder / telling_room.LOCK, wait=False)
        await asyncio.to_thread(another.__enter__)
        telling = desk.telling(teemo=url)
        async with telling.running():
            await anyio.sleep(0.5)  # several looks
            assert arrived == []
            await asyncio.to_thread(another.__exit__, None, None, None)
            with anyio.fail_after(60):
                while not arrived:
                    await anyio.sleep(0.02)
