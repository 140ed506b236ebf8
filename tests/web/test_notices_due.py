"""Who must be told before their data may go to somebody new, and what goes meanwhile: nothing (R15)."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest
from support import inside
from support.people import GAID, email, named

from gateway.choice.rules import never
from gateway.keys.api_keys import add_api_key

pytestmark = pytest.mark.anyio
TODAY = datetime(2026, 12, 10, 12, tzinfo=UTC)
NEWCOMER = """
[recipients.newcomer]
role = "third_party"
purposes = ["sale"]
data = ["ad_id"]
announced = 2026-12-01

[recipients.teemo]
announced_later = { precise_geo = 2026-12-05 }
"""
OWED = [
    {"recipient": "newcomer", "what": None, "on": "2026-12-01"},
    {"recipient": "teemo", "what": "precise_geo", "on": "2026-12-05"},
]


class Sender:
    """The operator's sender, on a day that the test moves."""

    def __init__(self, client, at):
        self.client, self.at = client, at

    async def pulls(self, **parameters):
        answer = await self.client.get("/v1/notices/due", params=parameters)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.json()

    async def everybody(self, limit):
        found, after = [], {}
        while True:
            page = await self.pulls(limit=limit, **after)
            assert len(page["due"]) <= limit
            found += page["due"]
            if page["next"] is None:
                return found
            after = {"after": page["next"]}

    async def reports(self, account, outcome="sent"):
        body = {
            "identifiers": [named("account", account)],
            "notice": "privacy",
            "outcome": outcome,
            "on": self.at[0].date().isoformat(),
        }
        assert (await self.client.post("/v1/notices", json=body)).status_code == 201

    async def links(self, account, *identifiers):
        body = {"account": account, "identifiers": list(identifiers)}
        assert (await self.client.post("/v1/links", json=body)).status_code == 201

    async def reason(self, *identifiers, recipient="newcomer"):
        body = {"identifiers": list(identifiers), "recipient": recipient, "place": "US-CA"}
        return (await self.client.post("/v1/check", json=body)).json()["reason"]


@pytest.fixture
async def sender(tmp_path):
    file, at = tmp_path / "config.toml", [TODAY]
    file.write_text(NEWCOMER)
    async with (
        inside.application(tmp_path / "data", inside.settings(file), clock=lambda: at[0]) as app,
        inside.client(app, **inside.DEV) as client,
    ):
        yield Sender(client, at)


async def test_a_new_recipient_and_a_new_data_class_list_who_must_be_told_of_them(sender):
    await sender.links("jane", named("gaid", GAID))
    assert await sender.pulls() == {
        "due": [{"account": "jane", "told": None, "bounced": None, "owed": OWED}],
        "next": None,
    }


async def test_until_it_was_sent_and_the_wait_is_over_nothing_goes(sender):
    await sender.links("jane", named("gaid", GAID))
    assert await sender.reason(named("gaid", GAID)) == "not_notified"
    await sender.reports("jane")
    assert (await sender.pulls())["due"] == [], "who was told is on no page"
    for _ in range(3):
        assert await sender.reason(named("gaid", GAID)) == "not_notified"
        sender.at[0] += timedelta(days=1)
    assert await sender.reason(named("gaid", GAID)) == "no_choice"


async def test_what_came_back_told_nobody_and_is_listed_with_its_day(sender):
    await sender.links("jane", named("gaid", GAID))
    await sender.reports("jane", "bounced")
    [due] = (await sender.pulls())["due"]
    assert due["bounced"] == "2026-12-10"
    sender.at[0] += timedelta(days=30)
    assert await sender.reason(named("gaid", GAID)) == "not_notified"


@pytest.mark.parametrize("later", [0, 1])
async def test_a_notice_that_comes_back_after_it_was_reported_as_sent_is_sent_again_before_anything_goes(sender, later):
    """Reported by its own day, or by the one on which it came back."""
    await sender.links("jane", named("gaid", GAID))
    await sender.reports("jane")
    sender.at[0] += timedelta(days=later)
    await sender.reports("jane", "bounced")
    [due] = (await sender.pulls())["due"]
    assert (due["told"], due["bounced"]) == (None, sender.at[0].date().isoformat())
    sender.at[0] += timedelta(days=30)
    assert await sender.reason(named("gaid", GAID)) == "not_notified", "however long it is"
    await sender.reports("jane")
    assert (await sender.pulls())["due"] == []
    sender.at[0] += timedelta(days=3)
    assert await sender.reason(named("gaid", GAID)) == "no_choice"


async def test_somebody_who_was_told_before_is_owed_what_came_later_alone(sender):
    await sender.links("jane", named("gaid", GAID))
    sender.at[0] = datetime(2026, 12, 2, 12, tzinfo=UTC)
    await sender.reports("jane")
    assert (await sender.pulls())["due"] == [], "the fifth is not yet"
    sender.at[0] = TODAY
    [due] = (await sender.pulls())["due"]
    assert (due["told"], due["owed"]) == ("2026-12-02", OWED[1:])


async def test_page_by_page_everybody_is_listed_once_while_some_are_told(sender):
    names = {f"a{number}" for number in range(23)}
    for name in names:
        await sender.links(name, named("email", email(int(name[1:]))))
    assert {item["account"] for item in await sender.everybody(4)} == names
    first = await sender.pulls(limit=10)
    for item in first["due"]:
        await sender.reports(item["account"])
    rest = await sender.pulls(limit=100, after=first["next"])
    told = {item["account"] for item in first["due"]}
    assert {item["account"] for item in rest["due"]} == names - told
    assert {item["account"] for item in await sender.everybody(5)} == names - told


async def test_somebody_who_was_forgotten_is_on_no_list(sender):
    await sender.links("jane", named("gaid", GAID))
    body = {"identifiers": [named("account", "jane")], "mode": "erase_details"}
    assert (await sender.client.post("/v1/erasures", json=body)).status_code == 200
    assert (await sender.pulls())["due"] == []


async def test_each_report_is_an_entry(sender):
    await sender.links("jane", named("gaid", GAID))
    before = (await sender.client.get("/readyz")).json()["ledger"]["entries"]
    await sender.reports("jane", "bounced")
    await sender.reports("jane")
    assert (await sender.client.get("/readyz")).json()["ledger"]["entries"] == before + 2


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("limit=0", "/limit"), ("limit=1001", "/limit"), ("limit=ten", "/limit"),
     ("limit=0000000019999", "/limit"), ("after=jane", "/after"), ("after=AAAA", "/after"), ("page=2", "/page")],
)  # fmt: skip
async def test_a_page_that_nobody_gave_is_refused(sender, query, pointer):
    answer = await sender.client.get(f"/v1/notices/due?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)


@pytest.fixture
def scoped(folder):
    """A key of each scope."""
    return {
        scope: add_api_key(folder, scope, [scope], publishable=False) for scope in ("desk", "export", "check", "share")
    }


async def test_only_a_key_of_the_desk_or_of_exports_sees_names(folder, scoped):
    async with inside.application(folder, dev=False) as app:
        for scope, expected in (("desk", 200), ("export", 200), ("check", 403), ("share", 403)):
            async with inside.client(app, Authorization=f"Bearer {scoped[scope]}") as client:
                assert (await client.get("/v1/notices/due")).status_code == expected, scope
        async with inside.client(app) as client:
            assert (await client.get("/v1/notices/due")).status_code == 401


async def test_no_file_holds_an_accounts_name(sender, tmp_path):
    await sender.links("jane.the.account", named("gaid", GAID))
    assert (await sender.pulls())["due"][0]["account"] == "jane.the.account"

    def holding():
        files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
        return [path.name for path in files if b"jane.the.account" in path.read_bytes()]

    assert await anyio.to_thread.run_sync(holding) == []


async def test_the_control_without_the_rule_a_newcomer_gets_it_at_once(sender, monkeypatch):
    monkeypatch.setattr(never, "_may_come_back", lambda *_: False)
    await sender.links("jane", named("gaid", GAID))
    await sender.reports("jane")
    assert await sender.reason(named("gaid", GAID)) == "no_choice", "without the wait"
