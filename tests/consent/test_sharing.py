import asyncio
import contextlib
import json
import sqlite3
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import ClassVar

import pytest
from support import inside
from support.people import gaid, named
from support.shares import share_all

from gateway.app.composition import migrate, open_house
from gateway.consent import check, tokens
from gateway.consent.share import GROUP, ShareRow
from gateway.delivery.forwarding import ForwardOutcome
from gateway.desk import disclosures, outbox, recipient_holdings
from gateway.desk.disclosures import CHUNK, Acknowledged
from gateway.desk.forgetting import erasure
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.ledger.acts.links import Span
from gateway.ledger.entry import b64
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Choice
from gateway.terms import ALL_PURPOSES, ChoiceKind, DataClass, Erasing, Purpose, Role, Source

pytestmark = pytest.mark.anyio
ENDPOINT = "https://teemo.example/rows"


class Receiver:
    """What the recipient's end sees; `answers` are given in order, the last one for ever. `known`: a row's id by its
    handle, which the recipient does not know.
    """

    known: ClassVar[dict[str, str]] = {}

    def __init__(self, *answers: ForwardOutcome, at_send=None) -> None:
        self.answers = list(answers) or [ForwardOutcome.SENT]
        self.batches: list[tuple[str, str, list[dict]]] = []
        self._at_send = at_send

    async def send(self, endpoint, key, rows, deadline, *, to):
        self.batches.append((endpoint, key, [dict(row) for row in rows]))
        if self._at_send:
            await asyncio.to_thread(self._at_send)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def close(self):
        pass

    @property
    def ids(self) -> list[str]:
        return [self.known[row["row"]] for _, _, rows in self.batches for row in rows]


def row(number: int, **members) -> ShareRow:
    members = {"data": {"ad_id": gaid(number), "lat": 37.77493, "lon": -122.41942}, "place": "US-CA"} | members
    return ShareRow(f"r{number}", [named("gaid", gaid(number))], **members)


def marks(folder) -> dict[str, str]:
    """What each row is marked with, by its id."""
    ids = {sha256(f"r{number}".encode()).digest()[:16]: f"r{number}" for number in range(2 * CHUNK)}
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return {ids[key]: outcome for key, outcome in db.execute("SELECT row, outcome FROM disclosure ORDER BY batch")}


async def link(house, *numbers: int) -> None:
    people = house.consent.people
    for number in numbers:
        subjects = people.name([named("gaid", gaid(number))]).subjects
        await house.consent.link(people.account(f"a{number}"), subjects, Span(int(time.time() * 1000)))


async def opt_out(house, number: int) -> None:
    choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, Source.FORM, datetime.now(UTC))
    await house.consent.choose([house.consent.people.account(f"a{number}")], choice)


@pytest.fixture
async def sharing(house):
    await link(house, *range(6))
    recipient = house.consent.recipients["teemo"]
    ids = [*(f"r{number}" for number in range(2 * CHUNK)), "bad"]
    Receiver.known = {b64(handle): name for name, handle in (await house.sharing.handles(recipient, ids)).items()}
    return house.sharing


@pytest.fixture
def teemo(house):
    return replace(house.consent.recipients["teemo"], mode="forward", endpoint=ENDPOINT)


async def test_allowed_rows_are_sent_and_marked_and_only_what_may_go_goes(house, folder, sharing, teemo):
    sharing._forwarder = receiver = Receiver()
    shared = await share_all(sharing, teemo, [row(1), row(2, data={"ad_id": gaid(2), "note": "x", "lat": 95})])
    assert [(item.id, item.outcome) for item in shared] == [("r1", "sent"), ("r2", "sent")]
    one, two = (item.row for item in shared)
    assert receiver.batches[0][0] == ENDPOINT
    assert receiver.batches[0][2] == [
        {"ad_id": gaid(1), "lat": 37.8, "lon": -122.4, **one},
        {"ad_id": gaid(2), **two},
    ]
    assert receiver.ids == ["r1", "r2"]
    assert marks(folder) == {"r1": "sent", "r2": "sent"}


async def test_an_intention_is_durable_before_the_bytes_leave(house, folder, sharing, teemo):
    seen = []
    sharing._forwarder = Receiver(at_send=lambda: seen.append(marks(folder)))
    await share_all(sharing, teemo, [row(1)])
    assert seen == [{"r1": "intended"}]


@pytest.fixture
def slow_checks(sharing, monkeypatch):
    """When each second check began; it takes a while, in which another process may acknowledge an opt-out."""
    began, whole = [], sharing._check_again

    def check(*arguments):
        began.append((time.monotonic(), datetime.now(UTC)))
        while time.monotonic() < began[-1][0] + 0.1:
            pass
        return whole(*arguments)

    monkeypatch.setattr(type(sharing), "_check_again", lambda self, *arguments: check(*arguments))
    return began


async def test_the_time_in_which_a_send_may_start_counts_from_before_the_check(sharing, teemo, slow_checks):
    """An opt-out that is acknowledged while the check goes on is effective one window after that."""
    deadlines, receiver = [], Receiver()
    whole = receiver.send

    async def send(endpoint, key, rows, deadline, *, to):
        deadlines.append(deadline)
        return await whole(endpoint, key, rows, deadline, to=to)

    sharing._forwarder, receiver.send = receiver, send
    await share_all(sharing, teemo, [row(1)])
    window = sharing.window
    assert deadlines[0] <= slow_checks[0][0] + window.total_seconds()
    slow_checks.clear()
    [returned] = await share_all(sharing, replace(teemo, mode="return"), [row(2)])
    assert returned.until <= slow_checks[-1][1] + window


async def test_whoever_is_erased_while_their_row_is_on_its_way_has_the_recipient_told_again(
    house, folder, sharing, teemo
):
    """It was told to delete before it had the row."""
    people = house.consent.people
    [me, _] = subjects = people.name([named("gaid", gaid(1)), named("account", "a1")]).subjects
    assert me.kind == "gaid"

    def erase():
        order = ErasureOrder(Erasing.DETAILS, subjects, datetime.now(UTC))
        house.writer.submit(lambda tx: erasure.erase(tx, order, b"r" * 16)).result(60)
        queued.append(told())

    def told():
        with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
            return db.execute("SELECT recipient, word FROM outbox").fetchall()

    queued: list[list] = []
    sharing._forwarder = Receiver(at_send=erase)
    shared = await share_all(sharing, teemo, [row(1), row(2)])
    assert [item.outcome for item in shared] == ["sent", "sent"]
    assert queued == [[("teemo", "delete")]]
    assert told() == [("teemo", "delete")] * 2
    [first, second] = await house.writer.commit(lambda tx: outbox.read_messages(tx, "teemo"))
    assert json.loads(second.body)["identifiers"] == json.loads(first.body)["identifiers"] == [named("gaid", gaid(1))]
    assert marks(folder) == {"r2": "sent"}


async def test_an_opted_out_person_is_in_no_batch(house, folder, sharing, teemo):
    await opt_out(house, 2)
    sharing._forwarder = receiver = Receiver()
    shared = await share_all(sharing, teemo, [row(1), row(2), row(3)])
    assert [item.outcome for item in shared] == ["sent", "refused", "sent"]
    assert receiver.ids == ["r1", "r3"]
    assert gaid(2) not in repr(receiver.batches)


async def test_where_everybody_opted_out_nothing_is_posted(house, folder, sharing, teemo):
    await opt_out(house, 1)
    sharing._forwarder = receiver = Receiver()
    assert [item.outcome for item in await share_all(sharing, teemo, [row(1)])] == ["refused"]
    assert (receiver.batches, marks(folder)) == ([], {})


@pytest.mark.parametrize("mode", ["forward", "return"])
async def test_an_opt_out_between_the_first_and_the_second_check_stops_the_row(
    house, folder, sharing, teemo, monkeypatch, mode
):
    intend = sharing._intend

    async def slow(*asked, **more):
        left = await intend(*asked, **more)
        await opt_out(house, 2)  # the person presses the button while the intention is written
        return left

    monkeypatch.setattr(sharing, "_intend", slow)
    sharing._forwarder = receiver = Receiver()
    shared = await share_all(sharing, replace(teemo, mode=mode), [row(1), row(2), row(3)])
    assert [item.outcome for item in shared if item.id != "r2"] == [{"forward": "sent", "return": "returned"}[mode]] * 2
    assert (shared[1].outcome, shared[1].reason, shared[1].row) == ("refused", "opted_out", None)
    assert "r2" not in receiver.ids
    word = {"forward": "sent", "return": "possible"}[mode]
    assert marks(folder) == {"r1": word, "r2": "not_sent", "r3": word}


@pytest.mark.parametrize("fresh", [-1.0, 60.0])
@pytest.mark.parametrize("changed", ["nothing", "a choice", "the configuration"])
async def test_a_row_is_asked_about_again_where_anything_changed_since_it_was_decided(
    house, sharing, teemo, monkeypatch, changed, fresh
):
    monkeypatch.setattr(check, "FRESH", fresh)
    checks, intend, asked = sharing._checks, sharing._intend, []
    whole = checks.check
    monkeypatch.setattr(checks, "check", lambda ask: asked.append(ask.identifiers[0]["value"]) or whole(ask))

    async def meanwhile(*stated, **more):
        left = await intend(*stated, **more)
        if changed == "a choice":
            await opt_out(house, 2)
        elif changed == "the configuration":
            monkeypatch.setattr(checks, "recipients", {})
        return left

    monkeypatch.setattr(sharing, "_intend", meanwhile)
    sharing._forwarder = receiver = Receiver()
    shared = await share_all(sharing, teemo, [row(1), row(2)])
    stopped = {"nothing": [], "a choice": ["r2"], "the configuration": ["r1", "r2"]}[changed]
    assert asked == [gaid(int(name[1:])) for name in stopped]
    assert [item.id for item in shared if item.outcome == "refused"] == stopped
    assert receiver.ids == [name for name in ("r1", "r2") if name not in stopped]


async def test_an_opt_out_between_the_checks_by_an_id_that_the_phone_had_before_stops_the_row(
    house, sharing, teemo, monkeypatch
):
    """The row shows the app's token, which remembers it."""
    [before] = house.consent.people.name([named("gaid", gaid(9))]).subjects
    token = tokens.seal_device_token(house.secrets, tokens.new().with_reported([before.key], (), 20_000))
    shown = replace(row(1), identifiers=[named("gaid", gaid(1)), named("device", token)])
    intend = sharing._intend

    async def meanwhile(*stated, **more):
        claimed = await intend(*stated, **more)
        choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, Source.FORM, datetime.now(UTC))
        await house.consent.choose([before], choice)
        return claimed

    sharing._forwarder = receiver = Receiver()
    assert [item.outcome for item in await share_all(sharing, teemo, [replace(shown, id="r0")])] == ["sent"]
    monkeypatch.setattr(sharing, "_intend", meanwhile)
    [item] = await share_all(sharing, teemo, [shown])
    assert (item.outcome, item.reason) == ("refused", "opted_out")
    assert receiver.ids == ["r0"]


async def test_when_the_only_person_opts_out_between_the_checks_nothing_is_posted(
    house, folder, sharing, teemo, monkeypatch
):
    intend = sharing._intend

    async def slow(*asked, **more):
        left = await intend(*asked, **more)
        await opt_out(house, 1)
        return left

    monkeypatch.setattr(sharing, "_intend", slow)
    sharing._forwarder = receiver = Receiver()
    (shared,) = await share_all(sharing, teemo, [row(1)])
    assert (shared.outcome, receiver.batches, marks(folder)) == ("refused", [], {"r1": "not_sent"})


async def test_a_connection_that_came_too_late_sends_nothing_and_all_is_checked_again(house, folder, sharing, teemo):
    """Somebody opts out while the connection is made: the second attempt goes without them."""
    loop = asyncio.get_running_loop()

    def meanwhile():
        asyncio.run_coroutine_threadsafe(opt_out(house, 1), loop).result(60)

    class Slow(Receiver):
        async def send(self, endpoint, key, rows, deadline, *, to):
            first = not self.batches
            self.batches.append((endpoint, key, [dict(row) for row in rows]))
            if first:
                await asyncio.to_thread(meanwhile)
                return ForwardOutcome.LATE
            return ForwardOutcome.SENT

    sharing._forwarder = receiver = Slow()
    first, second = await share_all(sharing, teemo, [row(1), row(2)])
    assert (first.outcome, first.reason, second.outcome) == ("refused", "opted_out", "sent")
    assert [receiver.known[sent["row"]] for sent in receiver.batches[-1][2]] == ["r2"]
    assert marks(folder) == {"r1": "not_sent", "r2": "sent"}


async def test_an_opt_out_while_a_call_is_answered_stops_the_rows_that_are_not_written_yet(
    house, folder, sharing, teemo
):
    """Each few rows are looked at right before they are written, however long the reader took over those before."""
    back, found = replace(teemo, mode="return"), []
    rows = [replace(row(number % 2 + 1), id=f"r{number}") for number in range(GROUP * 2)]
    async for some in sharing.answers(back, rows):
        found += some
        if len(found) == GROUP:
            await opt_out(house, 1)
    told = [
        (item.outcome, item.reason, item.row is None) for item in found if item.row is None or "opted" in item.reason
    ]
    assert told == [("refused", "opted_out", True)] * (GROUP // 2)
    assert [item.outcome for item in found[:GROUP]] == ["returned"] * GROUP
    assert Counter(marks(folder).values()) == {"possible": GROUP * 3 // 2, "not_sent": GROUP // 2}


@pytest.mark.slow
async def test_who_hangs_up_was_handed_what_was_written_and_nothing_else(house, folder, sharing, teemo):
    back = replace(teemo, mode="return")
    rows = [replace(row(number % 6), id=f"r{number}") for number in range(GROUP * 2)]
    async with contextlib.aclosing(sharing.answers(back, rows)) as answers:
        assert len(await anext(answers)) == GROUP
    found = marks(folder)
    assert {found[f"r{number}"] for number in range(GROUP)} == {"possible"}
    assert {found[f"r{number}"] for number in range(GROUP, GROUP * 2)} == {"not_sent"}
    again = await share_all(sharing, back, rows)
    assert [(item.outcome, item.again) for item in again] == [("returned", True)] * GROUP + [
        ("returned", False)
    ] * GROUP


async def test_an_identifier_is_still_known_to_have_left_where_another_row_of_its_person_was_stopped(
    house, sharing, teemo
):
    """Whoever opted out between two rows of one entry: the recipient has the first one, and hears of what comes
    later."""
    back, rows = replace(teemo, mode="return"), [replace(row(1), id=f"r{number}") for number in range(GROUP * 2)]
    async for some in sharing.answers(back, rows):
        if some[0].id == "r0":
            await opt_out(house, 1)
    key = house.consent.people.name([named("gaid", gaid(1))]).subjects[0].key
    [known] = await house.writer.commit(lambda tx: recipient_holdings.under(tx, key, 0))
    assert known.recipient == "teemo"


@pytest.mark.parametrize("outcome", [ForwardOutcome.UNKNOWN, ForwardOutcome.REFUSED])
async def test_a_row_of_which_it_is_not_known_whether_it_left_goes_again_with_the_same_id(
    house, folder, sharing, teemo, outcome
):
    sharing._forwarder = receiver = Receiver(outcome, ForwardOutcome.SENT)
    first = await share_all(sharing, teemo, [row(1)])
    assert [item.outcome for item in first] == ["unknown"]
    assert marks(folder) == {"r1": "unknown"}
    second = await share_all(sharing, teemo, [row(1)])
    assert [item.outcome for item in second] == ["sent"]
    third = await share_all(sharing, teemo, [row(1)])
    assert [item.outcome for item in third] == ["duplicate"]
    assert receiver.ids == ["r1", "r1"]
    assert marks(folder) == {"r1": "sent"}, "the latest batch"
    assert receiver.batches[0][2] == receiver.batches[1][2]


async def test_a_row_of_unknown_fate_does_not_go_again_once_its_person_opted_out(house, folder, sharing, teemo):
    sharing._forwarder = receiver = Receiver(ForwardOutcome.UNKNOWN, ForwardOutcome.SENT)
    await share_all(sharing, teemo, [row(1)])
    await opt_out(house, 1)
    (again,) = await share_all(sharing, teemo, [row(1)])
    assert (again.outcome, receiver.ids) == ("refused", ["r1"])


@pytest.mark.slow
async def test_a_large_share_goes_in_chunks_each_with_its_own_key_and_one_bad_chunk_costs_only_itself(
    house, folder, sharing, teemo
):
    many = [replace(row(number % 6), id=f"r{number}") for number in range(CHUNK + 10)]
    sharing._forwarder = receiver = Receiver(ForwardOutcome.SENT, ForwardOutcome.UNKNOWN)
    shared = await share_all(sharing, teemo, many)
    assert [item.id for item in shared] == [item.id for item in many]
    assert [item.outcome for item in shared] == ["sent"] * CHUNK + ["unknown"] * 10
    assert [len(rows) for _, _, rows in receiver.batches] == [CHUNK, 10]
    assert receiver.batches[0][1] != receiver.batches[1][1]
    sharing._forwarder = receiver = Receiver()
    again = await share_all(sharing, teemo, many)
    assert [item.outcome for item in again] == ["duplicate"] * CHUNK + ["sent"] * 10
    assert receiver.ids == [item.id for item in many[CHUNK:]]


@pytest.mark.slow
async def test_a_duplicate_in_another_chunk_of_the_same_call_leaves_once(house, folder, sharing, teemo):
    many = [replace(row(number % 6), id=f"r{number}") for number in range(CHUNK)]
    sharing._forwarder = receiver = Receiver()
    shared = await share_all(sharing, teemo, [*many, many[0]])
    assert shared[-1].outcome == "duplicate"
    assert len(receiver.ids) == len(set(receiver.ids)) == CHUNK


async def test_a_row_that_cannot_be_read_costs_only_itself(house, folder, sharing, teemo):
    sharing._forwarder = receiver = Receiver()
    shared = await share_all(
        sharing, teemo, [ShareRow("bad", problem="not JSON"), row(1), ShareRow("bad", problem="again")]
    )
    assert [(item.outcome, item.reason) for item in shared if item.id == "bad"] == [("refused", "malformed")] * 2
    assert receiver.ids == ["r1"]


async def test_a_row_id_is_a_duplicate_for_thirty_five_days(tmp_path):
    at = [datetime(2026, 6, 1, tzinfo=UTC)]
    migrate(tmp_path / "data")
    with open_house(tmp_path / "data", inside.settings(), dev=True, clock=lambda: at[0]) as house:
        people = house.consent.people
        subjects = people.name([named("gaid", gaid(1))]).subjects
        await house.consent.link(people.account("a1"), subjects, Span(0))
        recipient = house.consent.recipients["teemo"]
        outcomes = []
        for days in (0, 34, 36):
            at[0] = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(days=days)
            (shared,) = await share_all(house.sharing, recipient, [row(1)])
            outcomes.append(shared.outcome)
            if shared.outcome == "returned":
                await house.sharing.acknowledge([Acknowledged("sent", row_id="r1", recipient="teemo")])
    assert outcomes == ["returned", "duplicate", "returned"]


async def test_rows_whose_intention_could_not_be_kept_do_not_leave(house, folder, sharing, teemo):
    ledger = folder / "ledger.sqlite3"
    sharing._forwarder = receiver = Receiver()
    intended = sharing._intend

    async def away(*asked, **more):
        await asyncio.to_thread(ledger.rename, ledger.with_suffix(".away"))
        return await intended(*asked, **more)

    sharing._intend = away
    try:
        with pytest.raises(StoreUnavailable):
            await share_all(sharing, teemo, [row(1)])
    finally:
        ledger.with_suffix(".away").rename(ledger)
    assert receiver.batches == []


async def test_a_store_that_went_away_after_the_intention_stops_the_row(house, folder, sharing, teemo):
    ledger = folder / "ledger.sqlite3"
    sharing._forwarder = receiver = Receiver()
    intended = sharing._intend

    async def then_away(*asked, **more):
        left = await intended(*asked, **more)
        sharing._checks._lookup._vouches.failed()
        return left

    sharing._intend = then_away
    with contextlib.suppress(StoreUnavailable):
        (shared,) = await share_all(sharing, teemo, [row(1)])
        assert (shared.outcome, shared.reason) == ("refused", "stale")
    assert receiver.batches == []
    assert ledger.exists()


class TestAnActOfAPerson:
    """One act, one transfer (R28); a row that could not be marked keeps its act and goes when it is posted again."""

    @pytest.fixture
    def friend(self, teemo):
        fields = {"ad_id": DataClass.AD_ID}
        return replace(
            teemo,
            name="friend",
            role=Role.CONSUMER_DIRECTED,
            purposes=(Purpose.SERVICE,),
            data=(DataClass.AD_ID,),
            unlinked="allow",
            fields=fields,
        )

    async def wish(self, house, friend, number):
        subjects = house.consent.people.name([named("gaid", gaid(number))]).subjects
        choice = Choice(ChoiceKind.DIRECT, (Purpose.SERVICE,), "api", datetime.now(UTC), recipient=friend.name)
        await house.consent.choose(subjects, choice)

    async def share(self, house, friend, *rows):
        with patched(house.consent.checks.recipients, friend):
            return [(item.outcome, item.reason) for item in await share_all(house.sharing, friend, rows)]

    async def test_is_kept_for_its_row_when_the_store_fails_before_the_mark(self, house, sharing, friend, monkeypatch):
        sharing._forwarder = Receiver()
        await self.wish(house, friend, 1)
        mine = row(1, data={"ad_id": gaid(1)})
        other = replace(mine, id="r9")
        with monkeypatch.context() as patch:
            patch.setattr(disclosures, "mark", failing)
            with pytest.raises(StoreUnavailable):
                await self.share(house, friend, mine)
        assert await self.share(house, friend, other) == [("refused", "no_act")]
        assert await self.share(house, friend, mine) == [("sent", "directed")]
        assert await self.share(house, friend, other) == [("refused", "no_act")]

    async def test_whose_row_came_too_late_goes_when_it_is_posted_again(self, house, sharing, friend):
        await self.wish(house, friend, 1)
        mine = row(1, data={"ad_id": gaid(1)})
        sharing._forwarder = Receiver(
            ForwardOutcome.LATE, ForwardOutcome.LATE, ForwardOutcome.LATE, ForwardOutcome.SENT
        )
        assert await self.share(house, friend, mine) == [("unknown", "directed")]
        assert await self.share(house, friend, mine) == [("sent", "directed")]

    @pytest.mark.parametrize("over", ["nothing", "given back", "unlinked"])
    async def test_that_is_over_while_its_row_is_on_its_way_sends_nothing(
        self, house, sharing, friend, monkeypatch, over
    ):
        await self.wish(house, friend, 1)
        [subject], intend = house.consent.people.name([named("gaid", gaid(1))]).subjects, sharing._intend

        async def meanwhile(*stated, **more):
            left = await intend(*stated, **more)
            if over == "given back":
                await house.consent.link(house.consent.people.account(""), [subject], Span(0), released=True)
            elif over == "unlinked":
                await house.consent.erase(ErasureOrder(Erasing.UNLINK, [subject], datetime.now(UTC)))
            return left

        monkeypatch.setattr(sharing, "_intend", meanwhile)
        sharing._forwarder = receiver = Receiver()
        came = {"nothing": ("sent", "directed")}.get(over, ("refused", "no_act"))
        assert await self.share(house, friend, row(1, data={"ad_id": gaid(1)})) == [came]
        assert len(receiver.batches) == (over == "nothing")


def failing(*_):
    raise StoreUnavailable("the disk is gone")


@contextlib.contextmanager
def patched(recipients, recipient):
    """One more recipient in the registry, for a while."""
    recipients[recipient.name] = recipient
    try:
        yield
    finally:
        del recipients[recipient.name]
