"""Finds the door of a request. The service puts it behind its layers.

Starlette's router tries one pattern after the other; most doors have a path without a parameter, and are found by it.
Each of its routes also handles errors, as the layer in front of the router does for all of them: here only that does.

Our pages are found with a slash at their end too. WordPress writes every address with it, and people do: it is the same
page, not a redirect. A redirect would name the scheme that this process sees, which is http behind a proxy, and a form
would go out once more, over that.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from inspect import iscoroutinefunction

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send


class DoorRouter(Router):
    """Routes to doors. Those of one path are tried in order, by their methods."""

    def __init__(self, routes: Sequence[Route]) -> None:
        super().__init__(routes, redirect_slashes=False)
        for route in routes:
            if iscoroutinefunction(route.endpoint):
                route.app = partial(_answer, route.endpoint)
        self._by_path = {route.path: route for route in reversed(routes) if not route.param_convertors}

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers by the door of the path; 404 and 405 are raised as Starlette does."""
        route = self._by_path.get(scope["path"])
        if route is None or scope.get("root_path") or (route.methods and scope["method"] not in route.methods):
            await super().app(scope, receive, send)
            return
        scope.update(router=self, route=route, endpoint=route.endpoint, path_params={})
        await route.app(scope, receive, send)


async def _answer(
    endpoint: Callable[[Request], Awaitable[Response]], scope: Scope, receive: Receive, send: Send
) -> None:
    response = await endpoint(Request(scope, receive, send))
    await response(scope, receive, send)


PAGES = "/privacy-choices/"


class WithoutSlash:
    """Takes the slash off addresses of our pages; plain ASGI, before the router. What is served on some listeners alone
    is left as it is: those go by the path.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/") and scope["path"].startswith(PAGES):
            scope = {**scope, "path": scope["path"].rstrip("/")}
        await self._app(scope, receive, send)
