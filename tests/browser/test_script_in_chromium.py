"""A real Chromium runs the page's script: what ad scripts of the page are told, by the CMP API 1.1 and before it."""

import json
import time

import pytest
from support.chromium import comes_to, within_a_second
from support.pages_with_script import (
    GOOGLE,
    JOURNAL,
    LOADED,
    PATIENT,
    PING,
    READY,
    SCRIPT,
    STUB,
    USP,
    ask,
    html,
    told,
)
from support.service import service

from gateway.choice.downstream import Outcome, opted_out, strings
from gateway.terms import SIGNAL_PURPOSES

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HERE = frozenset({"US-CA"})
FREE = strings(Outcome(frozenset(), HERE))
HEARD = strings(Outcome(frozenset(SIGNAL_PURPOSES), HERE, gpc=True))
GPC = {"extra_http_headers": {"Sec-GPC": "1"}}
PAGE = html(STUB + JOURNAL + SCRIPT)
BARE = html(SCRIPT)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("script")) as started:
        yield started


def stopped(route):
    route.abort("connectionrefused")


def silent(_):
    """Takes the question and never answers."""


def slow(route):
    time.sleep(0.9)
    route.continue_()


def saying(body, status=200):
    text = body if isinstance(body, str) else json.dumps(body)
    return lambda route: route.fulfill(status=status, content_type="application/json", body=text)


# --- what the specification asks for --------------------------------------------------------------------------------


def test_events_come_in_the_order_of_the_specification(cached):
    page = cached(PAGE)
    page.wait_for_function(LOADED)
    assert told(page) == [
        ["listenerRegistered", True],
        ["cmpStatus", "loaded"],
        ["sectionChange", "usca"],
        ["signalStatus", "ready"],
    ]
    journal = page.evaluate("journal")
    assert [event[2] for event in journal] == ["not ready"] * 3 + ["ready"]
    assert {event[4] for event in journal} == {True}
    assert journal[-1][3] == FREE.gpp


@pytest.mark.parametrize("text", [PAGE, BARE], ids=["after the stub", "without the stub"])
def test_an_ad_script_reads_the_persons_string_and_every_field(cached, text):
    page = cached(text, **GPC)
    page.wait_for_function("() => self.__gpp")
    page.wait_for_function(LOADED)
    said = page.evaluate(PING)
    assert said == {
        "gppVersion": "1.1",
        "cmpStatus": "loaded",
        "cmpDisplayStatus": "hidden",
        "signalStatus": "ready",
        "cmpId": 1,
        "supportedAPIs": said["supportedAPIs"],
        "sectionList": [8],
        "applicableSections": [8],
        "gppString": HEARD.gpp,
        "parsedSections": HEARD.parsed,
    }
    assert {"7:usnat", "8:usca", "23:usmn"} <= {*said["supportedAPIs"]}
    assert ask(page, "hasSection", "usca") == [True, True]
    assert ask(page, "hasSection", "usnat") == [False, True]
    assert ask(page, "getSection", "usca") == [HEARD.parsed["usca"], True]
    assert ask(page, "getSection", "usnat") == [None, True]
    for field, value in (("SaleOptOut", 1), ("Gpc", True), ("SensitiveDataProcessing", [0, 0, 1, 0, 0, 0, 0, 0, 0])):
        assert ask(page, "getField", f"usca.{field}") == [value, True]
    assert ask(page, "getField", "usca.NoSuchField") == [None, True]
    assert ask(page, "getField", "usnat.SaleOptOut") == [None, True]
    for name in ("usnat.noSuchCommand", "constructor", "__proto__", ""):
        assert ask(page, name) == [None, False]
        assert ask(page, "hasSection", name) == [False, True]
        assert ask(page, "getField", f"{name}.length") == [None, True]
    assert page.evaluate(USP) == [{"version": 1, "uspString": "1YYN"}, True]


def test_a_listener_that_is_removed_hears_nothing_more_and_its_id_is_not_given_again(cached):
    page = cached(PAGE)
    page.wait_for_function(LOADED)
    script = "() => new Promise((done) => __gpp('addEventListener', (event) => done(event.listenerId)))"
    first, second = page.evaluate(script), page.evaluate(script)
    assert first < second
    assert ask(page, "removeEventListener", second) == [True, True]
    assert ask(page, "removeEventListener", second) == [False, True]
    assert ask(page, "removeEventListener", "constructor") == [False, True]
    assert page.evaluate(script) > second


def test_a_page_that_changes_what_it_was_told_changes_nothing_for_the_next_one(cached):
    page = cached(PAGE)
    page.wait_for_function(LOADED)
    page.evaluate("() => __gpp('ping', (said) => { said.gppString = 'DBABTA~1YNN'; said.signalStatus = 'x' })")
    assert page.evaluate(PING)["gppString"] == FREE.gpp


@pytest.mark.parametrize("gateway", [None, stopped])
def test_a_listener_that_throws_keeps_nobody_else_from_hearing(cached, gateway):
    throws = "<script>__gpp('addEventListener', ({eventName}) => { if (eventName != 'listenerRegistered') throw 1 });"
    throws += "__uspapi('getUSPData', 1, () => { throw 2 })</script>"
    page = cached(html(STUB + throws + JOURNAL + SCRIPT), gateway=gateway)
    page.wait_for_function("() => journal.some((event) => event[0] === 'signalStatus')")


@pytest.mark.parametrize(
    "script",
    ["self.theirs = self.__gpp = (command, answer) => answer({signalStatus: 'not ready'}, true)",
     "self.theirs = self.__uspapi = (command, version, answer) => answer(null, false)"],
    ids=["gpp", "usp"],
)  # fmt: skip
@pytest.mark.parametrize("head", [STUB + SCRIPT, SCRIPT], ids=["after the stub", "without the stub"])
def test_a_consent_tool_of_the_page_stays_what_it_is(cached, script, head):
    page = cached(html(head), init=script)
    page.wait_for_function("() => self.__gpp && self.__uspapi && (__gpp.l || __uspapi.l)")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("() => [__gpp, __uspapi].filter((api) => api === theirs).length") == 1


# --- while nobody has answered --------------------------------------------------------------------------------------


def test_before_the_script_is_there_the_stub_answers_every_command_at_once(cached):
    page = cached(html(STUB + JOURNAL))
    said = page.evaluate("() => { let said; __gpp('ping', (data) => { said = {...data} }); return said }")
    assert (said["cmpStatus"], said["gppString"], said["applicableSections"]) == ("stub", opted_out().gpp, [7])
    for command in ("hasSection", "getSection", "getField"):
        assert ask(page, command, "usnat") == [None, True]
    assert told(page)[0] == ["listenerRegistered", True]


NONSENSE = {
    "refused": stopped, "never": silent, "500": saying({}, 500), "html": saying("<html>"), "null": saying("null"),
    "list": saying([]), "no strings": saying({"status": "not_opted_out", "strings": None}),
    "numbers": saying({"strings": {"gpp": 1, "gpp_sid": [7], "us_privacy": "1YNN", "parsed": {}}}),
    "no sections": saying({"strings": {"gpp": "DBAA", "gpp_sid": "7", "us_privacy": "1YNN", "parsed": {}}}),
    "empty": saying({"strings": {"gpp": "", "gpp_sid": [7], "us_privacy": "1YNN", "parsed": {}}}),
}  # fmt: skip


def with_gpp(page):
    page.wait_for_function("() => self.__gpp")
    return page


@pytest.mark.parametrize("head", [STUB + JOURNAL + SCRIPT, SCRIPT], ids=["after the stub", "without the stub"])
@pytest.mark.parametrize("how", NONSENSE)
def test_whatever_the_gateway_fails_to_answer_everybody_is_out(cached, how, head):
    page = within_a_second(lambda: with_gpp(cached(html(head), gateway=NONSENSE[how])), READY)
    assert page.evaluate(PING)["gppString"] == opted_out().gpp
    assert ask(page, "getField", "usnat.SaleOptOut") == [1, True]
    assert page.evaluate(USP)[0]["uspString"] == "1YYN"
    assert page.locator("[data-gateway-status]").inner_text() == ""  # nothing is said to be honored


@pytest.mark.parametrize("url", ["consent.js", "**"])
def test_with_the_script_away_too_the_stub_says_no_by_itself(cached, running, url):
    waits = "<script>__uspapi('getUSPData', 1, (said) => { self.usp = said.uspString })</script>"
    page = within_a_second(lambda: cached(html(STUB + JOURNAL + waits), gateway=stopped), READY)
    page.wait_for_function("() => self.usp")
    said = page.evaluate(PING)
    assert (said["gppString"], said["applicableSections"], page.evaluate("usp")) == (opted_out().gpp, [7], "1YYN")
    assert told(page) == [["listenerRegistered", True], ["signalStatus", "ready"]]


def test_an_answer_that_comes_late_is_told_all_the_same(cached):
    expected = [
        ["listenerRegistered", True],
        ["cmpStatus", "loaded"],
        ["signalStatus", "ready"],
        ["signalStatus", "not ready"],
        ["sectionChange", "usca"],
        ["signalStatus", "ready"],
    ]
    for _ in range(5):  # on a busy machine the script itself may come after the stub's deadline
        page = cached(PAGE, gateway=slow)
        page.wait_for_function("() => journal.at(-1)[1] === 'ready' && journal.at(-1)[3] !== journal[0][3]")
        if told(page)[1] == ["cmpStatus", "loaded"]:
            break
    assert told(page) == expected
    journal = page.evaluate("journal")
    assert (journal[2][3], journal[-1][3]) == (opted_out().gpp, FREE.gpp)


def test_who_asks_for_the_us_string_early_is_answered_once_and_right(cached):
    waits = "<script>told = []; __uspapi('getUSPData', 1, (said) => told.push(said.uspString));"
    waits += "__uspapi('registerDeletion', 1, () => told.push('deletion'))</script>"
    page = cached(html(STUB + waits + JOURNAL + SCRIPT))
    page.wait_for_function(LOADED)
    page.evaluate("lapse()")  # the stub's own deadline
    page.wait_for_timeout(200)
    assert page.evaluate("told") == ["1YNN"]


# --- frames ---------------------------------------------------------------------------------------------------------

FRAME = """<script>
  heard = [];
  addEventListener("message", ({data}) => heard.push(typeof data === "string" ? JSON.parse(data) : data));
  const found = (name) => { try { return Boolean(parent.frames[name]) } catch { return false } };
  const send = (said, text) => parent.postMessage(text ? JSON.stringify(said) : said, "*");
  start = (text) => {
    heard.push({locators: [found("__gppLocator"), found("__uspapiLocator")]});
    for (const [id, command] of ["ping", "addEventListener", "getUSPData"].entries())
      send({[id < 2 ? "__gppCall" : "__uspapiCall"]: {command, version: 1, callId: id}}, text);
  };
  if (!location.search) addEventListener("load", () => start(false));
</script>"""
TEXT = (
    "?text"  # a frame that speaks text starts when it is told to: the stub answers objects only (`gateway help script`)
)


def framed(cached, head, query="", *, until=(), lapses=False, **more):
    """What a frame of another origin heard, in a sandbox as ads are put into, once it has all of `until`; `lapses`: the
    stub's deadline comes when the frame listens.
    """
    body = f'<p id="below"></p><iframe sandbox="allow-scripts" src="http://ads.example.com/frame{query}"></iframe>'
    page = cached(html(head, body), **more)
    page.context.route("http://ads.example.com/**", lambda route: route.fulfill(body=FRAME, content_type="text/html"))
    page.reload()
    heard = "() => [self.origin, heard]"

    def hears(*texts):
        assert comes_to(lambda: [each for each in texts if each not in json.dumps(said(page, heard))], []) == []

    if query == TEXT:
        page.wait_for_function(LOADED)
        assert comes_to(lambda: said(page, "() => start(true) || [1]"), expected=[1]), "the frame is not there"
    assert comes_to(lambda: any(said(page, heard)[1:]), expected=True), "the frame is not there"
    if lapses:
        hears('"listenerRegistered"', '"callId": 0')
        page.evaluate("lapse()")
    hears(*until)
    page.wait_for_timeout(300)  # whatever is said twice
    return said(page, heard)


def said(page, script):
    """What the frame says; nothing while it is not there."""
    frames = [each for each in page.frames if "ads.example.com" in each.url]
    return frames[0].evaluate(f"() => self.heard ? ({script})() : []") if frames else []


@pytest.mark.parametrize("query", ["", TEXT], ids=["objects", "text"])
@pytest.mark.parametrize("head", [STUB + SCRIPT, SCRIPT.replace(" async", "")], ids=["stub", "script alone"])
def test_an_ad_in_a_frame_of_another_origin_reads_what_the_page_says(cached, head, query):
    until = (HEARD.gpp, *(f'"callId": {each}' for each in range(3)))
    origin, heard = framed(cached, head, query, until=until, **GPC)
    assert (origin, heard[0]) == ("null", {"locators": [True, True]})
    answers = [said["__gppReturn"] for said in heard if "__gppReturn" in said]
    assert sum(said["callId"] == 0 for said in answers) == 1
    events = [said["returnValue"] for said in answers if said["callId"] == 1]
    assert events[0]["eventName"] == "listenerRegistered"
    assert answers[-1]["returnValue"].get("pingData", answers[-1]["returnValue"])["gppString"] == HEARD.gpp
    [usp] = [said["__uspapiReturn"] for said in heard if "__uspapiReturn" in said]
    assert (usp["returnValue"]["uspString"], usp["success"], usp["callId"]) == ("1YYN", True, 2)


def test_with_the_gateway_stopped_a_frame_is_told_no(cached):
    until = ('"eventName": "signalStatus"',)
    _, heard = framed(cached, STUB, until=until, lapses=True, gateway=stopped, init=PATIENT)
    ready = [said["__gppReturn"]["returnValue"] for said in heard if said.get("__gppReturn", {}).get("callId") == 1]
    assert [event["eventName"] for event in ready] == ["listenerRegistered", "signalStatus"]
    assert ready[-1]["pingData"]["gppString"] == opted_out().gpp


def test_without_the_stub_a_frame_finds_nobody(cached):
    """Control."""
    _, heard = framed(cached, "", gateway=stopped)
    assert heard == [{"locators": [False, False]}]


@pytest.mark.parametrize(
    "message", ["null", "1", '"{"', '"__gppCall"', "{}", "{__gppCall: null}", "{__gppCall: {}}", "[]"]
)
def test_messages_of_others_disturb_nothing(cached, message):
    page = cached(PAGE)
    page.wait_for_function(LOADED)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.evaluate(f"() => postMessage({message}, '*')")
    page.wait_for_timeout(100)
    assert errors == []


# --- consent mode ---------------------------------------------------------------------------------------------------

LAYER = "() => dataLayer.map((said) => [...said])"


@pytest.mark.parametrize(("options", "word"), [(GPC, "denied"), ({}, "granted")], ids=["opted out", "said nothing"])
def test_googles_tags_are_denied_first_and_then_told_what_holds(cached, options, word):
    page = cached(html(STUB + GOOGLE + SCRIPT), **options)
    page.wait_for_function(LOADED)
    (first, last) = page.evaluate(LAYER)
    names = ("ad_storage", "ad_user_data", "ad_personalization")
    assert first == ["consent", "default", dict.fromkeys(names, "denied") | {"wait_for_update": 500}]
    assert last == ["consent", "update", dict.fromkeys(names, word)]
    assert page.evaluate("() => dataLayer.every((said) => String(said) === '[object Arguments]')")


def test_a_page_without_googles_tags_is_given_no_data_layer(cached):
    page = cached(PAGE)
    page.wait_for_function(LOADED)
    assert page.evaluate("() => typeof dataLayer") == "undefined"


def test_with_the_gateway_stopped_googles_tags_stay_denied(cached):
    page = cached(html(STUB + GOOGLE + SCRIPT), gateway=stopped)
    page.wait_for_function(LOADED)
    assert all(set(said[2].values()) <= {"denied", 500} for said in page.evaluate(LAYER))


GRANTED = "() => dataLayer.at(-1)[2].ad_storage === 'granted'"
BACK = "dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))"


@pytest.mark.parametrize("comes_back", [BACK, "document.dispatchEvent(new Event('visibilitychange'))"])
def test_whoever_comes_back_to_a_page_is_out_until_the_gateway_answers_anew(cached, comes_back):
    """A no may have come meanwhile, on another page."""
    page = cached(html(STUB + GOOGLE + SCRIPT))
    page.wait_for_function(GRANTED)
    page.route("**/privacy-choices/status", silent)
    assert page.evaluate(f"() => {{ lapse(); {comes_back}; let said; __gpp('ping', (data) => said = data);"
                         " return said.signalStatus }") == "not ready"  # fmt: skip
    page.evaluate("() => lapse()")
    assert page.evaluate(PING)["gppString"] == opted_out().gpp
    assert page.evaluate(USP)[0]["uspString"] == "1YYN"
    assert page.evaluate("() => dataLayer.at(-1)[2].ad_storage") == "denied"


# --- consent mode beside a tool that speaks it ----------------------------------------------------------------------

GTAG = "{ const gtag = function () { dataLayer.push(arguments) }; gtag('consent', %s) }"
NO_OF_A_TOOL = GTAG % "'update', {ad_storage: 'denied', ad_user_data: 'denied'}"
YES_OF_A_TOOL = GTAG % "'update', {ad_storage: 'granted', ad_user_data: 'granted'}"
LAST = "() => Object.values(dataLayer.at(-1)[2])"


def asked_again(page):
    """What Google's tags are told by a page that its person comes back to, late, and where nothing is denied now."""
    before = page.evaluate(f"() => {{ lapse(); {BACK}; lapse(); return dataLayer.length }}")
    page.wait_for_function("(before) => dataLayer.length > before", arg=before)
    return page.evaluate(LAST)


def test_no_yes_of_ours_goes_over_a_tools_no_of_before_it(cached):
    page = cached(html(STUB + GOOGLE + f"<script>{NO_OF_A_TOOL}</script>" + SCRIPT))
    page.wait_for_function(LOADED)
    assert page.evaluate(LAST) == ["denied", "denied", "granted"]


def test_no_yes_of_ours_goes_over_a_tools_no_that_came_meanwhile(cached):
    page = cached(html(STUB + GOOGLE + SCRIPT))
    page.wait_for_function(GRANTED)
    page.evaluate(f"() => {NO_OF_A_TOOL}")
    assert asked_again(page) == ["denied", "denied", "granted"]
    page.evaluate(f"() => {YES_OF_A_TOOL}")
    assert asked_again(page) == ["granted", "granted", "granted"], "the tool itself took it back"


def test_a_tools_no_stands_also_once_tag_manager_took_it_out_of_its_list(cached):
    page = cached(html(STUB + GOOGLE + f"<script>{NO_OF_A_TOOL}</script>" + SCRIPT))
    page.wait_for_function(LOADED)
    page.evaluate("() => { dataLayer.splice(0); dataLayer.push(['event', 'update', {ad_storage: 'granted'}]) }")
    assert asked_again(page) == ["denied", "denied", "granted"]


def test_a_no_of_ours_is_told_behind_a_tools_yes_and_taken_back_by_ourselves(cached):
    page = cached(html(STUB + GOOGLE + f"<script>{YES_OF_A_TOOL}</script>" + SCRIPT))
    page.wait_for_function(GRANTED)
    page.route("**/privacy-choices/status", stopped)
    assert asked_again(page) == ["denied", "denied", "denied"]
    page.unroute("**/privacy-choices/status")
    assert asked_again(page) == ["granted", "granted", "granted"]


@pytest.mark.parametrize("comes_back", [BACK, "document.dispatchEvent(new Event('visibilitychange'))"])
def test_an_answer_that_was_under_way_is_of_before_whoever_comes_back_is_asked_for_anew(cached, comes_back):
    """The no came in another tab, behind that answer."""
    free, out = ({"strings": each.for_page()} for each in (FREE, HEARD))
    asked = []

    def held(route):
        asked.append(route)

    page = cached(html(STUB + GOOGLE + SCRIPT), gateway=held, init=PATIENT)
    assert comes_to(lambda: page.evaluate("1") and len(asked), 1, 10) == 1
    page.evaluate(f"() => {{ {comes_back} }}")
    assert comes_to(lambda: page.evaluate("1") and len(asked), 2, 10) == 2
    asked[0].fulfill(json=free)
    page.wait_for_timeout(200)
    assert page.evaluate(PING)["signalStatus"] == "not ready"
    asked[1].fulfill(json=out)
    page.wait_for_function(LOADED)
    assert page.evaluate(PING)["gppString"] == HEARD.gpp
    assert page.evaluate("() => dataLayer.every((said) => said[2].ad_storage === 'denied')")
