"""Editors put a byte order mark before a file, and `cat` before the second one: no line is lost to it."""

import json

import pytest
from support.people import email, gaid, named

from gateway.signals import form
from gateway.web.shell import wire

pytestmark = pytest.mark.anyio
MARK = b"\xef\xbb\xbf"
NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


def lines(*members) -> bytes:
    """Each behind a mark, as of files joined."""
    return b"".join(MARK + json.dumps(each).encode() + b"\r\n" for each in members)


def out(number: int) -> dict:
    return {"identifiers": [named("email", email(number))], "choice": "opt_out"}


async def test_a_marked_list_of_opt_outs_is_entered_whole(keyed):
    answer = await keyed.post("/v1/choices", content=lines(out(1), out(2)) + MARK, headers=NDJSON)
    *events, end = (json.loads(line) for line in answer.text.splitlines())
    assert (len(events), end["count"]) == (2, 2)
    assert all(each["event"] for each in events)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("choices", out(1)), ("observe", {"identifiers": [named("gaid", gaid(1))], "signals": {"gpc": "1"}}),
        ("check", {"identifiers": [named("gaid", gaid(1))], "recipient": "advertisers"}), ("checks", []),
        ("links", {"account": "a1", "identifiers": [named("gaid", gaid(1))]}),
    ],
)  # fmt: skip
async def test_a_marked_call_is_read(keyed, path, body):
    answer = await keyed.post(f"/v1/{path}", content=MARK + json.dumps(body).encode(), headers=JSON)
    assert answer.status_code in {200, 201}


async def test_marked_checks_links_and_rows_are_read_line_by_line(keyed):
    check = {"identifiers": [named("gaid", gaid(1))], "recipient": "advertisers", "place": "US-NY"}
    answer = await keyed.post("/v1/checks", content=lines(check, check), headers=NDJSON)
    one, two, end = (json.loads(line) for line in answer.text.splitlines())
    assert (one["allowed"], two["allowed"], end["count"]) == (True, True, 2)
    link = {"account": "a1", "identifiers": [named("gaid", gaid(1))]}
    answer = await keyed.post("/v1/links", content=lines(link, link), headers=NDJSON)
    assert "problem" not in answer.text


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_lines_that_come_in_pieces_lose_the_mark_wherever_it_is_cut(size):
    content = MARK + b'{"a": 1}\n' + MARK + b"\n" + MARK + b'{"b": 2}\n\n' + MARK

    async def pieces():
        for start in range(0, len(content), size):
            yield content[start : start + size]

    found = [line.text async for line in wire.lines_as_they_come(pieces(), 100)]
    assert found == [b'{"a": 1}', b'{"b": 2}'] == [line.text for line in wire.lines_in(content)]


def test_a_marked_form_loses_no_field():
    said = form.read_form(MARK + b"email=ana%40example.com&action=opt_out")
    assert (said.email, said.action) == ("ana@example.com", "opt_out")
