"""The page's script tells which hosts a page talked to, where the operator wants that, and nothing else (R1)."""

import json
import time

import pytest
from support import example
from support.pages_with_script import LOADED, SCRIPT, STUB, html
from support.service import service

from gateway.web.site import hosts

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PAGE = html(
    STUB + SCRIPT,
    body="""<p id="below"></p><img src="http://pixel.example.org/p.gif?mail=anna@example.com"><img src="/own.gif">
    <script src="http://cdn.example.net/u/4155550123/a.js"></script><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">""",
)
# What leaving a tab does; a request at the very end of a page is none that Playwright's routes hand on.
LEFT = """() => { Object.defineProperty(document, "visibilityState", {value: "hidden", configurable: true});
  document.dispatchEvent(new Event("visibilitychange")) }"""


@pytest.fixture(autouse=True)
def never_blocked():
    """No loop of ours runs here: the table is read as the operator reads it."""


@pytest.fixture(scope="module", params=[True, False], ids=["inventory", "none"])
def running(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosts")
    (folder / "config.toml").write_text(example.over(f"[site]\ninventory = {str(request.param).lower()}\n"))
    with service(folder, "--config", str(folder / "config.toml")) as started:
        started.wanted = request.param
        yield started


def table(page, running):
    """Once it is there, where it is wanted."""
    deadline = time.monotonic() + 60
    while running.wanted and not hosts.read_hosts(running.data) and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    return [seen.host for seen in hosts.read_hosts(running.data)]


# Once the page's own script has imported what tells; a second import of the same address ends when the first has.
TELLS = """() => { const {name} = performance.getEntriesByType("resource").find((each) => /hosts\\.js$/.test(each.name)) ?? {};
  return name && import(name).then(() => true) }"""
SEEN = "(host) => performance.getEntriesByType('resource').some((each) => each.name.includes(host))"


def loaded(page, running):
    page.wait_for_function(LOADED)
    if running.wanted:
        page.wait_for_function(TELLS)
    page.wait_for_load_state("networkidle")


def test_the_hosts_of_a_page_are_told_when_it_is_left_by_name_alone(cached, running):
    page, sent = cached(PAGE), []
    page.context.add_cookies([{"name": "session", "value": "secret", "url": running.url}])
    page.context.route("http://*.example.*/**", lambda route: route.fulfill(body="", content_type="image/gif"))
    page.reload()
    loaded(page, running)
    page.on("request", lambda asked: asked.url.endswith("/hosts") and sent.append(asked))
    for _ in range(2):  # a tab that is left twice tells once
        page.evaluate(LEFT)
    assert table(page, running) == (["cdn.example.net", "pixel.example.org"] if running.wanted else [])
    assert len(sent) == int(running.wanted)
    for asked in sent:
        assert json.loads(asked.post_data) == {"hosts": ["pixel.example.org", "cdn.example.net"]}
        assert "cookie" not in asked.all_headers()


def test_a_page_that_is_left_for_another_one_tells_as_well(chromium, running):
    (running.data / hosts.FILE).unlink(missing_ok=True)
    context = chromium.new_context()
    context.route("http://left.example.net/**", lambda route: route.fulfill(body="", content_type="image/gif"))
    page = context.new_page()
    page.goto(f"{running.url}/demo")
    loaded(page, running)
    page.evaluate("() => { new Image().src = 'http://left.example.net/p' }")
    page.wait_for_function(SEEN, arg="left.example.net")
    page.goto("about:blank")
    assert table(page, running) == (["left.example.net"] if running.wanted else [])
    context.close()
