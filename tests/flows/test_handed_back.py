"""Rows that are handed back through a real service, and through nginx with its buffers: whatever is cut, killed or
stalls, each row comes at least once, nobody's after their no, and what is on record is true. SOAK=1: cut at each
twentieth of 1,500 lines, in two lives of a gateway: each time that a job is posted again costs a little more than the last.
"""

import contextlib
import shutil
import time

import pytest
from conftest import missing
from support import example
from support.examples import SOAK
from support.handed_back import Job, acknowledge
from support.people import gaid, named
from support.proxies import nginx
from support.service import service

from gateway.client import Client

pytestmark = pytest.mark.slow
ROWS, PEOPLE, STEP, LIVES = (1500, 300, 20, 2) if SOAK else (400, 80, 40, 1)
MANY = 1500
TRIES = 10 if SOAK else 3  # four lives beside it hold one of them up nearly always
BUFFERED = """
server {{
    listen 80;
    client_max_body_size 20m;
    location = /up.txt {{ return 200; }}
    location / {{
        proxy_pass http://127.0.0.1:{port};
        proxy_http_version 1.1;
        proxy_set_header Host 127.0.0.1;
        proxy_buffering on;
        proxy_ignore_headers X-Accel-Buffering;
    }}
}}
"""
CONFIG = '[recipients.teemo]\nunlinked = "allow"\n'


@contextlib.contextmanager
def handing_back(tmp_path, *, buffered=False, module="gateway"):
    """(the service, the port that callers know)"""
    config = tmp_path / "config.toml"
    config.write_text(example.over(CONFIG))
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(service(tmp_path, "--config", str(config), module=module))
        port = running.port
        if buffered:
            program = shutil.which("nginx")
            if program is None:
                missing("nginx")
            text = BUFFERED.format(port=running.port)
            url = stack.enter_context(nginx(program, tmp_path / "nginx", text))
            port = int(url.rpartition(":")[2])
        yield running, port


def until_whole(running, port, first=STEP) -> Job:
    """Cut at each so many lines, while people opt out; then it gets all of the rest."""
    job = Job(port, ROWS, PEOPLE)
    for number, cut in enumerate(range(first, ROWS, STEP * LIVES)):
        job.post(cut)
        if number % 2 == 0 and len(job.out) < PEOPLE // 2:
            job.opt_out(running.url, number // 2)
    assert job.post()[-1]["complete"]
    return job


@pytest.mark.parametrize("first", range(STEP, STEP * LIVES + 1, STEP))
@pytest.mark.parametrize("buffered", [False, True], ids=["bare", "behind nginx"])
def test_a_connection_that_is_cut_again_and_again_loses_no_row(tmp_path, buffered, first, figure):
    with handing_back(tmp_path, buffered=buffered) as (running, port):
        job = until_whole(running, port, first)
        assert job.wrong == []
        assert job.kept <= job.got.keys()
        before = job.on_record(running.data)
        assert all(before[name]["possible"] >= times for name, times in job.got.items()), "what came may have been sent"
        assert acknowledge(running.url)["rows"] == len(job.kept)
        again = job.post()
        assert {line["outcome"] for line in again[:-1]} <= {"duplicate", "refused"}
        after = job.on_record(running.data)
        assert {name for name, found in after.items() if found["sent"] == 1} == job.kept
        assert acknowledge(running.url)["result"] == "repeated"
    figure("rows handed back until they were whole", f"{job.got.total():,} for {len(job.kept):,}")


def test_control_what_counts_as_sent_when_it_is_written_is_lost(tmp_path):
    with handing_back(tmp_path, module="support.hands_back_as_before") as (running, port):
        job = until_whole(running, port)
        assert job.kept - job.got.keys()


def test_a_caller_that_died_before_it_said_what_it_had_gets_all_of_it_again(tmp_path):
    with handing_back(tmp_path) as (running, port):
        job = Job(port, 120, 40)
        job.post()
        job.opt_out(running.url, 7)
        again = job.post()
        assert [line["again"] for line in again if line.get("outcome") == "returned"] == [True] * len(job.kept)
        assert job.wrong == []
        acknowledge(running.url)
        assert {line["outcome"] for line in job.post()[:-1]} == {"duplicate", "refused"}
        assert {name for name, found in job.on_record(running.data).items() if found["sent"]} == job.kept


def test_a_gateway_that_was_killed_while_it_answered_hands_all_of_it_back_again(tmp_path):
    with handing_back(tmp_path) as (running, port):
        job = Job(port, 600, 40)
        job.post(100)
        running.kill()
        running.start()
        assert job.post()[-1]["complete"]
        assert job.kept == job.got.keys()
        assert acknowledge(running.url)["rows"] == 600


def rows(count: int):
    for n in range(count):
        who = gaid(n % 500)
        yield {"id": f"row-{n}", "identifiers": [named("gaid", who)], "place": "US-NY", "data": {"ad_id": who}}


def asked(count: int) -> list[dict]:
    return [
        {"identifiers": [named("gaid", gaid(n % 500))], "recipient": "advertisers", "place": "US-NY", "data": ["ad_id"]}
        for n in range(count)
    ]


def test_who_reads_at_once_finds_no_line_of_many_over(tmp_path, figure):
    with handing_back(tmp_path) as (running, _), Client(running.url, key="dev.dev", timeout_ms=10_000) as client:
        tries = 0
        while tries < TRIES:  # the rest of the machine may hold up one of them
            told = client.share("teemo", rows(MANY), job=f"night-{tries}")
            came = [one.row is not None for one in told]
            assert told.whole
            assert len(came) == MANY
            checks = [found.allowed for found in client.checks(asked(MANY), timeout_ms=10_000)]
            over, tries = (came.count(False), checks.count(False)), tries + 1
            figure("over on arrival, of rows and of checks", f"{over[0]} and {over[1]} of {MANY:,} each")
            if over == (0, 0):
                break
    assert over == (0, 0), client.failures


def test_who_stalls_finds_what_came_meanwhile_over_and_sends_none_of_it(tmp_path):
    with handing_back(tmp_path) as (running, _), Client(running.url, key="dev.dev", timeout_ms=10_000) as client:
        first_after, sent = [], []
        for number, one in enumerate(client.share("teemo", rows(600))):
            if number in {101, 301}:
                first_after.append((one.reason, one.row))
            asked_at = time.monotonic()
            if one.row is not None:
                assert asked_at < one.until
                sent.append(one.id)
                one.sent()
            if number in {100, 300}:
                time.sleep(1)
        assert first_after == [("expired", None)] * 2
        for _ in range(TRIES):  # the rest of the machine may hold up what was asked after it
            reasons = []
            for number, found in enumerate(client.checks(asked(100), timeout_ms=10_000)):
                reasons.append((found.reason, found.allowed))
                if number == 10:
                    time.sleep(1)
            assert reasons[11:50] == [("expired", False)] * 39
            if reasons[50:] == [("no_choice", True)] * 50:
                break
        assert reasons[50:] == [("no_choice", True)] * 50, "they were asked after it"
        client.close()
        found = Job(running.port, 600, 500).on_record(running.data)
    assert {name for name, each in found.items() if each["sent"]} == set(sent)
    assert 0 < len(sent) < 600
