"""Several machines of one installation on one PostgreSQL: two that serve, each with a data folder and processes of its
own, the second one's line to the server a relay that can be cut; and somebody who asks a machine all the time.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from gateway.app import maintenance
from gateway.app.composition import migrate
from gateway.keys import epochs, secret_files
from gateway.ledger.watch import TERM
from gateway.postgres import address
from support import inside, postgres_server
from support.people import gaid, named
from support.ports import free_port
from support.postgres_proxy import PostgresProxy
from support.service import Service
from support.together import HEADERS, workers

PAUSE = 0.01  # seconds between asking all and asking all again
OVER = TERM + 0.3  # seconds behind a cut after which no check that begins is answered from before it


def joined(folder, at, second):
    """The data folder of a machine that joins the first one's ledger, by another address of it."""
    second.mkdir(mode=0o700)
    for name in (secret_files.SECRETS, epochs.FILE):
        shutil.copy(folder / name, second / name)
    address.name_url(second, at)
    maintenance.join(second, inside.settings())
    return second


@dataclass
class Hosts:
    """A context manager: both serve from its beginning to its end. `modules`: what each runs."""

    postgres: dict
    folder: object
    modules: tuple[str, str] = ("gateway", "gateway")
    workers: int = 1
    served: list[Service] = field(default_factory=list)

    def __enter__(self):
        self.url = postgres_server.fresh_url(self.postgres)
        self.relay = PostgresProxy(self.url)
        first, second = (self.folder / name / "data" for name in ("first", "second"))
        first.parent.mkdir()
        second.parent.mkdir()
        migrate(first, url=self.url)
        joined(first, self.relay.url, second)
        count, prefix = (("--workers", str(self.workers)), ("env",)) if self.workers > 1 else ((), ())
        for data, module in zip((first, second), self.modules, strict=True):
            self.served.append(Service(free_port(), data, data.parent / "log", count, prefix, module))
        try:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(Service.start, self.served))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.relay.away = self.relay.frozen = False
        for each in self.served:
            for pid in processes(each):
                os.kill(pid, signal.SIGCONT)
            each.stop()
        self.relay.close()

    @property
    def ports(self):
        return tuple(each.port for each in self.served)

    @contextlib.contextmanager
    def cut(self, *, silent):
        """The second machine reaches no server: it is told so, or bytes are taken and nothing is said any more. Gives
        since when.
        """
        if silent:
            self.relay.frozen = True
        else:
            self.relay.go_away()
        try:
            yield time.monotonic()
        finally:
            self.relay.away = self.relay.frozen = False


def processes(service):
    """The machine's: whoever serves, and whoever looks after them."""
    if service.process is None or service.process.poll() is not None:
        return []
    return [service.process.pid, *workers(service)]


def killed(service):
    """All of the machine at once, by SIGKILL."""
    found = workers(service)
    service.kill()
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def stopped(service):
    """Nothing of the machine runs meanwhile."""
    found = processes(service)
    for pid in found:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(found):
            os.kill(pid, signal.SIGCONT)


def post(port, door, body, key=""):
    """(status, answer)."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as line:
        return post_on(line, door, body, key)


def post_on(line, door, body, key=""):
    line.request("POST", f"/v1/{door}", json.dumps(body), HEADERS | ({"Idempotency-Key": key} if key else {}))
    answer = line.getresponse()
    return answer.status, json.loads(answer.read())


def says_no(port, number):
    body = {"identifiers": [named("gaid", gaid(number))], "choice": "opt_out"}
    return post(port, "choices", body, f"the no of {number}")


def question(number):
    return {"identifiers": [named("gaid", gaid(number))], "recipient": "teemo", "data": ["ad_id"], "place": "US-NY"}


def asked(port, number):
    return post(port, "check", question(number))[1]


def allowed(port, number):
    return asked(port, number)["allowed"]


@dataclass
class Asking:
    """Asks a machine about some people, one after the other and again, from a thread of its own. `allowed`: by person,
    when the last check began that allowed; `denied`: how many did not.
    """

    port: int
    people: range
    allowed: dict[int, float] = field(default_factory=dict)
    denied: int = 0

    @contextlib.contextmanager
    def at_work(self):
        self.over = threading.Event()
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield self
        finally:
            self.over.set()
            thread.join()

    def run(self):
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.over.wait(PAUSE):
            for number in self.people:
                began = time.monotonic()
                try:
                    _, answer = post_on(line, "check", question(number))
                except (OSError, http.client.HTTPException):  # it ends, or is not there yet
                    line.close()
                    continue
                if answer["allowed"]:
                    self.allowed[number] = began
                self.denied += not answer["allowed"]
        line.close()
