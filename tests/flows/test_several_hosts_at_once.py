"""Many who choose and check about the same people at two machines with two processes each, on one PostgreSQL, while
workers and machines are killed, stopped, renewed and cut off: whatever was answered has an order, as each machine tells
it. An act happens between its call and its answer, and until that is there one machine may tell of it already while the
other does not yet; behind it both do.

Where a machine is hurt an act takes seconds, so the history is wide: many crews, each at another person, and few acts
at once about one. SOAK=1: some 50,000 operations, with the machines let alone for longer between, or what is done of
them within LINEARIZABLE_SECONDS.
"""

import contextlib
import math
import os
import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http import HTTPStatus

import pytest
from support import crowd
from support.crowd import Lost, Plan, about
from support.examples import SOAK
from support.linearizable import MOST, NEVER, Asked, Check, No, Operation, Yes, without_order
from support.several_hosts import Hosts, killed, stopped
from support.together import workers
from support.wire import call

pytestmark = pytest.mark.slow
SUBJECTS, CREWS = (1100, 16) if SOAK else (16, 8)
UNHURT = 5.0 if SOAK else 0.5  # seconds between two acts against a machine
TURNS = 5  # of the control at most; the first mostly finds it
SECONDS = float(os.environ.get("LINEARIZABLE_SECONDS", "inf"))


@pytest.fixture(autouse=True)
def _starts_among_many(monkeypatch):
    """A machine that is started while so many call has little of the processor."""
    monkeypatch.setattr("support.service.START", 300.0)


class HostsMember(crowd.Member):
    """One of a crowd whose noes may be kept beside the ledger: then they are entered at some time. Of what tells what
    stands is kept which machine answered it.
    """

    def keep(self, subject, call, act, answered=None):
        super().keep((subject, None if isinstance(act, No) else self.asked), call, act, answered)

    def say_no(self, subject):
        number, began = next(self.numbers), time.monotonic_ns()
        try:
            status, answer = self.insist({**about(subject), "choice": "opt_out", "purposes": ["sale"]}, number)
        except Lost:
            self.keep(subject, began, No(number, None), NEVER)
            return
        waits = status == HTTPStatus.ACCEPTED
        assert waits or status in {HTTPStatus.OK, HTTPStatus.CREATED}, answer
        self.keep(subject, began, No(number, None if waits else answer["event"]), NEVER if waits else None)


def without_order_at(ports, history):
    """Whose acts have no order, and of each machine whose checks have none among everybody's acts. A token of another
    machine, or its refusal of a yes, may know of a no that this one does not tell of yet.
    """
    acts = [each._replace(subject=each.subject[0]) for each in history if not isinstance(each.act, Check)]
    found = [*without_order(acts).values()]
    for port in ports:
        found += without_order(filter(None, (seen_at(port, each) for each in history))).values()
    return found


def seen_at(port, one):
    """As it counts at a machine; None: not at all. A machine that is cut off from the log, or keeps noes beside it,
    says no of everybody and names no entry: that tells nothing.
    """
    act, elsewhere = one.act, one.subject[1] != port
    if isinstance(act, Check) and (elsewhere or (act.word, act.event) == ("out", None)):
        return None
    if isinstance(act, Asked | Yes):
        act = act._replace(elsewhere=elsewhere)
    return one._replace(subject=one.subject[0], act=act)


def searched_again(found, folder):
    """Of histories in which many acts were not answered, whose search was given up: five times as many steps. What is
    left is written down.
    """
    left = [each for each in found if without_order(each, most=5 * MOST)]
    for number, each in enumerate(left):
        (folder / f"without_order_{number}.txt").write_text("\n".join(map(repr, each)))
    return left


def hurt_hosts(hosts, acts, over):
    """One act after the other, each once and then again, until it is over. How often each."""
    done, dice = Counter(), random.Random(11)
    while not over.is_set():
        for act in acts:
            if over.wait(UNHURT):
                break
            act(hosts, dice.choice(hosts.served), over)
            done[act.__name__] += 1
    return dict(done)


def worker_dies(_, one, __):
    for pid in sorted(workers(one))[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def machine_stands_still(_, one, over):
    with stopped(one):
        over.wait(1.5)


def line_is_cut(hosts, _, over):
    with hosts.cut(silent=False):
        over.wait(2.0)


def machine_dies(_, one, __):
    killed(one)
    one.start()


def workers_are_renewed(_, one, __):
    os.kill(one.process.pid, signal.SIGHUP)


def live(hosts, acts):
    """(what everybody was answered, how often each act was done)."""
    over = threading.Event()
    with hosts, ThreadPoolExecutor(1) as pool:
        notices = {item["kind"]: item["sha256"] for item in call(f"{hosts.served[0].url}/v1/self")[1]["notices"]}
        hurting = pool.submit(hurt_hosts, hosts, acts, over)
        try:
            planned = Plan(11, hosts.ports, notices, SUBJECTS, crews=CREWS, member=HostsMember)
            history = crowd.run(replace(planned, patience=300.0, seconds=SECONDS))
        finally:
            over.set()
        return history, hurting.result()


def test_whatever_happens_at_once_on_two_machines_has_an_order_whoever_is_killed_stopped_or_cut_off(
    postgres, tmp_path, figure
):
    acts = (worker_dies, machine_stands_still, line_is_cut, machine_dies, workers_are_renewed)
    hosts = Hosts(postgres, tmp_path, workers=2)
    history, hurt = live(hosts, acts)
    found = without_order_at(hosts.ports, history)
    left = searched_again(found, tmp_path)
    told = (
        f"{len(history)} operations; {hurt}: {len(left)} without an order, {len(found) - len(left)} long searched for"
    )
    figure("linearizability, two machines", told)
    assert left == [], f"written to {tmp_path}"
    assert len(history) > (SUBJECTS if math.inf == SECONDS else CREWS) * 10, "hardly anybody was answered"


def test_the_control_a_machine_that_answers_beyond_its_lease_is_found(postgres, tmp_path, figure):
    """Whether anybody asks it about one who said no elsewhere while its line was cut is left to chance, so that there
    may be several lives of it.
    """
    for turn in range(TURNS):
        folder = tmp_path / str(turn)
        folder.mkdir()
        hosts = Hosts(postgres, folder, ("gateway", "support.answers_beyond_its_lease"))
        history, hurt = live(hosts, (line_is_cut,))
        if found := without_order_at(hosts.ports, history):
            break
    figure("linearizability, beyond its lease", f"{len(history)} operations; {hurt}: {len(found)} without an order")
    assert found


@pytest.mark.parametrize(("refused_at", "found"), [(2, 0), (1, 1)])
def test_a_machine_may_refuse_by_a_no_that_is_not_answered_yet_while_another_still_tells_of_the_yes(refused_at, found):
    """But none that tells of the no itself says a moment later that nothing stands."""
    history = [
        Operation((7, 1), 0, 1, Asked(1)),
        Operation((7, 1), 2, 3, Yes(1, 1, taken=True)),
        Operation((7, 1), 4, 5, Asked(2)),
        Operation((7, None), 6, 20, No(3, "event")),
        Operation((7, refused_at), 7, 8, Yes(2, 2, taken=False)),
        Operation((7, 1), 9, 10, Check("in")),
        Operation((7, 1), 21, 22, Check("out", "event")),
        Operation((7, 1), 23, 24, Check("out")),
    ]
    assert len(without_order_at([1, 2], history)) == found
