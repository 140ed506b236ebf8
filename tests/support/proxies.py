"""Real proxies, a real gateway beside them as in production, and the little site behind: all on loopback."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet

from gateway.cli.recipe import filled
from support import forked, inside
from support.listening import LOOKS, Server, listening
from support.ports import free_port

START = 60.0  # seconds, on a machine that does much else; a process that ended is seen at once
NEW_YORK, CALIFORNIA, GERMANY = "127.0.0.2", "127.0.0.3", "127.0.0.4"  # whom the test's own IP database knows
PLACES = {
    NEW_YORK: {"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "NY"}]},
    CALIFORNIA: {"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "CA"}]},
    GERMANY: {"country": {"iso_code": "DE"}},
}


def _until(ready, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START
    while not ready():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, f"no answer: {log.read_text()[-3000:]}"
        time.sleep(0.02)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=10).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@dataclass
class Program:
    """A process of ours: started, and ended by its own id."""

    command: list[str]
    log: Path
    sign: str  # an address that answers once it is up
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen | forked.Forked | None = None

    def start(self) -> None:
        self.process = forked.start(self.command, self.log, os.environ | self.environment)
        _until(lambda: _answers(self.sign), self.process, self.log)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextlib.contextmanager
def program(command: list[str], log: Path, sign: str, **environment: str):
    running = Program(command, log, sign, environment)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@dataclass
class Gateway(Program):
    """A gateway in production mode. `settings` are those it runs with."""

    folder: Path = Path()
    public: str = ""
    internal: str = ""
    settings: object = None

    def asked(self) -> int:
        """How many questions of proxies it has answered."""
        text = urllib.request.urlopen(f"http://{self.settings.listen.metrics}/metrics").read().decode()
        return sum(
            int(float(line.rpartition(" ")[2]))
            for line in text.splitlines()
            if line.startswith("http_request_duration_seconds_count") and "/authz/" in line
        )


def addresses(folder: Path) -> str:
    """A small IP database of this machine's own loopback addresses."""
    made = MMDBWriter(ip_version=6, ipv4_compatible=True)
    for address, place in PLACES.items():
        made.insert_network(IPSet([f"{address}/32"]), place)
    path = folder / "places.mmdb"
    made.to_db_file(str(path))
    return str(path)


@contextlib.contextmanager
def gateway(folder: Path, *, gone=False, **configured: str):
    """A running gateway, or one that is gone; keyword arguments are environment variables without their prefix."""
    inside.install(folder / "data")
    public, other = free_port(), free_port()
    chosen = {
        "listen__public": f"127.0.0.1:{public}",
        "listen__internal": f"127.0.0.1:{other}",
        "listen__metrics": f"127.0.0.1:{other + 1}",
        "places__database": addresses(folder),
        **configured,
    }
    running = Gateway(
        [sys.executable, "-m", "gateway", "serve", "--data", str(folder / "data")],
        folder / "gateway.log",
        f"http://127.0.0.1:{other}/livez",
        {f"GATEWAY_{name.upper()}": value for name, value in chosen.items()},
        None,
        folder,
        f"127.0.0.1:{public}",
        f"127.0.0.1:{other}",
        inside.settings(**chosen),
    )
    try:
        if not gone:
            running.start()
        yield running
    finally:
        running.stop()


BEFORE_CACHE_CONTROL = ("Surrogate-Control", "CDN-Cache-Control", "Cloudflare-CDN-Cache-Control")


class Site(BaseHTTPRequestHandler):
    """A site that answers what it was asked with, as JSON; counts its answers by path."""

    protocol_version = "HTTP/1.1"
    seen: Counter

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen[self.path] += 1
        told = {
            "method": self.command,
            "uri": self.path,
            "body": len(body),
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
            "count": self.seen[self.path],
        }
        if self.headers.get("Upgrade"):
            self._upgrade(told)
            return
        if self.path == "/early":
            self._hint()
        kind, text = self.page(told)
        self.send_response(int(self.path.partition("status=")[2] or 200))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        for name, value in self.more():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def __getattr__(self, name):
        """Every method: the server looks for do_GET, do_POST and so on."""
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def _hint(self):
        """103 Early Hints, with headers that the page has too."""
        from support.promises_of_proxies import FAR, HINTS

        self.send_response_only(103)
        for name, value in HINTS:
            self.send_header(name, value.format(far=FAR))
        self.end_headers()

    def _upgrade(self, told):
        """Opens what a WebSocket would be, says in it what it was asked with, and ends it."""
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 4.2.2
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())
        self.close_connection = True

    def page(self, told: dict) -> tuple[str, bytes]:
        return "application/json", json.dumps(told).encode()

    def more(self) -> list[tuple[str, str]]:
        """Further headers: what /control=VALUE asks for as Cache-Control, spaces written as `_`, and what caches obey
        before that.
        """
        if self.path == "/speaks":
            from support.promises_of_proxies import SPEAKS

            return SPEAKS
        if self.path == "/canonical":
            return [("Link", "</x>; rel=canonical")]
        _, asked, value = self.path.partition("control=")
        if not asked:
            return []
        return [("Cache-Control", value.replace("_", " ")), *((name, "max-age=600") for name in BEFORE_CACHE_CONTROL)]

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def site(handler: type[Site] = Site):
    """Its address, host:port."""
    with listening(type("Counted", (handler,), {"seen": Counter()})) as url:
        yield url.removeprefix("http://")


class Counting(BaseHTTPRequestHandler):
    """Stands in for a gateway, and counts the connections that it is asked on."""

    protocol_version = "HTTP/1.1"
    connections = 0

    def setup(self):
        super().setup()
        type(self).connections += 1

    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, *_):
        pass


class Other(BaseHTTPRequestHandler):
    """Stands where the gateway stood, and is none."""

    status: int

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        self.do_GET()

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, *_):
        pass


class Slow(BaseHTTPRequestHandler):
    """Stands in for a gateway that takes seconds, more than a busy machine makes of the 200 ms that a proxy waits."""

    def do_GET(self):
        time.sleep(3)
        with contextlib.suppress(OSError):
            self.send_response(204)
            self.send_header("Gateway-Consent", "sale=?1, sharing=?1, targeted_ads=?1, status=none")
            self.end_headers()

    def do_POST(self):
        self.do_GET()

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def somebody_else(handler: type[BaseHTTPRequestHandler], address: str):
    """A server that stands where the gateway stood, host:port."""
    host, _, port = address.rpartition(":")
    server = Server((host, int(port)), handler)
    thread = threading.Thread(target=server.serve_forever, args=(LOOKS,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def patient(text: str) -> str:
    """A recipe that waits long for the gateway: one on a busy machine is not the slow one that the recipe gives up
    on."""
    return (
        re.sub(r"\b(100ms|200ms|0\.1s|0\.2s)\b", "5s", text)
        .replace("timeout = 200}", "timeout = 5000}")
        .replace("WAIT = 500", "WAIT = 5000")
    )


# --- nginx ---

AROUND = """daemon off; {user} worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{ access_log off; {temporary}
{recipe}
}}"""


def nginx_text(running: Gateway, behind: str) -> str:
    """The recipe as `gateway recipe nginx` prints it for that gateway and that site."""
    return filled("nginx", running.settings, host="127.0.0.1", site=behind)


@contextlib.contextmanager
def nginx(path: str, folder: Path, text: str):
    """nginx with a recipe, on a port of its own; its address."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    recipe = text.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("/var/cache/", f"{folder}/")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(AROUND.format(folder=folder, user=user, temporary=temporary, recipe=recipe))
    url = f"http://127.0.0.1:{port}"
    command = [path, "-p", str(folder), "-c", str(config), "-e", "stderr"]
    with program(command, folder / "nginx.log", f"{url}/up.txt"):
        yield url


# --- a visitor ---


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, (name, values)
        return values[0] if values else None

    @property
    def told(self) -> dict:
        return json.loads(self.body)

    def site_got(self, name: str) -> list[str]:
        """What the site was sent under a name; PHP and WSGI cannot tell `_` from `-`."""
        return [value for key, value in self.told["headers"] if key.replace("_", "-") == name.lower()]

    @property
    def consent(self) -> str:
        (value,) = self.site_got("gateway-consent")
        return value


def open_websocket(url: str, *headers: tuple[str, str]) -> Answer:
    """What a site says in a WebSocket that a visitor opens. (http.client reads no body after a 101.)"""
    host, _, port = url.removeprefix("http://").rpartition(":")
    asked = [
        ("Host", f"{host}:{port}"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        *headers,
    ]
    with socket.create_connection((host, int(port)), timeout=10, source_address=(NEW_YORK, 0)) as connection:
        lines = ["GET /socket HTTP/1.1", *(f"{name}: {value}" for name, value in asked)]
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        got = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = got.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    return Answer(int(status.split()[1]), [tuple(field.split(": ", 1)) for field in fields], body)


def answers_in_turn(url: str, path: str, *headers: tuple[str, str]) -> list[Answer]:
    """Those of one request: informational ones, which http.client reads none of, and the page."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    asked = [("Host", f"{host}:{port}"), ("Connection", "close"), *headers]
    with socket.create_connection((host, int(port)), timeout=10, source_address=(NEW_YORK, 0)) as connection:
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in asked)]
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        rest, found = b"".join(iter(lambda: connection.recv(65_536), b"")), []
    while not found or found[-1].status < 200:
        head, _, rest = rest.partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        found.append(Answer(int(status.split()[1]), [tuple(field.split(": ", 1)) for field in fields], rest))
    return found


def ask(url: str, path: str = "/page", *headers: tuple[str, str], method="GET", body=None, by=NEW_YORK) -> Answer:
    """One request of a visitor on a connection of its own, from an address that the IP database knows."""
    address = url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=10, source_address=(by, 0))
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())


# --- Caddy ---


def caddy_text(running: Gateway, behind: str) -> str:
    """The recipe as `gateway recipe caddy` prints it; its place for the site's name is filled in at the start."""
    return filled("caddy", running.settings, host="http://HOST", site=behind)


@contextlib.contextmanager
def caddy(path: str, folder: Path, text: str):
    """Caddy with a recipe, on a port of its own; its address."""
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{free_port()}"
    config = folder / "Caddyfile"
    config.write_text(
        "{\n\tadmin off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}\n" + text.replace("http://HOST", url)
    )
    command = [path, "run", "--config", str(config), "--adapter", "caddyfile"]
    where = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with program(command, folder / "caddy.log", f"{url}/up.txt", **where):
        yield url


# --- Envoy ---


def envoy_text(running: Gateway, behind: str) -> str:
    """The recipe as `gateway recipe envoy` prints it."""
    return filled("envoy", running.settings, host="HOST", site=behind)


@contextlib.contextmanager
def envoy(path: str, folder: Path, text: str):
    """Envoy with a recipe, on a port of its own; its address."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "envoy.yaml"
    here = text.replace("address: 0.0.0.0, port_value: 8000", f"address: 127.0.0.1, port_value: {port}")
    config.write_text(here)
    url = f"http://127.0.0.1:{port}"
    command = [path, "-c", str(config), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]
    with program(command, folder / "envoy.log", f"{url}/up.txt"):
        yield url


# --- HAProxy ---

LUA = "\n-- gateway.lua --\n"


def haproxy_text(running: Gateway, behind: str) -> str:
    """Both recipes, `gateway recipe haproxy` and haproxy-lua, one behind the other."""
    return LUA.join(filled(name, running.settings, host="HOST", site=behind) for name in ("haproxy", "haproxy-lua"))


@contextlib.contextmanager
def haproxy(path: str, folder: Path, text: str):
    """HAProxy with its recipes, on a port of its own; its address."""
    port = free_port()
    configured, _, script = text.partition(LUA)
    here = configured.replace("bind :80", f"bind 127.0.0.1:{port}").replace("/etc/haproxy", str(folder))
    (folder / "haproxy.cfg").write_text(here)
    (folder / "gateway.lua").write_text(script)
    url = f"http://127.0.0.1:{port}"
    with program([path, "-db", "-f", str(folder / "haproxy.cfg")], folder / "haproxy.log", f"{url}/up.txt"):
        yield url


# --- Traefik ---


def traefik_text(running: Gateway, behind: str) -> str:
    """The recipe as `gateway recipe traefik` prints it."""
    return filled("traefik", running.settings, host="127.0.0.1", site=behind)


@contextlib.contextmanager
def traefik(path: str, folder: Path, text: str):
    """Traefik with a recipe for its file provider, on a port of its own; its address."""
    port = free_port()
    (folder / "gateway.yml").write_text(text)
    url = f"http://127.0.0.1:{port}"
    command = [
        path,
        f"--entrypoints.web.address=127.0.0.1:{port}",
        f"--providers.file.filename={folder / 'gateway.yml'}",
        "--providers.file.watch=false",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    ]
    with program(command, folder / "traefik.log", f"{url}/up.txt") as running:
        # It listens before it has read its routers, and answers 404.
        _until(lambda: ask(url, "/up.txt").status != 404, running.process, running.log)
        yield url
