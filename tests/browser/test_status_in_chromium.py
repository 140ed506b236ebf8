"""A real Chromium shows the status on pages from a cache, and opens the choices in a dialog over them (L56, L58)."""

import json

import pytest
from support import node
from support.accessible import picture
from support.chromium import comes_to
from support.pages_with_script import GOOGLE, HASHES, JOURNAL, LOADED, PING, SCRIPT, STUB, html, told
from support.service import service
from support.wire import call

from gateway.choice.downstream import Outcome, opted_out, strings

pytestmark = [pytest.mark.browser, pytest.mark.slow]
GPC = {"extra_http_headers": {"Sec-GPC": "1"}}
SCRIPT_SAYS = "Object.defineProperty(navigator, 'globalPrivacyControl', {value: true});"
HONORED = "Opt-Out Request Honored"
PAGE = html(STUB + JOURNAL + SCRIPT)
PLACE = "[data-gateway-status]"
TOOL = "self.__gpp = (command, answer) => answer(says, true);"  # a consent tool of the page


def tool_of(said) -> str:
    """What such a tool answers."""
    return json.dumps({"signalStatus": "ready", "gppString": said.gpp, "applicableSections": said.gpp_sid})


TOOL_SAYS = f"says = {tool_of(opted_out())}; {TOOL}"
# Counts how much of the page moved by itself, from the first picture on.
SHIFTS = """moved = 0; new PerformanceObserver((list) => { for (const each of list.getEntries()) moved += each.value })
  .observe({type: "layout-shift", buffered: true});"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("status")) as started:
        yield started


def entries(running) -> int:
    return call(f"{running.url}/readyz", key="")[1]["ledger"]["entries"]


def opted_out_before(page, running) -> None:
    page.context.request.post(f"{running.url}/privacy-choices", form={"action": "opt_out"}, max_redirects=0)
    page.reload()


# --- the status -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["header", "script", "form", "cookie"])
def test_a_page_from_a_cache_shows_each_person_what_holds_for_them(cached, running, how):
    page = cached(PAGE, init=SCRIPT_SAYS if how == "script" else "", **(GPC if how == "header" else {}))
    if how == "form":
        opted_out_before(page, running)
    if how == "cookie":
        page.context.add_cookies([{"name": "usprivacy", "value": "1YYN", "url": running.url}])
        page.reload()
    toggle = page.get_by_role("switch", name=HONORED)
    toggle.wait_for()
    assert (toggle.is_checked(), toggle.get_attribute("aria-readonly")) == (True, "true")
    assert page.get_by_text(HONORED).is_visible()
    before = entries(running)
    for act in (toggle.click, lambda: toggle.press("Space")):
        act()
        assert toggle.is_checked()  # it shows what holds, and is no way to end it
    assert entries(running) == before


def test_a_person_who_said_nothing_is_shown_nothing(cached):
    """Control."""
    page = cached(PAGE)
    page.wait_for_function(LOADED)
    page.wait_for_load_state("networkidle")
    assert page.locator(PLACE).inner_html() == ""


@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_moves_and_nothing_pops_up_when_the_status_is_filled(cached, width):
    page = cached(PAGE, init=SHIFTS, viewport={"width": width, "height": 640}, **GPC)
    page.get_by_text(HONORED).wait_for()
    page.wait_for_timeout(300)
    assert page.evaluate("moved") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("dialog").count() == 0
    picture(page, f"status-{width}")


def test_without_its_height_the_place_of_the_status_moves_the_page(cached):
    """Control."""
    page = cached(PAGE.replace('href="/site.css"', ""), init=SHIFTS, **GPC)
    page.get_by_text(HONORED).wait_for()
    page.wait_for_function("() => moved > 0")


def test_with_the_signal_a_page_is_what_it_is_without_it_but_for_the_status(cached):
    """L58: no pop-up, no other content, no other function."""
    bodies = []
    for options in (GPC, {}):
        page = cached(PAGE, **options)
        page.wait_for_function(LOADED)
        page.wait_for_load_state("networkidle")
        page.evaluate(f"() => document.querySelectorAll('{PLACE}').forEach((place) => place.remove())")
        bodies.append(page.locator("body").inner_html())
        page.get_by_role("link", name="Your Privacy Choices").click()
        page.get_by_role("dialog").wait_for()
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize(
    "comes_back",
    ["dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))",
     "document.dispatchEvent(new Event('visibilitychange'))"],
    ids=["kept whole", "in another tab"],
)  # fmt: skip
def test_a_page_asks_again_when_the_person_comes_back_to_it(cached, running, comes_back):
    page = cached(PAGE)
    page.wait_for_function(LOADED)
    page.context.request.post(f"{running.url}/privacy-choices", form={"action": "opt_out"}, max_redirects=0)
    page.evaluate(f"() => {comes_back}")
    page.get_by_text(HONORED).wait_for()


ASK = "() => { dispatchEvent(new Event('gateway-ask')); dispatchEvent(new Event('gateway-ask')) }"


def test_a_page_asks_again_once_when_a_script_of_its_own_wants_to_know(cached, running):
    page = cached(PAGE)
    page.wait_for_function(LOADED)
    page.context.request.post(f"{running.url}/privacy-choices", form={"action": "opt_out"}, max_redirects=0)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(ASK)
    page.get_by_text(HONORED).wait_for()
    assert asked.count(f"{running.url}/privacy-choices/status") == 1


def test_a_no_that_is_said_to_a_consent_tool_of_an_open_page_is_heard_and_not_undone(cached):
    tool = f"says = {tool_of(strings(Outcome(frozenset(), frozenset({'US-CA'}))))}; {TOOL}"
    page = cached(html(STUB + GOOGLE + SCRIPT), init=tool)
    page.wait_for_function("() => dataLayer.at(-1)[2].ad_storage === 'granted'")
    page.evaluate(ASK)
    page.wait_for_timeout(500)
    assert page.evaluate("dataLayer.length") == 2  # the tool may have told it something else since
    page.evaluate(f"says = {tool_of(opted_out())}")
    page.evaluate(ASK)
    page.get_by_text(HONORED).wait_for()
    assert page.evaluate("dataLayer.at(-1)[2].ad_storage") == "denied"


@pytest.mark.parametrize("says", [SCRIPT_SAYS, TOOL_SAYS], ids=["browser", "tool"])
def test_what_only_script_says_holds_at_each_question_for_a_browser_that_keeps_no_cookie(cached, says):
    listens = "said = []; document.addEventListener('gateway-status', ({detail}) => said.push(detail.status));"
    page = cached(html(STUB + SCRIPT), init=listens + says)
    page.wait_for_function("() => said.at(-1) === 'opted_out'")
    page.context.clear_cookies()
    page.evaluate("() => { said = []; dispatchEvent(new Event('gateway-ask')) }")
    page.wait_for_function("() => said.length")
    assert page.evaluate("said") == ["opted_out"]


def test_a_no_that_a_tool_says_at_once_goes_with_that_very_question_though_another_tool_is_silent(cached):
    tools = f"says = {tool_of(strings(Outcome(frozenset(), frozenset({'US-CA'}))))}; {TOOL} self.__uspapi = () => 0;"
    listens = "said = []; document.addEventListener('gateway-status', ({detail}) => said.push(detail.status));"
    page = cached(html(STUB + SCRIPT), init=listens + tools)
    page.wait_for_function("() => said.at(-1) === 'not_opted_out'")
    page.evaluate(f"() => {{ says = {tool_of(opted_out())}; said = []; dispatchEvent(new Event('gateway-ask')) }}")
    page.wait_for_function("() => said.length")
    assert page.evaluate("said[0]") == "opted_out"


def test_what_was_shown_stays_while_nobody_answers(cached, running):
    page = cached(PAGE, **GPC)
    page.get_by_text(HONORED).wait_for()
    page.context.route(f"{running.url}/privacy-choices/*", lambda route: route.abort())
    with page.expect_event("requestfailed"):
        page.evaluate(ASK)
    page.evaluate(PING)
    page.wait_for_timeout(100)
    assert page.get_by_text(HONORED).is_visible()
    page.context.unroute(f"{running.url}/privacy-choices/*")
    with page.expect_response("**/privacy-choices/*"):
        page.evaluate("() => dispatchEvent(new Event('online'))")


def test_the_sites_own_script_is_told_what_the_gateway_answered(cached, running):
    """The `ad_token` for its ad requests among it (I2)."""
    listens = "document.addEventListener('gateway-status', ({detail}) => { self.answer = detail });"
    page = cached(PAGE, init=listens)
    opted_out_before(page, running)
    page.wait_for_function("() => self.answer")
    answer = page.evaluate("answer")
    assert (answer["status"], answer["display"]) == ("opted_out", HONORED)
    body = {"identifiers": [{"type": "browser", "value": answer["ad_token"]}], "recipient": "teemo", "place": "US-CA"}
    assert call(f"{running.url}/v1/check", body)[1]["reason"] == "opted_out"


# --- the dialog -----------------------------------------------------------------------------------------------------


def opened(page):
    page.wait_for_function(LOADED)
    link = page.get_by_role("link", name="Your Privacy Choices")
    link.focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="Your Privacy Choices").wait_for()
    return page.frame_locator("dialog iframe")


def test_googles_tags_are_denied_as_soon_as_a_no_is_sent_however_long_the_dialog_stays_open(cached):
    page = cached(html(STUB + GOOGLE + SCRIPT))
    page.wait_for_function("() => dataLayer.at(-1)[2].ad_storage === 'granted'")
    inside = opened(page)
    inside.get_by_role("switch", name="Opt out on this browser").click()
    inside.get_by_role("heading", name=HONORED).wait_for()
    assert page.get_by_role("dialog").is_visible()
    assert page.evaluate("dataLayer.at(-1)[2].ad_storage") == "denied"


def test_by_keyboard_alone_a_person_opts_out_in_the_dialog_and_the_page_knows_it_at_once(cached, running):
    page = cached(PAGE, viewport={"width": 320, "height": 640})
    inside = opened(page)
    button = inside.get_by_role("switch", name="Opt out on this browser")
    button.wait_for()
    picture(page, "dialog-320")
    for _ in range(12):
        page.keyboard.press("Tab")
        if button.evaluate("(element) => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    inside.get_by_role("heading", name=HONORED).wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("switch", name=HONORED).wait_for()
    assert page.url.endswith("/cached")
    out = strings(Outcome(frozenset({"sale", "sharing", "targeted_ads"}), frozenset({"US-CA"}))).gpp
    assert page.evaluate(PING)["gppString"] == out
    assert told(page)[4:] == [
        ["signalStatus", "not ready"],
        ["cmpDisplayStatus", "visible"],
        ["cmpDisplayStatus", "hidden"],
        ["sectionChange", "usca"],
        ["signalStatus", "ready"],
    ]
    assert page.evaluate("document.activeElement.textContent") == "Your Privacy Choices"


def closed_on_the_way(page, running):
    """The choice, which is held, of a dialog that was closed as soon as it was sent: before the dialog's page has its
    pictures, so before its load.
    """
    sent = []
    slowly = lambda route: sent.append(route) if route.request.method == "POST" else route.continue_()  # noqa: E731
    page.context.route(f"{running.url}/privacy-choices", slowly)
    page.context.route("**/opt-out-icon.svg", lambda _: None)
    switch = opened(page).get_by_role("switch", name="Opt out on this browser")
    switch.click(no_wait_after=True)
    assert comes_to(lambda: page.wait_for_timeout(20) or len(sent), expected=1) == 1
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    return sent[0]


def test_a_choice_that_was_sent_goes_to_its_end_although_the_dialog_is_closed_at_once(cached, running):
    page, before = cached(PAGE), entries(running)
    closed_on_the_way(page, running).continue_()
    page.get_by_role("switch", name=HONORED).wait_for()
    assert entries(running) > before
    assert page.locator("dialog").count() == 0


@pytest.mark.parametrize("how", ["not saved", "no answer", "unread"])
def test_a_choice_that_is_not_confirmed_is_shown_again_in_the_dialog(cached, running, how):
    page = cached(PAGE)
    sent = closed_on_the_way(page, running)
    if how == "not saved":
        sent.fulfill(status=503, body="Nothing was saved", content_type="text/html")
    elif how == "no answer":
        sent.abort("connectionreset")
    else:
        answer = sent.fetch(max_redirects=0)
        headers = answer.headers | {"location": answer.headers["location"] + "?unread=email"}
        sent.fulfill(response=answer, headers=headers)
    page.get_by_role("dialog").wait_for(timeout=10_000)
    assert page.evaluate(PING)["signalStatus"] == "not ready"
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.wait_for_function(LOADED)


HELD = (
    "{ const real = setTimeout; setTimeout = (act, wait) => wait === 20_000 ? (self.waited = act) : real(act, wait) }"
)


def test_while_a_choice_is_on_its_way_everybody_is_out_and_without_an_answer_it_is_shown_again(cached, running):
    page = cached(PAGE, init=HELD)
    closed_on_the_way(page, running)
    assert comes_to(lambda: page.evaluate(PING)["signalStatus"], expected="ready") == "ready"
    assert page.evaluate(PING)["gppString"] == opted_out().gpp
    page.evaluate("waited()")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.wait_for_function(LOADED)


def test_a_dialog_that_is_opened_again_is_the_one_with_the_choice_that_is_on_its_way(cached, running):
    page = cached(PAGE)
    sent = closed_on_the_way(page, running)
    page.get_by_role("link", name="Your Privacy Choices").click()
    page.get_by_role("dialog").wait_for()
    sent.continue_()
    page.frame_locator("dialog iframe").get_by_role("heading", name=HONORED).wait_for(timeout=10_000)
    assert page.locator("dialog").count() == 1
    assert page.evaluate(PING)["signalStatus"] == "not ready"
    page.keyboard.press("Escape")
    page.get_by_role("switch", name=HONORED).wait_for()


def test_while_the_dialog_is_open_nothing_is_said_to_hold_whoever_asks(cached, running):
    page = cached(PAGE)
    opened(page)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(ASK)
    page.wait_for_timeout(500)
    assert f"{running.url}/privacy-choices/status" not in asked
    assert page.evaluate(PING)["signalStatus"] == "not ready"


@pytest.mark.parametrize("how", ["button", "Escape", "Escape inside", "Close of the form"])
def test_closing_sends_nothing_and_gives_the_focus_back(cached, running, how):
    page = cached(PAGE)
    inside = opened(page)
    inside.get_by_role("switch", name="Opt out on this browser").wait_for()
    page.locator("dialog iframe").element_handle().content_frame().wait_for_load_state(
        "load"
    )  # what it asks for itself
    before, sent = entries(running), []
    page.on("request", lambda request: sent.append((request.method, request.url)))
    if how == "button":
        assert page.evaluate("document.activeElement.textContent") == "Close"
        page.keyboard.press("Enter")
    elif how == "Escape":
        page.keyboard.press("Escape")
    elif how == "Escape inside":
        inside.get_by_role("link", name="Close").focus()
        page.keyboard.press("Escape")
    else:
        inside.get_by_role("link", name="Close").click()
    page.get_by_role("dialog").wait_for(state="detached")
    page.wait_for_function(LOADED)
    assert page.evaluate("document.activeElement.textContent") == "Your Privacy Choices"
    assert {method for method, _ in sent} <= {"GET"}
    assert {url.removeprefix(running.url) for _, url in sent} <= {"/privacy-choices/status"}
    assert entries(running) == before
    assert told(page)[4:] == [
        ["signalStatus", "not ready"],
        ["cmpDisplayStatus", "visible"],
        ["cmpDisplayStatus", "hidden"],
        ["signalStatus", "ready"],
    ]


@pytest.fixture(scope="module")
def axe(request):
    folder = node.packages(request.config.cache, "axe-core@4.14.1")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


def test_what_the_script_adds_breaks_no_rule_of_accessibility(cached, axe):
    page = cached(PAGE, **GPC)
    page.get_by_role("switch", name=HONORED).wait_for()
    opened(page)
    page.evaluate(axe)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate("(tags) => axe.run(document, {runOnly: tags, iframes: false})", tags)["violations"]
        ours = [rule["id"] for rule in found if rule["id"] not in {"landmark-one-main", "region"}]  # of the page itself
        assert ours == [], scheme


@pytest.mark.parametrize("modifier", ["Control", "Shift", "Alt"])
def test_a_click_that_asks_for_another_window_is_left_alone(cached, modifier):
    page = cached(PAGE)
    page.wait_for_function(LOADED)
    page.get_by_role("link", name="Your Privacy Choices").click(modifiers=[modifier])
    page.wait_for_timeout(200)
    assert page.locator("dialog").count() == 0


@pytest.mark.parametrize("off", ["script", "dialogs"])
def test_where_there_is_no_dialog_the_link_is_a_link(cached, off):
    page = cached(PAGE, java_script_enabled=off != "script", init="delete self.HTMLDialogElement;")
    page.wait_for_load_state("networkidle")
    page.get_by_role("link", name="Your Privacy Choices").click()
    page.wait_for_url("**/privacy-choices")
    assert page.get_by_role("switch", name="Opt out on this browser").is_visible()


def test_a_strict_policy_of_the_page_is_kept(cached):
    """`script-src 'self'` and the two hashes that the recipe prints; nothing inline in styles."""
    policy = f"default-src 'none'; script-src 'self' {' '.join(HASHES)}; style-src 'self'; connect-src 'self'; frame-src 'self'"
    init = "broken = []; addEventListener('securitypolicyviolation', (event) => broken.push(event.violatedDirective));"
    page = cached(html(STUB + GOOGLE + SCRIPT), headers={"Content-Security-Policy": policy}, init=init, **GPC)
    page.get_by_text(HONORED).wait_for()
    inside = opened(page)
    inside.get_by_role("switch", name="Opt out on this browser").wait_for()
    assert page.evaluate("broken") == []
    box = page.locator("dialog iframe").bounding_box()
    assert box["height"] > 300
    picture(page, "dialog-policy")


# --- where the site enforces ----------------------------------------------------------------------------------------


def enforcing(denied):
    """Answers as a gateway does of a site that enforces; `denied`: whether it denies what was posted."""

    def answer(route):
        out = denied(route.request.post_data_json or {})
        said = opted_out() if out else strings(Outcome(frozenset(), frozenset({"US-CA"})))
        enforced = {"policy": "default-src 'self'", "service_workers": [], "now": out}
        route.fulfill(json={"strings": said.for_page(), "display": out and HONORED, "enforced": enforced})

    return answer


NO_STORAGE = (
    """for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(self, name, { get: () => null });"""
)


@pytest.mark.parametrize(("storage", "most"), [("", 4), (NO_STORAGE, 2)], ids=["kept", "shut"])
def test_a_page_whose_no_comes_late_and_is_kept_nowhere_is_not_loaded_anew_without_end(cached, storage, most):
    first = "document.addEventListener('gateway-status', say, {once: true})"
    slow = f"self.__gpp = (command, answer) => {{ const say = () => answer({tool_of(opted_out())}, true); {first} }};"
    page, loads = cached(html(STUB), gateway=enforcing(lambda said: "gpp" in said), init=storage + slow), []
    page.on("request", lambda request: request.is_navigation_request() and loads.append(request.url))
    page.context.route(page.url, lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    page.goto(page.url, wait_until="commit")
    page.get_by_text(HONORED).wait_for(timeout=20_000)
    assert len(loads) == most


ORDER = """<form method="post" action="/order#here"><input name="what" value="a lamp"><button>Order</button></form>"""


@pytest.mark.parametrize("before", [False, True], ids=["at once", "later"])
def test_a_page_that_is_the_answer_to_a_form_is_loaded_anew_without_sending_the_form_again(cached, running, before):
    out, asked = [] if before else [True], []
    page = cached(ORDER + '<p id="below">', gateway=enforcing(lambda _: bool(out)))

    def ordered(route):
        asked.append(route.request.method)
        route.fulfill(body=PAGE, content_type="text/html")

    page.context.route(f"{running.url}/order", ordered)
    with page.expect_navigation(wait_until="commit"):  # a question to the page before it would load that one anew
        page.get_by_role("button", name="Order").click()
    if before:
        page.wait_for_function(LOADED)
        out.append(True)
        page.evaluate(ASK)
    page.get_by_text(HONORED).wait_for()
    assert asked == ["POST", "GET"]
    assert page.url == f"{running.url}/order#here"


def test_a_choice_on_its_way_is_not_dropped_when_a_page_that_enforces_is_told_to_ask(cached, running):
    out = []
    page, before = cached(PAGE, gateway=enforcing(lambda _: bool(out))), entries(running)
    sent = closed_on_the_way(page, running)
    page.evaluate("self.before = true")
    page.evaluate("() => document.dispatchEvent(new Event('gateway-ask'))")
    page.wait_for_timeout(500)
    assert page.evaluate("self.before")
    out.append(True)
    sent.continue_()
    page.get_by_role("switch", name=HONORED).wait_for()
    assert page.evaluate("self.before") is None
    assert entries(running) > before


def test_with_the_press_of_the_button_a_page_that_enforces_is_silent_before_the_answer(cached, running):
    page = cached(PAGE, gateway=enforcing(lambda _: False))
    page.wait_for_function(LOADED)
    policies = page.locator("meta[http-equiv=Content-Security-Policy]")
    assert policies.count() == 0
    closed_on_the_way(page, running)
    assert policies.get_attribute("content") == "default-src 'self'"


def test_so_is_one_whose_first_answer_comes_when_the_dialog_is_open_already(cached):
    held = []
    page = cached(PAGE, gateway=lambda route: held.append(route))  # noqa: PLW0108 - a builtin is none to Playwright
    assert comes_to(lambda: page.wait_for_timeout(20) or len(held), expected=1) == 1
    page.get_by_role("link", name="Your Privacy Choices").click()
    switch = page.frame_locator("dialog iframe").get_by_role("switch", name="Opt out on this browser")
    switch.wait_for()
    with page.expect_response("**/silence.js"):
        enforcing(lambda _: False)(held[0])
    page.wait_for_timeout(100)
    switch.click()
    assert page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content") == "default-src 'self'"


def test_a_page_that_was_not_loaded_anew_under_a_dialog_is_so_after_it(cached):
    waits = "navigator.serviceWorker.getRegistrations = () => new Promise((done) => { self.found = () => done([]) });"
    out = []
    page = cached(PAGE, gateway=enforcing(lambda _: bool(out)), init=waits)
    page.reload()
    page.wait_for_function(LOADED)
    page.evaluate("self.before = true")
    out.append(True)
    page.evaluate(ASK)
    page.wait_for_function("() => self.found")
    page.get_by_role("link", name="Your Privacy Choices").click()
    page.get_by_role("dialog").wait_for()
    page.evaluate("found()")
    page.keyboard.press("Escape")
    page.wait_for_function("() => self.found && (self.before === undefined || found())", timeout=10_000)


@pytest.mark.parametrize(("ends", "shown"), [("Promise.resolve()", 1), ("Promise.reject(1)", 0)], ids=["ended", "not"])
def test_nothing_is_said_to_be_honored_where_an_old_service_worker_could_not_be_ended(cached, ends, shown):
    worker = f"{{active: {{scriptURL: location.origin + '/old.js'}}, unregister: () => (self.tried = true, {ends})}}"
    init = f"navigator.serviceWorker.getRegistrations = async () => [{worker}];"
    page = cached(PAGE, gateway=enforcing(lambda _: True), init=init)
    type_of_load = "performance.getEntriesByType('navigation')[0].type"
    page.wait_for_function(f"() => self.tried && {type_of_load} === 'reload'")
    page.wait_for_timeout(500)
    assert page.get_by_text(HONORED).count() == shown
