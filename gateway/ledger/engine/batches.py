"""Requests on their way into the log: those that come while a batch is made durable are kept together in the next one.
Doors hand in what is to be said, and wait for the place where it stands.

A request is prepared (keys, leaf, boxes) on the event loop, once there is room for it: a batch takes requests until
preparing them took 4 ms or it has 256 records, so the loop is never held for longer; while the one before is made
durable, the next is prepared in memory. Nobody waits for others to come: what is alone goes alone.

Only what holds wherever it comes to stand goes this way. What a rule may still refuse names a position (`only_at`), and
is a batch of its own.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from gateway.ledger.engine.log import (
    BATCH_RECORDS,
    ID_BYTES,
    Log,
    LogBatch,
    LogRequest,
    Moved,
    RequestOutcome,
    prove_request,
)
from gateway.ledger.errors import NothingKept, StoreUnavailable

PREPARING = 0.004  # seconds of one batch: a check waits behind that and some statements, and for no more
TURNS = 2  # of the loop, in which a batch comes to its COMMIT: the next one is prepared while that runs, and not before

Prepare = Callable[[int], LogRequest]
"""Makes a request under an epoch of the peppers. It is called again where the epoch is another one by then, and raises
what is this request's own refusal.
"""


class BatchNotKept(NothingKept):
    """With what is asked for later: the batch's id, and which of its requests this was."""

    def __init__(self, why: str, batch: bytes, position: int) -> None:
        super().__init__(why)
        self.batch, self.position = batch, position


class WaitingRequest(NamedTuple):
    prepare: Prepare
    answer: asyncio.Future[RequestOutcome]


class Batches:
    """For one event loop. `epoch`: of the peppers that this process begins with. `now`: Unix milliseconds."""

    def __init__(self, log: Log, epoch: int, now: Callable[[], int]) -> None:
        self._log, self._epoch, self._now = log, epoch, now
        self._waiting = deque[WaitingRequest]()
        self._prepared = list[tuple[WaitingRequest, LogRequest]]()
        self._records, self._took = 0, 0.0  # of what is prepared
        self._sending: asyncio.Task[None] | None = None
        self._called = False
        self._closed = False

    async def write(self, prepare: Prepare) -> RequestOutcome:
        """The request's outcome, once it is durable. Whoever goes away meanwhile stops nothing. Raises what `prepare`
        raises, `BatchNotKept`, and `StoreUnavailable` once it is closed.
        """
        if self._closed:
            raise StoreUnavailable("nothing is written any more: this process ends")
        answer: asyncio.Future[RequestOutcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(WaitingRequest(prepare, answer))
        self._go_on_soon()
        return await answer

    async def close(self) -> None:
        """Finishes what was handed in."""
        self._closed = True
        self._go_on()
        while self._sending is not None or self._waiting:
            await (asyncio.wait({self._sending}) if self._sending else asyncio.sleep(0))

    def _go_on_soon(self) -> None:
        """Behind all that this turn of the loop brings, so that what comes at once stands together."""
        if not self._called:
            self._called = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._called = False
        while self._waiting and self._records < BATCH_RECORDS and self._took < PREPARING:
            began = time.perf_counter()
            self._prepare(self._waiting.popleft())
            self._took += time.perf_counter() - began
        if self._prepared and self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send())
        elif self._waiting and not self._prepared:  # all were refused, which took its time
            self._took = 0.0
            self._go_on_soon()

    def _prepare(self, waiting: WaitingRequest) -> None:
        try:
            request = waiting.prepare(self._epoch)
            prove_request(request)
        except Exception as refused:  # noqa: BLE001 - whatever it is, it is this request's, and the others go on
            _answer(waiting, refused)
        else:
            self._prepared.append((waiting, request))
            self._records += max(len(request.records), 1)  # an empty one, which is refused, fills a batch too

    async def _send(self) -> None:
        """One batch; then the next is begun."""
        sent, self._prepared = self._prepared, []
        self._records, self._took = 0, 0.0
        batch = LogBatch(os.urandom(ID_BYTES), self._now(), self._epoch, [request for _, request in sent])
        appending = asyncio.get_running_loop().create_task(self._log.append(batch))
        try:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            self._go_on_soon()
            for (waiting, _), outcome in zip(sent, await appending, strict=True):
                _answer(waiting, outcome)
        except Moved as moved:
            self._again(moved.head.epoch, [waiting for waiting, _ in sent])
        except (Exception, asyncio.CancelledError) as error:  # each is told which request of which batch it was
            for position, (waiting, _) in enumerate(sent):
                _answer(
                    waiting, BatchNotKept(str(error) or "nothing is known of it: the loop ends", batch.id, position)
                )
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._sending = None
            self._go_on()

    def _again(self, epoch: int, sent: list[WaitingRequest]) -> None:
        """Under the peppers that the log has now: those that were sent, and those that were prepared behind them."""
        behind = [waiting for waiting, _ in self._prepared]
        self._epoch, self._prepared, self._records, self._took = epoch, [], 0, 0.0
        self._waiting.extendleft(reversed([*sent, *behind]))


def _answer(waiting: WaitingRequest, outcome: RequestOutcome | Exception) -> None:
    if waiting.answer.done():
        return  # whoever asked went away
    if isinstance(outcome, Exception):
        waiting.answer.set_exception(outcome)
    else:
        waiting.answer.set_result(outcome)
