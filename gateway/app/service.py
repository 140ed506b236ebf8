"""The ASGI application: the doors of an open installation, by path and address; alone, or in front of a site. `gateway
serve` runs it.

At the start it logs the texts that people are shown, before anything is answered (R24). It gives the daily evidence its
alarms: what may be off while the service runs, by name (R31).
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import orjson
import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from gateway.app import openapi
from gateway.app.brands import brands_of
from gateway.app.composition import Clock, House, now, open_house
from gateway.app.from_settings import prove_desk, published
from gateway.app.in_force import in_force
from gateway.app.law_tables import log_own_rows
from gateway.app.rehearsal_process import RehearsalOrder, rehearse
from gateway.app.routes import ad_routes, bids, calls_among
from gateway.app.workers import Siblings
from gateway.consent import tokens
from gateway.consent.check import Checks
from gateway.consent.decision_log import DecisionLog
from gateway.consent.decisions import keys_of_replica
from gateway.consent.deletion_dues import DeletionDues
from gateway.consent.files import Filing
from gateway.consent.installations import Installations
from gateway.consent.places import Places
from gateway.consent.shadow import Shadow
from gateway.consent.verbs import Consent
from gateway.desk.evidence import (
    CHECKS_FAILED,
    DISCLOSURES_LOST,
    ENFORCEMENT_OFF,
    FORMS_FAILED,
    REHEARSAL_ALARM,
)
from gateway.desk.notices import Notifying
from gateway.evidence.keeper import Evidence
from gateway.evidence.rehearsing import Rehearsing
from gateway.keys.api_keys import Credentials
from gateway.keys.epochs import EpochsAlarm
from gateway.ledger import watch
from gateway.ledger.audit.verify import NightlyVerify
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.proof.mldsa import NOT_HERE, mldsa_here
from gateway.replica.feed import Tags
from gateway.settings import load as settings_of
from gateway.settings.load import Settings
from gateway.settings.unsaid import unsaid
from gateway.web.api.agents import AgentDoors
from gateway.web.api.apps import Apps
from gateway.web.api.check import ExplainDoor
from gateway.web.api.check_answer import Answering
from gateway.web.api.choices import Choices
from gateway.web.api.codes import CodeCalls
from gateway.web.api.desk_doors import Erasures, Links, Reports, ToldDoor
from gateway.web.api.disclosures import BatchesDoor, DisclosureQueries
from gateway.web.api.feed import ChangesDoor
from gateway.web.api.health import PATH as DELETIONS
from gateway.web.api.health import DsrDelete, Health, live
from gateway.web.api.inside import InProcessChecker
from gateway.web.api.log import LedgerDoor
from gateway.web.api.observe import Observe, StandingDoor
from gateway.web.api.share import ShareDoor
from gateway.web.api.texts import TextsDoor
from gateway.web.pages import adchoices
from gateway.web.pages.adchoices import AdChoices, AdChoicesOptions
from gateway.web.pages.choices import STATIC, Pages
from gateway.web.pages.codes import CodePage, Steps
from gateway.web.pages.confirmation import Confirmation, ProofDownload
from gateway.web.pages.data import Access, AccessPage, ErasePage
from gateway.web.pages.marketing import Marketing
from gateway.web.pages.opt_in import Acts, OptInPage
from gateway.web.pages.unsubscribe import Unsubscribe, UnsubscribeLinks
from gateway.web.shell import edge, page
from gateway.web.shell.brand import Branded, Brands
from gateway.web.shell.door_router import DoorRouter
from gateway.web.shell.edge import INTERNAL, METRICS, PUBLIC, Addresses, Calls, Edge, Shield
from gateway.web.shell.fair_queue import Queued, Sources, Turns
from gateway.web.shell.lifespan import Service
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.peer import Peers, place_by_address, place_by_header
from gateway.web.shell.proof import Proofs
from gateway.web.shell.ticks import Levelled, Ticks
from gateway.web.shell.visitor import FromScope, Visitors
from gateway.web.site import demo, hosts
from gateway.web.site.forward_auth import ForwardAuth, envoy, forward, nginx
from gateway.web.site.middleware import ConsentMiddleware
from gateway.web.site.shared_caches import SAME
from gateway.web.site.status import Status
from gateway.web.site.visit import Options, Visits


def off(house: House, rehearsing: Rehearsing, shadow: Shadow, *, enforced: bool) -> dict[str, Callable[[], bool]]:
    """The alarms by name, each a question that is asked twice a second."""
    return {
        CHECKS_FAILED: lambda: not house.fresh(),
        FORMS_FAILED: lambda: not house.writer.keeps(),
        ENFORCEMENT_OFF: lambda: not enforced or shadow.on(),
        DISCLOSURES_LOST: house.disclosing.losing,
        REHEARSAL_ALARM: lambda: bool(rehearsing.alarms()),
    }


def _is_over() -> bool:
    """Once the installation is closed, nothing is answered from it and nothing kept."""
    return False


async def log_notices(consent: Consent) -> asyncio.Task[None] | None:
    """The texts that are shown, logged before anything is answered; where the ledger cannot be written, once it can."""
    if consent.keeps():  # else it would be waited for in vain
        with contextlib.suppress(StoreUnavailable):
            await consent.log(page.shipped_notices())
            return None

    async def later() -> None:
        while True:
            await asyncio.sleep(1)
            with contextlib.suppress(StoreUnavailable):
                await consent.log(page.shipped_notices())
                return

    return asyncio.create_task(later())


log = structlog.get_logger("gateway")
THE_SITES = ("/demo", "/authz/")  # the site's own answers, and what a proxy asks to put on them
FAKE = "fake"  # the environment of a fake
DEMO_PLACE = "US-CA"  # where the demo site says that its visitors are; a real site knows this from its own network


def _is_own(path: str, settings: Settings) -> bool:
    """A page of ours before a site: the choices, the statements, and a DAA participant's endpoints."""
    pages = ("/.well-known/gpc.json", *((DELETIONS,) if settings.delivery.ddrf_domain else ()))
    of_agents = ("/v1/agent", "/v1/data-rights-request") if settings.agents else ()
    rooms = ("/privacy-choices", "/ledger", *of_agents, *((adchoices.PATH,) if settings.ad_choices.participant else ()))
    return path in pages or any(path == room or path.startswith(f"{room}/") for room in rooms)


@dataclass(frozen=True, slots=True)
class Mounted:
    """What is mounted below a prefix (ASGI's `root_path`, Starlette's `Mount`): our own pages are found behind it, and
    their links have it; the site is asked as it was.
    """

    app: Any
    settings: Settings

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        prefix, path = scope.get("root_path", "").rstrip("/"), scope.get("path", "")
        behind = path[len(prefix) :] if path.startswith(f"{prefix}/") else path  # some servers take it out themselves
        if scope["type"] == "http" and prefix and _is_own(behind, self.settings):
            state = {**scope.get("state", {}), "prefix": prefix}
            scope = {**scope, "path": behind, "raw_path": quote(behind).encode(), "root_path": "", "state": state}
        await self.app(scope, receive, send)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """An opened installation, and what its doors share."""

    house: House
    filing: Filing
    folder: Path
    settings: Settings
    metrics: Metrics
    visitors: Visitors
    answering: Answering
    decided: DecisionLog
    rehearsing: Rehearsing
    listed: DeletionDues
    brands: Brands
    turns: Turns
    siblings: Siblings | None
    credentials: Credentials
    dev: bool

    def public(self) -> list[Route]:
        """What a site's visitors are served."""
        site = self.settings.site
        own = site.own_origins()
        cpni, since = self.settings.cpni.module, self.settings.gpc.last_update
        steps = Steps(self.house.consent, self.visitors, self.house.codes, self.dev, cpni)
        acts = Acts(steps, self.metrics, own)
        visits = self._visits(self.options())
        pages = Pages(self.house.consent, self.visitors, self.metrics, own, acts.take, since, visits.remember)
        confirmation = Confirmation(self.house.consent, self.visitors, self.folder, enforced=site.enforce)
        marketing = Marketing(self.house.consent, self.visitors, self.metrics, own, cpni=cpni)
        status = Status(
            self.house.consent, self.visitors, self.metrics, visits,
            folder=self.folder, origins=own, frictionless=site.mode != "link",
        )  # fmt: skip
        unsubscribe = Unsubscribe(self.house.consent, self.metrics)
        proofs = ProofDownload(self.house.consent, own)
        data = AccessPage(steps, own)
        erasing = ErasePage(steps, own)
        seen = hosts.HostsSeen(hosts.Inventory(self.folder, self.house.consent.clock), self.metrics, own)
        return [
            Route("/privacy-choices", pages.show, methods=["GET"]),
            Route("/privacy-choices", pages.post, methods=["POST"]),
            Route("/privacy-choices/status", status.show),
            Route("/privacy-choices/observe", status.observe, methods=["POST"]),
            *(
                Route(f"/privacy-choices/{name}", status.preflight, methods=["OPTIONS"])
                for name in ("status", "observe", *(["hosts"] if site.inventory else []))
            ),
            *(Route(f"/privacy-choices/{name}", pages.file) for name in STATIC),
            Route("/privacy-choices/logo", pages.logo),
            Route("/privacy-choices/done/{event}", confirmation.show),
            Route("/privacy-choices/marketing", marketing.show, methods=["GET"]),
            Route("/privacy-choices/marketing", marketing.post, methods=["POST"]),
            Route("/privacy-choices/proof", proofs.post, methods=["POST"]),
            Route("/privacy-choices/data", data.show, methods=["GET"]),
            Route("/privacy-choices/data", data.post, methods=["POST"]),
            Route(f"{tokens.PATH}{{token}}", unsubscribe.show, methods=["GET"]),
            Route(f"{tokens.PATH}{{token}}", unsubscribe.post, methods=["POST"]),
            Route("/privacy-choices/erase", erasing.show, methods=["GET"]),
            Route("/privacy-choices/erase", erasing.post, methods=["POST"]),
            *self._opting_in(steps, acts, own),
            *self._log(),
            *([Route(hosts.PATH, seen.post, methods=["POST"])] if site.inventory else []),
            Route("/.well-known/gpc.json", pages.gpc_json),
            Route(DELETIONS, DsrDelete(published(self.settings, self.house.secrets)).get),
            *self._agents(),
            *self._ad_choices(),
        ]

    def _agents(self) -> list[Route]:
        """The doors of authorized agents: public, each closed while none is configured."""
        doors = AgentDoors(self.house.agents, self.house.consent, self.house.codes.kinds, self.metrics)
        one, agent = "/v1/data-rights-request/{request}", "/v1/agent/{agent}"
        return [
            Route("/v1/data-rights-request", doors.exercise, methods=["POST"]),
            Route(one, doors.status, methods=["GET"]),
            Route(one, doors.revoke, methods=["DELETE"]),
            Route(agent, doors.set_up, methods=["POST"]),
            Route(agent, doors.known, methods=["GET"]),
        ]

    def _opting_in(self, steps: Steps, acts: Acts, own: Sequence[str]) -> list[Route]:
        """Showing that a mailbox is one's own, and opting in."""
        codes = CodePage(steps, own)
        opting_in = OptInPage(steps, acts, own, self.folder)
        return [
            Route("/privacy-choices/code", codes.show, methods=["GET"]),
            Route("/privacy-choices/code", codes.post, methods=["POST"]),
            Route("/privacy-choices/opt-in", opting_in.show, methods=["GET"]),
            Route("/privacy-choices/opt-in", opting_in.post, methods=["POST"]),
            Route("/privacy-choices/opt-in/read", opting_in.read),
            Route("/privacy-choices/opt-in/confirm", opting_in.post, methods=["POST"]),
            Route("/privacy-choices/opt-in/done/{event}", opting_in.done),
        ]

    def _log(self) -> list[Route]:
        """The transparency log, as far as it is public."""
        public_entries = self.settings.ledger.public_entries
        door = LedgerDoor(self.house.consent.log_reader, self.credentials, public_entries=public_entries)
        return [
            Route("/ledger/checkpoint", door.checkpoint),
            Route("/ledger/tile/{path:path}", door.tile),
            Route("/privacy-choices/receipt/{event}", door.receipt),
            Route("/v1/receipts/{event}", door.keyed_receipt),
        ]

    def _ad_choices(self) -> list[Route]:
        """The DAA's participant endpoints, where the operator is one."""
        settings = self.settings.ad_choices
        if not settings.participant:
            return []
        options = AdChoicesOptions(**msgspec.structs.asdict(settings))
        doors = AdChoices(self.house.consent, self.visitors, self.metrics, options)
        return [
            Route(adchoices.PATH, doors.ask),
            Route(f"{adchoices.PATH}/verify", doors.verify),
            Route(f"{adchoices.PATH}/pr.png", doors.token, methods=["GET", "POST"]),
            Route(f"{adchoices.PATH}/app", doors.app, methods=["GET", "POST"]),
        ]

    def keyed(self) -> list[Route]:
        """What callers with a key ask, and what tells how things stand. The hot one first: they are tried in order."""
        house, metrics, credentials = self.house, self.metrics, self.credentials
        consent, codes, stated = house.consent, house.codes, self.settings.environment.name
        named = "dev" if self.dev and stated != FAKE else stated
        known = Installations(consent.checks, consent.people, house.writer, house.secrets, consent.clock)
        signed = self.settings.apps.assertions(), self.settings.apps.attestations()
        proofs = Proofs(consent, codes, signed, known, dev=self.dev)
        health = Health(
            consent=consent, telling=house.telling, credentials=credentials, counters=metrics, environment=named,
            shown=page.shipped_notices(), state=house.keeper, rehearsed=self.rehearsing,
            witnessed=house.witnessing, codes=codes, shadow=self.decided.shadow, listed=self.listed,
            verified=NightlyVerify(self.folder, consent.clock), epochs=EpochsAlarm(self.folder),
            others=self.siblings.others if self.siblings else None,
        )  # fmt: skip
        queries = DisclosureQueries(consent, credentials, proofs, self.folder)
        limits = (self.settings.share.max_rows, self.settings.share.max_mib * 2**20)
        share = ShareDoor(consent, house.sharing, self.filing, credentials, metrics, self.decided, *limits)
        return [
            *ad_routes(self.answering, house.disclosing, self.settings, credentials, house.sharing),
            Route("/v1/explain", ExplainDoor(consent, credentials).post, methods=["POST"]),
            *self._apps(proofs, known),
            *self._marketing(),
            *self._desk_calls(proofs),
            Route("/v1/codes", CodeCalls(consent, credentials, codes, self.settings.site.name).post, methods=["POST"]),
            Route("/v1/shares/{recipient}", share.post, methods=["POST"]),
            Route("/v1/shares/{recipient}/jobs/{job}/seal", share.seal, methods=["POST"]),
            Route("/v1/disclosures/query", queries.post, methods=["POST"]),
            *self._copies(),
            Route("/v1/self", health.self),
            Route("/livez", live),
            Route("/readyz", health.ready),
            Route("/metrics", health.metrics),
            Route("/openapi.json", _described),
        ]

    def _apps(self, proofs: Proofs, known: Installations) -> list[Route]:
        """The doors of apps and backends."""
        consent, credentials, metrics, settings = self.house.consent, self.credentials, self.metrics, self.settings
        apps = Apps(consent, known, proofs, metrics, settings.apps.sdks, alarm=settings.apps.strict_alarm)
        observing = Observe(consent, credentials, metrics, apps, remember_gpc=settings.browser.remember_gpc,
                            gpc_of_known=settings.signals.leaves_gpc)  # fmt: skip
        standing = StandingDoor(consent, credentials, metrics, proofs, apps, known)
        return [
            Route("/v1/choices", Choices(consent, credentials, metrics, proofs, apps).post, methods=["POST"]),
            Route("/v1/observe", observing.post, methods=["POST"]),
            Route("/v1/standing", standing.post, methods=["POST"]),
        ]

    def _desk_calls(self, proofs: Proofs) -> list[Route]:
        """The doors of the operator's desk."""
        consent, credentials, everyone = self.house.consent, self.credentials, self.settings.notice.told_everyone
        notifying = Notifying(self.house.writer, consent.recipients, consent.secrets, consent.clock, everyone)
        told = ToldDoor(consent, credentials, notifying)
        return [
            Route("/v1/links", Links(consent, credentials, proofs).post, methods=["POST"]),
            Route("/v1/notices", told.post, methods=["POST"]),
            Route("/v1/notices/due", told.due, methods=["GET"]),
            Route("/v1/access", Access(consent, credentials, proofs).post, methods=["POST"]),
            Route("/v1/erasures", Erasures(consent, credentials, proofs).post, methods=["POST"]),
            Route("/v1/reports/{year}", Reports(self.folder, credentials).get),
        ]

    def _tags(self, maker: str) -> list[Tags]:
        return [Tags(key, self.house.secrets.peppers) for key in keys_of_replica(self.house.secrets, maker)]

    def _copies(self) -> list[Route]:
        """For replicas: what changed, until when they may answer, and what they answered."""
        house, credentials = self.house, self.credentials
        door = ChangesDoor(house.consent, credentials, house.writer, house.keeper.moment, self._tags)
        batches = BatchesDoor(house.disclosing.handed_over, credentials)
        return [
            Route("/v1/changes", door.get),
            Route("/v1/leases", door.lease, methods=["POST"]),
            Route("/v1/disclosures/batches", batches.post, methods=["POST"]),
        ]

    def desk(self) -> list[Route]:
        """The officer's pages, where the operator has them."""
        if not self.settings.listen.desk:
            return []
        prove_desk(self.settings)
        from gateway.app.desk_routes import desk_routes  # noqa: PLC0415 - what it signs in with is optional

        return desk_routes(self.house, self.settings, self.folder, self.rehearsing)

    def asked_by_proxies(self) -> list[Route]:
        """Forward auth. Each takes any method: a proxy may ask with the page's own."""
        visits = self._visits(self.options())
        refused = self.settings.site.ad_paths
        return [
            Route("/authz/nginx", ForwardAuth(visits, nginx, "nginx", ad_paths=refused)),
            Route("/authz/forward", ForwardAuth(visits, forward, "forward", ad_paths=refused)),
            # Envoy reads 200 as a yes, and no other status.
            Route("/authz/envoy/{path:path}", ForwardAuth(visits, envoy, "envoy", status=200, ad_paths=refused)),
        ]

    def _marketing(self) -> list[Route]:
        site, consent, credentials = self.settings.site, self.house.consent, self.credentials
        texts = TextsDoor(consent, credentials, self.metrics, site.name, site.url)
        links = UnsubscribeLinks(consent, credentials, site.url)
        return [
            Route("/v1/texts", texts.post, methods=["POST"]),
            Route("/v1/unsubscribe-links", links.post, methods=["POST"]),
        ]

    def application(self, routes: list[Route]) -> ASGIApp:
        """These doors, with errors as problem documents and a fair queue for what opts out."""
        doors = Branded(DoorRouter(routes, page.handle_with_page), self.brands)
        queued = Queued(doors, self.turns, self.metrics, self.credentials)
        return Levelled(queued, Ticks() if self.settings.listen.level_answers else Ticks(0))

    def before(self, site: Any, options: Options) -> ConsentMiddleware:
        return ConsentMiddleware(site, self._visits(options))

    def _visits(self, options: Options) -> Visits:
        consent = self.house.consent
        return Visits(consent, self.visitors, self.metrics, options, log=self.decided, turns=self.turns)

    def options(self, **more: Any) -> Options:
        """The middleware's options as configured; `more` is what only the site can say."""
        settings, site = self.settings, self.settings.site
        configured = {
            "enforce": site.enforce, "cached": site.cached, "inventory": site.inventory,
            "add_gpc": settings.gpc.add_for_opted_out, "place_in_key": settings.place_key(),
            "service_workers": site.service_workers, "gpc_of_known": settings.signals.leaves_gpc, **more,
        }  # fmt: skip
        return Options(remember_gpc=settings.browser.remember_gpc, hosts=settings.provider_hosts(), **configured)


def _whereabouts(settings: Settings, places: Places) -> FromScope:
    """Where visitors are: as the operator's proxy says, or as their addresses tell."""
    peers, names = Peers(settings.listen.trusted_proxies), settings.places.headers()
    return place_by_header(names, peers) if names else place_by_address(places, peers)


def _turns(settings: Settings, clock: Clock, siblings: Siblings | None) -> Turns:
    secret = siblings.secret if siblings else b""
    return Turns(Sources(Peers(settings.listen.trusted_proxies), clock, secret))


@contextlib.asynccontextmanager
async def _opened(
    folder: Path, settings: Settings, metrics: Metrics, *, dev: bool, clock: Clock,
    account: FromScope | None = None, place: FromScope | None = None, tell: Callable[[str], None] = watch.log,
    checks_as: type[Checks] = Checks, siblings: Siblings | None = None,
) -> AsyncIterator[Doors]:  # fmt: skip
    deciding, shown = in_force(settings, dev=dev), page.shipped_notices()
    shadow = Shadow(settings.shadow.until, clock)
    metrics.shadow.set_function(shadow.on)
    if shadow.on():
        log.warning("shadow mode", rule="shadow.until", why=shadow.told(), then="gateway report shadow")
    async with contextlib.AsyncExitStack() as stack:
        house = stack.enter_context(open_house(
            folder, settings, dev=dev, clock=clock, patient=True, tell=tell, checks_as=checks_as,
            disclosed=metrics.disclosed, tried=metrics.tried,
        ))  # fmt: skip
        await asyncio.to_thread(log_own_rows, settings)
        stack.callback(metrics.watch, _is_over, _is_over)
        metrics.watch(house.fresh, house.consent.keeps)
        logging_notices = await log_notices(house.consent)
        rehearsing = Rehearsing(
            folder, house.writer, deciding, clock, partial(rehearse, RehearsalOrder(settings)),
            every=0 if dev else settings.rehearsal.every_hours, late=settings.rehearsal.alarm_after_hours,
        )  # fmt: skip
        evidence = Evidence(
            folder, house.writer, [*shown, *deciding], clock, counted=metrics.counted,
            off=off(house, rehearsing, shadow, enforced=dev or settings.site.enforce),
        )  # fmt: skip
        await asyncio.to_thread(evidence.start)
        stack.push_async_callback(asyncio.to_thread, evidence.stop)
        if logging_notices:  # it writes to the house, and so ends long before it
            stack.callback(logging_notices.cancel)
        stack.push_async_callback(house.codes.close)
        stack.push_async_callback(house.sharing.close)
        visitors = Visitors(
            house.consent, site_ids=settings.browser.site_ids, account_header=settings.account.header, account=account,
            place=place or _whereabouts(settings, house.consent.checks.places),
        )  # fmt: skip
        filing = Filing(house.sharing, folder, house.secrets, clock)
        decided = DecisionLog(folder, house.consent.recipients, clock, metrics.unlogged.inc, shadow, metrics.in_shadow)
        listed = DeletionDues(house.writer.store, clock)
        own, turns = (house.telling, house.witnessing, house.disclosing), _turns(settings, clock, siblings)
        for each in (*own, filing, decided, rehearsing, house.agents, listed, turns, house.writer):  # ends first
            await stack.enter_async_context(each.running())
        await asyncio.to_thread(page.compile_pages)
        yield Doors(
            house=house, filing=filing, folder=folder, settings=settings, metrics=metrics, visitors=visitors,
            answering=Answering(house.consent, house.disclosing, metrics, decided), rehearsing=rehearsing, dev=dev,
            decided=decided, siblings=siblings, turns=turns, listed=listed,
            credentials=Credentials(folder, dev=dev), brands=await asyncio.to_thread(brands_of, settings),
        )  # fmt: skip


def build(
    folder: Path, settings: Settings, addresses: Addresses, *, dev: bool = False, tracker: str = "",
    clock: Clock = now, tell: Callable[[str], None] = watch.log, faked: type[Checks] | None = None,
    place: FromScope | None = None, siblings: Siblings | None = None,
) -> Any:  # fmt: skip
    """The service alone, with no site behind it. `tracker` is the demo's second origin (development only). `tell` is
    told why the ledger must not be used, whenever that changes: then the service runs, denies everything and keeps
    opt-outs beside it. `faked`: who answers checks, on any address (`gateway.app.fake`). `place`: where visitors are,
    whatever their address. `siblings`: the other processes that serve the same folder.
    """
    metrics, calls = Metrics(), Calls()
    if siblings:
        siblings.tells(metrics.shared)

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[Any]:
        somewhere = (lambda _: DEMO_PLACE) if dev else place
        opened = _opened(
            folder, settings, metrics, dev=dev, clock=clock, place=somewhere, tell=tell, checks_as=faked or Checks,
            siblings=siblings,
        )  # fmt: skip
        async with opened as doors:
            desk = await asyncio.to_thread(doors.desk)
            served = [*doors.keyed(), *doors.asked_by_proxies(), *doors.public(), *desk]
            calls.add(calls_among(served))
            log.info("pages", rule=doors.options().rule())
            if dev:
                options = doors.options(enforce=True, place_in_key=SAME)
                behind = doors.before(demo.site(tracker), options)
                served += [Route("/", _to_demo), Route("/demo", behind), Route("/demo/second", behind)]
            yield doors.application(served)

    shield = _shield(settings, dev=dev)
    return Edge(
        Service(running), metrics, addresses.of, guard=edge.loopback_only if dev and not faked else None, calls=calls,
        shield=lambda scope: None if scope["path"].startswith(THE_SITES) else shield,
    )  # fmt: skip


def _shield(settings: Settings, *, dev: bool = False) -> Shield:
    framed_by = settings.site.origins if settings.browser.embedded else ()
    return Shield(Peers(settings.listen.trusted_proxies), "" if dev else settings.site.hsts, framed_by)


def tell_unsaid(settings: Settings, on: date) -> None:
    """At a start, what is shut because nobody said it, and what this machine cannot sign."""
    for each in unsaid(settings, on):
        if each.shuts:
            log.warning("shut until it is said", rule=each.option, why=each.why, then=f"write {each.write}")
    if not mldsa_here():
        log.warning("signed by Ed25519 alone", why=NOT_HERE, then="gateway help proofs")


def in_front_of(
    site: Any, data: str | Path, *, config: str | Path | None = None,
    account: FromScope | None = None, place: FromScope | None = None,
) -> Any:  # fmt: skip
    """An ASGI site with the gateway before it, in the site's own process: the choices page and `gpc.json` are served,
    every other request is heard and handed on. `account` and `place` read the ASGI scope: who is signed in, and where
    the visitor is known to be (`US-CA`). `scope["state"]["gateway_checker"]` is for `gateway.client.Client.over`. The
    folder is made beforehand by `gateway migrate`.
    """
    settings = settings_of.load_settings(Path(config) if config else None, os.environ)
    metrics = Metrics()

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[Any]:
        opened = _opened(Path(data), settings, metrics, dev=False, clock=now, account=account, place=place)
        async with opened as doors:
            own, behind = doors.application(doors.public()), doors.before(site, doors.options())
            tell_unsaid(settings, now().date())
            log.info("pages", rule=doors.options().rule())
            asked, named = bids(doors.answering, settings), settings.environment.name
            checker = InProcessChecker(doors.answering, asked, named, doors.house.disclosing)

            async def serve(scope: Scope, receive: Any, send: Any) -> None:
                mine = scope["type"] == "http" and _is_own(scope["path"], settings)
                state = scope.get("state", {}) if mine else {**scope.get("state", {}), "gateway_checker": checker}
                await (own if mine else behind)({**scope, "state": state}, receive, send)

            yield serve

    everywhere = frozenset({PUBLIC, INTERNAL, METRICS})  # the site may have paths of any name
    shield = _shield(settings)
    return Mounted(Edge(
        Service(running, site), metrics, lambda _: everywhere, logged=False,
        shield=lambda scope: shield if _is_own(scope["path"], settings) else None,
    ), settings)  # fmt: skip


async def _described(_: Request) -> Response:
    return Response(orjson.dumps(openapi.document()), media_type="application/json")


async def _to_demo(_: Request) -> Response:
    return RedirectResponse("/demo")
