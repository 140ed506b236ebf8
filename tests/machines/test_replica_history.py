"""Once an opt-out was acknowledged no check that starts after that allows, wherever it is asked: at the gateway (from
the mirror), by the client, at a sidecar, in an ad server's own process; while replicas are stopped, cut off and
suspended, the gateway is killed and started on a machine with another wall clock. Times are CLOCK_BOOTTIME, the same
for all processes.

SOAK=1 goes on until 200,000 checks.
"""

import contextlib
import http.client
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import pytest
from support.cuttable import Cuttable
from support.examples import SOAK
from support.people import gaid, named
from support.ports import free_port
from support.replica_process import RECORD, boot
from support.service import HERE, Service
from support.sidecar import Sidecar
from support.times import Lateness
from support.wire import call

from gateway.cli import main
from gateway.client import NO_ANSWER, Client

pytestmark = pytest.mark.slow
CHECKS = 200_000 if SOAK else 5_000
PEOPLE = 3000
TERM = 2.0
FEW = 12  # people of a control, so that each is asked about often
MANY = 30  # of one whose fault shows for a moment only
HOUR = 3600
AT_ONCE = 3  # opt-outs that are asked for together


class Check(NamedTuple):
    where: str
    start: float
    number: int
    allowed: bool
    stale: bool


@dataclass
class World:
    """A gateway, a sidecar and an ad server, each replica behind a relay of its own; and what was seen."""

    folder: object
    module: str = "gateway"
    checks: list[Check] = field(default_factory=list)
    acknowledged: dict[int, float] = field(default_factory=dict)  # by person, when the answer was there
    took: list[float] = field(default_factory=list)  # effective_at - accepted_at
    over: threading.Event = field(default_factory=threading.Event)
    next: int = 0

    def start(self, stack):
        self.start_gateway(stack)
        self.to_sidecar, self.to_server = Cuttable(self.gateway.port), Cuttable(self.gateway.port)
        stack.callback(self.to_sidecar.close)
        stack.callback(self.to_server.close)
        self.sidecar = Sidecar(self.to_sidecar.url, self.folder / "beside", self.enrolled("sidecar"))
        stack.callback(self.sidecar.stop)
        self.sidecar.start()
        self.start_server(stack)
        self.ask_all(stack, ("gateway", self.gateway.port), ("sidecar", self.sidecar.port))
        asking = threading.Thread(target=self.ask_by_client)
        asking.start()
        stack.callback(asking.join)
        stack.callback(self.over.set)

    def start_gateway(self, stack):
        self.gateway = Service(free_port(), self.folder / "data", self.folder / "log", module=self.module)
        stack.callback(self.gateway.stop)
        self.gateway.start()

    def ask_all(self, stack, *places):
        for where, port in places:
            asking = threading.Thread(target=self.ask, args=(where, port))
            asking.start()
            stack.callback(asking.join)
        stack.callback(self.over.set)

    def among(self):
        """Whom the next check is about."""
        return random.randrange(PEOPLE)

    def enrolled(self, name):
        path, secret = self.folder / f"{name}.enrolment", self.folder / f"{name}.secret"
        with secret.open("w") as written, contextlib.redirect_stdout(written), contextlib.suppress(SystemExit):
            main(["replica", "enrol", name, "--data", str(self.folder / "data"), "--out", str(path)])
        return path, secret.read_text().strip()

    def start_server(self, stack):
        path, _ = self.enrolled("server")
        self.out = self.folder / "server.checks"
        command = [
            sys.executable,
            "-m",
            "support.replica_process",
            self.to_server.url,
            str(self.folder / "server"),
            str(path),
            str(self.folder / "server.secret"),
            str(PEOPLE),
            str(self.out),
        ]
        with (self.folder / "server.log").open("wb") as log:
            self.server = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | {"PYTHONPATH": HERE},
            )
        stack.callback(self.stop_server)
        assert self.server.stdout.readline() == "ready\n", (self.folder / "server.log").read_text()[-2000:]

    def stop_server(self):
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGCONT)
            self.server.stdin.close()
            self.server.wait(timeout=60)
        self.server.stdout.close()

    def ask(self, where, port):
        """Checks one after the other, on one connection; one that is not answered in time is nothing."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
        headers = {"Authorization": "Bearer dev.dev", "Content-Type": "application/json"}
        while not self.over.is_set():
            number, start = self.among(), boot()
            who = [named("gaid", gaid(number))]
            body = {"identifiers": who, "recipient": "teemo", "data": ["ad_id"], "place": "US-NY"}
            try:
                connection.request("POST", "/v1/check", json.dumps(body), headers)
                answer = json.loads(connection.getresponse().read())
                self.checks.append(Check(where, start, number, answer["allowed"], answer["reason"] == "stale"))
            except (OSError, http.client.HTTPException):
                connection.close()
                time.sleep(0.05)
            time.sleep(0.002)
        connection.close()

    def ask_by_client(self):
        """As ad code does that has the client in its process: what it obeys counts, not what was answered."""
        with Client(self.gateway.url, key="dev.dev", timeout_ms=1000) as client:
            while not self.over.is_set():
                number, start = random.randrange(PEOPLE), boot()
                who = [named("gaid", gaid(number))]
                found = client.check(identifiers=who, recipient="teemo", data=["ad_id"], place="US-NY")
                if found.reason != NO_ANSWER:
                    self.checks.append(Check("client", start, number, found.allowed, found.reason == "stale"))
                time.sleep(0.002)

    def opts_out(self, number):
        """One person, asked for with one Idempotency-Key until it is acknowledged."""
        body = {"identifiers": [named("gaid", gaid(number))], "choice": "opt_out"}
        while True:
            with contextlib.suppress(OSError):
                status, answer = call(
                    f"{self.gateway.url}/v1/choices", body, headers={"Idempotency-Key": f"once-{number}"}, timeout=10
                )
                if status in {200, 201} and answer["effective_at"]:
                    self.acknowledged[number] = boot()
                    accepted, effective = (datetime.fromisoformat(answer[n]) for n in ("accepted_at", "effective_at"))
                    self.took.append((effective - accepted).total_seconds())
                    return
            time.sleep(0.05)

    def people_opt_out(self, count):
        numbers = range(self.next, self.next + count)
        self.next += count
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self.opts_out, numbers))

    # --- what goes wrong ---

    def nothing(self):
        self.people_opt_out(30)

    def a_sidecar_is_stopped_across_its_lease(self):
        self.sidecar.process.send_signal(signal.SIGSTOP)
        self.people_opt_out(AT_ONCE)
        self.sidecar.process.send_signal(signal.SIGCONT)
        self.people_opt_out(AT_ONCE)

    def a_server_is_stopped_and_goes_on_just_before_its_lease_ends(self):
        self.server.send_signal(signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.people_opt_out, AT_ONCE)
            time.sleep(TERM * 0.8)
            self.server.send_signal(signal.SIGCONT)
            waiting.result()

    def a_machine_is_suspended(self):
        self.server.stdin.write("suspend 5\n")
        self.server.stdin.flush()
        self.people_opt_out(AT_ONCE)
        time.sleep(0.5)

    def the_feed_is_cut_and_leases_are_not(self):
        self.to_server.feed = True
        self.people_opt_out(AT_ONCE)
        time.sleep(0.5)
        self.to_server.feed = False
        self.people_opt_out(AT_ONCE)

    def a_replica_is_cut_off_while_the_gateway_is_killed_and_started(self):
        self.to_sidecar.all = self.to_server.all = True
        self.gateway.kill()
        self.gateway.module = {"gateway": "support.wrong_clock"}.get(self.module, self.module)
        self.gateway.start()
        stated = datetime.fromisoformat(call(f"{self.gateway.url}/v1/self")[1]["time"]).timestamp()
        assert (stated - time.time() > HOUR - 60) is (self.module == "gateway")
        self.people_opt_out(AT_ONCE)
        self.to_sidecar.all = self.to_server.all = False
        self.gateway.module = self.module

    def heals(self):
        ends = time.monotonic() + 60
        while not self.sidecar.ready():
            assert time.monotonic() < ends
            time.sleep(0.05)

    def history(self):
        packed = self.out.read_bytes()
        whole = len(packed) // RECORD.size * RECORD.size
        server = [
            Check("server", start, number, allowed, stale)
            for start, _, number, allowed, stale in RECORD.iter_unpack(packed[:whole])
        ]
        return [*self.checks, *server]

    def done(self):
        return len(self.checks) + self.out.stat().st_size // RECORD.size

    def too_late(self, history):
        """Allows that started after the answer to the person's opt-out was there."""
        return [one for one in history if one.allowed and one.start > self.acknowledged.get(one.number, float("inf"))]

    def too_late_at(self, where):
        history = self.history() if where == "server" else list(self.checks)
        return [one for one in self.too_late(history) if one.where == where]

    def until_too_late(self, where, seconds=2.0):
        """For a control: until its fault shows, or the time is over in which it may."""
        ends = time.monotonic() + seconds
        while not self.too_late_at(where) and time.monotonic() < ends:
            time.sleep(0.05)


FAULTS = (
    World.nothing, World.a_sidecar_is_stopped_across_its_lease, World.nothing,
    World.a_server_is_stopped_and_goes_on_just_before_its_lease_ends, World.a_machine_is_suspended,
    World.the_feed_is_cut_and_leases_are_not, World.nothing,
    World.a_replica_is_cut_off_while_the_gateway_is_killed_and_started,
)  # fmt: skip


def shown(took):
    cuts = statistics.quantiles(took, n=100)
    return f"50 % in {cuts[49]:.3f} s, 95 % in {cuts[94]:.3f}, 99 % in {cuts[98]:.3f}, the longest {max(took):.3f}"


def test_after_an_acknowledged_opt_out_no_check_that_starts_allows_wherever_it_is_asked(tmp_path, figure):
    world = World(tmp_path)
    with Lateness() as late, contextlib.ExitStack() as stack:
        world.start(stack)
        while world.next == 0 or world.done() < CHECKS:
            for fault in FAULTS:
                fault(world)
                world.heals()
    history = world.history()
    by_place = Counter((one.where, one.allowed) for one in history)
    stale = sum(one.stale for one in history)
    found = world.too_late(history)
    figure(
        "replicas, history", f"{len(history)} checks ({stale} stale), {len(world.took)} opt-outs: {len(found)} too late"
    )
    figure("replicas, effective_at - accepted_at", shown(world.took))
    assert len(history) >= CHECKS
    assert all(by_place[where, True] > 100 for where in ("gateway", "client", "sidecar", "server"))
    assert stale
    assert found == []
    assert max(world.took) <= TERM + 1 + late.longest, f"this machine stood still for {late.longest:.2f} s"


def test_the_control_without_waiting_for_replicas_a_check_allows_too_late(tmp_path, figure, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PEOPLE", FEW)
    world = World(tmp_path, "support.waits_for_nobody")
    with contextlib.ExitStack() as stack:
        world.start(stack)
        while world.next < FEW and not world.too_late_at("server"):
            world.to_server.feed = True
            world.people_opt_out(AT_ONCE)
            world.until_too_late("server")
            world.to_server.feed = False
            world.heals()
    found = Counter(one.where for one in world.too_late(world.history()))
    figure("replicas, control without leases", f"{len(world.took)} opt-outs, too late: {dict(found)}")
    assert found["server"]


def test_the_control_answered_before_the_state_has_it_a_check_allows_too_late(tmp_path, figure):
    world = World(tmp_path, "support.folds_too_late")
    world.among = lambda: max(0, world.next - 1)  # whoever opts out now
    with contextlib.ExitStack() as stack:
        world.start_gateway(stack)
        world.ask_all(stack, *[("gateway", world.gateway.port)] * 3)
        while world.next < MANY and not world.too_late_at("gateway"):
            world.people_opt_out(1)
            world.until_too_late("gateway")
    found = world.too_late(world.checks)
    figure("replicas, control folded too late", f"{len(world.took)} opt-outs, {len(found)} checks too late")
    assert found
