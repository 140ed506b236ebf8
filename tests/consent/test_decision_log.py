"""What was decided, by request and in numbers, without a person in it."""

import asyncio
import json
import os
from datetime import UTC, date, datetime, timedelta

import pytest
from click.testing import CliRunner
from support import inside
from support.days import today
from support.people import GAID, email, named, phone

from gateway.choice.question import Verdict
from gateway.cli.root import group
from gateway.consent import decision_log
from gateway.consent.asked import Checked
from gateway.consent.decision_log import Cell, DecisionLog
from gateway.signals.heard import Heard
from gateway.terms import Answer

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TODAY = AT.date()
ASK = {"identifiers": [named("gaid", GAID), named("email", email(1)), named("phone", phone(1))],
       "recipient": "advertisers", "data": ["ad_id"], "place": "US-NY", "ip": "203.0.113.9"}  # fmt: skip


def checked(*, allowed=False, name="advertisers", reason="opted_out", place="US-CA"):
    verdict = Verdict({"ad_id": Answer.ALLOW if allowed else Answer.DENY}, reason, "a rule", place)
    assert verdict.allowed == allowed
    return Checked({name: verdict}, 7, Heard())


@pytest.fixture
def log(tmp_path):
    made = DecisionLog(tmp_path, ["advertisers"], lambda: AT, lambda: None)
    (tmp_path / "decisions").mkdir()
    return made


def note(log, request, found):
    log.note(request, "check", log.logged(found, "live", "check"), found.position, AT)


def lines(folder):
    return [line for path in (folder / "decisions").glob("log-*") for line in path.read_text().splitlines()]


def test_every_no_is_logged_and_one_yes_in_a_hundred_and_all_are_counted(log, tmp_path):
    for _ in range(30):
        note(log, "r1", checked())
    for _ in range(250):
        note(log, "r2", checked(allowed=True, reason="no_choice"))
    log._write_lines()
    log._write_counts()
    assert len(list(decision_log.find_decision(tmp_path, "r1"))) == 30
    assert len(list(decision_log.find_decision(tmp_path, "r2"))) == 3
    assert decision_log.counted(tmp_path, TODAY) == {
        Cell("advertisers", "denied", "opted_out", "US-CA", "live", "check"): 30,
        Cell("advertisers", "allowed", "no_choice", "US-CA", "live", "check"): 250,
    }
    assert decision_log.counted(tmp_path, TODAY + timedelta(days=1)) == {}


@pytest.mark.parametrize("text", ["person1@example.com", "US-CA; drop", "x" * 500, "+14155550101"])
def test_what_a_caller_made_up_is_not_written(log, tmp_path, text):
    note(log, "r1", checked(name=text, place=text))
    log._write_lines()
    log._write_counts()
    [told] = decision_log.find_decision(tmp_path, "r1")
    assert (told["recipient"], told["place"]) == ("unknown", "other")
    assert not any(text in path.read_text() for path in (tmp_path / "decisions").iterdir())


def test_the_log_of_a_run_has_an_end_and_keeps_what_is_newest(log, tmp_path, monkeypatch):
    monkeypatch.setattr(decision_log, "MOST_BYTES", 20_000)
    for number in range(300):
        note(log, f"r{number}", checked())
        log._write_lines()
    assert sum(path.stat().st_size for path in (tmp_path / "decisions").glob("log-*")) < 21_000
    assert list(decision_log.find_decision(tmp_path, "r299"))
    assert not list(decision_log.find_decision(tmp_path, "r0"))


def test_counts_of_one_day_have_an_end_too(log, monkeypatch):
    monkeypatch.setattr(decision_log, "MOST_CELLS", 3)
    for number in range(10):
        note(log, "r", checked(place=f"X{chr(65 + number)}"))
    assert {cell.place for cell in log._counts[TODAY]} == {"XA", "XB", "XC", "other"}


@pytest.mark.anyio
async def test_a_disk_that_takes_nothing_costs_no_answer_and_each_line_is_counted(tmp_path):
    lost = []
    log = DecisionLog(tmp_path / "nowhere" / "at-all", ["advertisers"], lambda: AT, lambda: lost.append(1))
    async with log.running():
        note(log, "r1", checked())
    assert lost == [1]


def test_what_is_old_goes(log, tmp_path):
    old = tmp_path / "decisions" / "log-0.jsonl"
    kept = tmp_path / "decisions" / f"counts-{date(2026, 10, 1)}-0.json"
    for path in (old, kept):
        path.write_text("[]")
        os.utime(path, ((AT - timedelta(days=40)).timestamp(),) * 2)
    (tmp_path / "decisions" / f"counts-{TODAY}-0.json").write_text("[]")
    decision_log._forget(tmp_path / "decisions", datetime.now(UTC) + timedelta(days=2))
    assert (old.exists(), kept.exists()) == (False, True)


@pytest.mark.parametrize("runs", [0, 1])
def test_a_clock_that_is_ahead_takes_nothing_of_before_it_was(tmp_path, runs):
    folder, ahead = tmp_path / "decisions", AT + timedelta(days=1500)
    folder.mkdir()
    for name, at in [("log-0.jsonl", AT), ("counts-2026-11-24-0.json", AT), *[("log-1.jsonl", ahead)] * runs]:
        (folder / name).write_text("[]")
        os.utime(folder / name, (at.timestamp(),) * 2)
    decision_log._forget(folder, ahead + timedelta(minutes=5))
    assert len(list(folder.iterdir())) == 2 + runs


@pytest.mark.anyio
@pytest.mark.usefixtures("noon")
async def test_a_person_who_was_denied_is_in_the_log_by_request_alone(tmp_path):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with inside.application(tmp_path / "data") as app, inside.client(app, **inside.DEV) as keyed:
        plain = await keyed.post("/v1/check", json=ASK | {"signals": {"gpc": "1"}})
        traced = await keyed.post(
            "/v1/check",
            json=ASK | {"signals": {"gpc": "1"}, "dry_run": True},
            headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"},
        )
        bid = {"id": "1", "device": {"ifa": GAID, "os": "Android"}, "regs": {"gpc": 1}}
        await keyed.post("/v1/openrtb?recipient=advertisers&place=US-NY", json=bid)
        await keyed.post("/v1/checks", json=[ASK, ASK | {"recipient": "nobody"}])
    assert traced.headers["gateway-request"] == trace
    await asyncio.to_thread(found_again, tmp_path / "data", plain.headers["gateway-request"], trace)


def found_again(folder, plain, trace):
    written = lines(folder)
    assert len(written) == 5
    for text in (GAID, email(1), phone(1), phone(1)[1:], "203.0.113", "gaid", "nobody"):
        assert not any(text in line for line in written)

    def run(*arguments):
        return CliRunner().invoke(group, [*arguments, "--data", str(folder)])

    [found] = decision_log.find_decision(folder, plain)
    assert (found["door"], found["verdict"], found["reason"], found["place"], found["mode"]) == (
        "check",
        "denied",
        "gpc",
        "US-NY",
        "live",
    )
    told = run("explain", "--request", trace)
    assert (told.exit_code, "advertisers: denied, gpc" in told.output, "dry_run" in told.output) == (0, True, True)
    assert run("explain", "--request", "f" * 32).exit_code == 1
    assert run("explain").exit_code == 2
    report = run("report", "denies", "--from", str(today()), "--json")
    rows = {
        (row["recipient"], row["reason"], row["mode"]): (row["count"], row["of"]) for row in json.loads(report.output)
    }
    assert rows == {
        ("advertisers", "gpc", "live"): (2, 3),
        ("advertisers", "gpc", "dry_run"): (1, 1),
        ("unknown", "unknown_recipient", "live"): (1, 1),
    }
    assert "2 of 3" in run("report", "denies", "--from", str(today())).output
    assert run("report", "denies", "--from", "2099-01-01").output == "no answer was no\n"


def test_a_place_that_was_seen_before_is_written_as_the_first_time():
    """With more made-up ones between than are kept."""
    stated = ["unknown", "US-CA", "DE,US-CA", "us-ca", "US-CA ", "made up", *(f"X{number}" for number in range(3000))]
    for each in (*stated, *stated):
        assert decision_log._place(each) == decision_log._place.__wrapped__(each)
    assert len({decision_log._place(each) for each in stated[:6]}) == 4
