"""`ConsentMiddleware`: plain ASGI in front of any site. Hears every request, tells the site what it may do, remembers.

Inbound `Gateway-*` names are removed, whatever their spelling (`_` counts as `-`: PHP and WSGI cannot tell them
apart), and ours are set, every key always present (api.md, To the site). The sealed cookie never reaches the site.
`Sec-GPC` goes on unchanged (L6). Streaming bodies pass untouched.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway import seals
from gateway.consent import Consent
from gateway.ledger.records import Subject
from gateway.ledger.writer import StoreUnavailable
from gateway.signals import cookies, gpc
from gateway.signals.heard import Heard, Said
from gateway.site import Site
from gateway.terms import SIGNAL_PURPOSES, Source
from gateway.web import proof_cookie
from gateway.web.browser_cookie import COOKIE, day, remembering
from gateway.web.delivery_policy import delivery_policy
from gateway.web.metrics import Metrics
from gateway.web.visitor import Headers, Scope, Visitor, Visitors

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFIX = b"gateway-"
TOKEN_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Options:
    """What the site decides. `enforce`: a Content-Security-Policy at delivery wherever something must not be done,
    `hosts` excepted (R1). `add_gpc`: the request that goes on to the site of somebody whose opt-out is on record says
    `Sec-GPC: 1`, as an intermediary may (L7).
    """

    remember_gpc: Literal["id", "flag", "off"] = "id"
    enforce: bool = False
    add_gpc: bool = False
    hosts: tuple[str, ...] = ()


class ConsentMiddleware:
    """Mounts before an ASGI application. Stateless: what one request needs is in its `_Answer`."""

    def __init__(
        self, app: App, consent: Consent, visitors: Visitors, metrics: Metrics, options: Options | None = None
    ) -> None:
        self._app = app
        self._consent = consent
        self._visitors = visitors
        self._metrics = metrics
        self._options = options or Options()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        visitor = self._visitors.read(scope)
        self._metrics.heard("web", visitor.heard)
        self._metrics.malformed(visitor.malformed)
        subjects = self._visitors.subjects(visitor)
        site = self._consent.checks.site(
            subjects, visitor.heard.denied | visitor.denied, visitor.place, gpc=visitor.heard.gpc
        )
        await self._remember(visitor, site, subjects)
        answer = _Answer(self, visitor, site, scope, send)
        await self._app(self._inward(scope, visitor, site), receive, answer.send)

    async def _remember(self, visitor: Visitor, site: Site, subjects: list[Subject]) -> None:
        """Writes what this request says, where that changes something. A client without our cookie and without an
        account never writes (design flow a). With the store away the answer stands: everybody is opted out.
        """
        heard, brought = visitor.heard, _brought_back(visitor, site)
        account = next((subject for subject in subjects if subject.is_account), None)
        browser = next((subject for subject in subjects if subject.kind == "browser"), None)
        try:
            if browser is None:
                heard = heard.without_endings()  # nobody proved whose states these cookies would end
            if (browser or account) and site.learns(heard, subjects):
                await self._consent.observe(subjects, heard, place=site.place, account=account, proved=browser)
            elif account and browser and not self._consent.checks.tied(account, browser):
                await self._consent.tie(account, [browser])
            if browser and brought.keeps:
                await self._consent.observe([browser], brought, place=site.place, account=account)
        except StoreUnavailable:
            self._metrics.refused_forms.labels("signal_not_kept").inc()

    def _inward(self, scope: Scope, visitor: Visitor, site: Site) -> Scope:
        headers = [(name, value) for name, value in self._clean(scope["headers"])]
        headers += [
            (b"gateway-consent", consent_value(site).encode()),
            (b"gateway-browser", self._token(visitor).encode()),
            (b"gateway-place", site.place.encode()),
            (b"gateway-request", str(scope.get("state", {}).get("request_id", "")).encode()),
        ]
        if self._options.add_gpc and not visitor.heard.gpc and _on_record(site):
            headers.append((gpc.HEADER, b"1"))
        state = {**scope.get("state", {}), "gateway": site}
        return {**scope, "headers": headers, "state": state}

    @staticmethod
    def _clean(headers: Headers) -> Headers:
        kept = []
        for name, value in headers:
            if name.replace(b"_", b"-").startswith(PREFIX):
                continue
            if name == b"cookie":
                for ours in (COOKIE, proof_cookie.COOKIE):
                    value = cookies.without(value, ours.encode())  # noqa: PLW2901
                if not value:
                    continue
            kept.append((name, value))
        return kept

    def _token(self, visitor: Visitor) -> str:
        if visitor.cookie is None or not visitor.cookie.value:
            return ""
        expires = int(self._consent.clock().timestamp()) + TOKEN_SECONDS
        return seals.seal_browser(self._consent.secrets.seals, visitor.cookie.browser, expires)

    def cookie_for(self, visitor: Visitor, scope: Scope) -> str | None:
        """The Set-Cookie that a navigation's answer remembers the visitor by."""
        if not is_navigation(scope):
            return None
        today = day(self._consent.clock())
        keys, how = self._consent.secrets.seals, self._options.remember_gpc
        return remembering(keys, visitor.cookie, visitor.heard, how, today)

    def policy_for(self, site: Site) -> str | None:
        return delivery_policy(self._options.hosts) if self._options.enforce and site.restricted else None


class _Answer:
    """One response on its way out: `Vary`, the cookie, and the policy of delivery."""

    def __init__(self, owner: ConsentMiddleware, visitor: Visitor, site: Site, scope: Scope, send: Send) -> None:
        self._send = send
        self._cookie = owner.cookie_for(visitor, scope) if scope["type"] == "http" else None
        self._policy = owner.policy_for(site)
        # Only Sec-GPC is in `Vary`; whatever else had a part in the answer makes it one person's (R33).
        beyond_gpc = any(said.source != Source.GPC for said in visitor.heard.said)
        known = visitor.cookie is not None or visitor.account is not None or bool(visitor.site_ids)
        self._private = self._cookie is not None or known or beyond_gpc

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = self._outward(list(message.get("headers", [])))
        await self._send(message)

    def _outward(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        kept = [(n, v) for n, v in headers if not n.lower().replace(b"_", b"-").startswith(PREFIX)]
        kept.append((b"vary", b"Sec-GPC"))
        if self._cookie:
            kept.append((b"set-cookie", self._cookie.encode()))
        if self._policy:
            kept.append((b"content-security-policy", self._policy.encode()))
        return _privately(kept) if self._private else kept


def _privately(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """No shared cache may keep an answer that one person's cookie or account had a part in (R33)."""
    said = b", ".join(value for name, value in headers if name.lower() == b"cache-control").lower()
    if b"no-store" in said or (b"private" in said and b"public" not in said):
        return headers
    kept = [(name, value) for name, value in headers if name.lower() != b"cache-control"]
    return [*kept, (b"cache-control", b"private, no-cache")]


def _brought_back(visitor: Visitor, site: Site) -> Heard:
    """What our own cookie denies and no record does: it was heard and honored on a first page, and the signal did not
    come again. A later yes on record stands above it.
    """
    if any(standing.opted_in(purpose) for standing in site.standings for purpose in SIGNAL_PURPOSES):
        return Heard()
    known = {p for p in SIGNAL_PURPOSES for standing in site.standings if standing.own_denies(p)}
    missing = visitor.denied.intersection(SIGNAL_PURPOSES) - known
    return Heard((Said(Source.BROWSER_COOKIE, missing),)) if missing else Heard()


def _on_record(site: Site) -> bool:
    """Whether the ledger holds an opt-out of a signal's purposes for this visitor: no other reason adds a signal."""
    return any(standing.denies(purpose) for standing in site.standings for purpose in SIGNAL_PURPOSES)


def consent_value(site: Site) -> str:
    """The RFC 9651 dictionary of `Gateway-Consent`; `?1` may be done, `?0` must not."""
    parts = [f"{purpose}=?{int(site.allowed[purpose])}" for purpose in SIGNAL_PURPOSES]
    return ", ".join([*parts, f"status={site.status}"])


def is_navigation(scope: Scope) -> bool:
    """A page load by Fetch Metadata; without it, a GET that takes HTML."""
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    mode = headers.get(b"sec-fetch-mode")
    if mode is not None:
        return mode == b"navigate"
    return scope.get("method") == "GET" and b"text/html" in headers.get(b"accept", b"")
