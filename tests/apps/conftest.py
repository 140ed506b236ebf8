"""Fixtures of tests with the client for React Native: as its package has it, run by Node against the real service."""

import contextlib
import http.server
import json
import os
import queue
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import pytest
from support import client_package, node
from support.listening import LOOKS
from support.phones import AUDIENCE, Backend, standing
from support.ports import free_port
from support.service import Service

from gateway.app.composition import migrate
from gateway.keys import api_keys

TYPESCRIPT = "typescript@5.9.3"
ROOT = Path(__file__).parent.parent.parent
DRIVER = ROOT / "tests" / "support" / "app_on_phone.mjs"
PATIENCE = 60.0


@pytest.fixture(scope="module")
def compiler(request):
    return node.packages(request.config.cache, TYPESCRIPT) / "node_modules" / ".bin" / "tsc"


@pytest.fixture(scope="module")
def packed(compiler, tmp_path_factory):
    """The client as `npm pack` packs it."""
    return client_package.packed(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module")
def project(packed, tmp_path_factory):
    """An app that has the client and nothing else."""
    return client_package.installed(tmp_path_factory.mktemp("app"), packed)


@pytest.fixture(scope="module")
def compiled(packed, tmp_path_factory):
    """The client as an app has it, from its package."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package" / "gateway.js"


class Tracker(http.server.ThreadingHTTPServer):
    """Where the stub SDKs send their events."""

    def __init__(self):
        self.seen = []
        seen = self.seen

        class Counts(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(self.path.strip("/"))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Counts)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def tracker():
    server = Tracker()
    thread = threading.Thread(target=server.serve_forever, args=(LOOKS,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class App:
    """One process of the app; killed by its own pid."""

    patience = PATIENCE

    def __init__(self, client, url, key, folder, tracker):
        folder.mkdir(exist_ok=True)
        self.folder, self.events, self.numbers = folder, [], iter(range(10_000))
        command = ["node", str(DRIVER), str(client), url, key, str(folder), tracker.url]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.until("here")

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def until(self, event, **more):
        """The next such event, which may have come already."""
        deadline = time.monotonic() + self.patience
        looked = 0
        while True:
            for found in self.events[looked:]:
                looked += 1
                if found["event"] == event and more.items() <= found.items() and not found.get("met"):
                    found["met"] = True
                    return found
            left = deadline - time.monotonic()
            assert left > 0, (event, more, self.events)
            with contextlib.suppress(queue.Empty):
                self.events.append(self.lines.get(timeout=left))

    def told(self, event):
        """All of one kind so far."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.events.append(self.lines.get_nowait())
        return [each for each in self.events if each["event"] == event]

    def asks(self, do, **more):
        """A command, without waiting for its end."""
        number = next(self.numbers)
        self.process.stdin.write(json.dumps({"do": do, "number": number, **more}) + "\n")
        self.process.stdin.flush()
        return number

    def does(self, do, **more):
        return self.until("done", number=self.asks(do, **more))

    def world(self, **to):
        self.does("world", to=to)

    @property
    def preferences(self):
        return json.loads((self.folder / "preferences").read_text())

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.reader.join()
        self.process.stdout.close()


class Site:
    """A gateway in a process of its own, with an app's publishable key, and its operator's backend. `patience`: seconds
    that a test waits for an event; a control, for which it never comes, waits less.
    """

    patience = PATIENCE

    def __init__(self, folder, client, tracker):
        self.backend, self.folder, self.client, self.tracker, self.apps = Backend(), folder, client, tracker, []
        self.backend.publish(folder / "backend.jwks")
        migrate(folder / "data")
        self.key = api_keys.add_api_key(folder / "data", "app", ["choose"], publishable=True)
        self.service = Service(free_port(), folder / "data", folder / "log")

    def app(self, *ids, phone="phone", client=None, key=None):
        made = App(client or self.client, self.service.url, key or self.key, self.folder / phone, self.tracker)
        made.patience = self.patience
        self.apps.append(made)
        made.world(ids=list(ids))
        return made

    def count(self, word="opt_out"):
        """How many entries of a kind the ledger has."""
        import sqlite3

        with contextlib.closing(sqlite3.connect(self.folder / "data" / "ledger.sqlite3")) as db:
            bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM entry")]
        return sum(body.get("e") == word for body in bodies)


@pytest.fixture
def site(tmp_path, compiled, tracker, monkeypatch):
    """Not started yet."""
    monkeypatch.setitem(os.environ, "GATEWAY_APPS__ASSERTION_KEYS", str(tmp_path / "backend.jwks"))
    monkeypatch.setitem(os.environ, "GATEWAY_APPS__ASSERTION_AUDIENCE", AUDIENCE)
    monkeypatch.setitem(os.environ, "GATEWAY_AGE__FLOOR", "0")
    made = Site(tmp_path, compiled, tracker)
    yield made
    for app in made.apps:
        if app.process.poll() is None:
            app.kill()
    made.service.stop()


@pytest.fixture
async def place(tmp_path):
    async with standing(tmp_path) as made:
        yield made
