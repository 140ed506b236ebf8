"""Work that runs beside the service for as long as it serves, and ends with it, for whatever waits, watches
or tells.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

log = structlog.get_logger("gateway")


@contextlib.asynccontextmanager
async def beside(work: Callable[[], Awaitable[None]], *, wanted: bool) -> AsyncIterator[None]:
    """Runs until it is left; what is under way then is done after the next start."""
    task = asyncio.ensure_future(work()) if wanted else None
    try:
        yield
    finally:
        if task:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


class Every:
    """A thread that does `work` every so many seconds until it is stopped, for work that waits for a disk or the
    network. `work` may return how many seconds until its next turn; `first`: until the first one; `last` is done in it
    once it is stopped.
    """

    def __init__(
        self,
        name: str,
        seconds: float,
        work: Callable[[], float | None],
        *,
        first: float | None = None,
        last: Callable[[], object] = lambda: None,
    ) -> None:
        self._name, self._seconds, self._work, self._last = name, seconds, work, last
        self._first = seconds if first is None else first
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self.ends = False  # for work that takes long, and is given up

    @property
    def is_on(self) -> bool:
        return self._thread is not None and not self.ends

    def start(self) -> None:
        self.ends = False
        self._wake.clear()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """The next turn is now."""
        self._wake.set()

    def rest(self) -> None:
        """Called by a turn that is of no use before its time: whoever woke it meanwhile waits."""
        self._wake.clear()

    def end(self) -> None:
        """There is no further turn; one that is under way goes on."""
        self.ends = True
        self._wake.set()

    def stop(self, most: float | None = None) -> None:
        """The same, and waits for that one, at most so many seconds."""
        self.end()
        if self._thread is not None:
            self._thread.join(most)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """It runs until this is left."""
        self.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self.stop)

    def _run(self) -> None:
        pause = self._first
        while not self.ends:
            self._wake.wait(pause)
            self._wake.clear()
            if not self.ends:
                pause = self._turn()
        self._last()

    def _turn(self) -> float:
        """How long to wait for the next one. One that failed by what nobody foresaw is told of, and is not the last."""
        try:
            found = self._work()
        except Exception as error:  # noqa: BLE001 - a thread that died quietly would do none of its work any more
            log.warning("turn failed", rule=self._name, why=type(error).__name__)  # its text may name somebody
            found = None
        return self._seconds if found is None else found
