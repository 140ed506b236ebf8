"""One click in a mail program: RFC 8058 from the sender's link to the ledger."""

import asyncio
import base64
import contextlib
import json
import sqlite3
from urllib.parse import urlsplit

import pytest
import structlog
from support import inside
from support.people import GAID, email, named, phone

from gateway.consent import tokens
from gateway.keys import secret_files
from gateway.keys.seals import seal_box
from gateway.ledger.entry import b64
from gateway.terms import Purpose

pytestmark = pytest.mark.anyio
ME = named("email", email(1))
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
MAILING = """
[site]
url = "https://www.example.com"

[recipients.mailing]
role = "service_provider"
purposes = ["marketing_email", "marketing_text", "marketing_mail"]
data = ["contact"]
contract = "C-8"
"""


@pytest.fixture
async def app(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(MAILING)
    async with inside.application(tmp_path / "data", inside.settings(file)) as built:
        yield built


async def entries(client) -> int:
    return (await client.get("/readyz")).json()["ledger"]["entries"]


async def link(keyed, *people, **members):
    answer = await keyed.post("/v1/unsubscribe-links", json={"identifiers": list(people or [ME]), **members})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def path(keyed, *people, **members):
    return urlsplit((await link(keyed, *people, **members))["url"]).path


async def reason(keyed, person=ME, purpose="marketing_email"):
    body = {"identifiers": [person], "recipient": "mailing", "purpose": purpose, "place": "US-CA"}
    return (await keyed.post("/v1/check", json=body)).json()["reason"]


async def test_a_sender_is_given_the_link_and_the_two_header_fields(keyed):
    made = await link(keyed)
    assert made["url"].startswith("https://www.example.com/privacy-choices/unsubscribe/")
    assert made["headers"] == {
        "List-Unsubscribe": f"<{made['url']}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    assert len(made["headers"]["List-Unsubscribe"]) < 900, "a line of a message has at most 998 (RFC 5322)"


BODIES = [
    {"data": ONE_CLICK},
    {"files": {"List-Unsubscribe": (None, "One-Click")}},  # multipart/form-data, as RFC 8058 prefers
    {"content": b"List-Unsubscribe=One-Click", "headers": {"Content-Type": "text/plain"}},
    {"content": b""},
    {"content": b"a" * 20_000, "headers": {"Content-Type": "text/plain"}},
    {"content": b"a" * 2_000_000},
    {"content": b"rubbish", "headers": {"Content-Encoding": "br"}},
    {"content": b"not gzip", "headers": {"Content-Encoding": "gzip"}},
    {"data": ONE_CLICK, "headers": {"Sec-Fetch-Site": "cross-site", "Origin": "https://mail.example.org"}},
    {"data": ONE_CLICK, "headers": {"Origin": "null", "Cookie": "__Host-gateway=rubbish"}},
]


@pytest.mark.parametrize("sent", BODIES)
async def test_a_click_in_any_mail_program_ends_marketing_e_mail_and_nothing_else(client, keyed, sent):
    way = await path(keyed)
    assert await reason(keyed) != "opted_out"
    answer = await client.post(way, **sent)
    assert answer.status_code == 200, answer.text
    assert "You are unsubscribed" in answer.text
    assert "set-cookie" not in answer.headers
    assert await reason(keyed) == "opted_out"
    assert await reason(keyed, purpose="marketing_mail") != "opted_out"
    assert await reason(keyed, named("email", email(2))) != "opted_out"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_scanner_that_follows_the_link_changes_nothing(client, keyed, method):
    way, before = await path(keyed), await entries(keyed)
    answer = await client.request(method, way)
    assert await entries(keyed) == before
    assert await reason(keyed) != "opted_out"
    if method == "GET":
        assert answer.status_code == 200
        assert answer.text.count("<button") == 1


async def test_a_person_who_opens_the_link_presses_one_button_and_types_nothing(client, keyed):
    page = (await client.get(await path(keyed))).text
    assert "<input" not in page
    assert "<script" not in page
    assert '<form method="post">' in page
    assert email(1) not in page, "whoever has the letter need not see whose it is"


@pytest.mark.parametrize(("language", "words"), [("es", "Darse de baja"), ("fr", "Se désabonner")])
async def test_the_page_speaks_the_persons_language(client, keyed, language, words):
    way = await path(keyed)
    assert words in (await client.get(way, headers={"Accept-Language": language})).text
    assert words in (await client.get(f"{way}?lang={language}")).text


async def test_every_channel_has_its_own_link(client, keyed):
    await client.post(await path(keyed, named("phone", phone(1)), purpose="marketing_text"), data=ONE_CLICK)
    assert await reason(keyed, named("phone", phone(1)), "marketing_text") == "opted_out"
    assert await reason(keyed, named("phone", phone(1)), "marketing_email") != "opted_out"


async def test_everybody_in_a_link_is_out_and_nobody_is_tied_to_anybody(client, keyed):
    await client.post(await path(keyed, ME, named("account", "a1")), data=ONE_CLICK)
    assert await reason(keyed) == "opted_out"
    assert await reason(keyed, named("account", "a1")) == "opted_out"
    access = await keyed.post(
        "/v1/access", json={"identifiers": [named("account", "a1")], "proof": {"kind": "account", "assertion": "dev"}}
    )
    assert access.json()["linked"] == []


async def test_nobody_reads_an_address_out_of_a_link_or_sees_that_two_are_of_one_person(keyed):
    first, second = await link(keyed), await link(keyed)
    token = first["url"].rpartition("/")[2]
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert email(1).encode() not in raw
    assert first["url"] != second["url"]
    assert token[:12] != second["url"].rpartition("/")[2][:12]


@pytest.mark.parametrize("spoil", ["flip", "cut", "other seal", "empty", "long"])
async def test_a_link_that_is_none_of_ours_says_so_and_leads_to_the_form(tmp_path, client, keyed, spoil):
    way, before = await path(keyed), await entries(keyed)
    token = way.rpartition("/")[2]
    secrets = await asyncio.to_thread(secret_files.load_secrets, tmp_path / "data")
    other = b64(seal_box(secrets.seals[-1], b"cookie/1", b'["marketing_email",[["email","a@example.com"]]]'))
    spoiled = {
        "flip": token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1],
        "cut": token[:40],
        "other seal": other,
        "empty": "A",
        "long": "A" * 20_000,
    }[spoil]
    for method in ("GET", "POST"):
        answer = await client.request(method, f"{tokens.PATH}{spoiled}")
        assert answer.status_code == 404
        assert "Nothing was changed" in answer.text
        assert 'href="/privacy-choices"' in answer.text
    assert await entries(keyed) == before


async def test_a_letter_of_years_ago_still_works_after_the_keys_were_replaced(tmp_path):
    secrets = await asyncio.to_thread(secret_files.load_secrets, inside.install(tmp_path / "data"))
    link = tokens.UnsubscribeLink(Purpose.MARKETING_EMAIL, (("email", email(1)),))
    token = tokens.seal_unsubscribe(secrets.seals, link)
    newer = (*secrets.seals, b"n" * 32)
    assert tokens.open_unsubscribe(newer, token) == link
    assert email(1) not in repr(link)


async def test_the_click_is_a_request_by_e_mail_in_the_ledger_and_names_nobody(tmp_path, client, keyed):
    with structlog.testing.capture_logs() as lines:
        way = await path(keyed)
        await client.post(way, data=ONE_CLICK)
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite3")) as db:
        dump = "\n".join(db.iterdump())
        (body,) = db.execute("SELECT body FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
    entry = json.loads(body)
    assert (entry["e"], entry["src"], entry["m"], entry["p"]) == ("opt_out", "email", "email", ["marketing_email"])
    metrics = (await keyed.get("/metrics")).text
    assert 'gateway_requests_total{kind="opt_out",manner="email"} 1.0' in metrics
    for mark in (email(1), way.rpartition("/")[2]):
        assert mark not in repr(lines) + metrics + dump
    assert "/privacy-choices/unsubscribe/{token}" in repr(lines)


async def test_the_pages_address_goes_to_no_other_page(client, keyed):
    way = await path(keyed)
    for answer in (await client.get(way), await client.post(way, data=ONE_CLICK)):
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


async def test_a_click_while_the_ledger_cannot_be_written_is_kept(tmp_path, client, keyed):
    way = await path(keyed)
    (tmp_path / "data" / "ledger.sqlite3").rename(tmp_path / "away")
    answer = await client.post(way, data=ONE_CLICK)
    assert (answer.status_code, "You are unsubscribed" in answer.text) == (202, True)
    (tmp_path / "away").rename(tmp_path / "data" / "ledger.sqlite3")


async def test_a_click_that_can_be_kept_nowhere_says_that_nothing_was_saved(tmp_path, client, keyed, no_emergency):
    way = await path(keyed)
    (tmp_path / "data" / "ledger.sqlite3").rename(tmp_path / "away")
    answer = await client.post(way, data=ONE_CLICK)
    assert (answer.status_code, "Nothing was saved" in answer.text) == (503, True)
    assert "<button" in answer.text
    (tmp_path / "away").rename(tmp_path / "data" / "ledger.sqlite3")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"identifiers": [ME], "purpose": "sale"}, "/purpose"),
        ({"identifiers": [ME], "purpose": ["marketing_email"]}, "/purpose"),
        ({"identifiers": []}, "/identifiers"),
        ({"identifiers": [named("gaid", GAID)]}, "/identifiers"),
        ({"identifiers": [ME, named("email", "no address")]}, "/identifiers/1"),
        ({"identifiers": [named("email", email(n)) for n in range(5)]}, "/identifiers"),
        ({"identifiers": [ME], "expires": 1}, "/expires"),
    ],
)
async def test_a_link_that_cannot_be_made_is_refused_where_it_is_wrong(keyed, body, pointer):
    answer = await keyed.post("/v1/unsubscribe-links", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)


async def test_a_sender_of_many_letters_asks_once(keyed):
    rows = [{"identifiers": [named("email", email(n))]} for n in range(3)]
    content = "\n".join(map(json.dumps, [*rows, {"identifiers": 7}]))
    answer = await keyed.post(
        "/v1/unsubscribe-links", content=content, headers={"Content-Type": "application/x-ndjson"}
    )
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [("url" in line, line.get("problem")) for line in lines] == [(True, None)] * 3 + [(False, "malformed")]


async def test_without_a_public_address_no_link_is_made(tmp_path):
    async with inside.application(tmp_path / "data") as app, inside.client(app, **inside.DEV) as keyed:
        answer = await keyed.post("/v1/unsubscribe-links", json={"identifiers": [ME]})
    assert (answer.status_code, "[site] url" in answer.json()["detail"]) == (404, True)


async def test_a_stranger_makes_no_link(client):
    assert (await client.post("/v1/unsubscribe-links", json={"identifiers": [ME]})).status_code == 401
