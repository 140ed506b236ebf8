"""A site behind the middleware, and a browser before it, in the test's own process."""

from datetime import UTC, datetime

from gateway.keys import seals
from gateway.keys.seals import BrowserCookie
from gateway.terms import SIGNAL_PURPOSES
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.visitor import Visitors
from gateway.web.site.middleware import ConsentMiddleware
from gateway.web.site.shared_caches import SAME
from gateway.web.site.visit import Options, Visits
from support import inside


def today() -> int:
    return (datetime.now(UTC).date() - datetime(1970, 1, 1).date()).days


def value_of(set_cookie: str) -> str:
    return set_cookie.partition(";")[0].partition("=")[2]


class Site:
    """An ASGI site that remembers what it was asked with, and echoes bodies chunk by chunk."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self.asked: list[dict] = []
        self.answer = list(headers)

    async def __call__(self, scope, receive, send):
        self.asked.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": self.answer})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def got(self, name: str) -> list[str]:
        return [value.decode("latin-1") for key, value in self.asked[-1]["headers"] if key == name.encode()]

    @property
    def consent(self) -> str:
        (value,) = self.got("gateway-consent")
        return value


class Door:
    """A site behind the middleware, and a browser before it."""

    def __init__(self, house, *headers, place="US-CA", visitors=None, **options) -> None:
        self.house, self.site, self.metrics = house, Site(*headers), Metrics()
        account, turns = options.pop("account", None), options.pop("turns", None)
        visitors = Visitors(house.consent, **(visitors or {}), account=account, place=lambda _: place)
        options.setdefault("place_in_key", SAME)
        self.visits = Visits(house.consent, visitors, self.metrics, Options(**options), turns=turns)
        self.app = ConsentMiddleware(self.site, self.visits)

    async def get(self, *, method="GET", content=None, cookie="", **headers):
        named_ = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send(list(named_.items()), method=method, content=content, cookie=cookie)

    async def send(self, headers, *, method="GET", content=None, cookie="", query=""):
        headers = [*headers, ("Cookie", cookie)] if cookie else headers
        async with inside.client(self.app) as client:
            return await client.request(method, f"/page?{query}", headers=headers, content=content)

    @property
    def entries(self) -> int:
        return self.house.consent.checks.position()

    def sealed(self, *, days_ago=0, denied=frozenset(SIGNAL_PURPOSES), browser=None) -> str:
        cookie = BrowserCookie(browser or seals.new_browser(), today() - days_ago, denied)
        return f"__Host-gateway={seals.seal_cookie(self.house.consent.secrets.seals, cookie)}"

    def opened(self, set_cookie: str) -> BrowserCookie:
        return seals.open_cookie(self.house.consent.secrets.seals, value_of(set_cookie))
