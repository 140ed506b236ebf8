"""What `make check` leaves out: further rows of a table, and nothing else. Which files of slow tests come first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.runs import LONGEST

HERE = Path(__file__).parent
TESTS = """
import pytest

@pytest.mark.parametrize("row", ["first", "second", "third"])
def test_of_a_table(row): ...

@pytest.mark.parametrize("row", ["first", "second"])
class TestOfAClass:
    def test_of_a_table(self, row): ...

def test_alone(): ...
"""
CONFTEST = "pytest_plugins = ['support.runs']\n"


def chosen(folder: Path, quick: str) -> list[str]:
    """The tests that a run with QUICK set so would run."""
    (folder / "test_made_up.py").write_text(TESTS)
    (folder / "conftest.py").write_text(CONFTEST)
    environment = os.environ | {"QUICK": quick, "PYTHONPATH": str(HERE), "PYTEST_ADDOPTS": ""}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:schemathesis",
        "--rootdir",
        str(folder),
        str(folder),
    ]
    said = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    return [line.partition("::")[2] for line in said.splitlines() if "::" in line]


@pytest.mark.slow
def test_every_test_is_in_the_quick_loop_on_its_first_row(tmp_path):
    assert chosen(tmp_path, "1") == ["test_of_a_table[first]", "TestOfAClass::test_of_a_table[first]", "test_alone"]


@pytest.mark.slow
def test_every_row_is_in_the_whole(tmp_path):
    assert len(chosen(tmp_path, "0")) == 6


def test_the_files_that_come_first_are_there():
    assert [file for file in LONGEST if not (HERE.parent / file).is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)
