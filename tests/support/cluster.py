"""Three machines with etcd, Patroni and PostgreSQL from the system's packages, as `gateway recipe etcd` and `patroni`
print them: only the folders are the test's own. A fourth machine has the gateway.
"""

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from gateway.cli.recipe import filled
from support import inside, namespaces, postgres_server

PASSWORDS = {f"PATRONI_{user}_PASSWORD": f"{user.lower()}-word" for user in ("SUPERUSER", "REPLICATION", "REWIND")}
ROOM = "3g"  # of a database machine's disk, which lies in memory: a server alone keeps a gigabyte of its log (max_wal_size)
READY = 120.0  # seconds
OWNER = postgres_server.OWNER
PEERS = 3


def missing():
    """What this machine lacks for it; empty: nothing."""
    names = [name for name in ("etcd", "patroni", "ip", "setpriv") if not shutil.which(name)]
    if not postgres_server.programs():
        names.append("postgresql")
    if not names and not namespaces.can_be_made():
        names.append("network namespaces")
    return ", ".join(names)


def _until(look, seconds=READY):
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)
    return found


class Node:
    """A database machine."""

    def __init__(self, machine, folder, machines):
        self.machine, self.folder, self._started = machine, folder, []
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=700", "tmpfs", folder], check=True)
        os.chown(folder, *_owner())
        addresses = [machine.address, *(each.address for each in machines if each is not machine)]
        self.name = f"pg-{machine.address.replace('.', '-')}"
        self._environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder), **PASSWORDS}
        for line in self._recipe("etcd", addresses).splitlines():
            if not line.startswith("#"):
                self._environment.update([line.split("=", 1)])
        self._own("patroni.yml").write_text(self._recipe("patroni", addresses))

    def _own(self, name):
        path = self.folder / name
        path.touch()
        os.chown(path, *_owner())
        return path

    def _recipe(self, name, addresses):
        text = filled(name, inside.settings(), host="www.example.com", site="", machines=",".join(addresses))
        for path, own in {
            "/var/lib/etcd/consent": self.folder / "etcd",
            "/var/lib/postgresql/consent": self.folder / "data",
            "/var/lib/postgresql/.pgpass-patroni": self.folder / "pgpass",
            "/var/run/postgresql": self.folder,
            "/usr/lib/postgresql/17/bin": postgres_server.programs(),
        }.items():
            text = text.replace(path, str(own))
        return text

    def start(self):
        self.start_etcd()
        self.start_patroni()

    def start_etcd(self):
        self._run("etcd", "etcd", "--log-level=warn")

    def start_patroni(self):
        self._run("patroni", "patroni", self.folder / "patroni.yml")

    def _run(self, log, *command):
        with self._own(f"{log}.log").open("ab") as said, self.machine.inside():
            as_owner = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups"]
            self._started.append(
                subprocess.Popen(
                    [*as_owner, *command], env=self._environment, cwd=self.folder, stdout=said, stderr=said
                )
            )

    def sql(self, text, database="postgres"):
        """As superuser, on this machine."""
        with self.machine.inside():
            return subprocess.run(
                ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups", "psql", "-h", self.folder, "-XAtq",
                 "-v", "ON_ERROR_STOP=1", database, "-c", text],
                capture_output=True, text=True, check=True, timeout=30, cwd="/",
            ).stdout.strip()  # fmt: skip

    def fill(self):
        """Its disk, until nothing goes in any more."""
        with contextlib.suppress(OSError), (self.folder / "ballast").open("wb") as ballast:
            while True:
                ballast.write(bytes(1 << 16))

    def empty(self):
        (self.folder / "ballast").unlink(missing_ok=True)

    def programs(self):
        """The names of what runs on it."""
        return {Path(f"/proc/{pid}/comm").read_text().strip() for pid in self.machine.pids()}

    def close(self):
        self.machine.signal_all(signal.SIGCONT)
        self.machine.kill_all()
        for each in self._started:
            each.wait()
        _until(lambda: not subprocess.run(["umount", self.folder], capture_output=True, check=False).returncode)


def _owner():
    owner = pwd.getpwnam(OWNER)
    return owner.pw_uid, owner.pw_gid


class Cluster:
    """The three, and `front`, the gateway's machine. `url` as an operator writes it."""

    def __init__(self, machines, folder):
        *databases, self.front = machines
        self.made_anew = 0
        self.nodes = [Node(each, folder / each.name, databases) for each in databases]
        self.passfile = folder / "pgpass"
        self.passfile.write_text("*:*:*:gateway:gateway-word\n")
        self.passfile.chmod(0o600)

    def url(self, nodes=None):
        hosts = ",".join(each.machine.address for each in nodes or self.nodes)
        return f"postgresql://gateway@{hosts}/consent?target_session_attrs=read-write&passfile={self.passfile}"

    def start(self):
        first, *others = self.nodes
        for each in self.nodes:
            each.start_etcd()
        first.start_patroni()
        _until(lambda: self.leader() is first)
        for each in others:
            each.start_patroni()
        self.whole()
        first.sql("CREATE ROLE gateway LOGIN PASSWORD 'gateway-word'")
        first.sql("CREATE DATABASE consent OWNER gateway TEMPLATE template0 ENCODING UTF8")

    def members(self):
        """As Patroni tells them."""
        with self.front.inside():
            for node in self.nodes:
                with (
                    contextlib.suppress(OSError, ValueError),
                    urllib.request.urlopen(f"http://{node.machine.address}:8008/cluster", timeout=1) as said,
                ):
                    return json.load(said)["members"]
        return []

    def leader(self):
        """Who leads and takes writes; None: nobody."""
        with self.front.inside():
            for node in self.nodes:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://{node.machine.address}:8008/primary", timeout=1).close()
                    return node
        return None

    def another_leads(self, than):
        return _until(lambda: (now := self.leader()) is not None and now is not than and now)

    def whole(self):
        """Waits until one leads and the others follow it, each good enough to lead next. A former leader that does not
        come back by itself is made anew, as an operator would: `made_anew` counts them.
        """

        def is_whole():
            roles = sorted(each["role"] for each in self.members() if each["state"] in {"running", "streaming"})
            return len(roles) == PEERS and roles[0] == "leader" and {*roles[1:]} <= {"quorum_standby", "sync_standby"}

        try:
            _until(is_whole, READY / 2)
        except AssertionError:
            self.make_anew()
            _until(is_whole, 2 * READY)
        return self.leader()

    def make_anew(self, but=None):
        """Whoever neither leads nor follows, `but` one that cannot."""
        follow = {each["name"] for each in self.members() if each["state"] in {"running", "streaming"}}
        for node in self.nodes:
            if node.name not in follow and node is not but:
                self.made_anew += 1
                print((node.folder / "patroni.log").read_text()[-1500:], flush=True)
                with self.front.inside(), contextlib.suppress(OSError):
                    asked = urllib.request.Request(
                        f"http://{node.machine.address}:8008/reinitialize", b'{"force": true}'
                    )
                    urllib.request.urlopen(asked, timeout=READY).close()

    def switch(self, leader, follower):
        """As an operator does before maintenance."""
        self.whole()
        body = json.dumps({"leader": leader.name, "candidate": follower.name}).encode()
        with self.front.inside():
            asked = urllib.request.Request(f"http://{leader.machine.address}:8008/switchover", body)
            urllib.request.urlopen(asked, timeout=READY).close()
        _until(lambda: self.leader() is follower)

    def close(self):
        for each in self.nodes:
            each.close()


@contextlib.contextmanager
def running():
    """One that is whole."""
    with tempfile.TemporaryDirectory(prefix="gateway-cluster-") as made, namespaces.machines(PEERS + 1) as machines:
        folder = Path(made)
        folder.chmod(0o755)
        cluster = Cluster(machines, folder)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.close()
