"""Clients hang up at any point of a request or its answer: what they asked for is done whole or not at all, half a
request is no request, and nobody after them waits. `make soak`: twenty thousand.
"""

import contextlib
import json
import random
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.examples import SOAK
from support.hanging_up import call_of, hang_up
from support.people import gaid, named
from support.service import service
from support.wire import call, reasons

from gateway.ledger import tree

pytestmark = pytest.mark.slow
CALLS = 4_000 if SOAK else 800
FEW, ROUNDS = 200, 10  # for the control
CLIENTS = 8
ENTRIES = {"api": 3, "form": 2, "gpc": 3}  # a form is of the browser, too
DENIED = {"opted_out", "gpc"}
DONE = {200, 201, 303}


def hung_up(running, seed, count):
    """Calls that were broken off, eight at a time."""
    calls = [call_of(person, random.Random(f"{seed} {person}")) for person in range(1, count + 1)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda each: hang_up(running.port, each, random.Random(f"{seed} {each.person} goes")), calls))
    return calls


def settled(running) -> int:
    """A further opt-out goes through at once, behind whatever was still under way."""
    body = {"identifiers": [named("gaid", gaid(2**41))], "choice": "opt_out"}
    return call(f"{running.url}/v1/choices", body, timeout=60)[0]


def whole_entries(data) -> dict[str, Counter]:
    """By source, how many entries the requests have; head, entries and tree belong together."""
    with contextlib.closing(sqlite3.connect(f"file:{data}/ledger.sqlite3?mode=ro", uri=True)) as db:
        (size,), (count,) = (
            db.execute(f"SELECT {what}").fetchone() for what in ("size FROM head", "count(*) FROM entry")
        )
        assert size == count
        tree.prove(db)
        rows = db.execute("SELECT d.request, e.body FROM detail d JOIN entry e ON e.seq = d.seq").fetchall()
    requests = Counter((request, json.loads(body).get("src")) for request, body in rows)
    found = {source: Counter() for source in ENTRIES}
    for (_, source), entries in requests.items():
        if source in found:
            found[source][entries] += 1
    return found


def test_whoever_hangs_up_has_said_all_or_nothing_and_holds_up_nobody(tmp_path, figure):
    with service(tmp_path) as running:
        calls = hung_up(running, 1, CALLS)
        assert settled(running) == 201
        found = whole_entries(running.data)
        found["api"][1] -= 1  # the further one
        denied = {
            each.person: {reason in DENIED for reason in reasons(running.port, [*each.identifiers])}
            for each in calls
            if each.identifiers
        }
        assert call(f"{running.url}/readyz", key="")[0] == 200
    told = [each for each in calls if each.status in DONE and each.identifiers]
    half = [each for each in calls if not each.whole and each.identifiers]
    unheard = [each for each in calls if each.whole and each.status is None and each.identifiers]
    done = sum(denied[each.person] == {True} for each in unheard)
    figure(
        "clients that hang up",
        f"{len(calls)}: {len(half)} within the request, none of them heard; {len(unheard)}"
        f" after it, {done} of them done, each whole; {len(told)} heard their answer, 0 lost",
    )
    assert {source: {n for n, times in entries.items() if times} for source, entries in found.items()} == {
        source: {entries} for source, entries in ENTRIES.items()
    }
    assert {len(each) for each in denied.values()} == {1}, "all of a request or nothing"
    assert [each for each in told if denied[each.person] != {True}] == []
    assert [each for each in half if denied[each.person] != {False}] == [], "half a request is no request"
    assert told
    assert half
    assert done > 0


def test_the_control_a_request_that_is_done_by_halves_is_noticed(tmp_path, figure):
    with service(tmp_path, module="support.faulty.works_by_halves") as running:
        for seed in range(1, ROUNDS + 1):
            hung_up(running, seed, FEW)
            assert settled(running) == 201
            if found := 2 in whole_entries(running.data)["api"]:
                break
    figure("clients that hang up, control", f"{seed * FEW}: one was done by halves")
    assert found
