"""What the writer commits together wakes the event loop once, and everybody is told what became of their own job."""

import asyncio
from concurrent.futures import Future

import pytest

from gateway.ledger.errors import NothingKept, StoreUnavailable
from gateway.ledger.transaction import GATHERED, CommitWaiter


class Slow:
    """A writer that answers when the test says so."""

    def __init__(self):
        self.queued, self.commits = [], CommitWaiter(self.take)

    def take(self, asked):
        self.queued.append(asked)

    def outcome(self, job, seconds=10):
        return asyncio.create_task(self.commits.outcome(asked := (job, Future()), asked[1], seconds))

    def answer(self):
        for job, future in self.queued:
            try:
                future.set_result(job(None))
            except NothingKept as error:
                future.set_exception(error)
        self.queued.clear()


def fails(_):
    raise NothingKept("nothing was kept")


@pytest.mark.anyio
async def test_a_batch_wakes_the_loop_once_and_each_is_told_of_its_own_job(monkeypatch):
    writer, loop, woken = Slow(), asyncio.get_running_loop(), []
    call = loop.call_soon_threadsafe
    tasks = [writer.outcome(lambda _, n=n: n) for n in range(20)]
    tasks.append(writer.outcome(fails))
    while not writer.queued:
        await asyncio.sleep(0)
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *asked: woken.append(asked) or call(*asked))
    writer.answer()
    *told, refused = await asyncio.gather(*tasks, return_exceptions=True)
    assert (told, type(refused), len(woken)) == ([*range(20)], NothingKept, 1)


@pytest.mark.anyio
async def test_who_waits_too_long_is_told_so_and_who_hung_up_keeps_nobody_waiting():
    writer = Slow()
    seen = []
    late, other = writer.outcome(lambda _: 1, 0.01), writer.outcome(lambda _: 1)
    gone = writer.outcome(lambda _: seen.append("gone"))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(StoreUnavailable, match="Idempotency-Key"):
        await late
    await asyncio.to_thread(writer.answer)
    assert await other == 1
    assert "gone" in seen, "it was handed over all the same"


def test_a_house_that_is_asked_from_one_loop_after_the_other_answers_each():
    writer = Slow()

    async def asks(*, answered):
        task = writer.outcome(lambda _: 1)
        for _ in range(3):
            await asyncio.sleep(0)
        if answered:
            await asyncio.to_thread(writer.answer)
            return await task
        return None

    assert asyncio.run(asks(answered=False)) is None
    assert asyncio.run(asks(answered=True)) == 1


@pytest.mark.anyio
async def test_what_comes_while_the_loop_brings_more_is_handed_over_together_and_what_comes_alone_at_once():
    writer, loop, looks = Slow(), asyncio.get_running_loop(), []

    async def comes(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        return await writer.commits.outcome(asked := (lambda _: turns, Future()), asked[1], 10)

    def look():
        looks.append(len(writer.queued))
        loop.call_soon(look) if len(looks) < 12 else None

    tasks = [asyncio.create_task(comes(turns)) for turns in (0, 1, 2, 3, 3, 3)]
    look()
    while len(looks) < 12:
        await asyncio.sleep(0)
    assert {*looks} == {0, 6}, "none was left behind, and none was alone"
    alone = asyncio.create_task(comes(0))
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(writer.queued) == 7
    writer.answer()
    assert await asyncio.gather(*tasks, alone) == [0, 1, 2, 3, 3, 3, 0]


@pytest.mark.anyio
async def test_who_came_first_waits_for_a_loop_that_never_ceases_to_bring_more_for_so_long_alone():
    writer, loop = Slow(), asyncio.get_running_loop()
    began, tasks = loop.time(), []
    while not writer.queued:
        tasks.append(writer.outcome(lambda _: 1))
        await asyncio.sleep(0)
    assert loop.time() - began >= GATHERED
    while len(writer.queued) < len(tasks):
        await asyncio.sleep(0)
    writer.answer()
    assert {*await asyncio.gather(*tasks)} == {1}
