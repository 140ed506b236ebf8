"""The recipients that the shipped configuration has: what of one row each of them gets."""

import hashlib
import json

import pytest
from support import inside
from support.people import email, gaid, named
from web.test_share import fields

pytestmark = pytest.mark.anyio
WORDS = "travel,used cars"


@pytest.fixture
async def client(tmp_path):
    settings = inside.settings(keywords__vocabulary=WORDS)
    async with inside.application(tmp_path / "data", settings) as app, inside.client(app, **inside.DEV) as client:
        for number in (1, 2):
            body = {
                "account": f"a{number}",
                "identifiers": [named("gaid", gaid(number)), named("email", email(number))],
            }
            assert (await client.post("/v1/links", json=body)).status_code == 201
        yield client


async def share(client, recipient: str, data: dict, person: int = 1, row_id: str = "r") -> tuple[dict, dict]:
    """(what became of the row, the summary)"""
    row = {"id": row_id, "identifiers": [named("gaid", gaid(person))], "data": data, "place": "US-NY"}
    answer = await client.post(f"/v1/shares/{recipient}", json=row)
    told, last = (json.loads(line) for line in answer.text.splitlines())
    return told, last["summary"]


async def test_an_advertiser_gets_listed_keywords_beside_a_device_and_no_others(client):
    said = "travel, Used  Cars, call me at 5, my clinic, gossip, someone@example.com, hiv, travel"
    told, summary = await share(client, "advertisers", {"ad_id": gaid(1), "keywords": said, "text": "hi, it is me"})
    assert fields(told) == {"ad_id": gaid(1), "keywords": "travel,used cars"}
    assert summary["dropped"] == {
        "keyword_address": 1,
        "keyword_digits": 1,
        "keyword_sensitive": 2,
        "keyword_unlisted": 1,
        "unmapped": 1,
    }


async def test_an_advertiser_gets_an_audience_and_never_a_whole_address(client):
    data = {
        "ad_id": gaid(1),
        "age_range": "25-34",
        "gender": "F",
        "region": "US-NY",
        "ip": "203.0.113.77",
        "city": "Springfield",
    }
    told, summary = await share(client, "advertisers", data)
    assert fields(told) == {
        "ad_id": gaid(1),
        "age_range": "25-34",
        "gender": "F",
        "region": "US-NY",
        "ip": "203.0.113.0",
    }
    assert summary["dropped"] == {"unmapped": 1}


async def test_keywords_beside_what_names_somebody_stay(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(
        '[keywords]\nvocabulary = ["travel"]\n[recipients.words]\nrole = "third_party"\npurposes = ["targeted_ads"]\n'
        'data = ["keywords", "email_hash", "ad_id"]\nfields = { keywords = "keywords", '
        'email = { class = "email_hash", kind = "email" }, ad_id = { class = "ad_id", kind = "gaid" } }\n'
    )
    async with (
        inside.application(tmp_path / "data", inside.settings(file)) as app,
        inside.client(app, **inside.DEV) as client,
    ):
        body = {"account": "a1", "identifiers": [named("gaid", gaid(1))]}
        assert (await client.post("/v1/links", json=body)).status_code == 201
        told, _ = await share(client, "words", {"keywords": "travel", "email": email(1), "ad_id": gaid(1)})
        assert told["data"]["keywords"] == "deny"
        assert told["reason"] == "keywords_beside_identity"
        assert set(fields(told)) == {"email", "ad_id"}
        told, _ = await share(client, "words", {"keywords": "travel", "ad_id": gaid(1)}, row_id="alone")
        assert fields(told) == {"keywords": "travel", "ad_id": gaid(1)}


@pytest.mark.parametrize("data_class", ["aggregate", "deidentified"])
async def test_what_is_of_many_or_of_nobody_brings_nobodys_id(tmp_path, data_class):
    """The row names the phone and the account; another row's serial and account are of somebody who said no."""
    file = tmp_path / "config.toml"
    file.write_text(
        f'[recipients.totals]\nrole = "third_party"\npurposes = ["targeted_ads"]\ndata = ["{data_class}"]\n'
        f'fields = {{ n = "{data_class}", day = "{data_class}" }}\n'
    )
    serial, account = named("serial", "R58N12ABCDE"), named("account", "cust-88231")
    async with (
        inside.application(tmp_path / "data", inside.settings(file)) as app,
        inside.client(app, **inside.DEV) as client,
    ):

        async def left(number, n, *identifiers):
            whom = [*identifiers] or [named("gaid", gaid(1))]
            row = {"id": f"r{number}", "identifiers": whom, "data": {"n": n, "day": "2026-11-24"}, "place": "US-NY"}
            answer = await client.post("/v1/shares/totals", json=row | {"count": 100})
            told = json.loads(answer.text.splitlines()[0])
            return fields(told) if told["outcome"] == "returned" else told["reason"]

        link = {"account": "a1", "identifiers": [named("gaid", gaid(1))]}
        assert (await client.post("/v1/links", json=link)).status_code == 201
        link = {"account": account["value"], "identifiers": [named("phone", "+14155550101")]}
        assert (await client.post("/v1/links", json=link)).status_code == 201
        for number, n in enumerate((17, 123456.5, "Monday", serial["value"], account["value"])):
            assert await left(number, n) == {"n": n, "day": "2026-11-24"}
        for whom in (serial, account, named("phone", "+14155550101")):
            choice = {"identifiers": [whom], "choice": "opt_out"}
            assert (await client.post("/v1/choices", json=choice)).status_code == 201
        hers = (named("phone", "+14155550101"), account)
        for whom in (hers[:1], hers[1:], hers):
            assert await left(10, 17, *whom) == {"n": 17, "day": "2026-11-24"}, "totals without anybody's id"
        for number, n in enumerate((14155550101, "4155550101", 14155550101.0, "cust-88231")):
            got = await left(20 + number, n, *hers)
            assert got == {"day": "2026-11-24"} or isinstance(got, str), (n, got)
            assert await left(40 + number, n) == "not_deidentified", "looked up in anybody's row"
        assert await left(60, serial["value"]) == "not_deidentified"
        assert await left(61, 17) == {"n": 17, "day": "2026-11-24"}


async def test_flurry_gets_an_ad_id_and_no_keywords(client):
    told, summary = await share(
        client, "flurry", {"ad_id": gaid(1), "gender": "F", "keywords": "travel", "lat": 40.7, "lon": -74.0}
    )
    assert fields(told) == {"ad_id": gaid(1), "gender": "F"}
    assert summary["dropped"] == {"unmapped": 3}


async def test_who_matches_by_mail_gets_its_hash_and_the_device(client):
    told, _ = await share(client, "matching", {"email": email(1), "ad_id": gaid(1)})
    assert fields(told) == {"email": hashlib.sha256(email(1).encode()).hexdigest(), "ad_id": gaid(1)}


@pytest.mark.parametrize("recipient", ["advertisers", "flurry", "matching", "teemo"])
async def test_whoever_opted_out_goes_to_none_of_them_not_even_as_a_hash_or_a_region(client, recipient):
    body = {"identifiers": [named("email", email(2))], "choice": "opt_out"}
    assert (await client.post("/v1/choices", json=body)).status_code == 201
    data = {
        "ad_id": gaid(2),
        "email": email(2),
        "lat": 40.7,
        "lon": -74.0,
        "region": "US-NY",
        "keywords": "travel",
        "gender": "F",
    }
    told, _ = await share(client, recipient, data, person=2)
    assert (told["outcome"], told["reason"], told.get("row")) == ("refused", "opted_out", None)
    assert set(told["data"].values()) == {"deny"}


async def test_nobody_gets_anything_as_the_configuration_is_shipped(tmp_path):
    """No contract is written into it (R28)."""
    from gateway.keys import api_keys

    async with inside.application(tmp_path / "data", dev=False) as app, inside.client(app) as client:
        import asyncio

        key = await asyncio.to_thread(
            api_keys.add_api_key, tmp_path / "data", "all", ["share", "desk"], publishable=False
        )
        client.headers["Authorization"] = f"Bearer {key}"
        body = {"account": "a1", "identifiers": [named("gaid", gaid(1))]}
        assert (await client.post("/v1/links", json=body)).status_code == 201
        for recipient in ("advertisers", "flurry", "matching"):
            told, _ = await share(client, recipient, {"ad_id": gaid(1)})
            assert (told["outcome"], told["reason"]) == ("refused", "no_contract")
