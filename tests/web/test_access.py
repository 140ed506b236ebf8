import asyncio
import json
import re
import time

import pytest
import structlog
from support import inside
from support.people import GAID, email, gaid, named, phone

from gateway.keys import api_keys, secret_files

pytestmark = pytest.mark.anyio
PATH, PAGE = "/v1/access", "/privacy-choices/data"
DEV_PROOF = {"kind": "account", "assertion": "dev"}
MEMBERS = {"as_of", "proved", "standing", "age_band", "linked", "entries", "sources", "texts", "disclosures", "ignored"}


async def access(keyed, *identifiers, **more):
    return await keyed.post(PATH, json={"identifiers": list(identifiers), **more})


async def report(keyed, *identifiers):
    answer = await access(keyed, *identifiers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def link(keyed, account, *identifiers):
    assert (
        await keyed.post("/v1/links", json={"account": account, "identifiers": list(identifiers)})
    ).status_code == 201


async def lived(keyed, client):
    """An account with a number and a phone's ad id; a row about the id was shared; then the number opted out."""
    await link(keyed, "a1", named("phone", phone(1)), named("gaid", GAID))
    row = {"id": "r1", "identifiers": [named("gaid", GAID)], "data": {"ad_id": GAID}, "place": "US-CA"}
    assert (await keyed.post("/v1/shares/teemo", json=row)).status_code == 200
    await asyncio.sleep(0.01)
    assert (await client.post("/privacy-choices", data={"action": "opt_out", "phone": phone(1)})).status_code == 303


# --- the call ------------------------------------------------------------------------------------------------------


async def test_a_person_sees_what_is_held_and_who_received_what(keyed, client):
    await lived(keyed, client)
    found = await report(keyed, named("account", "a1"))
    assert set(found) == MEMBERS
    assert found["proved"] == [{"type": "account"}]
    assert found["standing"][0]["purposes"]["sale"] == "opted_out"  # it travelled from the number
    assert {each["type"] for each in found["linked"]} == {"phone", "gaid"}
    [entry] = found["entries"]
    assert (entry["type"], entry["what"], entry["source"], entry["manner"]) == ("phone", "opt_out", "form", "web")
    assert entry["details"]["form_token"] == "missing"
    [received] = found["disclosures"]
    assert (received["recipient"], received["purposes"], received["data"]) == ("teemo", ["sale"], ["ad_id"])
    assert (received["count"], received["outcome"]) == (1, "possible")
    assert received["first"] == received["last"]
    assert received["first"].startswith(received["day"])
    assert found["sources"] == ["form"]


async def test_the_texts_that_were_shown_come_with_it(keyed):
    notices = (await keyed.get("/v1/self")).json()["notices"]
    shown = next(each["sha256"] for each in notices if each["kind"] == "opt-in")
    body = {"identifiers": [named("email", email(1))], "choice": "opt_out", "notice": {"sha256": shown}}
    assert (await keyed.post("/v1/choices", json=body)).status_code == 201
    found = await report(keyed, named("email", email(1)))
    assert found["entries"][0]["notice"] == shown
    [text] = found["texts"]
    assert text["sha256"] == shown
    assert len(text["text"]) > 100


async def test_the_answer_has_one_shape_whether_anything_is_known_or_not(keyed, client):
    """V25, R6."""
    await lived(keyed, client)
    known, unknown = await report(keyed, named("phone", phone(1))), await report(keyed, named("phone", phone(2)))
    assert set(known) == set(unknown) == MEMBERS
    assert unknown["entries"] == unknown["disclosures"] == unknown["linked"] == []
    assert unknown["standing"][0].keys() == known["standing"][0].keys()
    assert unknown["standing"][0]["purposes"].keys() == known["standing"][0]["purposes"].keys()


async def test_a_number_shows_nothing_of_its_account_and_an_account_nothing_of_another(keyed, client):
    """R12."""
    await lived(keyed, client)
    number = await report(keyed, named("phone", phone(1)))
    assert number["linked"] == number["disclosures"] == []
    assert re.search(r"(?<![\w-])a1(?![\w-])", json.dumps(number)) is None  # ids of events are random letters
    other = await report(keyed, named("account", "a2"))
    assert other["entries"] == other["linked"] == other["disclosures"] == []


async def test_the_next_holder_of_a_number_sees_nothing_of_the_one_before(keyed, client):
    """R5."""
    await lived(keyed, client)
    await keyed.post("/v1/links", json={"identifiers": [named("phone", phone(1))], "event": "number_released"})
    await link(keyed, "b1", named("phone", phone(1)))
    for proved in (named("phone", phone(1)), named("account", "b1")):
        found = await report(keyed, proved)
        assert (found["entries"], found["disclosures"], found["age_band"]) == ([], [], None)
    assert len((await report(keyed, named("account", "a1")))["entries"]) == 1  # the control


async def test_what_is_merely_linked_is_not_shown_when_something_else_is_proved(keyed, client):
    await lived(keyed, client)
    found = await report(keyed, named("gaid", GAID))
    assert found["entries"] == []
    assert len(found["disclosures"]) == 1  # of the id itself


async def test_an_identifier_that_cannot_be_read_is_named_and_costs_the_others_nothing(keyed, client):
    await lived(keyed, client)
    found = await report(keyed, named("email", "rubbish"), named("account", "a1"))
    assert found["ignored"] == [{"pointer": "/identifiers/0", "reason": "malformed"}]
    assert len(found["entries"]) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 400), ({}, 400), ({"identifiers": []}, 400), ({"identifiers": "x"}, 400), ({"who": 1}, 400),
        ({"identifiers": [1] * 1001}, 413), ({"identifiers": [{}], "place": 7}, 200), ({"identifiers": [None]}, 200),
        (None, 400),
    ],
    ids=range(9),
)  # fmt: skip
async def test_a_body_that_is_none_is_refused_and_never_a_fault(keyed, body, status):
    assert (await keyed.post(PATH, json=body)).status_code == status


async def new_key(folder, name, *scopes):
    return await asyncio.to_thread(api_keys.add_api_key, folder, name, scopes, publishable=False)


@pytest.mark.parametrize("scopes", [("choose",), ("check",), ("export",)])
async def test_without_scope_desk_nothing_is_shown_that_the_call_does_not_prove(tmp_path, scopes):
    folder = inside.install(tmp_path / "data")
    secret = await new_key(folder, "app", *scopes)
    async with inside.application(folder, dev=False) as app, inside.client(app) as client:
        headers = {"Authorization": f"Bearer {secret}"}
        for proof in (None, {}, DEV_PROOF, {"kind": "desk", "note": "they said so"}):
            body = {"identifiers": [named("phone", phone(1))], "proof": proof}
            answer = await client.post(PATH, json=body, headers=headers)
            assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "proof_required")
        assert (await client.post(PATH, json=body)).status_code == 401


async def test_in_development_a_call_may_prove_and_the_desk_needs_not(tmp_path):
    folder = inside.install(tmp_path / "data")
    app_key, desk = await new_key(folder, "app", "choose"), await new_key(folder, "desk", "desk")
    async with inside.application(folder) as app, inside.client(app) as client:
        body = {"identifiers": [named("phone", phone(1))]}
        for secret, proof, status in ((app_key, DEV_PROOF, 200), (app_key, None, 403), (desk, None, 200)):
            headers = {"Authorization": f"Bearer {secret}"}
            answer = await client.post(PATH, json=body | {"proof": proof}, headers=headers)
            assert answer.status_code == status


async def test_nothing_that_is_asked_for_stands_in_a_log_or_is_written(keyed, client):
    await lived(keyed, client)
    before = (await client.get("/readyz")).json()["ledger"]["entries"]
    with structlog.testing.capture_logs() as lines:
        answer = await access(keyed, named("phone", phone(1)), named("account", "a1"))
    assert answer.headers["cache-control"] == "no-store"
    assert phone(1)[2:] not in repr(lines)
    assert (await client.get("/readyz")).json()["ledger"]["entries"] == before


# --- the page ------------------------------------------------------------------------------------------------------


@pytest.fixture
def signed_in(tmp_path):
    """The header of the site's server for an account."""
    secret = secret_files.load_secrets(inside.install(tmp_path / "data")).accounts[-1]
    return lambda account: {"Gateway-Account": api_keys.assert_account(secret, account, int(time.time()) + 600)}


async def browser(client):
    """The cookie of a browser that opted out."""
    answer = await client.post("/privacy-choices", data={"action": "opt_out"})
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


async def test_a_signed_in_person_reads_and_downloads_their_report(signed_in, keyed, client):
    await lived(keyed, client)
    headers = signed_in("a1")
    shown = await client.post(PAGE, data={"action": "show"}, headers=headers)
    assert shown.status_code == 200
    for words in ("phone number", "advertising id", "<strong>teemo</strong>: ad id (sale); once, at", "opt out"):
        assert words in shown.text
    saved = await client.post(PAGE, data={"action": "download"}, headers=headers)
    assert saved.headers["content-disposition"] == 'attachment; filename="my-privacy-data.json"'
    assert saved.headers["cache-control"] == "no-store"
    assert set(saved.json()) == MEMBERS - {"ignored"}
    assert saved.json()["entries"][0]["type"] == "phone"


async def test_looking_at_the_page_shows_nothing_yet_of_anybody(signed_in, keyed, client):
    await lived(keyed, client)
    text = (await client.get(PAGE, headers=signed_in("a1"))).text
    assert "you are signed in" in text
    assert "teemo" not in text
    assert "What holds now" not in text


async def test_the_page_says_plainly_who_one_is_and_how_to_show_more(client):
    text = (await client.get(PAGE)).text
    assert "Not this browser" in text
    assert "you are not signed in" in text
    assert 'name="email"' in text
    assert 'name="phone"' not in text, "nothing brings text messages here"
    assert 'href="mailto:privacy-talkatone@ooma.com"' in text[text.index("write to us") :][:200]


async def test_where_no_codes_are_sent_the_page_says_so_and_the_other_ways(tmp_path):
    async with inside.application(tmp_path / "data", dev=False) as app, inside.client(app) as client:
        text = (await client.get(PAGE)).text
    assert "This site sends no codes" in text
    assert "Our office checks that it is yours" in text
    assert 'name="email"' not in text


async def test_a_page_is_the_same_for_somebody_unknown_and_for_nobody(signed_in, keyed, client):
    """V25: an account of which nothing is known, and a browser without a cookie."""
    await lived(keyed, client)
    one = await client.post(PAGE, data={"action": "show"}, headers=signed_in("nobody1"))
    two = await client.post(PAGE, data={"action": "show"}, headers=signed_in("nobody2"))
    assert one.text == two.text
    none = await client.post(PAGE, data={"action": "show"})
    assert none.status_code == 200
    assert "Nothing was shown to be yours" in none.text


async def test_a_browser_shows_its_own_choices_and_no_receipt_again(client):
    """R35: whoever sits here next sees what holds, and gets no reference to what was said."""
    cookie = await browser(client)
    found = (await client.post(PAGE, data={"action": "download"}, headers=cookie)).json()
    assert [(entry["type"], entry["what"], entry["event"]) for entry in found["entries"]] == [
        ("browser", "opt_out", None)
    ]
    assert found["proved"] == [{"type": "browser"}]


async def test_a_forged_account_or_cookie_proves_nothing(keyed, client):
    await lived(keyed, client)
    headers = {"Gateway-Account": "v1.a1.9999999999." + "0" * 64, "Cookie": "__Host-gateway=AAAA; uid=1"}
    found = (await client.post(PAGE, data={"action": "download"}, headers=headers)).json()
    assert found["proved"] == found["entries"] == found["disclosures"] == []


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example.com"}])
async def test_another_site_cannot_have_the_report_made(signed_in, client, headers):
    answer = await client.post(PAGE, data={"action": "download"}, headers=headers | signed_in("a1"))
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "cross_site")


@pytest.mark.parametrize("body", [b"", b"%ff=%ff", b"&".join([b"a=b"] * 50), b"a" * 5000])
async def test_a_form_that_is_none_is_answered_and_never_a_fault(client, body):
    assert (await client.post(PAGE, content=body)).status_code in {200, 400, 413}


async def test_the_choices_page_leads_to_it_and_it_runs_no_script(client):
    assert f'href="{PAGE}"' in (await client.get("/privacy-choices")).text
    answer = await client.get(PAGE)
    assert "<script" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_what_a_partner_sends_is_shown_as_text(keyed, client, signed_in):
    """A place or a recipient cannot carry markup into the page; here it is the id of a declared kind."""
    await link(keyed, "a1", named("gaid", gaid(1)))
    body = {"identifiers": [named("account", "a1")], "choice": "opt_out", "place": "<b>US-CA</b>", "source": "<i>"}
    await keyed.post("/v1/choices", json=body)
    text = (await client.post(PAGE, data={"action": "show"}, headers=signed_in("a1"))).text
    assert "<b>" not in text
    assert "<i>" not in text


@pytest.mark.parametrize("mode", ["erase_details", "unlink"])
async def test_after_an_erasure_nothing_of_before_is_shown_and_what_comes_later_is(keyed, client, mode):
    """R19. Before it there was something to show."""
    await lived(keyed, client)
    whole = [named("account", "a1"), named("phone", phone(1)), named("gaid", GAID)]
    before = await report(keyed, *whole)
    assert before["entries"]
    assert before["disclosures"]
    assert (await keyed.post("/v1/erasures", json={"identifiers": whole, "mode": mode})).status_code == 200
    for proved in (whole, whole[:1], whole[1:2], whole[2:]):
        found = await report(keyed, *proved)
        said = [entry for entry in found["entries"] if entry["what"] == "opt_out"]
        assert (said, found["disclosures"], found["texts"]) == ([], [], [])
    await keyed.post("/v1/choices", json={"identifiers": whole[1:2], "choice": "opt_out"})
    assert [entry["what"] for entry in (await report(keyed, *whole[1:2]))["entries"]][-1] == "opt_out"
