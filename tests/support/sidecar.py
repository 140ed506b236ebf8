"""`gateway replica` in a process of its own, on a free loopback port."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from support import forked
from support.ports import free_port
from support.service import HERE
from support.wire import call

START = 300.0  # a copy of a million people takes some


@dataclass
class Sidecar:
    """`gateway replica` in a process of its own."""

    of: str
    folder: Path
    enrolled: tuple[Path, str]
    more: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen | forked.Forked | None = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.folder.mkdir(exist_ok=True, parents=True)
        secret = self.folder / "secret"
        secret.write_text(self.enrolled[1])
        command = [
            *self.prefix,
            sys.executable,
            "-m",
            "gateway",
            "replica",
            "--of",
            self.of,
            "--port",
            str(self.port),
            "--dev",
            "--enrolment",
            str(self.enrolled[0]),
            "--secret-file",
            str(secret),
            "--data",
            str(self.folder / "copy"),
            *self.more,
        ]
        self.process = forked.start(command, self.folder / "log", os.environ | {"PYTHONPATH": HERE})
        ends = time.monotonic() + START
        while not self.ready():
            assert time.monotonic() < ends, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.02)
        return self

    def ready(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        with contextlib.suppress(OSError):
            return call(f"{self.url}/readyz")[0] == 200
        return False

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(timeout=60)
