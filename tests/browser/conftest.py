"""Fixtures of every browser test: one Chromium a file."""

import pytest
from playwright.sync_api import sync_playwright
from support import chromium as installed


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
