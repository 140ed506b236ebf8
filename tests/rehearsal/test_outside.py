"""What a stranger finds on the site: the link, the choices page, its form, the signal honored; and leaves no trace."""

import asyncio
import contextlib
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.service import service

from gateway.delivery.outgoing import authorities
from gateway.rehearsal import outside

FORM = '<form method="post" action="/privacy-choices"><button name="action" value="opt_out">Opt out</button></form>'
WELL = {
    "/": '<a class="x" href="/privacy-choices">Your Privacy Choices</a>',
    "/privacy-choices": FORM,
    "/privacy-choices with the signal": f"Opt-Out Request Honored {FORM}",
    "/privacy-choices/status with the signal": '{"status": "opted_out"}',
    "/.well-known/gpc.json": '{"gpc": true, "lastUpdate": "2026-11-24"}',
}


@contextlib.contextmanager
def site(pages):
    """A site on this machine's loopback; what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            signal = f"{self.path} with the signal" if self.headers.get("Sec-GPC") == "1" else self.path
            asked.append((self.command, self.path, self.headers.get("Cookie"), self.headers["User-Agent"]))
            body = pages.get(signal, pages.get(self.path))
            self.send_response(200 if body is not None else 404)
            self.send_header("Set-Cookie", "known=1; Path=/")
            self.end_headers()
            self.wfile.write((body or "").encode())

        def log_message(self, *_):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def seen(pages, **more):
    authorities()
    with site(pages) as (url, asked):
        found = asyncio.run(outside.look([f"{url}/"], **more))
        return [(one.what, one.why) for one in found], asked


def test_a_site_whose_ways_are_there_has_nothing_wrong_with_it():
    found, asked = seen(WELL)
    assert found == []
    assert {(method, cookie, agent) for method, _, cookie, agent in asked} == {("GET", None, "gateway-rehearsal")}


@pytest.mark.parametrize(
    ("without", "instead", "what", "why"),
    [
        ("/", "<p>Welcome</p>", "a page of the site", "has no link to /privacy-choices"),
        ("/", '<a href="/privacy-policy">Privacy</a>', "a page of the site", "has no link to /privacy-choices"),
        ("/", None, "a page of the site", "answered 404"),
        ("/privacy-choices", "<p>Soon</p>", "the choices page", "has no form with a button that opts out"),
        ("/privacy-choices with the signal", FORM, "the signal on the choices page", "is not shown as honored"),
        ("/privacy-choices/status with the signal", '{"status": "not_opted_out"}', "the signal in the page's status",
         "is not honored"),
        ("/privacy-choices/status with the signal", "[", "the signal in the page's status", "is not honored"),
        ("/.well-known/gpc.json", '{"gpc": false}', "the statement of support", "does not say gpc: true"),
        ("/.well-known/gpc.json", None, "the statement of support", "answered 404"),
    ],
)  # fmt: skip
def test_whatever_is_missing_is_named(without, instead, what, why):
    found, _ = seen({**WELL, without: instead})
    assert (what, why) in found
    assert len(found) == 1


def test_a_site_that_cannot_be_reached_is_named():
    with site(WELL) as (url, _):
        gone = url
    (found,) = asyncio.run(outside.look([gone]))
    assert found.why == "cannot be reached: ConnectError"


def test_a_site_in_the_mode_without_a_link_is_looked_at_all_the_same():
    pages = {**WELL, "/": "<p>Welcome</p>", "/privacy-choices": "<p>Soon</p>"}
    found, _ = seen(pages, linked=False)
    assert ("the choices page", "has no form with a button that opts out") in found
    assert not any(what == "a page of the site" for what, _ in found)


@pytest.mark.slow
def test_the_real_service_is_well_and_has_nothing_on_record_of_the_stranger(tmp_path):
    authorities()
    with service(tmp_path) as running:
        entries = urllib.request.urlopen(f"{running.url}/readyz").read()
        assert asyncio.run(outside.look([f"{running.url}/demo"])) == []
        assert urllib.request.urlopen(f"{running.url}/readyz").read() == entries
