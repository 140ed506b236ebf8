"""A real Chromium behind a real proxy: what the trackers in a site's static pages get (R1)."""

import time

import pytest
from playwright.sync_api import sync_playwright
from support import proxies
from support.chromium import FLAGS, comes_to, program, saying_gpc
from support.promises_of_proxies import GPC, Proxied, signed_in, stopped

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PAGE = """<!doctype html><html lang="en"><head><title>A page</title><script src="{tracker}/ad.js" async></script></head>
<body><h1>A page</h1><p>Answer {count}</p><img src="{tracker}/pixel.gif" width="1" height="1" alt="">
<script>addEventListener("load", () => navigator.sendBeacon("{tracker}/beacon", "seen"))</script></body></html>"""
ALL_THREE = {"/ad.js", "/pixel.gif", "/beacon"}
CACHED = "/news/control=public,_max-age=600"


@pytest.fixture(scope="module")
def behind(tracker):
    """The site: static pages with three trackers in them."""

    def page(_, told):
        return "text/html; charset=utf-8", PAGE.format(tracker=tracker[0], count=told["count"]).encode()

    with proxies.site(type("Pages", (proxies.Site,), {"page": page})) as address:
        yield address


@pytest.fixture(scope="module")
def driver():
    with sync_playwright() as playwright:
        yield playwright.chromium


@pytest.fixture(scope="module")
def chromium(driver):
    from conftest import missing

    browser = driver.launch(executable_path=program() or missing("chromium"), args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def with_gpc(driver):
    """One whose person switched Global Privacy Control on."""
    with saying_gpc(driver) as browser:
        yield browser


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxied(request, started):
    """Chromium comes from this machine, as the proxy does, whose address is nobody's place: so the proxy says that it
    comes from California.
    """

    def seen_from_california(text):
        if request.param == "nginx":
            return text.replace("X-Forwarded-For $remote_addr", f"X-Forwarded-For {proxies.CALIFORNIA}")
        uri = "header_up X-Forwarded-Uri {uri}"
        assert uri in text
        return text.replace(uri, f"{uri}\n\t\t\t\theader_up X-Forwarded-For {proxies.CALIFORNIA}")

    return started(request.param, seen_from_california)


@pytest.fixture
def cache(request) -> bool:
    """Whether this proxy keeps pages: Caddy has no cache of its own."""
    return request.node.callspec.params["proxied"] == "nginx"


@pytest.fixture
def visit(chromium, with_gpc, proxied, tracker):
    """Opens a page in a new browser; what the trackers got, after all that the test `wants` them to have got."""
    contexts = []

    def gained(before):
        return {name for name, count in tracker[1].items() if count > before.get(name, 0)}

    def open_page(
        path="/page", *cookies: tuple[str, str], first=None, wants=frozenset(), gpc=False, **browser
    ) -> set[str]:
        context = (with_gpc if gpc else chromium).new_context(**browser)
        contexts.append(context)
        context.add_cookies([{"name": n, "value": v, "url": proxied.url} for n, v in cookies])
        page = context.new_page()
        if first:
            first(page)
        before = dict(tracker[1])
        page.goto(f"{proxied.url}{path}")
        assert page.get_by_role("heading", name="A page").is_visible()
        if wants != ALL_THREE:  # of which nothing is too much
            page.wait_for_load_state("networkidle")
            time.sleep(0.3)  # a beacon is sent after load, and nobody waits for it
        return comes_to(lambda: wants & gained(before), wants) | gained(before)

    yield open_page
    for context in contexts:
        context.close()


def account_cookie(at: Proxied, account: str) -> tuple[str, str]:
    return tuple(signed_in(at, account)[1].split("=", 1))


SAYS_NO = {"gpc": True}
WITHOUT_SCRIPT = {"java_script_enabled": False}


def test_without_any_choice_the_trackers_get_all_three(visit, proxied):
    """The control of every other test here."""
    assert visit(wants=ALL_THREE) == ALL_THREE
    assert visit(CACHED, wants=ALL_THREE) == ALL_THREE
    assert visit(wants={"/pixel.gif"}, **WITHOUT_SCRIPT) == {"/pixel.gif"}
    assert visit("/page", account_cookie(proxied, "nobody-said-no"), wants=ALL_THREE) == ALL_THREE


def test_a_visitor_with_gpc_meets_no_tracker(visit):
    assert visit(**SAYS_NO) == set()


def test_a_visitor_with_gpc_and_without_script_meets_no_tracker(visit):
    assert visit(**SAYS_NO, **WITHOUT_SCRIPT) == set()


def test_a_visitor_who_opted_out_by_the_form_meets_no_tracker(visit, proxied):
    def opt_out(page):
        page.goto(f"{proxied.url}/privacy-choices")
        page.get_by_role("switch", name="Opt out on this browser").click()
        page.wait_for_url("**/privacy-choices/done/*")

    assert visit(first=opt_out) == set()


def test_a_visitor_whose_cookie_says_no_meets_no_tracker(visit):
    assert visit("/page", ("usprivacy", "1YYN")) == set()


def test_a_signed_in_person_who_opted_out_meets_no_tracker_on_a_new_browser(visit, proxied):
    account = f"person-{proxied.url.rpartition(':')[2]}"
    assert visit("/page", account_cookie(proxied, account), wants=ALL_THREE) == ALL_THREE
    visit("/page", account_cookie(proxied, account), **SAYS_NO)
    assert visit("/page", account_cookie(proxied, account)) == set()


def test_a_page_out_of_a_shared_cache_has_no_tracker_for_whoever_opted_out(visit, proxied, cache):
    kept = {who: proxied.ask(CACHED, *who, by="127.0.0.1").body for who in ((GPC,), ())}
    assert visit(CACHED, **SAYS_NO) == set()
    assert visit(CACHED, ("usprivacy", "1YYN")) == set()
    assert visit(CACHED, wants=ALL_THREE) == ALL_THREE
    if cache:
        for who, body in kept.items():
            assert proxied.ask(CACHED, *who, by="127.0.0.1").body == body, "the site was asked once"


def test_while_the_gateway_is_stopped_nobody_meets_a_tracker(visit, proxied):
    with stopped(proxied.gateway):
        assert visit() == set()
        assert visit(CACHED) == set()
        assert visit(**WITHOUT_SCRIPT) == set()
