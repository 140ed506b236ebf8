"""The choices page made simple: one switch that says what enforcement does, one control for each right, a way back from
everywhere, and words that anybody knows.
"""

import re
from pathlib import Path

import pytest
from support.opting_in import Site, standing
from support.people import email

from gateway.choice.place import STATES
from gateway.web.shell import page, words
from gateway.web.shell.words import LANGUAGES, PROVINCE_NAMES, STATE_NAMES, say

pytestmark = pytest.mark.anyio
PATH = "/privacy-choices"
HONORED = "<strong>Opt-Out Request Honored</strong>"
SWITCH = re.compile(r'<button class="switch" role="switch" aria-checked="(true|false)"([^>]*)>([^<]*)<')
MANUAL = Path(page.__file__).parents[2] / "manual"
JARGON = re.compile(
    r"read back|\bopenings?\b|names nobody|keyed|leaf|Merkle|\bhash(?!es? of| of)|\bsubject\b|\btoken\b|enforcement",
    re.IGNORECASE,
)
SPELT_OTHERWISE = {
    "en": re.compile(r"e-mail", re.IGNORECASE),
    "es": re.compile(r"e-?mail|correos?\b(?! (electrónicos?|postal|no deseado))", re.IGNORECASE),
    "fr": re.compile(r"courriel|\bemail|(?<!e-)\bmail", re.IGNORECASE),
}


@pytest.fixture
async def site(tmp_path):
    async with standing(tmp_path / "data") as built:
        yield built


async def states(site: Site, **spoken: str) -> dict[str, str]:
    """The page as somebody finds it who said nothing, something, everything."""
    quiet, signal, some, limited, out, part = (site.browser(**spoken) for _ in range(6))
    signal.headers["Sec-GPC"] = "1"
    await some.post(PATH, action="ticked", purpose="profiling")
    await limited.post(PATH, action="limit")
    await out.opts_out()
    await part.opts_out()
    await part.opts_in(what="targeted_ads")
    found = {"nothing": quiet, "signal": signal, "some": some, "limited": limited, "out": out, "a part again": part}
    return {name: (await browser.get(PATH)).text for name, browser in found.items()}


def acting(text: str) -> list[str]:
    return re.findall(r'name="action" value="(\w+)"', text)


# --- the switch ----------------------------------------------------------------------------------------------------


async def test_the_switch_is_on_where_an_opt_out_is_honored_and_off_where_none_is(site):
    """11 CCR 7025(c)(6), L56. Where a part was allowed again it is neither, so there is none (as the script's)."""
    found = {name: SWITCH.search(text) for name, text in (await states(site)).items()}
    assert {name: each and each[1] for name, each in found.items()} == {
        "nothing": "false", "some": "false", "limited": "false", "signal": "true", "out": "true", "a part again": None,
    }  # fmt: skip


async def test_the_switch_never_says_another_thing_than_the_badge_and_the_site_do(site):
    for headers in ({}, {"Sec-GPC": "1"}, {"Cookie": "usprivacy=1YYN"}, {"Cookie": "optout=1"}, {"Sec-GPC": "0"}):
        text = (await site.calling.get(PATH, headers=headers)).text
        told = (await site.calling.get(f"{PATH}/status", headers=headers)).json()
        assert (SWITCH.search(text)[1] == "true") is (HONORED in text) is (told["status"] == "opted_out"), headers


async def test_off_to_on_opts_out_of_everything_and_on_to_off_leads_to_the_way_back_with_nothing_in_it(site):
    found = await states(site)
    assert SWITCH.search(found["nothing"])[2].endswith('name="action" value="opt_out"')
    way = re.search(r'<form method="get" action="/privacy-choices/opt-in">\n(.*?)</form>', found["out"], re.DOTALL)[1]
    assert 'role="switch" aria-checked="true"' in way
    assert re.findall(r'name="(\w+)"', way) == ["lang"], "nothing that was typed, and no action"
    assert "It is allowed" not in (await site.browser().get(f"{PATH}/opt-in?lang=en")).text


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_switch_has_the_same_name_on_and_off_and_says_in_words_which(site, language):
    found = await states(site, **{"Accept-Language": language})
    for state, word in (("nothing", "Off"), ("out", "On")):
        assert SWITCH.search(found[state])[3] == say(language, "Opt out on this browser")
        assert f'<span class="track" aria-hidden="true">{say(language, word)}</span>' in found[state]


# --- one control for each right --------------------------------------------------------------------------------------


async def test_no_page_has_two_controls_that_opt_out_or_two_that_limit(site):
    """Those who are out of a part have a button for the rest; who is out of everything has none."""
    found = {name: acting(text) for name, text in (await states(site)).items()}
    assert found == {
        "nothing": ["opt_out", "limit"], "signal": ["opt_out", "limit"], "some": ["opt_out", "limit"],
        "limited": ["opt_out"], "out": [], "a part again": ["opt_out"],
    }  # fmt: skip
    assert acting((await site.browser().get(f"{PATH}?reach=1")).text) == ["ticked"]
    refused = await site.browser(**{"Sec-Fetch-Site": "cross-site"}).post(PATH, action="limit", email=email(1))
    assert acting(refused.text) == ["ticked"]
    assert re.findall(r'value="(\w+)" checked', refused.text) == ["sensitive"], "what was asked for is still asked for"


@pytest.mark.parametrize(
    ("action", "purpose", "ticked"),
    [
        ("opt_out", ["sale"], []),
        ("ticked", ["sale"], ["sale"]),
        ("ticked", ["sale", "telepathy"], []),
        ("limit", ["sale"], ["sensitive"]),
    ],
)
async def test_a_form_that_is_sent_again_says_no_to_no_less_than_at_first(site, action, purpose, ticked):
    """Ticks stand for nothing beside `opt_out`, which is of everything, or beside one that cannot be read; sent again
    they would.
    """
    browser = site.browser(**{"Sec-Fetch-Site": "cross-site"})
    refused = await browser.post(PATH, action=action, purpose=purpose, email=email(1))
    assert re.findall(r'value="(\w+)" checked', refused.text) == ticked


async def test_where_a_form_was_not_taken_a_button_takes_it_again_though_this_browser_is_out(site):
    """Else the one control beside "press the button again" would be the switch, which leads to the way back."""
    browser = site.browser()
    await browser.opts_out()
    browser.headers["Sec-Fetch-Site"] = "cross-site"
    for action in ("opt_out", "limit"):
        refused = await browser.post(PATH, action=action)
        assert refused.status_code == 403
        assert acting(refused.text) == ["opt_out", "limit"]


async def test_who_signs_in_on_a_browser_that_is_out_can_opt_the_account_out_with_one_press(site):
    """The switch tells of the browser; what another browser of the account's does is not told by it."""
    browser, elsewhere = site.browser(), site.browser("a7")
    await browser.opts_out()
    assert acting((await browser.get(PATH)).text) == []
    browser.headers |= elsewhere.headers
    found = (await browser.get(PATH)).text
    assert SWITCH.search(found)[1] == "true"
    assert acting(found) == ["opt_out", "limit"]
    assert "You are signed in: the button opts your account out too." in found
    await browser.post(PATH, action="limit")
    assert acting((await browser.get(PATH)).text) == ["opt_out"]
    await browser.post(PATH, action="opt_out")
    assert acting((await browser.get(PATH)).text) == []
    assert SWITCH.search((await elsewhere.get(PATH)).text)[1] == "true"


async def test_while_a_signal_is_sent_the_switch_says_that_it_holds_and_not_that_it_can_be_turned_off(site):
    for headers in ({"Sec-GPC": "1"}, {"Cookie": "usprivacy=1YYN"}):
        text = (await site.calling.get(PATH, headers=headers)).text
        told = re.search(r'<p class="small" id="turns">([^<]*)<', text)[1]
        assert told == "Your browser sends a privacy signal that says no. This holds for as long as it is sent."


async def test_while_nothing_can_be_read_a_button_opts_out_and_no_switch_says_how_it_stands(
    client, tmp_path, no_emergency
):
    ledger = tmp_path / "data" / "ledger.sqlite3"
    ledger.rename(ledger.with_suffix(".away"))
    try:
        assert (await client.post(PATH, data={"action": "opt_out"})).status_code == 503
        text = (await client.get(PATH)).text
    finally:
        ledger.with_suffix(".away").rename(ledger)
    assert "Counted as opted out" in text
    assert SWITCH.search(text) is None
    assert acting(text) == ["opt_out", "limit"]


async def test_what_holds_is_told_in_words_and_nothing_that_cannot_be_pressed_looks_as_if_it_could(site):
    for text in (await states(site)).values():
        assert not re.search(r"<input[^>]*(radio|disabled|readonly)", text)
        assert "disabled" not in text


# --- where links lead ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
async def test_each_of_the_laws_links_lands_on_its_own_heading(site, language):
    """The addresses are those that the manual gives for links with the law's two titles (11 CCR 7013, 7014)."""
    given = dict(re.findall(r'<a href="/privacy-choices#([\w-]+)">([^<]+)</a>', (MANUAL / "page.md").read_text()))
    assert set(given.values()) == {
        "Do Not Sell or Share My Personal Information", "Limit the Use of My Sensitive Personal Information"
    }  # fmt: skip
    for text in (await states(site, **{"Accept-Language": language})).values():
        for name, title in given.items():
            assert f'<h2 id="{name}">{say(language, title)}</h2>' in text


async def test_there_is_a_way_back_from_every_page(site):
    browser = site.browser()
    for path in ("?reach=1", "/marketing", "/data", "/erase", "/opt-in", "/code", "/unsubscribe/nothing"):
        assert f'href="{PATH}"' in (await browser.get(PATH + path)).text, path
    there = await site.calling.get(f"{PATH}/nowhere", headers={"Accept": "text/html"})
    assert f'href="{PATH}"' in there.text
    for shown in (
        await browser.opts_out(phone="call me"),
        first := await browser.reads_notice(what="targeted_ads"),
        second := await browser.presses(first, "opt_in"),
        await browser.presses(second, "confirm"),
        await browser.presses(second, "confirm"),
        await browser.asks_code(email=email(1)),
    ):
        assert f'href="{PATH}"' in shown.text


async def test_provinces_stand_beside_states_in_a_group_of_their_own(site):
    text = (await site.calling.get(f"{PATH}?reach=1", params={"reach": "1"})).text
    groups = dict(re.findall(r'<optgroup label="([^"]*)">(.*?)</optgroup>', text, re.DOTALL))
    options = {label: set(re.findall(r'<option value="(\w+)"', inside)) for label, inside in groups.items()}
    assert options == {"United States": set(STATE_NAMES), "Canada": set(PROVINCE_NAMES)}
    assert len(PROVINCE_NAMES) == 13
    assert not set(PROVINCE_NAMES) & STATES


# --- words ---------------------------------------------------------------------------------------------------------


def said(language: str) -> list[str]:
    """Every text of ours that is said to people in a language: pages, letters, and the documents that are logged."""
    folder = Path(words.__file__).parents[2]
    catalogue = (folder / "locale" / f"{language if language != 'en' else 'es'}.po").read_text()
    texts = re.findall(rf'^{"msgid" if language == "en" else "msgstr"} "(.+)"$', catalogue, re.MULTILINE)
    return [*texts, *(path.read_text() for path in (folder / "web" / "notices").glob(f"*.{language}.txt"))]


def test_no_word_of_the_trade_is_said_to_people():
    assert [text for text in said("en") if JARGON.search(text)] == []
    assert JARGON.search("The opening is read back from enforcement; it names nobody.")


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_address_is_spelt_in_one_way(language):
    assert len(said(language)) > 300
    assert [text for text in said(language) if SPELT_OTHERWISE[language].search(text)] == []
