"""A real Chromium on another operator's pages: its colours and logo keep to WCAG 2.2 AA, and a yes weighs no more."""

import itertools

import pytest
from support import blue_door
from support.accessible import AA, looked_through
from support.service import service

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PATH = "/privacy-choices"
LOOKS = """each => { const style = getComputedStyle(each);
  return [style.backgroundColor, style.color, style.borderColor, style.fontSize, style.fontWeight, style.padding]; }"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    blue_door.settings(folder)
    with service(folder, "--config", str(folder / "shop.toml")) as running:
        yield running


@pytest.fixture
def page(chromium):
    context = chromium.new_context(viewport={"width": 320, "height": 800})
    yield context.new_page()
    context.close()


def first_act(page, url):
    page.goto(f"{url}{PATH}/opt-in")
    page.locator("[name=what][value=targeted_ads]").check()
    page.locator("[name=by][value=browser]").check()
    page.get_by_role("button", name="Go on").click()


def second_act(page, url):
    first_act(page, url)
    page.get_by_role("button", name="Yes, go on").click()


def confirmed(page, url):
    page.goto(url + PATH)
    page.get_by_role("switch").click()
    page.wait_for_url("**/done/*")


def at(path):
    return lambda page, url: page.goto(url + PATH + path)


STATES = {
    "choices": at("?reach=1"), "confirmed": confirmed, "marketing": at("/marketing"), "data": at("/data"),
    "erase": at("/erase"), "opting in": at("/opt-in"), "first act": first_act, "second act": second_act,
    "not there": at("/nowhere"), "in Spanish": at("?reach=1&lang=es"), "in French": at("/data?lang=fr"),
}  # fmt: skip


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_every_page_of_the_shop_keeps_to_wcag_2_2_aa(shop, page, state):
    state(page, shop.url)
    for width, scheme in itertools.product([320, 1280], ["light", "dark"]):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        found = looked_through(page, AA).response["violations"]
        assert [(each["id"], node["html"]) for each in found for node in each["nodes"]] == [], (width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert page.evaluate("document.querySelector('.brand img').naturalWidth > 0"), "the logo is not seen"


@pytest.mark.parametrize("state", [first_act, second_act])
def test_a_yes_looks_as_a_no_does(shop, page, state):
    state(page, shop.url)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        yes, no = (page.locator(".buttons").locator(each).evaluate(LOOKS) for each in ("button", "a"))
        assert yes == no, scheme
        assert no[1] in {"rgb(18, 63, 140)", "rgb(158, 193, 255)"}, (scheme, "the shop's own colour")


def test_opting_out_is_never_the_paler_button(shop, page):
    """The control of the test above too: these two look different."""
    page.goto(f"{shop.url}{PATH}?reach=1")
    out, close = (page.locator(".buttons").locator(each).evaluate(LOOKS) for each in ("button", "a"))
    assert out[0] == close[1] == "rgb(18, 63, 140)"
    assert out != close
