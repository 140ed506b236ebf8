"""The running service itself, asked without a trace: its configuration, and whether it heeds each signal."""

import json
import subprocess
import urllib.request

import pytest
from support import example, typed
from support.service import service

pytestmark = pytest.mark.slow


@pytest.fixture
def asks(tmp_path):
    """`gateway rehearse --live` of a running service."""
    key = tmp_path / "key"
    key.write_text("dev.dev\n")

    def run(running, *more, bearer="dev.dev"):
        key.write_text(f"{bearer}\n")
        command = [typed.program(), "rehearse", "--live", running.url, "--key-file", str(key), "--dev"]
        done = subprocess.run([*command, "--json", *more], capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout)

    return run


def entries(running):
    return json.loads(urllib.request.urlopen(f"{running.url}/readyz").read())["ledger"]["entries"]


def test_a_service_that_heeds_every_signal_is_well_and_writes_nothing_of_it(asks, tmp_path):
    with service(tmp_path) as running:
        before = entries(running)
        code, told = asks(running)
        assert (code, told["passed"], told["failed"]) == (0, True, [])
        assert {"teemo", "advertisers", "flurry", "matching"} <= set(told["live"])
        assert entries(running) == before


def test_a_service_that_runs_on_an_older_configuration_is_found_out(asks, tmp_path):
    newer = tmp_path / "newer.toml"
    fewer = '[recipients.teemo]\ndata = ["ad_id"]\nfields = { ad_id = { class = "ad_id", kind = "gaid" } }\n'
    newer.write_text(example.over(fewer))
    with service(tmp_path) as running:
        code, told = asks(running, "--config", str(newer))
    assert code == 1
    assert told["failed"] == [["the running service", "teemo", "", "/v1/self", "runs on another configuration of it"]]


def test_a_service_that_is_deaf_for_one_recipient_is_found_out_with_its_name(asks, tmp_path):
    with service(tmp_path, module="support.faulty.passes_over_signals") as running:
        code, told = asks(running)
    assert code == 1
    assert {(item[1], item[3]) for item in told["failed"]} == {("teemo", "check")}
    assert "gpc beside a question" in {item[0] for item in told["failed"]}


def test_a_key_that_is_not_taken_and_a_service_that_is_away_are_failures_and_no_pass(asks, tmp_path):
    with service(tmp_path) as running:
        code, told = asks(running, bearer="dev.wrong")
        assert (code, told["failed"][0][4]) == (1, "GET /v1/self answered 401")
    code, told = asks(running)
    assert (code, told["failed"][0][4]) == (1, "cannot be reached: ConnectError")
