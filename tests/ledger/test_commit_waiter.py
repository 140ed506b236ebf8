"""What the writer commits together wakes the event loop once, and everybody is told what became of their own job."""

import asyncio
from concurrent.futures import Future

import pytest

from gateway.ledger.commit_waiter import CommitWaiter
from gateway.ledger.errors import NothingKept, StoreUnavailable


class Slow:
    """A writer that answers when the test says so."""

    def __init__(self):
        self.queued = []

    def submit(self, job):
        self.queued.append((job, Future()))
        return self.queued[-1][1]

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
    commits = CommitWaiter()
    tasks = [asyncio.create_task(commits.outcome(writer.submit(lambda _, n=n: n), 10)) for n in range(20)]
    tasks.append(asyncio.create_task(commits.outcome(writer.submit(fails), 10)))
    await asyncio.sleep(0)
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *asked: woken.append(asked) or call(*asked))
    writer.answer()
    *told, refused = await asyncio.gather(*tasks, return_exceptions=True)
    assert (told, type(refused), len(woken)) == ([*range(20)], NothingKept, 1)


@pytest.mark.anyio
async def test_who_waits_too_long_is_told_so_and_who_hung_up_keeps_nobody_waiting():
    writer = Slow()
    commits = CommitWaiter()
    late, gone, other = (
        asyncio.create_task(commits.outcome(writer.submit(lambda _: 1), each)) for each in (0.01, 10, 10)
    )
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(StoreUnavailable, match="Idempotency-Key"):
        await late
    await asyncio.to_thread(writer.answer)
    assert await other == 1


def test_a_house_that_is_asked_from_one_loop_after_the_other_answers_each():
    writer = Slow()
    commits = CommitWaiter()

    async def asks(*, answered):
        task = asyncio.create_task(commits.outcome(writer.submit(lambda _: 1), 10))
        await asyncio.sleep(0)
        if answered:
            await asyncio.to_thread(writer.answer)
            return await task
        return None

    assert asyncio.run(asks(answered=False)) is None
    assert asyncio.run(asks(answered=True)) == 1
