"""At each door that takes a line a row: every line is answered once, a refused one by its number, and what stands in
one line costs the others nothing.
"""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import inside
from support.examples import examples
from support.people import gaid, named

from gateway.web.shell import wire

NDJSON = {"Content-Type": "application/x-ndjson"}


def person(number: int) -> list[dict]:
    return [named("gaid", gaid(number))]


DOORS = {
    "/v1/choices": lambda number: {"identifiers": person(number), "choice": "opt_out", "source": "import"},
    "/v1/links": lambda number: {"account": f"a{number}", "identifiers": person(number)},
    "/v1/notices": lambda number: {"identifiers": person(number), "notice": "privacy", "outcome": "sent"},
    "/v1/checks": lambda number: {"identifiers": person(number), "recipient": "advertisers", "place": "US-NY"},
    "/v1/shares/teemo": lambda number: {
        "id": f"r{number}", "identifiers": person(number), "data": {"ad_id": gaid(number)}, "place": "US-NY",
    },
    "/v1/disclosures": lambda number: {"decision": f"d{number}", "outcome": "sent"},
}  # fmt: skip
FAULTS = {
    "a stray quote": b'{"identifiers": [{"type": "gaid", "value": "}]}',
    "a quote before": b'"',
    "no JSON": b"type,value",
    "half of a line": b'{"identifiers": [{"type": "gaid", "va',
    "two in one": b"{} {}",
    "a return alone": b'{"identifiers": []}\r{"identifiers": []}',
    "a list": b"[]",
    "a number": b"1.41556E+10",
    "a megabyte": b'"' + b"x" * 2**20,
    "a NUL": b"\x00",
    "Latin-1": b'{"choice": "\xe9"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "U+2028": "\u2028".encode(),
    "U+0085": "\u0085".encode(),
    "deep": b"[" * 5_000,
    "a remark": b"# {}",
}


async def lines(client, path: str, content: bytes) -> tuple[list[dict], dict]:
    answer = await client.post(path, content=content, headers=NDJSON)
    assert answer.status_code == 200, answer.text
    *told, end = (json.loads(line) for line in answer.text.splitlines())
    return told, end


def refused(told: list[dict]) -> list[int | None]:
    """The numbers that are told with lines that were refused."""
    return [line.get("line") for line in told if "problem" in line or line.get("reason") == "malformed"]


@pytest.mark.anyio
@pytest.mark.parametrize("path", DOORS)
async def test_a_line_with_a_fault_is_named_by_its_number_and_costs_the_others_nothing(keyed, path):
    made, ends = DOORS[path], [b"\n", b"\r\n", b"\n\n \n"]
    content, wanted, at = b"", [], 1
    for number, fault in enumerate(FAULTS.values()):
        end = ends[number % 3]
        content += json.dumps(made(number)).encode() + end + fault + end
        wanted.append(at + end.count(b"\n"))
        at += 2 * end.count(b"\n")
    told, end = await lines(keyed, path, content + json.dumps(made(99)).encode())
    assert len(told) == 2 * len(FAULTS) + 1
    assert refused(told) == wanted
    if "count" in end:
        assert end["count"] == len(told)
        assert end.get("refused", len(FAULTS)) == len(FAULTS)
    else:
        assert end["summary"]["rows"] == len(told)
        assert end["summary"]["refused"]["malformed"] == len(FAULTS)
        assert end["summary"]["malformed_lines"] == wanted


@pytest.mark.anyio
async def test_people_behind_a_fault_are_out(keyed):
    content = b"\n".join(
        [b'"', json.dumps(DOORS["/v1/choices"](1)).encode(), b"{", json.dumps(DOORS["/v1/choices"](2)).encode()]
    )
    await lines(keyed, "/v1/choices", content)
    for number in (1, 2):
        body = {"identifiers": person(number), "recipient": "advertisers", "place": "US-NY"}
        assert (await keyed.post("/v1/check", json=body)).json()["reason"] == "opted_out"


@pytest.mark.anyio
async def test_a_line_of_blanks_that_is_cut_off_may_have_had_a_row_behind_them():
    async def pieces():
        yield b"{}\n" + b" " * 50 + b'{"id": "r1"}\n{}\n'

    assert [(line.number, line.cut) async for line in wire.lines_as_they_come(pieces(), 20)] == [
        (1, False),
        (2, True),
        (3, False),
    ]


BODIES = st.lists(
    st.one_of(st.sampled_from([b"\n", b"\r\n", b'"', b"{}", b"[", b" "]), st.binary(max_size=12)), max_size=20
)


@settings(examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES.map(b"".join))
def test_lines_that_say_something_are_all_there_with_their_numbers_whatever_a_body_holds(body):
    found = wire.lines_in(body)
    assert [line.number for line in found] == [
        number for number, text in enumerate(body.split(b"\n"), 1) if text.removeprefix(wire.MARK).strip()
    ]


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_hundred_thousand_lines_with_faults_among_them_are_all_there(tmp_path):
    """At the door of a nightly list of opt-outs, in ten calls; one line in ten has no fault."""
    faults = [fault for name, fault in FAULTS.items() if "megabyte" not in name]
    taken = turned = 0
    async with inside.application(tmp_path / "data") as app, inside.client(app, **inside.DEV) as client:
        for call in range(10):
            at = range(call * 10_000, (call + 1) * 10_000)
            rows = [faults[n % len(faults)] if n % 10 else json.dumps(DOORS["/v1/choices"](n)).encode() for n in at]
            told, end = await lines(client, "/v1/choices", b"\n".join(rows) + b"\n")
            assert refused(told) == [n for n in range(1, 10_001) if n % 10 != 1]
            assert (end["count"], end["refused"]) == (10_000, 9_000)
            taken += sum("event" in line for line in told)
            turned += end["refused"]
    assert (taken, turned) == (10_000, 90_000)
