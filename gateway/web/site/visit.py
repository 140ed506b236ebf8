"""One visit to the site: heard, remembered, and what the site and the browser are told of it. The middleware before an
ASGI site and the forward-auth doors behind a proxy both call it; only how the answer travels differs.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Literal, NamedTuple

from starlette.types import Scope

from gateway.consent.decision_log import ALLOWED, DENIED, Cell, DecisionLog, cell_in_shadow
from gateway.consent.shadow import is_held
from gateway.consent.site import ANYBODY, Site, SiteAnswer, brought_back, why_restricted
from gateway.consent.verbs import Consent
from gateway.keys import seals
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Choice, Subject
from gateway.signals.heard import OWS, Heard, Said
from gateway.terms import ALL_PURPOSES, SIGNAL_PURPOSES, ChoiceKind, Purpose, Reason, Source
from gateway.web.shell import own_cookies
from gateway.web.shell.fair_queue import Turns
from gateway.web.shell.header_names import BROWSER, CONSENT, PLACE
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.own_cookies import day, is_due
from gateway.web.shell.visitor import Visitor, Visitors
from gateway.web.site import header_fields, shared_caches
from gateway.web.site.header_fields import delivery_policy

TOKEN_SECONDS = 24 * 3600
KEPT_BESIDE = 16384  # noes of one outage that are known to lie beside the ledger; past it some are kept twice
KEPT = 4096  # visitors whose answer stands until anything is written, or for half a second


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator of the site decides. `enforce`: a Content-Security-Policy at delivery wherever something must
    not be done, `hosts` excepted (R1). `add_gpc`: the request that goes on to the site of somebody whose opt-out is on
    record, or in a cookie that takes its place, says `Sec-GPC: 1`, as an intermediary may (L7). `cached`: pages are
    kept by a cache that passes over Vary, so that a GET is answered the same for everybody (I32). `inventory`: the
    page's script is asked which hosts pages talk to (R1). `place_in_key`: how a shared cache keeps pages for different
    places apart: by a request's header of this name, or `SAME`, because all visitors are told the same place; empty: it
    does not, and such a page is one person's (R33). `service_workers`: files of those that enforcing leaves alone.
    `gpc_of_known`: GPC of a browser that nothing but our sealed cookie names is left unwritten; cookie and tokens carry
    the denial.
    """

    remember_gpc: Literal["id", "flag", "off"] = "id"
    gpc_of_known: bool = False
    enforce: bool = False
    add_gpc: bool = False
    hosts: tuple[str, ...] = ()
    cached: bool = False
    inventory: bool = False
    place_in_key: str = ""
    service_workers: tuple[str, ...] = ()

    def rule(self) -> str:
        """Which caches may keep a page, for the log of the start."""
        if self.cached:
            return "pages are the same for everybody: any cache may keep them ([site] cached)"
        keys = shared_caches.vary(self.place_in_key)[1].decode()
        if self.place_in_key:
            return f"pages of visitors without a cookie of ours may be kept by caches that heed Vary: {keys}"
        return f"pages made for a known place are private; others may be kept by caches that heed Vary: {keys}"


class Visit(NamedTuple):
    """`answer`: for a site in the same process. `headers`: the `Gateway-*` fields, every one always there, but for
    Gateway-Request, which is the request's and no visitor's. `to_browser`: the headers beside the site's own, with
    `cookie`, the value of Set-Cookie, and `policy`, the Content-Security-Policy, among them. `private`: the answer is
    one person's, and no shared cache may keep it (R33). `adds_gpc`: the site is to be told `Sec-GPC: 1` (L7). `cell`:
    what it is counted as, in shadow mode.
    """

    site: Site
    answer: SiteAnswer
    headers: tuple[tuple[bytes, bytes], ...]
    to_browser: tuple[tuple[bytes, bytes], ...]
    cookie: str | None
    policy: str | None
    private: bool
    adds_gpc: bool
    ordinary: bool  # whether every header of the request has an ordinary name: nothing of it is to be taken out
    cell: Cell | None = None


# What a page that a cache keeps is made from: nothing is known of whoever will get it, so nothing may be done.
NOBODY_KNOWS = SiteAnswer()
EVERYBODYS = Visit(
    answer=NOBODY_KNOWS, headers=(
        (CONSENT, b"sale=?0, sharing=?0, targeted_ads=?0, status=unknown"), (BROWSER, b""),
        (PLACE, NOBODY_KNOWS.place.encode()),
    ), site=Site(dict.fromkeys(SIGNAL_PURPOSES, False), NOBODY_KNOWS.status, frozenset()), to_browser=(), cookie=None,
    policy=None, private=False, adds_gpc=False, ordinary=False,
)  # fmt: skip
KEPT_BY_CACHES = frozenset({"GET", "HEAD"})

UNHEARD = tuple(purpose for purpose in ALL_PURPOSES if purpose not in SIGNAL_PURPOSES)  # no signal says them


class News(NamedTuple):
    """What a request says that is not on record yet. `ties`: accounts that this browser is not known to be of,
    or that are not known by all their names.
    `brought`: what only our own cookies still tell, and `to` whom it is written; `unheard`: what no signal says of it.
    """

    subjects: list[Subject]
    place: str
    browser: Subject | None
    account: Subject | None
    heard: Heard | None
    ties: list[Subject]
    brought: Heard | None
    to: list[Subject]
    unheard: tuple[Purpose, ...] = ()


class Visits:
    """Hears every visit. What is kept from one request to the next is the answer to whoever says nothing, place by
    place, until the next proof that the ledger may be trusted, half a second; and the answer to whoever said the very
    same and was no news, until then or until anything at all is written, by whichever process.
    """

    def __init__(
        self,
        consent: Consent,
        visitors: Visitors,
        metrics: Metrics,
        options: Options | None = None,
        log: DecisionLog | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._log = log
        self._turns = turns
        self._consent = consent
        self._visitors = visitors
        self._metrics = metrics
        self.options = options or Options()
        self._vary = shared_caches.vary(self.options.place_in_key)
        self._policy = delivery_policy(self.options.hosts) if self.options.enforce else None
        self._version = consent.checks.version
        self._seen: object = None
        self._visits: dict[int, tuple[Visitor, Visit]] = {}
        self._prove = consent.checks.proof
        self._nobodys: dict[int, tuple[Visitor, Visit]] = {}
        self._proof: float | None = None
        self._beside: set[tuple[frozenset[Purpose], tuple[bytes, ...]]] = set()  # noes that lie beside the ledger
        self._outage = -1  # `Emergency.turned` when the first of them was kept

    def hear(self, scope: Scope) -> tuple[Visit, Awaitable[None] | None]:
        """What a request of type http or websocket says, and what is to be awaited before the site answers: where that
        changes something it is written down; mostly nothing.
        """
        visitor = self._visitors.on_site(scope)
        if visitor.nobody:
            visit, news = self._nobody(visitor), None
        else:
            visit, news = self._heard(visitor, scope)
        if self.options.cached and scope["type"] == "http" and scope.get("method") in KEPT_BY_CACHES:
            return EVERYBODYS, news
        return visit, news

    def _heard(self, visitor: Visitor, scope: Scope) -> tuple[Visit, Awaitable[None] | None]:
        self._metrics.heard("web", visitor.heard)
        self._metrics.malformed(visitor.malformed)
        version = self._version()
        if version != self._seen:
            self._visits.clear()
            self._seen = version
        kept = self._visits.get(id(visitor)) if version is not None else None
        if kept and kept[0] is visitor:  # an id() is used again after its object is gone
            return self._again(visitor, kept[1], scope), None
        subjects = self._visitors.subjects(visitor)
        site = self._visitors.site(visitor, subjects)
        news = self._news(visitor, site, subjects)
        visit = self._visit(visitor, site, scope)
        # Kept only where hearing the same once more would write and set nothing.
        fleeting = news or visit.cookie or visitor.malformed or visitor.unclear
        if version is not None and not fleeting and len(self._visits) < KEPT:
            self._visits[id(visitor)] = (visitor, visit)
        return visit, self._written(news, scope) if news else None

    def _nobody(self, visitor: Visitor) -> Visit:
        """The answer to whoever says nothing. It rests on the place, the day's law and a ledger that may be trusted:
        nobody's row was read.
        """
        proof = self._prove()
        if proof != self._proof:
            self._nobodys.clear()
            self._proof = proof
        kept = self._nobodys.get(id(visitor))
        if kept is None or kept[0] is not visitor:  # an id() is used again
            visit = self._visit(visitor, self._visitors.site(visitor, []), None)
            kept = self._nobodys[id(visitor)] = (visitor, visit)
        return kept[1]

    def _again(self, visitor: Visitor, visit: Visit, scope: Scope) -> Visit:
        """The same answer with a token of its own; and with a cookie where there is now something to remember."""
        now = self._consent.clock()
        self._honored(visitor, visit.site)
        if is_due(visitor.cookie, visitor.heard, self.options.remember_gpc, day(now)):
            return self._visit(visitor, visit.site, scope)
        consent, _, place = visit.headers
        told = (consent, (BROWSER, self.token(visitor, now, TOKEN_SECONDS).encode()), place)
        return Visit(visit.site, visit.answer, told, *visit[3:])

    def _visit(self, visitor: Visitor, site: Site, scope: Scope | None) -> Visit:
        now = self._consent.clock()
        cookie = self._cookie(visitor, scope, day(now)) if scope else None
        cell = self._cell(visitor, site)
        policy = self._policy if _is_silenced(site, cell) else None
        said_it = visitor.cookie is not None and visitor.cookie.unwritten
        adds = self.options.add_gpc and not visitor.heard.gpc and (said_it or _on_record(site))
        allowed = tuple([site.allowed[purpose] for purpose in SIGNAL_PURPOSES])
        told = (
            (CONSENT, _consent(allowed, site.status)),
            (BROWSER, self.token(visitor, now, TOKEN_SECONDS).encode()),
            (PLACE, site.place.encode()),
        )
        placed = bool(site.places) and not self.options.place_in_key
        private = shared_caches.is_one_persons(shared_caches.Facts(visitor, cookie is not None, placed))
        sale, sharing, targeted_ads = allowed
        answer = SiteAnswer(sale, sharing, targeted_ads, site.status, site.place, site.gpc)
        beside = header_fields.fields(cookie, policy, self._vary)
        return Visit(site, answer, told, beside, cookie, policy, private, adds, visitor.ordinary, cell)

    def is_silenced(self, visitor: Visitor, site: Site) -> bool:
        """Whether enforcing is for this visitor: something must not be done, and shadow mode does not leave it."""
        return _is_silenced(site, self._cell(visitor, site))

    def _cell(self, visitor: Visitor, site: Site) -> Cell | None:
        """What a request of this visitor is counted as, in shadow mode."""
        if not (self._log and self._log.shadow.on()):
            return None
        why = why_restricted(site, visitor.heard, self._consent.checks.in_force().office)
        return cell_in_shadow(ANYBODY.name, DENIED if why else ALLOWED, why or Reason.NO_CHOICE, site.place)

    def count(self, visit: Visit, door: str) -> None:
        """Counts a request that this visit was the answer to, in shadow mode. `door`: where it was asked."""
        if self._log and visit.cell:
            self._log.count(visit.cell._replace(door=door))

    async def remember(self, visitor: Visitor, site: Site, subjects: list[Subject], scope: Scope) -> None:
        """Writes what this request says, where that changes something. A client without our cookie and without an
        account never writes. With the store away the answer stands: everybody is opted out.
        """
        news = self._news(visitor, site, subjects)
        if news:
            await self._written(news, scope)

    def remembering(self, visitor: Visitor, today: int) -> str | None:
        """The Set-Cookie that an answer remembers the visitor by, where it has anything new to say."""
        keys, how = self._consent.secrets.seals, self.options.remember_gpc
        left = self.options.gpc_of_known and visitor.heard.is_gpc_alone
        return own_cookies.remembering(keys, visitor.cookie, visitor.heard, how, today, unwritten=left)

    def _is_left(self, visitor: Visitor, site: Site, subjects: list[Subject]) -> bool:
        """Whether what this visitor says is left unwritten: it is GPC alone, nothing but our own cookie names the
        browser, nothing stands on its record, not even whose it is, and whatever ever named it says that no itself.
        """
        cookie, heard = visitor.cookie, visitor.heard
        if not (self.options.gpc_of_known and cookie and cookie.unwritten and len(subjects) == 1) or visitor.unclear:
            return False
        unknown = not site.standings and site.status != "unknown"
        return unknown and (heard.is_gpc_alone or not heard.keeps)

    def _honored(self, visitor: Visitor, site: Site) -> None:
        """Counts GPC that was honored and left no row, for the day's evidence: nothing else shows that it was."""
        if visitor.heard.gpc and not site.standings:
            self._metrics.gpc_unwritten.inc()

    def _news(self, visitor: Visitor, site: Site, subjects: list[Subject]) -> News | None:
        news = None if self._is_left(visitor, site, subjects) else self._to_write(visitor, site, subjects)
        if news is None:
            self._honored(visitor, site)
        return news

    def _to_write(self, visitor: Visitor, site: Site, subjects: list[Subject]) -> News | None:
        heard = visitor.heard
        browsers = [subject for subject in subjects if subject.kind == "browser"]
        accounts = [subject for subject in subjects if subject.is_account]
        browser, account = next(iter(browsers), None), next(iter(accounts), None)
        if browser is None and (heard.ended or heard.vendors):
            heard = heard.without_endings()  # nobody proved whose states these cookies would end
        rows = self._consent.checks.standings_of
        learns = bool(browser or account) and site.learns(heard, subjects, rows)
        ties = [each for each in accounts if not learns and self._is_to_tie(each, browser)]
        brought = self._brought(visitor, browsers) if browser else Heard()
        brings = brought if brought.keeps else None
        unheard = self._missing(visitor, browsers, UNHEARD) if len(browsers) > 1 else ()
        if not (learns or ties or brings or unheard):
            return None
        # Heard before, of a browser alone: it is the no of whatever of its own comes with it now for the first time.
        joined = visitor.cookie is not None and visitor.cookie.unwritten
        to = [each for each in subjects if each is browser or (joined and each.is_device)]
        return News(subjects, site.place, browser, account, heard if learns else None, ties, brings, to, unheard)

    def _is_to_tie(self, account: Subject, browser: Subject | None) -> bool:
        """Whether the browser is not known to be the account's, or the account not by all its names."""
        checks = self._consent.checks
        return checks.unnamed(account) or (browser is not None and not checks.tied(account, browser))

    def _brought(self, visitor: Visitor, browsers: Sequence[Subject]) -> Heard:
        """What our own cookies deny and no record of this browser does. Of several browsers in one request the site is
        told the first alone, which therefore says no wherever one of them does.
        """
        checks = self._consent.checks
        if len(browsers) == 1:
            if not visitor.denied:
                return Heard()
            return brought_back(visitor.denied, checks.standings_of(browsers[0].keys) or ())
        missing = self._missing(visitor, browsers, SIGNAL_PURPOSES)
        return Heard((Said(Source.BROWSER_COOKIE, frozenset(missing)),)) if missing else Heard()

    def _missing(
        self, visitor: Visitor, browsers: Sequence[Subject], purposes: Sequence[Purpose]
    ) -> tuple[Purpose, ...]:
        """Of these, what any of several browsers denies and the first one's record does not."""
        own, of_others = (self._consent.checks.read_back(each, purposes) for each in (browsers[:1], browsers[1:]))
        out = visitor.denied.union(word for word in purposes if of_others[word] == "opted_out")
        return tuple(word for word in purposes if word in out and own[word] != "opted_out")

    async def _written(self, news: News, scope: Scope) -> None:
        """A page asks for no key, and whoever asks for thousands with something to write waits for themselves alone."""
        if self._turns is None:
            await self._write(news)
        elif not await self._turns.write(scope, partial(self._write, news)):
            self._not_kept()

    async def _write(self, news: News, behind: bool = False) -> None:
        """`behind`: the page was answered before. What it ends is left to the browser's next page then, for meanwhile
        another page may have said it again and been answered that it stands.
        """
        browser, account = news.browser, news.account
        try:
            heard = news.heard.without_endings() if news.heard and behind else news.heard
            if heard and await self._is_kept_beside(news, heard):
                if news.ties or news.brought or news.unheard:  # of which a later page tells again
                    self._not_kept()
                return
            for each in news.ties:
                await self._consent.tie(each, [browser] if browser else [])
            if news.brought:
                await self._consent.observe(news.to, news.brought, place=news.place, account=account)
            if news.unheard and browser:
                at, source = self._consent.clock(), Source.BROWSER_COOKIE
                await self._consent.choose([browser], Choice(ChoiceKind.OPT_OUT, news.unheard, source, at, news.place))
        except StoreUnavailable:
            self._not_kept()

    async def _is_kept_beside(self, news: News, heard: Heard) -> bool:
        """Puts what was heard on record. A no that cannot be written is kept beside the ledger, for the site was told
        that it holds: where the browser once said yes, nothing else says so to a check by its token. True: it lies
        there, and the ledger takes nothing. Raises `StoreUnavailable` where neither is done.
        """
        subjects, place = news.subjects, news.place
        try:
            await self._consent.observe(subjects, heard, place=place, account=news.account, proved=news.browser)
        except StoreUnavailable:
            if (outage := self._consent.emergency.turned()) != self._outage:
                self._beside.clear()  # what lay there may have been entered, and a yes may have come since
                self._outage = outage
            no = heard.remembered, tuple([key for each in subjects for key in each.keys])
            if no not in self._beside:  # each of a person's pages says it, and the file has room for everybody's noes
                await self._consent.keep_heard(subjects, heard, place=place)
                self._metrics.kept.labels("signal").inc(len(subjects))
                if len(self._beside) >= KEPT_BESIDE:
                    self._beside.clear()
                self._beside.add(no)
            return True
        return False

    def _not_kept(self) -> None:
        self._metrics.refused_forms.labels("signal_not_kept").inc()

    def token(self, visitor: Visitor, now: datetime, seconds: int) -> str:
        """A name of the browser that is good for so long, fresh each time (R9); empty for one without an id."""
        cookie = visitor.cookie
        if cookie is None or not cookie.value:
            return ""
        until = int(now.timestamp()) + seconds
        return seals.seal_browser(self._consent.secrets.seals, cookie.browser, until, unwritten=cookie.unwritten)

    def _cookie(self, visitor: Visitor, scope: Scope, today: int) -> str | None:
        """The Set-Cookie that a navigation's answer remembers the visitor by."""
        how = self.options.remember_gpc
        if scope["type"] != "http" or visitor.hidden or not is_due(visitor.cookie, visitor.heard, how, today):
            return None
        return self.remembering(visitor, today) if is_navigation(scope) else None


def _is_silenced(site: Site, cell: Cell | None) -> bool:
    """`cell`: what the request is counted as, in shadow mode."""
    return site.restricted and (cell is None or is_held(cell.reason))


def _on_record(site: Site) -> bool:
    """Whether the ledger holds an opt-out of a signal's purposes for this visitor: no other reason adds a signal."""
    return any(standing.denies(purpose) for standing in site.standings for purpose in SIGNAL_PURPOSES)


@lru_cache(maxsize=64)
def _consent(allowed: tuple[bool, ...], status: str) -> bytes:
    """The RFC 9651 dictionary of `Gateway-Consent`; `?1` may be done, `?0` must not."""
    parts = [f"{purpose}=?{int(may)}" for purpose, may in zip(SIGNAL_PURPOSES, allowed, strict=True)]
    return ", ".join([*parts, f"status={status}"]).encode()


def is_navigation(scope: Scope) -> bool:
    """A page load by Fetch Metadata; without it, a GET that takes HTML."""
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    mode = headers.get(b"sec-fetch-mode")
    if mode is not None:
        return mode.strip(OWS) == b"navigate"
    return scope.get("method") == "GET" and b"text/html" in headers.get(b"accept", b"")
