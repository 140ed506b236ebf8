"""Two tabs of a browser that has no cookie yet: in one a form is sent, and the page that the other had asked for before
is answered behind it, with a cookie of its own.
"""

from datetime import UTC, datetime

import pytest
from support import inside
from support.door import Door, value_of

from gateway.app.service import in_front_of
from gateway.keys import seals, secret_files
from gateway.ledger.subjects import Choice
from gateway.terms import ALL_PURPOSES, SIGNAL_PURPOSES, ChoiceKind, Purpose, Source
from gateway.web.shell.own_cookies import BROWSER_COOKIE, SAID_COOKIE

pytestmark = pytest.mark.anyio
MINE, OTHER = bytes(15) + b"1", bytes(15) + b"2"
NAVIGATE, GPC = {"Sec-Fetch-Mode": "navigate"}, {"Sec-GPC": "1"}


async def site(scope, receive, send):
    told = [(b"x-" + name, value) for name, value in scope["headers"] if name in {b"gateway-consent", b"cookie"}]
    await send({"type": "http.response.start", "status": 200, "headers": told})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def folder(tmp_path):
    return inside.install(tmp_path / "data")


@pytest.fixture
def keys(folder):
    return secret_files.load_secrets(folder).seals


@pytest.fixture
async def browser(folder, keys):
    app = in_front_of(site, folder, place=lambda _: "US-CA")
    async with inside.lifespan(app), inside.client(app) as client:
        yield Browser(client, keys)


class Browser:
    def __init__(self, client, keys):
        self.client, self.keys, self.jar = client, keys, {}

    async def sends(self, method, path, headers=NAVIGATE, **more):
        """An answer that is on its way: `comes` takes it in."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        return await self.client.request(method, path, headers={**headers, "Cookie": cookie}, **more)

    def comes(self, answer):
        made = [line for line in answer.headers.get_list("set-cookie") if line.startswith(BROWSER_COOKIE)]
        self.jar |= {line.partition("=")[0]: value_of(line) for line in made if "Max-Age=0" not in line}
        return [line.partition("=")[0] for line in made]

    async def page(self):
        return self.comes(await self.sends("GET", "/page"))

    @property
    def cookie(self):
        return seals.open_cookie(self.keys, self.jar[BROWSER_COOKIE])


async def two_tabs(browser):
    late = await browser.sends("GET", "/slow", {**NAVIGATE, **GPC})
    form = await browser.sends("POST", "/privacy-choices", data={"action": "opt_out"})
    assert (form.status_code, BROWSER_COOKIE in browser.comes(form)) == (303, True)
    said = browser.cookie
    assert said.denied >= frozenset(ALL_PURPOSES)
    assert browser.comes(late) == [BROWSER_COOKIE]
    assert (browser.cookie.browser != said.browser, browser.cookie.denied) == (True, frozenset(SIGNAL_PURPOSES))
    return said


async def test_what_a_form_said_is_not_lost_to_what_a_page_heard(browser):
    said = await two_tabs(browser)
    other = browser.cookie
    assert await browser.page() == [BROWSER_COOKIE], "it says as much now"
    assert (browser.cookie.browser, browser.cookie.denied >= said.denied) == (other.browser, True)
    assert await browser.page() == [], "once"
    del browser.jar[SAID_COOKIE]  # an hour later
    assert await browser.page() == []


async def test_a_page_that_comes_behind_both_is_told_of_both_and_the_site_of_neither(browser):
    await two_tabs(browser)
    answer = await browser.sends("GET", "/page", {})
    assert answer.headers["x-gateway-consent"] == "sale=?0, sharing=?0, targeted_ads=?0, status=honored"
    assert answer.headers.get("x-cookie", "") == ""


async def page_of_two(house, mine, other):
    """A page that brings both cookies: it is told of the noes of both, and the first one's is set again."""
    door = Door(house)
    cookie = door.sealed(browser=mine, denied=frozenset())
    said = door.sealed(days_ago=400, browser=other, denied=frozenset({Purpose.SENSITIVE})).partition("=")[2]
    answer = await door.get(cookie=f"{cookie}; {SAID_COOKIE}={said}", **NAVIGATE)
    assert door.site.consent == "sale=?0, sharing=?0, targeted_ads=?0, status=honored"
    [made] = answer.headers.get_list("set-cookie")
    assert door.opened(made).browser == mine


@pytest.mark.parametrize("who", [MINE, OTHER], ids=["said by the browser", "said by a form"])
async def test_every_no_of_either_is_on_the_record_of_the_one_that_stays(house, who):
    """Also where the second cookie is another browser's, planted by a script of the page: no no is lost by it."""
    [mine, said] = [house.consent.people.browser(each.hex()) for each in (MINE, who)]
    no = Choice(ChoiceKind.OPT_OUT, tuple(ALL_PURPOSES), Source.API, datetime.now(UTC))
    await house.consent.choose([said], no)
    await page_of_two(house, MINE, OTHER)
    assert house.consent.checks.read_back([mine], ALL_PURPOSES) == dict.fromkeys(ALL_PURPOSES, "opted_out")


async def test_control_without_it_the_form_is_forgotten(browser):
    said = await two_tabs(browser)
    del browser.jar[SAID_COOKIE]
    await browser.page()
    assert not said.denied <= browser.cookie.denied
