"""Opting in on the page: one purpose, two acts, proof of control, and never while something stands above it."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from support import inside
from support.opting_in import Site, hidden, standing
from support.people import email, named, phone

from gateway.app import service
from gateway.keys import secret_files
from gateway.web.shell.page import load_notice

pytestmark = pytest.mark.anyio
FIRST, SECOND = (load_notice(kind, "es").sha256.hex() for kind in ("opt-in", "confirm"))
START, DONE = "/privacy-choices/opt-in", "/privacy-choices/opt-in/done/"


@pytest.fixture
async def site(tmp_path):
    async with standing(tmp_path / "data") as built:
        yield built


ADS = {"what": "targeted_ads"}
MAIL = {"by": "email", "email": email(1)}


def cookie_of(browser):
    return {"type": "browser", "value": browser.jar["__Host-gateway"]}


# --- the way -------------------------------------------------------------------------------------------------------


async def test_a_browser_that_opted_out_opens_one_purpose_again_and_the_others_stay(site):
    browser = site.browser()
    await browser.opts_out()
    assert await site.sale(cookie_of(browser)) == "opted_out"
    assert "__Host-gateway-said" in browser.jar
    done = await browser.opts_in(**ADS)
    assert "__Host-gateway-said" not in browser.jar, "it would say the no again"
    assert "It is allowed" in done.text
    assert "targeted advertising" in done.text
    assert await site.sale(cookie_of(browser)) == "opted_in"
    assert await site.sale(cookie_of(browser), purpose="sharing") == "opted_out"
    status = (await browser.get("/privacy-choices/status")).json()
    assert status["purposes"]["targeted_ads"] != status["purposes"]["sale"], "its own cookie denies it no longer"


async def told_to_the_site(browser):
    page = {"X-Original-Method": "GET", "X-Original-URI": "/"}
    return (await browser.calling.get("/authz/nginx", headers=browser._headers() | page)).headers["gateway-consent"]


async def test_what_a_person_reads_to_be_allowed_the_site_is_told_to_be_allowed(site):
    browser = site.browser()
    await browser.opts_out()
    assert "It is allowed" in (await browser.opts_in(**ADS)).text
    assert await told_to_the_site(browser) == "sale=?0, sharing=?0, targeted_ads=?1, status=honored"
    shown = (await browser.get("/privacy-choices")).text
    assert "Not opted out" not in shown, "the badge says that an opt-out is honored"


async def test_an_accounts_yes_opens_no_browser_that_remembers_a_signal(site):
    """What only its cookie remembers is put on its record, whatever the account said."""
    await site.call("/v1/choices", choice="opt_out", identifiers=[named("account", "a1")])
    assert "It is allowed" in (await site.browser("a1").opts_in(**ADS, by="account")).text
    browser = site.browser(**{"Sec-GPC": "1"})
    await browser.get("/privacy-choices/status")
    signed = site.browser("a1")
    signed.jar = browser.jar
    await signed.get("/privacy-choices/status")
    assert await site.sale(cookie_of(signed), named("account", "a1")) == "opted_out"


async def test_an_address_opens_by_a_code_that_came_to_it(site):
    browser = site.browser()
    await browser.opts_out(email=email(1))
    done = await browser.opts_in(**ADS, **MAIL)
    assert "It is allowed" in done.text
    assert await site.sale(named("email", email(1))) == "opted_in"
    assert await site.sale(cookie_of(browser)) == "opted_out", "the browser said no by itself"


async def test_a_signed_in_person_opens_for_the_account(site):
    browser = site.browser("a1")
    await site.call("/v1/choices", choice="opt_out", identifiers=[named("account", "a1")])
    assert "It is allowed" in (await browser.opts_in(**ADS, by="account")).text
    assert await site.sale(named("account", "a1")) == "opted_in"


async def test_the_entry_says_what_was_shown_twice_and_in_which_language(site):
    browser = site.browser(**{"Accept-Language": "es"})
    done = await browser.opts_in(**ADS, **MAIL)
    assert "Está permitido" in done.text
    proof = await site.call("/v1/access", identifiers=[named("email", email(1))])
    [entry] = proof["entries"]
    assert (entry["what"], entry["purposes"], entry["source"], entry["manner"]) == (
        "opt_in",
        ["targeted_ads"],
        "form",
        "web",
    )
    assert entry["notice"] == SECOND
    assert entry["details"]["asked_notice"] == FIRST


async def test_a_precise_place_is_opened_to_one_recipient_by_name(site):
    browser = site.browser()
    first = await browser.reads_notice(what="sale:teemo", **MAIL)
    assert "passing my precise location to teemo" in first.text
    done = await browser.presses(await browser.presses(first, "opt_in"), "confirm")
    assert "It is allowed" in done.text
    ask = {"recipient": "teemo", "purpose": "sale", "data": ["precise_geo"]}
    assert await site.sale(named("email", email(1)), **ask) == "opted_in"
    assert await site.sale(named("email", email(1)), **ask | {"data": ["ad_id"]}) == "no_choice"


async def test_the_receipt_and_the_opening_are_there_once(site):
    browser = site.browser()
    done = await browser.opts_in(**ADS, **MAIL)
    event = browser.urls[-1].removeprefix("http://127.0.0.1:8080" + DONE)
    assert (await browser.get(f"/privacy-choices/receipt/{event}")).text.startswith("c2sp.org/tlog-proof@v1")
    again = await browser.get(DONE + event)
    assert hidden(again.text) == {}
    assert "It is allowed" in again.text
    saved = (await browser.post("/privacy-choices/proof", **hidden(done.text))).json()
    assert saved["proofs"][0]["opening"]["value"] == email(1)
    assert "Your yes was received" in (await browser.get(DONE + event)).text, "what opens it went with the download"


def last_page(browser):
    return browser.urls[-1].removeprefix("http://127.0.0.1:8080")


@pytest.mark.parametrize("way", [{}, MAIL], ids=["browser", "email"])
async def test_what_became_of_a_yes_is_told_to_nobody_who_was_only_handed_its_id(site, way):
    """Recipients get it with each row (R7), and it is for ever."""
    browser, stranger = site.browser(), site.browser(**{"Sec-GPC": "1"})
    await browser.opts_in(**ADS, **way)
    who, seen = named("email", email(1)) if way else cookie_of(browser), set()
    for minutes in (0, 16):
        site.clock.later = timedelta(minutes=minutes)
        seen.add((await stranger.get(last_page(browser))).content)
    await site.call("/v1/links", account="teen", identifiers=[who], age=14)
    seen.add((await stranger.get(last_page(browser))).content)
    await site.call("/v1/choices", choice="opt_out", identifiers=[who])
    assert await site.sale(who) == "opted_out", "the control"
    seen.add((await stranger.get(last_page(browser))).content)
    assert len(seen) == 1
    told = seen.pop().decode()
    assert "Your yes was received" in told
    assert "/privacy-choices/receipt/" in told
    assert "Take it back" in told
    assert "email address that you have shown" not in told


TEEMO = {"what": "sale:teemo"}
BANNED = "does not let it be done"


async def point(site, place):
    """What teemo is answered of the address's precise point."""
    asked = {"recipient": "teemo", "purpose": "sale", "data": ["precise_geo"], "place": place}
    return (await site.call("/v1/check", identifiers=[named("email", email(1))], **asked))["data"]["precise_geo"]


@pytest.mark.parametrize(
    ("place", "told", "answer"), [("US-CA", "It is allowed", "allow"), ("US-OR", BANNED, "coarsen")]
)
async def test_of_a_precise_point_the_page_says_what_its_recipient_is_answered(site, monkeypatch, place, told, answer):
    monkeypatch.setattr(service, "DEMO_PLACE", place)
    done = await site.browser().opts_in(**TEEMO, **MAIL)
    assert told in done.text
    assert "the place in which you live" in done.text
    assert await point(site, place) == answer


async def test_where_nobody_knows_the_place_no_law_is_said_to_ban_it(site, monkeypatch):
    """Its points bring their places along, and where the law lets them they go."""
    monkeypatch.setattr(service, "DEMO_PLACE", None)
    assert "It is allowed" in (await site.browser().opts_in(**TEEMO, **MAIL)).text
    assert await point(site, "US-CA") == "allow"


async def test_where_somebody_lives_is_told_by_their_own_page_alone(site):
    """R13. The address shows that it is one's own, and not whose the account is that it belongs to."""
    await site.call("/v1/links", account="a1", identifiers=[named("email", email(1))])
    lives = {"choice": "opt_out", "purposes": ["profiling"], "place": "US-OR"}
    await site.call("/v1/choices", identifiers=[named("account", "a1")], **lives)
    assert BANNED in (await site.browser("a1").opts_in(**TEEMO, by="account")).text
    done = await site.browser().opts_in(**TEEMO, **MAIL)
    assert "It is allowed" in done.text
    assert "the place in which you live" in done.text
    assert await point(site, "US-CA") != "allow", "the control"


@pytest.mark.parametrize("by", ["browser", "account"])
async def test_whose_yes_it_was_reads_for_ever_what_holds(site, by):
    browser = site.browser("a1", seconds=3600)
    await browser.opts_in(**ADS, by=by)
    site.clock.later = timedelta(minutes=16)
    assert "It is allowed" in (await browser.get(last_page(browser))).text
    page = last_page(browser)
    await browser.opts_out()
    assert "does not hold now" in (await browser.get(page)).text


async def test_of_an_address_nothing_is_told_once_it_is_no_news(site):
    browser = site.browser()
    assert "It is allowed" in (await browser.opts_in(**ADS, **MAIL)).text
    for minutes, told in ((14, "It is allowed"), (16, "Your yes was received")):
        site.clock.later = timedelta(minutes=minutes)
        assert told in (await browser.get(last_page(browser))).text


async def test_it_is_taken_back_in_one_step_from_the_last_page(site):
    browser = site.browser()
    done = await browser.opts_in(**ADS)
    assert '<form method="post" action="/privacy-choices">' in done.text
    await browser.opts_out()
    assert await site.sale(cookie_of(browser)) == "opted_out"
    shown = await browser.get(browser.urls[-3].removeprefix("http://127.0.0.1:8080"))
    assert shown.status_code == 200


# --- two acts, one purpose, proof -------------------------------------------------------------------------------------


async def test_leaving_after_the_first_act_changes_nothing(site):
    browser = site.browser()
    await browser.opts_out()
    before = await site.entries()
    assert (await browser.presses(await browser.reads_notice(**ADS), "opt_in")).status_code == 200
    assert await site.entries() == before
    assert await site.sale(cookie_of(browser)) == "opted_out"


async def test_the_two_texts_have_each_a_no_beside_the_yes_that_sends_nothing(site):
    browser = site.browser()
    first = await browser.reads_notice(**ADS)
    second = await browser.presses(first, "opt_in")
    for page, words in ((first, "Yes, go on"), (second, "Yes, I allow it")):
        buttons = page.text[page.text.index('<p class="buttons">') :].partition("</p>")[0]
        assert buttons.index("No, stay opted out") < buttons.index(words)
        assert '<a class="button" href="/privacy-choices">No, stay opted out' in buttons


async def test_the_choices_page_itself_takes_both_acts_with_a_token_of_the_text_alone(site):
    """`POST /privacy-choices` with action opt_in and confirm."""
    browser = site.browser()
    first = hidden((await browser.reads_notice(**ADS)).text)
    refused = await browser.post("/privacy-choices", action="opt_in", purpose="targeted_ads")
    assert refused.status_code == 403
    other = await browser.post("/privacy-choices", action="opt_in", purpose="sale", **first)
    assert other.status_code == 403, "the text was about another purpose"
    second = await browser.post("/privacy-choices", action="opt_in", purpose="targeted_ads", **first)
    assert (await browser.post("/privacy-choices", action="confirm", **first)).status_code == 403, (
        "the first text again"
    )
    done = await browser.post("/privacy-choices", action="confirm", **hidden(second.text))
    assert "It is allowed" in done.text


async def test_a_confirmation_is_done_once(site):
    browser = site.browser()
    second = await browser.presses(await browser.reads_notice(**ADS), "opt_in")
    await browser.presses(second, "confirm")
    again = await browser.presses(second, "confirm")
    assert again.status_code == 422
    assert "it is not done twice" in again.text


async def test_an_opt_out_after_the_first_act_is_the_later_word(site):
    browser = site.browser()
    await browser.opts_out()
    second = await browser.presses(await browser.reads_notice(**ADS), "opt_in")
    await browser.opts_out()
    refused = await browser.presses(second, "confirm")
    assert refused.status_code == 422
    assert "the later word" in refused.text
    assert await site.sale(cookie_of(browser)) == "opted_out"


async def test_a_page_that_was_open_too_long_changes_nothing(site):
    browser = site.browser()
    first = await browser.reads_notice(**ADS, **MAIL)
    second = await browser.presses(first, "opt_in")
    site.clock.later = timedelta(minutes=16)
    assert (await browser.presses(second, "confirm")).status_code == 403
    assert await site.sale(named("email", email(1))) != "opted_in"


async def test_another_browser_cannot_go_on_with_what_this_one_began(site):
    mine, other = site.browser(), site.browser()
    for way in (ADS, {**ADS, **MAIL}):
        first = await mine.reads_notice(**way)
        await other.reads_notice(what="sale")  # it has a browser cookie of its own
        second = await mine.presses(first, "opt_in")
        assert (await other.presses(second, "confirm")).status_code == 403
    assert await site.sale(named("email", email(1))) != "opted_in"


async def test_a_code_of_one_purpose_opens_no_other(site):
    browser = site.browser()
    first = await browser.reads_notice(**ADS, **MAIL)
    assert "targeted advertising" in first.text
    before = dict(browser.jar)
    await browser.post(START, what="sale", **MAIL)  # a second code, not entered
    browser.jar = before
    token = hidden((await browser.reads_notice(what="sale", by="browser")).text)["token"]
    assert (await browser.post(START, action="opt_in", purpose="targeted_ads", token=token)).status_code == 403
    assert (await browser.presses(first, "opt_in")).status_code == 200, "the control"


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"},
                                     {"Sec-Fetch-Site": "same-site"}], ids=str)  # fmt: skip
async def test_no_other_site_opts_a_person_in(site, headers):
    browser = site.browser()
    first = await browser.reads_notice(**ADS)
    second = await browser.presses(first, "opt_in")
    browser.headers = headers
    assert (await browser.post("/privacy-choices", action="opt_in", **hidden(first.text))).status_code == 403
    assert (await browser.post("/privacy-choices", action="confirm", **hidden(second.text))).status_code == 403
    assert (await browser.presses(second, "confirm")).status_code == 403


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"what": "sale"}, {"by": "browser"}, {"what": "all", "by": "browser"}, {"what": "sale:nobody", "by": "browser"},
        {"what": "sale", "by": "account"}, {"what": "sale", "by": "phone", "phone": phone(1)},
        {"what": "sale", "by": "email"}, {"what": "sale", "by": "email", "email": "rubbish"},
        {"what": "service", "by": "browser"}, {"what": "sale:advertisers", "by": "browser"},
    ],
    ids=str,
)  # fmt: skip
async def test_one_use_and_a_way_that_is_offered_or_the_page_asks_again(site, fields):
    answer = await site.browser().post(START, **fields)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert site.box.letters == []


@pytest.mark.parametrize("fields", [{"action": "opt_in"}, {"action": "confirm", "token": "x"}, {"action": "other"},
                                    {"action": "confirm", "confirm": "x"}], ids=str)  # fmt: skip
async def test_a_form_of_nobodys_making_changes_nothing_and_is_no_fault(site, fields):
    answer = await site.browser().post(START, **fields)
    assert answer.status_code == 403
    assert "Nothing was changed" in answer.text


async def test_a_confirm_token_that_is_not_ours_is_refused(site):
    browser = site.browser()
    second = await browser.presses(await browser.reads_notice(**ADS), "opt_in")
    assert (await browser.presses(second, "confirm", confirm="AAAA")).status_code == 422


# --- what stands above it
# -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["browser", "account"])
async def test_while_the_signal_is_on_no_yes_is_offered_and_the_page_says_why(site, by):
    browser = site.browser("a1", **{"Sec-GPC": "1"})
    shown = await browser.reads_notice(**ADS, by=by)
    assert "Global Privacy Control" in shown.text
    assert "Yes, go on" not in shown.text
    assert (await browser.presses(shown, "opt_in")).text.count("Yes") == 0


async def test_a_signal_that_comes_on_after_the_first_act_stops_the_second(site):
    browser = site.browser()
    second = await browser.presses(await browser.reads_notice(**ADS), "opt_in")
    browser.headers["Sec-GPC"] = "1"
    assert "This cannot be allowed now" in (await browser.presses(second, "confirm")).text
    assert await site.sale(cookie_of(browser)) != "opted_in"


async def test_a_browser_does_not_open_while_its_account_says_no(site):
    await site.call("/v1/choices", choice="opt_out", identifiers=[named("account", "a1")])
    browser = site.browser("a1")
    shown = await browser.reads_notice(**ADS)
    assert "The account that you are signed in to says no" in shown.text
    assert "Yes, go on" not in shown.text


async def test_a_browser_does_not_open_while_nobody_can_tell_who_is_signed_in(site):
    """By a word of the site's that ran out: whoever it was may have opted out."""
    for seconds, opens in ((60, True), (-1, False)):
        browser = site.browser("a1", seconds=seconds)
        assert ("Yes, go on" in (await browser.reads_notice(**ADS)).text) == opens


async def test_a_yes_that_a_linked_no_stands_above_is_shown_as_not_holding(site):
    await site.call("/v1/links", account="a1", identifiers=[named("email", email(1))])
    await site.call("/v1/choices", choice="opt_out", identifiers=[named("account", "a1")])
    done = await site.browser().opts_in(**ADS, **MAIL)
    assert "does not hold now" in done.text
    assert await site.sale(named("email", email(1))) == "opted_out"


async def test_a_child_under_13_is_sent_to_a_parent_and_a_teen_is_told_of_the_way_back(site):
    """L75, 11 CCR 7070 and 7071."""
    for account, age in (("child", 9), ("teen", 14), ("grown", 40)):
        await site.call("/v1/links", account=account, identifiers=[named("email", f"{account}@example.com")], age=age)
    child = await site.browser("child").reads_notice(**ADS, by="account")
    assert "only a parent" in child.text
    assert "Yes, go on" not in child.text
    for account, told in (("teen", True), ("grown", False)):
        browser = site.browser(account)
        second = await browser.presses(await browser.reads_notice(**ADS, by="account"), "opt_in")
        assert ("as easily as you gave it" in second.text) is told
        assert ("as easily as you gave it" in (await browser.presses(second, "confirm")).text) is told


async def test_of_a_teen_the_law_of_where_they_are_says_whose_yes_it_is(site, monkeypatch):
    """Where nobody knows the place the yes is taken, and the page says that it opens nothing there."""
    await site.call("/v1/links", account="teen", identifiers=[named("email", email(1))], age=14)
    told = {"DE": "there is none to give", "US-NY": "It is allowed", None: "does not hold now"}
    for place, text in told.items():
        monkeypatch.setattr(service, "DEMO_PLACE", place)
        for what in ("profiling", "sale:teemo"):
            browser = site.browser("teen")
            second = await browser.presses(await browser.reads_notice(what=what, by="account"), "opt_in")
            assert text in (await browser.presses(second, "confirm")).text, (place, what)
    report = await site.call("/v1/access", identifiers=[named("account", "teen")])
    assert [each["place"] for each in report["entries"] if each["what"] == "opt_in"] == ["US-NY", "US-NY", None, None]


async def test_below_the_floor_there_is_no_yes(tmp_path):
    folder = inside.install(tmp_path / "data")
    secrets = await asyncio.to_thread(secret_files.load_secrets, folder)
    async with inside.application(folder) as app, inside.client(app) as calling:
        teen = Site(calling, None, None, secrets.accounts[-1])
        await teen.call("/v1/links", account="teen", identifiers=[named("email", email(1))], age=14)
        shown = await teen.browser("teen").reads_notice(**ADS, by="account")
    assert "there is none to give" in shown.text
    assert "Yes, go on" not in shown.text


# --- not asked, not told
# --------------------------------------------------------------------------------------------------


async def test_nobody_is_asked_and_whoever_comes_by_themselves_may_always(site):
    """The twelve months' silence (11 CCR 7026(k)) is about asking."""
    browser = site.browser()
    done = await browser.opts_out()
    choices = await browser.get("/privacy-choices")
    for page in (done, choices):
        assert "Yes" not in page.text
    said = await site.call("/v1/choices", choice="opt_out", identifiers=[cookie_of(browser)])
    assert all(datetime.fromisoformat(day) > datetime.now(UTC) for day in said["may_ask_from"].values())
    assert "It is allowed" in (await browser.opts_in(**ADS)).text


async def test_whoever_takes_a_yes_back_reads_that_the_address_must_be_given_again(site):
    words = "give it again here, or this browser alone is opted out"
    assert words in (await site.browser().opts_in(**ADS, **MAIL)).text
    assert words not in (await site.browser().opts_in(**ADS)).text


async def test_opting_out_is_fewer_steps_than_opting_in(site):
    out, back = site.browser(), site.browser()
    await out.get("/privacy-choices")
    await out.opts_out()
    steps_out = len(out.urls)
    await back.get(START)
    await back.opts_in(**ADS)
    assert steps_out < len(back.urls)


async def test_no_code_no_address_and_no_purpose_stands_in_a_path_or_a_log(site):
    browser = site.browser()
    with structlog.testing.capture_logs() as lines:
        await browser.opts_in(**ADS, **MAIL)
    code = site.box.code()
    told = repr(lines) + repr(browser.urls)
    assert "/privacy-choices/opt-in" in told, "the control"
    for secret in (email(1), "person1", code, code.replace(" ", ""), "targeted_ads"):
        assert secret not in told


async def test_in_every_language_every_page_is_in_it(site):
    for language, words in (
        ("es", ["Permitir de nuevo", "Primer paso", "Segundo paso", "Está permitido"]),
        ("fr", ["Autoriser à nouveau", "Première étape", "Deuxième étape", "autorisé"]),
    ):
        browser = site.browser(**{"Accept-Language": language})
        pages = [await browser.get(START), await browser.reads_notice(**ADS)]
        pages.append(await browser.presses(pages[1], "opt_in"))
        pages.append(await browser.presses(pages[2], "confirm"))
        for page, text in zip(pages, words, strict=True):
            assert f'<html lang="{language}">' in page.text
            assert text in page.text
            shown = re.sub("<[^>]*>", " ", page.text)  # a sealed text in a field may hold any word
            for english in ("Yes", "One step", "Go on", "browser,"):
                assert english not in shown


async def test_a_link_in_a_language_is_kept_all_the_way(site):
    browser = site.browser()
    shown = await browser.post(f"{START}?lang=fr", **ADS, **MAIL)
    assert "Saisissez le code" in shown.text
    assert site.box.letters[0][1]["Content-Language"] == "fr"


async def test_a_yes_has_no_page_that_calls_it_an_opt_out(site):
    browser = site.browser()
    await browser.opts_in(**ADS)
    yes = last_page(browser).removeprefix(DONE)
    assert (await browser.get(f"/privacy-choices/done/{yes}")).status_code == 404
    assert (await browser.opts_out()).status_code == 200, "the control"
    assert "/privacy-choices/done/" in browser.urls[-1]


async def test_an_event_of_something_else_shows_no_opt_in(site):
    said = await site.call("/v1/choices", choice="opt_out", identifiers=[named("email", email(1))])
    for event in (said["event"], "AAAA", "!", "A" * 22):
        answer = await site.calling.get(DONE + event)
        assert answer.status_code == 404


async def test_codes_and_a_yes_are_taken_behind_a_proxy_that_hands_on_another_host(tmp_path):
    """As every other form: `[site] url` is whose pages these are."""
    async with standing(tmp_path / "behind", site__url="https://shop.example") as site:
        browser = site.browser(Origin="https://shop.example")
        del browser.headers["Sec-Fetch-Site"]  # older browsers send none
        await browser.opts_out(email=email(1))
        assert "It is allowed" in (await browser.opts_in(**ADS, **MAIL)).text
