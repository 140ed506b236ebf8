"""A site behind the gateway asks in its own process, with the answers of the HTTP calls."""

import asyncio
import json

import pytest
from support import inside
from support.people import GAID, named

from gateway.app.service import in_front_of
from gateway.client import Client

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
    decision = client._json("/v1/check", ASK)["decision"]
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
