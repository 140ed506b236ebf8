"""An address of our pages with a slash at its end: the same page. Never redirects.

WordPress writes every address so, and people do. A redirect would name the scheme that this process sees, which is http
behind a proxy, and a form would go out once more, over that.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

PAGES = "/privacy-choices/"


class WithoutSlash:
    """Plain ASGI, before the router. What is served on some listeners alone is left as it is: those go by the path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/") and scope["path"].startswith(PAGES):
            scope = {**scope, "path": scope["path"].rstrip("/")}
        await self._app(scope, receive, send)
