"""The rules of the house, kept by the machine."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from support.house import MEDIAN, House, tree
from support.house import gateway as house

from gateway.cli.root import group
from gateway.settings.load import Settings, example

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "gateway").rglob("*.py"))


MOST_ROOMS, MOST_FLOORS, MOST_FILES = 28, 12, 22


@pytest.fixture(scope="module", autouse=True)
def read_once():
    """The second that all files take is no test's own."""
    house().imports  # noqa: B018


def test_a_file_is_one_idea():
    assert MEDIAN[0] <= house().median() <= MEDIAN[1]
    assert house().too_long() == []
    assert house().splinters() == [], "a short file that one alone imports belongs into that one"


def test_a_name_stands_once():
    assert house().classes_twice() == {}


def test_a_verb_has_its_noun():
    assert house().bare_verbs() == []


def test_the_house_has_few_rooms_on_few_floors():
    floors = house().floors()
    assert len(floors) <= MOST_ROOMS, sorted(floors)
    assert max(count for room, count in floors.items() if room != "__main__") <= MOST_FLOORS, floors
    assert house().loose() == ["disk", "terms"]


def test_a_folder_is_seen_at_a_glance():
    files = Counter(name.rpartition(".")[0] for name in house().lines if not name.endswith("__"))
    assert {folder: count for folder, count in files.items() if count > MOST_FILES} == {}


def test_the_contract_of_the_layers_names_rooms_alone():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    named = [room for floor in contracts[0]["layers"] for room in floor.split(" | ")]
    assert len(named) <= 21
    assert set(named) == {room.partition(".")[0] for room in house().floors()} - {"__init__", "__main__"}


def lines_of(count: int) -> str:
    return '"""A file."""\n' + "\n".join(f"x{number} = {number}" for number in range(count - 1)) + "\n"


@pytest.mark.parametrize(
    ("files", "broken"),
    [
        ({"a.py": lines_of(601)}, lambda house: house.too_long() == ["a"]),
        ({"a.py": lines_of(20)}, lambda house: house.median() < MEDIAN[0]),
        (
            {"a.py": "from gateway.b import x1\n" + lines_of(200), "b.py": lines_of(59)},
            lambda house: house.splinters() == ["b"],
        ),
        (
            {"a.py": "class Kept:\n    pass\n", "b/c.py": "class Kept:\n    pass\n"},
            lambda house: set(house.classes_twice()) == {"Kept"},
        ),
        ({"a.py": "def read():\n    pass\n"}, lambda house: house.bare_verbs() == ["a.read"]),
        ({"a.py": "", "terms.py": ""}, lambda house: house.loose() == ["a", "terms"]),
        (
            {f"p{number}/m.py": f"from gateway.p{number + 1} import m\n" for number in range(13)} | {"p13/m.py": ""},
            lambda house: max(house.floors().values()) == 14,
        ),
    ],
    ids=["too long", "too short", "splinter", "one name for two", "bare verb", "loose", "too high"],
)
def test_each_rule_can_fail(tmp_path, files, broken):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert broken(House(tmp_path))


def test_a_ring_of_rooms_has_no_floors(tmp_path):
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / one).mkdir()
        (tmp_path / one / "m.py").write_text(f"from gateway.{other} import m\n")
    with pytest.raises(ValueError, match="a ring of rooms"):
        House(tmp_path).floors()


def test_a_function_is_read_at_a_glance():
    long = []
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 50:
                long.append(f"{path.name}:{node.name}")
    assert long == []


def test_every_module_says_what_it_owns():
    assert [path.name for path in MODULES if not ast.get_docstring(tree(path))] == []


def test_every_section_and_option_of_the_settings_stands_in_the_example():
    loaded = tomllib.loads(example())
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
    manual = CliRunner().invoke(group, ["help"]).output.split()
    assert set(re.findall(r"gateway help ([a-z]+)", readme)) <= set(manual)
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


PLANTED = [
    ("choice/verdict.py", "sqlite3", "Pure rooms"),
    ("signals/gpc.py", "time", "Pure rooms"),
    ("fold/noes.py", "time", "Pure rooms"),
    ("fold/kin.py", "gateway.disk", "The fold knows"),
    ("ledger/acts/links.py", "gateway.web.shell.problem", "The house"),
    ("web/pages/choices.py", "gateway.app.routes", "The house"),
    ("web/shell/page.py", "gateway.web.pages.data", "Inside web"),
    ("ledger/writer.py", "gateway.desk.outbox", "The house"),
    ("ledger/proof/merkle.py", "gateway.ledger.writer", "Inside ledger"),
    ("desk/history.py", "gateway.desk.forgetting.prune", "Inside desk"),
    ("web/api/check.py", "gateway.web.api.share", "Doors"),
    ("signals/cookies.py", "gateway.signals.hear", "Inside signals"),
]


def told(folder: Path, planted: list[tuple[str, str, str]]) -> dict[str, str]:
    """What lint-imports says against each contract, of a copy of the house with these imports more."""
    shutil.copytree(ROOT / "gateway", folder / "gateway")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for module, imported, _ in planted:
        path = folder / "gateway" / module
        path.write_text(path.read_text() + f"\nimport {imported}\n")
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": str(folder)})
    assert bool(done.returncode) is bool(planted), done.stdout[-500:]
    _, *parts = re.split(r"^(\S.*)\n-{3,}$", done.stdout.partition("\nBroken contracts\n")[2], flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.fixture(scope="module")
def against(tmp_path_factory):
    """With all of them at once: to read the house takes a second."""
    return told(tmp_path_factory.mktemp("planted"), PLANTED)


@pytest.mark.parametrize(("module", "imported", "contract"), PLANTED)
def test_the_import_contract_fails_on_a_planted_violation(against, module, imported, contract):
    importing = "gateway." + module.removesuffix(".py").replace("/", ".")
    (said,) = (said for name, said in against.items() if name.startswith(contract))
    assert re.search(rf"^- +{re.escape(importing)} -> {re.escape(imported)} \(l\.", said, re.MULTILINE), said


def test_the_import_contract_holds_without_one(tmp_path):
    assert told(tmp_path, []) == {}


def prose(path: Path) -> str:
    """Docstrings and comments of a module, and what looks like a comment in its texts."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(tree(path)) if isinstance(node, documented)]
    return "\n".join([*docstrings, *re.findall(r"#.*", path.read_text())])


@cache
def files_here() -> list[str]:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return ["/" + name for name in tracked if (ROOT / name).is_file()]


def exists(name: str) -> bool:
    """Of a page only a name that the manual has; of it no page has numbered sections."""
    if name.endswith(".py"):
        return any(each.endswith("/" + name) for each in files_here())
    if ".md" in name:
        return any(f"{folder}/{name}" in files_here() for folder in ("", "/gateway/manual"))
    place, _, last = name.rpartition(".")
    inside = [ROOT / place.replace(".", "/") / "__init__.py", ROOT / (place.replace(".", "/") + ".py")]
    text = next((path.read_text() for path in inside if path.exists()), "")
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").exists() or bool(re.search(rf"\b{last}\b", text))


NAMED = re.compile(r"[\w/]*\w\.py\b|\w+\.md\b(?: (?:section )?\d+(?:\.\d+)*)?|\bgateway(?:\.[a-z_]+)+\b(?!/)")


def missing(path: Path) -> list[str]:
    return [name for name in NAMED.findall(prose(path)) if not exists(name)]


def test_what_docstrings_and_comments_name_is_here():
    assert [(str(path.relative_to(ROOT)), name) for path in MODULES for name in missing(path)] == []


@pytest.mark.parametrize(
    "name",
    ["ledger.md", "signals.md 1.6", "law.md section 7", "web/shell/outward.py", "gateway.asked", "gateway.web.off"],
)
@pytest.mark.parametrize("line", ['"""As in {}."""', "X = 1  # {}", 'def f():\n    """See ({})."""'])
def test_a_name_of_what_is_not_here_is_found(tmp_path, line, name):
    path = tmp_path / "planted.py"
    path.write_text(line.format(name) + "\n")
    assert missing(path) == [name]


# Words of our own for which the field has a plain one: replay, fold, what holds now.
PRIVATE = re.compile(r"\blive[sd]? again\b|\bthe short way\b|\bthe real rules\b|\bas things are\b|\bwhat it comes to\b")


def test_docstrings_and_comments_have_the_words_of_the_field():
    assert [(str(path.relative_to(ROOT)), word) for path in MODULES for word in PRIVATE.findall(prose(path))] == []
    assert PRIVATE.findall("as when a life is lived again, by the real rules") == ["lived again", "the real rules"]
