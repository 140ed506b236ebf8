"""The parent of several workers: whom it starts, replaces, renews and ends; and how a worker hears of the others."""

import asyncio
import multiprocessing
import os
import re
import socket
import threading
from pathlib import Path

import pytest

from gateway.app import workers
from gateway.app.workers import ALIVE, ENDS, NOT_STARTED, SERVES, Siblings, Supervisor
from gateway.cli import serve
from gateway.consent import leases
from gateway.desk import emergency
from gateway.ledger import schema, watch, writer
from gateway.web.shell.metrics import Metrics

pytestmark = pytest.mark.anyio
PIPE = multiprocessing.Pipe


class Process:
    """A process that is none. `line`: a worker's end."""

    def __init__(self, pid, line):
        self.pid, self.line, self.exitcode, self.told = pid, line, None, []
        self.over = threading.Event()

    def terminate(self):
        self.told.append("terminate")

    def kill(self):
        self.told.append("kill")
        self.ends(-9)

    def ends(self, code):
        self.exitcode = code
        self.line.close()
        self.over.set()

    def join(self):
        self.over.wait(60)

    def says(self, word, said=None):
        self.line.send((word, said))


class Order:
    def __init__(self, text):
        self.text = text


class Parent:
    """A supervisor by hand: `now` is its clock, `stated` what it reads, `orders` what it ordered of whom it started."""

    def __init__(self, number=2):
        self.started, self.orders, self.now, self.stated = [], [], 0.0, "the first"
        read = lambda: self.stated and Order(self.stated)  # noqa: E731 - one line of a fixture
        self.supervisor = Supervisor(number, read(), self.start, read, clock=lambda: self.now)

    def start(self, order):
        self.orders.append(order.text)
        ours, theirs = PIPE()
        self.started.append(Process(len(self.started) + 1, theirs))
        return self.started[-1], ours

    def look(self, seconds=0.0):
        """One turn, once all that was said so far was heard."""
        self.now += seconds
        self.supervisor._look(self.now)

    def hear(self, *, heard):
        """Waits until so much was heard."""
        while not heard():
            self.supervisor._hear(1.0)

    def serves(self, process):
        process.says(SERVES)
        self.hear(heard=lambda: self.worker(process).serves)

    def worker(self, process):
        return next((each for each in self.supervisor._workers if each.process is process), None)

    def gone(self, process):
        self.hear(heard=lambda: self.worker(process) is None)

    def begun(self):
        for _ in range(2):
            self.look()
            self.serves(self.started[-1])
        return self.started[:2]


@pytest.fixture
def parent():
    made = Parent()
    yield made
    for each in made.started:
        if not each.over.is_set():
            each.ends(0)
            made.gone(each)


def test_one_begins_at_a_time(parent):
    parent.look()
    parent.look()
    assert len(parent.started) == 1
    parent.serves(parent.started[0])
    parent.look()
    assert len(parent.started) == 2
    parent.serves(parent.started[1])
    parent.look()
    assert len(parent.started) == 2


def test_one_that_dies_is_replaced_at_once_and_one_that_dies_young_after_a_pause(parent):
    first, _ = parent.begun()
    parent.now = workers.SHORT_LIFE + 1
    first.ends(-9)
    parent.gone(first)
    parent.look()
    third = parent.started[2]
    parent.serves(third)
    third.ends(1)
    parent.gone(third)
    parent.look()
    assert len(parent.started) == 3
    parent.look(seconds=1.0)
    assert len(parent.started) == 4


def test_one_that_is_silent_is_killed_and_one_that_loads_has_longer(parent):
    first, second = parent.begun()
    second.says(ALIVE)
    parent.now += workers.HANGS_AFTER
    second.says(ALIVE)
    parent.hear(heard=lambda: parent.worker(second).heard == parent.now)
    parent.look(seconds=0.1)
    assert (first.told, second.told) == (["kill"], [])
    parent.gone(first)
    parent.now += workers.SHORT_LIFE
    second.says(ALIVE)
    parent.hear(heard=lambda: parent.worker(second).heard == parent.now)
    parent.look()
    parent.now += workers.HANGS_AFTER
    second.says(ALIVE)
    parent.hear(heard=lambda: parent.worker(second).heard == parent.now)
    parent.look(seconds=0.1)
    assert parent.started[2].told == []


def test_one_that_was_stopped_is_killed_before_anybody_gives_up_what_it_may_hold(parent, monkeypatch):
    first, second = parent.begun()
    monkeypatch.setattr(workers, "_is_stopped", lambda pid: pid == first.pid)
    parent.look(seconds=workers.STOPPED_AFTER + 0.1)
    assert (first.told, second.told) == (["kill"], [])
    assert workers.STOPPED_AFTER + workers.LOOKS < schema.LOCK_SECONDS


def test_a_renewed_one_ends_only_once_another_serves_in_its_place(parent):
    first, second = parent.begun()
    parent.supervisor._signalled(workers.signal.SIGHUP, None)
    parent.look()
    parent.look()
    assert (len(parent.started), first.told, second.told) == (3, [], [])
    parent.serves(parent.started[2])
    parent.look()
    assert (first.told, second.told) == (["terminate"], [])
    parent.look()
    parent.serves(parent.started[3])
    parent.look()
    assert (first.told, second.told) == (["terminate"], ["terminate"])
    for each in (first, second):
        each.ends(0)
        parent.gone(each)
    parent.look()
    assert len(parent.started) == 4


def test_a_renewal_that_does_not_start_is_given_up_and_those_that_serve_go_on(parent):
    first, second = parent.begun()
    parent.supervisor._signalled(workers.signal.SIGHUP, None)
    parent.look()
    parent.started[2].ends(NOT_STARTED)
    parent.gone(parent.started[2])
    parent.look(seconds=workers.LONGEST_PAUSE)
    assert (len(parent.started), first.told, second.told) == (3, [], [])
    assert not parent.supervisor._ending


def test_one_that_is_being_started_when_a_renewal_is_asked_for_is_renewed_too(parent, monkeypatch):
    parent.look()
    parent.serves(parent.started[0])
    honest = parent.start

    def start(order):
        monkeypatch.setattr(parent.supervisor, "_start", honest)
        begun = honest(order)
        parent.supervisor._signalled(workers.signal.SIGHUP, None)  # before anybody knows of it but the kernel
        return begun

    monkeypatch.setattr(parent.supervisor, "_start", start)
    parent.look()
    parent.serves(parent.started[1])
    for place in (2, 3):
        parent.look()
        parent.serves(parent.started[place])
        parent.look()
        told = next(each for each in parent.started[:2] if each.told and each.exitcode is None)
        told.ends(0)
        parent.gone(told)
    assert [each.exitcode for each in parent.started] == [0, 0, None, None]


def test_a_renewal_whose_new_one_is_killed_while_it_loads_is_tried_again(parent):
    parent.begun()
    parent.supervisor._signalled(workers.signal.SIGHUP, None)
    parent.look()
    parent.started[2].ends(-9)
    parent.gone(parent.started[2])
    parent.look(seconds=workers.LONGEST_PAUSE)
    assert len(parent.started) == 4
    parent.serves(parent.started[3])
    parent.look()
    assert any(each.told for each in parent.started[:2])


def test_once_anybody_has_served_it_is_tried_until_one_does_again(parent):
    for each in parent.begun():
        each.ends(-9)
        parent.gone(each)
    parent.look(seconds=workers.LONGEST_PAUSE)
    parent.started[2].ends(NOT_STARTED)  # another process had the lock, the disk was full
    parent.gone(parent.started[2])
    assert not parent.supervisor._ending
    parent.look(seconds=workers.LONGEST_PAUSE)
    assert len(parent.started) == 4


def test_a_first_one_that_does_not_start_ends_the_service(parent):
    parent.look()
    parent.started[0].ends(NOT_STARTED)
    parent.gone(parent.started[0])
    assert (parent.supervisor._ending, parent.supervisor._code) == (True, NOT_STARTED)


def dies(parent, process):
    parent.now += workers.SHORT_LIFE
    process.ends(-9)
    parent.gone(process)
    parent.look()


def renewed(parent, text):
    """Asked for, and the first new one begun."""
    parent.stated = text
    parent.supervisor._signalled(workers.signal.SIGHUP, None)
    parent.look()
    return parent.started[-1]


def test_who_takes_a_place_serves_what_all_others_serve_whatever_stands_in_the_file_by_now(parent):
    first, _ = parent.begun()
    parent.stated = "half edited"
    dies(parent, first)
    assert parent.orders == ["the first"] * 3


def test_who_takes_a_place_behind_a_renewal_serves_what_was_read_for_that(parent):
    first, _ = parent.begun()
    parent.serves(renewed(parent, "another"))
    parent.stated = "half edited"
    dies(parent, first)
    parent.serves(parent.started[-1])
    dies(parent, parent.started[2])
    assert parent.orders == ["the first", "the first", "another", "another", "another"]


def test_who_takes_a_place_behind_a_renewal_that_did_not_start_serves_what_the_others_do(parent):
    first, _ = parent.begun()
    broken = renewed(parent, "broken")
    broken.ends(NOT_STARTED)
    parent.gone(broken)
    dies(parent, first)
    assert parent.orders == ["the first", "the first", "broken", "the first"]


def test_what_cannot_be_read_renews_nobody(parent):
    first, second = parent.begun()
    renewed(parent, None)
    parent.look()
    assert (len(parent.started), first.told, second.told) == (2, [], [])
    dies(parent, first)
    assert parent.orders == ["the first"] * 3


def test_a_renewal_by_which_one_serves_goes_on_until_all_do(parent):
    first, second = parent.begun()
    parent.serves(renewed(parent, "another"))
    parent.look()  # the first one is told to end
    parent.look()
    parent.started[3].ends(NOT_STARTED)  # for a moment: the disk was full
    parent.gone(parent.started[3])
    parent.look(seconds=workers.LONGEST_PAUSE)
    parent.serves(parent.started[4])
    parent.look()
    assert parent.orders == ["the first", "the first", "another", "another", "another"]
    assert (first.told, second.told) == (["terminate"], ["terminate"])


def test_a_renewal_that_is_asked_for_while_one_fails_is_not_given_up_with_it(parent):
    parent.begun()
    broken = renewed(parent, "broken")
    renewed(parent, "mended")
    broken.ends(NOT_STARTED)
    parent.gone(broken)
    parent.look(seconds=workers.LONGEST_PAUSE)
    assert parent.orders == ["the first", "the first", "broken", "mended"]


def test_where_one_fails_that_was_asked_for_amid_another_that_one_goes_on_until_all_serve_by_it(parent):
    first, second = parent.begun()
    parent.serves(renewed(parent, "another"))
    renewed(parent, "broken")  # the first one is told to end
    parent.look()
    broken = parent.started[3]
    broken.ends(NOT_STARTED)
    parent.gone(broken)
    parent.look(seconds=workers.LONGEST_PAUSE)
    parent.serves(parent.started[-1])
    parent.look()
    assert parent.orders == ["the first", "the first", "another", "broken", "another"]
    assert (first.told, second.told) == (["terminate"], ["terminate"])


def test_at_the_end_all_are_told_and_one_that_does_not_end_is_killed(parent):
    first, second = parent.begun()
    parent.supervisor._signalled(workers.signal.SIGTERM, None)
    parent.look()
    assert (first.told, second.told) == (["terminate"], ["terminate"])
    first.says(ENDS)
    first.ends(0)
    parent.gone(first)
    parent.now += workers.ENDS_WITHIN
    second.says(ALIVE)
    parent.hear(heard=lambda: parent.worker(second).heard == parent.now)
    parent.look(seconds=0.1)
    assert second.told == ["terminate", "kill"]
    assert len(parent.started) == 2


def test_one_that_ends_may_take_as_long_as_all_that_has_a_limit_then_and_the_parent_is_done_before_systemd_is():
    unit = (Path(workers.__file__).parent.parent / "recipes" / "gateway.service").read_text(encoding="utf-8")
    (systemd,) = re.findall(r"TimeoutStopSec=(\d+)", unit)
    parts = [serve.LINGER, serve.DRAIN, *(each.ENDS_WITHIN for each in (writer, emergency, watch, leases))]
    assert sum(parts) + 1 < workers.ENDS_WITHIN < int(systemd) - 2


# --- what they counted ---


def counted(requests=0, turns=0):
    metrics = Metrics()
    for _ in range(requests):
        metrics.took("POST", "/v1/check", 200, 0.001)
    metrics.watch(lambda: turns == 0, lambda: True)
    metrics.turns.set(turns)
    metrics.entries.set(7)
    return metrics


def numbers(text):
    rows = [line.rpartition(" ") for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: float(number) for name, _, number in rows}


def test_what_adds_up_is_added_and_of_what_tells_of_one_process_the_worst_is_told():
    told = numbers(counted(requests=3).text([counted(requests=2, turns=4).shared(), counted(requests=1).shared()]))
    count = 'http_request_duration_seconds_count{method="POST",route="/v1/check",status="200"}'
    assert told[count] == told[count.replace("_count", "_bucket").replace("{", '{le="+Inf",')] == 6
    assert (told["gateway_ledger_fresh"], told["gateway_ledger_keeps"]) == (0, 1)
    assert (told["gateway_turns_waiting"], told["gateway_ledger_entries"]) == (4, 7)


def test_alone_a_process_tells_its_own():
    metrics = counted(requests=3)
    assert metrics.text() == metrics.text([[]]) or numbers(metrics.text()) == numbers(metrics.text([[]]))


def test_a_process_that_is_gone_leaves_its_counters_and_no_gauge():
    left = workers.without_gauges(counted(requests=2, turns=4).shared())
    assert {each.type for each in left} == {"counter", "histogram"}
    told = numbers(counted().text([left]))
    assert (told["gateway_ledger_fresh"], told["gateway_turns_waiting"]) == (1, 0)


async def test_a_worker_asks_the_others_and_tells_them_through_the_parent(monkeypatch):
    parent, ended = Parent(), []
    monkeypatch.setattr(workers.os, "kill", lambda *_: ended.append("ended"))
    for requests in (1, 2):
        await asyncio.to_thread(parent.supervisor._begin, 0.0)
        siblings = Siblings(parent.started[-1].line, b"")
        siblings.tells(counted(requests=requests).shared)
        siblings.start()
        await siblings.turn()
    stop = threading.Event()
    hearing = asyncio.create_task(asyncio.to_thread(hear_on, parent, stop))
    try:
        while not all(worker.serves for worker in parent.supervisor._workers):
            await asyncio.sleep(0.01)
        [_, others] = await siblings.others()
    finally:
        stop.set()
        await hearing
    assert (
        numbers(Metrics().text([others]))[
            'http_request_duration_seconds_count{method="POST",route="/v1/check",status="200"}'
        ]
        == 1
    )
    for worker in parent.supervisor._workers:
        with socket.socket(fileno=os.dup(worker.line.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)  # the parent is gone
    async with asyncio.timeout(60):
        while len(ended) < 2:
            await asyncio.sleep(0.01)


def hear_on(parent, stop):
    while not stop.is_set():
        parent.supervisor._hear(0.05)
