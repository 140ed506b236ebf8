"""A code on the page: sent, entered in the browser that asked, good for one thing; and what it shows and has
forgotten."""

import re
from datetime import timedelta

import pytest
import structlog
from support.mailbox import code_in
from support.opting_in import standing
from support.people import GAID, email, named

pytestmark = pytest.mark.anyio
CODE, DATA, ERASE = "/privacy-choices/code", "/privacy-choices/data", "/privacy-choices/erase"


@pytest.fixture
async def site(tmp_path):
    async with standing(tmp_path / "data") as built:
        yield built


async def shown(site, browser):
    """The data page, after a code."""
    await browser.asks_code(email=email(1))
    return await browser.enters()


# --- the code --------------------------------------------------------------------------------------------------------


async def test_whoever_enters_the_code_is_shown_what_is_held_of_that_mailbox(site):
    browser = site.browser()
    await browser.opts_out(email=email(1))
    page = await browser.asks_code(email=email(1))
    assert email(1) in page.text
    assert 'inputmode="numeric" autocomplete="one-time-code"' in page.text
    assert "by the code that you entered" in (await browser.enters()).text
    report = (await browser.post(DATA, action="download")).json()
    assert [each["type"] for each in report["proved"]] == ["browser", "email"]
    assert {"email", "browser"} == {entry["type"] for entry in report["entries"]}


async def test_a_wrong_code_says_how_many_tries_are_left_and_then_it_is_over(site):
    browser = site.browser()
    await browser.asks_code(email=email(1))
    right = site.box.code()
    wrong = f"{(int(right.replace(' ', '')) + 1) % 10**8:08d}"
    for left in (4, 3, 2, 1):
        answer = await browser.enters(wrong)
        assert (answer.status_code, f"Tries that are left: {left}." in answer.text) == (403, True)
    for code in (wrong, right):
        answer = await browser.enters(code)
        assert (answer.status_code, "This code is over" in answer.text) == (403, True)
    await browser.post(CODE, action="again")
    assert "by the code that you entered" in (await browser.enters()).text


async def test_a_code_is_good_in_a_browser_that_asked_and_in_no_other(site):
    mine, other = site.browser(), site.browser()
    await mine.asks_code(email=email(1))
    code = site.box.code()
    assert "No code is waited for" in (await other.enters(code)).text
    await other.asks_code(email=email(2))
    assert (await other.enters(code)).status_code == 403
    assert "by the code that you entered" in (await mine.enters(code)).text


async def test_a_code_is_good_once_and_for_ten_minutes(site):
    first, late = site.browser(), site.browser()
    await first.asks_code(email=email(1))
    code, before = site.box.code(), dict(first.jar)
    await first.enters(code)
    first.jar = before  # a cookie that somebody kept
    assert "This code is over" in (await first.enters(code)).text
    await late.asks_code(email=email(2))
    site.clock.later = timedelta(minutes=11)
    assert "No code is waited for" in (await late.enters()).text


async def test_what_a_code_has_shown_lasts_a_quarter_of_an_hour_or_until_one_is_done(site):
    browser = site.browser()
    await shown(site, browser)
    proved = dict(browser.jar)
    assert "by the code that you entered" not in (await browser.post(DATA, action="forget")).text
    browser.jar = proved
    site.clock.later = timedelta(minutes=16)
    assert "by the code that you entered" not in (await browser.get(DATA)).text


async def test_a_code_for_seeing_opts_nobody_in_and_forgets_nothing(site):
    browser = site.browser()
    await shown(site, browser)
    assert "First step" not in (await browser.get("/privacy-choices/opt-in/read")).text
    refused = await browser.post(ERASE, action="erase", email="1")
    assert (refused.status_code, "Please tick" in refused.text) == (422, True)


async def test_known_and_unknown_addresses_get_the_same_page_and_the_same_letter(site):
    """V25."""
    await site.browser().opts_out(email=email(1))
    pages = [await site.browser().asks_code(email=email(n)) for n in (1, 2)]
    texts = [page.text.replace(email(n), "") for n, page in enumerate(pages, 1)]
    assert texts[0] == texts[1]
    assert pages[0].status_code == pages[1].status_code == 200
    known, unknown = (letter.get_content() for _, letter in site.box.letters)
    assert known.replace(code_in(known), "") == unknown.replace(code_in(unknown), "")


async def test_a_fourth_code_within_the_hour_is_refused_and_the_opt_out_is_not(site):
    browser = site.browser()
    for _ in range(3):
        await browser.asks_code(email=email(1))
    answer = await browser.asks_code(email=email(1))
    assert (answer.status_code, "three codes an hour" in answer.text) == (429, True)
    assert (await browser.post(CODE, action="again")).status_code == 429
    await browser.opts_out(email=email(1))
    assert await site.sale(named("email", email(1))) == "opted_out"


async def test_a_mail_server_that_is_away_is_told_and_touches_no_opt_out(site):
    site.box.answer = "451 later"
    browser = site.browser()
    answer = await browser.asks_code(email=email(1))
    assert (answer.status_code, "could not be sent" in answer.text) == (502, True)
    answer = await browser.reads_notice(by="email", email=email(1))
    assert (answer.status_code, "could not be sent" in answer.text) == (502, True)
    await browser.opts_out(email=email(1))
    assert await site.sale(named("email", email(1))) == "opted_out"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"action": "send", "use": "access", "email": "rubbish"}, 422), ({"action": "send", "use": "access"}, 422),
        ({"action": "send", "use": "opt_in:sale", "email": email(1)}, 400), ({"action": "send", "email": email(1)}, 400),
        ({"action": "send", "use": "access", "phone": "+14155550101"}, 502), ({"action": "enter", "code": "1"}, 200),
        ({"action": "again"}, 200), ({"action": "same", "use": "erasure"}, 200), ({}, 200), ({"action": "x"}, 200),
    ],
    ids=str,
)  # fmt: skip
async def test_a_form_of_nobodys_making_sends_nothing_and_is_no_fault(site, fields, status):
    answer = await site.browser().post(CODE, **fields)
    assert answer.status_code == status
    assert site.box.letters == []


async def test_no_other_site_has_a_code_sent_or_entered(site):
    browser = site.browser()
    await browser.asks_code(email=email(1))
    browser.headers = {"Sec-Fetch-Site": "cross-site"}
    for answer in (await browser.asks_code(email=email(2)), await browser.enters(), await browser.post(ERASE)):
        assert answer.status_code == 403
    assert len(site.box.letters) == 1


async def test_neither_a_code_nor_an_address_stands_in_a_path_or_a_log(site):
    browser = site.browser()
    with structlog.testing.capture_logs() as lines:
        await shown(site, browser)
        await browser.post(DATA, action="show")
    code, told = site.box.code(), repr(lines) + repr(browser.urls)
    assert CODE in told, "the control"
    for secret in (email(1), code, code.replace(" ", "")):
        assert secret not in told


# --- what it shows ----------------------------------------------------------------------------------------------------


async def test_a_mailbox_shows_its_own_and_nothing_that_it_is_linked_to(site):
    """R12."""
    await site.call("/v1/links", account="of-jane", identifiers=[named("email", email(1)), named("gaid", GAID)])
    await site.call("/v1/choices", choice="opt_out", identifiers=[named("account", "of-jane")])
    browser = site.browser()
    await shown(site, browser)
    report = (await browser.post(DATA, action="download")).json()
    assert (report["entries"], report["linked"], report["disclosures"]) == ([], [], [])
    assert "of-jane" not in str(report)


async def test_the_next_holder_of_a_mailbox_sees_nothing_of_the_one_before(site):
    """R5."""
    await site.call("/v1/links", account="a1", identifiers=[named("email", email(1))])
    await site.call("/v1/choices", choice="opt_out", identifiers=[named("email", email(1))])
    await site.call("/v1/links", identifiers=[named("email", email(1))], event="number_released")
    browser = site.browser()
    await shown(site, browser)
    assert (await browser.post(DATA, action="download")).json()["entries"] == []


# --- being forgotten
# ----------------------------------------------------------------------------------------------------


async def test_a_person_has_their_mailbox_forgotten_in_two_steps_and_stays_opted_out(site):
    browser = site.browser()
    await browser.opts_out(email=email(1))
    await shown(site, browser)
    asked = await browser.get(ERASE)
    assert "That you opted out. It goes on holding" in asked.text
    await browser.post(CODE, action="same", use="erasure")
    asked = await browser.enters()
    assert "the email address that you have shown to be yours" in asked.text
    done = await browser.post(ERASE, action="erase", email="1")
    assert "It is forgotten" in done.text
    assert re.search(r"can be opened by nobody from 20[0-9]{2}-[01][0-9]-[0-3][0-9] \(UTC\) on", done.text)
    assert await site.sale(named("email", email(1))) == "opted_out"
    report = await site.call("/v1/access", identifiers=[named("email", email(1))])
    assert report["entries"] == []
    again = await browser.post(ERASE, action="erase", email="1")
    assert again.status_code == 422, "the code's proof is used up"


async def test_only_what_was_ticked_is_forgotten(site):
    browser = site.browser()
    await browser.opts_out()
    cookie = {"type": "browser", "value": browser.jar["__Host-gateway"]}
    await browser.asks_code(use="erasure", email=email(1))
    await browser.enters()
    await browser.post(ERASE, action="erase", email="1")
    assert (await site.call("/v1/access", identifiers=[cookie]))["entries"] != []
    await browser.post(ERASE, action="erase", browser="1")
    assert (await site.call("/v1/access", identifiers=[cookie]))["entries"] == []
    assert await site.sale(cookie) == "opted_out"


async def test_a_signed_in_person_has_the_account_forgotten(site):
    await site.call("/v1/choices", choice="opt_out", identifiers=[named("account", "a1")])
    done = await site.browser("a1").post(ERASE, action="erase", account="1")
    assert "It is forgotten" in done.text
    assert (await site.call("/v1/access", identifiers=[named("account", "a1")]))["entries"] == []
    assert await site.sale(named("account", "a1")) == "opted_out"


async def test_the_page_is_the_same_whether_anything_was_known_or_not(site):
    """V25, R6."""
    pages = []
    await site.browser().opts_out(email=email(1))
    for n in (1, 2):
        browser = site.browser()
        await browser.asks_code(use="erasure", email=email(n))
        await browser.enters()
        text = (await browser.post(ERASE, action="erase", email="1")).text
        event = text.partition("<code>")[2].partition("</code>")[0]
        assert event
        pages.append(text.replace(event, ""))
    assert pages[0] == pages[1]


async def test_looking_is_no_act_and_nothing_ticked_is_nothing_forgotten(site):
    before = await site.entries()
    browser = site.browser("a1")
    assert (await browser.get(ERASE)).status_code == 200
    assert (await browser.post(ERASE, action="erase")).status_code == 422
    assert (await browser.post(ERASE, account="1")).status_code == 422
    assert await site.entries() == before
