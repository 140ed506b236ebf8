"""Finds the door of a request, and makes an answer of what it raises. The service puts it behind its layers.

Starlette's router tries one pattern after the other; most doors have a path without a parameter, and are found by it.
Its routes, its application and two layers of that handle errors one around the other: here only this does.

Our pages are found with a slash at their end too. WordPress writes every address with it, and people do: it is the same
page, not a redirect. A redirect would name the scheme that this process sees, which is http behind a proxy, and a form
would go out once more, over that. What is served on some listeners alone is left as it is: those go by the path.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from inspect import iscoroutinefunction

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from gateway.web.shell import problem

PAGES = ("/privacy-choices/", "/v1/data-rights-request/")  # of the latter the protocol's first versions had the slash


class Call(Request):
    """Starlette's request, as every door gets it, with its headers read once: a door asks for four of them or more."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self._headers = ReadHeaders(scope=scope)


class ReadHeaders(Headers):
    """Of several of one name `get` finds the first, as Starlette's does."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._first = dict(reversed(self._list))

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """`key`: a name in any case."""
        found = self._first.get(key.lower().encode("latin-1"))
        return default if found is None else found.decode("latin-1")


class DoorRouter:
    """Routes to doors. Those of one path are tried in order, by their methods. `handle` words an error; of one that is
    a fault of ours the server hears as well. `redirects`: a path with a slash too many leads to the one without.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        handle: Callable[[Request, Exception], Awaitable[Response]] = problem.handle_problem,
        *,
        redirects: bool = False,
    ) -> None:
        for route in routes:
            if iscoroutinefunction(route.endpoint):
                route.app = partial(_answer, route.endpoint)
        self._handle = handle
        self._patterns = Router(routes, redirect_slashes=redirects)
        self._by_path = {route.path: route for route in reversed(routes) if not route.param_convertors}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def told(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._open(scope, receive, told)
        except (Exception, asyncio.CancelledError) as failed:
            if begun:
                raise
            error = failed if isinstance(failed, Exception) else problem.stopped()
            answer = await self._handle(Call(scope, receive, send), error)
            await answer(scope, receive, send)
            if not isinstance(error, problem.HANDLED):
                raise

    def _open(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path = scope["path"]
        if path.endswith("/") and path.startswith(PAGES):
            scope = {**scope, "path": path.rstrip("/")}
        route = self._by_path.get(scope["path"])
        if route is None or scope.get("root_path") or (route.methods and scope["method"] not in route.methods):
            scope["app"] = self  # so that its 404 and 405 are raised
            return self._patterns.app(scope, receive, send)
        scope.update(route=route, path_params={})
        return route.app(scope, receive, send)


async def _answer(
    endpoint: Callable[[Request], Awaitable[Response]], scope: Scope, receive: Receive, send: Send
) -> None:
    response = await endpoint(Call(scope, receive, send))
    await response(scope, receive, send)
