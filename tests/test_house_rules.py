"""The rules of the house, kept by the machine."""

import ast
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path

import msgspec
import pytest

from gateway.settings import Settings, shipped

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "gateway").rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_a_file_is_one_idea():
    counts = {str(path.relative_to(ROOT)): lines(path) for path in MODULES}
    assert statistics.median(counts.values()) <= 220
    assert {name: count for name, count in counts.items() if count > 600} == {}


def test_a_function_is_read_at_a_glance():
    long = []
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 50:
                long.append(f"{path.name}:{node.name}")
    assert long == []


def test_every_module_says_what_it_owns():
    assert [path.name for path in MODULES if not ast.get_docstring(tree(path))] == []


def test_every_section_and_option_of_the_settings_stands_in_the_shipped_file():
    loaded = tomllib.loads(shipped())
    options = msgspec.json.schema(Settings)["$defs"]
    sections = {
        name: ref["$ref"].rpartition("/")[2] for name, ref in options["Settings"]["properties"].items() if "$ref" in ref
    }
    assert set(loaded) == set(options["Settings"]["properties"])
    for section, shape in sections.items():
        assert set(loaded[section]) == set(options[shape]["properties"]), section


def test_every_option_has_a_comment():
    """On its line, or above it; a recipient's are explained together above the first."""
    text = (ROOT / "config.toml").read_text().split("# Who may receive")[0].splitlines()
    bare = []
    for number, line in enumerate(text):
        if re.match(r"[a-z_]+ = ", line) and "#" not in line and not text[number - 1].startswith("#"):
            bare.append(line)
    assert bare == []


def test_the_readme_is_short_and_what_it_names_exists():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.split()) < 900
    manual = {item.name.removesuffix(".md") for item in (resources.files("gateway") / "manual").iterdir()}
    assert set(re.findall(r"gateway help ([a-z]+)", readme)) <= manual
    for path in re.findall(r"^(gateway/\S+|config\.toml)", readme, re.MULTILINE):
        assert (ROOT / path).exists(), path


def test_no_registry_and_no_path_of_this_machine_is_named():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    words = [
        "pypi" + ".org",
        "python" + "hosted",
        "registry." + "npmjs",
        "deb." + "debian",
        "/wo" + "rk/",
        "/ro" + "ot/",
    ]
    found = [
        (name, word)
        for name in tracked
        if (ROOT / name).is_file()
        for word in words
        if word in (ROOT / name).read_text(errors="replace")
    ]
    assert found == []


def planted(tmp_path: Path, module: str, line: str) -> str:
    """What lint-imports says of a copy of the house with one more import."""
    shutil.copytree(ROOT / "gateway", tmp_path / "gateway")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "gateway" / module
    path.write_text(path.read_text() + f"\n{line}\n")
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)})
    return done.stdout if done.returncode else ""


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("choice/verdict.py", "import sqlite3", "Pure rooms"),
        ("signals/gpc.py", "import time", "Pure rooms"),
        ("ledger/travel.py", "import gateway.web.problem", "The house"),
        ("web/pages.py", "import gateway.settings", "The house"),
        ("web/check.py", "import gateway.web.share", "Doors"),
        ("signals/cookies.py", "import gateway.signals.hear", "Inside signals"),
    ],
)
def test_the_import_contract_fails_on_a_planted_violation(tmp_path, module, line, contract):
    said = planted(tmp_path, module, line)
    assert re.search(rf"{contract}.* BROKEN", said), said[-500:]


def test_the_import_contract_holds_without_one(tmp_path):
    assert planted(tmp_path, "choice/verdict.py", "") == ""
