"""Ports for programs that a test starts: nobody else's between the moment one is chosen and the moment it is bound, nor
while its program is down for a while.
"""

import contextlib
import fcntl
import os
import secrets
import socket
import tempfile
from functools import cache
from pathlib import Path

FIRST, PAIRS = 20_000, 6000  # below those that the system gives to whoever connects

taken: set[int] = set()


@cache
def _claims() -> int:
    """One byte a port, locked by the process that has it: every run of the tests on this machine looks here."""
    return os.open(Path(tempfile.gettempdir()) / f"gateway-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)


def _claimed(port: int) -> bool:
    """Whether it is now this process's, until it ends."""
    if port in taken:
        return False
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    taken.add(port)
    return True


def free_port() -> int:
    """A port whose next one is free too: the metrics listen there."""
    for _ in range(10 * PAIRS):
        port = FIRST + 2 * secrets.randbelow(PAIRS)
        with contextlib.suppress(OSError), socket.socket() as first, socket.socket() as second:
            if _claimed(port):
                first.bind(("0.0.0.0", port))
                second.bind(("0.0.0.0", port + 1))
                return port
    raise RuntimeError("no two neighbouring ports")
