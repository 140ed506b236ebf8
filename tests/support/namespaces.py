"""Machines that are network namespaces: a switch, and hosts on it with an address each. Nothing of them is attached to
the namespace that the tests run in, so no packet leaves; what runs in one is ended with it, by its pids.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

NETWORK = "10.77.0"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def can_be_made():
    """Whether this process may make them."""
    if os.geteuid() or not shutil.which("ip"):
        return False
    name = f"gw{os.getpid()}try"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return False
    ip("netns", "del", name)
    return True


def ip(*said):
    subprocess.run(["ip", *map(str, said)], check=True, capture_output=True)


class Machine:
    """One on the switch. `wire` is the switch's end of its cable."""

    def __init__(self, switch, number):
        self.switch, self.number = switch, number
        self.name, self.wire = f"{switch}n{number}", f"w{number}"
        self.address = f"{NETWORK}.{10 + number}"
        self.blind = set()
        ip("netns", "add", self.name)
        ip("-n", switch, "link", "add", self.wire, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("-n", switch, "link", "set", self.wire, "master", "br0")
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")
        ip("-n", self.name, "link", "set", "eth0", "up")
        self.plug(True)

    def plug(self, plugged):
        ip("-n", self.switch, "link", "set", self.wire, "up" if plugged else "down")

    def cut_from(self, others):
        """From these machines alone; the others reach it as before."""
        for other in others:
            ip("-n", self.name, "route", "add", "blackhole", f"{other.address}/32")
            self.blind.add(other.address)

    def see_again(self):
        while self.blind:
            ip("-n", self.name, "route", "del", "blackhole", f"{self.blind.pop()}/32")

    def pids(self):
        said = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=True).stdout
        return [*map(int, said.split())]

    def signal_all(self, number):
        """To all that runs in it, the machine's own programs only: nobody else is in it."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill_all(self):
        while self.pids():
            self.signal_all(signal.SIGKILL)
            time.sleep(0.05)

    @contextlib.contextmanager
    def inside(self):
        """This thread, and what it starts, is on that machine's network meanwhile."""
        with Path("/proc/thread-self/ns/net").open() as here, Path(f"/run/netns/{self.name}").open() as there:
            _enter(there)
            try:
                yield
            finally:
                _enter(here)


def _enter(namespace):
    if LIBC.setns(namespace.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def machines(count):
    """So many on one switch; gone at the end, with all that runs in them."""
    switch, made = f"gw{os.getpid()}", []
    ip("netns", "add", switch)
    try:
        ip("-n", switch, "link", "add", "br0", "type", "bridge")
        ip("-n", switch, "link", "set", "br0", "up")
        for number in range(1, count + 1):
            made.append(Machine(switch, number))
        yield made
    finally:
        for machine in made:
            machine.signal_all(signal.SIGCONT)
            machine.kill_all()
            ip("netns", "del", machine.name)
        ip("netns", "del", switch)
