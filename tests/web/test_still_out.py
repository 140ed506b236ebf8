"""Why am I still out: whoever comes back is told each no that still holds and what ends it, and nobody else is."""

import re
from datetime import timedelta

import pytest
from support.opting_in import standing
from support.people import GAID, email, named, phone

from gateway.consent.still_out import Where, proof_of
from gateway.ledger.entry import b64
from gateway.web.shell.page import load_notice

pytestmark = pytest.mark.anyio
DEV = {"kind": "account", "assertion": "dev"}
SHOWN = {kind: {"sha256": b64(load_notice(kind).sha256), "language": "en"} for kind in ("opt-in", "confirm")}
ACCOUNT, MAIL, NUMBER = named("account", "a1"), named("email", email(1)), named("phone", phone(1))
PAGE = "/privacy-choices"
LINKED = "The opt-out was made elsewhere"


@pytest.fixture
async def site(tmp_path):
    async with standing(tmp_path / "data") as built:
        await built.call("/v1/links", account="a1", identifiers=[MAIL, NUMBER, named("gaid", GAID)])
        yield built


async def opts_out(site, person, *purposes):
    return await site.call("/v1/choices", choice="opt_out", identifiers=[person], purposes=[*(purposes or ("sale",))])


async def opts_in(site, person, purpose="sale"):
    said = {"identifiers": [person], "purposes": [purpose], "proof": DEV}
    first = await site.call("/v1/choices", choice="opt_in", notice=SHOWN["opt-in"], **said)
    return await site.call(
        "/v1/choices", choice="confirm", confirm=first["confirm"], proof=DEV, notice=SHOWN["confirm"]
    )


def no(where, ends_by, purpose="sale"):
    return {"purpose": purpose, "where": where, "ends_by": ends_by}


async def holds(site, person):
    return (await site.call("/v1/standing", identifiers=[person], proof=DEV))["still_out"]


# --- in a call -------------------------------------------------------------------------------------------------------


async def test_an_address_that_comes_back_by_itself_is_told_that_only_an_account_ends_the_rest(site):
    await opts_out(site, ACCOUNT)
    told = await opts_in(site, MAIL)
    assert told["standing"] == {"sale": "opted_out"}
    assert told["still_out"] == [no("linked", "account")]


async def test_whoever_came_back_whole_is_told_of_nothing(site):
    await opts_out(site, ACCOUNT)
    told = await opts_in(site, ACCOUNT)
    assert (told["standing"], told["still_out"]) == ({"sale": "opted_in"}, [])


async def test_a_number_that_said_no_itself_is_still_out_after_its_account_came_back(site):
    await opts_out(site, NUMBER)
    assert (await opts_in(site, ACCOUNT))["still_out"] == []
    assert no("this", "code") in await holds(site, NUMBER)


async def test_an_account_is_told_that_its_own_yes_ends_what_came_to_it(site):
    await opts_out(site, NUMBER)
    assert await holds(site, ACCOUNT) == [
        no("linked", "account", purpose) for purpose in ("sale", "sharing", "targeted_ads", "third_party_marketing")
    ]


@pytest.mark.parametrize(
    ("person", "ends_by"), [(MAIL, "code"), (NUMBER, "code"), (named("gaid", GAID), "attestation")]
)
async def test_what_stayed_of_an_account_that_has_it_no_more_ends_by_its_own_proof(site, person, ends_by):
    await opts_out(site, ACCOUNT, "profiling")
    assert await holds(site, person) == [no("linked", "account", "profiling")], "the control"
    await site.call("/v1/links", account="a1", identifiers=[person], until="2026-01-01T00:00:00Z")
    assert await holds(site, person) == [no("linked", ends_by, "profiling")]
    await opts_in(site, ACCOUNT, "profiling")
    assert await holds(site, person) == [no("linked", ends_by, "profiling")], "the account's yes ends nothing there"
    await opts_in(site, person, "profiling")
    assert await holds(site, person) == []


@pytest.mark.parametrize(
    ("person", "ends_by"),
    [(MAIL, "code"), (NUMBER, "code"), (named("gaid", GAID), "attestation"), (ACCOUNT, "account")],
)
async def test_everybody_is_told_by_which_proof_their_own_no_ends(site, person, ends_by):
    await opts_out(site, person, "profiling")
    where = "account" if person is ACCOUNT else "this"
    assert await holds(site, person) == [no(where, ends_by, "profiling")]


async def test_a_phone_whose_settings_say_no_is_told_that_no_proof_ends_it(site):
    await site.call("/v1/observe", identifiers=[named("gaid", GAID)], signals={"lmt": 1})
    assert no("device_state", None) in await holds(site, named("gaid", GAID))


async def test_a_mailbox_that_said_no_in_another_spelling_is_told_that_a_code_ends_it(site):
    await opts_out(site, named("email", "nobody.at.all+news@gmail.com"))
    assert no("mailbox", "code") in await holds(site, named("email", "nobody.at.all@gmail.com"))


async def test_an_address_that_looks_alike_elsewhere_is_told_of_no_mailbox(site):
    """There the two may be two people's."""
    await opts_out(site, named("email", "nobody+news@example.com"))
    assert {each["where"] for each in await holds(site, named("email", "nobody@example.com"))} <= {"linked"}


async def test_whoever_never_said_no_reads_an_empty_list(site):
    assert await holds(site, MAIL) == []


async def test_an_answer_never_tells_whose_when_or_by_which_value(site):
    await opts_out(site, NUMBER)
    for person in (ACCOUNT, MAIL):
        for each in await holds(site, person):
            assert set(each) == {"purpose", "where", "ends_by"}
            assert each["where"] in [*Where]


async def test_nobody_without_a_proof_is_told_of_anything(site):
    await opts_out(site, NUMBER)
    said = await opts_out(site, MAIL)
    assert "still_out" not in said
    refused = await site.call("/v1/choices", choice="opt_in", identifiers=[MAIL], purposes=["sale"])
    assert "still_out" not in refused


@pytest.mark.parametrize(
    ("kind", "proof"),
    [("account", "account"), ("browser", "browser"), ("phone", "code"), ("device", "device"), ("cookie:_ga", "desk"),
     ("email_sha256", "desk"), ("idfv", "attestation")],
)  # fmt: skip
def test_each_kind_of_identifier_has_a_proof_that_opens_it(kind, proof):
    assert proof_of(kind) == proof


# --- on the page -----------------------------------------------------------------------------------------------------


async def page(browser):
    """Without the form's token, which has the second of its making in it."""
    return re.sub(r'name="token" value="[^"]*"', "", (await browser.get(PAGE)).text)


async def test_an_accounts_own_page_says_where_its_no_came_from_and_how_to_come_back(site):
    await opts_out(site, NUMBER)
    shown = await page(site.browser("a1"))
    assert "came to your account from one of its phone numbers. It can be taken back for your account" in shown
    assert phone(1)[-7:] not in shown


async def test_whoever_signs_in_on_a_browser_that_said_no_reads_that_it_came_from_a_browser(site):
    family = site.browser()
    await family.opts_out()
    mine = site.browser("a1")
    mine.jar = dict(family.jar)
    await mine.get(f"{PAGE}/status")  # signed in there: the browser's no reaches the account
    elsewhere = await page(site.browser("a1"))
    assert "came to your account from a browser that you were signed in on" in elsewhere
    done = await site.browser("a1").opts_in(what="sale", by="account")
    assert "It is allowed" in done.text
    assert "a browser that you were signed in on" not in (await page(site.browser("a1"))).partition("Opted out")[0]


async def test_a_browser_that_was_signed_in_is_told_of_its_own_no_and_never_of_an_accounts(site):
    family = site.browser()
    await family.opts_out()
    alone = await page(family)
    mine = site.browser("a1")
    mine.jar = family.jar
    await mine.get(f"{PAGE}/status")
    await opts_out(site, ACCOUNT)
    assert await page(family) == alone, "the same, whether an account that was signed in here said no as well"
    assert "your account" not in alone.partition("<details")[0].lower()


async def test_a_browser_that_came_back_is_told_in_general_words_that_something_else_still_says_no(site):
    """The same words, whichever thing it is, and nothing of whose."""
    told = []
    for number, person in enumerate([ACCOUNT, NUMBER]):
        account = named("account", f"b{number}")
        mine = site.browser(f"b{number}")
        linked = account if person is ACCOUNT else named("phone", phone(20 + number))
        await site.call("/v1/links", account=f"b{number}", identifiers=[linked] if linked is not account else [MAIL])
        await mine.reads_notice()  # it has a cookie from here on
        await mine.get(f"{PAGE}/status")
        await opts_out(site, linked)
        away = site.browser()
        away.jar = mine.jar
        done = await away.opts_in(what="sale")
        assert "does not hold now" in done.text
        assert LINKED in done.text
        told.append(done.text.partition('id="why"')[2].partition("</section>")[0])
    assert told[0] == told[1]


async def test_a_code_to_an_address_says_what_it_did_not_end_and_only_on_the_first_showing(site):
    await opts_out(site, ACCOUNT)
    browser = site.browser()
    done = await browser.opts_in(what="sale", by="email", email=email(1))
    assert "What still says no, and what ends it" in done.text
    assert LINKED in done.text
    for whose, told in ((browser, "does not hold now"), (site.browser(), "Your yes was received")):
        again = await whose.get(browser.urls[-1].removeprefix("http://127.0.0.1:8080"))
        assert told in again.text
        assert LINKED not in again.text, "whoever has the address of a page has proved nothing"


async def test_a_browser_whose_account_came_back_reads_that_it_said_no_itself(site):
    browser = site.browser("a1")
    await browser.opts_out()
    done = await browser.opts_in(what="sale", by="account")
    assert "It is allowed" in done.text
    assert "Still not done on this browser" in done.text
    assert "The opt-out was made on this browser" in done.text


async def test_a_signal_is_named_and_no_proof_ends_it(site):
    assert "This holds for as long as it is sent" in await page(site.browser(**{"Sec-GPC": "1"}))


async def test_whoever_typed_a_number_is_told_no_news_of_it_later(site):
    """Its owner may come back; a stranger who opted it out learns nothing of that by opening the confirmation again."""
    stranger = site.browser()
    await stranger.opts_out(phone=phone(9))
    done = stranger.urls[-1].removeprefix("http://127.0.0.1:8080")
    site.clock.later += timedelta(minutes=16)
    before = (await site.browser().get(done)).text
    await opts_in(site, named("phone", phone(9)))
    assert (await site.browser().get(done)).text == before
    assert "<strong>Received</strong> – the phone number" in before
