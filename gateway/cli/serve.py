"""`gateway serve` and `gateway migrate`."""

import os
import socket
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
import uvicorn

from gateway import app as composition
from gateway import fake, service
from gateway import settings as settings_of
from gateway.cli import logs, options
from gateway.ledger import schema
from gateway.option_tree import SettingsRefused
from gateway.settings import Listen, Settings
from gateway.web import demo
from gateway.web.edge import INTERNAL, METRICS, PUBLIC, Addresses
from gateway.web.protocol import Protocol

RESET_BUG = (  # ledger.md 3.1
    "this SQLite has the WAL-reset bug; the writers' lock keeps it from biting: let nothing else write to the ledger"
)
DRAIN = 5  # seconds that open requests get at a stop


@click.command(help="Make the installation's folder, or bring an older one up to date.")
@options.data
@options.config
@click.option(
    "--origin",
    default="",
    help="The log's name for ever, without a scheme: consent.example.com/log/2026. Outside production the name of the"
    " [environment] is put behind it.",
)
def migrate(data: Path, file: Path | None, origin: str) -> None:
    name = settings_of.load(file, os.environ).environment.log_name(origin)
    click.echo(f"{data}: ledger version {composition.migrate(data, name)}")


@click.command(
    help="Start the gateway. With --dev: on this machine's loopback only, with a demo site, the key `dev.dev` for every"
    " scope, contracts filled in, and a folder that it makes itself."
)
@options.data
@options.config
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
@click.option("--unix", type=click.Path(path_type=Path), help="Also serve /v1 on this socket.")
def serve(data: Path, file: Path | None, dev: bool, faked: bool, port: int | None, unix: Path | None) -> None:
    if port is not None and not (dev or faked):
        raise click.UsageError("--port is for --dev and --fake; else [listen] says where (GATEWAY_LISTEN__PUBLIC, …)")
    port = 8080 if port is None else port
    logs.configure()
    settings = settings_of.load(file, os.environ)
    if faked:
        built = fake.application(settings, data, production=file is not None and settings.environment.is_production)
        sockets = [bind_one(f":{port}"), *([bind_unix(unix)] if unix else [])]
        logs.log.info("listening", on=f"port {port}", serves="a fake: no answer here is anybody's")
        run(built, sockets, settings)
        return
    if dev:
        composition.migrate(data)
        name = f"127.0.0.1:{port}"
        metrics = f"127.0.0.1:{port + 1}" if port else "127.0.0.1:0"
        listen = msgspec.structs.replace(settings.listen, public=name, internal=name, metrics=metrics)
    else:
        listen = settings.listen
    sockets, ports = _bind(listen)
    if unix:
        sockets.append(bind_unix(unix))
    tracker = _tracker(sockets) if dev else None
    built = service.build(
        data, settings, Addresses(ports), dev=dev,
        tracker=f"http://127.0.0.1:{tracker}" if tracker else "", tell=_tell_refused,
    )  # fmt: skip
    app = ByPort(built, {tracker: demo.tracker()}) if tracker else built
    _say(sockets, ports, settings, tracker)
    if schema.has_reset_bug():
        logs.log.warning(RESET_BUG, error=f"SQLite {sqlite3.sqlite_version}")
    run(app, sockets, settings)


class ByPort:
    """Hands a request to the application of the port that it came in on."""

    def __init__(self, app: Any, others: Mapping[int, Any]) -> None:
        self._app = app
        self._others = others

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        server = scope.get("server") or ("", None)
        await self._others.get(server[1] or 0, self._app)(scope, receive, send)


def _bind(listen: Listen) -> tuple[list[socket.socket], dict[int, frozenset[str]]]:
    """A socket an address. Two names for one address share it."""
    wanted: dict[str, set[str]] = {}
    for name, address in ((PUBLIC, listen.public), (INTERNAL, listen.internal), (METRICS, listen.metrics)):
        wanted.setdefault(address, set()).add(name)
    sockets, ports = [], {}
    for address, names in wanted.items():
        bound = bind_one(address)
        sockets.append(bound)
        ports[bound.getsockname()[1]] = frozenset(names)
    if len(ports) < len(wanted):
        raise SettingsRefused("listen: public, internal and metrics on one port number cannot be told apart")
    return sockets, ports


def bind_one(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    # The protocol is named because asyncio sets TCP_NODELAY only where it is: without it a keep-alive client that
    # acknowledges late waits 40 ms for each answer (measured).
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host or "0.0.0.0", int(port)))  # noqa: S104 - an empty host in the file means every interface
    except OSError as error:
        raise SettingsRefused(f"{address} cannot be listened on: {error.strerror}") from error
    return bound


def bind_unix(path: Path) -> socket.socket:
    """Takes the place of a socket that a process of before left. Raises `SettingsRefused` for one that somebody listens
    on, whose callers would be cut off without a word, and for a file that is none.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        taken = _taken(path)
        if not taken:
            path.unlink(missing_ok=True)
            bound.bind(str(path))
    except OSError as error:
        taken = f"{path} cannot be listened on: {error.strerror or error}"
    if taken:
        bound.close()
        raise SettingsRefused(taken)
    return bound


def _taken(path: Path) -> str:
    """Why a path may not become our socket; empty where it may. Raises OSError."""
    if path.exists() and not path.is_socket():
        return f"{path} is no socket: name a path where nothing is"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1.0)  # of one that hangs nobody can tell: an OSError, told as such
        try:
            asking.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return ""
    return f"{path} is another process's: stop that one, or name another path"


def _tell_refused(why: str) -> None:
    """Why the ledger must not be used, and the command that helps: in the log and on a terminal."""
    logs.log.error("refused", error=why)
    click.echo(f"gateway: {why}", err=True)


def _tracker(sockets: list[socket.socket]) -> int:
    bound = bind_one("127.0.0.1:0")
    sockets.append(bound)
    return int(bound.getsockname()[1])


def _say(
    sockets: list[socket.socket], ports: Mapping[int, frozenset[str]], settings: Settings, tracker: int | None
) -> None:
    for bound in sockets:
        name = bound.getsockname()
        if isinstance(name, str):
            logs.log.info("listening", on=name, serves="internal")
        elif name[1] != tracker:
            logs.log.info("listening", on=f"http://{name[0]}:{name[1]}", serves=", ".join(sorted(ports[name[1]])))
    if tracker:
        logs.log.info("demo", on=f"http://127.0.0.1:{tracker}", serves="the demo's second origin")
    for name, recipient in settings.registry().items():
        if recipient.role != "legal" and not recipient.contract and tracker is None:
            logs.log.warning("no contract: nothing goes there", recipient=name)


def run(app: Any, sockets: list[socket.socket], settings: Settings) -> None:
    config = uvicorn.Config(
        app, http=Protocol, loop="asyncio", ws="none", lifespan="on", log_config=None, access_log=False,
        proxy_headers=False, server_header=False, timeout_keep_alive=settings.listen.keep_alive,
        timeout_graceful_shutdown=DRAIN,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.run(sockets=sockets)
    if not server.started:
        sys.exit(3)
