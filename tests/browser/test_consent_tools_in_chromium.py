"""A real Chromium with a consent tool on the page: a person's no is handed on to it by its documented call, a yes never.

The tools are stand-ins of ours. Each keeps what is consented to, says what it is asked by its maker's documented calls, and
lets a tag go for every category that it allows, as sites use them.
"""

import pytest
from support import example
from support.pages_with_script import LOADED, SCRIPT, html
from support.service import service
from support.wire import call

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# `yes`: what the tool allows, its own names; `fired`: the tags that went since the last change; `calls`: what it was told.
BASE = """yes = new Set(WORDS); calls = []; fired = []; dataLayer = [];
const settle = (told) => { fired = [...yes]; told() };"""
ONETRUST = """const groups = () => { OnetrustActiveGroups = "," + [...yes].join(",") + "," };
const change = () => settle(() => dispatchEvent(new CustomEvent("OneTrustGroupsUpdated", {detail: [...yes]})));
groups();
const arrive = () => { OneTrust = { UpdateConsent: (kind, text) => { calls.push([kind, text]);
  for (const part of text.split(",")) { const [name, on] = part.split(":"); on === "1" ? yes.add(name) : yes.delete(name) }
  groups(); change() } }; change() };
const agree = (name) => { yes.add(name); groups(); change() };"""
COOKIEBOT = """const change = () => settle(() => dispatchEvent(new Event("CookiebotOnConsentReady")));
const arrive = () => { Cookiebot = { hasResponse: true,
  get consent() { return {necessary: true, preferences: yes.has("preferences"), statistics: yes.has("statistics"),
    marketing: yes.has("marketing")} },
  submitCustomConsent: (preferences, statistics, marketing) => { calls.push([preferences, statistics, marketing]);
    yes = new Set(Object.entries({preferences, statistics, marketing}).filter(([, on]) => on).map(([name]) => name));
    change() } }; change() };
const agree = (name) => { yes.add(name); dispatchEvent(new Event("CookiebotOnAccept")); change() };"""
DIDOMI = """const hear = () => (self.didomiEventListeners || []).forEach((each) => each.event === "consent.changed" && each.listener());
const change = () => settle(hear);
const arrive = () => { Didomi = {
  getCurrentUserStatus: () => ({purposes: Object.fromEntries(
    ["advertising_personalization", "measure"].map((id) => [id, {id, enabled: yes.has(id)}]))}),
  setUserDisagreeToAll: () => { calls.push("no to all"); yes.clear(); change() } };
  settle(() => {}); (self.didomiOnReady || []).forEach((each) => each(Didomi)); didomiOnReady = {push: (each) => each(Didomi)} };
const agree = (name) => { yes.add(name); change() };"""
SOURCEPOINT = """const heard = [];
const said = () => ({signalStatus: "ready", gppString: yes.has("sale") ? "" : "DBABLA~CVVVAAEAAACA.QA",
  applicableSections: [7], parsedSections: {usnat: [{SaleOptOut: yes.has("sale") ? 2 : 1}]}});
const change = () => settle(() => heard.forEach((each) => each({eventName: "signalStatus", data: "ready", pingData: said()}, true)));
const arrive = () => { _sp_ = {}; change() };
__gpp = (command, callback, parameter) => { if (command === "postRejectAllUsnat") { calls.push(command); yes.clear(); change(); callback({}, true) }
  else if (command === "addEventListener") { heard.push(callback); callback({eventName: "listenerRegistered", pingData: said()}, true) }
  else callback(command === "ping" ? said() : null, true) };
const agree = (name) => { yes.add(name); change() };"""
TOOLS = {  # the stand-in, what it allows, what an opt-out leaves of that, and what it is told
    "onetrust": (ONETRUST, ["C0001", "C0002", "C0004"], ["C0001", "C0002"], [["Category", "C0004:0"]], "C0004"),
    "cookiebot": (COOKIEBOT, ["statistics", "marketing"], ["statistics"], [[False, True, False]], "marketing"),
    "didomi": (DIDOMI, ["advertising_personalization", "measure"], [], ["no to all"], "advertising_personalization"),
    "sourcepoint": (SOURCEPOINT, ["sale"], [], ["postRejectAllUsnat"], "sale"),
}
DENIED = {"ad_storage": "denied", "ad_user_data": "denied", "ad_personalization": "denied"}
GOOGLE = """() => dataLayer.map((each) => [...each]).filter(([kind, act]) => kind === "consent" && act === "update").at(-1)?.[2]"""
# Until the tool has heard all that comes of an answer. (400 ms are held back here: support.pages_with_script.PATIENT.)
QUIET = "() => new Promise((done) => setTimeout(() => done(JSON.stringify([[...yes], calls])), 300))"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("tools")) as started:
        yield started


def with_tool(name: str, arrives: str = "arrive();") -> str:
    stand_in, allows, *_ = TOOLS[name]
    script = BASE.replace("WORDS", repr(allows)) + stand_in + arrives
    return html(f"<script>{{ {script} self.agree = agree; self.arrive = arrive }}</script>" + SCRIPT)


def opens(cached, text, *, out: bool, running):
    page = cached(text)
    if out:
        page.context.request.post(f"{running.url}/privacy-choices", form={"action": "opt_out"}, max_redirects=0)
        page.reload()
    return page


def allowed(page):
    return page.evaluate("() => [...yes]")


def comes_to_no(page, name):
    *_, left, _, word = TOOLS[name]
    page.wait_for_function("(word) => !yes.has(word) && !fired.includes(word)", arg=word)
    page.evaluate(QUIET)
    assert (allowed(page), page.evaluate("fired")) == (left, left)


@pytest.mark.parametrize("name", TOOLS)
def test_a_persons_no_becomes_the_tools_no_and_leaves_the_rest_to_it(cached, running, name):
    page = opens(cached, with_tool(name), out=True, running=running)
    comes_to_no(page, name)
    assert page.evaluate("calls") == TOOLS[name][3]
    assert page.evaluate(GOOGLE) == DENIED


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_that_comes_late_is_told_too(cached, running, name):
    page = opens(cached, with_tool(name, ""), out=True, running=running)
    page.wait_for_function("() => document.querySelector('[data-gateway-status]').textContent")
    if name == "sourcepoint":  # its own script is there when the page is loaded, whose event we wait for
        page = opens(cached, with_tool(name, "addEventListener('load', arrive);"), out=True, running=running)
    else:
        page.evaluate("() => arrive()")
    comes_to_no(page, name)


@pytest.mark.parametrize("name", TOOLS)
def test_a_yes_that_is_clicked_in_the_tool_afterwards_does_not_stand(cached, running, name):
    page = opens(cached, with_tool(name), out=True, running=running)
    comes_to_no(page, name)
    page.evaluate("(word) => agree(word)", TOOLS[name][4])
    comes_to_no(page, name)
    assert len(page.evaluate("calls")) == 2


@pytest.mark.parametrize("name", TOOLS)
def test_the_control_who_said_no_to_nobody_is_left_to_the_tool(cached, running, name):
    page = opens(cached, with_tool(name), out=False, running=running)
    page.wait_for_load_state("networkidle")
    page.evaluate(QUIET)
    assert (page.evaluate("calls"), allowed(page)) == ([], TOOLS[name][1])
    assert page.evaluate("fired") == TOOLS[name][1]


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_that_says_no_already_is_told_nothing_and_never_a_yes(cached, running, name):
    _, _, left, *_ = TOOLS[name]
    text = with_tool(name, f"yes = new Set({left!r}); arrive();")
    if name == "onetrust":
        text = text.replace("arrive();", "groups(); arrive();")
    page = opens(cached, text, out=True, running=running)
    page.wait_for_function("() => document.querySelector('[data-gateway-status]').textContent")
    page.evaluate(QUIET)
    assert (page.evaluate("calls"), allowed(page)) == ([], left)


def test_what_cookiebot_allows_where_nobody_answered_is_not_kept_as_a_yes(cached, running):
    page = opens(cached, with_tool("cookiebot", "arrive(); Cookiebot.hasResponse = false;"), out=True, running=running)
    page.wait_for_function("() => calls.length")
    assert page.evaluate("calls") == [[False, False, False]]


def test_a_tool_that_takes_a_no_for_a_yes_is_not_argued_with_for_ever(cached, running):
    stubborn = "arrive(); OneTrust.UpdateConsent = (...told) => { calls.push(told); change() };"
    page = opens(cached, with_tool("onetrust", stubborn), out=True, running=running)
    page.wait_for_function("() => calls.length === 5")
    page.evaluate(QUIET)
    assert len(page.evaluate("calls")) == 5


def test_a_tool_that_throws_breaks_nothing_of_the_page(cached, running):
    throws = "arrive(); OneTrust.UpdateConsent = () => { calls.push(1); throw new Error('theirs') };"
    page = opens(cached, with_tool("onetrust", throws), out=True, running=running)
    page.wait_for_function("() => calls.length")
    page.wait_for_function(LOADED)
    assert page.locator("[data-gateway-status]").inner_text().strip() == "Opt-Out Request Honored"


def test_the_tool_and_the_gateway_say_the_same_by_gpp_after_a_no(cached, running):
    page = opens(cached, with_tool("sourcepoint"), out=True, running=running)
    comes_to_no(page, "sourcepoint")
    said = page.evaluate("() => new Promise((done) => __gpp('ping', done))")
    assert said["parsedSections"]["usnat"][0]["SaleOptOut"] == 1


def test_a_no_to_more_on_the_same_page_reaches_the_tool_too(cached, running):
    """A page asks more than once: the tool hears of the last answer."""
    parts = [{"onetrust": ["C0004"]}, {"onetrust": ["C0002", "C0004"]}]

    answered = call(f"{running.url}/privacy-choices/status", key="")[1]

    def answer(route):
        route.fulfill(json=answered | {"refuse": {"cookiebot": [], "didomi": [], **parts[0]}})

    page = cached(with_tool("onetrust"), gateway=answer)
    comes_to_no(page, "onetrust")
    parts.pop(0)
    page.evaluate("() => dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    page.wait_for_function("() => !yes.has('C0002')")
    assert page.evaluate("calls") == [["Category", "C0004:0"], ["Category", "C0002:0"]]


def test_the_groups_that_the_operator_named_are_refused_too(cached, tmp_path):
    (tmp_path / "config.toml").write_text(example.over('[consent_tools]\nonetrust = { C0002 = "ads" }\n'))
    with service(tmp_path, "--config", str(tmp_path / "config.toml")) as started:
        status = opens_status(started)
    assert status["onetrust"] == ["4", "C0002", "C0004", "OSSTA_BG", "SPD_BG", "SSPD_BG"]


def opens_status(started) -> dict:
    return call(f"{started.url}/privacy-choices/status", headers={"Sec-GPC": "1"}, key="")[1]["refuse"]
