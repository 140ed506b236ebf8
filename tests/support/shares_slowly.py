"""The gateway on a slow disk: between the first check of a chunk and its sending lie a few tenths of a second. With
SECOND_CHECK=removed it sends on the first check, however old: the control.

python -m support.shares_slowly serve --dev …
"""

import asyncio
import os
import time

from gateway.cli import main
from gateway.consent.share import Sharing
from gateway.delivery.forwarding import Forwarder

SECONDS = 1.5  # several times the send window: on a slow machine too somebody opts out in between
intend, send = Sharing._intend, Forwarder.send


async def slowly(self, recipient, ready, **more):
    claimed = await intend(self, recipient, ready, **more)
    await asyncio.sleep(SECONDS)
    return claimed


async def whenever(self, endpoint, key, rows, deadline, *, to):
    return await send(self, endpoint, key, rows, time.monotonic() + 60, to=to)


Sharing._intend = slowly
if os.environ.get("SECOND_CHECK") == "removed":
    Sharing._check_again = lambda self, recipient, ready, done: {}
    Forwarder.send = whenever

if __name__ == "__main__":
    main()
