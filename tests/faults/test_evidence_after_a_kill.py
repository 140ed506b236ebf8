"""A service that was killed cannot say that it stopped; the next start says it."""

import contextlib
import json
import sqlite3
import time

import pytest
from support.service import service
from support.wire import call

pytestmark = pytest.mark.slow
LOOKS = 6.0  # seconds: two looks of whoever writes it down, and two of its whole seconds, on a very busy machine


def evidence(folder):
    with contextlib.closing(sqlite3.connect(f"file:{folder}/ledger.sqlite3?mode=ro", uri=True)) as db:
        leaves = [json.loads(body) for (body,) in db.execute("SELECT body FROM entry ORDER BY seq")]
    return [leaf for leaf in leaves if leaf["e"] == "evidence"]


def ledger_says(running):
    """What the service says of its ledger: whether checks are fresh, and whether what is said is kept."""
    told = call(f"{running.url}/readyz", key="")[1]["ledger"]
    return told["fresh"], told["keeps"]


def until(true, seconds=30):
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_killed_run_is_told_as_cut_off_and_one_that_stopped_is_not(tmp_path):
    with service(tmp_path) as running:
        running.kill()
        running.start()
        running.stop()
        running.start()
        told = evidence(running.data)
    assert [leaf["k"] for leaf in told] == ["start", "cut_off", "start", "stop", "start"]
    assert told[0]["run"] == told[1]["run"] != told[2]["run"] == told[3]["run"]
    assert [leaf["k"] for leaf in evidence(running.data)][-1] == "stop"


def test_a_service_whose_ledger_is_away_tells_the_spell_once_it_is_back(tmp_path):
    with service(tmp_path) as running:
        ledger = running.data / "ledger.sqlite3"
        away = ledger.with_suffix(".away")
        ledger.rename(away)
        until(lambda: ledger_says(running) == (False, False))
        time.sleep(LOOKS)
        away.rename(ledger)
        until(lambda: ledger_says(running) == (True, True))
        time.sleep(LOOKS)
    spells = evidence(running.data)[-1]["spells"]
    assert {what for what, start, end in spells if start < end} == {"checks_failed_closed", "forms_failed"}
