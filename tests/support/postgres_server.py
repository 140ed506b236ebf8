"""A PostgreSQL of the tests' own, from the system's packages, on loopback: made for one run of one worker, gone with it.
Unless it is measured, nothing of it outlives a machine (`fsync` off); a commit is waited for as always.
"""

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from gateway.app.composition import migrate
from gateway.ledger.folder_store import store_in
from gateway.postgres import address
from support.ports import free_port

OLDEST = 15
START = 60.0  # seconds, on a machine that does much else; a server that ended is seen at once
OWNER = "postgres"  # it refuses to run as root


def programs() -> Path | None:
    """Where the newest server's programs are; nothing: there is none that is new enough."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if on_path := shutil.which("postgres"):
        found.append(Path(on_path).parent)
    return max((path for path in found if version(path) >= OLDEST), key=version, default=None)


def version(folder: Path) -> int:
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"\d+", said).group())


def _as_owner() -> list[str]:
    if os.geteuid():
        return []
    return ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups", "--pdeathsig=INT"]


def _own(folder: Path) -> None:
    if not os.geteuid():
        owner = pwd.getpwnam(OWNER)
        os.chown(folder, owner.pw_uid, owner.pw_gid)


@contextlib.contextmanager
def running(programs: Path, *, fsync: bool = False, **more: str):
    """Where it is: host, port, user, database. `more`: what else it is told."""
    with tempfile.TemporaryDirectory(prefix="gateway-postgres-", ignore_cleanup_errors=True) as made:
        folder, port = Path(made), free_port()
        _own(folder)
        environment = {"LC_ALL": "C", "PATH": os.environ["PATH"]}
        initdb = [programs / "initdb", "-D", folder / "data", "-U", OWNER, "-A", "trust", "-N", "-E", "UTF8"]
        subprocess.run([*_as_owner(), *initdb], env=environment, cwd=folder, check=True, capture_output=True)
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "max_wal_size": "192MB",
        }
        options |= {"fsync": "on" if fsync else "off", **more}
        server = [
            programs / "postgres",
            "-D",
            folder / "data",
            *(f"--{name}={value}" for name, value in options.items()),
        ]
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen([*_as_owner(), *server], env=environment, cwd=folder, stdout=said, stderr=said)
            try:
                _wait(process, port, folder / "said")
                yield {"host": "127.0.0.1", "port": port, "user": OWNER, "database": "postgres"}
            finally:
                process.send_signal(signal.SIGINT)  # does not wait for whoever is connected
                process.wait(60)


def _wait(process: subprocess.Popen, port: int, said: Path) -> None:
    deadline = time.monotonic() + START
    while b"ready to accept connections" not in said.read_bytes():
        assert process.poll() is None, said.read_text()[-3000:]
        assert time.monotonic() < deadline, said.read_text()[-3000:]
        time.sleep(0.02)
    socket.create_connection(("127.0.0.1", port), 5).close()


def fresh_store(at, folder):
    """A ledger of its own on it, in a database that is made for it."""
    address.name_url(folder, fresh_url(at))
    return store_in(folder)


def fresh_url(at):
    """Of a database that nobody has used."""
    name = f"ledger_{os.urandom(6).hex()}"
    with psycopg.connect(url_of(at), autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")
    return url_of({**at, "database": name})


def installed(at, folder):
    """An installation whose ledger and vault are on it, which serves by a role that owns none of it."""
    serves, owner = two_roles(at)
    migrate(folder, url=serves, owner=owner)
    return folder


def two_roles(at):
    """A database that nobody has used: its url as the role that serves, and as the one that owns it."""
    name = f"ledger_{os.urandom(6).hex()}"
    with psycopg.connect(url_of(at), autocommit=True) as db:
        for role in (f"{name}_serves", f"{name}_owner"):
            db.execute(f"CREATE ROLE {role} LOGIN")
        db.execute(f"CREATE DATABASE {name} OWNER {name}_owner")
    return [url_of({**at, "database": name, "user": f"{name}_{which}"}) for which in ("serves", "owner")]


def office_url(folder):
    """Of an installation's database, as whoever may do anything there."""
    return re.sub("//[^@]+@", f"//{OWNER}@", address.url_in(folder))


def url_of(at):
    return f"postgresql://{at['user']}@{at['host']}:{at['port']}/{at['database']}"
