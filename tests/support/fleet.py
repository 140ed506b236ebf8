"""All processes of one installation: several that serve one data folder, a site with the gateway in it, and an ad
server with a replica behind a relay.
"""

import contextlib
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from gateway.cli import main
from support import forked
from support.cuttable import Cuttable
from support.households import Turns, read_checks
from support.ports import free_port
from support.service import HERE, Service

START = 60.0  # seconds


def workers(folder, count, module):
    """So many processes that serve one data folder, started. The first one makes what is missing."""
    made = [Service(free_port(), folder / "data", folder / f"log {each}", module=module) for each in range(count)]
    made[0].start()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(Service.start, made[1:]))
    return made


@dataclass
class Beside:
    """A process that checks beside the crowd, all the time (`support.checks_beside`)."""

    kind: str
    folder: Path
    turns: Path
    more: tuple[str, ...] = ()
    process: forked.Forked | None = None

    @property
    def out(self):
        return self.folder / f"{self.kind}.checks"

    def start(self):
        """It checks when this returns."""
        of = self.folder if self.kind == "inside" else self.folder / self.kind
        command = [sys.executable, "-m", "support.checks_beside", self.kind, of, self.turns, self.out, *self.more]
        log, before = self.folder / f"{self.kind}.log", self.written()
        self.process = forked.start([*map(str, command)], log, os.environ | {"PYTHONPATH": HERE})
        ends = time.monotonic() + START
        while self.written() == before:
            assert time.monotonic() < ends, f"it checks nothing: {log.read_text()[-2000:]}"
            assert self.process.poll() is None, log.read_text()[-2000:]
            time.sleep(0.02)

    def written(self):
        return self.out.stat().st_size if self.out.exists() else 0

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@dataclass
class Fleet:
    """`count` workers. A context manager: all are there from its beginning to its end."""

    folder: Path
    count: int = 2
    module: str = "support.under_nemesis"
    ways: tuple[str, ...] = ("inside", "replica")  # what checks beside the crowd
    served: list[Service] = field(default_factory=list)
    beside: dict[str, Beside] = field(default_factory=dict)

    def __enter__(self):
        self.turns = self.folder / "turns"
        Turns(self.turns)
        self.served = workers(self.folder, self.count, self.module)
        self.relay = Cuttable(self.served[0].port)
        try:
            for kind in self.ways:
                more = (self.relay.url, *self.enrolled()) if kind == "replica" else ()
                self.beside[kind] = Beside(kind, self.folder, self.turns, more)
                self.beside[kind].start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.relay.close()
        for each in [*self.beside.values(), *self.served]:
            if each.process is not None:
                each.process.send_signal(signal.SIGCONT)
        for each in self.beside.values():
            each.kill()
        for each in self.served:
            each.stop()

    def enrolled(self):
        """The file of an enrolment, and that of its secret."""
        file, secret = self.folder / "enrolment", self.folder / "secret"
        with secret.open("w") as written, contextlib.redirect_stdout(written), contextlib.suppress(SystemExit):
            main(["replica", "enrol", "server", "--data", str(self.folder / "data"), "--out", str(file)])
        secret.write_text(secret.read_text().strip())
        return str(file), str(secret)

    def checks(self, kind):
        """What was seen there."""
        return read_checks(self.beside[kind].out)

    def on_the_folder(self):
        """Every process that has the data folder open."""
        return [*self.served, *(each for kind, each in self.beside.items() if kind == "inside")]
