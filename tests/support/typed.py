"""`gateway` as somebody types it, in a process that begins where another one has loaded it already, as `forked` does for
services: a command so takes a tenth of the processor time. Tests that type many commands call `program`, or put its
folder first on a shell's PATH. That a command begins from nothing is shown by those of the README and of the command
line itself.

What is typed is a small program that hands its words, folder, environment and streams to the process that has loaded
the gateway, and ends as the command ends.
"""

import array
import atexit
import importlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from functools import cache
from pathlib import Path

from gateway.cli.root import COMMANDS, main
from support.forked import LOADED

HERE = Path(__file__).parent.parent
MOST = 1 << 20  # bytes of what is handed over
STREAMS = 3
TYPED = """#!{python} -ISE
import json, os, socket, sys
mask = os.umask(0)
said = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ), mask]).encode()
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, {most})
    line.connect({where!r})
    socket.send_fds(line, [said], [0, 1, 2])
    sys.exit(int(line.recv(8) or 1))
"""


@cache
def program() -> str:
    """The path of a program `gateway`, good until this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="typed-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    where, typed = folder / "line", folder / "gateway"
    command = [sys.executable, "-m", "support.typed", str(where)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
    # Ends when this process does, whose end of the pipe is closed then; what it says first is that it listens.
    loaded = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert loaded.stdout.readline() == b"listens\n"
    atexit.register(_end, loaded)
    typed.write_text(TYPED.format(python=sys.executable, where=str(where), most=MOST))
    typed.chmod(0o700)
    return str(typed)


def _end(loaded: subprocess.Popen) -> None:
    loaded.stdin.close()
    loaded.stdout.close()
    loaded.wait()


def _serve(where: str) -> None:
    """Each command is a child of a child, which tells how it ended: several may go on at once."""
    for name in LOADED:
        importlib.import_module(name)
    for lazy in COMMANDS.values():
        lazy.load()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(where)
        listening.listen()
        print("listens", flush=True)
        while True:
            ready, _, _ = select.select([listening, 0], [], [])
            if 0 in ready:
                return
            line, _ = listening.accept()
            if not os.fork():
                _watch(line)
            line.close()
            _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _watch(line: socket.socket) -> None:
    said, ancillary, _, _ = line.recvmsg(MOST, socket.CMSG_SPACE(STREAMS * array.array("i").itemsize))
    streams = array.array("i", ancillary[0][2])
    command = os.fork()
    if not command:
        line.close()
        _become(streams, *json.loads(said))
    ended = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
    line.send(str(ended).encode())
    os._exit(0)


def _become(streams: array.array, words: list[str], folder: str, environment: dict[str, str], mask: int) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(STREAMS, max(streams) + 1)
    os.chdir(folder)
    os.umask(mask)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, errors="backslashreplace", buffering=1)  # noqa: SIM115
    sys.argv = ["gateway", *words]
    sys.modules["__main__"].__package__ = None  # by which a usage is told for `gateway`, as for what is installed
    code = 1
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1])
