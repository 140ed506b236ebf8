"""Waiting on an event loop for what the writer's thread commits (`Writer.commit`). The writer answers the jobs of a
batch one after the other; they wake the loop once together, and each costs it one future. (asyncio's own way chains
three futures a job and wakes the loop for each.)
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from gateway.ledger.errors import StoreUnavailable

T = TypeVar("T")


class CommitWaiter:
    """Waits for one writer's commits."""

    def __init__(self) -> None:
        self._committed: CommittedJobs | None = None

    async def outcome(self, submitted: Future[T], seconds: float, hangs: Callable[[], bool] = bool) -> T:
        """What became of a job, which goes on when nobody waits. Raises `StoreUnavailable` past so many seconds, and
        past half of them where the writer hangs by then.
        """
        loop = asyncio.get_running_loop()
        if self._committed is None or self._committed.loop is not loop:
            self._committed = CommittedJobs(loop)
        waiting: asyncio.Future[T] = loop.create_future()
        timer = list[asyncio.TimerHandle]()
        timer.append(loop.call_later(seconds / 2, _give_up_where, hangs, waiting, seconds / 2, timer))
        submitted.add_done_callback(partial(self._committed.take, waiting))
        try:
            return await waiting
        finally:
            timer.pop().cancel()


class CommittedJobs:
    """What the writer has answered and one loop has not yet told whoever waits for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._done = deque[tuple[asyncio.Future[Any], Future[Any]]]()
        self._woken = False

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
