"""Long work in the event loop that lets others have their turn: an ad server gives up a check after 10 ms, and a
night's share has thousands of rows. Never decides anything.
"""

import asyncio
import time

SECONDS = 0.002  # of work between two looks at other callers


class Turn:
    """One caller's work, from now on."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def offered(self) -> None:
        """Everybody else who is ready goes first, if this one went on for long enough."""
        if time.perf_counter() - self._began >= SECONDS:
            await asyncio.sleep(0)
            self._began = time.perf_counter()
