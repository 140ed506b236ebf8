"""Prebid.js, as npm has it, reads our strings in the same browser: whoever is out is out in its auction, the gateway
stopped or not (I11). Its sources are bundled by esbuild once for all runs; nothing of it is part of the project.
"""

from pathlib import Path

import pytest
from support import node
from support.pages_with_script import SCRIPT, STUB, html, serve
from support.service import service

from gateway.choice.downstream import Outcome, opted_out, strings
from gateway.terms import SIGNAL_PURPOSES

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PREBID, ESBUILD = "prebid.js@11.36.0", "esbuild@0.28.2"
ENTRY = Path(__file__).parent.parent / "support" / "prebid_page.mjs"
HERE = frozenset({"US-CA"})
HEARD = strings(Outcome(frozenset(SIGNAL_PURPOSES), HERE, gpc=True))
FREE = strings(Outcome(frozenset(), HERE))


def stopped(route):
    route.abort("connectionrefused")


def silent(_):
    """Takes the question and never answers."""


AUCTION = "() => auction(800)"  # what an operator gives the consent modules (I11)


@pytest.fixture(scope="module")
def prebid(request):
    return node.bundled(node.packages(request.config.cache, PREBID, ESBUILD), ENTRY.read_text()).read_text()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("prebid-site")) as started:
        yield started


@pytest.fixture
def page_with_prebid(running, chromium, prebid):
    contexts = []

    def opened(head, *, gateway=None, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        url = f"{running.url}/cached"
        serve(context, url, html(head=head + '<script src="/prebid.js"></script>'))
        context.route(
            f"{running.url}/prebid.js", lambda route: route.fulfill(body=prebid, content_type="text/javascript")
        )
        if gateway:
            context.route(f"{running.url}/privacy-choices/**", gateway)
        page = context.new_page()
        page.goto(url, wait_until="commit")
        page.wait_for_function("() => window.auction")
        return page

    yield opened
    for context in contexts:
        context.close()


def soon(opens, unless=None):
    """What the bidder of a page is told: of five pages the first whose auction starts within a second and not on the
    string that stands there until the gateway has answered. The rest of the machine may hold up another one.
    """
    for _ in range(5):
        told = opens().evaluate(AUCTION)
        if told["after"] < 1000 and told.get("gpp", {}).get("gppString") != unless:
            break
    return told


@pytest.mark.parametrize(
    ("headers", "said"), [({"Sec-GPC": "1"}, HEARD), ({}, FREE)], ids=["opted out", "said nothing"]
)
def test_an_auction_carries_the_persons_string(page_with_prebid, headers, said):
    told = soon(lambda: page_with_prebid(STUB + SCRIPT, extra_http_headers=headers), unless=opted_out().gpp)
    assert (told["gpp"]["gppString"], told["gpp"]["applicableSections"]) == (said.gpp, said.gpp_sid)
    assert told["gpp"]["parsedSections"] == said.parsed
    assert told["ortb2"]["gpp"] == said.gpp
    assert told["usp"] == said.us_privacy
    assert told["after"] < 1000


@pytest.mark.parametrize("gateway", [stopped, silent])
def test_without_the_gateway_the_auction_starts_within_a_second_and_says_no(page_with_prebid, gateway):
    told = soon(lambda: page_with_prebid(STUB + SCRIPT, gateway=gateway))
    assert (told["gpp"]["gppString"], told["gpp"]["applicableSections"]) == (opted_out().gpp, opted_out().gpp_sid)
    assert told["usp"] == "1YYN"
    assert told["after"] < 1000


def test_without_the_stub_there_is_no_auction_and_no_string(page_with_prebid):
    """Control: the same page without it, the gateway stopped."""
    told = page_with_prebid(SCRIPT, gateway=stopped).evaluate(AUCTION)
    assert not {"gpp", "usp", "ortb2"} & told.keys()
