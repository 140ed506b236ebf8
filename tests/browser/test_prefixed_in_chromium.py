"""A real Chromium on a site below a prefix: the page's script asks the gateway where it came from itself (W7)."""

import sys

import pytest
from support import inside
from support.pages_with_script import PATIENT, PING, READY
from support.ports import free_port
from support.proxies import program as process
from support.service import HERE

from gateway.choice.downstream import Outcome, strings

pytestmark = [pytest.mark.browser, pytest.mark.slow]
FREE = strings(Outcome(frozenset(), frozenset({"US-CA"})))
HONORED = "Opt-Out Request Honored"
GPC = {"extra_http_headers": {"Sec-GPC": "1"}}


@pytest.fixture(scope="module", params=["", "/shop", "/a/privacy-choices/b"], ids=["at the root", "below", "so called"])
def running(request, tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("below"), free_port()
    inside.install(folder / "data")
    url = f"http://127.0.0.1:{port}{request.param}"
    command = [sys.executable, "-m", "support.prefixed_site", "--port", str(port), "--data", str(folder / "data")]
    sign, settings = f"{url}/privacy-choices", {"GATEWAY_SITE__ENFORCE": "true", "PYTHONPATH": HERE}
    with process([*command, "--below", request.param], folder / "site.log", sign, **settings):
        yield url


@pytest.fixture
def opened(running, chromium):
    contexts = []

    def page(**options):
        contexts.append(chromium.new_context(**options))
        contexts[-1].add_init_script(PATIENT)
        page = contexts[-1].new_page()
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url.partition("?")[0]))
        page.goto(f"{running}/page")
        page.wait_for_function(READY)
        return page

    yield page
    for context in contexts:
        context.close()


def test_who_said_nothing_is_not_denied_all_the_time(opened, running):
    page = opened()
    assert page.evaluate(PING)["gppString"] == FREE.gpp
    assert f"{running}/privacy-choices/status" in page.asked


def test_who_says_gpc_is_shown_that_it_is_honored_after_the_page_was_made_silent(opened, running):
    page = opened(**GPC)
    page.get_by_text(HONORED).wait_for()
    assert page.evaluate(PING)["gppString"] != FREE.gpp
    assert f"{running}/privacy-choices/silence.js" in page.asked


def test_a_person_opts_out_in_the_dialog_and_its_close_closes_it(opened, running):
    page = opened()
    link = page.get_by_role("link", name="Your Privacy Choices")
    for leave in ("form", "opt out"):
        link.click()
        inside_ = page.frame_locator("dialog iframe")
        if leave == "form":
            inside_.get_by_role("link", name="Close").click()
            page.get_by_role("dialog").wait_for(state="detached")
            assert page.url == f"{running}/page"
            continue
        inside_.get_by_role("switch", name="Opt out on this browser").click()
        inside_.get_by_text(HONORED).first.wait_for()
        page.get_by_role("button", name="Close").first.click()
    page.get_by_text(HONORED).wait_for()
    ours = {url.partition("#")[0] for url in page.asked if url.endswith(".js") or "/privacy-choices/" in url} - {
        page.url
    }
    assert {url for url in ours if not url.startswith(f"{running}/privacy-choices")} == set()
