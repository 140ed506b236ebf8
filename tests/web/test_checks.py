"""POST /v1/checks: many questions, an answer to each, and none of them in another's place."""

import json

import pytest
from support.people import gaid

pytestmark = pytest.mark.anyio
BASE = {"recipient": "advertisers", "place": "US-NY", "data": ["ad_id"]}
NDJSON = {"Content-Type": "application/x-ndjson"}


def about(number: int, **more) -> dict:
    return {"identifiers": [{"type": "gaid", "value": gaid(number)}], "ref": f"r{number}", **BASE, **more}


async def opt_out(keyed, number: int) -> None:
    body = {"identifiers": [{"type": "gaid", "value": gaid(number)}], "choice": "opt_out"}
    assert (await keyed.post("/v1/choices", json=body)).status_code == 201


def lines(answer) -> list[dict]:
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_each_person_gets_their_own_answer_in_their_place(keyed):
    await opt_out(keyed, 2)
    answer = await keyed.post("/v1/checks", json=[about(1), about(2), about(3)])
    assert [(each["ref"], each["allowed"]) for each in answer.json()] == [("r1", True), ("r2", False), ("r3", True)]


async def test_what_is_alike_is_said_once(keyed):
    checks = [{"identifiers": [{"type": "gaid", "value": gaid(n)}], "ref": str(n)} for n in (1, 2)]
    body = {"defaults": BASE, "checks": [*checks, {**checks[0], "recipient": "nobody"}]}
    answer = (await keyed.post("/v1/checks", json=body)).json()
    assert [each["allowed"] for each in answer] == [True, True, False]
    assert answer[2]["reason"] == "unknown_recipient"


SILENT = {"signals": {"lmt": 0}, "place": "US-NY", "age": 40, "identifiers": [{"type": "gaid", "value": gaid(1)}]}
NO_POINT = {"data": ["precise_geo"], "place": "US-OR"}


@pytest.mark.parametrize(
    "defaults",
    [
        {"signals": {"gpc": "1"}},
        {"signals": {"us_privacy": "1YYN"}},
        {"signals": {"gpc": 7}},
        {"identifiers": [{"type": "gaid", "value": gaid(2)}]},
        {"age": 9},
        {"age": "13_15"},
        {"place": "DE"},
        {"place": ["DE", "US-NY"]},
        {"geo": {"country": "DEU"}},
    ],
    ids=repr,
)
@pytest.mark.parametrize("turned", [False, True])
async def test_what_a_call_says_of_everybody_counts_beside_what_it_says_of_one(keyed, defaults, turned):
    """Whichever of the two places it was said in, the stricter holds."""
    await opt_out(keyed, 2)
    shared, own = (
        ({**BASE, **defaults}, SILENT) if not turned else ({**BASE, **SILENT}, {"identifiers": [], **defaults})
    )
    [denied] = (await keyed.post("/v1/checks", json={"defaults": shared, "checks": [own]})).json()
    assert denied["allowed"] is False
    [alone] = (await keyed.post("/v1/checks", json=[{**BASE, "identifiers": [], **defaults}])).json()
    assert denied["reason"] == alone["reason"]
    [allowed] = (await keyed.post("/v1/checks", json={"defaults": BASE, "checks": [SILENT]})).json()
    assert allowed["allowed"] is True  # control


async def test_what_is_asked_is_the_checks_own_word(keyed):
    shared = {**BASE, "recipients": ["advertisers"], "data": ["precise_geo"], "ref": "all", "dry_run": True}
    del shared["recipient"]
    own = {**SILENT, "recipient": "advertisers", "data": ["ad_id"], "ref": "own"}
    answer = (await keyed.post("/v1/checks", json={"defaults": shared, "checks": [own, SILENT]})).json()
    assert (answer[0]["ref"], answer[0]["allowed"], answer[0]["data"]) == ("own", True, {"ad_id": "allow"})
    assert (answer[1]["ref"], list(answer[1]["verdicts"])) == ("all", ["advertisers"])


@pytest.mark.parametrize(
    "bad", [{"signals": {"gcp": "1"}}, {"identifers": []}, {"age": "old"}, {"signals": 1}], ids=repr
)
async def test_defaults_that_cannot_be_read_refuse_each_check_in_its_place(keyed, bad):
    answer = (
        await keyed.post("/v1/checks", json={"defaults": {**BASE, **bad}, "checks": [SILENT, {**SILENT, "ref": "r"}]})
    ).json()
    assert [each["reason"] for each in answer] == ["malformed", "malformed"]
    assert answer[1]["ref"] == "r"


async def test_a_check_names_at_most_so_many_with_those_that_all_name(keyed):
    many = [{"type": "gaid", "value": gaid(number)} for number in range(1, 200)]
    asked = {"defaults": {**BASE, "identifiers": many}, "checks": [{"identifiers": many}, {"identifiers": []}]}
    first, _ = (await keyed.post("/v1/checks", json=asked)).json()
    assert first["reason"] == "malformed"


async def test_lines_are_answered_by_lines_and_the_end_is_said(keyed):
    await opt_out(keyed, 2)
    body = "\n".join(json.dumps(about(n)) for n in (1, 2))
    answer = await keyed.post("/v1/checks", content=body, headers=NDJSON)
    one, two, end = lines(answer)
    assert (one["allowed"], two["allowed"]) == (True, False)
    assert end == {"end": True, "count": 2}


@pytest.mark.parametrize(
    "bad", ["{", "null", "[]", '{"ref": "bad"}', '{"ref": "bad", "signls": {}}', '{"ref": 1}', '"x"']
)
async def test_one_that_cannot_be_read_is_a_no_in_its_place(keyed, bad):
    body = f"{json.dumps(about(1))}\n{bad}\n{json.dumps(about(3))}"
    first, refused, third, end = lines(await keyed.post("/v1/checks", content=body, headers=NDJSON))
    assert (first["allowed"], refused["allowed"], third["allowed"]) == (True, False, True)
    assert refused["reason"] == "malformed"
    assert refused["problem"]["type"] in {"malformed", "unknown_member"}
    assert end["count"] == 3


@pytest.mark.slow
async def test_ten_thousand_are_answered_and_not_one_more(keyed):
    line = json.dumps(about(1))
    answer = lines(await keyed.post("/v1/checks", content="\n".join([line] * 10_001), headers=NDJSON))
    assert len(answer) == 10_001
    assert answer[-1]["problem"] == "too_large"
    assert (await keyed.post("/v1/checks", json=[about(1)] * 10_001)).status_code == 413


@pytest.mark.slow
async def test_somebody_who_opts_out_while_a_batch_is_answered_is_denied_from_then_on(keyed, monkeypatch):
    """The batch lets others in: were it one long step, this opt-out would wait for its end."""
    import asyncio

    from gateway.consent.check import Checks

    asked, meet = [], Checks.meet

    def counted(self, ask, identifiers, **how):
        asked.append(ask)
        return meet(self, ask, identifiers, **how)

    monkeypatch.setattr(Checks, "meet", counted)
    batch = asyncio.create_task(keyed.post("/v1/checks", json=[about(7)] * 3000))
    while not asked:
        await asyncio.sleep(0)
    await opt_out(keyed, 7)
    before = len(asked)
    answers = [each["allowed"] for each in (await batch).json()]
    assert before < 3000
    assert not any(answers[before:])
    assert answers[0]


@pytest.mark.parametrize("body", [1, "x", {"checks": 1}, {"checks": [], "default": {}}, {"defaults": [], "checks": []}])
async def test_what_is_no_batch_is_refused(keyed, body):
    assert (await keyed.post("/v1/checks", json=body)).status_code == 400


async def test_only_a_key_that_may_check_is_answered(client):
    assert (await client.post("/v1/checks", json=[])).status_code == 401
