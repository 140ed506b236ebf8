"""Workers of one service, from outside: which they are, and which of them a connection is to."""

import contextlib
import http.client
import json
import time
from pathlib import Path

from support.people import named

HEADERS = {"Authorization": "Bearer dev.dev", "Content-Type": "application/json"}
WITHIN = 60.0  # seconds for what takes one or two, on a machine that does much else


def workers(service) -> set[int]:
    """The processes of a service that were started to answer."""
    parent = service.process.pid
    found = set()
    for path in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in path.read_text().split() if b"spawn_main" in command(int(pid))}
    return found


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_there(pid: int) -> bool:
    """Whether it lives; one that nobody waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def until(holds, what: str, within: float = WITHIN):
    """What it is once it is something."""
    ends = time.monotonic() + within
    while not (found := holds()):
        assert time.monotonic() < ends, what
        time.sleep(0.05)
    return found


OPEN: list["Line"] = []  # what a test leaves open is closed behind it


class Line:
    """A connection to one of the workers, kept open."""

    def __init__(self, port: int):
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN)
        self.connection.connect()
        OPEN.append(self)

    def ask(self, method: str, path: str, body=None, **more) -> tuple[int, bytes]:
        self.connection.request(method, path, json.dumps(body) if body is not None else None, HEADERS | more)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def opt_out(self, person: str, key: str = "") -> int:
        body = {"identifiers": [named("account", person)], "choice": "opt_out"}
        return self.ask("POST", "/v1/choices", body, **({"Idempotency-Key": key} if key else {}))[0]

    def allowed(self, person: str) -> bool:
        body = {"recipient": "advertisers", "identifiers": [named("account", person)], "place": "US-NY"}
        status, said = self.ask("POST", "/v1/check", body)
        assert status == 200, said
        return json.loads(said)["allowed"]

    def worker(self, service) -> int:
        """Whose process has the other end."""
        ours = self.connection.sock.getsockname()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            local, remote, inode = (line.split()[number] for number in (1, 2, 9))
            if (int(local[-4:], 16), int(remote[-4:], 16)) == (self.port, ours):
                return next((pid for pid in workers(service) if f"socket:[{inode}]" in sockets(pid)), 0)
        return 0

    def close(self):
        self.connection.close()


def sockets(pid: int) -> set[str]:
    found = set()
    for each in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            found.add(str(each.readlink()))
    return found


def line_to_each(service, port: int | None = None) -> list[Line]:
    """A connection to each worker."""
    lines: dict[int, Line] = {}
    ends = time.monotonic() + WITHIN
    while len(lines) < 2:
        assert time.monotonic() < ends, f"all connections came to {set(lines)} of {workers(service)}"
        made = Line(port or service.port)
        made.ask("GET", "/livez")
        lines.setdefault(made.worker(service), made)
        lines.pop(0, None)
    return list(lines.values())
