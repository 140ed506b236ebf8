"""A night's links, letters and reports in one call: answered line by line, written many at a time, in their order."""

import json

import pytest
from support.people import email, gaid, named, phone

from gateway.ledger.writer import Writer
from gateway.web.shell import desk_call

pytestmark = pytest.mark.anyio
NDJSON = {"Content-Type": "application/x-ndjson"}
PHONE = named("phone", phone(1))


async def call(keyed, path: str, rows: list) -> list[dict]:
    content = "\n".join(json.dumps(row) for row in rows)
    return [json.loads(line) for line in (await keyed.post(path, content=content, headers=NDJSON)).text.splitlines()]


async def reason(keyed, identifier) -> str:
    body = {"identifiers": [identifier], "recipient": "advertisers", "place": "US-NY"}
    return (await keyed.post("/v1/check", json=body)).json()["reason"]


@pytest.fixture
def transactions(monkeypatch):
    """How many jobs each of the writer's transactions had."""
    seen, commit = [], Writer._commit
    monkeypatch.setattr(Writer, "_commit", lambda self, batch: seen.append(len(batch)) or commit(self, batch))
    return seen


def night(path: str) -> list[dict]:
    people = [[named("gaid", gaid(number))] for number in range(1, 201)]
    if path == "/v1/links":
        return [{"account": f"a{number}", "identifiers": each} for number, each in enumerate(people)]
    if path == "/v1/notices":
        return [{"identifiers": each, "notice": "privacy", "outcome": "sent"} for each in people]
    return [{"identifiers": each, "choice": "opt_out", "manner": "letter"} for each in people]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/v1/links", "/v1/choices", "/v1/notices"])
@pytest.mark.parametrize("together", [100, pytest.param(1, id="control")])
async def test_two_hundred_lines_wait_for_the_disk_a_few_times(keyed, transactions, monkeypatch, path, together):
    monkeypatch.setattr(desk_call, "TOGETHER", together)
    rows = night(path)
    rows[7] = {"nobody": "can use this"}
    answers = await call(keyed, path, rows)
    assert answers[-1] == {"end": True, "count": 200, "refused": 1}
    assert ["problem" in answer for answer in answers[:-1]] == [number == 7 for number in range(200)]
    if path == "/v1/choices":
        seqs = [answer["seq"] for answer in answers[:-1] if "seq" in answer]
        assert len(set(seqs)) == 199
        assert await reason(keyed, named("gaid", gaid(200))) == "opted_out"
    assert sum(transactions) >= 199
    assert (len(transactions) < 50) == (together > 1)


async def test_a_number_that_is_released_and_given_on_in_one_call_goes_to_its_new_holder_alone(keyed):
    await call(keyed, "/v1/links", [{"account": "old", "identifiers": [PHONE, named("email", email(1))]}])
    rows = [
        {"identifiers": [PHONE], "event": "number_released"},
        {"account": "new", "identifiers": [PHONE, named("email", email(2))]},
    ]
    assert [answer.get("linked") for answer in await call(keyed, "/v1/links", rows)] == [0, 2, None]
    answer = await keyed.post("/v1/choices", json={"identifiers": [PHONE], "choice": "opt_out"})
    assert answer.status_code == 201
    assert await reason(keyed, named("account", "new")) == "opted_out"
    assert await reason(keyed, named("email", email(2))) == "opted_out"
    assert await reason(keyed, named("account", "old")) == "no_choice"
    assert await reason(keyed, named("email", email(1))) == "no_choice"


async def test_and_the_other_way_round_it_is_nobodys(keyed):
    rows = [
        {"account": "new", "identifiers": [PHONE]},
        {"identifiers": [PHONE], "event": "number_released"},
    ]
    await call(keyed, "/v1/links", rows)
    await keyed.post("/v1/choices", json={"identifiers": [PHONE], "choice": "opt_out"})
    assert await reason(keyed, named("account", "new")) == "no_choice"


async def test_of_two_ages_in_one_call_the_later_line_is_the_last_word(keyed):
    rows = [{"account": "a1", "identifiers": [PHONE], "age": age} for age in (30, 12, 30, 12)]
    await call(keyed, "/v1/links", rows)
    assert await reason(keyed, PHONE) == "age"
