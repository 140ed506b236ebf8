"""Every requirement names the tests that prove it, and the tests are there."""

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest
from support import house, requirements_table

HERE = Path(__file__).parent
TABLE = tomllib.loads((HERE / "requirements.toml").read_text())
# What the signals owe: hearing, remembering and showing signals, and two of the rules.
OWED = {*(f"L{number}" for number in range(1, 16)), "R25", "R26"}
# What the verdict owes, or says why another part does: L16 to L81 of the law, and the rules decided.
TOLD = {*(f"L{number}" for number in range(1, 82)), *(f"R{number}" for number in range(1, 36))}
# What the ledger owes: L82 to L90 of the law, and the rules about what is kept, shown, forgotten and undone.
PROVED = {*(f"L{number}" for number in range(82, 91)), "R6", "R14", "R16", "R19", "R31", "R34"}

# What every door owes: V1 to V42, each with its tests.
WITHSTOOD = {f"V{number}" for number in range(1, 43)}


@cache
def named_in(path: str) -> frozenset[str]:
    """The tests of a file as pytest names them, read and not run."""
    file = HERE.parent / path
    if not file.is_file():
        return frozenset()
    found = set()
    for node in house.tree(file).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        functions = (item.name for item in inside if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef))
        found |= {prefix + name for name in functions if name.startswith("test_")}
    return frozenset(found)


def missing(names: list[str]) -> list[str]:
    return [name for name in names if name.partition("::")[2] not in named_in(name.partition("::")[0])]


@pytest.mark.parametrize("requirement", TABLE)
def test_a_requirement_is_proved_by_tests_that_exist_or_says_why_later(requirement, figure):
    row = TABLE[requirement]
    assert set(row) in ({"text", "tests"}, {"text", "later"}), "a text, and tests or later"
    assert row["text"].endswith(".")
    if "later" in row:
        assert row["later"].strip()
        figure(f"{requirement} later", row["later"])
        return
    assert row["tests"], "no test is named"
    assert missing(row["tests"]) == []
    assert len(set(row["tests"])) == len(row["tests"])


def test_what_the_signals_owe_is_in_the_table_and_none_of_it_is_later():
    assert set(TABLE) >= OWED
    assert [name for name in OWED if "later" in TABLE[name]] == []


def test_what_the_ledger_owes_is_in_the_table_and_none_of_it_is_later():
    assert set(TABLE) >= PROVED
    assert [name for name in PROVED if "later" in TABLE[name]] == []


def test_what_the_public_doors_owe_is_in_the_table_and_none_of_it_is_later():
    assert set(TABLE) >= WITHSTOOD
    assert [name for name in WITHSTOOD if "later" in TABLE[name]] == []


def test_every_requirement_of_the_verdict_is_in_the_table_with_its_tests_or_the_reason_why_not_yet():
    assert set(TABLE) >= TOLD


@pytest.mark.parametrize(
    "name",
    ["tests/test_requirements.py::test_that_nobody_wrote", "tests/nowhere.py::test_x", "tests/test_requirements.py",
     "tests/test_requirements.py::missing", "tests/test_requirements.py::TestNone::test_x"],
)  # fmt: skip
def test_a_test_that_is_not_there_is_missed(name):
    assert missing([name]) == [name]


def test_the_table_is_printed_with_every_requirement_once_and_its_sums():
    printed = requirements_table.table().splitlines()
    assert [line.split()[0] for line in printed[:-2]] == sorted(TABLE, key=lambda name: (name[0], int(name[1:])))
    assert printed[-1].startswith(f"{len(TABLE)} requirements: ")


def test_a_test_that_is_there_is_found_in_a_class_too():
    here = "tests/test_requirements.py::test_a_test_that_is_not_there_is_missed"
    assert missing([here]) == []
    classes = [name for name in named_in("tests/consent/test_consent.py") if "::" in name]
    assert classes
    assert missing([f"tests/consent/test_consent.py::{name}" for name in classes]) == []
