"""What every form that opts out does: who it reaches, which text was shown, in which language."""

import contextlib
import gzip
import html
import json
import re
import sqlite3

import pytest
from support import inside
from support.people import GAID, email, named, phone

from gateway.keys import api_keys, secret_files
from gateway.ledger.entry import b64
from gateway.terms import ALL_PURPOSES
from gateway.web.shell import page
from gateway.web.shell.words import LANGUAGES, say

pytestmark = pytest.mark.anyio
PATH = "/privacy-choices"
OUT = {"action": "opt_out"}
HASHES = {
    path: {name: b64(text.sha256) for name, text in page.notice_in_languages(kind).items()}
    for path, kind in ((PATH, page.CHOICES_NOTICE), (f"{PATH}/marketing", page.MARKETING_NOTICE))
}
SHIPPED = {document.sha256 for document in page.shipped_notices()}
TOKEN = re.compile(r'name="token" value="([^"]*)"')


@pytest.fixture
def signed(app, tmp_path):
    """The headers of a person who is signed in."""
    secret = secret_files.load_secrets(tmp_path / "data").accounts[-1]
    return {"Gateway-Account": api_keys.assert_account(secret, "a1", 4_000_000_000)}


def last(folder) -> dict:
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return json.loads(db.execute("SELECT body FROM entry ORDER BY seq DESC LIMIT 1").fetchone()[0])


async def done(client, data, **headers):
    answer = await client.post(PATH, data=data, headers=headers)
    assert answer.status_code == 303, answer.text
    return answer, await client.get(answer.headers["location"])


# --- who ---------------------------------------------------------------------------------------------------------


async def test_a_signed_in_person_types_nothing_and_the_account_is_opted_out_with_the_browser(client, keyed, signed):
    before = await client.get(PATH, headers=signed)
    assert "You are signed in, so your account is opted out too." in before.text
    assert "a1" not in re.sub(r'value="[^"]*"', "", before.text.partition("<main>")[2])  # no name of the account
    _, confirmation = await done(client, OUT, **signed)
    assert "<strong>Opted out</strong> – your account" in confirmation.text
    link = {"account": "a1", "identifiers": [named("email", email(7))]}
    assert (await keyed.post("/v1/links", json=link)).status_code == 201
    check = {"identifiers": [named("email", email(7))], "recipient": "teemo", "place": "US-CA"}
    assert (await keyed.post("/v1/check", json=check)).json()["reason"] == "opted_out"
    after = await client.get(PATH, headers=signed)  # in another browser
    assert "<strong>Opted out</strong> – sale and sharing" in after.text
    assert "The opt-out was made for your account" in after.text
    assert "The opt-out was made on this browser" not in after.text


@pytest.mark.parametrize("path", [PATH, f"{PATH}?reach=1"])
async def test_gpc_on_our_own_page_opts_a_signed_in_person_out_as_on_any_other_page(client, keyed, signed, path):
    link = {"account": "a1", "identifiers": [named("email", email(7))]}
    assert (await keyed.post("/v1/links", json=link)).status_code == 201
    check = {"identifiers": [named("email", email(7))], "recipient": "teemo", "place": "US-CA"}
    await client.get(path, headers=signed)
    assert (await keyed.post("/v1/check", json=check)).json()["reason"] != "opted_out"
    await client.get(path, headers={**signed, "Sec-GPC": "1"})
    assert (await keyed.post("/v1/check", json=check)).json()["reason"] == "opted_out"
    assert "Opt-Out Request Honored" in (await client.get(PATH, headers=signed)).text, "without the signal, too"


async def test_nobody_else_sees_what_holds_for_the_account(client, signed):
    await done(client, OUT, **signed)
    shown = (await client.get(PATH)).text
    assert "Opted out</strong>" not in shown
    assert "account, and can be taken back" not in shown


@pytest.mark.parametrize("written", [GAID, GAID.upper(), f" {GAID} ", GAID.replace("-", "")])
async def test_an_advertising_id_that_is_typed_is_opted_out_as_each_platforms_and_told_once(client, keyed, written):
    """R2: rows with a phone's location are keyed by it, and no number of the person's leads to it."""
    answer = await client.post(PATH, data=OUT | {"ad_id": written})
    confirmation = await client.get(answer.headers["location"], headers=inside.kept(answer))
    assert confirmation.text.count("<strong>Opted out</strong> – the advertising id that you gave") == 1
    assert "could not read" not in confirmation.text
    assert GAID not in confirmation.text
    for kind in ("gaid", "idfa"):
        check = {"identifiers": [named(kind, GAID)], "recipient": "advertisers", "place": "US-CA"}
        assert (await keyed.post("/v1/check", json=check)).json()["reason"] == "opted_out", kind


async def test_two_advertising_ids_in_one_field_are_both_opted_out(client, keyed):
    another = GAID[:-1] + ("0" if GAID[-1] != "0" else "1")
    answer, _ = await done(client, OUT | {"ad_id": f"{GAID}, {another}"})
    assert "unread" not in answer.headers["location"]
    for value in (GAID, another):
        check = {"identifiers": [named("gaid", value)], "recipient": "advertisers", "place": "US-CA"}
        assert (await keyed.post("/v1/check", json=check)).json()["reason"] == "opted_out"


async def test_of_a_list_that_is_longer_than_the_field_is_read_not_all_is_said_to_be_covered(client):
    listed = " ".join(f"{'a' * 50}{number}@example.com" for number in range(6))
    answer = await client.post(PATH, data=OUT | {"email": listed})
    assert answer.headers["location"].endswith("?unread=some_email")
    assert "We could not read all of the email addresses" in (await client.get(answer.headers["location"])).text


async def test_an_advertising_id_alone_stops_no_marketing_and_is_not_said_to(client):
    refused = await client.post(f"{PATH}/marketing", data=OUT | {"ad_id": GAID})
    assert (refused.status_code, "Say where the marketing reaches you." in refused.text) == (422, True)
    taken = await client.post(f"{PATH}/marketing", data=OUT | {"ad_id": GAID, "email": email(3)})
    assert taken.status_code == 303


@pytest.mark.parametrize("written", ["my phone", "00000000-0000-0000-0000-000000000000", GAID[:-1], "<b>"])
async def test_an_advertising_id_that_cannot_be_read_is_named_and_the_rest_is_opted_out(client, keyed, written):
    answer = await client.post(PATH, data=OUT | {"ad_id": written, "email": email(9), "phone": "call me"})
    assert answer.headers["location"].endswith("?unread=phone&unread=ad_id")
    confirmation = await client.get(answer.headers["location"], headers=inside.kept(answer))
    assert "We could not read the advertising id that you gave" in confirmation.text
    assert confirmation.text.count("<strong>Opted out</strong>") == 2
    check = {"identifiers": [named("email", email(9))], "recipient": "advertisers", "place": "US-CA"}
    assert (await keyed.post("/v1/check", json=check)).json()["reason"] == "opted_out"


async def test_an_advertising_id_is_given_back_where_nothing_was_saved(client):
    refused = await client.post(PATH, data=OUT | {"ad_id": GAID}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (refused.status_code, 'name="ad_id" type="text"' in refused.text) == (403, True)
    assert f'value="{GAID}"' in refused.text


FORM = {"action": "opt_out", "email": email(9)}
SENT = {
    "by a script as FormData": {"files": {name: (None, value) for name, value in FORM.items()}},
    "by a script as text": {"content": f"action=opt_out&email={email(9)}", "headers": {"Content-Type": "text/plain"}},
    "by a form as text": {
        "content": f"action=opt_out\r\nemail={email(9)}\r\n",
        "headers": {"Content-Type": "text/plain"},
    },
    "without a type": {"content": f"action=opt_out&email={email(9)}"},
    "with 100 fields more": {"data": FORM | {f"f{number}": "1" for number in range(100)}},
    "with a field of 17 kB": {"data": FORM | {"state_of_a_script": "x" * 17_000}},
}


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
@pytest.mark.parametrize("path", [PATH, f"{PATH}/marketing"])
async def test_a_form_is_heard_however_it_was_sent(client, keyed, tmp_path, path, sent):
    answer = await client.post(path, **sent)
    assert answer.status_code == 303, answer.text
    assert "set-cookie" in answer.headers
    if path == PATH:
        check = {"identifiers": [named("email", email(9))], "recipient": "advertisers", "place": "US-CA"}
        assert (await keyed.post("/v1/check", json=check)).json()["reason"] == "opted_out"
    told = await client.get(answer.headers["location"])
    assert ("We could not read all of the email addresses" in told.text) is ("data" in sent)


UNREAD = {
    "as JSON": {"json": FORM},
    "packed": {
        "content": gzip.compress(b"action=opt_out"),
        "headers": {"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"},
    },
    "one field of 17 kB": {"content": b"x" * 17_000, "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    "2 MB": {"content": b"x" * 2_000_000},
}


@pytest.mark.parametrize("sent", UNREAD.values(), ids=UNREAD)
async def test_whatever_is_sent_to_the_opt_out_opts_the_browser_out_and_says_what_was_not_read(client, tmp_path, sent):
    answer = await client.post(PATH, **sent)
    assert (answer.status_code, set(last(tmp_path / "data")["p"])) == (303, set(ALL_PURPOSES))
    assert "We could not read the email address" in (await client.get(answer.headers["location"])).text
    refused = await client.post(
        PATH, **{**sent, "headers": {**sent.get("headers", {}), "Sec-Fetch-Site": "cross-site"}}
    )
    assert refused.status_code == 403


@pytest.mark.parametrize("action", ["opt_in", "confirm"])
@pytest.mark.parametrize(("more", "status"), [("&a=" + "x" * 17_000, 413), ("&a" * 100, 400), ("", 415)])
async def test_nothing_is_opened_by_a_form_that_was_read_in_part_or_is_none_of_ours(client, action, more, status):
    kind = "application/x-www-form-urlencoded" if more else "text/plain"
    headers = {"Content-Type": kind, "Sec-Fetch-Site": "same-origin"}
    answer = await client.post(PATH, content=f"action={action}&purpose=sale{more}", headers=headers)
    assert answer.status_code == status


# --- what --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "purposes"),
    [
        ({"action": "opt_out", "purpose": "sale"}, set(ALL_PURPOSES)),  # the button of all stands above the ticks
        ({"action": "limit", "purpose": "sale"}, {"sensitive"}),
        ({"action": "ticked", "purpose": "sale"}, {"sale", "sharing", "targeted_ads"}),  # to others they are one (R3)
        ({"action": "ticked", "purpose": ["sensitive", "profiling"]}, {"sensitive", "profiling"}),
        ({"action": "ticked", "purpose": ["profiling", "rubbish"]}, set(ALL_PURPOSES)),  # it may have meant any
        ({"action": "ticked", "purpose": "rubbish"}, set(ALL_PURPOSES)),  # no opt-out is lost
        ({"action": "ticked"}, set(ALL_PURPOSES)),
    ],
)
async def test_a_person_opts_out_of_what_they_ticked_and_of_all_where_nothing_can_be_read(
    client, tmp_path, form, purposes
):
    await done(client, form)
    assert set(last(tmp_path / "data")["p"]) == purposes


async def test_a_person_who_ticked_some_reads_which_ones_hold(client):
    answer, confirmation = await done(client, {"action": "ticked", "purpose": "profiling"})
    assert "of these uses only: profiling" in confirmation.text
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    shown = (await client.get(PATH, headers=cookie)).text
    assert "<strong>Opted out</strong> – profiling<" in shown
    assert "<strong>Not opted out</strong> – sale and sharing" in shown


async def test_a_limit_alone_shows_as_limited_and_not_as_opted_out(client):
    answer, _ = await done(client, {"action": "limit"})
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    shown = (await client.get(PATH, headers=cookie)).text
    assert "<strong>Limited</strong> – uses of my sensitive" in shown
    assert "<strong>Not opted out</strong> – sale and sharing" in shown
    assert "No opt-out is recorded for this browser" not in shown, "a limit is one"


# --- which text --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PATH, f"{PATH}/marketing"])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_record_holds_the_language_and_the_hash_of_the_text_that_was_shown(client, tmp_path, path, language):
    shown = await client.get(path, headers={"Accept-Language": language})
    token = TOKEN.search(shown.text).group(1)
    form = OUT | {"token": token, "email": email(1)}
    answer = await client.post(path, data=form, headers={"Accept-Language": "en"})  # another window's language
    assert answer.status_code == 303
    entry = last(tmp_path / "data")
    assert (entry["n"], entry["nl"]) == (HASHES[path][language], language)


async def test_every_text_that_a_page_shows_was_logged_before(app, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite3")) as db:
        logged = {bytes(row[0]) for row in db.execute("SELECT sha256 FROM document")}
    assert logged >= SHIPPED


async def test_a_token_of_one_form_says_nothing_about_the_text_of_another(client, tmp_path):
    token = TOKEN.search((await client.get(f"{PATH}/marketing")).text).group(1)
    await done(client, OUT | {"token": token})
    assert "n" not in last(tmp_path / "data")


@pytest.mark.parametrize("language", ["es", "fr"])
async def test_the_page_form_and_confirmation_are_in_one_language(client, language):
    """R35; the language of the link goes through the post to the confirmation and back."""
    shown = await client.get(PATH, params={"lang": language})
    assert f'action="{PATH}?lang={language}"' in shown.text
    answer = await client.post(PATH, params={"lang": language}, data=OUT | {"phone": "call me"})
    assert answer.headers["location"].endswith(f"?unread=phone&lang={language}")
    confirmation = await client.get(answer.headers["location"], headers=inside.kept(answer))
    assert say(language, "Opt-Out Request Honored") in confirmation.text
    assert f'href="{PATH}?lang={language}"' in confirmation.text
    other = html.unescape(re.search(r'href="([^"]+)" hreflang="en"', confirmation.text)[1])
    assert "We could not read the phone number" in (await client.get(other)).text, "what is not covered is said in each"
    assert confirmation.headers["content-language"] == language


async def test_the_laws_own_titles_stand_in_english_too(client):
    for language in ("es", "fr"):
        text = (await client.get(PATH, params={"lang": language})).text
        for title in (
            "Your Privacy Choices",
            "Do Not Sell or Share My Personal Information",
            "Limit the Use of My Sensitive Personal Information",
        ):
            assert f'<p class="small" lang="en">{title}</p>' in text


# --- what the operator says of the page --------------------------------------------------------------------------


async def test_the_notice_of_the_visitors_own_state_stands_first(tmp_path):
    written = tmp_path / "config.toml"
    written.write_text('[site]\nnotices = { US-CO = "/co", CA = "/canada", US-CA = "https://www.example.com/ca" }\n')
    configured = inside.settings(written)
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as client:
        text = (await client.get(PATH)).text  # the demo's visitors are in California
    assert re.findall(r'href="([^"]*)">Notice to residents of (.*?)</a>', text) == [
        ("https://www.example.com/ca", "California"),
        ("/canada", "Canada"),
        ("/co", "Colorado"),
    ]


async def test_the_page_with_all_that_it_loads_is_under_30_kb(client):
    """The bound that the page was given: 30 kB, uncompressed, in the longest language and with the longest form."""
    for language in LANGUAGES:
        text = (await client.get(PATH, params={"lang": language}, headers={"Sec-GPC": "1"})).text
        loaded = re.findall(r'(?:href|src)="(/privacy-choices/[^"]+\.(?:css|svg|js))(?:\?v=\w+)?"', text)
        assert set(loaded) == {f"{PATH}/choices.css", f"{PATH}/opt-out-icon.svg"}
        assert len(text.encode()) + sum([len((await client.get(name)).content) for name in loaded]) < 30_000


async def test_the_icon_has_its_words_and_stands_beside_the_title(client):
    words = "California Consumer Privacy Act (CCPA) Opt-Out Icon"
    shown = await client.get(f"{PATH}/opt-out-icon.svg")
    assert shown.headers["content-type"] == "image/svg+xml"
    assert f'aria-label="{words}"' in shown.text
    text = (await client.get(PATH)).text
    assert re.search(
        rf'<h1><img src="{PATH}/opt-out-icon.svg"[^>]* alt="{re.escape(words)}"> Your Privacy Choices</h1>', text
    )


async def test_a_typed_number_is_not_kept_beside_the_account_that_is_signed_in(client, keyed, signed):
    """R12: what is typed is opted out, and linked to nobody."""
    await done(client, OUT | {"phone": phone(5)}, **signed)
    link = {"account": "a1", "identifiers": [named("email", email(8))]}
    await keyed.post("/v1/links", json=link)
    report = await keyed.post(
        "/v1/access", json={"identifiers": [named("account", "a1")], "proof": {"kind": "account", "assertion": "dev"}}
    )
    assert report.status_code == 200
    assert "phone" not in {each["type"] for each in report.json()["linked"]}


async def test_a_person_finds_every_page_of_ours_by_following_links(client):
    """Whoever opted out by mistake, too, finds the way back (11 CCR 7004(a)(2): it may be longer, and is not
    hidden)."""
    seen, ahead = set(), {PATH}
    while ahead:
        path = ahead.pop()
        seen.add(path)
        found = re.findall(rf'href="({PATH}(?:/[a-z-]+)*)"', (await client.get(path)).text)
        ahead |= set(found) - seen
    assert {f"{PATH}/{name}" for name in ("marketing", "data", "erase", "opt-in")} <= seen


async def test_a_parent_and_an_agent_read_that_they_may_and_that_nobody_asks_for_their_authority(client):
    """11 CCR 7026(j), L32."""
    text = (await client.get(PATH, params={"reach": "1"})).text
    assert "your child, or a person who asked you to do it for them" in text
    assert "We ask for no proof." in text


async def test_a_number_of_a_country_that_the_form_does_not_know_is_said_not_to_be_read(client):
    """Ten digits of Mexico's may be somebody's in New Jersey: that one is denied too, and the person reads which."""
    theirs = "55 1234 5678"
    answer = await client.post(PATH, data=OUT | {"phone": theirs, "country": "ZZ"})
    confirmation = await client.get(answer.headers["location"], headers=inside.kept(answer))
    assert "We could not read the phone number" in confirmation.text
    assert "read as a number of this country: United States; it ends in 78" in confirmation.text
    _, confirmation = await done(client, OUT | {"phone": theirs, "country": "US"})
    assert "could not read" not in confirmation.text
    _, confirmation = await done(client, OUT | {"phone": f"+52 {theirs}", "country": "ZZ"})
    assert "could not read" not in confirmation.text
