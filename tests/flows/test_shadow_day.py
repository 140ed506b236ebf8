"""What shadow mode counts over a day is what enforcement then denies, door by door and reason by reason; and in shadow
mode nobody who said no is left alone with trackers, and no row leaves.
"""

import json
import shutil
from collections import Counter
from datetime import timedelta

import pytest
from click.testing import CliRunner
from support import shadow_day
from support.days import today
from support.examples import SOAK
from support.shadow_day import PROXIES, SAID_NO, SHARE, SILENT, YOUNG

from gateway.cli.root import group
from gateway.consent.decision_log import DecisionLog

pytestmark = pytest.mark.usefixtures("noon")
REQUESTS = 15_000 if SOAK else 1500
SEED = 24
MOMENTS = {"stale", "store_unavailable"}


def reported(folder) -> dict:
    said = CliRunner().invoke(group, ["report", "shadow", "--data", str(folder), "--json"])
    assert said.exit_code == 0, said.output
    return json.loads(said.output)


def twice(tmp_path, number):
    """(what shadow mode answered, what it reports, what enforcement answered) of one day."""
    enforced, shadow = shadow_day.operator(tmp_path), shadow_day.operator(tmp_path, today() + timedelta(days=30))
    key = shadow_day.settle(tmp_path / "first", enforced)
    for each in ("", ".checkpoints"):
        shutil.copytree(tmp_path / f"first{each}", tmp_path / f"second{each}")
    day = shadow_day.requests_of_a_day(number, SEED)
    quietly = shadow_day.played(tmp_path / "first", shadow, key, day)
    report = reported(tmp_path / "first")
    return quietly, report, shadow_day.played(tmp_path / "second", enforced, key, day)


def compare(report, enforced):
    """The report with what enforcement denied; without the moments at which nobody could tell."""
    doors, unsteady = {each["door"]: each for each in report["doors"]}, Counter()
    for each in report["why"]:
        unsteady[each["door"]] += each["count"] if each["reason"] in MOMENTS else 0
    assert {name: each["asked"] - unsteady[name] for name, each in doors.items()} == dict(enforced.asked)
    denied = {name: each["denied_already"] + each["would_be_denied"] - unsteady[name] for name, each in doors.items()}
    assert denied == {name: enforced.denied[name] for name in enforced.asked}
    why = Counter()
    for each in report["why"]:
        assert sum(each["places"].values()) == each["count"]
        if each["verdict"] == "denied" and each["recipient"] != "anybody" and each["reason"] not in MOMENTS:
            why[each["door"], each["recipient"], each["reason"]] += each["count"]
    assert why == +enforced.why


def test_the_numbers_of_a_day_in_shadow_mode_are_what_enforcement_denies(tmp_path):
    quietly, report, enforced = twice(tmp_path, REQUESTS)
    assert sum(enforced.asked.values()) == REQUESTS
    compare(report, enforced)
    doors = {each["door"]: each for each in report["doors"]}
    sites = {"middleware", *PROXIES, *(f"{proxy} /ads/" for proxy in PROXIES)}
    assert {*doors} == {*sites, "check", SHARE}
    for name in sites:  # what it did meanwhile: whoever said no and a child were enforced for, the silent were left
        who = Counter({who: count for (door, who), count in enforced.silenced.items() if door == name})
        left = Counter({who: count for (door, who), count in quietly.silenced.items() if door == name})
        assert left == who - Counter({SILENT: who[SILENT]}), name
        assert doors[name]["denied_already"] - quietly.again[name] == who[SAID_NO] + who[YOUNG] == quietly.denied[name]
        assert doors[name]["would_be_denied"] == who[SILENT] > 0
    assert quietly.why == enforced.why  # a check is answered the same, whatever mode it is
    assert quietly.handed_back == 0 < enforced.handed_back


def test_the_control_report_that_counts_one_no_in_fifty_too_few_is_found(tmp_path, monkeypatch):
    seen, count = Counter(), DecisionLog.count

    def forgets(log, cell):
        seen[cell.verdict] += 1
        if cell.verdict != "denied" or seen["denied"] % 50:
            count(log, cell)
        else:
            seen["forgotten"] += 1

    monkeypatch.setattr(DecisionLog, "count", forgets)
    _, report, enforced = twice(tmp_path, 400)
    assert seen["forgotten"]
    with pytest.raises(AssertionError):
        compare(report, enforced)
