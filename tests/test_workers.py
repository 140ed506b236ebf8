"""A run in several processes: every test once, each file in one of them, and nothing that went wrong is lost."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
CONFTEST = """
import os, pytest
pytest_plugins = ["support.workers"]

@pytest.fixture(scope="session")
def lasting():
    yield os.getpid()
    with open("ended", "a") as told: told.write("ended\\n")
"""
FILE = """
import os, pytest

@pytest.mark.parametrize("row", range(4))
def test_row(row, lasting, tmp_path):
    with open("ran", "a") as told: told.write(f'["{__file__}", {row}, {os.getpid()}]\\n')
    assert lasting == os.getpid()
"""
MEETS = """
import pathlib, time

def test_that_meets_the_other():
    pathlib.Path(__file__ + ".here").touch()
    ends = time.monotonic() + 60
    while len(list(pathlib.Path(__file__).parent.glob("*.here"))) < 2:
        assert time.monotonic() < ends
        time.sleep(0.02)
"""
FAILS = "def test_that_fails():\n    print('what it said')\n    assert 0\n"
ENDS_BADLY = """
import pytest

@pytest.fixture(scope="session")
def lasting_here():
    yield
    raise OSError("what went wrong at the end")

def test_first(lasting_here): ...
def test_second(): ...
"""
STAYS = """
import pathlib, sys, time
from support import forked

def test_that_leaves_a_service_behind_that_does_not_end():
    here = pathlib.Path(__file__).parent
    forked.start([sys.executable, "-m", "stays"], here / "log", {})
    ends = time.monotonic() + 60
    while not (here / "stands").exists():
        assert time.monotonic() < ends
        time.sleep(0.02)
"""
DOES_NOT_END = """
import pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("stands").touch()
time.sleep(600)
"""
DIES = "import os\n\ndef test_that_dies():\n    os._exit(3)\n\ndef test_behind_it():\n    open('behind', 'w').close()\n"


def ran(folder, *more, **files):
    """A run over made-up files: its exit code, and what it printed."""
    (folder / "conftest.py").write_text(CONFTEST)
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    environment = os.environ | {"PYTHONPATH": str(HERE), "PYTEST_ADDOPTS": ""}
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", "--rootdir", str(folder), "--workers", "2"]
    command = [sys.executable, "-m", "pytest", *options, *more, str(folder)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=500
    )
    return done.returncode, done.stdout + done.stderr


def test_every_test_runs_once_and_a_file_in_one_process_whose_session_is_one(tmp_path):
    code, said = ran(tmp_path, one=FILE, two=FILE, three=FILE, four=FILE)
    rows, processes = [json.loads(line) for line in (tmp_path / "ran").read_text().splitlines()], defaultdict(set)
    for file, _, process in rows:
        processes[file].add(process)
    assert (code, len(rows), len({(file, row) for file, row, _ in rows})) == (0, 16, 16), said
    assert {len(each) for each in processes.values()} == {1}
    assert (tmp_path / "ended").read_text().split() == ["ended"] * len(set.union(*processes.values()))
    assert "16 passed" in said


def test_two_files_run_at_once(tmp_path):
    code, said = ran(tmp_path, one=MEETS, two=MEETS)
    assert (code, "2 passed" in said) == (0, True), said


def test_a_test_that_fails_is_told_with_what_it_printed_and_so_is_one_whose_process_dies(tmp_path):
    code, said = ran(tmp_path, one=FILE, two=FAILS, three=DIES)
    assert code == 1
    assert "what it said" in said
    assert "the process that ran this ended with 3" in said
    assert "2 failed, 5 passed" in said
    assert (tmp_path / "behind").exists(), "what stood behind it in its file ran all the same"


def test_what_lasts_for_all_tests_and_ends_badly_fails_the_run(tmp_path):
    code, said = ran(tmp_path, one=ENDS_BADLY, two=FILE)
    assert code != 0
    assert "what went wrong at the end" in said


def test_a_run_does_not_wait_for_a_service_that_ignores_its_end(tmp_path):
    (tmp_path / "stays.py").write_text(DOES_NOT_END)
    code, said = ran(tmp_path, one=STAYS, two=FILE)
    assert (code, "5 passed" in said) == (0, True), said


def test_a_run_that_may_fail_once_stops_there(tmp_path):
    code, said = ran(tmp_path, "--maxfail=1", one=FAILS, two=FAILS, three=FAILS, four=FAILS, five=FAILS, six=FAILS)
    assert code == 1
    assert "1 failed" in said


def test_what_cannot_be_collected_fails_the_run(tmp_path):
    code, said = ran(tmp_path, one=FILE, two="import nothing_of_that_name\n")
    assert code == 2
    assert "nothing_of_that_name" in said
    assert not (tmp_path / "ran").exists()
