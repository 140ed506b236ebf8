import asyncio
import json
from fnmatch import fnmatchcase

import pytest
from support import inside
from support.people import GAID, named

from gateway import __version__
from gateway.keys import api_keys
from gateway.keys.epochs import ASIDE
from gateway.signals.cmp_cookies import NAMES
from gateway.terms import Reason

pytestmark = pytest.mark.anyio


async def test_anybody_may_ask_whether_the_gateway_is_up_and_whether_it_keeps_opt_outs(client):
    assert (await client.get("/livez")).json() == {"status": "up"}
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["status"], ready.json()["ledger"]["fresh"]) == (200, "ready", True)
    assert ready.headers["cache-control"] == "no-store"


async def test_readyz_counts_a_person_s_choice(client):
    before = (await client.get("/readyz")).json()["ledger"]["entries"]
    await client.post("/privacy-choices", data={"action": "opt_out"})
    assert (await client.get("/readyz")).json()["ledger"]["entries"] == before + 1


async def test_an_alarm_rings_while_opt_outs_could_not_be_kept(client, tmp_path):
    ledger = tmp_path / "data" / "ledger.sqlite3"
    ledger.rename(ledger.with_suffix(".away"))
    await client.post("/privacy-choices", data={"action": "opt_out"})  # the writer finds out at once
    ready, live = await client.get("/readyz"), await client.get("/livez")
    numbers = (await client.get("/metrics")).text
    ledger.with_suffix(".away").rename(ledger)
    assert (ready.status_code, ready.json()["status"]) == (503, "store_unavailable")
    assert ready.json()["ledger"] == {"fresh": False, "keeps": False, "entries": None}
    assert live.status_code == 200
    assert "gateway_ledger_fresh 0.0" in numbers


async def test_a_caller_compares_itself_with_the_installation_at_its_start(keyed):
    told = (await keyed.get("/v1/self")).json()
    assert (told["version"], told["environment"], told["api"]) == (__version__, "dev", "1.0")
    assert told["reasons"] == [reason.value for reason in Reason]
    assert told["key"]["name"] == "dev"
    assert told["recipients"]["teemo"] == {
        "role": "third_party",
        "purposes": ["sale"],
        "data": ["precise_geo", "ad_id"],
        "mode": "return",
    }
    assert set(NAMES) < set(told["cookie_names"])
    assert {notice["kind"] for notice in told["notices"]} == {"choices", "marketing", "opt-in", "confirm"}


async def test_a_caller_that_hands_on_the_named_cookies_alone_loses_no_consent_tool(keyed, vectors):
    named_ = (await keyed.get("/v1/self")).json()["cookie_names"]
    assert {"usprivacy", "OptanonConsent", "OptanonAlertBoxClosed", "gpp_sid", "cmplz_*", "notice_behavior"} <= {
        *named_
    }
    rows = json.loads((vectors / "cmp_cookies.json").read_text())["rows"]
    refused = {row["name"] for row in rows if row["sale_or_ads_opt_out"]}
    assert refused
    assert [name for name in refused if not any(fnmatchcase(name, pattern) for pattern in named_)] == []


async def test_a_caller_that_hands_on_the_named_cookies_alone_loses_no_ad_networks_opt_out(keyed):
    named_ = (await keyed.get("/v1/self")).json()["cookie_names"]
    assert any(fnmatchcase("optout", pattern) for pattern in named_)


async def test_the_notices_that_self_names_are_the_ones_an_opt_in_may_name(keyed):
    for notice in (await keyed.get("/v1/self")).json()["notices"]:
        body = {"identifiers": [named("gaid", GAID)], "choice": "opt_out", "notice": {"sha256": notice["sha256"]}}
        assert (await keyed.post("/v1/choices", json=body)).json()["ignored"] == []


@pytest.mark.parametrize("bearer", ["", "Bearer", "Bearer dev", "Bearer dev.", "Bearer .dev", "Basic dev.dev", "dev.dev",
                                    "Bearer dev.dev2", "Bearer nobody.dev"])  # fmt: skip
async def test_a_stranger_learns_nothing_from_self(client, bearer):
    answer = await client.get("/v1/self", headers={"Authorization": bearer})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "recipients" not in answer.text


async def test_the_scheme_of_a_key_is_read_in_any_case(client):
    assert (await client.get("/v1/self", headers={"Authorization": "bearer dev.dev"})).status_code == 200


async def test_in_production_the_development_key_opens_nothing_and_a_revoked_key_neither(tmp_path):
    async with inside.application(tmp_path / "data", dev=False) as app, inside.client(app) as client:
        made = await asyncio.to_thread(api_keys.add_api_key, tmp_path / "data", "ads", ["check"], publishable=False)
        asked = {"Authorization": f"Bearer {made}"}
        told = await client.get("/v1/self", headers=asked)
        assert (told.json()["environment"], told.json()["key"]["scopes"]) == ("production", ["check"])
        assert (await client.get("/v1/self", headers=inside.DEV)).status_code == 401
    await asyncio.to_thread(api_keys.revoke, tmp_path / "data", "ads")
    async with inside.application(tmp_path / "data", dev=False) as app, inside.client(app) as client:
        assert (await client.get("/v1/self", headers=asked)).status_code == 401


async def test_in_production_there_is_no_demo_site(tmp_path):
    async with inside.application(tmp_path / "data", dev=False) as app, inside.client(app) as client:
        assert [(await client.get(path)).status_code for path in ("/demo", "/demo/second", "/")] == [404, 404, 404]


async def test_epochs_that_lie_aside_are_told_to_whoever_looks(client, tmp_path):
    path = tmp_path / "data" / f"{ASIDE}0a1b2c3d"
    path.write_bytes(b"{")
    alarms = (await client.get("/readyz?strict")).json()["alarms"]
    assert [text for text in alarms if str(path) in text]
