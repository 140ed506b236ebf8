"""A real Chromium opens the demo: what the person sees, and what the second origin gets."""

import pytest
from support.accessible import picture
from support.chromium import comes_to, look, visit
from support.people import phone
from support.service import service
from support.wire import call, check

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ALL_THREE = {"ad.js", "pixel.gif", "beacon"}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("demo")) as started:
        yield started


def tracked(running) -> dict[str, int]:
    return call(f"{running.tracker}/seen", key="")[1]


def gained(running, before: dict[str, int]) -> set[str]:
    after = tracked(running)
    return {name for name in after if after[name] > before.get(name, 0)}


def status(context, running) -> str:
    """What this browser is told of itself."""
    return context.request.get(f"{running.url}/privacy-choices/status").json()["status"]


def gateway_cookie(context) -> str:
    return next(cookie["value"] for cookie in context.cookies() if cookie["name"] == "__Host-gateway")


def test_without_any_choice_the_second_origin_gets_all_three(running, chromium):
    """The control of every other test here."""
    before = tracked(running)
    context = chromium.new_context()
    visit(context.new_page(), f"{running.url}/demo")
    assert comes_to(lambda: gained(running, before), ALL_THREE) == ALL_THREE
    context.close()


def test_a_visitor_with_gpc_sees_that_it_is_honored_and_no_tracker_fires(running, chromium):
    before = tracked(running)
    context = chromium.new_context(extra_http_headers={"Sec-GPC": "1"})
    page = context.new_page()
    for url in (f"{running.url}/demo", f"{running.url}/demo/second"):
        visit(page, url)
        assert page.get_by_text("Opt-Out Request Honored").is_visible()
    picture(page, "demo-gpc")
    assert gained(running, before) == set()
    cookie = gateway_cookie(context)
    context.close()
    entries = call(f"{running.url}/readyz", key="")[1]["ledger"]["entries"]
    running.stop()
    running.start()
    told = 2  # of the evidence: that the service stopped, and that it started
    ledger = lambda: call(f"{running.url}/readyz", key="")[1]["ledger"]  # noqa: E731
    assert comes_to(lambda: ledger()["entries"], entries + told) == entries + told
    for recipient in ("teemo", "advertisers"):
        answer = check(running.url, {"type": "browser", "value": cookie}, recipient, place="US-CA")
        assert (answer["allowed"], answer["partly"], answer["reason"]) == (False, False, "opted_out")


@pytest.mark.parametrize("how", ["form", "usprivacy"])
def test_a_visitor_who_opts_out_without_the_header_meets_no_tracker(running, chromium, how):
    context = chromium.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    if how == "usprivacy":
        context.add_cookies([{"name": "usprivacy", "value": "1YYN", "url": running.url}])
    else:
        page.goto(f"{running.url}/privacy-choices")
        picture(page, "choices-phone", full_page=True)
        page.get_by_role("link", name="Opt out further").click()
        page.get_by_label("Your Talkatone phone number").fill(phone(7))
        page.get_by_role("button", name="Opt out", exact=True).click()
        page.wait_for_url("**/privacy-choices/done/*")
        assert page.get_by_role("heading", name="Opt-Out Request Honored").is_visible()
        picture(page, "done-phone", full_page=True)
    before = tracked(running)
    visit(page, f"{running.url}/demo")
    visit(page, f"{running.url}/demo/second")
    assert page.get_by_text("Opt-Out Request Honored").is_visible()
    assert gained(running, before) == set()
    answer = check(running.url, {"type": "browser", "value": gateway_cookie(context)}, "advertisers", place="US-CA")
    assert not answer["allowed"]
    context.close()


def test_the_form_works_with_script_off(running, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{running.url}/privacy-choices")
    page.get_by_role("switch", name="Opt out on this browser").click()
    page.wait_for_url("**/privacy-choices/done/*")
    assert page.get_by_role("heading", name="Opt-Out Request Honored").is_visible()
    context.close()


@pytest.mark.parametrize("how", ["nothing", "header", "cookie", "form"])
def test_with_script_off_whoever_is_out_meets_no_tracker(running, chromium, how):
    """`nothing` is the control: of the three only the picture needs no script."""
    headers = {"Sec-GPC": "1"} if how == "header" else {}
    context = chromium.new_context(java_script_enabled=False, extra_http_headers=headers)
    page = context.new_page()
    if how == "cookie":
        context.add_cookies([{"name": "usprivacy", "value": "1YYN", "url": running.url}])
    if how == "form":
        page.goto(f"{running.url}/privacy-choices")
        page.get_by_role("switch", name="Opt out on this browser").click()
        page.wait_for_url("**/privacy-choices/done/*")
    before = tracked(running)
    for url in (f"{running.url}/demo", f"{running.url}/demo/second"):
        visit(page, url)
    expected = {"pixel.gif"} if how == "nothing" else set()
    assert comes_to(lambda: gained(running, before), expected) == expected
    context.close()


def test_the_choices_page_fits_a_small_phone_and_asks_no_other_host(running, chromium):
    context = chromium.new_context(viewport={"width": 320, "height": 640}, color_scheme="dark")
    page = context.new_page()
    hosts = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.goto(f"{running.url}/privacy-choices")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert hosts == {running.url.split("/")[2]}
    context.close()


def test_a_browser_that_says_it_to_scripts_alone_is_heard_by_the_pages_script(running, chromium):
    """`navigator.globalPrivacyControl` without the header (L8, L9): the second page is silent."""
    context = chromium.new_context()
    context.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    page, first = context.new_page(), tracked(running)
    look(page, f"{running.url}/demo")
    assert comes_to(lambda: status(context, running), "opted_out") == "opted_out"
    assert comes_to(lambda: gained(running, first), ALL_THREE) == ALL_THREE  # of the first page, and on the way no more
    before = tracked(running)
    look(page, f"{running.url}/demo/second")
    page.get_by_text("Opt-Out Request Honored").wait_for()
    assert gained(running, before) == set()
    context.close()


@pytest.mark.parametrize(
    ("script", "heard"),
    [
        ("Object.defineProperty(navigator, 'globalPrivacyControl', {value: false})", False),
        ("window.__uspapi = (command, version, answer) => answer({uspString: '1YYN'}, true)", True),
        ("window.__uspapi = (command, version, answer) => answer({uspString: '1YNN'}, true)", False),
        ("window.__gpp = (command, answer) => answer({signalStatus: 'ready', gppString: 'DBABBg~BUUAAABY.YA'})", True),
        ("window.__gpp = (command, answer) => answer({signalStatus: 'not ready', gppString: 'DBABTA~1YYN'})", False),
        ("window.__gpp = () => { throw new Error('broken') }", False),
    ],
    ids=["gpc off", "usp out", "usp allowed", "gpp out", "gpp not ready", "gpp broken"],
)
def test_what_a_consent_tool_answers_to_script_is_heard(running, chromium, script, heard):
    context = chromium.new_context()
    context.add_init_script(script)
    page = context.new_page()
    look(page, f"{running.url}/demo")
    expected = "opted_out" if heard else "not_opted_out"
    assert comes_to(lambda: status(context, running), expected) == expected
    look(page, f"{running.url}/demo/second")
    assert page.get_by_text("Opt-Out Request Honored").is_visible() is heard
    context.close()
