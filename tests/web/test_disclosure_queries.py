"""Who got what; and the one question whose answer is nothing."""

import asyncio
import contextlib
import json
import sqlite3
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from support import inside
from support.days import today
from support.people import gaid, named

from gateway.app import composition
from gateway.cli.root import group
from gateway.keys import api_keys

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("noon")]
PATH = "/v1/disclosures/query"


async def ask(client, question: str, **more) -> list[dict]:
    answer = await client.post(PATH, json={"question": question, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["disclosures"]


async def link(client, person: int) -> None:
    body = {"account": f"a{person}", "identifiers": [named("gaid", gaid(person))]}
    assert (await client.post("/v1/links", json=body)).status_code == 201


async def share(client, person: int, row_id: str, recipient: str = "teemo", **data) -> str:
    data = data or {"lat": 40.7128, "lon": -74.006, "ad_id": gaid(person)}
    row = {"id": row_id, "identifiers": [named("gaid", gaid(person))], "data": data, "place": "US-NY"}
    answer = await client.post(f"/v1/shares/{recipient}", json=row)
    return json.loads(answer.text.splitlines()[0])["outcome"]


async def choose(client, person: int, choice: str = "opt_out", **more) -> None:
    body = {"identifiers": [named("account", f"a{person}")], "choice": choice, **more}
    assert (await client.post("/v1/choices", json=body)).status_code == 201


def plant(folder, **columns) -> None:
    """A row as if it had been sent now, of somebody's who had one before."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db, db:
        names = [row[1] for row in db.execute("PRAGMA table_info(disclosure)")]
        row = dict(zip(names, db.execute("SELECT * FROM disclosure ORDER BY batch").fetchone(), strict=True))
        (size,) = db.execute("SELECT size FROM head").fetchone()
        at = int(datetime.now(UTC).timestamp() * 1000)
        row |= {"row": b"planted".ljust(16), "batch": size, "position": size, "at": at, "outcome": "sent"} | columns
        db.execute(f"INSERT INTO disclosure VALUES ({','.join('?' * len(names))})", [row[name] for name in names])


def verified(folder) -> list[str]:
    report, _ = composition.verify_ledger(folder, inside.settings(), boxes=False)
    return [text for text in report.different if "opt-out" in text]


@pytest.fixture
async def shared(keyed):
    """Somebody of whom a row went to teemo."""
    await link(keyed, 1)
    assert await share(keyed, 1, "r1") == "returned"
    return keyed


class TestSentAfterAnOptOut:
    async def test_is_nothing_whatever_people_choose_and_whenever_rows_go(self, shared, tmp_path):
        await choose(shared, 1)
        assert await share(shared, 1, "r2") == "refused"
        assert await ask(shared, "sent_after_opt_out") == []
        assert await asyncio.to_thread(verified, tmp_path / "data") == []

    @pytest.mark.parametrize("outcome", ["sent", "unknown", "possible"])
    async def test_a_planted_row_is_found_by_the_question_and_by_verify(self, shared, tmp_path, outcome):
        await choose(shared, 1)
        plant(tmp_path / "data", outcome=outcome)
        (found,) = await ask(shared, "sent_after_opt_out")
        assert (found["recipient"], found["purposes"], found["outcome"]) == ("teemo", ["sale"], "sent")
        (told,) = await asyncio.to_thread(verified, tmp_path / "data")
        assert told == f"entry {found['entry']}: a row went to teemo after an opt-out of sale"
        assert gaid(1) not in told

    @pytest.mark.parametrize(
        "planted",
        [
            {"outcome": "not_sent"},
            {"outcome": "intended"},
            {"batch": 2, "position": 2},  # before the opt-out
            {"purpose": "service"},  # which nobody can opt out of
        ],
    )
    async def test_what_did_not_leave_or_left_before_or_may_leave_is_not_it(self, shared, tmp_path, planted):
        await choose(shared, 1)
        plant(tmp_path / "data", **planted)
        assert await ask(shared, "sent_after_opt_out") == []

    async def test_a_row_that_named_somebody_else_first_is_found_by_whom_it_took_along_and_once(self, keyed, tmp_path):
        await link(keyed, 1)
        body = {
            "identifiers": [named("account", "b1"), named("gaid", gaid(1)), named("gaid", gaid(2))],
            "recipient": "advertisers", "data": ["ad_id"], "place": "US-NY", "will_send": True,
        }  # fmt: skip
        assert (await keyed.post("/v1/check", json=body)).json()["allowed"]
        await choose(keyed, 1)
        assert await ask(keyed, "sent_after_opt_out") == []
        plant(tmp_path / "data")
        (found,) = await ask(keyed, "sent_after_opt_out")
        assert found["recipient"] == "advertisers"
        assert len(await asyncio.to_thread(verified, tmp_path / "data")) == 1
        body = {"identifiers": [named("gaid", gaid(2)), named("account", "b1")], "choice": "opt_out"}
        assert (await keyed.post("/v1/choices", json=body)).status_code == 201
        plant(tmp_path / "data", row=b"of three".ljust(16))
        assert len(await ask(keyed, "sent_after_opt_out")) == 2

    async def test_a_row_that_did_not_take_somebody_along_is_not_found_by_what_they_have_in_common(
        self, keyed, tmp_path
    ):
        """The tablet left with a row of each; the one who opted out is in no later one."""
        ask_of = {"recipient": "advertisers", "data": ["ad_id"], "place": "US-NY", "will_send": True}
        for account in ("b1", "b2"):
            body = ask_of | {"identifiers": [named("account", account), named("gaid", gaid(1))]}
            assert (await keyed.post("/v1/check", json=body)).json()["allowed"]
        body = {"identifiers": [named("account", "b2")], "choice": "opt_out"}
        assert (await keyed.post("/v1/choices", json=body)).status_code == 201
        plant(tmp_path / "data")
        assert await ask(keyed, "sent_after_opt_out") == []

    async def test_whoever_came_back_before_may_be_sent_again_and_whoever_came_back_after_it_was_wronged(
        self, shared, tmp_path
    ):
        await choose(shared, 1)
        plant(tmp_path / "data")
        await come_back(shared, "account", "a1")
        await come_back(shared, "gaid", gaid(1))
        assert len(await ask(shared, "sent_after_opt_out")) == 1
        plant(tmp_path / "data", row=b"later".ljust(16))
        assert len(await ask(shared, "sent_after_opt_out")) == 1

    async def test_whoever_opted_out_once_more_was_wronged_before_that(self, shared, tmp_path):
        await choose(shared, 1)
        plant(tmp_path / "data")
        await choose(shared, 1)
        assert len(await ask(shared, "sent_after_opt_out")) == 1

    async def test_an_opt_out_that_a_link_brought_later_makes_no_earlier_row_wrong(self, shared, tmp_path):
        await choose(shared, 2)
        plant(tmp_path / "data")
        body = {"account": "a2", "identifiers": [named("gaid", gaid(1))]}
        assert (await shared.post("/v1/links", json=body)).status_code == 201
        assert await ask(shared, "sent_after_opt_out") == []
        plant(tmp_path / "data", row=b"later".ljust(16))
        assert len(await ask(shared, "sent_after_opt_out")) == 1


async def come_back(client, kind: str, value: str) -> None:
    shown = {item["kind"]: item["sha256"] for item in (await client.get("/v1/self")).json()["notices"]}
    proof = {"kind": "account", "assertion": "dev"}
    body = {
        "identifiers": [named(kind, value)],
        "choice": "opt_in",
        "purposes": ["sale"],
        "proof": proof,
        "notice": {"sha256": shown["opt-in"]},
    }
    asked = (await client.post("/v1/choices", json=body)).json()
    body = {"choice": "confirm", "confirm": asked["confirm"], "proof": proof, "notice": {"sha256": shown["confirm"]}}
    assert (await client.post("/v1/choices", json=body)).status_code == 201


async def test_a_person_learns_who_received_their_location(shared):
    await share(shared, 1, "r3", "matching", ad_id=gaid(1))
    about = {"identifiers": [named("gaid", gaid(1))], "proof": {"kind": "account", "assertion": "dev"}}
    everybody = await ask(shared, "received", **about)
    assert {each["recipient"] for each in everybody} == {"teemo", "matching"}
    (one,) = await ask(shared, "received", **about, data=["precise_geo", "coarse_geo"])
    assert (one["recipient"], one["data"], one["count"], one["outcome"]) == (
        "teemo",
        ["ad_id", "coarse_geo"],
        1,
        "possible",
    )
    about["identifiers"] = [named("gaid", gaid(2))]
    assert await ask(shared, "received", **about) == []


async def test_a_years_direct_marketing_is_told_by_recipient_and_of_those_outside_alone(shared, tmp_path):
    await share(shared, 1, "r3", "matching", ad_id=gaid(1))
    plant(tmp_path / "data", recipient="payments", purpose="service")
    plant(tmp_path / "data", recipient="gone", purpose="sharing", classes="ad_id,email_hash")
    found = await ask(shared, "direct_marketing", year=today().year)
    assert {(each.pop("company"), each.pop("address")) for each in found} == {(None, None)}
    assert found == [
        {"recipient": "gone", "data": ["ad_id", "email_hash"], "purposes": ["sharing"], "count": 1},
        {"recipient": "matching", "data": ["ad_id"], "purposes": ["sharing", "targeted_ads"], "count": 1},
        {"recipient": "teemo", "data": ["ad_id", "coarse_geo"], "purposes": ["sale"], "count": 1},
    ]
    assert await ask(shared, "direct_marketing") == []  # last year


async def test_who_asks_reads_whose_legal_name_it_is_and_where_letters_go(tmp_path):
    named_so = {"recipients__teemo__company": "Example Places, Inc.", "recipients__teemo__address": "1 Example Way"}
    house = inside.application(tmp_path / "data", inside.settings(**named_so))
    async with house as served, inside.client(served, **inside.DEV) as client:
        await link(client, 1)
        await share(client, 1, "r1")
        (year,) = await ask(client, "direct_marketing", year=today().year)
        access = await client.post("/v1/access", json={"identifiers": [named("gaid", gaid(1))]})
    assert (year["company"], year["address"]) == ("Example Places, Inc.", "1 Example Way")
    assert [each["company"] for each in access.json()["disclosures"]] == ["Example Places, Inc."]


async def test_every_use_of_network_information_is_logged(shared, tmp_path):
    plant(tmp_path / "data", recipient="agency", purpose="cpni_marketing", classes="cpni")
    old = int(datetime(2020, 5, 1, tzinfo=UTC).timestamp() * 1000)
    plant(tmp_path / "data", row=b"old".ljust(16), purpose="call_location", classes="coarse_geo", at=old)
    (found,) = await ask(shared, "network_information")
    assert (found["recipient"], found["purposes"], found["data"], found["count"]) == (
        "agency",
        ["cpni_marketing"],
        ["cpni"],
        1,
    )
    both = await ask(shared, "network_information", **{"from": "2020-01-01"})
    assert both[0]["day"] == "2020-05-01"
    assert len(both) == 2
    assert await ask(shared, "network_information", until="2019-01-01") == []


async def test_sums_want_scope_export_and_a_persons_data_a_proof(tmp_path):
    async with inside.application(tmp_path / "data", dev=False) as served, inside.client(served) as client:
        keys = {
            name: await asyncio.to_thread(api_keys.add_api_key, tmp_path / "data", name, [name], publishable=False)
            for name in ("export", "share", "desk")
        }
        statuses = {
            (name, question): (
                await client.post(
                    PATH,
                    json={"question": question, "identifiers": [named("gaid", gaid(1))]},
                    headers={"Authorization": f"Bearer {key}"},
                )
            ).status_code
            for name, key in keys.items()
            for question in ("received", "sent_after_opt_out")
        }
        assert (await client.post(PATH, json={"question": "received"})).status_code == 401
    assert statuses == {
        ("export", "received"): 403,
        ("export", "sent_after_opt_out"): 200,
        ("share", "received"): 403,
        ("share", "sent_after_opt_out"): 403,
        ("desk", "received"): 200,
        ("desk", "sent_after_opt_out"): 403,
    }


@pytest.mark.parametrize(
    "body",
    [
        {}, {"question": "who"}, {"question": "received"}, {"question": "direct_marketing", "year": "2025"},
        {"question": "direct_marketing", "year": 99999}, {"question": "direct_marketing", "year": True},
        {"question": "network_information", "from": "yesterday"}, {"question": "received", "data": "precise_geo"},
        {"question": "received", "data": ["place"], "identifiers": [named("gaid", gaid(1))]},
        {"question": "sent_after_opt_out", "more": 1}, [], "received",
        {"question": "network_information", "until": "0001-01-01"}, {"question": "network_information", "until": "9999-12-31"},
    ],
)  # fmt: skip
async def test_a_question_that_cannot_be_read_is_a_problem_and_never_a_fault(keyed, body):
    answer = await keyed.post(PATH, json=body)
    assert answer.status_code in ({200} if isinstance(body, dict) and "until" in body else {400, 403, 422})


def test_the_operator_asks_on_the_command_line(tmp_path):
    folder = inside.install(tmp_path / "data")

    async def happened():
        async with inside.application(folder) as served, inside.client(served, **inside.DEV) as client:
            await link(client, 1)
            await share(client, 1, "r1")
            await choose(client, 1)

    def run(*arguments):
        done = CliRunner().invoke(group, ["disclosures", *arguments, "--data", str(folder)])
        return done.exit_code, done.output.strip()

    asyncio.run(happened())
    assert run("sent_after_opt_out") == (0, "none")
    assert "recipient teemo" in run("received", "--gaid", gaid(1), "--class", "coarse_geo")[1]
    assert run("received", "--gaid", gaid(2)) == (0, "none")
    assert json.loads(run("direct_marketing", "--year", str(today().year), "--json")[1])[0]["recipient"] == "teemo"
    assert run("network_information") == (0, "none")
    plant(folder)
    code, told = run("sent_after_opt_out")
    assert code == 1
    assert "recipient teemo" in told
