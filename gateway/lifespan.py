"""ASGI's lifespan: what is opened at the start answers until the stop, and a site behind us lives inside it.

Knows nothing of what is opened.
"""

import contextlib
from collections.abc import Callable, MutableMapping
from typing import Any

from gateway.enrolment import EnrolmentRefused
from gateway.following.follower import ReplicaRefused
from gateway.keys import SecretsMissing
from gateway.ledger.schema import LedgerRefused
from gateway.ledger.writer import StoreUnavailable
from gateway.settings import SettingsRefused

Scope = MutableMapping[str, Any]
UNUSABLE = (
    SecretsMissing,
    LedgerRefused,
    SettingsRefused,
    StoreUnavailable,
    ReplicaRefused,
    EnrolmentRefused,
)  # each text says what helps


class Service:
    """Speaks ASGI's lifespan: what `running` yields answers every request between start and stop. A `site` behind it
    gets its own lifespan inside ours. (One Starlette around another would do, and cost every check about 30 us.)
    """

    def __init__(self, running: Callable[[], contextlib.AbstractAsyncContextManager[Any]], site: Any = None) -> None:
        self._running = running
        self._site = site
        self._app: Any = None

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Any, send: Any) -> None:
        started = await receive()
        try:
            async with self._running() as self._app:
                if self._site is None:
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
                else:
                    await _live_behind(self._site, scope, started, receive, send)
                    return
        except UNUSABLE as refused:
            await send({"type": "lifespan.startup.failed", "message": str(refused)})
            return
        await send({"type": "lifespan.shutdown.complete"})


async def _live_behind(site: Any, scope: Scope, started: Any, receive: Any, send: Any) -> None:
    """The site's own lifespan, from the message that we have taken already; a site that has none is stood in for."""
    replayed = [started]
    spoke = False

    async def again() -> Any:
        return replayed.pop() if replayed else await receive()

    async def heard(message: Any) -> None:
        nonlocal spoke
        spoke = True
        await send(message)

    try:
        await site(scope, again, heard)
    except Exception:
        if spoke:
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
