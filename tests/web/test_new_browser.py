"""`POST /v1/observe` by a site's own server: whose browser this is, and a browser that the server asks for (I1,
R12)."""

import asyncio
import contextlib

import pytest
from support import inside
from support.people import GAID, email, gaid, named, phone

from gateway.keys import api_keys, seals, secret_files
from gateway.web.shell.own_cookies import BROWSER_COOKIE, DAYS

pytestmark = pytest.mark.anyio
PATH, NAVIGATION = "/v1/observe", {"sec-fetch-mode": "navigate", "accept": "text/html"}
ACCOUNT, NEW = named("account", "a1"), {**named("browser", "new"), "host": "www.example.com"}
GPC = {"gpc": "1"}


async def observe(calling, *identifiers, signals=None, **members):
    body = {"identifiers": list(identifiers), "signals": signals or {}, "place": "US-CA"} | members
    return await calling.post(PATH, json=body)


async def new_browser(keyed, *others, **members) -> str:
    """The cookie of a browser that was made."""
    return (await observe(keyed, NEW, *others, **members)).json()["cookie"]["value"]


async def opt_out(keyed, *identifiers):
    body = {"identifiers": list(identifiers), "choice": "opt_out", "place": "US-CA"}
    assert (await keyed.post("/v1/choices", json=body)).status_code == 201


async def denied(keyed, identifier) -> bool:
    body = {"identifiers": [identifier], "recipient": "teemo", "place": "US-NY"}
    answer = (await keyed.post("/v1/check", json=body)).json()
    return not answer["allowed"] and not answer["partly"]


async def told(client, cookie: str) -> str:
    answer = await client.get("/privacy-choices/status", headers={"Cookie": f"{BROWSER_COOKIE}={cookie}"})
    return answer.json()["status"]


async def entries(client) -> int:
    return (await client.get("/readyz")).json()["ledger"]["entries"]


@pytest.fixture
def app_key(app, tmp_path):
    """A publishable key, as in everybody's app."""
    key = api_keys.add_api_key(tmp_path / "data", "app", ["choose"], publishable=True)
    return inside.client(app, Authorization=f"Bearer {key}")


@pytest.fixture
def server_key(app, tmp_path):
    """A secret key that may choose and nothing else, as the site's server has."""
    key = api_keys.add_api_key(tmp_path / "data", "site", ["choose"], publishable=False)
    return inside.client(app, Authorization=f"Bearer {key}")


@pytest.fixture
def sealing(app, tmp_path):
    """The keys that the installation's cookies are sealed with."""
    return secret_files.load_secrets(tmp_path / "data").seals


# --- whose browser it is -------------------------------------------------------------------------------------------


async def test_a_second_browser_of_an_opted_out_person_denies_once_the_site_said_whose_it_is(keyed, client):
    await opt_out(keyed, ACCOUNT)
    browser = await new_browser(keyed)
    assert await told(client, browser) == "not_opted_out"
    answer = await observe(keyed, ACCOUNT, named("browser", browser))
    assert answer.json()["standing"]["sale"] == "opted_out"  # the first page, too, as soon as its server has asked
    assert await told(client, browser) == "opted_out"
    assert await denied(keyed, named("browser", browser))


async def test_a_browsers_signal_before_sign_in_reaches_the_account_and_all_it_has(keyed):
    mine = [named("phone", phone(1)), named("email", email(1)), named("gaid", GAID)]
    await keyed.post("/v1/links", json={"account": "a1", "identifiers": mine})
    browser = await new_browser(keyed, signals=GPC)
    await observe(keyed, named("browser", browser))
    assert not await denied(keyed, ACCOUNT)
    await observe(keyed, ACCOUNT, named("browser", browser))
    for identifier in (ACCOUNT, *mine):
        assert await denied(keyed, identifier), identifier


async def test_the_token_that_the_site_was_handed_names_the_browser_as_well(keyed, client, sealing):
    now = 4_000_000_000
    await opt_out(keyed, ACCOUNT)
    cookie = await new_browser(keyed)
    browser = seals.open_cookie(sealing, cookie).browser
    await observe(keyed, ACCOUNT, named("browser", seals.seal_browser(sealing, browser, now)))
    assert await told(client, cookie) == "opted_out"


async def test_a_server_key_that_may_only_choose_ties(server_key, keyed):
    await opt_out(keyed, ACCOUNT)
    async with server_key:
        browser = await new_browser(server_key, ACCOUNT)
    assert await denied(keyed, named("browser", browser))


@pytest.mark.slow
async def test_a_thousand_calls_alike_write_nothing_more(keyed, client):
    browser = await new_browser(keyed, ACCOUNT, signals=GPC)
    assert (await observe(keyed, ACCOUNT, named("browser", browser), signals=GPC)).status_code == 200
    before = await entries(client)
    calls = [observe(keyed, ACCOUNT, named("browser", browser), signals=GPC) for _ in range(1000)]
    assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}
    assert await entries(client) == before


async def test_a_browser_that_is_new_is_written_beside_an_account_that_said_so_before(app_key, keyed):
    browser = await new_browser(keyed)
    async with app_key:
        await observe(app_key, ACCOUNT, signals=GPC)
        assert (await observe(app_key, ACCOUNT, named("browser", browser), signals=GPC)).status_code == 200
    assert await denied(keyed, named("browser", browser))


# --- what ties nothing (R12) ---------------------------------------------------------------------------------------


async def test_a_key_that_is_in_everybodys_app_ties_nobodys_browser_to_an_account(app_key, keyed, client):
    browser = await new_browser(keyed)
    await opt_out(keyed, ACCOUNT)
    before = await entries(client)
    async with app_key:
        assert (await observe(app_key, ACCOUNT, named("browser", browser))).status_code == 200
    assert await entries(client) == before
    assert not await denied(keyed, named("browser", browser))


@pytest.mark.parametrize(
    "other", [named("gaid", gaid(3)), named("phone", phone(3)), named("email", email(3))], ids=repr
)
async def test_nothing_but_a_browser_is_tied_to_the_account_beside_it(keyed, other):
    await opt_out(keyed, ACCOUNT)
    await new_browser(keyed, ACCOUNT, other)
    assert not await denied(keyed, other)


async def test_of_two_accounts_nobody_said_whose_the_browser_is(keyed, client):
    await opt_out(keyed, ACCOUNT)
    browser = await new_browser(keyed, ACCOUNT, named("account", "a2"))
    assert not await denied(keyed, named("browser", browser))
    assert not await denied(keyed, named("account", "a2"))


async def test_a_browser_without_an_account_beside_it_is_tied_to_nobody(keyed, client):
    before = await entries(client)
    await new_browser(keyed)
    assert await entries(client) == before


# --- a browser that is made ----------------------------------------------------------------------------------------


async def test_the_answer_has_the_whole_cookie_that_the_site_sets(keyed):
    cookie = (await observe(keyed, NEW)).json()["cookie"]
    assert (cookie["name"], cookie["host"]) == ("__Host-gateway", "www.example.com")
    attributes = set(cookie["attributes"].split("; "))
    assert attributes == {"Path=/", "Secure", "HttpOnly", "SameSite=Lax", f"Max-Age={DAYS * 86_400}"}


async def test_two_that_are_made_are_two_browsers(keyed, sealing):
    made = {seals.open_cookie(sealing, await new_browser(keyed)).browser for _ in range(5)}
    assert len(made) == 5


async def test_a_web_view_that_opens_with_the_cookie_is_denied_from_its_first_request(keyed, client):
    await opt_out(keyed, ACCOUNT)
    browser = await new_browser(keyed, ACCOUNT)
    page = await client.get("/demo", headers={**NAVIGATION, "Cookie": f"{BROWSER_COOKIE}={browser}"})
    assert "content-security-policy" in page.headers
    assert await told(client, browser) == "opted_out"


async def test_a_signal_beside_it_is_in_the_cookie_and_holds_while_the_ledger_is_away(keyed, sealing):
    assert not seals.open_cookie(sealing, await new_browser(keyed)).denied
    assert "sale" in seals.open_cookie(sealing, await new_browser(keyed, signals=GPC)).denied


@pytest.mark.parametrize("host", [None, "", 7, ["www.example.com"], "a b", "x" * 300, "www.example.com/path"], ids=repr)
async def test_without_a_host_none_is_made_and_the_rest_of_the_call_counts(keyed, host):
    answer = await observe(keyed, named("browser", "new") | {"host": host}, ACCOUNT, signals=GPC)
    assert answer.status_code == 200
    assert "cookie" not in answer.json()
    assert answer.json()["ignored"] == [{"pointer": "/identifiers/0", "reason": "malformed"}]
    assert await denied(keyed, ACCOUNT)


async def test_an_app_in_everybodys_hands_makes_no_browser_and_its_signal_counts(app_key, keyed):
    async with app_key:
        answer = await observe(app_key, ACCOUNT, NEW, signals=GPC)
    assert "cookie" not in answer.json()
    assert answer.json()["ignored"] == [{"pointer": "/identifiers/1", "reason": "malformed"}]
    assert await denied(keyed, ACCOUNT)


async def test_of_several_only_the_first_is_made_and_the_others_are_named(keyed):
    answer = await observe(keyed, ACCOUNT, NEW, NEW)
    assert answer.json()["cookie"]["name"] == BROWSER_COOKIE
    assert answer.json()["ignored"] == [{"pointer": "/identifiers/2", "reason": "malformed"}]


@pytest.mark.parametrize("how", ["flag", "off"])
async def test_a_site_that_gives_browsers_no_id_gives_none_here(tmp_path, how):
    configured = inside.settings(browser__remember_gpc=how)
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app, **inside.DEV) as keyed:
        assert "cookie" not in (await observe(keyed, NEW, ACCOUNT)).json()


# --- while the ledger is away --------------------------------------------------------------------------------------


@pytest.fixture
def away(app, tmp_path):
    """The ledger cannot be written inside the `with`."""

    @contextlib.contextmanager
    def gone():
        with inside.ledger_away(tmp_path / "data"):
            yield

    return gone


async def test_a_signal_is_kept_and_whose_browser_it_is_has_to_be_told_again(keyed, away):
    with away():
        kept = await observe(keyed, ACCOUNT, NEW, signals=GPC)
        silent = await observe(keyed, ACCOUNT, NEW)
    assert (kept.status_code, kept.json()["effective_at"], kept.json()["cookie"]["name"]) == (202, None, BROWSER_COOKIE)
    assert (silent.status_code, silent.headers["retry-after"]) == (503, "1")
