"""A gateway that is killed on the way to a file: what arrives is whole, holds each row once and nobody who opted
out."""

import contextlib
import json
import sqlite3
import sys

import pytest
from support import endless, example
from support.dies_while_sealing import STEPS
from support.people import named
from support.service import service
from support.wire import call

pytestmark = pytest.mark.slow
PEOPLE, ROWS, OUT = 20, 600, 3
HEADERS = {"Gateway-Job": "night-1", "Prefer": "return=minimal"}
COPIES = """
import os, pathlib, shutil, sys
taken, path = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
shutil.copy(path, taken / (path.name + ".coming"))
os.replace(taken / (path.name + ".coming"), taken / path.name)
"""


def post(running):
    body = b"".join(endless.blocks(range(ROWS), PEOPLE))
    return call(f"{running.url}/v1/shares/teemo", body, kind="application/x-ndjson", headers=HEADERS, timeout=60)


def seal(running):
    return call(f"{running.url}/v1/shares/teemo/jobs/night-1/seal", b"", timeout=60)


def until_it_is_killed(doing, running) -> bool:
    """Whether it was."""
    try:
        status, answer = doing(running)
    except OSError:
        running.process.wait(timeout=60)
        return True
    assert status == 200, answer
    return False


@pytest.mark.parametrize("step", [*STEPS, "never"])
def test_what_arrives_is_whole_wherever_the_gateway_was_killed(tmp_path, monkeypatch, step):
    taken, command = tmp_path / "taken", tmp_path / "copies.py"
    taken.mkdir()
    command.write_text(COPIES)
    config = tmp_path / "config.toml"
    uploading = json.dumps([sys.executable, str(command), str(taken)])
    config.write_text(example.over(f'[recipients.teemo]\nmode = "files"\nupload = {uploading}\n'))
    monkeypatch.setenv("DIES_AT", step)  # nothing of a link is a step
    with service(tmp_path, "--config", str(config), module="support.dies_while_sealing") as running:
        endless.link_all(running.url, PEOPLE)
        killed = until_it_is_killed(post, running) or until_it_is_killed(seal, running)
        assert killed == (step != "never")
        assert not (taken / "manifest.json").exists() or step in (*STEPS[5:], "never")
        monkeypatch.delenv("DIES_AT")
        if killed:
            running.start()
        done = (taken / "manifest.json").exists()
        if not done:
            body = {"identifiers": [named("account", f"a{OUT}")], "choice": "opt_out"}
            assert call(f"{running.url}/v1/choices", body)[0] == 201
        if step == STEPS[0]:
            assert post(running)[0] == 200
        status, answer = seal(running)
        assert (status, answer["outcome"]) == (200, "sent"), answer
    manifest = json.loads((taken / "manifest.json").read_text())
    got = [json.loads(line) for part in manifest["parts"] for line in (taken / part["name"]).read_text().splitlines()]
    assert manifest["rows"] == len(got)
    sealed_before = (
        step in STEPS[4:] or step == "never"
    )  # then the file was made before that opt-out, and is good still
    expected = [n % PEOPLE for n in range(ROWS) if sealed_before or n % PEOPLE != OUT]
    assert sorted(map(endless.person_of, got)) == sorted(expected)
    assert len({row["row"] for row in got}) == len(expected)
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite3")) as db:
        (sent,) = db.execute("SELECT count(*) FROM disclosure WHERE outcome = 'sent'").fetchone()
    assert sent == len(expected)
    assert not list((tmp_path / "data" / "spool").rglob("part-*"))
