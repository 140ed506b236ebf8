"""A flood of one sender, and the single opt-out of another: who waits for whom, counted and not timed."""

import asyncio
import contextlib
import gzip
import json
import socket
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from support import inside, raw
from support.people import email, gaid, named

from gateway.keys import api_keys
from gateway.keys.api_keys import Credentials
from gateway.web.shell import fair_queue
from gateway.web.shell.fair_queue import FairQueue, Queued, Sources, Turns
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.peer import Peers
from gateway.web.shell.protocol import Protocol

pytestmark = pytest.mark.anyio
PATH = "/privacy-choices"
NOWHERE = Path("/nowhere")
FLOOD, OTHER = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
MANY = 500
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def app(tmp_path):
    """In production, behind a proxy on this machine."""
    async with inside.application(tmp_path / "data", dev=False) as built:
        yield built


def post(client, number, who):
    return client.post(PATH, data={"action": "opt_out", "email": email(number)}, headers=who)


async def flooded(client) -> tuple[int, list[int]]:
    """How many of a flood are answered while one other person waits, and every status."""
    answered = 0

    async def one(number):
        nonlocal answered
        answer = await post(client, number, FLOOD)
        answered += 1
        return answer.status_code

    flood = [asyncio.create_task(one(number)) for number in range(MANY)]
    await asyncio.sleep(0)  # all of it is on its way
    alone = await post(client, MANY, OTHER)
    between = answered
    return between, [alone.status_code, *await asyncio.gather(*flood)]


@pytest.mark.slow
async def test_one_persons_opt_out_waits_for_a_few_of_a_flood_and_nobody_is_refused(client):
    between, statuses = await flooded(client)
    assert between <= 3 * fair_queue.WRITING_EACH
    assert set(statuses) == {303}, "never a 429: an opt-out is not refused for coming often"


@pytest.mark.slow
async def test_without_the_queue_the_person_would_wait_for_most_of_the_flood(tmp_path, monkeypatch):
    """The control."""
    monkeypatch.setattr(fair_queue, "WRITING_EACH", MANY)
    monkeypatch.setattr(fair_queue, "WRITING", 2 * MANY)
    monkeypatch.setattr(fair_queue, "READ_EACH", MANY)
    async with inside.application(tmp_path / "data", dev=False) as app, inside.client(app) as client:
        between, _ = await flooded(client)
    assert between > MANY / 2


@pytest.mark.slow
async def test_an_app_on_the_internet_is_not_kept_waiting_by_a_flood_of_forms(tmp_path):
    async with inside.application(tmp_path / "data") as app, inside.client(app, **inside.DEV) as keyed:
        flood = [asyncio.create_task(post(keyed, number, {})) for number in range(50)]
        choice = {"identifiers": [named("email", email(60))], "choice": "opt_out"}
        assert (await keyed.post("/v1/choices", json=choice)).status_code == 201
        assert {answer.status_code for answer in await asyncio.gather(*flood)} == {303}


@pytest.mark.slow
async def test_whoever_floods_with_forms_is_opted_out_by_their_signal_in_the_same_moment(client):
    flood = [asyncio.create_task(post(client, number, FLOOD)) for number in range(200)]
    await asyncio.sleep(0)
    answer = await client.get(f"{PATH}/status", headers=FLOOD | {"Sec-GPC": "1"})
    assert answer.json()["status"] == "opted_out"
    assert not all(task.done() for task in flood)
    await asyncio.gather(*flood)


@pytest.mark.slow
async def test_a_flood_of_made_up_people_is_kept_and_counted_and_a_real_one_passes(tmp_path, client, figure):
    ledger = tmp_path / "data" / "ledger.sqlite3"
    size = sum(file.stat().st_size for file in ledger.parent.glob("ledger.sqlite3*"))
    between, statuses = await flooded(client)
    grown = sum(file.stat().st_size for file in ledger.parent.glob("ledger.sqlite3*")) - size
    figure("bytes on disk an opt-out of two identifiers, in a flood", f"{grown / len(statuses):.0f}")
    assert between <= 3 * fair_queue.WRITING_EACH
    metrics = (await client.get("/metrics")).text
    assert f'gateway_requests_total{{kind="opt_out",manner="web"}} {MANY + 1}.0' in metrics
    assert "gateway_turns_waiting 0.0" in metrics


@pytest.mark.slow
async def test_no_address_of_a_sender_is_in_any_log_metric_or_file(tmp_path, client):
    with structlog.testing.capture_logs() as lines:
        await asyncio.gather(*(post(client, number, {"X-Forwarded-For": "203.0.113.77"}) for number in range(30)))
    metrics = (await client.get("/metrics")).text
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite3")) as db:
        dump = "\n".join(db.iterdump())
    for mark in ("203.0.113.77", b"203.0.113.77".hex(), bytes([203, 0, 113, 77]).hex()):
        assert mark.lower() not in (repr(lines) + metrics + dump).lower()


def order_of(folder, source) -> list[bool]:
    """Of every opt-out on record, in order, whether it came that way."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM entry ORDER BY seq")]
    return [body["src"] == source for body in bodies if body["e"] == "opt_out"]


async def first_beside(folder, client, flood, source) -> int:
    """How many of a flood of GETs are on record before the form of one other person, which came behind them."""
    tasks = [asyncio.create_task(each) for each in flood]
    await asyncio.sleep(0)
    assert (await post(client, MANY, OTHER)).status_code == 303
    assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}
    ends = asyncio.get_running_loop().time() + 30
    while len(order := order_of(folder, source)) < len(tasks) + 1:  # what waited for longer than a page may
        assert asyncio.get_running_loop().time() < ends
        await asyncio.sleep(0.1)
    return order.index(False)


@pytest.mark.slow
async def test_a_flood_of_pages_that_have_something_to_write_keeps_nobody_elses_form_waiting(tmp_path, client):
    """A cookie that comes back with GPC is a row in the ledger, for a GET that asks for no key."""
    seen = [await client.get(f"{PATH}/status", headers={"Sec-GPC": "1"}) for _ in range(MANY)]
    flood = [client.get(f"{PATH}/status", headers={"Sec-GPC": "1", **FLOOD, **inside.kept(each)}) for each in seen]
    assert await first_beside(tmp_path / "data", client, flood, "gpc") <= 3 * fair_queue.WRITING_EACH


@pytest.mark.slow
async def test_a_flood_by_get_of_the_industrys_protocol_keeps_nobody_elses_form_waiting(tmp_path):
    configured = inside.settings(ad_choices__participant="42")
    async with inside.application(tmp_path / "data", configured, dev=False) as app, inside.client(app) as client:
        ids = [f"/adchoices/app?os=android&adid={gaid(number)}" for number in range(1, MANY)]
        flood = [client.get(each, headers=FLOOD) for each in ids]
        assert await first_beside(tmp_path / "data", client, flood, "ad_choices") <= 3 * fair_queue.WRITING_EACH


# --- names of senders ------------------------------------------------------------------------------------------


def sources(days=0):
    today = [datetime(2026, 11, 24, 12, tzinfo=UTC) + timedelta(days=days)]
    made = Sources(Peers(("127.0.0.1",)), lambda: today[0])
    return made, today


def of(made, client):
    return made.of({"client": (client, 1) if client else None, "headers": [], "scheme": "http"})


def test_a_household_is_one_sender_and_its_neighbour_another():
    made, _ = sources()
    assert of(made, "192.0.2.1") == of(made, "192.0.2.1") == of(made, "::ffff:192.0.2.1")
    assert of(made, "192.0.2.1") != of(made, "192.0.2.2")
    assert of(made, "2001:db8:0:1100::1") == of(made, "2001:db8:0:11ff::9")
    assert of(made, "2001:db8:0:1100::1") != of(made, "2001:db8:0:1200::1")
    assert of(made, None) == of(made, None)
    assert len(of(made, "192.0.2.1")) == 8


def test_tomorrow_nobody_can_tell_who_the_senders_of_today_were():
    made, today = sources()
    before = of(made, "192.0.2.1")
    today[0] += timedelta(days=1)
    assert of(made, "192.0.2.1") != before
    assert of(sources()[0], "192.0.2.1") != before, "nor another process"
    assert "192.0.2" not in repr(vars(made))


# --- turns -------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def turn(queue, source, work=1):
    if not queue.takes(source, work):
        await queue.wait(source, work)
    try:
        yield
    finally:
        queue.give_back(source, work)


async def test_those_who_wait_are_served_one_sender_after_the_other():
    queue, served = FairQueue(1, 1), []

    async def one(source, number):
        async with turn(queue, source):
            served.append((source, number))
            await asyncio.sleep(0)

    waiting = [("a", n) for n in range(4)] + [("b", n) for n in range(2)] + [("c", 0)]
    await asyncio.gather(*(one(source, number) for source, number in waiting))
    assert served == [("a", 0), ("a", 1), ("b", 0), ("c", 0), ("a", 2), ("b", 1), ("a", 3)]
    assert queue.waiting == 0


async def test_much_work_takes_as_many_places_and_waits_behind_nobodys_little_for_ever():
    queue, held, began = FairQueue(4, 3), [], []

    async def one(source, work):
        async with turn(queue, source, work):
            began.append((source, work))
            done = asyncio.Event()
            held.append(done)
            await done.wait()

    tasks = [asyncio.create_task(one(*each)) for each in (("a", 2), ("b", 1), ("a", 2), ("c", 99), ("d", 1))]
    await settle()
    assert began == [
        ("a", 2),
        ("b", 1),
    ]  # a may have three in all, and c, which takes three, is next: d waits behind it
    held[0].set()
    await settle()
    assert began[2:] == [("a", 2)]
    held[2].set()
    await settle()
    assert began[3:] == [("c", 99)]
    held[1].set()
    await settle()
    assert began[4:] == [("d", 1)]
    for each in held:
        each.set()
    await asyncio.gather(*tasks)
    assert (queue._taken, queue._held, queue.waiting) == (0, {}, 0)


async def test_who_hangs_up_while_another_gives_back_takes_no_place_with_them():
    queue = FairQueue(1, 1)
    assert queue.takes(b"a")
    gone, patient = (asyncio.create_task(queue.wait(source)) for source in (b"b", b"c"))
    await settle()
    gone.cancel()
    queue.give_back(b"a")
    assert isinstance((await asyncio.gather(gone, patient, return_exceptions=True))[0], asyncio.CancelledError)
    assert (queue._taken, queue._held, queue.waiting) == (1, {b"c": 1}, 0)


async def test_what_a_page_has_to_write_is_written_in_its_senders_turn_for_which_it_waits_a_second_at_most(
    monkeypatch,
):
    monkeypatch.setattr(fair_queue, "PAGE_SECONDS", 0.01)
    turns, may, written = Turns(sources()[0]), asyncio.Event(), []

    async def writes(number):
        await may.wait()
        written.append(number)

    def ask(client, number, state=()):
        scope = {"client": (client, 1), "headers": [], "scheme": "http", "state": dict(state)}
        return asyncio.create_task(turns.write(scope, lambda _: writes(number)))

    async with turns.running():
        flood = [ask("192.0.2.1", number) for number in range(fair_queue.WRITING_EACH + 2)]
        await asyncio.wait(flood[-2:])  # answered
        assert [task.done() for task in flood].count(True) == 2
        ask("192.0.2.2", "other"), ask("192.0.2.1", "queued", {fair_queue.SOURCE: b"has its turn"})
        await settle()
        may.set()
        await asyncio.gather(*flood)
    late = fair_queue.WRITING_EACH
    assert written == [*range(late), "other", "queued", late, late + 1], "the late ones behind their answers"
    assert (turns.queue._taken, turns.queue.waiting) == (0, 0)


async def test_what_waits_for_its_turn_at_the_end_keeps_no_process_alive(monkeypatch):
    monkeypatch.setattr(fair_queue, "PAGE_SECONDS", 0.01)
    turns, never = Turns(sources()[0]), asyncio.Event()

    async def writes(_):
        await never.wait()

    async with turns.running():
        scope = {"client": ("192.0.2.1", 1), "headers": [], "scheme": "http"}
        flood = [asyncio.create_task(turns.write(scope, writes)) for _ in range(fair_queue.WRITING_EACH + 2)]
        await asyncio.wait(flood[-2:])
    assert turns.queue.waiting == 0
    for task in flood:
        task.cancel()
    await asyncio.gather(*flood, return_exceptions=True)


def test_work_is_counted_of_what_was_unpacked():
    def packed(*contents):
        body = b"".join(map(gzip.compress, contents))
        return fair_queue._work([{"type": "http.request", "body": body}], zipped=True)

    call = json.dumps({"choice": "opt_out", "identifiers": [named("email", email(n)) for n in range(16)]}).encode()
    assert 16 <= packed(call) <= 18
    assert packed(b"[" + b"0," * 30_000) >= fair_queue.WRITING_EACH
    assert packed(b"{", b"0" * 60_000) == fair_queue.WRITING_EACH
    assert fair_queue._work([{"type": "http.request", "body": b"not gzip"}], zipped=True) == 1


def test_work_is_what_a_call_may_make_the_writer_do():
    def body(content):
        return fair_queue._work([{"type": "http.request", "body": content}])

    call = json.dumps({"choice": "opt_out", "identifiers": [named("email", email(n)) for n in range(16)]}).encode()
    assert (body(b"action=opt_out&email=ana"), body(b""), body(b"{}")) == (1, 1, 1)
    assert 16 <= body(call) <= 18
    assert body(b"x" * 33_000) == 33


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["ask", "end", "leave", "step"])), max_size=60))
def test_whoever_leaves_or_hangs_up_takes_nobodys_turn(acts):
    async def play():
        queue, tasks, open_ = FairQueue(3, 2), [], []

        async def one(source):
            done = asyncio.Event()
            async with turn(queue, source):
                open_.append(done)
                try:
                    await done.wait()
                finally:
                    open_.remove(done)

        for source, act in acts:
            if act == "ask":
                tasks.append(asyncio.create_task(one(source)))
            elif act == "end" and open_:
                open_[0].set()
            elif act == "leave" and tasks:
                tasks[len(tasks) // 2].cancel()
            else:
                await asyncio.sleep(0)
            assert queue._taken == sum(queue._held.values()) <= 3
            assert all(0 < held <= 2 for held in queue._held.values())
        while any(not task.done() for task in tasks):
            for done in list(open_):
                done.set()
            await asyncio.sleep(0)
        assert (queue._taken, queue._held, queue.waiting) == (0, {}, 0)

    asyncio.run(play())


# --- bodies ------------------------------------------------------------------------------------------------------


class Door:
    """An application that answers once it may. `reads`: how many bodies were asked for. `folder`: whose keys it knows
    beside the development key.
    """

    def __init__(self, folder=NOWHERE):
        self.open, self.reads, self.bodies = asyncio.Event(), 0, []
        self.turns = Turns(Sources(Peers(("127.0.0.1",)), lambda: datetime(2026, 11, 24, tzinfo=UTC)))
        self.queued = Queued(self, self.turns, Metrics(), Credentials(folder, dev=True))

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)
        await self.open.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def ask(self, client, parts=(b"action=opt_out",), method="POST", path=PATH, **headers):
        said = [(name.lower().replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "path": path, "headers": said}
        scope |= {"client": (client, 1), "scheme": "http"}
        left, sent = list(parts), []

        async def receive():
            self.reads += 1
            if not left:
                await asyncio.Event().wait()
            part = left.pop(0)
            return {"type": "http.request", "body": part or b"", "more_body": bool(left) or part is None}

        async def send(message):
            sent.append(message)

        async def call():
            await self.queued(scope, receive, send)
            return sent

        return asyncio.create_task(call())


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_beyond_what_memory_is_for_a_senders_bodies_are_not_read_and_not_refused():
    door = Door()
    flood = [door.ask("192.0.2.1") for _ in range(MANY)]
    await settle()
    assert door.reads == fair_queue.READ_EACH
    assert len(door.bodies) == fair_queue.WRITING_EACH
    alone = door.ask("192.0.2.2")
    await settle()
    assert (door.reads, len(door.bodies)) == (fair_queue.READ_EACH + 1, fair_queue.WRITING_EACH + 1)
    door.open.set()
    answers = await asyncio.gather(alone, *flood)
    assert {answer[0]["status"] for answer in answers} == {200}


async def test_a_body_in_pieces_reaches_the_door_whole_and_in_order():
    door = Door()
    door.open.set()
    parts = [b"a" * 20_000, b"b" * 20_000, b"c" * 20_000, b"d"]
    await door.ask("192.0.2.1", parts)
    assert door.bodies == [b"".join(parts)]


async def test_who_sends_a_body_slowly_is_told_that_nothing_was_saved_and_keeps_nobody_waiting(monkeypatch):
    monkeypatch.setattr(fair_queue, "BODY_SECONDS", 0.05)
    door = Door()
    slow = [door.ask("192.0.2.1", [b"action=", None]) for _ in range(fair_queue.READ_EACH * 2)]
    alone = door.ask("192.0.2.2")
    await settle()
    assert door.bodies == [b"action=opt_out"]
    door.open.set()
    await alone
    for answer in await asyncio.gather(*slow):
        assert answer[0]["status"] == 408
        assert (b"connection", b"close") in answer[0]["headers"]
        assert b"nothing was saved" in answer[1]["body"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", each) for each in ("/v1/standing", "/v1/access", "/v1/erasures", "/v1/links", "/adchoices/app")]
    + [("GET", "/adchoices/app"), ("GET", "/adchoices/pr.png")],
)
async def test_every_door_that_enters_the_writer_has_turns_and_reads_no_body_for_ever(monkeypatch, method, path):
    monkeypatch.setattr(fair_queue, "BODY_SECONDS", 0.05)
    door = Door()
    flood = [door.ask("192.0.2.1", method=method, path=path) for _ in range(MANY)]
    slow = door.ask("192.0.2.2", [b"{", None], method, path)
    await settle()
    assert len(door.bodies) == fair_queue.WRITING_EACH
    door.open.set()
    assert {answer[0]["status"] for answer in await asyncio.gather(*flood)} == {200}
    assert (await slow)[0]["status"] == 408


OF_SERVERS = pytest.mark.parametrize("path", ["/v1/links", "/v1/erasures", "/v1/standing", "/v1/access"])


@OF_SERVERS
async def test_a_servers_long_calls_keep_no_opt_out_of_their_address_waiting(monkeypatch, path):
    monkeypatch.setattr(fair_queue, "BODY_SECONDS", 0.05)
    door = Door()
    lines = [b'{"account": "a1", "age": "13-15"}\n' * 1000]
    calls = [door.ask("192.0.2.1", lines, path=path, **inside.DEV) for _ in range(MANY)]
    slow = door.ask("192.0.2.1", [b"{", None], path=path, **inside.DEV)
    form = door.ask("192.0.2.1")
    await settle()
    assert door.bodies.count(b"action=opt_out") == 1
    assert len(door.bodies) == MANY + 1
    door.open.set()
    assert {answer[0]["status"] for answer in await asyncio.gather(form, *calls)} == {200}
    assert (await slow)[0]["status"] == 408


@OF_SERVERS
@pytest.mark.parametrize("known", ["publishable", "revoked", "wrong"])
async def test_whoever_shows_no_servers_key_has_turns_at_the_same_doors(tmp_path, path, known):
    public = known == "publishable"
    key = await asyncio.to_thread(api_keys.add_api_key, tmp_path, "app", ["choose"], publishable=public)
    if known == "revoked":
        await asyncio.to_thread(api_keys.revoke, tmp_path, "app")
    door, shown = Door(tmp_path), f"Bearer {key}x" if known == "wrong" else f"Bearer {key}"
    calls = [door.ask("192.0.2.1", path=path, authorization=shown) for _ in range(MANY)]
    await settle()
    assert len(door.bodies) == fair_queue.WRITING_EACH
    door.open.set()
    await asyncio.gather(*calls)


@pytest.mark.slow
async def test_a_form_is_answered_before_a_servers_list_of_ages_from_the_same_address(tmp_path):
    rows = [{"account": f"a{n}", "identifiers": [named("email", email(n))], "age": "13_15"} for n in range(1, 301)]
    lines, kind = "\n".join(map(json.dumps, rows)), {"Content-Type": "application/x-ndjson"}
    async with inside.application(tmp_path / "data") as app, inside.client(app, **inside.DEV) as keyed:
        listed = asyncio.create_task(keyed.post("/v1/links", content=lines, headers=kind))
        await asyncio.sleep(0.1)
        form = await post(keyed, MANY, {})
        assert (form.status_code, listed.done()) == (303, False)
        answer = await listed
        assert (answer.status_code, answer.text.count("malformed")) == (200, 0)


@pytest.mark.parametrize("said", ["gzip", "GZIP", " GZip "])
async def test_a_packed_body_counts_as_what_is_in_it_however_its_coding_is_spelt(said):
    door = Door()
    call = door.ask("192.0.2.1", [gzip.compress(b"[" + b"0," * 30_000)], path="/v1/choices", content_encoding=said)
    await settle()
    assert door.turns.queue._taken >= fair_queue.WRITING_EACH
    door.open.set()
    await call


async def test_a_question_is_not_queued():
    door = Door()
    asking = [
        door.ask("192.0.2.1", method=method, path=path)
        for method, path in [("GET", PATH), ("POST", "/v1/check")]
        for _ in range(100)
    ]
    await settle()
    assert len(door.bodies) == len(asking)
    door.open.set()
    await asyncio.gather(*asking)


@pytest.mark.slow
def test_a_real_connection_with_a_slow_body_ends_and_a_large_one_is_not_taken_into_memory(monkeypatch):
    monkeypatch.setattr(fair_queue, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(fair_queue, "REST_SECONDS", 1.0)
    taken = 0

    async def reads_once(scope, receive, send):
        await receive()
        await asyncio.sleep(0.8)

    here = Turns(Sources(Peers(("127.0.0.1",)), lambda: datetime(2026, 11, 24, tzinfo=UTC)))
    head = b"POST /privacy-choices HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    with raw.served(Queued(raw.echo, here, Metrics(), Credentials(NOWHERE)), Protocol) as port:
        heard = raw.ask(port, head % 14 + b"action=", silence=8.0)
        assert (heard.statuses, heard.closed) == ([408], True)
    with (
        raw.served(Queued(reads_once, here, Metrics(), Credentials(NOWHERE)), Protocol) as port,
        socket.create_connection(("127.0.0.1", port), 0.4) as connection,
        contextlib.suppress(OSError),
    ):
        connection.sendall(head % 10**10)
        while taken < 2**30:
            taken += connection.send(b"x" * 2**16)
    assert taken < 2**25, "the kernel's buffers, and what uvicorn reads ahead"
