"""The page of marketing preferences: one step, whoever it is about, and nothing is opened by it."""

import re

import pytest
from support import inside
from support.people import email, phone

from gateway.keys import api_keys, secret_files
from gateway.web.pages.marketing import CHANNELS, CPNI

pytestmark = pytest.mark.anyio
PATH = "/privacy-choices/marketing"
ALL = {"action": "opt_out"}
TICKED = {"action": "ticked"}


@pytest.fixture
def signed(app, tmp_path):
    """The headers of a person who is signed in."""
    secret = secret_files.load_secrets(tmp_path / "data").accounts[-1]
    return {"Gateway-Account": api_keys.assert_account(secret, "a1", 4_000_000_000)}


async def lines(client, data, **headers):
    """What the confirmation says is covered, with its uses."""
    answer = await client.post(PATH, data=data, headers=headers)
    assert answer.status_code == 303, answer.text
    shown = await client.get(answer.headers["location"])
    return re.findall(r"<li><strong>(.*?)</strong> – (.*?)</li>", shown.text), shown.text


async def test_a_person_stops_all_marketing_to_an_address_in_one_step(client):
    covered, text = await lines(client, ALL | {"email": email(1)})
    assert [state for state, _ in covered] == ["Opted out", "Opted out"]
    assert all("marketing by email" in uses and "marketing by letter" in uses for _, uses in covered)
    assert "Opt-Out Request Honored" in text


async def test_a_person_stops_one_channel_and_no_other(client):
    covered, _ = await lines(client, TICKED | {"purpose": "marketing_text", "phone": phone(1)})
    assert all("marketing by text message" in uses for _, uses in covered)
    assert not any("email" in uses.partition("<br>")[2] for _, uses in covered)


async def test_marketing_does_not_touch_the_sale_of_information(client):
    answer = await client.post(PATH, data=ALL | {"email": email(1)})
    cookie = answer.headers["set-cookie"].partition(";")[0]
    status = (await client.get("/privacy-choices/status", headers={"Cookie": cookie})).json()
    assert set(status["purposes"].values()) == {"none"}


@pytest.mark.parametrize(
    ("typed", "words", "field"),
    [
        ({}, "Say where the marketing reaches you", "email"),
        ({"email": "nobody"}, "We cannot read this", "email"),
        ({"phone": "call me"}, "We cannot read this", "phone"),
    ],
)
async def test_a_person_who_cannot_be_reached_is_told_so_at_the_field_and_nothing_is_saved(client, typed, words, field):
    before = (await client.get("/readyz")).json()["ledger"]["entries"]
    answer = await client.post(PATH, data=ALL | typed)
    assert answer.status_code == 422
    assert "Nothing was saved" in answer.text
    assert f'<a href="#{field}">{words}' in answer.text
    assert re.search(rf'<input id="{field}"[^>]*aria-invalid="true" aria-describedby="{field}-wrong"', answer.text)
    assert (await client.get("/readyz")).json()["ledger"]["entries"] == before


async def test_a_person_who_ticked_nothing_is_asked_to_and_what_they_typed_is_still_there(client):
    answer = await client.post(PATH, data=TICKED | {"email": email(1)})
    assert answer.status_code == 422
    assert '<a href="#marketing_email">Tick at least one kind of marketing' in answer.text
    assert f'value="{email(1)}"' in answer.text


async def test_what_can_be_read_is_taken_and_the_rest_is_named(client):
    covered, text = await lines(client, ALL | {"email": email(1), "phone": "call me"})
    assert len(covered) == 2
    assert "We could not read the phone number that you gave" in text


async def test_a_signed_in_person_types_nothing_and_sees_what_holds_for_the_account(client, signed):
    before = await client.get(PATH, headers=signed)
    assert before.text.count("<strong>Not stopped</strong>") == len(CHANNELS) + len(CPNI)
    covered, _ = await lines(client, TICKED | {"purpose": "marketing_mail"}, **signed)
    assert [uses.partition("<br>")[0] for _, uses in covered][1].startswith("your account")
    after = await client.get(PATH, headers=signed)
    assert re.findall(r"<strong>Stopped</strong> – (.*?)</li>", after.text) == ["marketing by letter"]
    assert "Stopped" not in (await client.get(PATH)).text  # a stranger sees nothing of it


async def test_a_tick_that_cannot_be_read_beside_others_stops_all_of_it(client):
    covered, _ = await lines(client, TICKED | {"purpose": ["marketing_mail", "marketing_txet"], "email": email(1)})
    assert all("marketing by email" in uses and "marketing by letter" in uses for _, uses in covered)


async def test_the_page_says_that_legal_notices_go_out_regardless_and_offers_no_way_to_stop_them(client):
    text = (await client.get(PATH)).text
    assert "You cannot opt out of legal notices" in text
    assert "legal_notice" not in text
    forged = await client.post(PATH, data=TICKED | {"purpose": "legal_notice", "email": email(1)})
    assert forged.status_code == 422


@pytest.mark.parametrize("module", ["true", "false"])
async def test_information_about_calls_is_offered_where_the_module_is_on(tmp_path, module):
    configured = inside.settings(cpni__module=module)
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as client:
        text = (await client.get(PATH)).text
        assert ("information about my calls" in text) is (module == "true")


async def test_another_site_cannot_post_it(client):
    answer = await client.post(PATH, data=ALL | {"email": email(1)}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "Nothing was saved" in answer.text


async def test_a_form_that_cannot_be_kept_is_refused_with_the_fields_filled(client, tmp_path, no_emergency):
    with inside.ledger_away(tmp_path / "data"):
        answer = await client.post(PATH, data=ALL | {"email": email(4)})
    assert answer.status_code == 503
    assert "Nothing was saved" in answer.text
    assert f'value="{email(4)}"' in answer.text
