"""A start that fails says so in the service's own log, in one line with what helps, and never that it listens. What
serves looks seldom whether it is to end, and ends at once."""

import asyncio
import json
import signal
import subprocess
import sys

import pytest
import uvicorn
from support.ports import free_port
from support.service import service

from gateway.cli import serve as serving_command

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


def test_a_server_that_nobody_asks_ends_at_once_although_it_looks_seldom(monkeypatch):
    monkeypatch.setattr(serving_command, "TICKS", 100_000)  # hours
    looked = []

    async def served():
        server = serving_command.LeanServer(uvicorn.Config(None))

        async def looks(counter):
            looked.append(counter)
            return server.should_exit

        server.on_tick = looks
        serving = asyncio.create_task(server.main_loop())
        await asyncio.sleep(0)
        server.handle_exit(signal.SIGTERM, None)
        await asyncio.wait_for(serving, 60)

    asyncio.run(served())
    assert looked == [0, 100_000]
