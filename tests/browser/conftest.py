"""Fixtures of every browser test: one Chromium a file."""

import pytest
from playwright.sync_api import sync_playwright
from support import chromium as installed
from support.pages_with_script import PATIENT, serve

from gateway.web.shell.words import LANGUAGES, catalogue

for each in LANGUAGES:
    catalogue(each)  # read here, since Playwright's own loop runs while a test looks up what a page should say


@pytest.fixture(scope="module")
def driver():
    with sync_playwright() as playwright:
        yield playwright.chromium


@pytest.fixture(scope="module")
def program():
    from conftest import missing

    return installed.program() or missing("chromium")


@pytest.fixture(scope="module")
def chromium(driver, program):
    browser = driver.launch(executable_path=program, args=installed.FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def cached(running, chromium):
    """Opens a page that comes from a cache: the gateway never sees the navigation. `gateway` answers its calls instead
    of it; `init` runs before everything on the page.
    """
    contexts = []

    def opened(text, *, gateway=None, init="", headers=None, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(60_000)  # milliseconds: a busy machine takes more than half of that
        context.add_init_script(init if gateway else PATIENT + init)
        serve(context, f"{running.url}/cached", text, headers=headers)
        if gateway:
            context.route(f"{running.url}/privacy-choices/{{status,observe}}", gateway)
        page = context.new_page()
        page.goto(f"{running.url}/cached", wait_until="commit")
        page.wait_for_function("() => document.querySelector('#below')")
        return page

    yield opened
    for context in contexts:
        context.close()
