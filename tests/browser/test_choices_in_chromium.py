"""A real Chromium on the choices page: the whole story by whoever comes, and what WCAG 2.2 AA asks of every state."""

import contextlib
import functools
import itertools
import re
import time

import pytest
from support.accessible import AA, looked_through, picture
from support.old_safari import old_safari
from support.people import email, phone
from support.service import service

from gateway.keys import api_keys, secret_files
from gateway.web.pages.positions import CAME
from gateway.web.shell.words import LANGUAGES, say

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PATH = "/privacy-choices"
PHONE = {"en": "Your Talkatone phone number", "es": "Su número de teléfono de Talkatone",
         "fr": "Votre numéro de téléphone Talkatone"}  # fmt: skip
LEAST = 44  # CSS pixels: WCAG 2.5.5, more than the 24 that AA asks for


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("choices")) as started:
        yield started


@pytest.fixture(scope="module")
def accounts(running):
    """The key by which the site says who is signed in."""
    return secret_files.load_secrets(running.data).accounts[-1]


@pytest.fixture
def opened(chromium):
    """Opens pages, each in a browser of its own, and closes them."""
    contexts = []

    def open_(url, **options):
        contexts.append(chromium.new_context(**options))
        page = contexts[-1].new_page()
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture
def looked_at():
    """Keeps a picture of the page where SCREENSHOTS says."""
    return functools.partial(picture, full_page=True)


def button(page, language, text):
    return page.get_by_role("button", name=say(language, text), exact=True)


def switch(page, language="en"):
    return page.get_by_role("switch", name=say(language, "Opt out on this browser"), exact=True)


def reach_further(page, language="en"):
    """To the fields for a number and an address."""
    page.get_by_role("link", name=say(language, "Opt out further: an email address or a phone number")).click()
    page.get_by_label(say(language, "Your email")).wait_for()


def fits(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


# --- the whole story -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("script", [True, False], ids=["script on", "script off"])
def test_a_person_opts_out_and_reads_what_holds_in_their_language(running, opened, looked_at, script, width, language):
    page = opened(
        running.url + PATH, viewport={"width": width, "height": 800}, java_script_enabled=script, locale=language
    )
    assert page.locator("html").get_attribute("lang") == language
    assert page.get_by_text(say(language, "No opt-out is recorded for this browser.")).is_visible()
    assert switch(page, language).get_attribute("aria-checked") == "false"
    assert fits(page)
    looked_at(page, f"choices-{language}-{width}-{script}")
    reach_further(page, language)
    page.get_by_label(PHONE[language]).fill(phone(21))
    page.get_by_label(say(language, "Your email")).fill(email(21))
    button(page, language, "Opt out").click()
    page.wait_for_url("**/privacy-choices/done/*")
    assert page.get_by_role("heading", name=say(language, "Opt-Out Request Honored")).is_visible()
    assert page.get_by_text(say(language, "Opted out"), exact=True).count() == 3
    assert fits(page)
    looked_at(page, f"done-{language}-{width}-{script}")
    page.get_by_role("link", name=say(language, "Your Privacy Choices")).click()
    page.wait_for_url("**/privacy-choices")
    assert page.get_by_text(say(language, "Opt-Out Request Honored")).is_visible()
    assert switch(page, language).get_attribute("aria-checked") == "true"
    assert page.get_by_text(say(language, "Opted out"), exact=True).count() == 1
    assert page.get_by_text(say(language, "Limited"), exact=True).count() == 1
    assert page.get_by_text(say(language, "Not opted out"), exact=True).count() == 0
    reach_further(page, language)
    assert page.get_by_label(say(language, "Your email")).input_value() == ""
    assert phone(21) not in page.content()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_link_to_a_language_is_kept_through_the_whole_story(running, opened, language):
    page = opened(f"{running.url}{PATH}?lang={language}", locale="de", java_script_enabled=False)
    switch(page, language).click()
    page.wait_for_url("**/privacy-choices/done/*")
    assert page.locator("html").get_attribute("lang") == language
    page.get_by_role("link", name=say(language, "Your Privacy Choices")).click()
    page.wait_for_url("**/privacy-choices?*")
    assert page.locator("html").get_attribute("lang") == language


def tab_to(page, name: str) -> int:
    """Presses Tab until the control of that name has the focus, seen and uncovered. How often that took."""
    for pressed in range(1, 60):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        assert focus["outlined"], focus
        assert focus["seen"], focus
        if focus["name"] == name:
            return pressed
    raise AssertionError(f"{name} is not reached by the keyboard")


FOCUS = """() => {
  const it = document.activeElement, box = it.getBoundingClientRect(), style = getComputedStyle(it);
  const at = document.elementFromPoint(box.x + Math.min(box.width / 2, 40), box.y + box.height / 2);
  return {name: (it.labels && it.labels[0] || it).textContent.trim(), outlined: parseFloat(style.outlineWidth) >= 2,
          seen: box.top >= 0 && box.bottom <= innerHeight && (at === it || it.contains(at))};
}"""


@pytest.mark.parametrize("width", [320, 1280])
def test_a_person_with_a_keyboard_alone_opts_out_at_once(running, opened, width):
    page = opened(running.url + PATH, viewport={"width": width, "height": 640}, java_script_enabled=False)
    assert tab_to(page, "Opt out on this browserOff") <= 3  # after the way back to the site and the policy
    page.keyboard.press("Enter")
    page.wait_for_url("**/privacy-choices/done/*")
    assert page.get_by_role("heading", name="Opt-Out Request Honored").is_visible()
    tab_to(page, "Your Privacy Choices")


def test_a_person_with_a_keyboard_alone_gives_a_number_and_chooses_some_uses(running, opened):
    page = opened(running.url + PATH, viewport={"width": 320, "height": 640}, java_script_enabled=False)
    tab_to(page, "Opt out further: an email address or a phone number")
    page.keyboard.press("Enter")
    page.wait_for_url("**reach=1")
    tab_to(page, "Your Talkatone phone number")
    page.keyboard.type(phone(22))
    tab_to(page, "profiling")
    page.keyboard.press("Space")
    tab_to(page, "Opt out")
    page.keyboard.press("Enter")
    page.wait_for_url("**/privacy-choices/done/*")
    assert page.get_by_text("of these uses only: profiling").count() == 2


def test_enter_in_a_field_opts_out_of_everything(running, opened):
    page = opened(running.url + PATH)
    reach_further(page)
    page.get_by_label("Your email").fill(email(23))
    page.keyboard.press("Enter")
    page.wait_for_url("**/privacy-choices/done/*")
    assert page.get_by_text("of these uses only").count() == 0


@pytest.mark.parametrize("path", [PATH, f"{PATH}/marketing"])
def test_no_browser_stops_an_opt_out_for_how_an_address_is_written(running, opened, path):
    """It would by itself, with a message of its own and nothing sent; here the gateway finds the address."""
    page = opened(running.url + path)
    if path == PATH:
        reach_further(page)
    page.get_by_label("Your email").fill(f"Jane Doe <{email(24)}>")
    page.keyboard.press("Enter")
    page.wait_for_url("**/privacy-choices/done/*")
    assert page.get_by_text("the email address that you gave").is_visible()
    assert page.get_by_text("could not read").count() == 0


def test_whoever_forgot_something_lands_on_the_list_of_what_is_missing_without_script(running, opened, looked_at):
    page = opened(f"{running.url}{PATH}/marketing", java_script_enabled=False, viewport={"width": 320, "height": 640})
    button(page, "en", "Stop what is ticked").click()
    page.locator(".problem:focus").wait_for()
    looked_at(page, "marketing-refused")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("#marketing_email$"))
    page.get_by_role("link", name=re.compile("^Say where the marketing")).click()
    page.keyboard.press("Tab")  # from the field that the link leads to
    assert page.evaluate("document.activeElement.id") == "phone"


def test_no_other_host_is_asked_and_no_cookie_set_by_looking(running, opened, chromium):
    context = chromium.new_context()
    page, hosts = context.new_page(), set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    for path in ("", "/marketing", "/data"):
        page.goto(running.url + PATH + path)
    assert hosts == {running.url.split("/")[2]}
    assert context.cookies() == []
    context.close()


# --- an old Safari -------------------------------------------------------------------------------------------------


def test_a_browser_that_tells_nothing_of_where_a_form_comes_from_can_opt_out(running, opened):
    """No Fetch Metadata and `Origin: null`: the page that we served vouches for the form (R32)."""
    with old_safari(running.url) as address:
        page = opened(address + PATH)
        switch(page).click()
        page.wait_for_url("**/privacy-choices/done/*")
        assert page.get_by_role("heading", name="Opt-Out Request Honored").is_visible()


def test_without_our_page_the_same_browser_is_refused_and_told(running, opened):
    """The control: the token is what opened the door."""
    with old_safari(running.url) as address:
        page = opened(address + PATH)
        page.evaluate("document.querySelectorAll('[name=token]').forEach(each => each.value = 'forged')")
        switch(page).click()
        page.locator(".problem:focus").wait_for()
        switch(page).click()  # the page that says so is ours again
        page.wait_for_url("**/privacy-choices/done/*")


# --- WCAG 2.2 AA ---------------------------------------------------------------------------------------------------


def violations(page) -> list[str]:
    found = looked_through(page, AA).response
    return [f"{each['id']}: {node['html']}" for each in found["violations"] for node in each["nodes"]]


def small(page) -> list[str]:
    """Controls lower than what a thumb needs; links within a sentence are excepted (WCAG 2.5.8)."""
    return page.evaluate(
        """least => [...document.querySelectorAll(
             'button, .button, summary, .tick, select, input:not([type=radio], [type=checkbox], [type=hidden]),'
             + '.links a, .languages a, .problem li a')]
           .filter(each => each.checkVisibility() && each.getBoundingClientRect().height < least - 0.5)
           .map(each => each.outerHTML)""",
        LEAST,
    )


def form(page, url):
    page.goto(url + PATH)


def signal(page, url):
    page.set_extra_http_headers({"Sec-GPC": "1"})
    page.goto(url + PATH)


def further(page, url):
    page.goto(f"{url}{PATH}?reach=1")


def refused(page, url):
    further(page, url)
    page.evaluate("document.querySelectorAll('[name=token]').forEach(each => each.value = 'forged')")
    page.get_by_label("Your email").fill(email(24))
    button(page, "en", "Opt out").click()
    page.get_by_text("Nothing was saved").wait_for()


def confirmed(page, url):
    page.goto(f"{url}{PATH}?reach=1")
    page.get_by_label("Your Talkatone phone number").fill("call me")
    button(page, "en", "Opt out").click()
    page.get_by_text("We could not read the phone number").wait_for()
    page.locator("summary").click()


def opted_out(page, url):
    form(page, url)
    switch(page).click()
    page.wait_for_url("**/done/*")
    page.goto(url + PATH)


def limited(page, url):
    form(page, url)
    button(page, "en", "Limit the use").click()
    page.wait_for_url("**/done/*")
    page.goto(url + PATH)


def opting_in(page, url):
    opted_out(page, url)
    switch(page).click()  # the way back begins where the way out did
    page.wait_for_url("**/opt-in?*")


def first_step(page, url):
    opting_in(page, url)
    page.get_by_label("targeted advertising", exact=True).check()
    page.get_by_label("For this browser alone").check()
    button(page, "en", "Go on").click()
    page.get_by_role("heading", name="First step").wait_for()


def second_step(page, url):
    first_step(page, url)
    button(page, "en", "Yes, go on").click()
    page.get_by_role("heading", name="Second step").wait_for()


def allowed(page, url):
    second_step(page, url)
    button(page, "en", "Yes, I allow it").click()
    page.get_by_role("heading", name="It is allowed").wait_for()
    page.locator("summary").click()


def received(page, url):
    """The same page for whoever only has its address."""
    allowed(page, url)
    page.context.clear_cookies()
    page.reload()
    page.get_by_role("heading", name="Your yes was received").wait_for()
    page.locator("summary").click()


def one_use_again(page, url):
    """Opted out, and one use allowed again: some of each sentence on one page."""
    allowed(page, url)
    page.goto(url + PATH)
    page.get_by_text("Allowed by you").wait_for()


def erasing(page, url):
    opted_out(page, url)
    page.goto(f"{url}{PATH}/erase")


def erased(page, url):
    erasing(page, url)
    page.get_by_label("this browser").check()
    button(page, "en", "Yes, forget it").click()
    page.get_by_role("heading", name="It is forgotten").wait_for()
    page.locator("summary").click()


def no_code(page, url):
    page.goto(f"{url}{PATH}/code")


def shown_again(page, url):
    confirmed(page, url)
    page.reload()
    page.locator("summary").click()
    page.get_by_text("The proof that it was you cannot be given here").wait_for()


def marketing(page, url):
    page.goto(f"{url}{PATH}/marketing")


def marketing_refused(page, url):
    marketing(page, url)
    button(page, "en", "Stop what is ticked").click()
    page.get_by_text("Nothing was saved").wait_for()


def own_data(page, url):
    page.goto(f"{url}{PATH}/data")


def not_there(page, url):
    page.goto(f"{url}{PATH}/nowhere")
    page.get_by_text("This page is not here").wait_for()


def dead_link(page, url):
    page.goto(f"{url}{PATH}/unsubscribe/nothing")
    page.get_by_text("Nothing was changed").wait_for()


STATES = [
    form,
    signal,
    further,
    refused,
    confirmed,
    opted_out,
    limited,
    opting_in,
    first_step,
    second_step,
    allowed,
    received,
    one_use_again,
    erasing,
    erased,
    no_code,
    shown_again,
    marketing,
    marketing_refused,
    own_data,
    not_there,
    dead_link,
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_page_and_state_keeps_to_wcag_2_2_aa(running, opened, looked_at, state):
    """On a phone and on a screen, by day and by night."""
    with old_safari(running.url) if state is refused else contextlib.nullcontext(running.url) as url:
        page = opened(url + PATH, viewport={"width": 320, "height": 800})
        state(page, url)
    for width, scheme in itertools.product([320, 1280], ["light", "dark"]):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        looked_at(page, f"{state.__name__}-{width}-{scheme}")
        assert violations(page) == [], (width, scheme)
        assert fits(page), (width, scheme)
        assert small(page) == [], (width, scheme)


@pytest.mark.parametrize(("state", "checked"), [(form, False), (opted_out, True)], ids=["off", "on"])
def test_in_forced_colours_the_switch_shows_how_it_stands(running, opened, looked_at, state, checked):
    page = opened(running.url + PATH, viewport={"width": 320, "height": 800}, forced_colors="active")
    state(page, running.url)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, forced_colors="active")
        looked_at(page, f"forced-{state.__name__}-{scheme}")
        knob, track, ground = switch(page).evaluate(
            """each => { const track = each.querySelector('.track'), style = getComputedStyle(track);
              return [getComputedStyle(track, '::before').borderTopColor, style.borderTopColor, style.backgroundColor]; }"""
        )
        assert ground not in {knob, track}, (scheme, "drawn by borders, which stay")
        text, mark = (page.locator(each).bounding_box() for each in (".switch", ".track"))
        assert mark["x"] + mark["width"] <= text["x"] + text["width"] <= 320, scheme
        assert page.locator(".track").inner_text() == ("On" if checked else "Off"), scheme


def at_each_width(page):
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        yield width


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_that_says_why_somebody_is_still_out_keeps_to_it(running, accounts, opened, looked_at, language):
    """The account came back; the browser that it is signed in on said no by itself, and another one's no came along."""
    signed = {"Gateway-Account": api_keys.assert_account(accounts, f"a-{language}", int(time.time()) + 600)}
    page = opened(f"{running.url}{PATH}?lang={language}", viewport={"width": 320, "height": 800})
    switch(page, language).click()
    page.wait_for_url("**/privacy-choices/done/*")
    page.set_extra_http_headers(signed)
    page.goto(f"{running.url}{PATH}/status")
    page.goto(f"{running.url}{PATH}?lang={language}")
    *_, end = say(language, CAME["browser"]).split("%(our_account)s")  # the operator's own word
    page.get_by_text(end).first.wait_for()
    assert "%(" not in page.inner_text("main")
    for width in at_each_width(page):
        looked_at(page, f"why-{language}-{width}")
        assert violations(page) == [], width
        assert fits(page), width
    page.goto(f"{running.url}{PATH}/opt-in?lang={language}")
    page.locator("[name=what][value=targeted_ads]").check()
    page.locator("[name=by][value=account]").check()
    for press in ("Go on", "Yes, go on", "Yes, I allow it"):
        button(page, language, press).click()
    page.get_by_role("heading", name=say(language, "Still not done on this browser")).wait_for()
    for width in at_each_width(page):
        looked_at(page, f"still-out-{language}-{width}")
        assert violations(page) == [], width
        assert fits(page), width
        assert small(page) == [], width


@pytest.mark.parametrize("language", ["es", "fr"])
@pytest.mark.parametrize("path", ["", "/marketing", "/nowhere"])
def test_the_pages_keep_to_it_in_the_other_languages(running, opened, path, language):
    page = opened(f"{running.url}{PATH}{path}?lang={language}", viewport={"width": 320, "height": 800})
    assert violations(page) == []
    assert fits(page)
    assert small(page) == []


def test_a_request_that_is_kept_and_not_yet_entered_is_told_on_a_page_that_keeps_to_it(tmp_path, opened):
    with service(tmp_path) as away:
        page = opened(away.url + PATH)
        ledger = away.data / "ledger.sqlite3"
        ledger.rename(ledger.with_suffix(".away"))
        try:
            switch(page).click()
            page.get_by_text("It is kept; you need not send it again").wait_for()
            assert violations(page) == []
        finally:
            ledger.with_suffix(".away").rename(ledger)


@pytest.mark.parametrize(
    ("planted", "rule"),
    [
        ("document.querySelector('main').append(new Image())", "image-alt"),
        ("document.querySelector('label[for=email]').remove()", "label"),
        ("document.querySelector('.small').style.color = '#aaa'", "color-contrast"),
        ("document.documentElement.removeAttribute('lang')", "html-has-lang"),
    ],
)
def test_a_planted_violation_is_found(running, opened, planted, rule):
    """The control of the tests above."""
    page = opened(f"{running.url}{PATH}?reach=1")
    page.evaluate(planted)
    assert rule in {each.partition(":")[0] for each in violations(page)}


def test_a_button_that_is_too_small_is_found(running, opened):
    page = opened(running.url + PATH)
    page.evaluate(
        "document.querySelectorAll('button').forEach(each => each.style.cssText = 'min-height: 0; padding: 0')"
    )
    assert small(page)
