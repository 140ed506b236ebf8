"""`/authz/nginx`, `/authz/forward` (Traefik, Caddy), `/authz/envoy/{path}`: a proxy before the site asks here before
each page.

The answer's headers are what the proxy hands on: the four `Gateway-*` to the site, every one always there;
`Set-Cookie`, `Content-Security-Policy` and `Cache-Control` to the browser. Which request it is about stands in each
proxy's own names. On the internal address only: a caller may say whatever it likes about a request. Never refuses a
page: garbage is a visitor who said nothing. The one 403 is for `[site] ad_paths` under `enforce`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.signals.heard import OWS
from gateway.web.shell.visitor import Headers
from gateway.web.site import header_fields, shared_caches
from gateway.web.site.visit import Visit, Visits

DECODED = 3  # times that a path is decoded: by a proxy, a server and an application


@dataclass(frozen=True, slots=True)
class ProxyAsked:
    """The request that a proxy asks about."""

    method: str
    uri: str

    @property
    def path(self) -> str:
        """Decoded, without the query; what cannot be read is no path."""
        return unquote(_parts(self.uri)[0])

    def beginning_of(self, beginnings: Sequence[str]) -> str | None:
        """With which of these (`_beginning`) it begins, however it is spelled."""
        readings = {self.uri, self.uri.partition("#")[0]} if beginnings else set()  # some end a path at "#"
        paths = [unquote(_parts(uri)[0]) for uri in readings]
        served = [_as_served(path, bare=bare) for path in paths for bare in (False, True)]
        return next((each for each in beginnings if any(path.startswith(each) for path in served)), None)

    @property
    def query(self) -> bytes:
        return _parts(self.uri)[1].encode("latin-1", "replace")


def _parts(uri: str) -> tuple[str, str]:
    """Path and query. "//ads/x" is a path and no host, and "#" is no end of one: some servers take it for a letter."""
    uri = uri.replace("#", "%23")
    try:
        parts = urlsplit("/" + uri.lstrip("/") if uri.startswith("/") else uri)
    except ValueError:  # "http://[": no browser asks for it
        return "", ""
    return parts.path, parts.query


def _beginning(stated: str) -> str:
    """`/ads/` is a folder's; `/pixel.gif` and `/track` begin names."""
    served = _as_served(stated)
    return served if stated.endswith("/") else served.rstrip("/")


def _as_served(path: str, *, bare: bool = False) -> str:
    """The one form in which paths are compared: servers look up `//ads/x`, `/x/../ads/y`, `/ADS/x`, `/ads;v=1/x` and
    `/%2561ds/x` as they do `/ads/x`, some of them. One refused too many is an ad less. `bare`: as servers do that take
    `;` and what follows off before they go a folder up, `/x/..;/ads/y`.
    """
    for _ in range(DECODED - 1):  # once it was
        path = unquote(path)
    kept: list[str] = []
    for part in path.replace("\\", "/").lower().split("/"):
        said = part.partition(";")[0] if bare else part
        name = said if said in {".", ".."} else said.partition(";")[0].rstrip(". ")
        if name == "..":
            kept = kept[:-1]
        elif name not in {"", "."}:
            kept.append(name)
    return "/" + "".join(f"{name}/" for name in kept)


Dialect = Callable[[Scope], ProxyAsked]


def _said(scope: Scope, *names: bytes) -> str:
    """The first of these headers that is there."""
    headers = dict(reversed(scope["headers"]))
    return next((headers[name].strip(OWS).decode("latin-1") for name in names if headers.get(name)), "")


def nginx(scope: Scope) -> ProxyAsked:
    """What the recipe sets: `auth_request` itself says nothing of the page."""
    uri = _said(scope, b"x-original-uri", b"x-original-url")
    return ProxyAsked(_said(scope, b"x-original-method") or "GET", uri)


def forward(scope: Scope) -> ProxyAsked:
    """Traefik ForwardAuth, and Caddy, which asks by GET whatever the page's method is."""
    return ProxyAsked(_said(scope, b"x-forwarded-method") or "GET", _said(scope, b"x-forwarded-uri"))


ENVOY = "/authz/envoy"


def envoy(scope: Scope) -> ProxyAsked:
    """ext_authz asks with the page's own method, and its address behind `path_prefix`: as it came, for a "?" that was
    escaped ends no path.
    """
    query = scope.get("query_string", b"").decode("latin-1")
    path = scope["raw_path"].decode("latin-1").removeprefix(ENVOY)
    return ProxyAsked(scope["method"], path + (f"?{query}" if query else ""))


class ForwardAuth:
    """One proxy's door; takes every method. `status`: what the proxy reads as a yes. `ad_paths`: beginnings of paths
    that `enforce` refuses to whoever must not be tracked (R1). `door`: as what it is counted in shadow mode, with the
    ad path that was asked for.
    """

    def __init__(
        self, visits: Visits, dialect: Dialect, door: str, *, status: int = 204, ad_paths: Sequence[str] = ()
    ) -> None:
        self._visits = visits
        self._door = door
        self._dialect = dialect
        self._status = status
        self._ad_paths = tuple(map(_beginning, ad_paths))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = self._dialect(scope)
        about = {**scope, "method": asked.method, "path": asked.path, "query_string": asked.query}
        visit, news = self._visits.hear(about)
        if news:
            await news
        below = asked.beginning_of(self._ad_paths) if visit.policy or visit.cell else None
        self._visits.count(visit, self._door if below is None else f"{self._door} {below}")
        refused = visit.policy is not None and below is not None
        answer = Response(status_code=403 if refused else self._status)
        answer.raw_headers += [*_to_the_site(visit, scope["headers"]), *_to_the_browser(visit)]
        await answer(scope, receive, send)


def _to_the_site(visit: Visit, asked: Headers) -> list[tuple[bytes, bytes]]:
    """Three of the four headers, for the outermost layer writes Gateway-Request into every answer; and the visitor's
    cookies without ours (R9), for proxies that cannot take one out.
    """
    said = [header_fields.without_ours(value) for name, value in asked if name == b"cookie"]
    return [*visit.headers, *((b"cookie", value) for value in [b"; ".join(filter(None, said))] if value)]


def _to_the_browser(visit: Visit) -> list[tuple[bytes, bytes]]:
    return [*visit.to_browser, shared_caches.PRIVATE] if visit.private else [*visit.to_browser]
