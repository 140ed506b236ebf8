"""Statements that SQLite takes and PostgreSQL does not, or takes for something else, stand nowhere."""

import ast
import re
from pathlib import Path

import pytest

import gateway

GATEWAY = Path(gateway.__file__).parent
SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|ON CONFLICT)\b")
UNSAID = re.compile(
    r"ON CONFLICT DO UPDATE|INSERT OR (REPLACE|ABORT|FAIL|ROLLBACK)|\biif\(|\bifnull\(|\bgroup_concat\(|\btotal\(|"
    r"\bLIMIT -1|\browid\b|\bGLOB\b|\bstrftime\((?!'%s', 'now'\))|\bdatetime\(|\bsqlite_master\b|\bjulianday\(|"
    r"\bsum\([^()]* (?:IS|=|<|>)"
)
ENGINES = {
    "disk.py",
    "schema.py",
    "erasure_steps.py",
}  # know their file, as office/ does


def unsaid(text: str) -> list[str]:
    return [found[0] for found in UNSAID.finditer(text)] if SQL.search(text) else []


def statements():
    """(where, text) of every text of the package that is or may be part of a statement."""
    for path in sorted((GATEWAY).rglob("*.py")):
        if path.name not in ENGINES and not {"postgres", "office"} & {*path.parts}:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{path.name}:{node.lineno}", node.value
    for path in sorted((GATEWAY / "ledger" / "sql").glob("*.sql")):
        yield path.name, path.read_text(encoding="utf-8")


def test_no_statement_says_what_a_server_does_not_take():
    assert [(where, each) for where, text in statements() for each in unsaid(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t VALUES (?) ON CONFLICT DO UPDATE SET a = 1",
        "INSERT OR REPLACE INTO t VALUES (?)",
        "SELECT sum(a = ?) FROM t",
        "SELECT iif(a, b, c) FROM t LIMIT -1",
    ],
)
def test_one_that_did_would_be_found(text):
    assert unsaid(text)
