"""SIGKILL in the middle of opt-outs, and of links: every acknowledged opt-out denies after the restart, and reaches by
every acknowledged link. `make soak`: fifty kills of one installation, and fifty thousand acknowledged opt-outs.
"""

import contextlib
import http.client
import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from itertools import count

import pytest
from support import postgres_server
from support.examples import SOAK
from support.people import gaid, named
from support.service import service
from support.wire import call, reasons

pytestmark = pytest.mark.slow
ROUNDS, EACH = (8, 400) if SOAK else (3, 200)
HEADERS = {"Authorization": "Bearer dev.dev", "Content-Type": "application/json"}
WRITERS = 20
IN_ONE = 3  # ids of one account
TOO_EARLY, LIVES = "support.answers_too_early", 10  # of the control, at most


def no(person):
    return "/v1/choices", {"identifiers": [named("gaid", gaid(person))], "choice": "opt_out"}


def link(person):
    return "/v1/links", {"account": f"a{person // IN_ONE}", "identifiers": [named("gaid", gaid(person))]}


def said_until_killed(running, people, after: int, says=no) -> list[int]:
    """Whose was acknowledged: twenty writers; the process is killed once `after` were."""
    acknowledged: list[int] = []
    enough = threading.Event()

    def write(_) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException):
            for person in people:
                path, body = says(person)
                connection.request("POST", path, json.dumps(body), HEADERS)
                answer = connection.getresponse()
                answer.read()
                if answer.status in {HTTPStatus.OK, HTTPStatus.CREATED}:
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
            told = said_until_killed(running, people, chance.randint(EACH, EACH * 3 // 2))
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


def unlinked(running, linked: list[int]) -> int:
    """How many an opt-out of their account does not reach."""
    accounts = {f"a{person // IN_ONE}" for person in linked}
    noes = [json.dumps({"identifiers": [named("account", each)], "choice": "opt_out"}) for each in sorted(accounts)]
    assert (
        call(f"{running.url}/v1/choices", "\n".join(noes).encode(), kind="application/x-ndjson", timeout=120)[0] == 200
    )
    return lost(running, linked)


@pytest.mark.parametrize("on", ["sqlite", "postgresql"])
def test_no_acknowledged_link_is_lost_however_often_the_process_is_killed(tmp_path, request, monkeypatch, on, figure):
    if on == "postgresql":
        monkeypatch.setenv("GATEWAY_STORE__URL", postgres_server.fresh_url(request.getfixturevalue("postgres")))
    people, linked = count(1), list[int]()
    with service(tmp_path) as running:
        for _ in range(ROUNDS):
            linked += said_until_killed(running, people, EACH // 2, link)
            running.start()
        assert reasons(running.port, [named("gaid", gaid(linked[0]))]) != ["opted_out"], "nobody has said anything yet"
        gone = unlinked(running, linked)
        assert reasons(running.port, [named("gaid", gaid(next(people)))]) != ["opted_out"]
    figure(f"SIGKILL amid links, {on}", f"{ROUNDS} kills, {len(linked)} acknowledged links, {gone} lost")
    assert gone == 0


@pytest.mark.parametrize(("says", "missing"), [(no, lost), (link, unlinked)], ids=["opt-outs", "links"])
def test_the_control_a_writer_that_answers_before_its_commit_loses_opt_outs(tmp_path, figure, says, missing):
    people = count(1)
    with service(tmp_path, module=TOO_EARLY) as running:
        for kills in range(LIVES):  # one that falls right after a commit shows nothing
            acknowledged = said_until_killed(running, people, 200, says)
            running.module = "gateway"
            running.start()
            if (gone := missing(running, acknowledged)) or kills == LIVES - 1:
                break
            running.stop()
            running.module = TOO_EARLY
            running.start()
    told = f"{len(acknowledged)} acknowledged, {gone} lost by a writer that answers too early, {kills} kills before"
    figure(f"SIGKILL, control, {says.__name__}", told)
    assert gone > 0
