"""What callers really send and really get, at every call that is described, held against /openapi.json: it lacks no
member, and promises none that does not come.
"""

import asyncio
import contextlib
import json
import re
from datetime import timedelta

import anyio
import msgspec
import pytest
from support import inside
from support.described import Description
from support.handed import Beside
from support.opting_in import Browser
from support.people import GAID, email, gaid, named, phone

from gateway.app.composition import now
from gateway.consent.decisions import keys_of_replica
from gateway.keys import api_keys
from gateway.replica import feed
from gateway.web.shell import page, wire
from gateway.web.shell.edge import FROM_AGENTS

pytestmark = pytest.mark.anyio
CONFIGURED = """
[site]
url = "https://www.example.com"

[delivery]
ddrf_domain = "operator.example"

[recipients.teemo]
mode = "files"
ddrf = "vendor.example"
"""
ME, PROOF = named("gaid", GAID), {"kind": "account", "assertion": "dev"}
FIRST, SECOND = ({"sha256": page.load_notice(kind).sha256.hex()} for kind in ("opt-in", "confirm"))
ASK = {"identifiers": [ME], "place": "US-CA", "data": ["ad_id"], "geo": {"country": "USA"}, "signals": {"gpc": "1"}}
ROW = {"id": "r1", "identifiers": [named("gaid", gaid(7))], "data": {"ad_id": gaid(7)}, "place": "US-NY"}
BY_A_CALL = {
    "/v1/check": [ASK | {"recipient": "teemo", "ref": "x", "dry_run": True}, ASK | {"recipients": ["teemo", "flurry"]}],
    "/v1/checks": [[ASK | {"recipient": "teemo"}], {"defaults": ASK, "checks": [{"recipient": "flurry"}]}],
    "/v1/explain": [
        ASK | {"recipient": "teemo"}, ASK | {"recipients": ["teemo"], "at": (now() - timedelta(days=1)).isoformat()},
    ],
    "/v1/openrtb?recipient=teemo": [{"id": "1", "imp": [], "device": {"ifa": GAID}}],
    "/v1/choices": [
        {"choice": "opt_out", "identifiers": [ME, named("phone", "0412345678")], "device": None, "place": "US-CA"},
        {"choice": "limit", "identifiers": [named("email", email(1))], "age": 15, "signals": {"gpc": True}},
    ],
    "/v1/observe": [
        {"identifiers": [named("account", "a1"), named("browser", "new") | {"host": "www.example.com"}]},
        {"identifiers": [ME], "device": None, "signals": {"att": 2, "lmt": "1", "cookies": {"b64": ""}, "gdpr": 0}},
    ],
    "/v1/standing": [{"identifiers": [ME], "device": None}],
    "/v1/links": [
        {"account": "a1", "identifiers": [named("gaid", gaid(7))], "from": "2026-01-01T00:00:00Z", "age": "adult"},
        {"account": "a1", "identifiers": [named("gaid", gaid(8)), named("email", "none")]},
    ],
    "/v1/notices": [{"identifiers": [named("account", "a1")], "notice": "privacy", "outcome": "shown"}],
    "/v1/codes": [{"identifier": named("email", email(1)), "use": "access"}],
    "/v1/texts": [{"from": phone(1), "body": "STOP"}, {"from": phone(1), "text": "Hello"}],
    "/v1/unsubscribe-links": [{"identifiers": [named("email", email(1))], "purpose": "marketing_mail"}],
    "/v1/disclosures": [{"decision": "none", "outcome": "sent"}],
    "/v1/shares/flurry": [ROW],
    "/v1/shares/teemo": [ROW],
    "/v1/shares/teemo/jobs/night-1/seal": [None],
    "/v1/access": [{"identifiers": [ME, named("phone", phone(1)), named("gaid", gaid(7)), named("email", "none")]}],
    "/v1/disclosures/query": [
        {"question": "received", "identifiers": [named("gaid", gaid(7))], "data": ["ad_id"]},
        {"question": "direct_marketing", "year": 2026}, {"question": "network_information", "from": "2026-01-01"},
        {"question": "sent_after_opt_out"},
    ],
    "/v1/erasures": [{"identifiers": [ME], "mode": "child_found"}],
    "/privacy-choices/observe": [{"gpc": True, "gpp_sid": [7]}],
}  # fmt: skip
LOOKED_AT = (
    "/dsrdelete.json", "/.well-known/gpc.json", "/privacy-choices/status", "/livez", "/readyz", "/readyz?strict",
    "/v1/self", "/v1/notices/due", "/v1/reports/2026", "/v1/changes", "/ledger/checkpoint", "/privacy-choices",
)  # fmt: skip


@contextlib.asynccontextmanager
async def calling(tmp_path, description):
    """A client of a fresh installation, with the development key; each of its answers is judged."""
    file = tmp_path / "config.toml"
    file.write_text(CONFIGURED)

    async def judge(answer):
        await answer.aread()
        assert description.faults(answer) == []

    async with (
        inside.application(tmp_path / "data", inside.settings(file)) as app,
        inside.client(app, **inside.DEV) as client,
    ):
        client.event_hooks = {"response": [judge]}
        yield client


async def post(client, description, path, body, **more):
    """A call that the description allows, which no door finds malformed."""
    if body is not None:
        assert not description.is_forbidden("post", path.partition("?")[0], body), (path, body)
    answer = await client.post(path, json=body, **more)
    assert answer.status_code < 400, (path, answer.text)
    return answer


async def opts_in(client, description):
    said = {"identifiers": [named("account", "a2")], "proof": PROOF}
    body = said | {"choice": "opt_in", "purposes": ["sale"], "notice": FIRST}
    asked = await post(client, description, "/v1/choices", body)
    body = said | {"choice": "confirm", "confirm": asked.json()["confirm"], "notice": SECOND}
    assert (await post(client, description, "/v1/choices", body)).json()["still_out"] == []


async def shows_a_replica(client, description, folder):
    secrets = await asyncio.to_thread(inside.secrets)
    tags = feed.Tags(keys_of_replica(secrets, "dev")[-1], secrets.peppers)
    for leave in (False, True):
        challenge = feed.fresh()
        tag = tags.renews(challenge, "h", 0, "", leave=leave)
        body = {"holder": "h", "applied": 0, "leave": leave}
        await post(client, description, "/v1/leases", body, headers={feed.HEADER: f"{challenge}.{tag}"})
    beside = await asyncio.to_thread(Beside, folder, client)
    await beside.look()
    await beside.hand_over(beside.answer(named("gaid", gaid(9))))


async def shows_a_page(client):
    browser = Browser(client)
    done = await browser.opts_out(phone=phone(3))
    fields = dict(re.findall(r'name="(event|ticket)" value="([^"]+)"', done.text))
    assert (await browser.post("/privacy-choices/proof", **fields)).json()["proofs"]
    assert (await browser.post("/privacy-choices/data", action="download")).json()["entries"]


@pytest.mark.slow
async def test_every_call_is_answered_as_described_and_every_described_shape_is_seen(tmp_path):
    description = Description()
    async with calling(tmp_path, description) as client:
        for path, bodies in BY_A_CALL.items():
            for body in bodies:
                job = {"Gateway-Job": "night-1"} if path == "/v1/shares/teemo" else {}
                await post(client, description, path, body, headers=job)
        await post(client, description, "/v1/choices", BY_A_CALL["/v1/choices"][0], headers={"Idempotency-Key": "a"})
        await post(client, description, "/v1/choices", BY_A_CALL["/v1/choices"][0], headers={"Idempotency-Key": "a"})
        await client.post("/v1/checks", json=[{"identifiers": []}, {}])
        await opts_in(client, description)
        await shows_a_replica(client, description, tmp_path / "data")
        await shows_a_page(client)
        for path in LOOKED_AT:
            assert (await client.get(path)).status_code == 200
        await is_away(client, tmp_path / "data")
    by_agents = {each for each in description.promised if each[1].startswith(FROM_AGENTS)}  # tests/web/test_agents.py
    assert description.promised - description.judged - by_agents == set()


async def is_away(client, folder):
    """What is kept beside a ledger that cannot be written."""
    (folder / "ledger.sqlite3").rename(folder / "away")
    signal = {"identifiers": [named("gaid", gaid(11))], "signals": {"gpc": "1"}}
    assert (await client.post("/v1/observe", json=signal)).status_code == 202
    assert (await client.post("/v1/texts", json={"from": phone(5), "body": "STOP"})).status_code == 202
    choice = {"identifiers": [named("gaid", gaid(12))], "choice": "opt_out"}
    assert (await client.post("/v1/choices", json=choice)).status_code == 202
    with anyio.fail_after(60):
        while (await client.get("/readyz")).status_code != 503:
            await anyio.sleep(0.05)
    (folder / "away").rename(folder / "ledger.sqlite3")


async def test_what_an_app_names_beyond_a_phones_own_ids_is_answered_as_described(tmp_path):
    description = Description()
    async with calling(tmp_path, description) as client:
        key = await asyncio.to_thread(api_keys.add_api_key, tmp_path / "data", "app", ["choose"], publishable=True)
        many = {"identifiers": [named("email", email(number)) for number in range(wire.AT_ONCE + 4)]}
        for path, body in (("/v1/choices", many | {"choice": "opt_out"}), ("/v1/observe", many)):
            await post(client, description, path, body, headers={"Authorization": f"Bearer {key}"})
    assert ("post", "/v1/choices", "202") in description.judged


WRONG = (None, True, 5, -1, 1.5, "", "x", [], ["x"], [5], {}, {"x": 1})
STRICT = {
    "/v1/links": {"account": "a1", "identifiers": [ME]},
    "/v1/notices": {"identifiers": [named("account", "a1")], "notice": "privacy", "outcome": "shown"},
    "/v1/erasures": {"identifiers": [ME], "mode": "erase_details"},
    "/v1/access": {"identifiers": [ME]},
    "/v1/codes": {"identifier": named("email", email(1)), "use": "opt_in", "purpose": "sale"},
    "/v1/unsubscribe-links": {"identifiers": [named("email", email(1))]},
    "/v1/disclosures/query": {"question": "received", "identifiers": [ME]},
    "/v1/check": ASK | {"recipient": "teemo"},
    "/v1/explain": ASK | {"recipient": "teemo"},
}


TOGETHER = {  # what may stand in them hangs on the other members
    "account", "from", "proof", "purpose", "recipient", "recipients", "until", "year",
}  # fmt: skip
TIMES = {"at", "collected", "on"}  # described as text
PASSED_OVER = {"identifiers", "place", "language"}  # what cannot be used of them costs nothing else


@pytest.mark.parametrize("path", STRICT)
async def test_a_door_that_is_strict_takes_what_is_described_and_nothing_else(tmp_path, path):
    description, valid = Description(), STRICT[path]
    call = description.document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    names = {name for shape in shapes_of(call, description.document) for name in shape["properties"]}
    narrower, wider = set(), set()
    async with calling(tmp_path, description) as client:
        for name, value in ((name, value) for name in sorted(names) for value in WRONG):
            body = valid | {name: value}
            answer = await client.post(path, json=body)
            assert answer.status_code in {200, 201, 202, 400, 422}, answer.text
            refused = answer.status_code >= 400
            if refused != description.is_forbidden("post", path, body):
                (wider if refused else narrower).add((name, json.dumps(value)))
        assert (await client.post(path, json=valid | {"misspelt": 1})).status_code == 400
    assert {name for name, _ in wider} <= TOGETHER | TIMES, wider
    assert {name for name, _ in narrower} <= TOGETHER | PASSED_OVER, narrower


def shapes_of(schema, document):
    if "$ref" in schema:
        return [document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]]
    return [shape for each in schema["anyOf"] for shape in shapes_of(each, document)]


async def test_an_answer_with_a_member_that_is_not_described_is_seen(tmp_path, monkeypatch):
    """The control."""
    monkeypatch.setattr(wire, "json_of", lambda body: json.dumps(msgspec.to_builtins(body) | {"odd": 1}).encode())
    description = Description()
    async with calling(tmp_path, description) as client:
        with pytest.raises(AssertionError, match="'odd' was unexpected"):
            await client.get("/livez")
