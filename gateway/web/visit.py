"""One visit to the site: heard, remembered, and what the site and the browser are told of it.

What the middleware does before an ASGI site and the forward-auth doors do behind a proxy is the same; only how the
answer travels differs. Never touches a request or a response itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gateway import seals
from gateway.consent import Consent
from gateway.ledger.records import Subject
from gateway.ledger.writer import StoreUnavailable
from gateway.signals.heard import Heard, Said
from gateway.site import Site
from gateway.terms import SIGNAL_PURPOSES, Source
from gateway.web.browser_cookie import day, remembering
from gateway.web.delivery_policy import delivery_policy
from gateway.web.metrics import Metrics
from gateway.web.visitor import Scope, Visitor, Visitors

TOKEN_SECONDS = 24 * 3600
# Whatever hearing reads of a request. A page that is nobody's is kept by shared caches, and none of them may hand it to
# somebody whose cookie would have made it another (R33).
VARY = b"Sec-GPC, Cookie, DNT, X-AdChoices, Cookie2"


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


@dataclass(frozen=True, slots=True)
class Visit:
    """`headers`: the four `Gateway-*` fields for the site, every one always there (api.md, To the site). `cookie`: the
    Set-Cookie for the browser. `policy`: the Content-Security-Policy of delivery. `private`: the answer is one
    person's, and no shared cache may keep it (R33). `adds_gpc`: the site is to be told `Sec-GPC: 1` (L7).
    """

    site: Site
    headers: tuple[tuple[bytes, bytes], ...]
    cookie: str | None
    policy: str | None
    private: bool
    adds_gpc: bool


class Visits:
    """Hears every visit. Stateless: what one request needs is in its `Visit`."""

    def __init__(self, consent: Consent, visitors: Visitors, metrics: Metrics, options: Options | None = None) -> None:
        self._consent = consent
        self._visitors = visitors
        self._metrics = metrics
        self._options = options or Options()

    async def of(self, scope: Scope) -> Visit:
        """What a request of type http or websocket says, written down where that changes something."""
        visitor = self._visitors.read(scope)
        self._metrics.heard("web", visitor.heard)
        self._metrics.malformed(visitor.malformed)
        subjects = self._visitors.subjects(visitor)
        site = self._consent.checks.site(
            subjects, visitor.heard.denied | visitor.denied, visitor.place, gpc=visitor.heard.gpc
        )
        await self.remember(visitor, site, subjects)
        cookie, options = self._cookie(visitor, scope), self._options
        policy = delivery_policy(options.hosts) if options.enforce and site.restricted else None
        adds = options.add_gpc and not visitor.heard.gpc and _on_record(site)
        return Visit(
            site, self._told(scope, visitor, site), cookie, policy, cookie is not None or _is_of_one(visitor), adds
        )

    async def remember(self, visitor: Visitor, site: Site, subjects: list[Subject]) -> None:
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

    def _told(self, scope: Scope, visitor: Visitor, site: Site) -> tuple[tuple[bytes, bytes], ...]:
        return (
            (b"gateway-consent", consent_value(site).encode()),
            (b"gateway-browser", self._token(visitor).encode()),
            (b"gateway-place", site.place.encode()),
            (b"gateway-request", str(scope.get("state", {}).get("request_id", "")).encode()),
        )

    def _token(self, visitor: Visitor) -> str:
        if visitor.cookie is None or not visitor.cookie.value:
            return ""
        expires = int(self._consent.clock().timestamp()) + TOKEN_SECONDS
        return seals.seal_browser(self._consent.secrets.seals, visitor.cookie.browser, expires)

    def _cookie(self, visitor: Visitor, scope: Scope) -> str | None:
        """The Set-Cookie that a navigation's answer remembers the visitor by."""
        if scope["type"] != "http" or not is_navigation(scope):
            return None
        today = day(self._consent.clock())
        keys, how = self._consent.secrets.seals, self._options.remember_gpc
        return remembering(keys, visitor.cookie, visitor.heard, how, today)


def _is_of_one(visitor: Visitor) -> bool:
    """Who says nothing, and who says it by Sec-GPC alone, share a page; whatever else had a part makes it one
    person's, for caches that pass over `Vary` as well (R33).
    """
    beyond_gpc = any(said.source != Source.GPC for said in visitor.heard.said)
    return visitor.cookie is not None or visitor.account is not None or bool(visitor.site_ids) or beyond_gpc


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
