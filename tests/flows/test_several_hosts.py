"""Two machines, each with processes of its own, write one ledger in a PostgreSQL and answer from it at once. What one
was told is in effect on the other when it is answered; one that is cut off, stopped or killed answers nobody by what it
knew before, and no opt-out is lost or refused (renewed one after the other: test_rolling_restart.py). SOAK=1: six times
as many, and cut for longer.
"""

import time
from contextlib import ExitStack
from http import HTTPStatus
from itertools import count

import psycopg
import pytest
from support.examples import SOAK
from support.service import command
from support.several_hosts import OVER, Asking, Hosts, allowed, asked, killed, says_no, stopped
from support.together import until

from gateway.postgres.connection import SERVES_WITHIN

pytestmark = pytest.mark.slow
MANY, CUT = (40, 15.0) if SOAK else (6, OVER + 1.0)
NEVER = 999_999  # never says no
STOPPED_FOR = 4 * SERVES_WITHIN // 1000  # seconds in which somebody's no is in effect
WITHIN = 2.5 + 7.5  # seconds that whoever was told waits for the others' leases, and some for a busy machine
SAID = "SELECT count(*), count(DISTINCT request), count(DISTINCT key) FROM gateway_ledger.detail"


class Flow:
    """What two machines are told, and what they were asked meanwhile. `told`: by person, since when the no is in
    effect; `kept`: who is entered later.
    """

    def __init__(self, hosts):
        self.hosts, (self.first, self.second) = hosts, hosts.served
        self.numbers, self.told, self.kept = count(1), {}, []

    def group(self, size):
        return [next(self.numbers) for _ in range(size)]

    def tells(self, machine, number):
        """In effect, and within the time that it may take; False: it is kept beside the ledger."""
        began = time.monotonic()
        status, answer = says_no(machine.port, number)
        if status == HTTPStatus.ACCEPTED:
            assert answer["effective_at"] is None
            self.kept.append(number)
            return False
        assert (status, bool(answer["effective_at"])) == (HTTPStatus.CREATED, True), answer
        self.told[number] = time.monotonic()
        assert self.told[number] - began < WITHIN
        return True

    def asking(self, people, *machines):
        """Each asked all the time, once it has allowed them all."""
        within = ExitStack()
        found = [within.enter_context(Asking(each.port, people).at_work()) for each in machines]
        until(lambda: all({*people} <= each.allowed.keys() for each in found), "they were allowed nothing before")
        return within, found

    def wrong(self, found):
        """Whom a machine allowed at a check that began after a no of theirs was in effect."""
        return [
            number for each in found for number, at in each.allowed.items() if at > self.told.get(number, float("inf"))
        ]

    def answers(self, machine, throughout=0.0):
        """For so many seconds without a break. The first answer behind a cut may come by a lease that was asked for
        before it and is all but over.
        """
        since = time.monotonic()

        def without_a_break():
            nonlocal since
            if not allowed(machine.port, NEVER):
                since = time.monotonic()
                return False
            return time.monotonic() >= since + throughout

        until(without_a_break, "it answers nobody any more")


def each_is_told_and_both_deny(flow):
    people = flow.group(MANY)
    within, found = flow.asking(people, flow.first, flow.second)
    with within:
        for number in people:
            told, other = flow.hosts.served if number % 2 else flow.hosts.served[::-1]
            if flow.tells(told, number):  # a busy machine may keep one beside
                assert not allowed(other.port, number)
                assert not allowed(told.port, number)
    assert flow.wrong(found) == []
    assert len(flow.told) > MANY / 2
    assert all(each.denied > MANY for each in found)


def one_is_cut_off(flow, *, silent):
    flow.answers(flow.second)
    people, behind = flow.group(2), flow.group(2)
    within, (asking,) = flow.asking([*people, NEVER], flow.second)
    with within:
        with flow.hosts.cut(silent=silent) as since:
            kept = [says_no(flow.second.port, behind[0])]  # under way on a line of which it does not know yet
            until(lambda: flow.tells(flow.first, people[0]) or people.insert(0, *flow.group(1)), "the other took none")
            time.sleep(max(0.0, since + CUT - time.monotonic()))
            kept.append(says_no(flow.second.port, behind[1]))
            assert [(status, answer["effective_at"]) for status, answer in kept] == [(HTTPStatus.ACCEPTED, None)] * 2
            flow.kept += behind
            assert [asked(flow.second.port, number)["reason"] for number in behind] == ["stale"] * 2
            allowed_last = asking.allowed[NEVER]
        assert allowed_last < since + OVER, "it answers beyond its lease"
        flow.answers(flow.second)
    assert flow.wrong([asking]) == []
    for number in behind:
        until(lambda number=number: not allowed(flow.first.port, number), "what was kept beside is not entered")


def one_stands_still(flow):
    flow.answers(flow.second)
    people = flow.group(STOPPED_FOR * 2)
    within, (asking,) = flow.asking(people, flow.second)
    with within:
        with stopped(flow.second):
            # In the middle of a write, perhaps: until the server ends that one, all noes are kept beside.
            since = time.monotonic()
            assert any(flow.tells(flow.first, number) or time.sleep(0.5) for number in people)
            time.sleep(max(0.0, since + OVER - time.monotonic()))
        flow.answers(flow.second)
        told = flow.told.keys() & {*people}
        until(lambda: not any(allowed(flow.second.port, number) for number in told), "it has not caught up")
    assert flow.wrong([asking]) == []


def one_is_killed(flow):
    killed(flow.first)
    number, begun = *flow.group(1), time.monotonic()
    until(lambda: flow.tells(flow.second, number), "the other one does not go on")
    assert time.monotonic() - begun < 20
    flow.answers(flow.second)
    flow.first.start()
    flow.answers(flow.first)
    assert not any(allowed(flow.first.port, each) for each in flow.told)


def nobody_is_lost(flow):
    everybody = [*flow.told, *flow.kept]
    for each in flow.hosts.served:
        flow.answers(each)
        for number in everybody:
            until(lambda number=number, at=each.port: not allowed(at, number), "a no was lost")
    with psycopg.connect(flow.hosts.url) as db:
        assert db.execute(SAID).fetchone() == (len(everybody),) * 3
    code, said = command("verify", "--vault", "--data", flow.second.data)
    assert (code, "passed" in said) == (0, True), said


def test_what_one_machine_is_told_the_other_obeys_whoever_is_cut_off_stopped_or_killed(postgres, tmp_path, figure):
    taken = {}
    with Hosts(postgres, tmp_path, workers=2 if SOAK else 1) as hosts:
        flow = Flow(hosts)
        for name, step in {
            "each told": each_is_told_and_both_deny,
            "cut": lambda flow: one_is_cut_off(flow, silent=False),
            "silent": lambda flow: one_is_cut_off(flow, silent=True),
            "stopped": one_stands_still,
            "killed": one_is_killed,
            "whole": nobody_is_lost,
        }.items():
            began = time.monotonic()
            step(flow)
            taken[name] = round(time.monotonic() - began, 1)
    figure("two machines", f"{len(flow.told)} noes in effect, {len(flow.kept)} entered later; seconds: {taken}")


@pytest.mark.parametrize(
    "modules",
    [
        pytest.param(("gateway", "support.answers_beyond_its_lease"), id="answers beyond its lease"),
        pytest.param(("support.waits_for_nobody", "gateway"), id="waits for nobody"),
        pytest.param(("support.trusts_their_clocks",) * 2, id="trusts their clocks"),
    ],
)
def test_the_control_a_fault_has_the_one_that_is_cut_off_allow_whose_no_is_in_effect(postgres, tmp_path, modules):
    with Hosts(postgres, tmp_path, modules) as hosts:
        flow = Flow(hosts)
        for number in flow.group(10):  # on a busy machine its lease may be over before the first one is told
            flow.answers(flow.second, throughout=OVER)
            assert allowed(flow.second.port, number), "they were allowed nothing before"
            with hosts.cut(silent=True):
                if flow.tells(flow.first, number) and allowed(flow.second.port, number):
                    return
    raise AssertionError("nobody was allowed whose no was in effect")
