"""A site behind the gateway asks in its own process, with the answers of the HTTP calls."""

import asyncio
import json
from dataclasses import replace

import pytest
from support import example, inside
from support.people import GAID, gaid, named

from gateway.app.service import in_front_of
from gateway.client import Client
from gateway.terms import Purpose

pytestmark = pytest.mark.anyio
ASK = {"identifiers": [named("gaid", GAID)], "recipient": "advertisers", "place": "US-NY", "data": ["ad_id"]}

BIDS = [("nobody", {}), ("advertisers", {"will_send": "1"}), ("advertisers", {"misspelt": "1"})]


async def site(scope, receive, send):
    """Answers with what its own client says, asked in the loop's thread or in another one."""
    client = Client.over(scope["state"]["gateway_checker"])
    found = await asyncio.to_thread(client.check, **ASK) if scope["path"] == "/thread" else client.check(**ASK)
    many = client.checks([ASK, {**ASK, "signalz": {}}])
    bids = [client.openrtb({}, recipient=name, **more).verdict for name, more in BIDS]
    environment = client.ready(["advertisers"])["environment"]
    told = [found.reason, [each.reason for each in many], bids, environment]
    decision = json.loads(client._ask("/v1/check", json.dumps(ASK).encode()).body)["decision"]
    said = await asyncio.to_thread(client._report, json.dumps({"decision": decision, "outcome": "sent"}).encode())
    await asyncio.to_thread(client.close)  # its last reports are taken by this loop
    body = json.dumps([*told, said]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("path", ["/loop", "/thread"])
async def test_a_site_asks_in_its_own_process(tmp_path, path):
    app = in_front_of(site, inside.install(tmp_path / "data"))
    async with inside.lifespan(app), inside.client(app) as client:
        found = (await client.get(path)).json()
    # no contract: nothing is filled in here as in development
    assert found == [
        "no_contract",
        ["no_contract", "no_answer"],
        ["block", "contextual", "no_answer"],
        "production",
        True,
    ]


OUT = named("gaid", gaid(7))
BIDDER = (
    '[recipients.bidder]\nrole = "third_party"\npurposes = ["targeted_ads"]\ndata = ["ad_id", "precise_geo"]\n'
    'contract = "B-1"\nannounced = 2024-01-01\ntransfer_basis = "scc"\n'
)
AS_JSON = [
    {},
    {"identifiers": [OUT]},
    {"identifiers": [OUT, named("email", "ada@example.com")], "age": 15},
    {"identifiers": []},
    {"identifiers": [named("gaid", "00000000-0000-0000-0000-000000000000")]},
    {"identifiers": [{"type": "gaids", "value": GAID}]},
    {"identifiers": [{"type": "gaid"}]},
    {"identifiers": [{"type": "gaid", "value": GAID, "extra": 1}]},
    {"data": None},
    {"data": ["ad_id", "precise_geo", "health"]},
    {"data": ["no such class"]},
    {"data": []},
    {"purpose": Purpose.TARGETED_ADS},
    {"purpose": "no such purpose"},
    {"recipient": "nobody"},
    {"recipients": ["teemo"]},
    {"place": ["US-NY", "DE"]},
    {"place": "no such place"},
    {"geo": {"country": "USA", "lat": 40.7, "lon": -74.0}},
    {"age": 12},
    {"age": "no such age"},
    {"age": True},
    {"count": 10**30},
    {"count": -1},
    {"collected": "2026-01-01"},
    {"collected": "yesterday"},
    {"during_call": True},
    {"signals": {"gpc": "1"}},
    {"signals": {"gpp": "DBABLA~CVVVkkkkkpFY.YA", "us_privacy": "1YYN"}},
    {"signals": {"gpc": object()}},
    {"signals": {"stored": {"IABTCF_gdprApplies": float("nan")}}},
    {"signals": {"stored": {1: 1}}},
    {"dry_run": True},
    {"will_send": True},
    {"no_such_member": 1},
]


async def test_what_is_told_without_json_is_what_the_call_would_answer(tmp_path, monkeypatch):
    found = []
    for asks in ("asking", "verdict"):  # no time passes: on a busy machine one of the two ways may answer too late
        monkeypatch.setattr(f"gateway.client.{asks}.boot_seconds", lambda: 1.0)

    async def asks_twice(scope, receive, send):
        checker = scope["state"]["gateway_checker"]
        brief, whole = Client.over(checker), Client.over(OnlyJson(checker))
        for more in AS_JSON:
            asked = {**ASK, "recipient": "bidder", **more}
            found.append([told(client, asked) for client in (brief, whole)])
        assert brief.check(**ASK).answers is not brief.check(**ASK).answers  # nobody changes another's
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    data, config = tmp_path / "data", tmp_path / "config.toml"
    config.write_text(example.over(BIDDER))
    async with inside.application(data) as app, inside.client(app, **inside.DEV) as keyed:
        opted = await keyed.post("/v1/choices", json={"identifiers": [OUT], "choice": "opt_out"})
        assert opted.status_code == 201
    app = in_front_of(asks_twice, data, config=config)
    async with inside.lifespan(app), inside.client(app) as client:
        await client.get("/")
    assert len(found) == len(AS_JSON)
    for more, (brief, whole) in zip(AS_JSON, found, strict=True):
        assert brief == whole, more
    assert {verdict.stated for (verdict, _), _ in found} >= {"no_answer", "no_choice", "opted_out", "gpc"}


class OnlyJson:
    """The same checker, asked for as JSON always."""

    def __init__(self, checker):
        self.answer = checker.answer

    def told(self, body):
        return None


def told(client, asked):
    client.failures.clear()
    verdict = client.check(**asked)
    kept = dict.fromkeys(client.failures, True)
    assert bool(verdict.decision) == (verdict.until > 0)
    return replace(verdict, decision="", until=0.0), kept
