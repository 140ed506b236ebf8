"""What no file of the gateway may do, for its defence: build SQL of what somebody sent, hide or prove by an algorithm that
is not on the list, depend on what is not pinned.
"""

import ast
import contextlib
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.house import tree

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "gateway").rglob("*.py"))
SQL = re.compile(
    r"\b(SELECT .* FROM|INSERT (OR \w+ )?INTO|UPDATE \w+ SET|DELETE FROM|(CREATE|DROP) (TABLE|INDEX|TRIGGER)|ALTER TABLE|ATTACH DATABASE)\b"
)
ASKED = ("web", "signals", "choice", "client", "replica", "delivery")  # rooms that read what somebody sent
# Words of ours that a statement is made of, each chosen from a list in the same file: no other name may stand in one.
OURS = frozenset({
    "table", "column", "columns", "behind", "marks", "named", "unsaid", "last", "kind.value", "which", "order",
    "destroyed", "name", "becomes", "new.mark", "what", "over",
})  # fmt: skip
# A move reads and writes each table as the schema of this release has it: its statements are made of the schema's names.
WHOLE_TABLES = ROOT / "gateway/ledger/moving"
CONSTANT = re.compile(r"(\w+\.)?[A-Z][A-Z_]*")
MARKS = re.compile(r"'\s*,\s*'\.join\('\?' \* len\(\w+\)\)")
ALGORITHMS = frozenset({
    "ed25519", "ec", "x509", "AESGCM", "AESSIV", "Ed25519PrivateKey", "Ed25519PublicKey", "InvalidSignature",
    "InvalidTag", "UnsupportedAlgorithm", "MLDSA44PrivateKey", "MLDSA44PublicKey",
})  # fmt: skip
WEAK, NAMES_OF_OTHERS = {"md5", "sha1", "new"}, "gateway/choice/identity/kinds.py"  # digests that the ad trade made
RANDOM = {"gateway/delivery/webhook.py", "gateway/web/shell/edge.py"}  # when to try again; the name of a request


def statements(path: Path):
    """(line, what is put into it) of each text of SQL that is made of parts."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value for part in node.values if isinstance(part, ast.Constant))
            if SQL.search(text):
                parts = [ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue)]
                yield node.lineno, parts


def foreign(path: Path):
    return [
        (path.name, line, part)
        for line, parts in statements(path)
        for part in parts
        if not (part in OURS or CONSTANT.fullmatch(part) or MARKS.fullmatch(part))
    ]


def test_sql_is_made_of_our_own_words_alone():
    """V35."""
    assert [each for path in MODULES if path.parent != WHOLE_TABLES for each in foreign(path)] == []
    for room in ASKED:
        for path in (ROOT / "gateway" / room).rglob("*.py"):
            texts = [each for each in ast.walk(tree(path)) if isinstance(each, ast.Constant)]
            assert not [each.value for each in texts if isinstance(each.value, str) and SQL.search(each.value)], path


@pytest.mark.parametrize("part", ["value", "body['name']", "name.upper()"])
def test_the_control_a_statement_of_what_somebody_sent_is_seen(tmp_path, part):
    planted = tmp_path / "planted.py"
    planted.write_text(
        f'def find(db, value, body, name):\n    return db.execute(f"SELECT a FROM t WHERE b = {{{part}}}")\n'
    )
    assert [found for _, _, found in foreign(planted)]


def weak(path: Path):
    """What a file takes from libraries that make keys, digests and chance, and should not."""
    found, named = set[str](), str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
    for node in ast.walk(tree(path)):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.startswith("cryptography"):
                found |= {each.name for each in names} - ALGORITHMS
            case ast.Attribute(value=ast.Name(id="hashlib"), attr=attr) if attr in WEAK and named != NAMES_OF_OTHERS:
                found.add(attr)
            case ast.ImportFrom(module="random") if named not in RANDOM:
                found.add("random")
            case ast.Import(names=names) if named not in RANDOM and "random" in {each.name for each in names}:
                found.add("random")
    return found


def test_what_hides_or_proves_is_made_by_the_algorithms_of_the_list():
    """V41."""
    assert {path.name: found for path in MODULES if (found := weak(path))} == {}


@pytest.mark.parametrize(
    "line",
    ["import random", "from random import choice", "import hashlib\nhashlib.md5(b'')",
     "from cryptography.hazmat.primitives.ciphers.algorithms import TripleDES"],
)  # fmt: skip
def test_the_control_a_weaker_algorithm_is_seen(tmp_path, line):
    planted = tmp_path / "planted.py"
    planted.write_text(f"{line}\n")
    assert weak(planted)


def unreasoned(path: Path):
    """Lines that put a rule of bandit aside and do not say why."""
    lines = enumerate(path.read_text().splitlines(), 1)
    return [(path.name, line) for line, text in lines if re.search(r"# noqa: (?=[^-]*\bS\d)(?![A-Z0-9, ]+ - \w)", text)]


def test_whoever_puts_a_rule_of_bandit_aside_says_why():
    assert [each for path in MODULES for each in unreasoned(path)] == []


@pytest.mark.parametrize("end", ["# noqa: S608", "# noqa: PLR0913, S603", "# noqa: S608 -"])
def test_the_control_an_exception_without_its_reason_is_seen(tmp_path, end):
    planted = tmp_path / "planted.py"
    planted.write_text(f"run(command)  {end}\n")
    assert unreasoned(planted) == [("planted.py", 1)]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~ ;(]", name.strip())[0]).lower()


def wanted_with_all_that_it_wants(names: set[str]) -> set[str]:
    """These packages and, of what is installed here, all that they ask for, and so on."""
    found, waiting = (
        set[str](),
        {(plain(name), frozenset(re.findall(r"\w[\w-]*", name.partition("[")[2].partition("]")[0]))) for name in names},
    )
    while waiting:
        name, extras = waiting.pop()
        if name in found:
            continue
        found.add(name)
        with contextlib.suppress(metadata.PackageNotFoundError):
            for line in metadata.requires(name) or []:
                wants = Requirement(line)
                if wants.marker is None or any(wants.marker.evaluate({"extra": each}) for each in {"", *extras}):
                    waiting.add((plain(wants.name), frozenset(wants.extras)))
    return found


def test_what_is_installed_is_pinned_to_one_version():
    """V17."""
    lines = [each for each in (ROOT / "constraints.txt").read_text().splitlines() if each and not each.startswith("#")]
    pinned = {plain(each) for each in lines}
    assert [each for each in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+( *;.*)?", each)] == []
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [stated["project"]["dependencies"], *stated["project"].get("optional-dependencies", {}).values()]
    groups += stated["dependency-groups"].values()
    wanted = wanted_with_all_that_it_wants({each for group in groups for each in group})
    assert len(wanted) > 60
    assert wanted - pinned == set()
