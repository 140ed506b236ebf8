"""Work that runs beside the service for as long as it serves, and ends with it, for whatever waits, watches
or tells.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable


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


@contextlib.asynccontextmanager
async def thread_beside(name: str, work: Callable[[], None], stop: Callable[[], None]) -> AsyncIterator[None]:
    """The same for work that waits for a disk: in a thread of its own, until `stop` was called and what is under way is
    done.
    """
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        await asyncio.to_thread(thread.join)
