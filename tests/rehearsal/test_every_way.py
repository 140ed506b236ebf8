"""Nobody adds a way to opt out that is not rehearsed: the list is held against the code's own."""

import pytest
from support import inside
from support.rehearsed import EVERY_WAY_OPEN

from gateway.consent import tokens
from gateway.rehearsal import acts, ways
from gateway.signals import adchoices, cmp_cookies, device, gpc, hear
from gateway.terms import Manner, Source
from gateway.web.shell import words

pytestmark = pytest.mark.anyio
UNREADABLE_TOOLS = {"osano", "sourcepoint", "inmobi"}  # ids and ciphertexts, which say nothing to anybody
# Doors by which nobody says no of their own: what each is instead.
NO_WAY = {
    "/v1/check": "asks",
    "/v1/checks": "asks",
    "/v1/openrtb": "asks",
    "/v1/explain": "asks",
    "/v1/standing": "asks",
    "/v1/disclosures": "tells of sends",
    "/v1/disclosures/query": "asks",
    "/v1/disclosures/batches": "tells of sends",
    "/v1/shares/{recipient}": "shares",
    "/v1/shares/{recipient}/jobs/{job}/seal": "shares",
    "/v1/links": "whose an id is; a released number",
    "/v1/notices": "who was told",
    "/v1/notices/due": "who is to be told",
    "/v1/agent/{agent}": "a token for an agent",
    "/v1/data-rights-request": "signed by an agent, whose key a rehearsal has not (tests/web/test_agents.py)",
    "/v1/data-rights-request/{request}": "asks",
    "/v1/access": "what is held",
    "/v1/erasures": "forgets; the desk's word that somebody is a child",
    "/v1/reports/{year}": "counts",
    "/v1/codes": "shows that a mailbox is one's own",
    "/v1/changes": "for replicas",
    "/v1/leases": "for replicas",
    "/v1/self": "tells",
    "/v1/receipts/{event}": "tells",
    "/v1/unsubscribe-links": "makes a way",
    "/livez": "tells",
    "/readyz": "tells",
    "/metrics": "tells",
    "/openapi.json": "tells",
    "/privacy-choices/choices.css": "a file",
    "/privacy-choices/consent.js": "a file",
    "/privacy-choices/hosts.js": "a file",
    "/privacy-choices/silence.js": "a file",
    "/privacy-choices/tools.js": "a file",
    "/privacy-choices/opt-out-icon.svg": "a file",
    "/privacy-choices/logo": "a file",
    "/privacy-choices/done/{event}": "tells",
    "/privacy-choices/proof": "tells",
    "/privacy-choices/data": "what is held",
    "/privacy-choices/erase": "forgets",
    "/privacy-choices/code": "shows that a mailbox is one's own",
    "/privacy-choices/opt-in": "says yes",
    "/privacy-choices/opt-in/read": "says yes",
    "/privacy-choices/opt-in/confirm": "says yes",
    "/privacy-choices/opt-in/done/{event}": "tells",
    "/privacy-choices/receipt/{event}": "tells",
    "/privacy-choices/hosts": "names hosts",
    "/ledger/checkpoint": "tells",
    "/ledger/tile/{path:path}": "tells",
    "/.well-known/gpc.json": "tells",
    "/dsrdelete.json": "tells",
    "/adchoices/verify": "the second half of /adchoices",
}


@pytest.fixture
def configured(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(EVERY_WAY_OPEN)
    return inside.settings(file)


@pytest.fixture
def every(configured):
    return ways.every(configured)


def test_every_source_of_a_choice_has_a_way(every):
    another_reading = {Source.READING}  # what the form, the app and the desk say of a number by the way
    by_the_thousand = {Source.DROP}  # a state's list, which tests/cli/test_drop.py takes in
    assert {way.source for way in every} == set(Source) - another_reading - by_the_thousand


def test_every_manner_of_the_desk_has_a_way(every):
    assert {manner for manner in Manner if any(way.name == f"desk, {manner}" for way in every)} == set(Manner) - {
        Manner.WEB,  # the form
        Manner.APP,  # the app
    }


async def test_every_door_has_a_way_or_is_none(every, configured, tmp_path, monkeypatch):
    from gateway.app import service

    seen = []
    monkeypatch.setattr(service.Doors, "application", lambda self, routes: seen.extend(routes) or (lambda *_: None))
    async with inside.application(tmp_path / "data", configured, dev=False):
        doors = {route.path for route in seen}
    rehearsed = {way.door for way in every} - {"/v1/check"}
    assert len(doors) > 50
    assert rehearsed <= doors
    assert not rehearsed & set(NO_WAY)
    assert doors - rehearsed - set(NO_WAY) == set()


def test_every_signal_of_a_call_has_a_way():
    assert acts.CALLS.keys() == hear.KNOWN - hear.BESIDE - {hear.AGE}  # an age is no signal of a no


def test_every_header_parameter_and_flag_that_is_heard_has_a_way():
    heard = {name.decode() for name in (gpc.HEADER, *adchoices.HEADERS)}
    assert {name.lower() for name in acts.HEADERS} == {*heard, "opt-out cookie"}
    assert acts.ADDRESSES.keys() == hear.PARAMETERS.keys()
    assert device.FLAGS.keys() <= acts.CALLS.keys()


def test_every_consent_tool_has_a_way():
    known = {tool for tool, _ in (*cmp_cookies.EXACT.values(), *cmp_cookies.PREFIXES.values())}
    assert known == acts.TOOLS.keys() | UNREADABLE_TOOLS


def test_every_language_of_the_form_and_every_channel_of_a_link_has_a_way(every):
    names = {way.name for way in every}
    assert {f"form, phone ({spoken})" for spoken in words.LANGUAGES} <= names
    assert {f"one click, {channel}" for channel in tokens.CHANNELS} <= names


def test_a_way_that_the_configuration_closes_is_told_with_the_option_that_closes_it(every):
    assert [way.name for way in every if way.closed] == []
    closed = {way.name: way.closed for way in ways.every(inside.settings()) if way.closed}
    assert closed["AdChoices, web"] == "ad_choices.participant is 0"
    assert closed["one click, marketing_email"].startswith("site.url is empty")
    assert closed["cookie of typo3"].startswith("consent_tools.typo3")


def test_names_of_ways_are_told_apart(every):
    assert len({way.name for way in every}) == len(every)
