import pytest
from support import inside
from support.people import GAID, named, phone

pytestmark = pytest.mark.anyio


async def test_a_person_who_posts_the_form_with_a_phone_is_denied_everywhere_it_leads(client, keyed):
    link = {
        "account": "a1",
        "identifiers": [named("phone", phone(1)), named("gaid", GAID), named("email", "p@example.com")],
    }
    assert (await keyed.post("/v1/links", json=link)).status_code == 201
    done = await client.post("/privacy-choices", data={"action": "opt_out", "phone": phone(1)})
    assert done.status_code == 303
    page = await client.get(done.headers["location"], headers=inside.kept(done))
    assert "Opt-Out Request Honored" in page.text
    for kind, value in (
        ("phone", phone(1)),
        ("account", "a1"),
        ("gaid", GAID),
        ("gaid", GAID.upper()),
        ("email", "p@example.com"),
    ):
        check = {"identifiers": [named(kind, value)], "recipient": "teemo", "place": "US-NY"}
        answer = (await keyed.post("/v1/check", json=check)).json()
        assert (answer["allowed"], answer["partly"], answer["reason"]) == (False, False, "opted_out"), (kind, answer)
    fresh = {"identifiers": [named("gaid", GAID.replace("d", "e"))], "recipient": "teemo", "place": "US-NY"}
    answer = (await keyed.post("/v1/check", json=fresh)).json()
    assert answer["data"] == {"precise_geo": "coarsen", "ad_id": "allow"}


async def test_gpc_without_cookies_is_honored_and_writes_nothing(client, keyed):
    before = (await keyed.get("/readyz")).json()["ledger"]["entries"]
    for _ in range(5):
        page = await client.get("/demo", headers={"Sec-GPC": "1", "Sec-Fetch-Mode": "navigate"})
        assert "Opt-Out Request Honored" in page.text
        assert "set-cookie" in page.headers
        client.cookies.clear()
    assert (await keyed.get("/readyz")).json()["ledger"]["entries"] == before
