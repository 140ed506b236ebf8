"""In frictionless mode a signal changes nothing on a page but the status that is shown (11 CCR 7025(f), L58)."""

import pytest
from support import example
from support.pages_with_script import GOOGLE, LOADED, SCRIPT, STUB, html
from support.service import service

pytestmark = [pytest.mark.browser, pytest.mark.slow]
GPC = {"extra_http_headers": {"Sec-GPC": "1"}}
HONORED = "Opt-Out Request Honored"
# All that a page may show or do by itself.
EXTRA = """() => ({dialogs: document.querySelectorAll("dialog, [role=dialog], [role=alert]").length,
  focus: document.activeElement.tagName, animations: document.getAnimations().length,
  sounds: document.querySelectorAll("audio, video").length, scroll: [scrollX, scrollY], title: document.title,
  overflow: document.documentElement.style.cssText + document.body.style.cssText})"""
CONTROLS = "() => [...document.querySelectorAll('a, button, h1, p')].map((each) => each.outerHTML)"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frictionless")
    (folder / "config.toml").write_text(example.over('[site]\nmode = "frictionless"\n'))
    with service(folder, "--config", str(folder / "config.toml")) as started:
        yield started


def shown(page):
    page.wait_for_function(LOADED)
    return page.evaluate(EXTRA), page.evaluate(CONTROLS), page.locator("[data-gateway-status]").inner_text()


def test_a_page_with_the_signal_is_the_page_without_it_but_for_the_status(cached):
    popped = []
    pages = [cached(html(GOOGLE + STUB + SCRIPT), **how) for how in ({}, GPC)]
    for page in pages:
        page.on("dialog", lambda dialog: popped.append(dialog.message))
        page.context.on("page", lambda opened: popped.append(opened.url))
    pages[1].get_by_text(HONORED).wait_for()
    without, with_signal = map(shown, pages)
    assert without[:2] == with_signal[:2]
    assert (without[2].strip(), with_signal[2].strip()) == ("", HONORED)
    assert popped == []
    status = pages[1].evaluate("() => fetch('/privacy-choices/status').then((answer) => answer.json())")
    assert status["frictionless"] is True


def test_a_page_that_opens_something_because_of_the_signal_is_found(cached):
    """Control."""
    nag = """<script>addEventListener("gateway-status", () => 0); document.addEventListener("gateway-status", (event) => {
      if (event.detail.gpc) document.body.append(document.createElement("dialog")) })</script>"""
    without, with_signal = (shown(cached(html(nag + STUB + SCRIPT), **how)) for how in ({}, GPC))
    assert without[0] != with_signal[0]
