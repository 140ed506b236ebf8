"""The manual's Swift and Kotlin as a parser of each language reads them; no compiler does."""

import re
from importlib import resources

import pytest
import tree_sitter_kotlin
import tree_sitter_swift
from support import client_package
from tree_sitter import Language, Parser

PARSERS = {
    "Swift": Parser(Language(tree_sitter_swift.language())),
    "Kotlin": Parser(Language(tree_sitter_kotlin.language())),
}
COLUMNS = ["Kotlin", "Swift"]  # of the table of setters


def code(page: str, language: str) -> list[str]:
    """The indented code below each heading of that language's name, and its column of the table."""
    text = (resources.files("gateway") / "manual" / f"{page}.md").read_text()
    below = re.findall(rf"^#+ {language}\n((?:(?!#).*\n)*)", text, re.MULTILINE)
    column = COLUMNS.index(language)
    rows = re.findall(r"^\| [^|]+ \| `([^|]+\))` \| `([^|]+)` \|$", text, re.MULTILINE)
    return [*(block for section in below for block in client_package.blocks(section)), *(row[column] for row in rows)]


def reads(language: str, text: str) -> bool:
    return not PARSERS[language].parse(text.encode()).root_node.has_error


@pytest.mark.parametrize("language", PARSERS)
@pytest.mark.parametrize(("page", "at_least"), [("apps", 1), ("sdks", 8)])
def test_a_parser_reads_the_manuals_code(page, at_least, language):
    found = code(page, language)
    assert len(found) >= at_least
    assert [text for text in found if not reads(language, text)] == []


@pytest.mark.parametrize("language", PARSERS)
def test_a_brace_that_is_missing_is_found(language):
    block = code("apps", language)[0]
    assert reads(language, block)
    assert not reads(language, block.replace("}", "", 1))
