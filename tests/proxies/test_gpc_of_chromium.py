"""Global Privacy Control as Chromium itself says it, behind nginx: on every request of a page, and to its scripts."""

from collections import Counter

import pytest
from playwright.sync_api import sync_playwright
from support import chromium as installed
from support import proxies
from support.chromium import comes_to
from support.promises_of_proxies import ALL_NO, ALL_YES

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PAGES = {
    "/page": """<!doctype html><html lang="en"><title>A page</title><body><iframe src="/frame"></iframe><img src="/i" alt="">
        <script src="/script"></script><script>
        new Worker("/worker"); new SharedWorker("/shared"); navigator.serviceWorker.register("/service");
        fetch("/fetched"); navigator.sendBeacon("/beacon", "")</script>""",
    "/frame": """<!doctype html><script>fetch("/says/frame/" + navigator.globalPrivacyControl)</script>""",
    "/script": """fetch("/says/page/" + navigator.globalPrivacyControl)""",
    "/worker": """fetch("/says/worker/" + navigator.globalPrivacyControl)""",
    "/shared": """fetch("/says/shared/" + navigator.globalPrivacyControl)""",
}
KINDS = {"/page": "text/html", "/frame": "text/html", "/i": "image/gif"}
ASKED = {"/i", "/service", "/fetched", "/beacon", *PAGES}
SAY = ("page", "frame", "worker", "shared")


@pytest.fixture
def seen():
    """By path: the signal as the site was sent it, and what it may do."""
    return {}


@pytest.fixture
def at(seen, started, gateway):
    """The site's address, behind nginx, for a visitor from California."""

    def page(_, told):
        headers = dict(told["headers"])
        seen[told["uri"]] = (headers.get("sec-gpc"), headers["gateway-consent"])
        return KINDS.get(told["uri"], "text/javascript"), PAGES.get(told["uri"], "").encode()

    def from_california(text):
        return text.replace("X-Forwarded-For $remote_addr", f"X-Forwarded-For {proxies.CALIFORNIA}")

    with proxies.site(type("Pages", (proxies.Site,), {"page": page, "seen": Counter()})) as behind:
        yield started("nginx", from_california, site=behind).url


def asks(browser, at, seen, said: str) -> dict:
    """What the site saw, once everything was asked for."""
    wanted = ASKED | {f"/says/{who}/{said}" for who in SAY}
    page = browser.new_page()
    page.goto(f"{at}/page")
    comes_to(lambda: wanted <= set(seen), True)
    page.close()
    return {path: seen.get(path) for path in wanted}


def test_every_request_of_a_page_carries_it_and_its_scripts_read_it(at, seen):
    with sync_playwright() as playwright, installed.saying_gpc(playwright.chromium) as browser:
        found = asks(browser, at, seen, "true")
    assert found == dict.fromkeys(found, ("1", f"{ALL_NO}, status=honored"))
    assert len(found) == 13


def test_the_control_a_chromium_without_it_sends_and_says_nothing(at, seen):
    from conftest import missing

    path = installed.program() or missing("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=installed.FLAGS)
        found = asks(browser, at, seen, "undefined")
        browser.close()
    assert found == dict.fromkeys(found, (None, f"{ALL_YES}, status=none"))
