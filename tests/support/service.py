"""The real service in a process of its own, on a free loopback port."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from support import forked, typed
from support.ports import free_port

START = 180.0  # seconds, on a machine that does much else; a process that ended is seen at once
HERE = str(Path(__file__).parent.parent)


@dataclass
class Service:
    """One running gateway. `url` is its address; `log` its standard output and error."""

    port: int
    data: Path
    log: Path
    arguments: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    module: str = "gateway"
    process: subprocess.Popen | forked.Forked | None = None
    sign: str = "readyz"  # what it answers once it is started; one that must deny answers livez alone

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Service":
        command = [
            *self.prefix,
            sys.executable,
            "-m",
            self.module,
            "serve",
            "--dev",
            "--port",
            str(self.port),
            "--data",
            str(self.data),
            *self.arguments,
        ]
        environment = {"GATEWAY_LISTEN__LEVEL_ANSWERS": "false", **os.environ, "PYTHONPATH": HERE}
        self.process = forked.start(command, self.log, environment)
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/{self.sign}", timeout=10).close()
                return self
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            time.sleep(0.05)
        raise AssertionError(f"no answer: {self.log.read_text()[-2000:]}")

    def checkpointed(self) -> bool:
        """Whether all of the database's log was brought over: its index says so (mxFrame and nBackfill, each twice in
        https://sqlite.org/walformat.html).
        """
        index = (self.data / "ledger.sqlite3-shm").read_bytes()
        return index[16:20] == index[96:100]

    def kill(self) -> None:
        """SIGKILL: nothing is flushed."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    @property
    def tracker(self) -> str:
        """The demo's second origin, as the service tells it a moment after it listens."""
        deadline = time.monotonic() + START
        while not (lines := [line for line in self.log.read_text().splitlines() if '"demo"' in line]):
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.02)
        return json.loads(lines[-1])["on"]


def command(*said: object) -> tuple[int, str]:
    """The exit code of a command of the gateway, and what it printed."""
    done = subprocess.run([typed.program(), *map(str, said)], capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, done.stdout + done.stderr


@contextlib.contextmanager
def service(folder: Path, *arguments: str, prefix: tuple[str, ...] = (), module: str = "gateway", sign: str = "readyz"):
    """A started service in `folder`; stopped at the end, by its own pid."""
    running = Service(free_port(), folder / "data", folder / "log", arguments, prefix, module, sign=sign)
    try:
        yield running.start()
    finally:
        running.stop()
