"""ASGI's lifespan, for the service and the replica: what is opened at the start answers until the stop, and a site
behind us lives inside it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from starlette.types import Scope

from gateway.terms import Unusable

log = structlog.get_logger("gateway")


class NotStarted(RuntimeError):
    """A request came, and what should answer it could not be opened. The text says what helps."""


class Service:
    """Speaks ASGI's lifespan: what `running` yields answers every request between start and stop. A `site` behind it
    gets its own lifespan inside ours. (One Starlette around another would do, and cost every check about 30 us.)
    Mounted below an application that hands no lifespan on, it begins with the first request, in a task of its own.
    """

    def __init__(self, running: Callable[[], contextlib.AbstractAsyncContextManager[Any]], site: Any = None) -> None:
        self._running = running
        self._site = site
        self._app: Any = None
        self._alone: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self._failed = ""

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if self._app is None:
            await self._begin()
        await self._app(scope, receive, send)

    async def _begin(self) -> None:
        """Opens, or waits for who does. Raises `NotStarted`; the next request tries again."""
        if self._alone is None or self._alone.done():
            log.warning("lifespan", why="nobody spoke it: the gateway begins with the first request")
            self._failed = ""
            self._begun.clear()
            self._alone = asyncio.create_task(self._live({"type": "lifespan", "state": {}}, _once(), self._note))
            self._alone.add_done_callback(lambda _: self._begun.set())
        await self._begun.wait()
        if self._app is None:
            raise NotStarted(self._failed or "it ended as it began")

    async def _note(self, message: Any) -> None:
        self._failed = message.get("message", "")

    async def _live(self, scope: Scope, receive: Any, send: Any) -> None:
        started = await receive()
        try:
            async with self._running() as opened:

                async def told(message: Any) -> None:
                    if message["type"] == "lifespan.startup.complete":  # not before a site that fails to
                        self._app = opened
                        self._begun.set()
                    await send(message)

                if self._site is None:
                    await told({"type": "lifespan.startup.complete"})
                    await receive()
                elif not await Behind(self._site, started, receive, told).live(scope):
                    return
        except Unusable as refused:
            await send({"type": "lifespan.startup.failed", "message": str(refused)})
            return
        await send({"type": "lifespan.shutdown.complete"})


def _once() -> Callable[[], Awaitable[Any]]:
    """What a server would say: start, and nothing more as long as the process lives."""
    messages = [{"type": "lifespan.startup"}]

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.get_running_loop().create_future()

    return receive


class Behind:
    """The site's own lifespan, from the message that we have taken already. A site that has none, or that ends it
    early, is stood in for: the gateway before it goes on hearing.
    """

    def __init__(self, site: Any, started: Any, receive: Any, send: Any) -> None:
        self._site = site
        self._messages = [started]
        self._receive = receive
        self._send = send
        self._said: list[str] = []
        self._asked_to_stop = False

    async def live(self, scope: Scope) -> bool:
        """Whether it is the gateway that says the last word. Raises what the site raised where it stopped by order."""
        try:
            await self._site(scope, self._hear, self._tell)
        except Exception as error:
            if self._asked_to_stop:
                raise
            why = type(error).__name__ if self._said else ""  # whoever knows no lifespan raises at the first word
        else:
            why = "it returned"
        if self._said and self._said[-1] != "lifespan.startup.complete":
            return False  # it failed to start, or has stopped
        if why:
            log.warning("lifespan", why=f"the site's own ended early ({why}); the gateway goes on")
        if not self._said:
            await self._send({"type": "lifespan.startup.complete"})
        if not self._asked_to_stop:
            await self._receive()
        return True

    async def _hear(self) -> Any:
        message = self._messages.pop() if self._messages else await self._receive()
        self._asked_to_stop = message["type"] == "lifespan.shutdown"
        return message

    async def _tell(self, message: Any) -> None:
        self._said.append(message["type"])
        await self._send(message)
