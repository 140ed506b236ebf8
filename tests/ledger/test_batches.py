"""Requests that come at once are kept together, each has its own answer, and the loop is not held for long."""

import asyncio
import os
import time

import pytest
from support import memory_log
from support.log_engines import EPOCH, NOW, OnSqlite, record, request

from gateway.ledger.engine import batches, log
from gateway.ledger.engine.batches import Batches, BatchNotKept
from gateway.ledger.engine.log import RequestRefused
from gateway.ledger.errors import NothingKept, StoreUnavailable

pytestmark = pytest.mark.anyio


class Watched(memory_log.MemoryLog):
    """`sent`: how many requests each batch had. `gate`: closed, nothing is committed. `fails`: batches that are not."""

    def __init__(self):
        super().__init__(memory_log.KeptRecords(bytes(16), EPOCH), bytes(16))
        self.sent, self.gate, self.fails = [], asyncio.Event(), 0
        self.gate.set()

    async def append(self, batch):
        self.sent.append(batch)
        await self.gate.wait()
        if self.fails:
            self.fails -= 1
            raise NothingKept("nothing was kept: the disk is full")
        return await super().append(batch)

    @property
    def sizes(self):
        return [len(batch.requests) for batch in self.sent]


@pytest.fixture
async def kept():
    made = Watched()
    yield made
    await made.close()


@pytest.fixture
def writing(kept):
    return Batches(kept, EPOCH, lambda: NOW)


def says(word, **more):
    return lambda epoch: request(f"{word}.{epoch}", **more)


def begin(writing, *words):
    return [asyncio.create_task(writing.write(says(word))) for word in words]


async def leaves(kept):
    return [each.leaf.decode() for each in await kept.read(0, log.READ_RECORDS)]


async def until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.001)


async def test_who_comes_alone_waits_for_nobody(writing, kept):
    assert await writing.write(says("a")) == (0, 1, True)
    assert kept.sizes == [1]
    assert kept.sent[0][1:3] == (NOW, EPOCH)


async def test_who_comes_at_once_is_kept_together(writing, kept):
    assert await asyncio.gather(*begin(writing, *"abc")) == [(0, 1, True), (1, 1, True), (2, 1, True)]
    assert kept.sizes == [3]
    assert await leaves(kept) == ["a.1", "b.1", "c.1"]


async def test_who_comes_while_a_batch_is_made_durable_is_kept_together_in_the_next(writing, kept):
    kept.gate.clear()
    first = begin(writing, "a")
    await until(lambda: kept.sent)
    later = begin(writing, "b") + begin(writing, "c")
    await asyncio.sleep(0.02)
    assert kept.sizes == [1]
    kept.gate.set()
    assert await asyncio.gather(*first, *later) == [(0, 1, True), (1, 1, True), (2, 1, True)]
    assert kept.sizes == [1, 2]


async def test_a_batch_ends_at_256_records_and_the_others_go_next_in_their_order(writing, kept, monkeypatch):
    monkeypatch.setattr(batches, "PREPARING", 10.0)
    places = await asyncio.gather(*begin(writing, *range(600)))
    assert [place.first for place in places] == list(range(600))
    assert kept.sizes == [256, 256, 88]


async def test_a_request_of_many_records_is_the_last_of_its_batch(writing, kept):
    large = asyncio.create_task(writing.write(lambda _: request(*"x" * log.REQUEST_RECORDS)))
    assert await asyncio.gather(large, *begin(writing, "a")) == [(0, log.REQUEST_RECORDS, True), (1024, 1, True)]
    assert kept.sizes == [1, 1]


async def test_a_batch_ends_after_four_milliseconds_of_preparing(writing, kept):
    def slow(_):
        end = time.perf_counter() + 0.0015
        while time.perf_counter() < end:
            pass
        return request("slow")

    await asyncio.gather(*(writing.write(slow) for _ in range(12)))
    assert max(kept.sizes) <= 3
    assert sum(kept.sizes) == 12


async def test_a_request_that_cannot_be_prepared_is_refused_alone(writing, kept):
    def refuses(_):
        raise LookupError("no such key")

    done = await asyncio.gather(
        *begin(writing, "a"), writing.write(refuses), *begin(writing, "b"), return_exceptions=True
    )
    assert (done[0], done[2]) == ((0, 1, True), (1, 1, True))
    assert isinstance(done[1], LookupError)
    assert kept.sizes == [2]


async def test_many_that_cannot_be_prepared_hold_up_nobody_for_ever(writing):
    def refuses(_):
        end = time.perf_counter() + 0.003
        while time.perf_counter() < end:
            pass
        raise LookupError

    done = await asyncio.gather(*(writing.write(refuses) for _ in range(8)), return_exceptions=True)
    assert {*map(type, done)} == {LookupError}
    assert (await writing.write(says("a"))).first == 0


async def test_what_the_log_refuses_of_one_request_is_its_own_answer(writing, kept):
    wanted = (
        says("a", key=b"k"),
        says("b", key=b"k", body=b"other"),
        lambda _: request(record("c", side=bytes(log.SIDE_BYTES + 1))),
        lambda _: request(),
        lambda _: log.LogRequest([record("d")], log.Repeat(b"short", bytes(32))),
        says("e"),
    )
    done = await asyncio.gather(*map(writing.write, wanted), return_exceptions=True)
    assert done[:4] == [(0, 1, True), RequestRefused.MISMATCHED, RequestRefused.OVERSIZED, RequestRefused.OVERSIZED]
    assert isinstance(done[4], ValueError)
    assert done[5] == (1, 1, True)
    assert kept.sizes == [5]


async def test_who_was_not_kept_is_told_by_what_to_ask_for_it_later(writing, kept):
    kept.fails = 1
    done = await asyncio.gather(*begin(writing, *"abc"), return_exceptions=True)
    assert {*map(type, done)} == {BatchNotKept}
    assert [(each.batch, each.position) for each in done] == [(kept.sent[0].id, number) for number in range(3)]
    assert (await writing.write(says("d"))).first == 0
    again = await kept.append(kept.sent[0])
    assert again[done[2].position] == (3, 1, True)


async def test_who_goes_away_is_kept_all_the_same(writing, kept):
    kept.gate.clear()
    gone = begin(writing, *"ab")
    await until(lambda: kept.sent)
    gone += begin(writing, "c")
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    kept.gate.set()
    assert (await writing.write(says("d"))).first == 3
    assert await leaves(kept) == ["a.1", "b.1", "c.1", "d.1"]


async def test_under_other_peppers_all_are_prepared_again_in_their_order(writing, kept):
    kept.gate.clear()
    first = begin(writing, *"ab")
    await until(lambda: kept.sent)
    await kept.transaction(lambda tx: tx.rekey(7), NOW)
    behind = begin(writing, *"cd")
    await asyncio.sleep(0.01)
    kept.gate.set()
    assert [place.first for place in await asyncio.gather(*first, *behind)] == [0, 1, 2, 3]
    assert await leaves(kept) == ["a.7", "b.7", "c.7", "d.7"]


async def test_an_end_finishes_what_was_handed_in_and_takes_nothing_more(writing, kept):
    kept.gate.clear()
    tasks = begin(writing, *range(300))
    await until(lambda: kept.sent)
    closing = asyncio.create_task(writing.close())
    await asyncio.sleep(0.01)
    with pytest.raises(StoreUnavailable):
        await writing.write(says("late"))
    assert not closing.done()
    kept.gate.set()
    await closing
    assert len({place.first for place in await asyncio.gather(*tasks)}) == 300


@pytest.mark.parametrize("later", [0.0, 0.01])
async def test_a_loop_that_ends_leaves_nobody_waiting_for_ever(writing, kept, later):
    """It cancels all its tasks, among them the one that sends; whoever closes behind that must come to an end."""
    kept.gate.clear()
    (task,) = begin(writing, "a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(later)
    writing._sending.cancel()
    with pytest.raises(BatchNotKept) as told:
        await asyncio.wait_for(task, 60)
    assert len(told.value.batch) == log.ID_BYTES
    kept.gate.set()
    assert (await asyncio.wait_for(writing.write(says("b")), 60)).fresh
    await asyncio.wait_for(writing.close(), 60)


@pytest.fixture
async def on_disk(tmp_path):
    engine = OnSqlite(tmp_path)
    await engine.make()
    yield await engine.open()
    await engine.end()


async def test_each_of_many_callers_is_told_its_own_place(on_disk):
    writing, told = Batches(on_disk, EPOCH, lambda: NOW), {}

    async def caller(who):
        for number in range(12):
            word = f"{who}.{number}"
            told[f"{word}.1".encode()] = (await writing.write(says(word, key=os.urandom(32)))).first

    await asyncio.gather(*map(caller, range(64)))
    await writing.close()
    found = await on_disk.read(0, log.READ_RECORDS)
    assert {each.leaf: each.seq for each in found} == told
    assert len(told) == 64 * 12


AT_ONCE, RECORDS, MOST_HELD = 64, 6400, 0.010  # seconds


class Held:
    """How long each turn of the loop had the processor."""

    def __init__(self, monkeypatch):
        self.turns, honest = [], asyncio.events.Handle._run

        def run(handle):
            began = time.thread_time()
            honest(handle)
            self.turns.append(time.thread_time() - began)

        monkeypatch.setattr(asyncio.events.Handle, "_run", run)


@pytest.mark.slow
async def test_sixty_four_at_once_hold_the_loop_for_less_than_ten_milliseconds(on_disk, monkeypatch, figure):
    """Records as large as those of an opt-out, each fourth with an Idempotency-Key."""
    writing, began, processor = Batches(on_disk, EPOCH, lambda: NOW), time.perf_counter(), time.process_time()
    held, sizes, honest = Held(monkeypatch), [], on_disk._file.put
    on_disk._file.put = lambda batch: (sizes.append(len(batch.requests)), honest(batch))[1]

    def prepare(_):
        whole = log.LogRecord(os.urandom(340), os.urandom(250), os.urandom(100), os.urandom(16))
        return request(whole, key=os.urandom(32) if whole.leaf[0] < 64 else b"")

    async def caller():
        for _ in range(RECORDS // AT_ONCE):
            await writing.write(prepare)

    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    await writing.close()
    processor, took = time.process_time() - processor, time.perf_counter() - began
    figure(
        "log, 64 at once",
        f"{processor / RECORDS * 1e6:.0f} us of processor time a record, {took / RECORDS * 1e6:.0f} in all;"
        f" {sum(sizes) / len(sizes):.0f} a batch; the loop held {max(held.turns) * 1e3:.1f} ms at most",
    )
    assert (await on_disk.head()).size == RECORDS
    assert max(held.turns) < MOST_HELD
