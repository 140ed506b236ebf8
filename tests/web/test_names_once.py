"""What is said twice in one call: nobody can tell which of the two counts, so it neither allows nor loses an
opt-out."""

import json
import sys

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.people import gaid

from gateway.web.shell import wire
from gateway.web.shell.problem import Problem

pytestmark = pytest.mark.anyio
JSON, NDJSON = {"Content-Type": "application/json"}, {"Content-Type": "application/x-ndjson"}
ME = json.dumps([{"type": "gaid", "value": gaid(1)}])
YOU = json.dumps([{"type": "gaid", "value": gaid(2)}])
ASK = f'"identifiers": {ME}, "recipient": "advertisers", "place": "US-NY", "data": ["ad_id"]'
TWICE = [
    f'{{{ASK}, "signals": {{"gpc": "1"}}, "signals": {{}}}}',
    f'{{{ASK}, "signals": {{"gpc": "1", "gpc": "0"}}}}',
    f'{{{ASK}, "signals": {{"gpc": "1", "g\\u0070c": "0"}}}}',
    f'{{{ASK}, "signals": {{"gpc"\n: "1", "gpc" : "0"}}, "ref": "\\u0022\\u0022"}}',
    f'{{{ASK}, "age": 12, "age": 34}}',
    f'{{"identifiers": {YOU}, {ASK}}}',
]


async def allowed(keyed, number: int) -> bool:
    body = {"identifiers": [{"type": "gaid", "value": gaid(number)}], "recipient": "advertisers", "place": "US-NY"}
    return (await keyed.post("/v1/check", json=body)).json()["allowed"]


async def test_the_same_said_once_is_a_yes(keyed):
    assert (await keyed.post("/v1/check", content=f"{{{ASK}}}", headers=JSON)).json()["allowed"] is True


@pytest.mark.parametrize("body", TWICE)
async def test_a_check_that_says_something_twice_is_refused_and_told_what(keyed, body):
    answer = await keyed.post("/v1/check", content=body, headers=JSON)
    assert answer.status_code == 400
    assert "stands twice" in answer.json()["detail"]
    assert gaid(1) not in answer.text
    line = await keyed.post("/v1/checks", content=body.replace("\n", " "), headers=NDJSON)
    assert json.loads(line.text.splitlines()[0])["allowed"] is False


async def test_a_bid_request_or_a_row_that_says_something_twice_does_not_go(keyed):
    bid = '{"id": "1", "imp": [{"id": "1"}], "regs": {"gpp": "x", "ext": {"gpc": 1}, "ext": {}}}'
    answer = await keyed.post("/v1/openrtb?recipient=advertisers", content=bid, headers=JSON)
    assert answer.status_code == 400
    row = (
        f'{{"id": "r1", "identifiers": {YOU}, "identifiers": {ME}, "place": "US-NY", "data": {{"ad_id": "{gaid(1)}"}}}}'
    )
    answer = await keyed.post("/v1/shares/matching", content=row, headers=NDJSON)
    shared = [json.loads(line) for line in answer.text.splitlines()]
    assert (shared[0]["outcome"], shared[0]["reason"]) == ("refused", "malformed")


async def test_an_opt_out_that_names_its_people_twice_is_of_all_of_them(keyed):
    body = f'{{"identifiers": {ME}, "choice": "opt_out", "identifiers": {YOU}, "source": "api", "source": "sdk"}}'
    answer = await keyed.post("/v1/choices", content=body, headers=JSON)
    assert answer.status_code == 201
    assert len(answer.json()["events"]) == 2
    assert not await allowed(keyed, 1)
    assert not await allowed(keyed, 2)
    line = f'{{"identifiers": [], "choice": "limit", "identifiers": {YOU}}}'
    answer = await keyed.post("/v1/choices", content=line, headers=NDJSON)
    assert json.loads(answer.text.splitlines()[0])["event"]


@pytest.mark.parametrize("two", ['"opt_out", "choice": "opt_in"', '"opt_in", "choice": "opt_out"'])
async def test_a_choice_that_is_two_choices_is_the_opt_out(keyed, two):
    body = f'{{"identifiers": {ME}, "choice": {two}, "purposes": ["sale"]}}'
    answer = await keyed.post("/v1/choices", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["standing"]["sale"]) == (201, "opted_out")


@pytest.mark.parametrize(
    "said",
    [f'"identifiers": {ME}, "identifiers": null, "choice": "opt_out"', f'"choice": "limit", "choice": "opt_in", "identifiers": {ME}',
     f'"choice": "opt_out", "choice": "opt_in", "choice": "opt_in", "identifiers": {ME}'],
    ids=["null beside it", "limit", "three times"],
)  # fmt: skip
async def test_an_opt_out_is_taken_whatever_else_is_said_under_its_names(keyed, said):
    answer = await keyed.post("/v1/choices", content=f"{{{said}}}", headers=JSON)
    assert answer.status_code == 201, answer.text
    assert set(answer.json()["standing"].values()) == {"opted_out"}


async def test_a_signal_beside_which_nothing_is_said_under_its_name_is_heard(keyed):
    body = f'{{"identifiers": {ME}, "place": "US-CA", "signals": {{"gpc": "1"}}, "signals": null}}'
    answer = await keyed.post("/v1/observe", content=body, headers=JSON)
    assert set(answer.json()["standing"].values()) == {"opted_out"}


def steps(body: str) -> tuple[int, object]:
    """How many steps Python took in `wire` to read a body with all that it says, and what it read."""
    taken = 0

    def count(frame, event, _):
        nonlocal taken
        if frame.f_code.co_filename != wire.__file__:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        taken += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        found = wire.parse_body(body.encode(), lenient=True)
    finally:
        sys.settrace(before)
    return taken, found


@pytest.mark.parametrize("value", ["[1]", '{"k%d": 1}', "%d"])
def test_a_name_that_stands_hundreds_of_times_is_read_in_proportion_and_nests_nothing(value):
    def spent(many):
        body = "{" + ", ".join(f'"a": {value % n if "%" in value else value}' for n in range(many)) + "}"
        taken, found = steps(body)
        assert len(found["a"]) == many
        return taken

    assert spent(2_000) < 15 * spent(200)  # ten times as many; by squares a hundred


@pytest.mark.parametrize("value", ["0", "[0]", '{"k": 0}'])
def test_what_lies_at_the_bottom_of_two_chains_of_one_name_is_not_looked_at_once_a_level(value):
    def chains(levels, many):
        items = ", ".join([value] * many)
        body = f"[{items}]"
        beside = "[]"
        for _ in range(levels):
            body, beside = f'{{"z": {body}, "z": {beside}}}', f'{{"z": {beside}}}'
        return steps(body)

    (once, _), (deep, _), (both, found) = chains(1, 1_000), chains(100, 0), chains(100, 1_000)
    for _ in range(100):
        (found,) = found.values()
    assert found == [json.loads(value)] * 1_000
    assert both - deep < 3 * once  # copied at each level it would be a hundred times as much


@pytest.mark.parametrize("depth", [300, 900])
def test_what_is_nested_too_deeply_under_a_name_that_stands_twice_is_told_as_such(depth):
    deep = f'{{"a": {"[" * depth}{"]" * depth}, "a": "1"}}'.encode()
    with pytest.raises(Problem, match="nested too deeply"):
        wire.parse_body(deep, lenient=True)


async def test_a_choice_that_is_two_others_is_none(keyed):
    body = f'{{"identifiers": {ME}, "choice": "opt_in", "choice": "confirm", "purposes": ["sale"]}}'
    answer = await keyed.post("/v1/choices", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/choice")


@pytest.mark.parametrize(
    "signals", ['{"gpc": "1"}, "signals": {}', '{"gpc": "1", "gpc": "0"}', '{"gpc": "0", "gpc": "1"}']
)
async def test_a_signal_that_is_said_twice_is_heard_as_a_no(keyed, signals):
    body = f'{{"identifiers": {ME}, "place": "US-CA", "signals": {signals}}}'
    answer = await keyed.post("/v1/observe", content=body, headers=JSON)
    assert answer.status_code in {200, 201}
    assert set(answer.json()["standing"].values()) == {"opted_out"}


@pytest.mark.parametrize(
    ("query", "status"),
    [("age=34", 200), ("age=34&purpose=sharing&purpose=targeted_ads", 400), ("dry_run=1&dry_run=0", 400)],
)
async def test_parameters_of_a_bid_request_that_stand_twice_are_refused(keyed, query, status):
    bid = {"id": "1", "imp": [{"id": "1"}]}
    assert (await keyed.post(f"/v1/openrtb?recipient=advertisers&{query}", json=bid)).status_code == status


@pytest.mark.parametrize("query", ["age=12&age=34", "age=34&age=12", "age=&age=12"])
async def test_of_two_ages_the_younger_one_holds(keyed, query):
    answer = await keyed.post(f"/v1/openrtb?recipient=advertisers&place=US-NY&{query}", json={"id": "1", "imp": []})
    assert answer.headers["gateway-verdict"] == "block"


@pytest.mark.parametrize("path", ["/v1/check", "/v1/checks", "/v1/explain"])
async def test_a_parameter_that_nobody_reads_is_refused(keyed, path):
    ask = json.loads(f"{{{ASK}}}")
    body = [ask] if path.endswith("s") else ask
    assert (await keyed.post(path, json=body)).status_code == 200
    answer = await keyed.post(f"{path}?age=12", json=body)
    assert answer.status_code == 400
    assert "in the body" in answer.json()["detail"]


async def test_what_is_nested_too_deeply_to_tell_is_refused(keyed):
    for depth in (300, 1000):
        body = f'{{{ASK}, "geo": {"[" * depth}{"]" * depth}}}'
        assert (await keyed.post("/v1/check", content=body, headers=JSON)).status_code == 400


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES, st.booleans())
def test_what_is_said_once_reads_as_orjson_reads_it(value, ascii_only):
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    try:
        expected = orjson.loads(body)
    except orjson.JSONDecodeError:  # half a surrogate pair
        return
    assert wire.parse_body(body) == expected
    assert wire.parse_body(body, lenient=True) == expected


@given(st.dictionaries(st.text(max_size=3), VALUES, min_size=1, max_size=4), st.data(), st.booleans())
def test_a_name_that_stands_twice_anywhere_is_found(members, data, ascii_only):
    name = data.draw(st.sampled_from(sorted(members)))
    inner = json.dumps(members, ensure_ascii=ascii_only)
    again = json.dumps({name: data.draw(VALUES)}, ensure_ascii=data.draw(st.booleans()))
    body = f'{{"outer": [{inner[:-1]}, {again[1:]}]}}'.encode(errors="surrogatepass")
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    with pytest.raises(Problem, match="stands twice in one object"):
        wire.parse_body(body)


async def test_read_by_the_library_alone_the_signal_is_lost(keyed, monkeypatch):
    """The control."""
    monkeypatch.setattr(wire, "_said_once", orjson.loads)
    assert [(await keyed.post("/v1/check", content=body, headers=JSON)).json()["allowed"] for body in TWICE] == [
        True
    ] * 6
