"""Once an opt-out was acknowledged nothing that is asked after that lets the person's data go, wherever it is asked:
checks and bids at the gateway (from the mirror), by the client and at a sidecar, rows of a share at the gateway, checks
in an ad server's own process; while replicas are stopped, cut off and suspended, the gateway is killed and started on a
machine with another wall clock. Times are CLOCK_BOOTTIME, the same for all processes.

SOAK=1 goes on until 20,000 answers.
"""

import contextlib
import http.client
import itertools
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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest
from support.cuttable import Cuttable
from support.endless import link_all
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
ANSWERS = 20_000 if SOAK else 5_000
PEOPLE = 1200 if SOAK else 600
TERM = 2.0
FEW = 12  # people of a control, so that each is asked about often
MANY = 30  # of one whose fault shows for a moment only
HOUR = 3600
AT_ONCE = 3  # opt-outs that are asked for together
AT_PEACE = 30 if SOAK else 15  # opt-outs while nothing goes wrong


class Seen(NamedTuple):
    """One answer about one person. `allowed`: their data may go, or went."""

    where: str
    what: str
    start: float
    number: int
    allowed: bool
    stale: bool


class Question(NamedTuple):
    """`read`: of one person's answer and the headers, whether their data may go, and the reason. `lot`: of how many
    people one call asks, a line each.
    """

    what: str
    path: str
    body: Callable[[int], dict]
    read: Callable[[bytes, Message, int], tuple[bool, str | None]]
    kind: str = "application/json"
    lot: int = 1


def of_check(body, _, __):
    answer = json.loads(body)
    return answer["allowed"], answer["reason"]


def bid(number):
    app = {"bundle": "com.example.app"}
    device = {"os": "Android", "ifa": gaid(number), "geo": {"country": "USA", "region": "NY"}}
    return {"id": "1", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}], "app": app, "device": device}


def of_bid(body, headers, number):
    """What counts is whether the ad id is in what goes to a bidder."""
    return gaid(number).encode() in body, headers["gateway-reason"]


def row(number):
    who = gaid(number)
    data = {"lat": 40.7128, "lon": -74.006, "ad_id": who}
    return {"id": f"row-{next(ROW_IDS)}", "identifiers": [named("gaid", who)], "place": "US-NY", "data": data}


def of_row(body, _, number):
    """A row goes to a recipient as it is handed back, with what names its person."""
    line = json.loads(body)
    return gaid(number) in json.dumps(line.get("row")), line["reason"]


def asked(number):
    return {"identifiers": [named("gaid", gaid(number))], "data": ["ad_id"], "place": "US-NY"}


ROW_IDS = itertools.count()
QUESTIONS = {
    each.what: each
    for each in (
        Question("check", "/v1/check", lambda number: asked(number) | {"recipient": "teemo"}, of_check),
        Question("bid", "/v1/openrtb?recipient=advertisers", bid, of_bid),
        Question("row", "/v1/shares/teemo", row, of_row, "application/x-ndjson", lot=4),
    )
}
ASKED_AT = {"gateway": (*QUESTIONS,), "sidecar": ("check", "bid"), "client": ("check", "bid"), "server": ("check",)}


@dataclass
class World:
    """A gateway, a sidecar and an ad server, each replica behind a relay of its own; and what was seen."""

    folder: object
    module: str = "gateway"
    seen: list[Seen] = field(default_factory=list)
    acknowledged: dict[int, float] = field(default_factory=dict)  # by person, when the answer was there
    took: list[float] = field(default_factory=list)  # effective_at - accepted_at
    over: threading.Event = field(default_factory=threading.Event)
    next: int = 0
    out: Path | None = None  # what the ad server writes down

    def start(self, stack):
        self.start_gateway(stack)
        self.to_sidecar, self.to_server = Cuttable(self.gateway.port), Cuttable(self.gateway.port)
        stack.callback(self.to_sidecar.close)
        stack.callback(self.to_server.close)
        self.sidecar = Sidecar(self.to_sidecar.url, self.folder / "beside", self.enrolled("sidecar"))
        stack.callback(self.sidecar.stop)
        self.sidecar.start()
        self.start_server(stack)
        self.ask_gateway(stack)
        self.ask_all(stack, ("sidecar", self.sidecar.port, ASKED_AT["sidecar"]))
        asking = threading.Thread(target=self.ask_by_client)
        asking.start()
        stack.callback(asking.join)
        stack.callback(self.over.set)

    def start_gateway(self, stack):
        self.gateway = Service(free_port(), self.folder / "data", self.folder / "log", module=self.module)
        stack.callback(self.gateway.stop)
        self.gateway.start()
        link_all(self.gateway.url, PEOPLE)  # a row of somebody of no account does not go

    def ask_gateway(self, stack):
        """Each in a thread of its own: a row waits until it is on record."""
        self.ask_all(stack, *[("gateway", self.gateway.port, (what,)) for what in ASKED_AT["gateway"]])

    def ask_all(self, stack, *places):
        for place in places:
            asking = threading.Thread(target=self.ask, args=place)
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

    def ask(self, where, port, whats):
        """One question after the other, on one connection; one that is not answered in time is nothing."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
        for question in itertools.cycle([QUESTIONS[what] for what in whats]):
            if self.over.is_set():
                break
            numbers = [self.among() for _ in range(question.lot)]
            headers = {"Authorization": "Bearer dev.dev", "Content-Type": question.kind}
            body, start = "\n".join(json.dumps(question.body(number)) for number in numbers), boot()
            try:
                connection.request("POST", question.path, body, headers)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                time.sleep(0.05)
                continue
            if answer.status == 200:  # anything else gives nothing that may go
                for number, one in zip(numbers, text.splitlines(), strict=False):  # behind rows comes their sum
                    allowed, reason = question.read(one, answer.headers, number)
                    self.seen.append(Seen(where, question.what, start, number, allowed, reason == "stale"))
            time.sleep(0.002)
        connection.close()

    def ask_by_client(self):
        """As ad code does that has the client in its process: what it obeys counts, not what was answered."""
        with Client(self.gateway.url, key="dev.dev", timeout_ms=1000) as client:
            for what in itertools.cycle(ASKED_AT["client"]):
                if self.over.is_set():
                    break
                number, start = random.randrange(PEOPLE), boot()
                if what == "check":
                    found = client.check(recipient="teemo", **asked(number))
                    allowed = found.allowed
                else:
                    found = client.openrtb(bid(number), recipient="advertisers")
                    allowed = gaid(number) in json.dumps(found.bid)
                if found.reason != NO_ANSWER:
                    self.seen.append(Seen("client", what, start, number, allowed, found.reason == "stale"))
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
        self.people_opt_out(AT_PEACE)

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
        packed = self.out.read_bytes() if self.out else b""
        whole = len(packed) // RECORD.size * RECORD.size
        server = [
            Seen("server", "check", start, number, allowed, stale)
            for start, _, number, allowed, stale in RECORD.iter_unpack(packed[:whole])
        ]
        return [*self.seen, *server]

    def done(self):
        return len(self.seen) + self.out.stat().st_size // RECORD.size

    def too_late(self, history):
        """Allows that started after the answer to the person's opt-out was there."""
        return [one for one in history if one.allowed and one.start > self.acknowledged.get(one.number, float("inf"))]

    def shows(self, faulty):
        """Whether a control's fault was seen everywhere that it must be."""
        return faulty <= {one[:2] for one in self.too_late(self.history())}

    def until_it_shows(self, faulty, seconds=2.0):
        """Or the time is over in which it may."""
        ends = time.monotonic() + seconds
        while not self.shows(faulty) and time.monotonic() < ends:
            time.sleep(0.05)


FAULTS = (
    World.nothing, World.a_sidecar_is_stopped_across_its_lease, World.nothing,
    World.a_server_is_stopped_and_goes_on_just_before_its_lease_ends, World.a_machine_is_suspended,
    World.the_feed_is_cut_and_leases_are_not, World.nothing,
    World.a_replica_is_cut_off_while_the_gateway_is_killed_and_started,
)  # fmt: skip


def everywhere(*places):
    """All that is asked there, as (where, what)."""
    return {(where, what) for where in places for what in ASKED_AT[where]}


def shown(took):
    cuts = statistics.quantiles(took, n=100)
    return f"50 % in {cuts[49]:.3f} s, 95 % in {cuts[94]:.3f}, 99 % in {cuts[98]:.3f}, the longest {max(took):.3f}"


def test_after_an_acknowledged_opt_out_nothing_that_is_asked_lets_data_go_wherever_it_is_asked(tmp_path, figure):
    world = World(tmp_path)
    with Lateness() as late, contextlib.ExitStack() as stack:
        world.start(stack)
        while world.next == 0 or world.done() < ANSWERS:
            for fault in FAULTS:
                fault(world)
                world.heals()
    history = world.history()
    kinds = Counter(one.what for one in history)
    went = Counter(one[:2] for one in history if one.allowed)
    held = Counter(one[:2] for one in history if one.start > world.acknowledged.get(one.number, float("inf")))
    stale = sum(one.stale for one in history)
    found = world.too_late(history)
    told = ", ".join(f"{kinds[what]} {what}s" for what in QUESTIONS)
    figure("replicas, history", f"{told} ({stale} stale), {len(world.took)} opt-outs: {len(found)} too late")
    figure("replicas, asked after an opt-out", ", ".join(f"{at} {what}: {n}" for (at, what), n in held.items()))
    figure("replicas, effective_at - accepted_at", shown(world.took))
    assert len(history) >= ANSWERS
    assert all(went[each] > 100 for each in everywhere(*ASKED_AT))
    assert all(held[each] for each in everywhere(*ASKED_AT))
    assert stale
    assert found == []
    assert max(world.took) <= TERM + 1 + late.longest, f"this machine stood still for {late.longest:.2f} s"


def test_the_control_without_waiting_for_replicas_checks_and_bids_let_data_go_too_late(tmp_path, figure, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PEOPLE", FEW)
    world, faulty = World(tmp_path, "support.waits_for_nobody"), everywhere("server", "sidecar")
    with contextlib.ExitStack() as stack:
        world.start(stack)
        while world.next < FEW and not world.shows(faulty):
            world.to_server.feed = world.to_sidecar.feed = True
            world.people_opt_out(AT_ONCE)
            world.until_it_shows(faulty)
            world.to_server.feed = world.to_sidecar.feed = False
            world.heals()
    found = Counter(one[:2] for one in world.too_late(world.history()))
    figure("replicas, control without leases", f"{len(world.took)} opt-outs, too late: {dict(found)}")
    assert faulty <= found.keys()


def test_the_control_answered_before_the_state_has_it_all_that_is_asked_lets_data_go_too_late(
    tmp_path, figure, monkeypatch
):
    monkeypatch.setattr(sys.modules[__name__], "PEOPLE", MANY)
    world, faulty = World(tmp_path, "support.folds_too_late"), everywhere("gateway")
    world.among = lambda: max(0, world.next - 1)  # whoever opts out now
    with contextlib.ExitStack() as stack:
        world.start_gateway(stack)
        world.ask_gateway(stack)
        while world.next < MANY and not world.shows(faulty):
            world.people_opt_out(1)
            world.until_it_shows(faulty)
    found = Counter(one[:2] for one in world.too_late(world.seen))
    figure("replicas, control folded too late", f"{len(world.took)} opt-outs, too late: {dict(found)}")
    assert faulty <= found.keys()
