"""A real Chromium that another site's form leads to a page of ours: it brings no cookie of ours, and keeps the one that
it has.
"""

import contextlib
import http.server
import threading
from pathlib import Path

import pytest
from support.service import service

from gateway.terms import ALL_PURPOSES
from gateway.web.shell.own_cookies import BROWSER_COOKIE

pytestmark = [pytest.mark.browser, pytest.mark.slow]
GPC = {"Sec-GPC": "1"}
EXAMPLE = Path(__file__).parents[2] / "config.toml"
SENDS = "<script>document.forms[0].submit()</script>"
LIMITS = """(action) => {
  document.body.innerHTML = `<form method="post" action="${action}"><input name="action" value="limit"></form>`;
  document.forms[0].submit();
}"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("led")) as started:
        yield started


@contextlib.contextmanager
def bank(leads_to: str, shows: str = ""):
    """A page of another site, `localhost`, whose form is sent by itself: its address."""
    page = f'<body><form method="post" action="{leads_to}"></form>{SENDS if leads_to else ""}{shows}'.encode()

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def newspaper(frames: str):
    """A page of another site, `localhost`, with one of ours in a frame and a link to it: its address."""
    with bank("", f'<iframe src="{frames}"></iframe><a href="{frames}">there</a>') as address:
        yield address


def led(page, running):
    """What our site answers to the form."""
    with bank(f"{running.url}/") as address, page.expect_response(lambda told: told.request.method == "POST") as found:
        page.goto(address)
    return found.value


def cookie_of(context) -> str:
    return next((each["value"] for each in context.cookies() if each["name"] == BROWSER_COOKIE), "")


def test_it_brings_no_cookie_keeps_its_own_and_is_answered_as_somebody_who_may_have_opted_out(chromium, running):
    context = chromium.new_context(extra_http_headers=GPC)
    page = context.new_page()
    page.goto(f"{running.url}/")
    before = cookie_of(context)
    answer = led(page, running)
    sent = answer.request.all_headers()
    assert (sent["sec-fetch-site"], BROWSER_COOKIE in sent.get("cookie", "")) == ("cross-site", False), "the case"
    assert before
    assert cookie_of(context) == before
    context.close()


def test_a_no_on_another_origin_of_ours_is_kept_over_it_and_says_no_to_everything(chromium, tmp_path):
    """It does take that cookie, by which the first one has something to show."""
    with bank("") as address:
        ours = tmp_path / "config.toml"
        ours.write_text(EXAMPLE.read_text().replace("\norigins = []", f'\norigins = ["{address.rstrip("/")}"]'))
        with service(tmp_path, "--config", str(ours)) as running:
            context = chromium.new_context()
            page = context.new_page()
            page.goto(f"{running.url}/privacy-choices")
            page.get_by_role("switch", name="Opt out on this browser", exact=True).click()
            page.wait_for_url("**/done/**")
            before = cookie_of(context)
            page.goto(address)
            page.evaluate(LIMITS, f"{running.url}/privacy-choices")
            page.wait_for_url("**/done/**")
            assert cookie_of(context) not in {before, ""}, "the case"
            told = page.goto(f"{running.url}/privacy-choices/status").json()
            context.close()
    assert {told["purposes"][name] for name in ALL_PURPOSES} == {"opted_out"}


STATUS = """() => fetch("/privacy-choices/status", {credentials: "include"}).then((answer) => answer.json())"""


def test_our_site_in_another_sites_frame_is_told_no_and_at_the_top_it_knows_its_visitor(chromium, running):
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{running.url}/privacy-choices")
    page.get_by_role("switch", name="Opt out on this browser", exact=True).click()
    page.wait_for_url("**/done/**")
    with newspaper(f"{running.url}/demo") as address:
        with page.expect_request(lambda asked: asked.url.endswith("/demo")) as found:
            page.goto(address)
        sent = found.value.all_headers()
        assert (sent["sec-fetch-dest"], BROWSER_COOKIE in sent.get("cookie", "")) == ("iframe", False), "the case"
        [frame] = [each for each in page.frames if each.url.endswith("/demo")]
        assert frame.evaluate(STATUS)["strings"]["us_privacy"] == "1YYN"
        page.get_by_role("link", name="there").click()
        page.wait_for_url("**/demo")
        assert page.evaluate(STATUS)["status"] == "opted_out"
    context.close()


def test_who_never_said_anything_and_comes_by_a_link_of_another_site_is_answered_as_before(chromium, running):
    context = chromium.new_context()
    page = context.new_page()
    with newspaper(f"{running.url}/demo") as address:
        page.goto(address)
        page.get_by_role("link", name="there").click()
        page.wait_for_url("**/demo")
        assert page.evaluate(STATUS)["purposes"]["sale"] == "none"
    context.close()
