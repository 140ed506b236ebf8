"""Words and codes that are ours: each is explained in the manual, and nothing is explained that is not used."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.root import group
from gateway.terms import WORDS

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^- \*\*(.+?)\*\*: (.+)$", re.MULTILINE)
KINDS = {".py", ".toml", ".md", ".html", ".js", ".sql", ".conf", ".yaml", ".yml", ".php", ".txt", ""}
# What looks like a code and is a name of somebody else's: a version of TCF, an API of Envoy's, a chapter of the ASVS.
NAMES = re.compile(r"\btc_string\.V1\b|^V1 = |api_version: V3|ASVS 5\.0\.0 V3\.4|\bSFTP and S3\b", re.MULTILINE)
CODE = re.compile(r"\b([RILVSA])([1-9][0-9]?)\b(?: to \1([1-9][0-9]?)\b)?")


def page(name: str) -> str:
    return CliRunner().invoke(group, ["help", name]).output


def explained(name: str) -> dict[str, str]:
    rows = ROW.findall(page(name))
    assert len(rows) == len(dict(rows)), "explained twice"
    return dict(rows)


def is_ours(path: Path) -> bool:
    return path.is_file() and path.suffix in KINDS and path.name != "codes.md"


def texts() -> list[str]:
    return [path.read_text() for path in sorted((ROOT / "gateway").rglob("*")) if is_ours(path)]


def codes_in(text: str) -> set[str]:
    """`L1 to L5` are five."""
    text = NAMES.sub("", text)
    spans = [(letter, int(first), int(last or first)) for letter, first, last in CODE.findall(text)]
    return {f"{letter}{number}" for letter, first, last in spans for number in range(first, last + 1)}


def is_sentence(text: str) -> bool:
    return text.endswith(".") and ". " not in text and "\n" not in text


def test_the_glossary_is_printed_as_it_stands():
    assert explained("words") == WORDS
    assert list(WORDS) == sorted(WORDS)


@pytest.mark.parametrize("name", ["words", "codes"])
def test_an_explanation_is_one_sentence(name):
    assert [word for word, text in explained(name).items() if not is_sentence(text)] == []


def test_a_word_that_is_explained_is_used():
    code = "\n".join(
        path.read_text().partition("# --- the glossary ---")[0].lower() for path in (ROOT / "gateway").rglob("*.py")
    )
    assert [word for word in WORDS if not re.search(rf"\b{word}", code)] == []


def test_a_code_in_the_code_has_its_row_and_a_row_its_code():
    used = set().union(*map(codes_in, texts()))
    assert used - set(explained("codes")) == set(), "used and not explained in gateway/manual/codes.md"
    assert set(explained("codes")) - used == set(), "explained and used nowhere"


def test_codes_are_found_in_ranges_and_lists_and_names_are_not():
    text = "(R28, S24; L1 to L3) ASVS 5.0.0 V3.4, SFTP and S3, H3, X-R1x, decision 300x"
    assert codes_in(text) == {"R28", "S24", "L1", "L2", "L3"}
    assert codes_in("# nobody explains that (R99)") - set(explained("codes")) == {"R99"}
