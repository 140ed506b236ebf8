"""The value that goes into an ad request's body: `ad_token` of `GET /privacy-choices/status` (I2)."""

import time

import pytest
from support import inside
from support.people import named

from gateway.keys import seals, secret_files
from gateway.keys.seals import BrowserCookie

pytestmark = pytest.mark.anyio
GPC = {"Sec-GPC": "1"}


@pytest.fixture
def sealing(app, tmp_path):
    return secret_files.load_secrets(tmp_path / "data").seals


@pytest.fixture
def known(sealing):
    """The cookie of a browser that has an id here and said nothing."""
    return f"__Host-gateway={seals.seal_cookie(sealing, BrowserCookie(seals.new_browser(), 20_781, frozenset()))}"


async def status(client, *, cookie="", **headers):
    headers |= {"Cookie": cookie} if cookie else {}
    return await client.get("/privacy-choices/status", headers=headers)


async def reason(keyed, value):
    body = {"identifiers": [named("browser", value)], "recipient": "teemo", "place": "US-CA"}
    return (await keyed.post("/v1/check", json=body)).json()["reason"]


def value_of(answer) -> str:
    return answer.headers["set-cookie"].partition(";")[0].partition("=")[2]


async def test_an_ad_server_on_another_host_asks_by_the_ad_token_alone(client, keyed):
    """I2: it sees no cookie of ours, and an opt-out by the form needs no signal in its request."""
    done = await client.post("/privacy-choices", data={"action": "opt_out"})
    out = (await status(client, cookie=f"__Host-gateway={value_of(done)}")).json()["ad_token"]
    assert await reason(keyed, out) == "opted_out"


async def test_an_ad_token_of_somebody_who_said_nothing_denies_nothing(client, keyed, known):
    """Control."""
    told = (await status(client, cookie=known)).json()
    assert told["status"] == "not_opted_out"
    assert await reason(keyed, told["ad_token"]) != "opted_out"


async def test_no_two_ad_tokens_are_alike_and_none_tells_the_browser(client, known, sealing):
    tokens = [(await status(client, cookie=known)).json()["ad_token"] for _ in range(3)]
    opened = {seals.open_browser(sealing, token, 0).value for token in tokens}
    assert (len(set(tokens)), len(opened)) == (3, 1)
    assert not any(browser in token for browser in opened for token in tokens)


@pytest.mark.parametrize(("seconds", "good"), [(599, True), (601, False)])
async def test_an_ad_token_is_good_for_ten_minutes(client, known, sealing, seconds, good):
    token = (await status(client, cookie=known)).json()["ad_token"]
    made = time.time()
    if good:
        assert seals.open_browser(sealing, token, int(made + seconds))
    else:
        with pytest.raises(seals.OpeningFailed):
            seals.open_browser(sealing, token, int(made + seconds))


@pytest.mark.parametrize("cookie", ["", "__Host-gateway=forged", "usprivacy=1YYN"])
async def test_a_browser_without_an_id_has_no_ad_token(client, cookie):
    assert (await status(client, cookie=cookie)).json()["ad_token"] is None


async def test_a_browser_that_is_remembered_by_a_flag_alone_has_no_ad_token(tmp_path):
    configured = inside.settings(browser__remember_gpc="flag")
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as client:
        sealed = value_of(await status(client, **GPC))
        told = (await status(client, cookie=f"__Host-gateway={sealed}")).json()
        assert (told["status"], told["ad_token"]) == ("opted_out", None)
