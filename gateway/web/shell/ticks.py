"""Holds back the answers to strangers until the next tick of a clock, so that their time does not tell what was looked
up or written. The service puts it around its doors.

Without this the form, which asks for no key, told by its time whether a number is known here: 17 ms for an unknown one,
26 ms for one that an account has. Covered is whatever a stranger may ask about somebody else: each POST to our pages,
what shows one event, the answers to a publishable key, and the errors of all of them. Measured from when a request has
its turn (web/shell/fair_queue.py), so that nobody's own flood changes it.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.web.shell import wire

TICK = 0.05
LEAST = 0.1  # seconds; on two busy cores 999 of 1,000 forms are done in 60 ms
MOST = 0.8  # what is slower tells that the store is slow, whoever asks, and nobody else is to wait as long
REMEMBERED, SECONDS = 256, 120.0  # the answers by which the next ones are measured, and for how long
MARGIN = 1.25
STRANGERS = (  # their own page alone is a browser's own, and is asked for with every page of the site
    "/privacy-choices/done/", "/privacy-choices/receipt/", "/privacy-choices/unsubscribe/", "/privacy-choices/opt-in/",
    "/privacy-choices/data", "/privacy-choices/erase", "/privacy-choices/code", "/adchoices/", "/v1/agent/",
    "/v1/data-rights-request",
)  # fmt: skip
PAGES = ("/privacy-choices", "/adchoices")
FROM_APPS = ("/v1/choices", "/v1/observe", "/v1/standing", "/v1/links", "/v1/codes", "/v1/access", "/v1/erasures")


class Ticks:
    """When answers leave: on a grid of `TICK` seconds of the process's own clock, the first tick after `least`. While
    answers take longer than that, as on a machine that does much else, all of them wait for a later one: an answer that
    alone came a tick too late would tell that it took longer.
    """

    def __init__(
        self,
        least: float = LEAST,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._least = least
        self._clock = clock
        self._sleep = sleep
        self._took: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)  # when each was done, and how long it took

    def now(self) -> float:
        return self._clock() if self._clock else asyncio.get_running_loop().time()

    async def leave(self, began: float) -> None:
        """Returns when an answer may leave whose work began then and is done now."""
        if not self._least:
            return
        now = self.now()
        due = self.due(began, now)
        if due > now:
            await self._sleep(due - now)

    def due(self, began: float, now: float) -> float:
        """The moment on the grid at which such an answer leaves."""
        self._took.append((now, min(now - began, MOST)))
        while self._took[0][0] < now - SECONDS:
            self._took.popleft()
        floor = max(self._least, MARGIN * max(took for _, took in self._took))
        due = math.ceil(round((began + floor) / TICK, 6)) * TICK  # rounded: floats miss the grid by a hair
        return due if due >= now else math.ceil(now / TICK) * TICK


class Levelled:
    """The layer around the queue that applies the ticks. Holds an answer back whole; those that are nobody else's pass
    as they come.
    """

    def __init__(self, app: ASGIApp, ticks: Ticks) -> None:
        self._app = app
        self._ticks = ticks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        strangers = scope["type"] == "http" and _is_of_strangers(scope)
        if not (strangers or (scope["type"] == "http" and scope["path"].startswith(FROM_APPS))):
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state[BEGAN] = self._ticks.now()
        answer: list[Message] = []

        async def held(message: Message) -> None:
            answer.append(message)

        try:
            await self._app(scope, receive, held)
        finally:
            if strangers or state.get(wire.ANYBODYS):
                await self._ticks.leave(state[BEGAN])
            for message in answer:
                await send(message)


BEGAN = "turn_began"  # scope["state"] key: when the queue gave the request its turn


def begin_tick(scope: Scope) -> None:
    """The request has its turn: what it waited before is its sender's own."""
    state: dict[str, Any] = scope.get("state") or {}
    if BEGAN in state:
        state[BEGAN] = asyncio.get_running_loop().time()


def _is_of_strangers(scope: Scope) -> bool:
    path: str = scope["path"]
    return path.startswith(STRANGERS) or (scope["method"] == "POST" and path.startswith(PAGES))
