"""Coverage-guided fuzzing of every target: a moment in `make test`, ten minutes and more in `make soak`.

FUZZ_SECONDS is the time for all targets together. What is found is kept in tests/fuzz/seeds and replayed from then on.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import missing
from support.examples import SOAK
from support.fuzzing import TARGETS

pytestmark = pytest.mark.slow
HARNESS = Path(__file__).parent / "harness.py"
SEEDS = HARNESS.parent / "seeds"
SECONDS = int(os.environ.get("FUZZ_SECONDS") or (120 if SOAK else 6))
FOUND = 77  # libFuzzer's exit code for an input that breaks the target


def fuzz(name, seconds, folder):
    if importlib.util.find_spec("atheris") is None:
        missing("atheris, which has no wheel for this Python or machine")
    command = [sys.executable, str(HARNESS), name, str(seconds), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds + 600)


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_that_reaches_new_branches_breaks_the_rule(name, figure):
    done = fuzz(name, max(1, SECONDS // len(TARGETS)), SEEDS)
    assert done.returncode == 0, f"kept in {SEEDS}:\n{done.stdout}{done.stderr[-3000:]}"
    (tried,) = re.findall(r"number_of_executed_units: (\d+)", done.stderr)
    (branches,) = re.findall(r"DONE +cov: (\d+)", done.stderr)
    figure(f"fuzz {name}, by coverage", f"{tried} inputs, {branches} branches, none breaks the rule")


def test_a_planted_fault_is_found_and_its_input_kept(tmp_path):
    """Control: a reader that allows on error."""
    done = fuzz("allows_on_error", 300, tmp_path)
    assert done.returncode == FOUND, done.stderr[-3000:]
    assert "allowed with an error" in done.stdout
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("allows_on_error.crash-")
    assert kept.read_bytes()
