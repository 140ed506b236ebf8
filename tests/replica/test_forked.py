"""A server that is loaded with its replica before its workers are made: a copy that nobody follows answers nothing."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from support.service import service

from gateway.cli import main

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("control", [[], ["control"]])
def test_a_worker_is_told_stale_and_takes_neither_the_parents_lease_nor_its_records(tmp_path, capsys, control):
    enrolled, secret, copy = tmp_path / "bidder.enrolment", tmp_path / "secret", tmp_path / "copy"
    with service(tmp_path) as gateway:
        with suppress(SystemExit):
            main(["replica", "enrol", "bidder", "--data", str(gateway.data), "--out", str(enrolled)])
        secret.write_text(capsys.readouterr().out.strip())
        command = [sys.executable, "-m", "support.replica_forks", gateway.url, copy, enrolled, secret, *control]
        ran = subprocess.run(
            [str(word) for word in command], check=True, capture_output=True, timeout=60, cwd=Path(__file__).parents[1]
        )
    told = json.loads(ran.stdout.splitlines()[-1])
    if control:
        assert told["worker"] == ["stale", "left"]  # the copy refuses whoever was forked by itself; the lease is gone
    else:
        assert told == {"worker": ["stale"], "spools": 1, "lost": 0, "why": ""}
