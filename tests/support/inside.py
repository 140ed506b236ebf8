"""An installation and its application inside the test's own process."""

import atexit
import contextlib
import importlib.util
import shutil
import sys
import tempfile
from datetime import timedelta
from functools import cache
from pathlib import Path

import httpx2

from gateway.app.composition import migrate, now
from gateway.app.service import build
from gateway.keys import secret_files
from gateway.keys.epochs import FIRST, Epochs, horizon
from gateway.ledger.subjects import milliseconds
from gateway.web.shell.edge import INTERNAL, METRICS, PUBLIC, Addresses
from support import example

EVERYWHERE = frozenset({PUBLIC, INTERNAL, METRICS})
DEV = {"Authorization": "Bearer dev.dev"}


if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # httpx2 looks for it at each call, through every folder of modules

AT_ONCE = {"listen__level_answers": "false"}  # thousands of tests post forms, and what they wait for is not their time


def settings(file: Path | None = None, **environment: str):
    """The example's settings, with a file over them; keyword arguments are environment variables without their
    prefix.
    """
    said = {f"GATEWAY_{name.upper()}": value for name, value in {**AT_ONCE, **environment}.items()}
    return example.settings(file, said) if file else _settings(tuple(said.items()))


@cache
def _settings(said: tuple[tuple[str, str], ...]):
    """They cannot be changed, and to read them costs more than most tests do."""
    return example.settings(None, dict(said))


@cache
def _made_once() -> Path:
    """A fresh installation of this process, to be copied: making one takes ten milliseconds, and a thousand tests want
    one. Its keys' first week has begun, as a first start would do it, which takes ten more.
    """
    folder = Path(tempfile.mkdtemp(prefix="gateway-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    data = folder / "data"
    migrate(data)
    began, kept = now(), timedelta(days=settings().retention.keys_backup_days)
    epochs = Epochs(data, secret_files.load_secrets(data).wraps)
    epochs.begin(FIRST, milliseconds(began), milliseconds(began + horizon(kept)))
    return data


@cache
def secrets():
    """Those that all installations of this process have. The first call reads a file."""
    return secret_files.load_secrets(_made_once())


def install(folder: Path) -> Path:
    """A migrated installation at a path; its secrets are those of every other one of this process."""
    if folder.exists():
        migrate(folder)
    else:
        shutil.copytree(_made_once(), folder)
    return folder


@contextlib.asynccontextmanager
async def application(folder: Path, configured=None, *, clock=now, dev=True, served=None, tracker="http://127.0.0.1:1"):
    """The whole ASGI application with its lifespan; every path is served unless `served` names listeners."""
    install(folder)
    by_port = {8080: served or EVERYWHERE}
    app = build(folder, configured or settings(), Addresses(by_port), dev=dev, tracker=tracker, clock=clock)
    async with lifespan(app):
        yield app


def routes(app):
    """What a started application answers: its doors, by path."""
    while not hasattr(app, "_patterns"):
        app = app._app
    return app._patterns.routes


@contextlib.asynccontextmanager
async def lifespan(app):
    """Starts and stops an ASGI application, as uvicorn does."""
    import anyio

    to_app, from_test = anyio.create_memory_object_stream(2)
    from_app, to_test = anyio.create_memory_object_stream(2)
    async with anyio.create_task_group() as tasks, to_app, from_test, from_app, to_test:
        tasks.start_soon(app, {"type": "lifespan", "state": {}}, from_test.receive, from_app.send)
        await to_app.send({"type": "lifespan.startup"})
        started = await to_test.receive()
        assert started["type"] == "lifespan.startup.complete", started
        yield
        await to_app.send({"type": "lifespan.shutdown"})
        stopped = await to_test.receive()
        assert stopped["type"] == "lifespan.shutdown.complete", stopped


def client(app, **headers: str) -> httpx2.AsyncClient:
    """Calls the application as a loopback caller on port 8080 would. It keeps no cookies by itself."""
    transport = httpx2.ASGITransport(app=app)
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", headers=headers)


def kept(answer: httpx2.Response) -> dict[str, str]:
    """The header that a browser brings back next time, of the cookies in an answer."""
    pairs = [line.partition(";")[0] for line in answer.headers.get_list("set-cookie")]
    return {"Cookie": "; ".join(pairs)} if pairs else {}


def steps_at_once(monkeypatch):
    """What a writer has to do by itself it does a step a second where nobody writes; here one follows the other."""
    monkeypatch.setattr("gateway.ledger.writer.CHECKPOINT_EVERY", 0.02)


@contextlib.contextmanager
def ledger_away(folder):
    """The ledger can be neither read nor written inside the `with`: its file is gone, as far as anybody can see."""
    path = folder / "ledger.sqlite3"
    path.rename(path.with_suffix(".away"))
    try:
        yield
    finally:
        path.with_suffix(".away").rename(path)
