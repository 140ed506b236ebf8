"""Two machines with two workers each, on one PostgreSQL, are renewed one after the other while people opt out and are
asked about: workers by SIGHUP, then the whole machine, stopped and started. Nobody is refused, whoever asks again on a
closed connection under the same Idempotency-Key counts as one; and nobody is allowed at a check that began after their
no was in effect. SOAK=1: three times over.
"""

import contextlib
import http.client
import itertools
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import psycopg
import pytest
from support import postgres_server
from support.examples import SOAK
from support.people import gaid, named
from support.service import service
from support.several_hosts import Hosts, allowed, post_on, question
from support.together import until, workers
from support.wire import call

from gateway.app.workers import ENDS_WITHIN, LOADS_WITHIN
from gateway.postgres.connection import TURN

pytestmark = pytest.mark.slow
ROUNDS, SAYING, PAUSE = (3, 4, 0.0) if SOAK else (1, 2, 0.05)  # seconds between two noes of one
ASKING = 0.01 if SOAK else 0.03  # seconds between two rounds of checks; what starts meanwhile needs the processor, too
HELD = 6.0  # seconds: an opt-in is waited for, where an opt-out is kept beside
BUSY = 3  # turns of a machine that does much else
TURNS = 200  # that somebody asks again, a twentieth of a second between; a start takes seconds
BEHIND, AHEAD = 4, 2  # people who were told last, and who are next, are asked about
RENEWED_WITHIN = (
    4 * LOADS_WITHIN + 2 * ENDS_WITHIN
)  # seconds, of two one after the other on a machine that does much else
SAID = "SELECT count(*), count(DISTINCT request), count(DISTINCT key) FROM gateway_ledger.detail"


def line_to(port):
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60))


class Crowd:
    """`told`: by person, since when the no is in effect; `kept`: who is entered later; `again`: how often somebody had
    to ask again; `allows`: (person, when the check began).
    """

    def __init__(self, ports):
        self.ports, self.over, self.numbers = ports, threading.Event(), itertools.count(1)
        self.last, self.again, self.checked = 0, 0, 0
        self.told, self.kept, self.refused, self.allows = {}, [], [], []
        jobs = [(self.says, ports[number % 2 :] + ports[: number % 2]) for number in range(SAYING)]
        jobs += [(self.asks, port) for port in ports]
        self.threads = [threading.Thread(target=job, args=(at,)) for job, at in jobs]

    def __enter__(self):
        for each in self.threads:
            each.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for each in self.threads:
            each.join()

    def says(self, ports):
        """As a balancer before them does: who is not let in at one turns to the other."""
        with contextlib.ExitStack() as stack:
            self.says_on([stack.enter_context(line_to(port)) for port in ports])

    def says_on(self, lines):
        while not self.over.wait(PAUSE):
            self.last = number = next(self.numbers)
            for line in itertools.islice(itertools.cycle(lines), TURNS):
                if self.is_taken(line, number):
                    break
                self.again += 1
                time.sleep(0.05)
            else:
                self.refused.append((number, "nobody took it"))

    def is_taken(self, line, number):
        """Or finally refused."""
        body = {"identifiers": [named("gaid", gaid(number))], "choice": "opt_out"}
        try:
            status, answer = post_on(line, "choices", body, f"the no of {number}")
        except (OSError, http.client.HTTPException):
            line.close()
            return False
        if status in {HTTPStatus.OK, HTTPStatus.CREATED} and answer["effective_at"]:
            self.told[number] = time.monotonic()
        elif status == HTTPStatus.ACCEPTED:
            self.kept.append(number)
        else:
            self.refused.append((number, status, answer))
        return True

    def asks(self, port):
        with line_to(port) as line:
            self.asks_on(line)

    def asks_on(self, line):
        while not self.over.wait(ASKING):
            for number in range(max(1, self.last - BEHIND), self.last + AHEAD):
                began = time.monotonic()
                try:
                    _, answer = post_on(line, "check", question(number))
                except (OSError, http.client.HTTPException):  # it ends, or is not there yet
                    line.close()
                    time.sleep(0.05)
                    continue
                self.checked += 1
                if answer["allowed"]:
                    self.allows.append((number, began))

    def wrong(self):
        """Whom a machine allowed at a check that began after a no of theirs was in effect."""
        return [each for each in self.allows if each[1] > self.told.get(each[0], float("inf"))]


def workers_are_renewed(machine):
    before = workers(machine)
    os.kill(machine.process.pid, signal.SIGHUP)
    until(lambda: len(now := workers(machine)) == 2 and not now & before, "they were never renewed", RENEWED_WITHIN)


def machine_is_renewed(machine):
    machine.stop()
    machine.start()


def restarted(crowd, served):
    """Each of them, one after the other; the first ones' workers before, under SOAK=1 everybody's."""
    for renew, machines in ((workers_are_renewed, served if SOAK else served[:1]), (machine_is_renewed, served)):
        for each in machines:
            heard = len(crowd.told)
            renew(each)
            until(lambda heard=heard: len(crowd.told) > heard + 2, "nobody was heard")
            until(lambda each=each: allowed(each.port, 999_999), "it answers nobody any more")


def test_nobody_is_refused_or_allowed_too_late_while_workers_and_machines_are_renewed(postgres, tmp_path, figure):
    with Hosts(postgres, tmp_path, workers=2) as hosts:
        with Crowd(hosts.ports) as crowd:
            for _ in range(ROUNDS):
                restarted(crowd, hosts.served)
        heard = len(crowd.told) + len(crowd.kept)
        figure(
            "rolling restart, two machines of two workers",
            f"{ROUNDS} rounds: {heard} noes, {len(crowd.kept)} of them beside, {crowd.again} asked again,"
            f" {len(crowd.refused)} refused; {crowd.checked} checks, {len(crowd.allows)} allowed,"
            f" {len(crowd.wrong())} of them after a no",
        )
        assert crowd.refused == []
        assert crowd.wrong() == []
        assert crowd.again, "no restart was felt"
        assert crowd.allows, "nobody was allowed before their no"
        for number in [*crowd.told, *crowd.kept]:
            port = hosts.ports[number % 2]
            until(lambda number=number, port=port: not allowed(port, number), "a no was lost")
        with psycopg.connect(hosts.url) as db:
            assert db.execute(SAID).fetchone() == (heard,) * 3


def test_whoever_waits_for_the_server_while_a_machine_stops_hears_what_became_of_it(postgres, tmp_path, monkeypatch):
    url = postgres_server.fresh_url(postgres)
    monkeypatch.setenv("GATEWAY_STORE__URL", url)
    with service(tmp_path) as running, psycopg.connect(url) as db, ThreadPoolExecutor(1) as pool:
        notices = {item["kind"]: {"sha256": item["sha256"]} for item in call(f"{running.url}/v1/self")[1]["notices"]}
        who = {"identifiers": [named("gaid", gaid(1))], "proof": {"kind": "account", "assertion": "dev"}}
        opt_in = {**who, "choice": "opt_in", "purposes": ["sale"], "notice": notices["opt-in"]}
        _, asked = call(f"{running.url}/v1/choices", opt_in)
        yes = {"choice": "confirm", "confirm": asked["confirm"], "proof": who["proof"], "notice": notices["confirm"]}
        for _ in range(BUSY):
            answer = waited_for(db, lambda: pool.submit(call, f"{running.url}/v1/choices", yes))
            running.process.terminate()
            time.sleep(HELD)
            db.rollback()
            status, said = answer.result()
            if status != HTTPStatus.SERVICE_UNAVAILABLE:
                break
            running.stop()  # it took longer than the ten seconds that anybody waits
            running.start()
        assert status == HTTPStatus.CREATED, said


def waited_for(db, asks):
    """The answer to something that is being written when nobody can any more."""
    for _ in range(TURNS):
        db.execute(f"SET search_path = gateway_ledger; {TURN}")
        answer = asks()
        time.sleep(0.5)
        if not answer.done():
            break
        db.rollback()  # a machine so busy that it doubted its ledger before it heard
        time.sleep(PAUSE)
    return answer


def test_the_control_a_machine_that_waits_for_nobody_has_the_other_allow_after_a_no(postgres, tmp_path, figure):
    with Hosts(postgres, tmp_path, ("support.waits_for_nobody",) * 2, workers=2) as hosts, Crowd(hosts.ports) as crowd:
        until(crowd.wrong, "nobody was allowed after their no")
        figure("rolling restart, waits for nobody", f"{len(crowd.wrong())} allowed after {len(crowd.told)} noes")
