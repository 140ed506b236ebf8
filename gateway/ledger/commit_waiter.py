"""Waiting on an event loop for what the writer's thread commits (`Writer.commit`). Jobs that a loop brings together are
handed over together, for a commit costs as much as some entries, and two threads that take turns with one interpreter
hold each other up. The writer answers the jobs of a batch one after the other; they wake the loop once together, and
each costs it one future. (asyncio's own way chains three futures a job and wakes the loop for each.)
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic, TypeVar

from gateway.ledger.errors import StoreUnavailable

T = TypeVar("T")
R = TypeVar("R")
GATHERED = 0.02  # seconds at most: a job that comes alone is handed over before the loop waits for anything


class CommitWaiter(Generic[T]):
    """Waits for one writer's commits. `hand_over`: takes a job to it."""

    def __init__(self, hand_over: Callable[[T], None]) -> None:
        self._hand_over = hand_over
        self._jobs: LoopJobs[T] | None = None

    async def outcome(self, job: T, done: Future[R], seconds: float, hangs: Callable[[], bool] = bool) -> R:
        """What became of a job, which goes on when nobody waits. Raises `StoreUnavailable` past so many seconds, and
        past half of them where the writer hangs by then.
        """
        loop, jobs = asyncio.get_running_loop(), self._jobs
        if jobs is None or jobs.loop is not loop:  # another thread's may take turns with it
            jobs = self._jobs = LoopJobs(loop, self._hand_over)
        waiting: asyncio.Future[R] = loop.create_future()
        timer = list[asyncio.TimerHandle]()
        timer.append(loop.call_later(seconds / 2, _give_up_where, hangs, waiting, seconds / 2, timer))
        done.add_done_callback(partial(jobs.take, waiting))
        jobs.bring(job)
        try:
            return await waiting
        finally:
            timer.pop().cancel()


class LoopJobs(Generic[T]):
    """What one loop has not yet handed over, and what the writer has answered and it has not yet told."""

    def __init__(self, loop: asyncio.AbstractEventLoop, hand_over: Callable[[T], None]) -> None:
        self.loop = loop
        self._hand_over = hand_over
        self._brought = list[T]()
        self._done = deque[tuple[asyncio.Future[Any], Future[Any]]]()
        self._woken = False

    def bring(self, job: T) -> None:
        """On the loop. Handed over whoever hangs up meanwhile."""
        self._brought.append(job)
        if len(self._brought) == 1:
            self.loop.call_soon(self._hand_all_over, 0, self.loop.time() + GATHERED)

    def _hand_all_over(self, known: int, until: float) -> None:
        """Once a whole turn of the loop brought none more."""
        if known < len(self._brought) and self.loop.time() < until:
            self.loop.call_soon(self._hand_all_over, len(self._brought), until)
            return
        brought, self._brought = self._brought, []
        for each in brought:
            self._hand_over(each)

    def take(self, waiting: asyncio.Future[Any], done: Future[Any]) -> None:
        """In the writer's thread."""
        self._done.append((waiting, done))
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self.loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._woken = False  # first: what is done from here on wakes the loop again
        while self._done:
            waiting, done = self._done.popleft()
            if waiting.done():  # whoever waited gave up, or is gone
                continue
            error = done.exception()
            if error is None:
                waiting.set_result(done.result())
            else:
                waiting.set_exception(error)


def _give_up_where(
    hangs: Callable[[], bool], waiting: asyncio.Future[Any], rest: float, timer: list[asyncio.TimerHandle]
) -> None:
    """Else after the rest of the time: nearly everybody has an outcome long before the first half of it is over."""
    if hangs():
        _give_up(waiting)
    else:
        timer[:] = [waiting.get_loop().call_later(rest, _give_up, waiting)]


def _give_up(waiting: asyncio.Future[Any]) -> None:
    if not waiting.done():
        waiting.set_exception(StoreUnavailable("not written yet; ask again with the same Idempotency-Key"))
