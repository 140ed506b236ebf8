"""What `make check` leaves out: further rows of a table, and most tests that open an installation; what `make test`
does: rows of a slow test's long table. Which files of slow tests come first."""

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

@pytest.mark.slow
@pytest.mark.parametrize("row", range(20))
def test_slow(row): ...
"""
AUTHOR = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
CONFTEST = "pytest_plugins = ['support.runs']\n"


def chosen(folder: Path, *named: str, **environment: str) -> list[str]:
    """The tests that a run with these set so would run, of the folder or of the files that are named."""
    (folder / "test_made_up.py").write_text(TESTS)
    (folder / "conftest.py").write_text(CONFTEST)
    environment = os.environ | {"QUICK": "0", "SOAK": "0", "PYTHONPATH": str(HERE), "PYTEST_ADDOPTS": ""} | environment
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
        "-o",
        "markers=slow",
        *(named or [str(folder)]),
    ]
    said = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    return [line.partition("::")[2] for line in said.splitlines() if "::" in line]


@pytest.mark.slow
def test_every_test_is_in_the_quick_loop_on_its_first_row(tmp_path):
    quick = ["test_of_a_table[first]", "TestOfAClass::test_of_a_table[first]", "test_alone", "test_slow[0]"]
    assert chosen(tmp_path, QUICK="1") == quick


@pytest.mark.slow
def test_of_those_that_open_an_installation_some_are_in_the_quick_loop_and_all_of_a_file_at_work(tmp_path):
    opening = "def test_with_a_folder_{}(tmp_path): ...\n"
    for name in ("kept", "at_work"):
        (tmp_path / f"test_{name}.py").write_text("".join(map(opening.format, range(16))))
    for command in (["init", "-q"], ["add", "test_kept.py"], [*AUTHOR, "commit", "-q", "-m", "kept"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    every = [f"test_with_a_folder_{number}" for number in range(16)]
    quick = [test for test in chosen(tmp_path, QUICK="1") if test in every]
    assert sorted(quick) == sorted([every[0], every[15], *every])
    (tmp_path / "test_at_work.py").unlink()
    assert [test for test in chosen(tmp_path, QUICK="2") if test in every] == every
    assert [test for test in chosen(tmp_path, "test_kept.py", QUICK="1") if test in every] == every


@pytest.mark.slow
def test_every_row_is_in_the_whole_but_of_a_slow_test_where_some_of_all_are_enough(tmp_path):
    whole = chosen(tmp_path)
    assert len([test for test in whole if "slow" not in test]) == 6
    assert [test for test in whole if "slow" in test] == [f"test_slow[{row}]" for row in (0, 3, 7, 11, 15, 19)]
    for every in (chosen(tmp_path, SOAK="1"), chosen(tmp_path, "test_made_up.py")):
        assert len([test for test in every if "slow" in test]) == 20


def test_the_files_that_come_first_are_there():
    assert [file for file in LONGEST if not (HERE.parent / file).is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)
