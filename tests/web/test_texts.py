"""POST /v1/texts: somebody answers a marketing text with STOP."""

import asyncio
import base64
import contextlib
import sqlite3

import pytest
import structlog
from support import inside
from support.people import named, phone

from gateway.keys import api_keys
from gateway.settings.load import load_settings

pytestmark = pytest.mark.anyio
ME = named("phone", phone(1))
MAILING = """
[site]
name = "Example Phone"
url = "https://www.example.com"

[recipients.texting]
role = "service_provider"
purposes = ["marketing_text", "marketing_call", "marketing_email"]
data = ["contact"]
contract = "C-7"
"""


@pytest.fixture
def configured(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(MAILING)
    return inside.settings(file)


@pytest.fixture
async def app(tmp_path, configured):
    async with inside.application(tmp_path / "data", configured) as built:
        yield built


async def entries(keyed) -> int:
    return (await keyed.get("/readyz")).json()["ledger"]["entries"]


async def reason(keyed, purpose, person=ME):
    body = {"identifiers": [person], "recipient": "texting", "purpose": purpose, "place": "US-CA"}
    return (await keyed.post("/v1/check", json=body)).json()["reason"]


async def text(keyed, body="STOP", status=200, **members):
    answer = await keyed.post("/v1/texts", json={"from": phone(1), "to": "+14155550199", "body": body} | members)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_stop_ends_marketing_texts_and_calls_to_that_number_and_nothing_else(keyed):
    assert await reason(keyed, "marketing_text") == "opt_in_required"
    done = await text(keyed)
    assert done["action"] == "opted_out"
    assert done["standing"] == {"marketing_text": "opted_out", "marketing_call": "opted_out"}
    assert await reason(keyed, "marketing_text") == "opted_out"
    assert await reason(keyed, "marketing_call") == "opted_out"
    assert await reason(keyed, "marketing_email") != "opted_out"
    assert await reason(keyed, "marketing_text", named("phone", phone(2))) == "opt_in_required"


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        ("STOP", "no more"),
        ("Alto", "no recibirá más"),
        ("arrêt", "ne recevrez plus"),
        ("please stop texting me", "no more"),
    ],
)
async def test_the_answer_to_stop_is_one_text_in_the_words_language_and_names_the_sender(keyed, body, reply):
    done = await text(keyed, body)
    assert reply in done["reply"]
    assert done["reply"].startswith("Example Phone")
    assert len(done["reply"]) <= 160, "one text is 160 characters"


@pytest.mark.parametrize(("body", "says"), [("HELP", "STOP"), ("START", "nothing on"), ("YES", "nothing on")])
async def test_help_and_start_open_nothing_and_say_where_to_choose(keyed, body, says):
    await text(keyed)
    before = await entries(keyed)
    done = await text(keyed, body)
    assert (done["action"], await entries(keyed)) == ("none", before)
    assert says in done["reply"]
    assert "https://www.example.com/privacy-choices" in done["reply"]
    assert await reason(keyed, "marketing_text") == "opted_out"


@pytest.mark.parametrize("body", ["thanks!", "", "see you at the end"])
async def test_an_ordinary_text_changes_nothing_and_is_answered_by_nobody(keyed, body):
    before = await entries(keyed)
    assert await text(keyed, body) == {"action": "none", "reply": None}
    assert await entries(keyed) == before


@pytest.mark.parametrize(
    "form",
    [
        {"From": phone(1), "To": "+14155550199", "Body": "STOP", "MessageSid": "SM1", "NumMedia": "0"},
        {"msisdn": "14155550101", "to": "14155550199", "text": "stop", "messageId": "0B"},
        {"From": "14155550101", "Text": "Stop.", "MessageUUID": "u"},
    ],
)
async def test_a_provider_posts_its_own_form(keyed, form):
    answer = await keyed.post("/v1/texts", data=form)
    assert (answer.status_code, answer.json()["action"]) == (200, "opted_out"), answer.text
    assert await reason(keyed, "marketing_text") == "opted_out"


async def test_a_provider_that_writes_a_bare_plus_is_understood(keyed):
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    await keyed.post("/v1/texts", content=b"From=+447700900123&Body=STOP", headers=kind)
    assert await reason(keyed, "marketing_text", named("phone", "+447700900123")) == "opted_out"


async def test_a_provider_that_can_only_be_given_a_password_is_known_by_it(tmp_path, configured):
    async with inside.application(tmp_path / "data", configured, dev=False) as app, inside.client(app) as client:
        key = await asyncio.to_thread(api_keys.add_api_key, tmp_path / "data", "texts", ("choose",), publishable=False)
        basic = base64.b64encode(key.replace(".", ":", 1).encode()).decode()
        form = {"From": phone(1), "Body": "STOP"}
        answer = await client.post("/v1/texts", data=form, headers={"Authorization": f"Basic {basic}"})
        assert answer.status_code == 200, answer.text
        for wrong in ("", "Basic", "Basic !", f"Basic {basic[:-4]}", "Bearer a.b", "Basic w6k6w6k="):
            assert (await client.post("/v1/texts", data=form, headers={"Authorization": wrong})).status_code == 401


@pytest.mark.parametrize(("scopes", "publishable"), [(("check",), False), (("choose",), True)])
async def test_a_key_that_anybody_has_or_of_another_scope_says_nothing_for_a_number(
    tmp_path, configured, scopes, publishable
):
    async with inside.application(tmp_path / "data", configured, dev=False) as app, inside.client(app) as client:
        key = await asyncio.to_thread(api_keys.add_api_key, tmp_path / "data", "app", scopes, publishable=publishable)
        for kind in (f"Bearer {key}", "Basic " + base64.b64encode(key.replace(".", ":", 1).encode()).decode()):
            answer = await client.post(
                "/v1/texts", json={"from": phone(1), "body": "STOP"}, headers={"Authorization": kind}
            )
            assert answer.status_code == 403


async def test_a_text_that_the_provider_hands_on_twice_is_one_request(keyed):
    first, second = await text(keyed, id="m1"), await text(keyed, id="m1")
    assert first["event"] == second["event"]
    third = await text(keyed, id="m2")
    assert third["event"] != first["event"], "said again is a request of its own (R6)"


@pytest.mark.parametrize("sender", ["", "12345", "EXAMPLE", None, 7, ["+14155550101"]])
async def test_a_sender_that_is_no_number_is_told_apart(keyed, sender):
    answer = await keyed.post("/v1/texts", json={"from": sender, "body": "STOP"})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (422, "nothing_usable")


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [(b"[]", "application/json", 400), (b"{", "application/json", 400), (b"STOP", "text/plain", 415),
     (b"a=b&" * 500, "application/x-www-form-urlencoded", 400), (b"x" * 70_000, "application/json", 413)],
)  # fmt: skip
async def test_what_cannot_be_read_is_a_clear_refusal(keyed, content, kind, status):
    answer = await keyed.post("/v1/texts", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_text_itself_and_the_number_are_kept_nowhere(tmp_path, keyed):
    with structlog.testing.capture_logs() as lines:
        await text(keyed, "STOP SECRETMARK you know who I am", id="MARKID")
    metrics = (await keyed.get("/metrics")).text
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite3")) as db:
        dump = "\n".join(db.iterdump())
    for mark in ("SECRETMARK", phone(1), "MARKID", b"SECRETMARK".hex()):
        assert mark not in repr(lines) + metrics + dump, mark
    assert 'gateway_requests_total{kind="opt_out",manner="sms"} 1.0' in metrics


async def test_a_stop_while_the_ledger_cannot_be_written_is_kept_and_answered(tmp_path, keyed):
    (tmp_path / "data" / "ledger.sqlite3").rename(tmp_path / "away")
    done = await text(keyed, status=202)
    assert done["action"] == "opted_out"
    (tmp_path / "away").rename(tmp_path / "data" / "ledger.sqlite3")


async def test_the_day_that_a_text_came_is_kept_and_a_later_one_is_not_believed(tmp_path, keyed):
    await text(keyed, received_at="2026-01-02T03:04:05Z", id="a")
    await text(keyed, received_at="2999-01-01T00:00:00Z", id="b")
    await text(keyed, received_at="soon", id="c")
    assert await reason(keyed, "marketing_text") == "opted_out"


async def test_without_a_name_the_answer_begins_with_what_it_says(tmp_path):
    unnamed = inside.settings(site__name="")
    async with inside.application(tmp_path / "data", unnamed) as app, inside.client(app, **inside.DEV) as keyed:
        for body, begins in (("STOP", "You will get no"), ("ALTO", "No recibir"), ("ARRET", "Vous ne recevrez")):
            assert (await text(keyed, body))["reply"].startswith(begins)


@pytest.mark.parametrize("sender", ["3615551234", "(361) 555-1234", "4155550101"])
async def test_where_no_country_is_said_a_national_number_stops_no_stranger(tmp_path, sender):
    """+36 15551234 is somebody's in Budapest."""
    (file := tmp_path / "config.toml").write_text('[site]\nname = "Example Shop"\n')
    unsaid = load_settings(file, {})
    async with inside.application(tmp_path / "data", unsaid) as app, inside.client(app, **inside.DEV) as keyed:
        answer = await keyed.post("/v1/texts", json={"from": sender, "body": "STOP"})
        assert (answer.status_code, "[phone] country" in answer.text) == (422, True)
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        for form in (b"From=%2B14155550101&Body=STOP", b"From=+14155550101&Body=STOP"):
            assert (await keyed.post("/v1/texts", content=form, headers=kind)).status_code == 200
