import asyncio
import re
from datetime import timedelta

import pytest
import structlog
from support import inside
from support.log import verifiers
from support.people import email, phone

from gateway.app.composition import now
from gateway.ledger.audit.log_reader import LogReader
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.proof import receipt
from gateway.ledger.proof.receipt import Opening
from gateway.web.shell import own_cookies
from gateway.web.shell.own_cookies import PROOF_COOKIE, ProofsKept

pytestmark = pytest.mark.anyio
PATH = "/privacy-choices"
GIVEN = {"action": "opt_out", "phone": phone(4), "email": email(4)}


class Browser:
    """Keeps cookies as a browser does, and presses what stands on the confirmation."""

    def __init__(self, client, cookies=True):
        self.client, self.keeps, self.jar = client, cookies, {}
        self.location, self.page = "", ""

    async def go(self, method, path, **more):
        cookie = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        headers = {**({"Cookie": cookie} if cookie else {}), **more.pop("headers", {})}
        answer = await self.client.request(method, path, headers=headers, **more)
        for line in answer.headers.get_list("set-cookie") if self.keeps else ():
            name, _, value = line.partition(";")[0].partition("=")
            self.jar[name] = value
            if "Max-Age=0" in line:
                del self.jar[name]
        return answer

    async def opt_out(self, **given):
        answer = await self.go("POST", PATH, data=GIVEN | given)
        self.location = answer.headers["location"]
        return await self.look(self.location)

    async def look(self, path):
        self.page = (await self.go("GET", path)).text
        return self.page

    @property
    def fields(self):
        return dict(re.findall(r'name="(event|ticket)" value="([^"]+)"', self.page))

    async def press(self, **more):
        return await self.go("POST", f"{PATH}/proof", data=self.fields, **more)


@pytest.fixture
def browser(client):
    return Browser(client)


async def test_a_person_takes_receipt_and_opening_home_in_one_file(browser, tmp_path):
    await browser.opt_out()
    answer = await browser.press()
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="privacy-choice-proof.json"'
    assert answer.headers["cache-control"] == "no-store"
    proofs, keys = answer.json()["proofs"], await asyncio.to_thread(verifiers, tmp_path / "data")
    assert [each["opening"]["kind"] for each in proofs] == ["browser", "phone", "email"]
    assert [each["opening"]["value"] for each in proofs[1:]] == [phone(4), email(4)]
    for each in proofs:
        shown = receipt.parse_receipt(each["receipt"])
        receipt.verify_receipt(shown, keys)
        assert receipt.is_about(shown, receipt.opening(each["opening"]))


async def test_it_is_given_once(browser):
    await browser.opt_out()
    assert (await browser.press()).status_code == 200
    again = await browser.press()
    assert (again.status_code, again.headers["location"]) == (303, f"{browser.location}#no-proof")
    assert "cannot be given here" in await browser.look(again.headers["location"])


async def test_the_next_person_at_the_same_computer_gets_nothing_of_the_one_before(browser):
    """R35. They go back, open the history, press the button of a page that they kept: no way leads to it."""
    await browser.opt_out()
    kept = browser.fields
    assert PROOF_COOKIE in browser.jar
    again = await browser.look(browser.location)
    assert "ticket" not in again
    assert "cannot be given here" in again
    assert (await browser.press()).status_code in {303, 404}
    form = await browser.look(PATH)
    assert PROOF_COOKIE not in browser.jar
    assert phone(4) not in form
    assert email(4) not in form
    late = await browser.go("POST", f"{PATH}/proof", data=kept)
    assert late.status_code == 303


async def test_a_ticket_opens_nothing_in_another_browser_and_a_cookie_nothing_without_the_ticket(browser, client):
    await browser.opt_out()
    stranger = Browser(client)
    assert (await stranger.go("POST", f"{PATH}/proof", data=browser.fields)).status_code == 303
    guessed = {"event": browser.fields["event"], "ticket": ""}
    assert (await browser.go("POST", f"{PATH}/proof", data=guessed)).status_code == 303
    assert (await browser.press()).status_code == 200  # the control: together they do


async def test_a_stranger_with_the_link_to_a_confirmation_gets_no_opening_and_learns_no_value(browser, client):
    await browser.opt_out()
    shown = (await client.get(browser.location)).text
    assert "cannot be given here" in shown
    assert 'name="ticket"' not in shown
    assert phone(4) not in shown


async def test_an_opening_is_of_the_submission_whose_confirmation_is_open(browser):
    """A second window's confirmation takes the place of the first one's; the first one opens nothing then."""
    await browser.opt_out()
    first = browser.fields
    await browser.opt_out(phone=phone(5))
    assert (await browser.go("POST", f"{PATH}/proof", data=first)).status_code == 303
    values = [each["opening"]["value"] for each in (await browser.press()).json()["proofs"]]
    assert phone(5) in values
    assert phone(4) not in values


async def test_a_browser_without_cookies_is_told_how_else_to_get_it(client):
    browser = Browser(client, cookies=False)
    page = await browser.opt_out()
    assert "your browser keeps no cookies" in page
    assert "choose again with cookies allowed, or write to us" in page
    assert "Receipt of this browser alone" in page


async def test_the_words_say_what_is_proved_and_what_is_not(browser):
    page = await browser.opt_out()
    for words in (
        "proves that this request was written into our log",
        "It does not say who asked, so it may be shown to anyone",
        "With the receipt it proves that the entry is about that address, number or browser",
        "Neither proves that we act on your request",
        "unless an independent witness has signed it too",
    ):
        assert words in page


async def test_the_bare_receipt_of_the_page_names_nobody(browser, client):
    page = await browser.opt_out()
    link = re.search(r'href="(/privacy-choices/receipt/[^"]+)" download', page).group(1)
    found = await client.get(link)
    assert found.status_code == 200
    assert receipt.parse_receipt(found.text).entry
    for value in (phone(4), email(4)):
        assert value not in found.text


async def test_after_fifteen_minutes_the_opening_is_gone(tmp_path):
    moved = timedelta()
    async with inside.application(tmp_path / "data", clock=lambda: now() + moved) as app, inside.client(app) as client:
        browser = Browser(client)
        await browser.opt_out()
        moved = timedelta(seconds=own_cookies.PROOF_SECONDS - 5)
        kept = dict(browser.jar)
        assert (await browser.press()).status_code == 200
        browser.jar = kept
        moved = timedelta(seconds=own_cookies.PROOF_SECONDS + 5)
        assert (await browser.press()).status_code == 303


async def test_the_opening_stands_in_no_path_query_log_and_in_no_header_unsealed(browser):
    with structlog.testing.capture_logs() as lines:
        answer = await browser.go("POST", PATH, data=GIVEN)
        browser.location = answer.headers["location"]
        page = await browser.go("GET", browser.location)
        browser.page = page.text
        found = await browser.press()
    secrets = [each["opening"]["rs"] for each in found.json()["proofs"]] + [phone(4), email(4), "person4", "5550104"]
    seen = [repr(lines), repr(answer.headers), page.text, repr(page.headers), repr(found.headers), str(found.url)]
    assert not [(mark, text) for mark in secrets for text in seen if mark in text]


async def test_the_cookie_is_this_hosts_alone_and_no_script_or_other_site_gets_it(browser):
    answer = await browser.go("POST", PATH, data=GIVEN)
    [line] = [line for line in answer.headers.get_list("set-cookie") if line.startswith(PROOF_COOKIE)]
    words = {word.strip().partition("=")[0] for word in line.split(";")[1:]}
    assert words == {"Path", "Secure", "HttpOnly", "SameSite", "Max-Age"}
    assert "SameSite=Strict" in line
    assert f"Max-Age={own_cookies.PROOF_SECONDS}" in line
    assert len(line) < 4096


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example.com"}])
async def test_another_site_cannot_press_the_button(browser, headers):
    await browser.opt_out()
    assert (await browser.press(headers=headers)).status_code == 403
    assert (await browser.press(headers={"Sec-Fetch-Site": "same-origin"})).status_code == 200


async def test_an_old_iphone_that_hides_its_origin_gets_the_file_by_its_ticket(browser):
    await browser.opt_out()
    assert (await browser.press(headers={"Origin": "null"})).status_code == 200
    assert (await browser.press(headers={"Origin": "null"})).status_code == 403


@pytest.mark.parametrize(
    "body", [b"", b"event=x", b"event=" + b"A" * 5000, b"event=%00&ticket=%ff", b"&".join([b"a=b"] * 50), b"event=AAAA"]
)
async def test_a_body_that_is_none_is_refused_and_never_a_fault(client, body):
    answer = await client.post(f"{PATH}/proof", content=body)
    assert answer.status_code in {404, 413}


@pytest.mark.parametrize("value", ["x", "AAAA", "A" * 3000, "%00", '"'])
async def test_a_cookie_that_is_not_ours_opens_nothing_and_breaks_nothing(client, value):
    headers = {"Cookie": f"{PROOF_COOKIE}={value}"}
    form = await client.get(PATH, headers=headers)
    assert form.status_code == 200
    assert f"{PROOF_COOKIE}=; " in repr(form.headers)
    assert (await client.post(f"{PATH}/proof", data={"event": "A" * 22}, headers=headers)).status_code == 303


async def test_a_log_that_cannot_be_read_just_now_costs_nobody_the_opening(browser, monkeypatch):
    await browser.opt_out()

    def away(*_):
        raise StoreUnavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(LogReader, "receipts", away)
        assert (await browser.press()).status_code == 503
    assert (await browser.press()).status_code == 200


def test_what_is_longer_than_a_browser_keeps_is_not_set_and_short_of_it_is():
    def of(length):
        return ProofsKept(("e",), (Opening("email", "a" * length, bytes(32)),), 100)

    assert own_cookies.set_proof_cookie([bytes(32)], of(2600), 0) is not None
    assert own_cookies.set_proof_cookie([bytes(32)], of(3000), 0) is None


def test_the_seal_of_the_cookie_is_no_other_seal_of_ours(house):
    from gateway.keys import seals
    from gateway.keys.seals import BrowserCookie

    keys = house.consent.secrets.seals
    other = seals.seal_cookie(keys, BrowserCookie(bytes(16), 1, frozenset()))
    assert own_cookies.read_proof_cookie(keys, [(PROOF_COOKIE, other)], 0) is None
    made = own_cookies.set_proof_cookie(keys, ProofsKept(("e",), (), 100), 0).partition(";")[0].partition("=")[2]
    assert own_cookies.read_proof_cookie(keys, [(PROOF_COOKIE, made)], 0) == ProofsKept(("e",), (), 100)
    assert own_cookies.read_proof_cookie([bytes(32)], [(PROOF_COOKIE, made)], 0) is None
