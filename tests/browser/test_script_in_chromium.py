"""A real Chromium runs the page's script: what ad scripts are told, what the person sees, on pages from a cache."""

import os

import pytest
from support.chromium import look, visit
from support.pages_with_script import BODY, GOOGLE, JOURNAL, NOTHING_CHANGES, SCRIPT, STUB, html, serve
from support.service import service

from gateway.choice.downstream import Outcome, opted_out, strings
from gateway.terms import SIGNAL_PURPOSES

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HERE = frozenset({"US-CA"})
OUT, FREE = (strings(Outcome(denied, HERE)) for denied in (frozenset(SIGNAL_PURPOSES), frozenset()))
HEARD = strings(Outcome(frozenset(SIGNAL_PURPOSES), HERE, gpc=True))
GPC = {"Sec-GPC": "1"}
SCRIPT_SAYS = "Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})"
PING = "() => new Promise((done) => __gpp('ping', done))"
USP = "() => new Promise((done) => __uspapi('getUSPData', 1, done))"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("script")) as started:
        yield started


@pytest.fixture
def cached(running, chromium):
    """Opens a page that comes from a cache: the gateway never sees the navigation."""
    contexts = []

    def opened(text=None, *, init="", before="", **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        if init:
            context.add_init_script(init)
        serve(context, f"{running.url}/cached", text or html(head=STUB + JOURNAL + SCRIPT))
        page = context.new_page()
        page.goto(f"{running.url}/cached")
        return page

    yield opened
    for context in contexts:
        context.close()


def ready(page):
    page.wait_for_function(
        "() => new Promise((done) => __gpp('ping', (said) => done(said.cmpStatus === 'loaded' && said.signalStatus === 'ready')))"
    )
    return page.evaluate(PING)


def test_events_come_in_the_order_of_the_specification(cached):
    page = cached()
    ready(page)
    told = page.evaluate("journal")
    assert [event[:2] for event in told] == [
        ["listenerRegistered", True], ["cmpStatus", "loaded"], ["sectionChange", "usca"], ["signalStatus", "ready"],
    ]  # fmt: skip
    assert [event[2] for event in told] == ["not ready"] * 3 + ["ready"]
    assert {event[4] for event in told} == {True}
    assert told[-1][3] == FREE.gpp


def test_an_ad_script_reads_the_persons_string_and_its_fields(cached):
    page = cached(extra_http_headers=GPC)
    said = ready(page)
    assert (said["gppString"], said["applicableSections"], said["sectionList"]) == (HEARD.gpp, [8], [8])
    assert (said["gppVersion"], said["cmpDisplayStatus"], "8:usca" in said["supportedAPIs"]) == ("1.1", "hidden", True)
    assert page.evaluate(USP)["uspString"] == "1YYN"
