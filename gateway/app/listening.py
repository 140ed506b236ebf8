"""The sockets that a service listens on, bound before anything else; `gateway serve` and `gateway replica` call it."""

import socket
from pathlib import Path

from gateway.settings.load import Listen
from gateway.settings.option_tree import SettingsRefused
from gateway.web.shell.edge import DESK, INTERNAL, METRICS, PUBLIC


def bind_all(listen: Listen) -> tuple[list[socket.socket], dict[int, frozenset[str]]]:
    """A socket an address. Two names for one address share it."""
    wanted: dict[str, set[str]] = {}
    for name, address in ((PUBLIC, listen.public), (INTERNAL, listen.internal), (METRICS, listen.metrics)):
        wanted.setdefault(address, set()).add(name)
    if listen.desk and wanted.setdefault(listen.desk, {DESK}) != {DESK}:
        raise SettingsRefused("listen.desk: it has an address of its own, so that nobody from outside comes to it")
    sockets, ports = [], {}
    for address, names in wanted.items():
        bound = bind_one(address)
        sockets.append(bound)
        ports[bound.getsockname()[1]] = frozenset(names)
    if len(ports) < len(wanted):
        raise SettingsRefused("listen: two addresses on one port number cannot be told apart")
    return sockets, ports


def bind_one(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    # The protocol is named because asyncio sets TCP_NODELAY only where it is: without it a keep-alive client that
    # acknowledges late waits 40 ms for each answer (measured).
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host or "0.0.0.0", int(port)))  # noqa: S104 - an empty host in the file means every interface
    except (OSError, OverflowError) as error:  # there is no port 65536, one behind the last
        raise SettingsRefused(f"{address} cannot be listened on: {getattr(error, 'strerror', error)}") from error
    return bound


def bind_unix(path: Path) -> socket.socket:
    """Takes the place of a socket that a process of before left. Raises `SettingsRefused` for one that somebody listens
    on, whose callers would be cut off without a word, and for a file that is none.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        taken = _taken(path)
        if not taken:
            path.unlink(missing_ok=True)
            bound.bind(str(path))
    except OSError as error:
        taken = f"{path} cannot be listened on: {error.strerror or error}"
    if taken:
        bound.close()
        raise SettingsRefused(taken)
    return bound


def _taken(path: Path) -> str:
    """Why a path may not become our socket; empty where it may. Raises OSError."""
    if path.exists() and not path.is_socket():
        return f"{path} is no socket: name a path where nothing is"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1.0)  # of one that hangs nobody can tell: an OSError, told as such
        try:
            asking.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return ""
    return f"{path} is another process's: stop that one, or name another path"
