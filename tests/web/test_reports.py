"""The year's numbers over HTTP, and that keys of the ad stack read nothing of what is kept about requests (L86)."""

import asyncio

import pytest
from support import inside
from support.people import named, phone

from gateway.keys import api_keys

pytestmark = pytest.mark.anyio
BARRED = ("check", "choose", "share", "desk", "replica", "admin")
KEPT = ("/v1/reports/2026", "/ledger/tile/entries/000.p/1")


async def made(tmp_path, scope):
    """A key with one scope."""
    return await asyncio.to_thread(api_keys.add_api_key, tmp_path / "data", scope, [scope], publishable=False)


async def test_every_scope_is_one_that_may_read_reports_or_may_not():
    assert set(api_keys.SCOPES) == {"export", *BARRED}


@pytest.mark.parametrize("scope", BARRED)
async def test_what_is_kept_about_requests_is_closed_to_every_other_key(app, tmp_path, scope):
    bearer = await made(tmp_path, scope)
    async with inside.client(app, Authorization=f"Bearer {bearer}") as client:
        assert [(await client.get(path)).status_code for path in KEPT] == [403, 403]


async def test_nobody_without_a_key_reads_it_and_a_key_for_exports_does(app, client, tmp_path):
    assert [(await client.get(path)).status_code for path in KEPT] == [401, 401]
    bearer = await made(tmp_path, "export")
    async with inside.client(app, Authorization=f"Bearer {bearer}") as officer:
        assert [(await officer.get(path)).status_code for path in KEPT] == [200, 200]


async def test_a_year_is_reported_with_what_people_asked_for(keyed):
    now = (await keyed.get("/v1/self")).json()["time"][:4]
    for number in range(3):
        body = {"identifiers": [named("phone", phone(number))], "choice": "opt_out"}
        assert (await keyed.post("/v1/choices", json=body)).status_code == 201
    told = (await keyed.get(f"/v1/reports/{now}")).json()
    assert told["opt_out"] == {"received": 3, "complied": 3, "denied": 0, "median_days": 0.0}


@pytest.mark.parametrize("year", ["0", "26", "2017", "9999", "99999", "２０２６", "-2026", "2026.5", "now"])
async def test_a_year_that_is_none_is_not_found(keyed, year):
    assert (await keyed.get(f"/v1/reports/{year}")).status_code == 404
