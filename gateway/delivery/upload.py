"""Handing sealed files to the operator's own command, one after the other: `[recipients.X] upload`, with the file's
path as its last argument. No shell; whatever it prints is not ours to keep. Never decides what is sent.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

SECONDS = 600.0  # for one part: 20 MB over a slow line


async def upload(command: Sequence[str], path: Path) -> bool:
    """Whether the command took the file (exit status 0). Never raises for what it does."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, str(path), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except OSError:
        return False
    try:
        async with asyncio.timeout(SECONDS):
            return await process.wait() == 0
    except TimeoutError:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
