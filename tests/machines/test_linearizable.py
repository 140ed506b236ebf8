"""Choices and checks of one person are one register, whatever the number of clients, threads and services on the
folder: each takes effect at one moment between its call and its answer. A check never answers from before an
acknowledged opt-out, and what was seen once is not lost again, not even when a service is killed.

Several client processes call two services on one data folder; each service is killed once and started again. Some
clients hang up, and some of those ask again with their Idempotency-Key. SOAK=1 runs it with other seeds as well.
"""

import os
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import crowd
from support.crowd import Plan
from support.examples import SOAK
from support.linearizable import NEVER, without_order
from support.ports import free_port
from support.service import Service, service
from support.together import until, workers
from support.wire import call

from gateway.app.workers import LOADS_WITHIN, LONGEST_PAUSE

pytestmark = pytest.mark.slow

SEEDS = range(1, 4) if SOAK else [1]
SUBJECTS, OPERATIONS = (120, 6000) if SOAK else (60, 3000)
FEW = 12
LIVES = 5  # of the control, at most
ENTRIES = 10  # about so many a subject
RENEWED_WITHIN = LONGEST_PAUSE + 2 * LOADS_WITHIN  # seconds: of workers that are ended young, one after the other


def plan(seed, subjects, *services):
    notices = {item["kind"]: item["sha256"] for item in call(f"{services[0].url}/v1/self")[1]["notices"]}
    return Plan(seed, tuple(one.port for one in services), notices, subjects)


def counted(history):
    """What a table of figures says of a history."""
    kinds = Counter(type(one.act).__name__ for one in history)
    unknown = sum(one.answered == NEVER for one in history)
    return (
        f"{len(history)} operations ({kinds['Check']} checks, {kinds['No']} opt-outs, {kinds['Asked']} + {kinds['Yes']}"
        f" acts of opting in), {unknown} of them with no answer"
    )


def kill_each_once(services, entries, over):
    """One after the other, early on: on a busy machine a start takes long, and the second kill must fall between
    too."""
    for number, (doomed, other) in enumerate([services, services[::-1]], 1):
        while (call(f"{other.url}/readyz")[1]["ledger"]["entries"] or 0) < entries * number / 8:
            assert not over.wait(0.05), "the kill must fall between"
        doomed.kill()
        doomed.start()


def with_kills(planned, services):
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill_each_once, services, SUBJECTS * ENTRIES, over)
        try:
            history = crowd.run(planned)
        finally:
            over.set()
        killed.result()
    return history


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_at_once_has_an_order_also_when_either_of_two_services_is_killed(tmp_path, seed, figure):
    with service(tmp_path) as first:
        second = Service(free_port(), first.data, tmp_path / "second").start()
        try:
            history = with_kills(plan(seed, SUBJECTS, first, second), [first, second])
        finally:
            second.stop()
    assert len(history) >= OPERATIONS
    found = without_order(history)
    told = f"{counted(history)}; {SUBJECTS} subjects, 2 services each killed once: {len(found)} without an order"
    figure(f"linearizability, seed {seed}", told)
    assert found == {}


def hurt_workers(running, over):
    """One is killed, one is stopped, all are renewed, and again, until it is over. How often each."""
    hurt = Counter()
    while not over.is_set():
        for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGHUP):
            before = until(lambda: len(found := workers(running)) == 2 and found, "there were never two")
            gone = before if number == signal.SIGHUP else {min(before)}
            os.kill(running.process.pid if number == signal.SIGHUP else min(before), number)
            until(
                lambda gone=gone: len(now := workers(running)) == 2 and not now & gone,
                "nobody took its place",
                RENEWED_WITHIN,
            )
            hurt[signal.Signals(number).name] += 1
    return dict(hurt)


def test_whatever_happens_at_once_has_an_order_with_workers_that_are_killed_stopped_and_renewed(tmp_path, figure):
    over = threading.Event()
    with service(tmp_path, "--workers", "2", prefix=("env",)) as running, ThreadPoolExecutor(1) as pool:
        planned = plan(7, SUBJECTS, running)
        hurting = pool.submit(hurt_workers, running, over)
        try:
            history = crowd.run(planned)
        finally:
            over.set()
        hurt = hurting.result()
    assert len(history) >= OPERATIONS
    found = without_order(history)
    figure("linearizability, two workers", f"{counted(history)}; {hurt}: {len(found)} without an order")
    assert found == {}


def test_the_control_a_look_up_that_answers_from_an_old_copy_is_found(tmp_path, figure):
    for life in range(1, LIVES + 1):
        folder = tmp_path / str(life)
        folder.mkdir()
        with service(folder, module="support.answers_from_a_copy") as lagging:
            history = crowd.run(plan(life, FEW, lagging))
        found = without_order(history)
        if len(found) > FEW / 4:
            break
    told = f"{counted(history)}; {FEW} subjects, old copies, life {life}: {len(found)} without an order"
    figure("linearizability, control", told)
    assert len(found) > FEW / 4
