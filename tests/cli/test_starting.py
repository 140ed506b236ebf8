"""A start that fails says so in the service's own log, in one line with what helps, and never that it listens."""

import json
import subprocess
import sys

import pytest
from support.ports import free_port
from support.service import service

PORTS = ("PUBLIC", "INTERNAL", "METRICS")


def serve(tmp_path, text, data, *more):
    """The code of a start and its log's lines; nothing may stand beside them."""
    file = tmp_path / "config.toml"
    listen = [f'{name.lower()} = "127.0.0.1:{free_port()}"' for name in PORTS]
    file.write_text("\n".join(["[listen]", *listen, text]))
    command = [sys.executable, "-m", "gateway", "serve", "--data", str(data), "--config", str(file), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stderr == "", "a log has lines of one kind"
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]], ids=["one", "two workers"])
def test_a_start_without_a_folder_says_what_makes_one_and_not_that_it_listens(tmp_path, workers):
    code, lines = serve(tmp_path, "", tmp_path / "nothing", *workers)
    assert code == 3
    assert any(f"gateway migrate --data {tmp_path / 'nothing'}" in line["event"] for line in lines)
    assert "listening" not in {line["event"] for line in lines}


def test_a_slip_in_the_configuration_is_one_line_of_the_log_with_what_to_write(tmp_path, folder):
    code, lines = serve(tmp_path, '[gpc]\nlast_update = "soon"\n', folder)
    assert code == 3
    [line] = lines
    assert (line["event"], line["level"]) == ("not started", "error")
    assert "last_update" in line["error"]


@pytest.mark.slow
def test_who_listens_says_so(tmp_path):
    with service(tmp_path) as running:
        assert running.tracker
        lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    assert f"http://127.0.0.1:{running.port}" in {line["on"] for line in lines if line["event"] == "listening"}
