"""HAProxy alone: its connections to the gateway, and what it cannot do."""

import contextlib
from http.server import BaseHTTPRequestHandler

import pytest
from support import promises_of_proxies as promises
from support.promises_of_proxies import GPC, stopped
from support.proxies import Counting, somebody_else

pytestmark = pytest.mark.slow


def test_pages_share_connections_to_the_gateway(started):
    proxied = started("haproxy")
    counting = type("Counting", (Counting,), {"connections": 0})
    with stopped(proxied.gateway), somebody_else(counting, proxied.gateway.internal):
        for _ in range(20):
            proxied.ask()
    assert 1 <= counting.connections <= 2


def test_what_an_answer_has_behind_its_head_is_not_read(started):
    """It takes whole bodies into Lua: of a server that is not the gateway and never ends, a page's time and memory."""
    piece, written = bytes(2**20), []

    class Endless(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(300):
                    self.wfile.write(piece)
                    written.append(len(piece))

        def do_GET(self):
            self.do_HEAD()

    proxied = started("haproxy")
    with stopped(proxied.gateway), somebody_else(Endless, proxied.gateway.internal):
        assert proxied.ask().status == 200
    assert len(written) < 100


def test_a_yes_that_says_nothing_is_no_answer(started, gone):
    promises.a_yes_that_says_nothing_counts_as_no_answer(started("haproxy", running=gone))


def test_ads_are_refused_while_the_gateway_is_away_however_they_are_spelled(started, gone):
    at = started("haproxy", running=gone)
    for path in (*promises.OTHERWISE, "/\\ads/x", "/x/..%2fads/x"):
        assert at.ask(path).status == 403, path
    for path in ("/about/ads/1", "/adsense"):
        assert at.ask(path).status == 200, path


def test_where_the_question_fails_midway_everybody_counts_as_opted_out(started):
    """HAProxy goes on after a fault in Lua, with what was said until then."""
    asks = "core.httpclient():head"
    at = started("haproxy", lambda text: text.replace(asks, f"error() or {asks}"))
    promises.everybody_counts_as_opted_out_and_the_page_stays_up(at)


def test_hints_that_a_site_sends_early_go_past_every_rule(started):
    """What the manual says a site behind HAProxy must not send; the page behind them is shut all the same."""
    early, page = promises.in_turn(started("haproxy"), "/early", GPC)
    assert (early.status, promises.FAR in repr(early.headers)) == (103, True)
    assert page.status == 200
    assert any(policy.startswith("default-src 'self'") for policy in page.all("content-security-policy"))
