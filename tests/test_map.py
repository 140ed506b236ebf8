"""The map of the house: every file and name in it is there, and the picture is the one that the imports make."""

import ast
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from support import house

ROOT = Path(__file__).parent.parent
MAP = (resources.files("gateway") / "manual" / "map.md").read_text()
HOUSE = house.gateway()
QUESTION = re.compile(r"^- (.+?\?) (`gateway/.+)$", re.MULTILINE)


def rows(text: str) -> Iterator[tuple[str, str, str]]:
    """Question, file, name. A file holds for the names behind it until the next file."""
    for question, spans in QUESTION.findall(text):
        file = ""
        for span in re.findall(r"`([^`]+)`", spans):
            if span.startswith("gateway/"):
                file = span
            else:
                yield question, file, span


def names_in(body: list[ast.stmt], before: str = "") -> Iterator[str]:
    """Functions, classes, constants and members, a class's own behind its name and a dot."""
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield before + name
            case ast.ClassDef(name=name, body=members):
                yield before + name
                yield from names_in(members, f"{before}{name}.")
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield before + name


def wrong_in(text: str) -> list[str]:
    wrong = []
    for question, file, name in rows(text):
        path = ROOT / file
        if not path.is_file() or name not in names_in(house.tree(path).body):
            wrong.append(f"{question} {file} {name}")
    return wrong


def test_whoever_is_new_finds_each_file_and_name():
    assert wrong_in(MAP) == []


def test_forty_questions_are_answered_once_each():
    lines = re.findall(r"^- (.+?\?) ", MAP, re.MULTILINE)
    asked = [question for question, _ in QUESTION.findall(MAP)]
    assert asked == lines, "a question has its answer on its own line"
    assert len(asked) == len(set(asked)) >= 40


@pytest.mark.parametrize(
    "row",
    [
        "- Where? `gateway/signals/gone.py` `read_gpc_header`",
        "- Where? `gateway/signals/gpc.py` `read_gpc_headers`",
        "- Where? `gateway/consent/check.py` `Checks.check`, `Checks.gone`",
        "- Where? `gateway/consent/check.py` `check`",
    ],
    ids=["no such file", "no such name", "no such method", "a method without its class"],
)
def test_a_wrong_row_is_found(row):
    assert len(wrong_in(f"{MAP}\n{row}\n")) == 1


def test_the_first_page_leads_to_the_map_and_names_every_room():
    readme = (ROOT / "README.md").read_text()
    assert "`gateway help map`" in readme
    rooms = {room.partition(".")[0] for room in HOUSE.floors() if "__" not in room} - {"disk"}
    assert {room for room in rooms if f"\ngateway/{room}" not in readme} == set()


def test_the_picture_is_what_the_imports_make():
    assert f"```\n{HOUSE.drawing()}\n```" in MAP, "print it anew: python tests/support/house.py"


def test_the_picture_leaves_out_whom_a_room_knows_through_another(tmp_path):
    for room, known in (("a", "bc"), ("b", "c"), ("c", "")):
        (tmp_path / room).mkdir()
        lines = [f"from gateway.{each} import m\n" for each in known]
        (tmp_path / room / "m.py").write_text("".join(lines))
    assert house.House(tmp_path).drawing().splitlines() == [" 3  a --> b", " 2  b --> c", " 1  c"]
