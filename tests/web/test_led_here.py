"""Another site's form leads to a page of ours, as a bank's does after a payment: the browser keeps our cookie, which is
`SameSite=Lax`, out of that request, and takes one that the answer sets over it (RFC 6265bis 5.6.7, 5.7).
"""

import pytest
from support import inside
from support.door import Door
from support.people import named

from gateway.terms import ALL_PURPOSES
from gateway.web.shell.own_cookies import BROWSER_COOKIE

pytestmark = pytest.mark.anyio
ELSEWHERE = "https://shop.example.org"
LED = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Origin": "https://bank.example"}
OLD = {"Origin": "https://bank.example", "Accept": "text/html"}  # a browser without Fetch Metadata
ALL_NO = "sale=?0, sharing=?0, targeted_ads=?0"
NOBODYS = [
    {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Origin": "http://127.0.0.1:8080"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Origin": "https://m.testserver"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": "https://bank.example"},
    {},
]


def sent(headers: dict[str, str]) -> list[tuple[str, str]]:
    return [*headers.items()]


@pytest.fixture
def door(house):
    return Door(house, enforce=True)


@pytest.mark.parametrize("led", [LED, OLD])
async def test_whoever_is_led_here_may_have_opted_out_by_a_cookie_that_stayed_away(door, led):
    answer = await door.send(sent(led), method="POST")
    assert door.site.consent == f"{ALL_NO}, status=unknown"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "private" in answer.headers["cache-control"]


@pytest.mark.parametrize("headers", NOBODYS)
async def test_a_post_that_would_bring_our_cookie_or_replaces_none_is_answered_as_before(door, headers):
    await door.send(sent(headers), method="POST")
    assert door.site.consent.endswith("status=none")


async def test_a_page_that_a_link_leads_to_comes_with_our_cookie(door):
    await door.send(sent(LED))
    assert door.site.consent.endswith("status=none")


async def test_a_cookie_that_did_come_is_whose_page_it_is(door):
    await door.send([("Cookie", door.sealed()), *LED.items()], method="POST")
    assert door.site.consent.endswith("status=honored")


@pytest.mark.parametrize("led", [LED, OLD])
async def test_a_signal_that_comes_with_it_sets_no_cookie_over_one_that_says_more(door, led):
    answer = await door.send([("Sec-GPC", "1"), *led.items()], method="POST")
    assert "set-cookie" not in answer.headers
    assert door.site.consent.startswith(ALL_NO)


# --- in another site's frame ------------------------------------------------------------------------------------------

# As Chromium sends it, and a browser without Sec-Fetch-Storage-Access.
FRAME = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
FRAMED = [
    FRAME,
    {**FRAME, "Sec-Fetch-Dest": "object"},
    *({**FRAME, "Sec-Fetch-Storage-Access": word} for word in ("none", "inactive", "active")),
    {**FRAME, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Storage-Access": "none"},  # a link on the page in the frame
    {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Storage-Access": "none"},
]
UNFRAMED = [
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},  # a link at the top
    {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},  # our dialog
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image", "Sec-Fetch-Storage-Access": "none"},
]


@pytest.mark.parametrize("framed", FRAMED)
async def test_whoever_is_in_another_sites_frame_may_have_opted_out_by_a_cookie_that_stayed_away(door, framed):
    for _ in range(2):
        answer = await door.send(sent(framed))
        assert door.site.consent == f"{ALL_NO}, status=unknown"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "private" in answer.headers["cache-control"]


@pytest.mark.parametrize("headers", UNFRAMED)
async def test_a_link_from_another_site_and_a_frame_of_our_own_are_answered_as_before(door, headers):
    await door.send(sent(headers))
    assert door.site.consent.endswith("status=none")


async def test_in_a_frame_a_cookie_that_did_come_and_a_signal_for_everything_are_heard(door):
    await door.send([("Cookie", door.sealed()), *FRAME.items()])
    assert door.site.consent.endswith("status=honored")
    await door.send([("Sec-GPC", "1"), *FRAME.items()])
    assert door.site.consent == f"{ALL_NO}, status=honored"


@pytest.mark.parametrize("framed", [each for each in FRAMED if each["Sec-Fetch-Site"] == "same-origin"])
async def test_the_pages_script_in_such_a_frame_is_told_no(site, framed):
    async with inside.client(site, **framed) as browser:
        asked = [await browser.get("/privacy-choices/status"), await browser.post("/privacy-choices/observe", json={})]
    for told in [answer.json() for answer in asked]:
        assert {told["purposes"][name] for name in ("sale", "sharing", "targeted_ads")} == {"unknown"}
        assert (told["strings"]["us_privacy"], told["ad_token"]) == ("1YYN", None)


# --- our own form, posted from another origin of the operator's -------------------------------------------------------


@pytest.fixture
async def site(tmp_path):
    async with inside.application(tmp_path / "data", inside.settings(site__origins=ELSEWHERE)) as app:
        yield app


async def _says_no(site, **headers) -> str:
    """The cookie that a browser without one gets for a form that limits one use."""
    async with inside.client(site, **headers) as browser:
        answer = await browser.post("/privacy-choices", data={"action": "limit"})
        assert answer.status_code == 303
        return inside.kept(answer)["Cookie"]


async def _status(site, cookie: str) -> dict[str, str]:
    async with inside.client(site, Cookie=cookie) as browser:
        return (await browser.get("/privacy-choices/status")).json()["purposes"]


@pytest.mark.parametrize("led", [LED, OLD])
async def test_a_no_from_another_origin_of_ours_takes_back_none_that_the_browser_said_before(site, led):
    told = await _status(site, await _says_no(site, **{**led, "Origin": ELSEWHERE}))
    assert {name: told[name] for name in ALL_PURPOSES} == dict.fromkeys(ALL_PURPOSES, "opted_out")


async def test_the_cookie_of_such_a_no_denies_whoever_is_named_by_it(site):
    cookie = await _says_no(site, **{**LED, "Origin": ELSEWHERE})
    async with inside.client(site, Cookie=cookie) as browser:
        token = (await browser.get("/privacy-choices/status")).json()["ad_token"]
    async with inside.client(site, **inside.DEV) as keyed:
        body = {"identifiers": [named("browser", token)], "recipient": "teemo", "place": "US-CA"}
        assert (await keyed.post("/v1/check", json=body)).json()["allowed"] is False


async def test_the_form_on_our_own_page_says_what_it_says(site):
    told = await _status(site, await _says_no(site, **NOBODYS[0]))
    assert (told["sensitive"], told["sale"]) == ("opted_out", "none")


async def test_no_permission_is_begun_for_a_browser_that_brings_no_cookie(site):
    async with inside.client(site, **{**LED, "Origin": ELSEWHERE}) as browser:
        answer = await browser.post("/privacy-choices/opt-in", data={"what": "sale", "by": "browser"})
    assert answer.status_code == 403
    assert BROWSER_COOKIE not in answer.headers.get("set-cookie", "")
