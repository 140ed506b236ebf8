"""Every control of the suite is on the list `controls.txt`, and is there: no test of tests is lost unnoticed."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LISTED = [line for line in (HERE / "controls.txt").read_text().splitlines() if line and not line.startswith("#")]
NAMED = re.compile(r"^test_(the_)?controls?_|_a_planted_|does_not_pass|is_caught|can_fail|property_would_fail")
SAYS = re.compile(r"(R\d+\. )?(The |A )?[Cc]ontrol\b")
INSIDE = re.compile(r"""["#] ?(?:the |a )?control\b|id="control""", re.IGNORECASE)
PERHAPS = re.compile(  # in a whole file: most are not worth reading
    f"def test_(the_)?controls?_|{NAMED.pattern.partition('|')[2]}|(\"\"\"|'''){SAYS.pattern}|{INSIDE.pattern}",
    re.IGNORECASE,
)
NOT_OURS = {  # of whom the word says something else
    "tests/ledger/test_access.py::TestANumberThatPassedOn::test_control_proves_nothing_about_the_time_before_its_present_link",
    "tests/ledger/test_note.py::test_control_characters_are_in_no_note",
    "tests/signals/gpp/test_us_section.py::test_a_control_in_a_state_that_has_only_a_sensitive_subsection_is_heard",
    "tests/signals/test_lines.py::test_a_table_without_a_header_that_can_be_read_is_not_begun_and_nobody_is_quoted",
}


def controls_in(path: str, text: str) -> list[str]:
    """The tests of a file that say of themselves, by name, docstring or comment, that they are or hold a control."""
    if not PERHAPS.search(text):
        return []
    lines, found = text.splitlines(), []
    for node in ast.parse(text).body:
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        for item in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name.startswith("test_"):
                first = min(each.lineno for each in [item, *item.decorator_list])
                whole = "\n".join(lines[first - 1 : item.end_lineno])
                if NAMED.search(item.name) or SAYS.match(ast.get_docstring(item) or "") or INSIDE.search(whole):
                    found.append(f"{path}::{prefix}{item.name}")
    return found


def test_every_control_on_the_list_is_there():
    texts = {file: (HERE.parent / file).read_text() for file in {line.partition("::")[0] for line in LISTED}}
    assert [line for line in LISTED if f"def {line.rpartition('::')[2]}(" not in texts[line.partition("::")[0]]] == []
    assert len(set(LISTED)) == len(LISTED)


def test_every_test_that_says_it_is_a_control_is_on_the_list():
    here = Path(__file__)
    files = [path for path in sorted(HERE.rglob("test_*.py")) if path != here]
    found = {name for path in files for name in controls_in(f"tests/{path.relative_to(HERE)}", path.read_text())}
    assert sorted(found - NOT_OURS - {*LISTED}) == [], "add its line to tests/controls.txt"


@pytest.mark.parametrize(
    "text",
    ["def test_the_control_of_it(): ...", "async def test_a_planted_row_is_found(): ...",
     "def test_of_it():\n    '''Control.'''", 'class TestIt:\n    def test_of_it(self):\n        assert 1, "the control"',
     "def test_of_it():\n    assert 1  # control", '@mark("row", [1, param(2, id="control")])\ndef test_of_it(row): ...'],
)  # fmt: skip
def test_a_control_is_known_by_what_it_says(text):
    assert len(controls_in("x", text)) == 1


def test_what_merely_has_the_word_is_none():
    assert controls_in("x", 'def test_of_pages():\n    """Proof of control."""\n    read("Cache-Control")') == []
