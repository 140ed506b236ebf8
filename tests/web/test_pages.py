import contextlib
import html
import json
import os
import re
import sqlite3
import time
from datetime import date
from html.parser import HTMLParser

import pytest
import structlog
import time_machine
from support import inside
from support.people import GAID, email, named, phone

from gateway.app.composition import open_house
from gateway.keys.seals import Tokens
from gateway.ledger.acts import records
from gateway.ledger.entry import b64
from gateway.ledger.subjects import Choice
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind
from gateway.web.shell.page import CHOICES_NOTICE, load_notice, paragraphs

pytestmark = pytest.mark.anyio
PATH = "/privacy-choices"
FURTHER = f"{PATH}?reach=1"
OUT = {"action": "opt_out"}
SHOWN = load_notice(CHOICES_NOTICE)


class Reader(HTMLParser):
    """The parts of a page that a test looks at: controls with their words, fields, headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.controls, self.fields, self.headings, self.labels = [], {}, [], {}
        self._open: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag in {"input", "select"}:
            self.fields[attributes["name"]] = attributes
        if tag not in {"input", "img", "br", "meta", "link"}:
            self._open.append((tag, attributes))

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        words = data.strip()
        if not words or not self._open:
            return
        tag, attributes = self._open[-1]
        if tag in {"button", "a"}:
            self.controls.append((tag, words, attributes))
        if tag in {"h1", "h2"}:
            self.headings.append(words)
        if tag == "label" and "for" in attributes:
            self.labels[words] = attributes["for"]


async def page(client, path=PATH) -> Reader:
    return Reader((await client.get(path)).text)


async def token(client) -> str:
    return (await page(client)).fields["token"]["value"]


async def done(client, data, **headers):
    """The answer to a form, and its confirmation in a browser that keeps cookies."""
    answer = await client.post(PATH, data=data, headers=headers)
    assert answer.status_code == 303, answer.text
    return answer, await client.get(answer.headers["location"], headers=inside.kept(answer))


async def entries(client) -> int:
    return (await client.get("/readyz")).json()["ledger"]["entries"]


async def reason(keyed, *identifiers, recipient="teemo"):
    body = {"identifiers": list(identifiers), "recipient": recipient, "place": "US-CA"}
    return (await keyed.post("/v1/check", json=body)).json()["reason"]


def leaves(folder) -> list[dict]:
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return [json.loads(body) for (body,) in db.execute("SELECT body FROM entry ORDER BY seq")]


# --- the words -----------------------------------------------------------------------------------------------------


async def test_a_person_reads_what_the_page_does_in_plain_words(client):
    read = await page(client)
    assert read.labels == {}, "there is nothing to fill in"
    assert [words for _, words, _ in read.controls if words == "Close"] == ["Close"]
    assert read.headings[:3] == [
        "Your Privacy Choices",
        "Do Not Sell or Share My Personal Information",
        "Limit the Use of My Sensitive Personal Information",
    ]
    assert (await page(client, FURTHER)).labels == {
        "Your Talkatone phone number": "phone",
        "Your email": "email",
        "Your advertising id": "ad_id",
        "Country": "country",
        "State or province": "state",
    }


async def test_nothing_on_the_form_is_required_or_filled_for_the_person(client):
    read = await page(client, FURTHER)
    assert read.fields
    for name, field in read.fields.items():
        assert "required" not in field, name
        assert field.get("value", "") == "" or name == "token" or field["type"] == "checkbox", name
        assert "checked" not in field, name
    text = (await client.get(FURTHER)).text
    assert "required" not in text.lower()
    assert "aria-required" not in text
    assert "*" not in "".join(read.labels)


async def test_no_control_that_opts_out_says_opt_in_and_closing_is_no_choice(client):
    read = await page(client)
    for shown in (read, await page(client, FURTHER)):
        acting = [(words, attributes) for tag, words, attributes in shown.controls if tag == "button"]
        assert acting
        for words, attributes in acting:
            assert attributes["name"] == "action"
            assert not re.search(r"opt[- ]?in", words, re.IGNORECASE), words
    closing = [attributes for _, words, attributes in read.controls if words == "Close"]
    assert "action" not in {attribute.get("name") for attribute in closing}


async def test_the_policys_title_stands_small_and_is_no_control(client):
    text = (await client.get(PATH)).text
    line = re.search(r'<p class="small">(.*?)</p>', text, re.DOTALL).group(1)
    assert "called “Do Not Sell My Personal Information Opt-In” in" in re.sub("</?span[^>]*>", "", line)
    assert not [words for _, words, _ in (await page(client)).controls if "opt-in" in words.lower()]


async def test_the_page_works_without_script_and_holds_no_third_party(client):
    answer = await client.get(PATH)
    assert "<script" not in answer.text
    assert not re.search(r'(src|href|action)="(https?:)?//', answer.text)
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_the_page_holds_the_very_text_that_was_logged(client):
    text = html.unescape((await client.get(PATH)).text)
    for paragraph in paragraphs(SHOWN):
        assert f"<p>{paragraph}</p>" in text


@pytest.mark.parametrize("path", [PATH, f"{PATH}/done"])
async def test_every_answer_about_a_person_is_kept_by_no_cache(client, path):
    if path.endswith("done"):
        answer = (await done(client, OUT))[1]
    else:
        answer = await client.get(path)
    assert answer.headers["cache-control"] == "no-store"
    assert {"Sec-GPC", "Cookie"} <= {name.strip() for name in answer.headers["vary"].split(",")}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "form-action 'self'" in answer.headers["content-security-policy"]


async def test_the_stylesheet_is_the_same_for_everybody(client):
    answer = await client.get(f"{PATH}/choices.css")
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.headers["cache-control"].startswith("public")


# --- what was typed ------------------------------------------------------------------------------------------------


async def test_a_person_who_gives_nothing_opts_this_browser_out(client, keyed):
    answer, confirmation = await done(client, OUT)
    assert "Opt-Out Request Honored" in confirmation.text
    assert confirmation.text.count("<li>") == 1
    assert "this browser, until its cookies are cleared" in confirmation.text
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-gateway=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}
    sealed = cookie.partition(";")[0].partition("=")[2]
    assert await reason(keyed, named("browser", sealed)) == "opted_out"


TYPED = [
    ({"phone": phone(1)}, [named("phone", phone(1))]),
    ({"phone": "(415) 555-0101"}, [named("phone", phone(1))]),
    ({"phone": "415.555.0101", "country": "US"}, [named("phone", phone(1))]),
    ({"phone": "020 7946 0958", "country": "GB"}, [named("phone", "+442079460958")]),
    ({"email": email(1)}, [named("email", email(1))]),
    ({"email": f"  {email(1).upper()} "}, [named("email", email(1))]),
    ({"phone": phone(1), "email": email(1)}, [named("phone", phone(1)), named("email", email(1))]),
    ({"phone": phone(1), "email": "not an address"}, [named("phone", phone(1))]),
    ({"phone": "call me", "email": email(1)}, [named("email", email(1))]),
    ({"phone": f"{phone(1)} (mobile), {phone(2)}"}, [named("phone", phone(1)), named("phone", phone(2))]),
    ({"email": f"Jane Doe <{email(1)}>"}, [named("email", email(1))]),
    ({"phone": email(1), "email": f"mailto:{email(1)}"}, [named("email", email(1))]),
]


@pytest.mark.parametrize(("typed", "covered"), TYPED)
async def test_whatever_a_person_gives_is_opted_out_and_shown_as_covered(client, keyed, typed, covered):
    _, confirmation = await done(client, OUT | typed)
    assert confirmation.text.count("<strong>Opted out</strong>") == 1 + len(covered)
    for person in covered:
        assert await reason(keyed, person) == "opted_out", person


@pytest.mark.parametrize(("typed", "covered"), TYPED)
async def test_whatever_a_person_gives_one_entry_a_thing_is_written(client, typed, covered):
    before = await entries(client)
    await done(client, OUT | typed)
    assert await entries(client) == before + 1 + len(covered)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ({"phone": "call me"}, "phone number"),
        ({"phone": "12"}, "phone number"),
        ({"phone": "+1" + "5" * 300}, "phone number"),
        ({"email": "not an address"}, "email address"),
        ({"email": "a@b@c"}, "email address"),
        ({"phone": "☎", "email": email(1)}, "phone number"),
        ({"phone": phone(1), "email": "@"}, "email address"),
    ],
)
async def test_a_person_is_told_by_name_what_could_not_be_read_and_the_rest_is_opted_out(client, typed, name):
    _, confirmation = await done(client, OUT | typed)
    assert f"We could not read the {name} that you gave" in confirmation.text
    assert "<strong>Opted out</strong>" in confirmation.text


async def test_a_confirmation_never_says_that_anything_was_unread_when_all_was(client):
    _, confirmation = await done(client, OUT | {"phone": phone(1), "email": email(1)})
    assert "could not read" not in confirmation.text


@pytest.mark.parametrize("unread", ["<script>alert(1)</script>", "everything", "phone<b>"])
async def test_a_link_to_a_confirmation_cannot_be_made_to_say_something_else(client, unread):
    answer, _ = await done(client, OUT)
    shown = await client.get(answer.headers["location"], params={"unread": unread})
    assert "could not read" not in shown.text
    assert "<script" not in shown.text


@pytest.mark.parametrize("action", ["", "opt_out", "OPT_OUT", "rubbish", "withdraw"])
async def test_an_action_that_cannot_be_read_is_an_opt_out(client, action):
    _, confirmation = await done(client, {"action": action})
    assert "Opt-Out Request Honored" in confirmation.text


async def test_limit_reaches_sensitive_information_and_opts_out_of_nothing_else(client, keyed, tmp_path):
    answer, confirmation = await done(client, {"action": "limit", "phone": phone(1)})
    assert confirmation.status_code == 200
    assert leaves(tmp_path / "data")[-1]["p"] == ["sensitive"]
    assert await reason(keyed, named("phone", phone(1)), recipient="advertisers") != "opted_out"
    cookie = answer.headers["set-cookie"].partition(";")[0]
    status = (await client.get(f"{PATH}/status", headers={"Cookie": cookie})).json()
    assert (status["purposes"]["sensitive"], status["purposes"]["sale"]) == ("opted_out", "none")


async def test_the_same_request_again_is_a_request_of_its_own(client):
    first, _ = await done(client, OUT | {"phone": phone(1)})
    before = await entries(client)
    second, _ = await done(client, OUT | {"phone": phone(1)})
    assert await entries(client) == before + 2
    assert first.headers["location"] != second.headers["location"]


async def test_a_stranger_who_types_a_number_learns_nothing_of_its_past(client):
    known, known_page = await done(client, OUT | {"phone": phone(1)})
    again, again_page = await done(client, OUT | {"phone": phone(1)})
    fresh, fresh_page = await done(client, OUT | {"phone": phone(2)})

    def shape(answer, shown):
        event = answer.headers["location"].rpartition("/")[2]
        own = re.compile(rf'\d{{4}}-\d\d-\d\d \d\d:\d\d|{event}|name="ticket" value="[^"]+"|ends in \d\d')
        return (answer.status_code, sorted(answer.headers), own.sub("", shown.text))

    assert shape(known, known_page) == shape(again, again_page) == shape(fresh, fresh_page)
    assert known.headers["location"].rpartition("/")[2] not in again_page.text


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ({}, None),
        ({"state": "CA"}, "US-CA"),
        ({"country": "US", "state": "md"}, "US-MD"),
        ({"country": "US"}, "US"),
        ({"country": "CA", "state": "MD"}, "CA"),
        ({"country": "CA", "state": "QC"}, "CA-QC"),
        ({"state": "on"}, "CA-ON"),
        ({"country": "US", "state": "ON"}, "US"),
        ({"country": "ZZ"}, None),
        ({"country": "US", "state": "<b>"}, "US"),
    ],
)
async def test_a_place_stands_in_the_entry_no_finer_than_a_state(client, tmp_path, typed, place):
    await done(client, OUT | typed)
    assert leaves(tmp_path / "data")[-1].get("j") == place


async def test_two_fields_of_one_name_are_read_in_one_way(client, keyed):
    body = "action=opt_out&phone=&phone=%2B14155550101&phone=%2B14155550102&unknown=1"
    answer = await client.post(PATH, content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 303
    assert await reason(keyed, named("phone", phone(1))) == "opted_out"
    assert await reason(keyed, named("phone", phone(2))) != "opted_out"


# --- forms that are refused ----------------------------------------------------------------------------------------


async def test_a_form_is_read_with_a_charset_and_in_any_case(client):
    kind = {"Content-Type": "Application/X-WWW-Form-Urlencoded; charset=UTF-8"}
    assert (await client.post(PATH, content=b"action=opt_out", headers=kind)).status_code == 303


CROSS = [
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "http://127.0.0.1:8080.evil.example"}, False),
    ({"Origin": "http://127.0.0.1:8080"}, True),
    ({"Origin": "null"}, False),
    ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, False),
    ({}, True),
]


@pytest.mark.parametrize(("headers", "taken"), CROSS)
async def test_a_form_from_another_site_is_refused_and_writes_nothing(client, headers, taken):
    before = await entries(client)
    answer = await client.post(PATH, data=OUT | {"phone": phone(1)}, headers=headers)
    assert answer.status_code == (303 if taken else 403)
    assert (await entries(client) > before) is taken


async def test_a_person_whose_form_was_refused_sees_that_nothing_was_saved_and_what_they_typed(client):
    typed = OUT | {"phone": "+14155550101", "email": email(4), "country": "US", "state": "OR"}
    answer = await client.post(PATH, data=typed, headers={"Sec-Fetch-Site": "cross-site"})
    read = Reader(answer.text)
    assert "Nothing was saved" in answer.text
    assert "Honored" not in answer.text
    assert (read.fields["phone"]["value"], read.fields["email"]["value"]) == ("+14155550101", email(4))
    assert re.search(r'<option value="OR" selected>Oregon</option>', answer.text)
    assert "set-cookie" not in answer.headers
    again = await client.post(PATH, data=typed | {"token": read.fields["token"]["value"]})
    assert again.status_code == 303


async def test_an_old_iphone_that_hides_its_origin_can_opt_out_from_our_own_page(client):
    form = OUT | {"token": await token(client)}
    assert (await client.post(PATH, data=form, headers={"Origin": "null"})).status_code == 303
    assert (await client.post(PATH, data=form | {"token": "forged"}, headers={"Origin": "null"})).status_code == 403


async def test_a_token_that_another_site_fetched_opens_no_door_for_it(client):
    form = OUT | {"token": await token(client)}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert (await client.post(PATH, data=form, headers=headers)).status_code == 403


@pytest.mark.parametrize("action", ["opt_in", "confirm"])
async def test_nobody_opts_in_by_the_form_without_proof(client, action):
    before = await entries(client)
    form = {"action": action, "purpose": "sale", "phone": phone(1), "token": await token(client)}
    answer = await client.post(PATH, data=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 403
    assert "Nothing was changed" in answer.text
    assert await entries(client) == before


# --- which notice was shown ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "shown"),
    [("fresh", True), ("missing", False), ("forged", False), ("other salt", False), ("é", False), (".", False)],
)
async def test_the_entry_names_the_notice_only_where_the_token_proves_that_it_was_shown(
    app, client, tmp_path, how, shown
):
    made = {"fresh": await token(client), "missing": "", "forged": "forged"}.get(how, how)
    if how == "other salt":
        made = Tokens((bytes(32),), "choices-form/1").make({"n": "", "l": "en"})
    await done(client, OUT | {"token": made})
    entry = leaves(tmp_path / "data")[-1]
    sha256 = b64(SHOWN.sha256)
    assert (entry.get("n"), entry.get("nl")) == ((sha256, "en") if shown else (None, None))
    assert (entry["src"], entry["m"], entry["e"]) == ("form", "web", "opt_out")


async def test_a_window_that_was_open_for_two_days_still_opts_out_but_proves_no_notice(client, tmp_path):
    made = await token(client)
    with time_machine.travel(time.time() + 2 * 86_400, tick=True):
        answer = await client.post(PATH, data=OUT | {"token": made})
        refused = await client.post(PATH, data=OUT | {"token": made}, headers={"Origin": "null"})
    assert answer.status_code == 303
    assert refused.status_code == 403
    assert "n" not in leaves(tmp_path / "data")[-1]


# --- nothing typed comes out again ---------------------------------------------------------------------------------


async def test_nothing_a_person_typed_stands_in_any_later_page_url_header_or_log(client, keyed):
    secrets = [phone(9), phone(9)[2:], "555-0109", email(9), email(9).partition("@")[0]]
    with structlog.testing.capture_logs() as lines:
        answer, confirmation = await done(client, OUT | {"phone": "(415) 555-0109", "email": email(9), "state": "OR"})
        cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
        later = [
            confirmation,
            *[
                await client.get(path, headers=cookie)
                for path in (PATH, f"{PATH}/status", "/demo", "/readyz", "/metrics", answer.headers["location"])
            ],
        ]
    assert all(one.status_code == 200 for one in later)
    seen = [repr(lines), repr(answer.headers), *(one.text + repr(one.headers) for one in later)]
    assert not [(mark, text) for mark in secrets for text in seen if mark in text]


@pytest.mark.parametrize(
    "typed", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\u202eevil", "a\x00b", "{{7*7}}"]
)
async def test_what_a_person_types_is_shown_back_as_text(client, typed):
    form = {"phone": typed, "email": typed, "country": typed, "state": typed, "purpose": typed, "unknown": typed}
    answer = await client.post(PATH, data=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert "<script" not in answer.text
    assert "<img" not in answer.text
    assert Reader(answer.text).fields["phone"]["value"] == typed.replace("\x00", "")


# --- confirmations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["AAAAAAAAAAAAAAAAAAAAAA", "x", "é", "%00", "' OR 1=1 --", "A" * 2000])
async def test_a_confirmation_of_nothing_is_not_there(client, event):
    answer = await client.get(f"{PATH}/done/{event}")
    assert answer.status_code == 404
    assert "Honored" not in answer.text


async def test_a_confirmation_says_what_holds_now(client, keyed, tmp_path):
    answer, first = await done(client, OUT | {"phone": phone(1)})
    assert "Opt-Out Request Honored" in first.text
    with open_house(tmp_path / "data", inside.settings(), dev=True) as house:  # as a later, proved opt-in
        [subject] = house.consent.people.name([named("phone", phone(1))]).subjects
        yes = Choice(ChoiceKind.OPT_IN, SIGNAL_PURPOSES, "api", house.consent.clock())
        house.writer.submit(lambda tx: records.write_choice(tx, subject, yes, os.urandom(16))).result(60)
    now = await client.get(answer.headers["location"], headers=inside.kept(answer))
    assert "Honored" not in now.text
    assert "<strong>Allowed by you</strong>" in now.text


async def test_a_confirmation_names_nobody_and_only_its_own_submission(client):
    await done(client, OUT | {"phone": phone(1)})
    _, second = await done(client, OUT | {"email": email(1)})
    assert second.text.count("<li>") == 2
    assert "phone number" not in second.text


async def test_what_was_typed_in_one_form_is_not_tied_together(client, keyed):
    await done(client, OUT | {"phone": phone(1), "email": email(1)})
    link = {"account": "a1", "identifiers": [named("phone", phone(1)), named("gaid", GAID)]}
    await keyed.post("/v1/links", json=link)
    body = {"identifiers": [named("email", email(2))], "choice": "opt_out"}
    await keyed.post("/v1/choices", json=body)
    assert await reason(keyed, named("gaid", GAID)) == "opted_out"
    assert await reason(keyed, named("phone", phone(2))) != "opted_out"


# --- the store is away ---------------------------------------------------------------------------------------------


async def test_a_form_that_cannot_be_kept_anywhere_is_refused_with_the_fields_filled_and_never_confirmed(
    client, keyed, tmp_path, no_emergency
):
    with inside.ledger_away(tmp_path / "data"):
        typed = OUT | {"phone": "+14155550101", "email": email(4), "state": "OR"}
        answer = await client.post(PATH, data=typed)
        shown = await client.get(PATH)
        check = {"identifiers": [named("gaid", GAID)], "recipient": "teemo", "place": "US-CA"}
        checked = (await keyed.post("/v1/check", json=check)).json()
        status = (await client.get(f"{PATH}/status")).json()
    read = Reader(answer.text)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert "Nothing was saved" in answer.text
    assert "Honored" not in answer.text
    assert "set-cookie" not in answer.headers
    assert (read.fields["phone"]["value"], read.fields["email"]["value"]) == ("+14155550101", email(4))
    assert (checked["allowed"], checked["partly"], checked["position"]) == (False, False, None)
    assert checked["reason"] in {"stale", "store_unavailable"}
    assert set(checked["data"].values()) == {"deny"}
    assert (status["status"], status["display"], "refuse" in status) == ("opted_out", None, False)
    assert "Counted as opted out" in shown.text


# --- what holds for this browser -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "No opt-out is recorded for this browser"),
        ({"DNT": "0"}, "No opt-out is recorded for this browser"),
        ({"Cookie": "usprivacy=1YNN; OptanonConsent=isGpcEnabled=0"}, "No opt-out is recorded for this browser"),
        ({"Cookie": "optout=1"}, "Opt-Out Request Honored"),
        ({"Cookie": "cookieyes-consent=consent:no,action:yes,advertisement:no"}, "Opt-Out Request Honored"),
        ({"Sec-GPC": "1"}, "your browser sends the Global Privacy Control signal"),
        ({"Sec-GPC": "0"}, "No opt-out is recorded for this browser"),
        ({"Cookie": "usprivacy=1YYN"}, "Opt-Out Request Honored"),
    ],
)
async def test_the_page_shows_what_holds_for_this_browser(client, headers, words):
    text = (await client.get(PATH, headers=headers)).text
    assert words in text
    assert ("Honored" in text) is (words.startswith(("your", "Opt-Out")))


async def test_a_persons_choice_is_shown_the_next_time(client):
    answer, _ = await done(client, OUT)
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    assert "Opt-Out Request Honored" in (await client.get(PATH, headers=cookie)).text
    status = (await client.get(f"{PATH}/status", headers=cookie)).json()
    assert (status["status"], status["display"], status["gpc"]) == ("opted_out", "Opt-Out Request Honored", False)
    assert set(status["purposes"].values()) == {"opted_out"}


async def test_the_form_of_a_browser_that_is_known_keeps_its_id(client, keyed):
    first, _ = await done(client, OUT)
    cookie = first.headers["set-cookie"].partition(";")[0]
    second, _ = await done(client, {"action": "limit"}, Cookie=cookie)
    renewed = second.headers["set-cookie"].partition(";")[0]
    assert renewed != cookie
    status = (await client.get(f"{PATH}/status", headers={"Cookie": renewed})).json()
    assert set(status["purposes"].values()) == {"opted_out"}


# --- the statement of support --------------------------------------------------------------------------------------


async def test_the_statement_of_support_is_an_object_with_its_day_and_says_what_the_operator_set(tmp_path):
    configured = inside.settings(gpc__last_update="2027-01-31")
    async with inside.application(tmp_path / "data", configured, dev=False) as app, inside.client(app) as client:
        answer = await client.get("/.well-known/gpc.json")
        assert answer.status_code == 200
        assert answer.json() == {"gpc": True, "lastUpdate": "2027-01-31"}
        assert answer.json()["gpc"] is True  # a boolean, not 1
        assert date.fromisoformat(answer.json()["lastUpdate"])
        assert (await client.head("/.well-known/gpc.json")).status_code == 200
        assert (await client.post("/.well-known/gpc.json")).status_code == 405


async def test_the_statement_of_support_is_the_same_for_everybody(client):
    answers = [
        await client.get("/.well-known/gpc.json", headers=headers)
        for headers in ({}, {"Sec-GPC": "1"}, {"Cookie": "usprivacy=1YYN"}, {"Accept": "text/html"})
    ]
    assert {answer.content for answer in answers} == {b'{"gpc":true,"lastUpdate":"2026-11-24"}'}
    assert {answer.headers["content-type"] for answer in answers} == {"application/json"}
    assert not any("vary" in answer.headers or "set-cookie" in answer.headers for answer in answers)


async def test_the_operators_other_site_may_post_the_form(tmp_path):
    settings = inside.settings(site__origins="https://www.example.com")
    async with inside.application(tmp_path / "data", settings) as app, inside.client(app) as client:
        for origin, status in (("https://www.example.com", 303), ("https://www.example.com.evil.example", 403)):
            headers = {"Origin": origin, "Sec-Fetch-Site": "same-site"}
            assert (await client.post(PATH, data=OUT, headers=headers)).status_code == status
