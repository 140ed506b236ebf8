"""A run looks at the same examples whatever ran before it in its process, so that a commit passes or does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROPERTY = """
import importlib, os, sys
from hypothesis import given, settings, strategies as st
from support import examples
examples.load_profile()
if os.environ["ANEW"] == "1":
    settings.register_profile("anew", settings.get_profile("ours"), derandomize=False)
    settings.load_profile("anew")
for name in sys.argv[1:]:
    importlib.import_module(name)
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


def drawn(tmp_path, *modules: str, seed: str, **said: str) -> str:
    (tmp_path / "drawn.py").write_text(PROPERTY)
    environment = (
        os.environ | {"PYTHONPATH": str(HERE), "PYTHONHASHSEED": seed, "SOAK": "0", "QUICK": "0", "ANEW": "0"} | said
    )
    command = [sys.executable, str(tmp_path / "drawn.py"), *modules]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_the_examples_are_the_same_whatever_else_the_process_has_loaded(tmp_path):
    alone = drawn(tmp_path, seed="1")
    assert len(alone) > 1000
    assert drawn(tmp_path, "gateway.choice.verdict", "gateway.signals.hear", seed="2") == alone


@pytest.mark.slow
def test_a_soak_looks_at_more_and_at_the_same_each_time(tmp_path):
    soak = drawn(tmp_path, seed="1", SOAK="1")
    assert drawn(tmp_path, seed="2", SOAK="1") == soak
    many, few = (int(each.split()[0]) for each in (soak, drawn(tmp_path, seed="1")))
    assert many - few > 700, "examples of the property; the machine's are stated here"


@pytest.mark.slow
def test_the_control_examples_that_are_drawn_anew_are_others_each_time(tmp_path):
    assert drawn(tmp_path, seed="1", ANEW="1") != drawn(tmp_path, seed="1", ANEW="1")
