"""The texts that people are shown, logged before anything is answered (R24)."""

import asyncio
import contextlib

from gateway.consent import Consent
from gateway.ledger.errors import StoreUnavailable
from gateway.web import notices


async def log_notices(consent: Consent) -> asyncio.Task[None] | None:
    """The texts that are shown, logged before anything is answered; where the ledger cannot be written, once it can."""
    with contextlib.suppress(StoreUnavailable):
        await consent.log(notices.shipped())
        return None

    async def later() -> None:
        while True:
            await asyncio.sleep(1)
            with contextlib.suppress(StoreUnavailable):
                await consent.log(notices.shipped())
                return

    return asyncio.create_task(later())
