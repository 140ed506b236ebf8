"""POST /v1/explain: every rule that was tried; today, or at another moment."""

from datetime import UTC, datetime, timedelta

import pytest
from anyio import to_thread
from support import inside
from support.people import GAID, email, named, phone

from gateway.choice import identity
from gateway.choice.verdict import ORDER
from gateway.keys import api_keys

pytestmark = pytest.mark.anyio
ME = named("gaid", GAID)
ASK = {"identifiers": [ME], "recipient": "teemo", "place": "US-CA"}
NAMES = [rule.name for rule in ORDER]


class Clock:
    """A clock that is set by hand."""

    def __init__(self, at):
        self.at = at

    def __call__(self):
        return self.at


def ads_key(folder):
    return api_keys.add_api_key(folder, "ads", ("check",), publishable=False)


async def explain(keyed, **members):
    answer = await keyed.post("/v1/explain", json=ASK | members)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def opt_out(keyed, *identifiers):
    body = {"identifiers": list(identifiers), "choice": "opt_out"}
    assert (await keyed.post("/v1/choices", json=body)).status_code == 201


async def test_the_last_rule_of_each_pair_is_the_one_that_decided(keyed):
    told = await explain(keyed)
    check = (await keyed.post("/v1/check", json=ASK)).json()
    assert {name: told[name] for name in ("allowed", "partly", "data", "reason", "rule")} == {
        name: check[name] for name in ("allowed", "partly", "data", "reason", "rule")
    }
    for data_class in ("precise_geo", "ad_id"):
        tried = [step for step in told["tried"] if step["class"] == data_class]
        assert [step["rule"] for step in tried] == NAMES[: len(tried)]
        assert [step["answer"] for step in tried[:-1]] == [None] * (len(tried) - 1)
        assert tried[-1]["answer"] == told["data"][data_class]
        assert all(step["asks"].endswith("?") for step in tried)


async def test_an_opt_out_is_where_the_chain_ends(keyed):
    await opt_out(keyed, ME)
    told = await explain(keyed)
    last = [step for step in told["tried"] if step["answer"]]
    assert {(step["rule"], step["answer"], step["reason"]) for step in last} == {("opted_out", "deny", "opted_out")}
    assert told["because"]["event"], "the development key has scope desk"


async def test_a_recipient_that_nobody_configured_has_no_chain(keyed):
    told = await explain(keyed, recipient="nobody")
    assert (told["reason"], told["allowed"]) == ("unknown_recipient", False)
    assert told["tried"] == []


async def test_an_identifier_of_an_undeclared_kind_is_refused_by_a_rule_like_all_others(keyed):
    told = await explain(keyed, identifiers=[named("id:nope", "1")])
    assert told["reason"] == "undeclared_identifier"
    last = [step for step in told["tried"] if step["answer"]]
    assert {(step["rule"], step["answer"]) for step in last} == {("undeclared", "deny")}


async def test_several_recipients_are_explained_by_name(keyed):
    body = ASK | {"recipients": ["teemo", "payments"]}
    del body["recipient"]
    told = (await keyed.post("/v1/explain", json=body)).json()
    assert set(told["verdicts"]) == {"teemo", "payments"}
    assert told["position"] >= 0


async def test_what_would_have_been_answered_on_another_day_is_rebuilt_from_the_entries(tmp_path):
    clock = Clock(datetime(2026, 9, 30, 12, 0, tzinfo=UTC))
    async with inside.application(tmp_path / "data", clock=clock) as app, inside.client(app, **inside.DEV) as keyed:
        linked = {"account": "jane", "identifiers": [ME, named("email", email(1))]}
        assert (await keyed.post("/v1/links", json=linked)).status_code == 201
        clock.at += timedelta(days=10)
        await opt_out(keyed, named("email", email(1)))
        clock.at += timedelta(days=10)
        before = await explain(keyed, at="2026-10-05")
        after = await explain(keyed, at="2026-10-11T00:00:00Z")
        assert (before["reason"], before["on"]) == ("coarsened", "2026-10-05")
        assert (after["reason"], after["on"]) == ("opted_out", "2026-10-11")
        assert before["position"] < after["position"]
        assert (await explain(keyed))["reason"] == "opted_out"


async def test_what_rested_on_somebody_forgotten_since_is_said_to_be_so(tmp_path):
    clock = Clock(datetime(2026, 9, 30, 12, 0, tzinfo=UTC))
    async with inside.application(tmp_path / "data", clock=clock) as app, inside.client(app, **inside.DEV) as keyed:
        number = named("phone", phone(1))
        linked = {"account": "jane", "identifiers": [ME, number]}
        assert (await keyed.post("/v1/links", json=linked)).status_code == 201
        await opt_out(keyed, number)
        clock.at += timedelta(days=10)
        forgotten = await keyed.post("/v1/erasures", json={"identifiers": [number], "mode": "unlink"})
        assert forgotten.status_code == 200
        lost = await explain(keyed, at="2026-10-05")
        assert [lost[name] for name in ("allowed", "partly", "forgotten")] == [None, None, True]
        assert "forgotten" not in await explain(keyed, at="2026-10-10T12:00:00Z")


async def test_a_no_of_their_own_is_a_no_whatever_they_had_from_somebody_forgotten_since(tmp_path):
    clock = Clock(datetime(2026, 9, 30, 12, 0, tzinfo=UTC))
    async with inside.application(tmp_path / "data", clock=clock) as app, inside.client(app, **inside.DEV) as keyed:
        await opt_out(keyed, ME)
        linked = {"account": "jane", "identifiers": [ME]}
        assert (await keyed.post("/v1/links", json=linked)).status_code == 201
        await opt_out(keyed, {"type": "account", "value": "jane"})
        clock.at += timedelta(days=10)
        jane = {"type": "account", "value": "jane"}
        assert (await keyed.post("/v1/erasures", json={"identifiers": [jane], "mode": "unlink"})).status_code == 200
        then = await explain(keyed, at="2026-10-05")
        assert (then["allowed"], then["reason"], "forgotten" in then) == (False, "opted_out", False)


async def test_the_law_of_the_day_holds_for_that_day(keyed):
    by_day = {
        on: (await explain(keyed, place="US-CT", data=["precise_geo"], at=on)) for on in ("2026-09-30", "2026-10-01")
    }
    assert [told["reason"] for told in by_day.values()] == ["coarsened", "banned"]
    assert "26-64" in by_day["2026-10-01"]["rule"]


async def test_history_is_for_those_who_may_see_entries(tmp_path):
    folder = tmp_path / "data"
    async with inside.application(folder, dev=True) as app:
        key = await to_thread.run_sync(ads_key, folder)
        async with inside.client(app, Authorization=f"Bearer {key}") as calling:
            assert (await calling.post("/v1/explain", json=ASK)).status_code == 200
            refused = await calling.post("/v1/explain", json=ASK | {"at": "2026-01-01"})
            assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (403, "/at")


async def test_ad_code_learns_the_rule_and_not_the_entry(tmp_path):
    folder = tmp_path / "data"
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as keyed:
        key = await to_thread.run_sync(ads_key, folder)
        await opt_out(keyed, ME)
        async with inside.client(app, Authorization=f"Bearer {key}") as calling:
            told = (await calling.post("/v1/explain", json=ASK)).json()
    assert told["because"] == {"source": "choice", "event": None, "seq": None}
    assert "seq" not in str(told["tried"])


@pytest.mark.parametrize("at", ["2999-01-01", "yesterday", ""])
async def test_a_moment_that_is_none_or_to_come_is_refused(keyed, at):
    refused = await keyed.post("/v1/explain", json=ASK | {"at": at})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, "/at")


async def test_a_moment_is_of_its_utc_day_wherever_it_was_said(keyed):
    told = await explain(keyed, place="US-CT", data=["precise_geo"], at="2026-09-30T22:00:00-05:00")
    assert (told["on"], told["reason"]) == ("2026-10-01", "banned")


async def test_an_opt_out_by_a_form_that_a_recipient_makes_is_found_at_another_moment_too(tmp_path):
    clock = Clock(datetime(2026, 10, 1, tzinfo=UTC))
    address = "Jane.Doe+x@gmail.com"
    kind, value = identity.read_identifier("email", address).looser[0]
    async with inside.application(tmp_path / "data", clock=clock) as app, inside.client(app, **inside.DEV) as keyed:
        await opt_out(keyed, named(kind, value))
        clock.at += timedelta(days=10)
        jane = {"identifiers": [named("email", address)], "recipient": "matching"}
        for more in ({}, {"at": "2026-10-05"}):
            assert (await explain(keyed, **jane, **more))["reason"] == "opted_out", more


@pytest.mark.parametrize("edge", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
@pytest.mark.parametrize("member", ["collected", "at"])
async def test_a_moment_at_the_edge_of_the_calendar_is_refused_and_named(keyed, member, edge):
    refused = await keyed.post("/v1/explain", json=ASK | {member: edge})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, f"/{member}")
