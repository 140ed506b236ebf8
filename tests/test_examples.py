"""A run looks at the same examples whatever ran before it in its process, so that a commit passes or does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROPERTY = """
import importlib, sys
from support import examples
examples.load_profile()
for name in sys.argv[1:]:
    importlib.import_module(name)
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

seen = []

@examples.examples(200)
@given(st.integers(0, 9999), st.text(max_size=20), st.sampled_from("abc"))
def drawn(a, b, c): seen.append((a, b, c))

class Machine(RuleBasedStateMachine):
    @rule(number=st.integers(0, 9999))
    def first(self, number): seen.append(number)
    @rule(word=st.text(max_size=20))
    def second(self, word): seen.append(word)

drawn()
run_state_machine_as_test(Machine, settings=settings(max_examples=20))
print(len(seen), seen)
"""


def drawn(tmp_path, *modules: str, seed: str, soak: str = "0") -> str:
    (tmp_path / "drawn.py").write_text(PROPERTY)
    environment = os.environ | {"PYTHONPATH": str(HERE), "PYTHONHASHSEED": seed, "SOAK": soak, "QUICK": "0"}
    command = [sys.executable, str(tmp_path / "drawn.py"), *modules]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_the_examples_are_the_same_whatever_else_the_process_has_loaded(tmp_path):
    alone = drawn(tmp_path, seed="1")
    assert len(alone) > 1000
    assert drawn(tmp_path, "gateway.choice.verdict", "gateway.signals.hear", seed="2") == alone


@pytest.mark.slow
def test_the_control_a_soak_looks_at_others_each_time(tmp_path):
    assert drawn(tmp_path, seed="1", soak="1") != drawn(tmp_path, seed="1", soak="1")
