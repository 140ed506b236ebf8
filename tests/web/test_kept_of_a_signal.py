"""What the files keep of people and of what their software said: keyed hashes and words, no value as it came (L88)."""

import asyncio
from datetime import date

import pytest
from support import inside
from support.people import GAID, email, named, phone
from support.signals import gpp_string

from gateway.records import requests

pytestmark = pytest.mark.anyio
RAW = gpp_string("usca", SaleOptOut=1)


def kept(folder):
    """The bytes of every file of an installation but the service's own keys."""
    files = (item for item in folder.rglob("*") if item.is_file() and item.name != "secrets.json")
    return b"".join(item.read_bytes() for item in files)


async def test_no_file_holds_an_identifier_or_a_signal_as_it_came(folder):
    who = [named("email", email(7)), named("phone", phone(7)), named("gaid", GAID)]
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as client:
        body = {"identifiers": who, "signals": {"gpp": RAW, "gpc": "1", "us_privacy": "1YYN"}}
        assert (await client.post("/v1/observe", json=body)).status_code == 200
        assert (await client.post("/v1/choices", json=body | {"choice": "opt_out"})).status_code == 201
        text = await asyncio.to_thread(kept, folder)
    assert b"opt_out" in text, "the control: entries are found in these bytes"
    for value in (email(7), phone(7), phone(7)[1:], GAID, RAW, "1YYN"):
        assert value.encode() not in text


async def test_the_sealed_details_hold_no_signal_as_it_came_either(house, folder):
    def opened():
        vault = house.vault()
        found = [item.details for item in requests.between(folder, date(2026, 1, 1), date(9000, 1, 1), vault.keys)]
        vault.close()
        return found

    inner = {"identifiers": [named("gaid", GAID)], "signals": {"gpp": RAW}, "choice": "opt_out"}
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as client:
        assert (await client.post("/v1/choices", json=inner)).status_code == 201
    details = await asyncio.to_thread(opened)
    assert details
    assert RAW not in str(details)
    assert {name for request in details for each in request for name in each} <= {"at", "made_at"}
