"""A gateway in a process that begins where another one has loaded it already: a start so takes a tenth of the processor
time, and a run starts hundreds. `Service`, `proxies` and `Sidecar` start theirs so. That a gateway starts from nothing
is shown by those that are recorded, installed or typed as commands.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path

# pytest: each process begins by loading what its parent was started as.
LOADED = [
    "pytest",
    "gateway.cli.serve",
    "uvicorn.loops.asyncio",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
]


def _run(module: str, arguments: list[str], log: str, environment: dict[str, str], here: str) -> None:
    os.chdir(here)
    os.environ.clear()
    os.environ.update(environment)
    with Path(log).open("ab") as written:
        for stream in (1, 2):
            os.dup2(written.fileno(), stream)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def context() -> multiprocessing.context.ForkServerContext:
    """Whose processes begin so."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(LOADED)
    return found


def _end_them() -> None:
    for each in multiprocessing.active_children():
        if each.daemon:
            each.kill()


@cache
def _waits_for_none(pid: int) -> None:
    """A process that ignores its end would be waited for when its parent ends, and with it a whole run of the tests."""
    Finalize(None, _end_them, exitpriority=1)  # before multiprocessing asks them to end, and waits


class Forked:
    """What tests call of a `subprocess.Popen`, for `python -m MODULE ARGUMENTS`."""

    def __init__(self, module: str, arguments: list[str], log: Path, environment: dict[str, str]) -> None:
        what = (module, arguments, str(log), environment, str(Path.cwd()))
        self._process = context().Process(target=_run, args=what, daemon=True)
        self._process.start()
        self.pid = self._process.pid
        _waits_for_none(os.getpid())

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    poll = returncode.fget

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("gateway", timeout)
        return self.returncode


def start(command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen | Forked:
    """The process of a command, its output in `log`: forked where it is `python -m MODULE ARGUMENTS`."""
    if command[:2] == [sys.executable, "-m"]:
        return Forked(command[2], command[3:], log, environment)
    with log.open("ab") as written:
        return subprocess.Popen(command, stdout=written, stderr=written, env=environment)
