"""SIGKILL in the middle of opt-outs: every acknowledged one denies after the restart. `make soak`: fifty kills of one
installation, and fifty thousand acknowledged opt-outs.
"""

import contextlib
import http.client
import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from support.examples import SOAK
from support.people import gaid, named
from support.service import service
from support.wire import reasons

pytestmark = pytest.mark.slow
ROUNDS, EACH = (50, 1000) if SOAK else (3, 400)
HEADERS = {"Authorization": "Bearer dev.dev", "Content-Type": "application/json"}
WRITERS = 20
TOO_EARLY, LIVES = "support.answers_too_early", 10  # of the control, at most


def opt_out_until_killed(running, people, after: int) -> list[int]:
    """Who was acknowledged: twenty writers; the process is killed once `after` were."""
    acknowledged: list[int] = []
    enough = threading.Event()

    def write(_) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException):
            for person in people:
                body = {"identifiers": [named("gaid", gaid(person))], "choice": "opt_out"}
                connection.request("POST", "/v1/choices", json.dumps(body), HEADERS)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 201:
                    acknowledged.append(person)
                if len(acknowledged) >= after:
                    enough.set()
        connection.close()

    def kill() -> None:
        assert enough.wait(120), "too few were acknowledged"
        running.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    killer.join()
    return acknowledged


def lost(running, acknowledged: list[int]) -> int:
    """How many are not denied for their own opt-out."""
    found = reasons(running.port, [named("gaid", gaid(person)) for person in acknowledged])
    return len(found) - found.count("opted_out")


def test_no_acknowledged_opt_out_is_lost_however_often_the_process_is_killed(tmp_path, figure):
    people, chance, acknowledged = count(1), random.Random(7), list[int]()
    with service(tmp_path) as running:
        for _ in range(ROUNDS):
            told = opt_out_until_killed(running, people, chance.randint(EACH, EACH * 3 // 2))
            running.start()
            assert lost(running, told) == 0
            acknowledged += told
        gone = lost(running, acknowledged)
        assert reasons(running.port, [named("gaid", gaid(next(people)))]) != ["opted_out"], (
            "strangers are another matter"
        )
    figure("SIGKILL", f"{ROUNDS} kills, {len(acknowledged)} acknowledged opt-outs, {gone} lost")
    assert len(acknowledged) >= ROUNDS * EACH
    assert gone == 0


def test_the_control_a_writer_that_answers_before_its_commit_loses_opt_outs(tmp_path, figure):
    people = count(1)
    with service(tmp_path, module=TOO_EARLY) as running:
        for kills in range(LIVES):  # one that falls right after a commit shows nothing
            acknowledged = opt_out_until_killed(running, people, 200)
            running.module = "gateway"
            running.start()
            if (gone := lost(running, acknowledged)) or kills == LIVES - 1:
                break
            running.stop()
            running.module = TOO_EARLY
            running.start()
    told = f"{len(acknowledged)} acknowledged opt-outs, {gone} lost by a writer that answers too early, {kills} kills before"
    figure("SIGKILL, control", told)
    assert gone > 0
