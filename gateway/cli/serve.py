"""`gateway serve`, `config`, `replica` and `witness`: what runs, and what is checked before it does.

`config` reads a configuration without starting anything; `replica` is a sidecar that answers checks beside an ad
server, and `replica enrol` makes what it is given once; `witness` watches other people's logs, so that none of them can
show two different pasts.

Log lines are JSON on a pipe, text on a terminal, and nothing personal in either: `redact_log` keeps the fields that are
named here and drops every other, so that a forgotten field costs a log line a detail and nobody their privacy.
"""

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import click
import msgspec
import structlog
import uvicorn
from starlette.applications import Starlette

from gateway.app import composition, fake, service
from gateway.app.brands import brands_of
from gateway.app.composition import now
from gateway.app.from_settings import prove
from gateway.app.in_force import in_force
from gateway.app.law_tables import law_table, told_of_own
from gateway.app.listening import bind_all, bind_one, bind_unix
from gateway.app.replica import Replica, application
from gateway.app.workers import NOT_STARTED, Siblings, Supervisor
from gateway.cli import options
from gateway.cli.log_lines import LogLines, OthersWords, as_json, noted
from gateway.cli.root import told_refusal
from gateway.consent import decisions
from gateway.consent.shadow import Shadow
from gateway.disk import write_durably
from gateway.keys import api_keys, seals, secret_files
from gateway.keys.seals import Enrolment
from gateway.ledger import folder_store, schema
from gateway.ledger.audit import witness as witnessing
from gateway.ledger.audit.witness import InUse, KeyRefused, Witness
from gateway.ledger.folder_store import store_in
from gateway.ledger.proof import mldsa, verifier_keys
from gateway.ledger.proof.ed25519 import Cosigner
from gateway.ledger.proof.mldsa import MldsaSigner
from gateway.settings import load as settings_of
from gateway.settings.load import Settings
from gateway.settings.unsaid import unsaid
from gateway.terms import Unusable
from gateway.web.api import log as door
from gateway.web.shell import edge
from gateway.web.shell.edge import Addresses
from gateway.web.shell.protocol import Protocol
from gateway.web.site import demo

NO_PLACE = (  # R13: the strictest regime; whoever mounts the gateway wonders why no page may show an ad
    "  visitors: without [places] header or database their place is unknown, unless the site's code tells it: nothing"
    " may be done for them on pages until they allow it"
)


@click.group(help="The configuration.")
def config() -> None:
    pass


@config.command(
    help="Read a file, under the environment, and say what is wrong; or what holds, what is shut until you say more and"
    " what is left out (gateway help config)."
)
@click.argument("file", required=False, type=options.FILE)
def check(file: Path | None) -> None:
    settings = options.stated_settings(file)
    law_table(settings)
    prove(settings, now().date())
    in_force(settings)
    brands_of(settings)  # reads the logos
    click.echo("the configuration can be used")
    for name, recipient in settings.registry().items():
        what = recipient.contract or ("needs none" if recipient.role == "legal" else "NO CONTRACT: nothing goes")
        click.echo(f"  {name}: {recipient.role}, {', '.join(recipient.purposes)}; contract: {what}")
    for said in told_of_own(settings):
        click.echo(f"  law: {said}")
    if settings.shadow.until:
        told = Shadow(settings.shadow.until, now).told()
        click.echo(f"  {told or f'shadow mode ended with {settings.shadow.until}: everything is enforced'}")
    if not (settings.places.header or settings.places.database):
        click.echo(NO_PLACE)
    missing = unsaid(settings, now().date())
    for title, shuts in (("shut until you say more:", True), ("left out until you say more:", False)):
        lines = [f"  {each.line}" for each in missing if each.shuts is shuts]
        click.echo("\n".join([title, *lines])) if lines else None


@config.command(help="Print a full example: every option, explained, as one operator may have it.")
def show() -> None:
    click.echo(settings_of.example(), nl=False)


KEPT = frozenset(
    {"event", "level", "timestamp", "route", "method", "status", "ms", "id", "on", "serves", "recipient", "error",
     "exception", "entries", "logger", "why", "witness", "asked", "then", "rule", "key"}
)  # fmt: skip

log = structlog.get_logger("gateway")


def redact_log(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Only the fields of `KEPT` that say anything."""
    return {name: value for name, value in event.items() if name in KEPT and value is not None}


def configure_log() -> None:
    """For the service; commands print plainly."""
    terminal = sys.stdout.isatty()
    show: Any = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(as_json)
    structlog.configure(
        processors=[noted],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=LogLines(sys.stdout, lambda event: show(None, "", redact_log(None, "", event))),
        cache_logger_on_first_use=True,
    )
    # uvicorn's own words: errors and failed starts. Its access log, with paths and addresses, is off.
    logging.basicConfig(level=logging.WARNING, handlers=[OthersWords()])


@contextlib.contextmanager
def logged() -> Iterator[None]:
    """Around what serves: why it does not start is a line of its log like all others, and on a terminal a sentence."""
    configure_log()
    try:
        yield
    except (Unusable, OSError) as refused:
        if isinstance(refused, OSError) and refused.errno is None:
            raise  # none of the system's: a fault of ours
        if not sys.stdout.isatty():
            log.error("not started", error=told_refusal(refused))  # noqa: TRY400 - the stack says no more
        if sys.stdout.isatty() or sys.stderr.isatty():
            raise
        sys.exit(NOT_STARTED)


RESET_BUG = (
    "this SQLite has the WAL-reset bug; the writers' lock keeps it from biting: let nothing else write to the ledger"
    " (gateway help install)"
)
DRAIN = 13  # seconds that open requests get at a stop: a commit is waited for ten, leases two and a half
LINGER = 2.0  # seconds in which who has a connection to a worker that ends may ask once more, before it is closed
GARBAGE = 20_000  # objects that are made and not let go, between two looks for what only a cycle holds
TURNS = 4  # of the event loop: what was taken in one begins in the next
# Of uvicorn: its access log, with paths and addresses, is off, and what an address is said to be is ours to read.
PLAIN: dict[str, Any] = {
    "loop": "asyncio", "ws": "none", "log_config": None, "access_log": False, "proxy_headers": False,
    "server_header": False,
}  # fmt: skip
SPAWN = multiprocessing.get_context("spawn")  # never a fork: the parent has threads, and its memory is not theirs


@click.command(
    help="Start the gateway. With --dev: on this machine's loopback only, with a demo site, the key `dev.dev` for every"
    " scope, contracts filled in, and a folder that it makes itself."
)
@options.installation
@click.option("--dev", is_flag=True, help="For trying out and for tests; never reachable from outside.")
@click.option(
    "--fake",
    "faked",
    is_flag=True,
    help="For callers' tests, on any address: a ledger that begins empty and goes with it, fixed answers for the"
    " accounts test-allow, test-deny and test-minor (gateway help ask).",
)
@click.option(
    "--port",
    type=int,
    help="With --dev: the port; metrics on the next. With --fake: the port, on every address. 8080 if none is said.",
)
@click.option("--unix", type=options.PATH, help="Also serve /v1 on this socket.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that serve the folder together, one for each core that they may use. SIGHUP renews them one after"
    " the other, without a refused request (gateway help operate).",
)
def serve(
    data: Path, file: Path | None, dev: bool, faked: bool, port: int | None, unix: Path | None, workers: int
) -> None:
    if port is not None and not (dev or faked):
        raise click.UsageError("--port is for --dev and --fake; else [listen] says where (GATEWAY_LISTEN__PUBLIC, …)")
    if faked and workers > 1:
        raise click.UsageError("--fake is one process: its ledger goes with it")
    port = 8080 if port is None else port
    with logged():
        settings = options.stated_settings(file, dev=dev or faked)
        if faked:
            _serve_fake(settings, data, file, port, unix)
        else:
            _serve_folder(settings, data, unix, port if dev else None, workers)


def _serve_fake(settings: Settings, data: Path, file: Path | None, port: int, unix: Path | None) -> None:
    built = fake.application(settings, data, production=options.is_stated(file) and settings.environment.is_production)
    sockets = [bind_one(f":{port}"), *([bind_unix(unix)] if unix else [])]
    run(
        built, sockets, settings,
        lambda: log.info("listening", on=f"port {port}", serves="a fake: no answer here is anybody's"),
    )  # fmt: skip


def _serve_folder(settings: Settings, data: Path, unix: Path | None, port: int | None, workers: int) -> None:
    """`port`: of `--dev`."""
    dev = port is not None
    if dev:
        stands, kept = settings.store, composition.store_of(data, settings)
        composition.migrate(data, url=stands.url, owner=stands.owner, checkpoints=kept)
        name = f"127.0.0.1:{port}"
        metrics = f"127.0.0.1:{port + 1}" if port else "127.0.0.1:0"
        listen = msgspec.structs.replace(settings.listen, public=name, internal=name, metrics=metrics)
    else:
        listen = settings.listen
    sockets, ports = bind_all(listen)
    if unix:
        sockets.append(bind_unix(unix))
    tracker = _tracker(sockets) if dev else None
    order = ServeOrder(data, settings.source.file, settings.source.text, ports, tracker, dev, os.urandom(32))
    if not dev:
        service.tell_unsaid(settings, now().date())
    threading.Thread(target=_tell_of_roles, args=(data,), daemon=True).start()
    if schema.has_reset_bug():
        log.warning(RESET_BUG, error=f"SQLite {sqlite3.sqlite_version}")
    say = partial(_say, sockets, ports, tracker)
    if workers > 1:
        sys.exit(Supervisor(workers, order, partial(start_worker, sockets), order.renewed, say).run())
    run(order.application(settings), sockets, settings, say)


def _tell_of_roles(data: Path) -> None:
    """Beside the start: a server that is away keeps whoever asks waiting."""
    with contextlib.suppress(Unusable):
        if said := folder_store.role_warning(store_in(data)):
            log.warning(said)


@dataclass(frozen=True, slots=True)
class ServeOrder:
    """What a process is to serve, on which addresses. `text`: what stood in the configuration's file when it was read
    for all workers, so that one that takes another's place later answers by no other. `tracker`: the port of the demo's
    second origin; `secret`: what workers know senders by, in memory alone.
    """

    data: Path
    file: Path | None
    text: str = field(repr=False)
    ports: dict[int, frozenset[str]]
    tracker: int | None
    dev: bool
    secret: bytes = field(repr=False)

    def settings(self) -> Settings:
        """Raises `SettingsRefused`."""
        return settings_of.built_settings(tomllib.loads(self.text), os.environ, self.file, self.text)

    def renewed(self) -> "ServeOrder | None":
        """By what stands in the file now; None where that cannot be read, which is told."""
        try:
            return replace(self, text=settings_of.text_of(self.file))
        except Unusable as refused:
            _tell_refused(str(refused))
            return None

    def application(self, settings: Settings, siblings: Siblings | None = None) -> Any:
        tracker = f"http://127.0.0.1:{self.tracker}" if self.tracker else ""
        built = service.build(
            self.data, settings, Addresses(self.ports),
            dev=self.dev, tracker=tracker, tell=_tell_refused, siblings=siblings,
        )  # fmt: skip
        return ByPort(built, {self.tracker: demo.tracker()}) if self.tracker else built


def start_worker(sockets: list[socket.socket], order: ServeOrder) -> tuple[SpawnProcess, Connection]:
    """A process of its own for the supervisor, and the line to it."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=work, args=(order, sockets, theirs), name="gateway-worker")
    process.start()
    theirs.close()
    return process, ours


def work(order: ServeOrder, sockets: list[socket.socket], line: Connection) -> None:
    """What a worker does from its beginning to its end; what is configured it is told by its order."""
    for each in (signal.SIGHUP, signal.SIGINT):  # a terminal sends them to all; what follows says the parent
        signal.signal(each, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    configure_log()
    siblings = Siblings(line, order.secret)
    siblings.start()
    try:
        settings = order.settings()
        run(order.application(settings, siblings), sockets, settings, siblings=siblings)
    except Unusable as refused:
        _tell_refused(str(refused))
        sys.exit(NOT_STARTED)


class ByPort:
    """Hands a request to the application of the port that it came in on: the edge, or one of `others`."""

    def __init__(self, app: Any, others: Mapping[int, Any]) -> None:
        self._app = app
        self._others = others

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        server = scope.get("server") or ("", None)
        await self._others.get(server[1] or 0, self._app)(scope, receive, send)

    def at_once(self, path: str, fields: edge.Headers, body: bytes, server: tuple[str, int | None]) -> bytes | None:
        """As the edge; the others answer nothing so."""
        return None if server[1] in self._others else self._app.at_once(path, fields, body, server)


def _tell_refused(why: str) -> None:
    """Why the ledger must not be used, and the command that helps: in the log, and on a terminal without it. Never
    raises: whoever tells it goes on proving, also where a full disk holds what is told.
    """
    log.error("refused", error=why)
    if sys.stderr.isatty() and not sys.stdout.isatty():
        with contextlib.suppress(OSError, ValueError):
            click.echo(f"gateway: {why}", err=True)


def _tracker(sockets: list[socket.socket]) -> int:
    bound = bind_one("127.0.0.1:0")
    sockets.append(bound)
    return int(bound.getsockname()[1])


def _say(sockets: list[socket.socket], ports: Mapping[int, frozenset[str]], tracker: int | None) -> None:
    """Once it listens, and not before: a start may fail."""
    for bound in sockets:
        name = bound.getsockname()
        if isinstance(name, str):
            log.info("listening", on=name, serves="internal")
        elif name[1] != tracker:
            log.info("listening", on=f"http://{name[0]}:{name[1]}", serves=", ".join(sorted(ports[name[1]])))
    if tracker:
        log.info("demo", on=f"http://127.0.0.1:{tracker}", serves="the demo's second origin")


def run(
    app: Any,
    sockets: list[socket.socket],
    settings: Settings,
    say: Callable[[], None] = lambda: None,
    *,
    siblings: Siblings | None = None,
) -> None:
    """`say` is called once it listens. `siblings`: other processes that go on listening on the same sockets."""
    keep_alive = settings.listen.keep_alive
    config = uvicorn.Config(
        app, http=Protocol, lifespan="on", timeout_keep_alive=keep_alive, timeout_graceful_shutdown=DRAIN, **PLAIN
    )
    server = WorkerServer(config, siblings) if siblings else LeanServer(config, say)
    server.run(sockets=sockets)
    if not server.started:
        sys.exit(NOT_STARTED)


class LeanServer(uvicorn.Server):
    """What was made by the start is not looked through for garbage again, and the rest less often: of a request hardly
    anything is in a cycle, and looking was a twentieth of the work.
    """

    def __init__(self, config: uvicorn.Config, say: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._say = say

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._say()
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE, *gc.get_threshold()[1:])


class WorkerServer(LeanServer):
    """One of several that listen on the same sockets. It ends without a refused request: whoever waits to be taken in
    is taken in by another; whoever has a connection gets every answer, the last one with `Connection: close`.
    """

    def __init__(self, config: uvicorn.Config, siblings: Siblings) -> None:
        super().__init__(config)
        self._siblings = siblings

    async def on_tick(self, counter: int) -> bool:
        if counter % 5 == 0:  # it ticks ten times a second
            await self._siblings.turn()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._siblings.ends()
        loop = asyncio.get_running_loop()
        for listener in [each for server in self.servers for each in server.sockets]:
            loop.remove_reader(listener.fileno())
        for _ in range(TURNS):  # asyncio drops a connection that it has taken and not begun when its server closes
            await asyncio.sleep(0)
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        until = loop.time() + LINGER
        while self.server_state.connections and loop.time() < until:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(LINGER / 100)
        await super().shutdown(sockets)
        await asyncio.to_thread(self._siblings.close)


@click.group(
    invoke_without_command=True,
    help="Answer checks here from a copy of the gateway's standings: /v1/check, /v1/checks and /v1/openrtb, on a socket"
    " or on this machine's loopback. See `gateway help replica`.",
)
@click.option("--of", "of", help="The gateway's internal address: http://10.0.0.5:8081.")
@click.option("--unix", type=options.PATH, help="Serve on this socket.")
@click.option("--port", type=int, help="Serve on this port of 127.0.0.1.")
@click.option("--enrolment", "file_of", type=click.Path(path_type=Path, exists=True), help="What `enrol` has made.")
@click.option("--secret-file", type=click.Path(path_type=Path, exists=True), help="What it opens with.")
@click.option("--dev", is_flag=True, help="For trying out: the key `dev.dev` calls it, contracts are filled in.")
@options.installation
@click.pass_context
def replica(
    context: click.Context,
    of: str | None,
    unix: Path | None,
    port: int | None,
    file_of: Path | None,
    secret_file: Path | None,
    dev: bool,
    data: Path,
    file: Path | None,
) -> None:
    if context.invoked_subcommand:
        return
    if not of or not file_of or not secret_file or (unix is None and port is None):
        raise click.UsageError("--of, --enrolment, --secret-file and one of --unix and --port are needed")
    sockets = list[socket.socket]()

    def say() -> None:
        for bound in sockets:
            log.info("listening", on=str(bound.getsockname()), serves="replica")

    with logged():
        settings = options.stated_settings(file, dev=dev)
        enrolled = seals.open_enrolment(file_of.read_text(encoding="utf-8"), secret_file.read_text(encoding="utf-8"))
        made = Replica(of, data, enrolled, settings, dev=dev, tell=lambda why: log.warning("stale", why=why))
        sockets += [bind_unix(unix)] if unix else []
        sockets += [bind_one(f"127.0.0.1:{port}")] if port is not None else []
        run(application(made, settings, data, dev=dev), sockets, settings, say)


@replica.command(
    help="Make what a replica is given once: a file, and a secret that is printed once and opens it. Send them on two"
    " ways. End the replica with `gateway keys revoke NAME`."
)
@options.data
@click.argument("name")
@click.option("--out", type=options.PATH, required=True, help="The file to make.")
def enrol(data: Path, name: str, out: Path) -> None:
    if out.exists():
        raise click.UsageError(f"{out} is there already")
    if not (data / secret_files.SECRETS).exists():
        raise click.UsageError(f"{data} is no gateway's folder: name the one that the replica is to follow (--data)")
    secrets = secret_files.load_secrets(data)
    try:
        key = api_keys.add_api_key(data, name, ["replica"], publishable=False)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    maker = key.partition(".")[0]
    enrolled = Enrolment(name, key, secrets.peppers, decisions.keys_of_replica(secrets, maker)[-1])
    text, secret = seals.seal_enrolment(enrolled)
    write_durably(out, text.encode(), exclusive=True)
    click.echo(secret)


@click.command(
    help="Run a witness: it signs a log's checkpoint when that grew out of the last one it signed. Makes its key at the"
    " first start and prints its two verifier keys (Ed25519, ML-DSA-44), of which the log's operator and the readers"
    " of receipts need one. Its folder must not be within reach of the logs' operators, and never be put back from a"
    " backup."
)
@click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), required=True, help="The witness's own folder."
)
@click.option("--port", type=int, default=8090, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="TLS is for a proxy before it.")
@click.option("--log", "vkeys", multiple=True, required=True, metavar="VKEY", help="A log's verifier key; repeatable.")
@click.option("--name", required=True, help="The witness's name, a URL without a scheme: witness.example.com/w1.")
def witness(state: Path, port: int, host: str, vkeys: tuple[str, ...], name: str) -> None:
    configure_log()
    try:
        with witnessing.held(state):
            app, own = _opened(state, vkeys, name)
            click.echo("\n".join(own))
            uvicorn.Server(uvicorn.Config(app, host, port, http="httptools", lifespan="off", **PLAIN)).run()
    except (InUse, OSError) as refused:
        raise click.ClickException(str(refused)) from refused


def _opened(state: Path, vkeys: tuple[str, ...], name: str) -> tuple[Starlette, list[str]]:
    """The application, and the witness's verifier keys: of Ed25519, and of ML-DSA-44 where this machine has it and the
    names have room in what it signs.
    """
    try:
        watched = [verifier_keys.log_key(text) for text in vkeys]
    except ValueError as refused:
        raise click.BadParameter(f"{refused}: <name>+<id>+<base64>", param_hint="--log") from refused
    try:
        signer = witnessing.load_or_make_key(state, name, lambda: int(time.time()))
    except ValueError as refused:
        raise click.BadParameter(str(refused), param_hint="--name") from refused
    except KeyRefused as refused:
        raise click.ClickException(str(refused)) from refused
    signers: list[Cosigner | MldsaSigner] = [signer]
    if mldsa.can_sign(name, *(log.name for log in watched)):
        signers.append(MldsaSigner(name, signer.seed, signer.clock))
    return door.application(Witness(state, signers, watched)), [each.vkey for each in signers]
