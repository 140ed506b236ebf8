"""The composition root: the only place that reads the clock, the keys and the settings and ties the rooms together."""

import contextlib
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import maxminddb
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway import keys
from gateway.check import Checks
from gateway.choice import law
from gateway.choice.law import LawTable
from gateway.choice.verdict import Office
from gateway.consent import Consent
from gateway.credentials import Credentials
from gateway.delivery.forward import Forwarder
from gateway.keys import Secrets
from gateway.ledger import rotate, schema
from gateway.ledger.table import StandingTable
from gateway.ledger.watch import FileWatch
from gateway.ledger.writer import Writer
from gateway.people import People
from gateway.places import AddressBook, Places, boundaries
from gateway.settings import Settings
from gateway.sharing import Sharing
from gateway.vault.persons import Vault
from gateway.web import demo, edge, notices, openapi, problem
from gateway.web.check import CheckDoor
from gateway.web.choices import Choices
from gateway.web.edge import INTERNAL, METRICS, PUBLIC, Edge, Scope
from gateway.web.health import Health
from gateway.web.links import Links
from gateway.web.metrics import Metrics
from gateway.web.middleware import ConsentMiddleware, Options
from gateway.web.pages import Pages, PageSettings
from gateway.web.share import ShareDoor
from gateway.web.visitor import Visitors

Clock = Callable[[], datetime]
DEMO_PLACE = "US-CA"  # where the demo site says that its visitors are; a real site knows this from its own network


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class House:
    """One installation, opened: what the command line and the service share."""

    consent: Consent
    sharing: Sharing
    vault: Callable[[], Vault]
    writer: Writer
    secrets: Secrets


@contextlib.contextmanager
def open_house(folder: Path, settings: Settings, *, dev: bool = False, clock: Clock = now) -> Iterator[House]:
    """Opens the data folder and closes it again, writer first, watch last. Raises `SecretsMissing` or
    `LedgerRefused`, each with the command that helps.
    """
    secrets = keys.load(folder)
    watch = FileWatch(folder, len(secrets.peppers))
    schema.open_to_write(folder).close()  # every gate, before anything is answered
    watch.start()
    table = StandingTable(folder, watch)

    def vault() -> Vault:
        return Vault(folder, secrets.wraps)

    writer = Writer(folder, vault, watch)
    people = People(secrets, clock, settings.identifiers.declared, settings.phone.country)
    places = _places(settings)
    laws = law_table()
    checks = Checks(
        table,
        people,
        lambda: Office(laws, clock().date(), settings.age.floor),
        settings.registry(dev=dev),
        places,
    )
    window = timedelta(milliseconds=settings.share.send_window_ms)
    sharing = Sharing(
        checks=checks, people=people, writer=writer, forwarder=Forwarder(), clock=clock, send_window=window
    )
    consent = Consent(checks=checks, people=people, writer=writer, secrets=secrets, clock=clock, send_window=window)
    try:
        yield House(consent, sharing, vault, writer, secrets)
    finally:
        writer.close()
        table.close()
        watch.stop()


def migrate(folder: Path) -> int:
    """Makes an installation, or brings an old one up to date. Returns the ledger's version."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        secrets = keys.load(folder)
    except keys.SecretsMissing:
        if (folder / schema.FILE).exists():
            # New secrets beside an old ledger would find nobody: every opt-out in it would be lost to sight.
            raise
        secrets = keys.create(folder)
    return schema.migrate(folder, len(secrets.peppers))


def rotate_pepper(folder: Path) -> tuple[int, int]:
    """A new pepper, or the rest of a rotation that was cut off. Returns (standings, peppers)."""
    with contextlib.closing(schema.open_to_read(folder)) as db:
        applied = int(db.execute("SELECT peppers FROM head").fetchone()[0])
    secrets = keys.load(folder)
    if len(secrets.peppers) == applied:
        secrets = keys.add_pepper(folder)
    fresh, total = secrets.peppers[applied:], len(secrets.peppers)
    watch = FileWatch(folder, applied)
    watch.start()
    writer = Writer(folder, lambda: Vault(folder, secrets.wraps), watch)
    try:
        done = writer.submit(lambda tx: rotate.rewrap(tx, lambda key: keys.wrap(key, fresh), total)).result()
    finally:
        writer.close()
        watch.stop()
    return done, total


def law_table() -> LawTable:
    """The dated tables beside the room that reads them."""
    folder = resources.files("gateway.choice") / "tables"
    return law.parse(tomllib.loads(item.read_text()) for item in folder.iterdir() if item.name.endswith(".toml"))


def _places(settings: Settings) -> Places:
    book: AddressBook | None = None
    if settings.places.database:
        book = maxminddb.open_database(settings.places.database)
    path = settings.places.boundaries
    outlines = boundaries(orjson.loads(Path(path).read_bytes())) if path else []
    return Places(book, outlines)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Which listener a local port is; in development one port is public and internal at once."""

    by_port: dict[int, frozenset[str]]

    def of(self, scope: Scope) -> frozenset[str]:
        server = scope.get("server") or ("", None)
        return self.by_port.get(server[1] or 0, frozenset({INTERNAL}))


def build(
    folder: Path, settings: Settings, addresses: Addresses, *, dev: bool = False, tracker: str = "",
    clock: Clock = now,
) -> Any:  # fmt: skip
    """The ASGI application. `tracker` is the demo's second origin (development only)."""
    metrics = Metrics()
    shown = notices.shipped()

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[Any]:
        with open_house(folder, settings, dev=dev, clock=clock) as house:
            await house.consent.log(shown)
            yield _routes(house, folder, settings, metrics, dev=dev, tracker=tracker)
            await house.sharing.close()

    return Edge(Service(running), metrics, addresses.of, guard=edge.loopback_only if dev else None)


class Service:
    """Speaks ASGI's lifespan: what `running` yields answers every request between start and stop. One Starlette
    around another would do the same and cost every check about 30 us.
    """

    def __init__(self, running: Callable[[], contextlib.AbstractAsyncContextManager[Any]]) -> None:
        self._running = running
        self._app: Any = None

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._app(scope, receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            async with self._running() as self._app:
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except (keys.SecretsMissing, schema.LedgerRefused) as refused:
            await send({"type": "lifespan.startup.failed", "message": str(refused)})
            return
        await send({"type": "lifespan.shutdown.complete"})


def _routes(house: House, folder: Path, settings: Settings, metrics: Metrics, *, dev: bool, tracker: str) -> Any:
    consent = house.consent
    credentials = Credentials(folder, dev=dev)
    visitors = Visitors(
        consent, site_ids=settings.browser.site_ids, account_header=settings.account.header,
        accept_folded_gpc=settings.gpc.accept_folded,
    )  # fmt: skip
    page = PageSettings(folder, settings.site.policy_url, settings.site.origins, settings.gpc.last_update)
    pages = Pages(consent, visitors, metrics, page)
    shown = notices.shipped()
    health = Health(consent, credentials, metrics, shown, "dev" if dev else "production")
    share = ShareDoor(
        consent, house.sharing, credentials, metrics,
        max_rows=settings.share.max_rows, max_bytes=settings.share.max_mib * 2**20,
    )  # fmt: skip
    routes: list[Route] = [
        Route("/privacy-choices", pages.show, methods=["GET"]),
        Route("/privacy-choices", pages.post, methods=["POST"]),
        Route("/privacy-choices/status", pages.status),
        Route("/privacy-choices/choices.css", pages.style),
        Route("/privacy-choices/done/{event}", pages.done),
        Route("/.well-known/gpc.json", pages.gpc),
        Route("/v1/choices", Choices(consent, credentials, metrics, dev=dev).post, methods=["POST"]),
        Route("/v1/links", Links(consent, credentials).post, methods=["POST"]),
        Route("/v1/check", CheckDoor(consent, credentials, metrics).post, methods=["POST"]),
        Route("/v1/shares/{recipient}", share.post, methods=["POST"]),
        Route("/v1/self", health.self),
        Route("/livez", health.live),
        Route("/readyz", health.ready),
        Route("/metrics", health.metrics),
        Route("/openapi.json", _described),
    ]
    if dev:
        options = Options(
            place=lambda _: DEMO_PLACE, remember_gpc=settings.browser.remember_gpc, enforce=True,
            hosts=settings.provider_hosts(),
        )  # fmt: skip
        behind = ConsentMiddleware(demo.site(tracker), consent, visitors, metrics, options)
        routes += [Route("/", _to_demo), Route("/demo", behind), Route("/demo/second", behind)]
    handlers: dict[Any, Any] = dict.fromkeys(problem.HANDLED, problem.handle)
    return Starlette(routes=routes, exception_handlers={**handlers, Exception: problem.handle})


async def _described(_: Request) -> Response:
    return Response(orjson.dumps(openapi.document()), media_type="application/json")


async def _to_demo(_: Request) -> Response:
    return RedirectResponse("/demo")


__all__ = ["METRICS", "PUBLIC", "Addresses", "build", "migrate", "now", "open_house"]
