"""POST /v1/notices: who was shown or sent a notice, and what may go since."""

import json
from datetime import timedelta

import pytest
from support import inside
from support.days import today
from support.people import GAID, email, named

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("noon")]
ME = named("gaid", GAID)
NEWCOMER = """
[notice]
wait_days = 0

[recipients.newcomer]
role = "third_party"
purposes = ["sale"]
data = ["ad_id"]
announced = 2026-11-01

[recipients.mailing]
role = "service_provider"
purposes = ["cpni_marketing"]
data = ["cpni", "contact"]
"""


@pytest.fixture
async def keyed(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(NEWCOMER)
    async with (
        inside.application(tmp_path / "data", inside.settings(file)) as app,
        inside.client(app, **inside.DEV) as calling,
    ):
        yield calling


async def reason(keyed, recipient, *identifiers, **members):
    body = {"identifiers": list(identifiers), "recipient": recipient, "place": "US-CA", **members}
    return (await keyed.post("/v1/check", json=body)).json()["reason"]


async def report(keyed, *identifiers, status=201, **members):
    body = {"identifiers": list(identifiers), "notice": "privacy", "outcome": "sent", **members}
    answer = await keyed.post("/v1/notices", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_nothing_goes_to_a_newcomer_until_the_person_was_told(keyed):
    assert await reason(keyed, "newcomer", ME) == "not_notified"
    assert await report(keyed, ME) == {"recorded": 1, "ignored": []}
    assert await reason(keyed, "newcomer", ME) == "no_choice"
    assert await reason(keyed, "newcomer", named("email", email(2))) == "not_notified", "nobody told this one"


async def test_a_notice_that_came_back_tells_nobody(keyed):
    await report(keyed, ME, outcome="bounced")
    assert await reason(keyed, "newcomer", ME) == "not_notified"


async def test_a_notice_of_before_the_announcement_did_not_name_the_newcomer(keyed):
    await report(keyed, ME, on="2026-10-31")
    assert await reason(keyed, "newcomer", ME) == "not_notified"
    await report(keyed, ME, on="2026-11-01")
    assert await reason(keyed, "newcomer", ME) == "no_choice"


async def test_telling_an_account_tells_all_that_it_has_then_and_nothing_that_it_gets_later(keyed):
    first, later = ME, named("email", email(1))
    await keyed.post("/v1/links", json={"account": "jane", "identifiers": [first]})
    await report(keyed, named("account", "jane"))
    await keyed.post("/v1/links", json={"account": "jane", "identifiers": [later]})
    assert await reason(keyed, "newcomer", first) == "no_choice"
    assert await reason(keyed, "newcomer", later) == "not_notified"


@pytest.mark.parametrize(
    ("days", "expected"),
    [(0, "notice_not_ripe"), (30, "notice_not_ripe"), (31, "approved_by_silence"), (800, "notice_not_ripe")],
)
async def test_silence_approves_thirty_days_after_a_cpni_notice_and_for_two_years(keyed, days, expected):
    assert await reason(keyed, "mailing", ME, data=["cpni"]) == "opt_in_required"
    await report(keyed, ME, notice="cpni", on=(today() - timedelta(days=days)).isoformat())
    assert await reason(keyed, "mailing", ME, data=["cpni"]) == expected


async def test_an_objection_ends_what_silence_approved(keyed):
    await report(keyed, ME, notice="cpni", on=(today() - timedelta(days=60)).isoformat())
    out = {"identifiers": [ME], "choice": "opt_out", "purposes": ["cpni_marketing"]}
    assert (await keyed.post("/v1/choices", json=out)).status_code == 201
    assert await reason(keyed, "mailing", ME, data=["cpni"]) == "opted_out"


async def test_a_bad_line_costs_only_itself(keyed):
    good = {"identifiers": [ME], "notice": "privacy", "outcome": "shown"}
    rows = [good, {**good, "notice": "postcard"}, good]
    content = "\n".join(map(json.dumps, rows))
    answer = await keyed.post("/v1/notices", content=content, headers={"Content-Type": "application/x-ndjson"})
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert [line.get("recorded") for line in told] == [1, 0, 1, None]
    assert told[-1] == {"end": True, "count": 3, "refused": 1}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"notice": 7}, "/notice"),
        ({"outcome": "read"}, "/outcome"),
        ({"on": "2999-01-01"}, "/on"),
        ({"on": "soon"}, "/on"),
        ({"on": "9999-12-31T23:59:59-23:59"}, "/on"),
        ({"identifiers": []}, "/identifiers"),
        ({"who": "jane"}, "/who"),
    ],
)
async def test_a_report_that_cannot_be_read_is_refused_where_it_is_wrong(keyed, change, pointer):
    body = {"identifiers": [ME], "notice": "privacy", "outcome": "sent"} | change
    answer = await keyed.post("/v1/notices", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)
