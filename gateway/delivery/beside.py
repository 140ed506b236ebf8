"""Work that runs beside the service for as long as it serves, and ends with it."""

import asyncio
import contextlib
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
