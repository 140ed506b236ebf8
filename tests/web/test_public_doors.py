"""What every public door must withstand, asked of all of them at once."""

import contextlib
import json
import re
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import structlog
from support import inside
from support.opting_in import standing
from support.people import GAID, email, named, phone
from support.service import service

import gateway
from gateway.web.pages import adchoices
from gateway.web.shell import own_cookies

pytestmark = pytest.mark.anyio
SETTINGS = {"ad_choices__participant": "7", "site__url": "https://www.example.com"}
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
async def app(tmp_path):
    async with inside.application(tmp_path / "data", inside.settings(**SETTINGS)) as built:
        yield built


def head(folder) -> tuple:
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return db.execute("SELECT * FROM head").fetchone()


async def opted_out(client):
    """A browser that opted out: its cookies, and where its confirmation is."""
    answer = await client.post("/privacy-choices", data={"action": "opt_out", "phone": phone(1), "email": email(1)})
    assert answer.status_code == 303, answer.text
    return "; ".join(each.partition(";")[0] for each in answer.headers.get_list("set-cookie")), answer.headers[
        "location"
    ]


async def links(keyed) -> str:
    made = await keyed.post("/v1/unsubscribe-links", json={"identifiers": [named("email", email(1))]})
    return made.json()["url"].removeprefix(SETTINGS["site__url"])


async def addresses(app, keyed, confirmation):
    """One address of every route, with real references where it has any."""
    event = confirmation.rpartition("/")[2]
    filled = {"token": (await links(keyed)).rpartition("/")[2], "event": event, "recipient": "teemo", "year": "2026"}
    return [
        re.sub(r"\{(\w+)(:path)?\}", lambda found: filled.get(found[1], "0/000"), route.path)
        for route in inside.routes(app)
    ]


# --- V4: looking changes nothing ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_whoever_follows_every_link_there_is_changes_nothing(tmp_path, app, client, keyed, method):
    cookie, confirmation = await opted_out(client)
    before, seen = head(tmp_path / "data"), 0
    asked = "?action=opt_out&phone=%2B14155550102&action_id=2&participant_id=7&rd=https://optout.aboutads.info&token=x"
    for headers in ({}, {"Cookie": cookie}, {**inside.DEV, "Cookie": cookie}, {"Sec-GPC": "1"}):
        for address in await addresses(app, keyed, confirmation):
            for query in ("", asked):
                answer = await client.request(method, address + query, headers=headers)
                assert answer.status_code < 500, address
                seen += 1
    assert head(tmp_path / "data") == before
    assert seen > 100


async def test_the_crawl_would_see_a_change(tmp_path, client):
    """The control."""
    before = head(tmp_path / "data")
    await opted_out(client)
    assert head(tmp_path / "data") != before


# --- V5: what a browser may send without asking first ---------------------------------------------------------------


SIMPLE = [
    "text/plain",
    FORM,
    "multipart/form-data; boundary=x",
    "text/plain; application/json",
    "",
    "application/csp-report",
]
BODY = {"identifiers": [named("gaid", GAID)], "choice": "opt_out", "gpc": True, "recipient": "teemo", "account": "a"}
JSON_DOORS = ["/v1/check", "/v1/choices", "/v1/observe", "/v1/links", "/v1/notices", "/v1/access", "/v1/erasures",
              "/v1/explain", "/v1/shares/teemo", "/v1/unsubscribe-links", "/privacy-choices/observe"]  # fmt: skip


@pytest.mark.parametrize("door", JSON_DOORS)
@pytest.mark.parametrize("kind", SIMPLE)
async def test_a_door_for_programs_takes_no_body_that_a_foreign_page_can_send_unasked(tmp_path, keyed, door, kind):
    before = head(tmp_path / "data")
    answer = await keyed.post(door, content=json.dumps(BODY).encode(), headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert head(tmp_path / "data") == before


async def test_a_body_without_a_type_from_a_foreign_page_is_refused_where_no_key_is_asked(tmp_path, client):
    cookie, _ = await opted_out(client)
    before = head(tmp_path / "data")
    request = client.build_request("POST", "/privacy-choices/observe", content=b'{"gpc": true}')
    request.headers.update({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example", "Cookie": cookie})
    answer = await client.send(request)
    assert "content-type" not in request.headers
    assert (answer.status_code, head(tmp_path / "data")) == (403, before)


async def test_no_other_site_may_read_an_answer(app):
    """No door answers a preflight, and none names an origin that may read it."""
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    async with inside.client(app, **preflight) as client:
        for door in [*JSON_DOORS, "/privacy-choices", "/privacy-choices/status"]:
            for method in ("OPTIONS", "GET", "POST"):
                answer = await client.request(method, door)
                assert not [name for name in answer.headers if name.startswith("access-control-")], (method, door)


# --- V8: cookies ----------------------------------------------------------------------------------------------------


ROOT = Path(gateway.__file__).parent
COOKIES_ARE_MADE_IN = {
    "web/shell/own_cookies.py",
    "web/pages/adchoices.py",
}
OURS = {*own_cookies.BROWSER_COOKIES, own_cookies.PROOF_COOKIE, adchoices.BOUND}


def parsed(cookie: str) -> tuple[str, dict[str, str]]:
    first, *rest = [part.strip() for part in cookie.split(";")]
    attributes = {name.lower(): value for name, _, value in (part.partition("=") for part in rest)}
    assert len(attributes) == len(rest), "no attribute twice"
    return first.partition("=")[0], attributes


def test_cookies_are_made_where_the_next_test_looks():
    """Another place that sets one has to be added here, and to what is asked below."""
    found = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if re.search(r"SameSite=\w+", path.read_text())}
    assert found - {"web/shell/edge.py"} == COOKIES_ARE_MADE_IN


async def test_every_cookie_has_every_guard(app, client):
    cookie, confirmation = await opted_out(client)
    asked = [
        await client.post("/privacy-choices", data={"action": "opt_out", "email": email(1)}),
        await client.post("/privacy-choices", data={"action": "limit"}),
        await client.get(confirmation, headers={"Cookie": cookie}),
        await client.get("/privacy-choices", headers={"Cookie": cookie}),
        await client.get("/privacy-choices/status", headers={"Sec-GPC": "1"}),
        await client.post("/privacy-choices/observe", json={"gpc": True}),
        await client.get("/demo", headers={"Sec-GPC": "1", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}),
        await client.get(
            "/adchoices?participant_id=7&action_id=3&rd=https://optout.aboutads.info",
            headers={"Referer": "https://optout.aboutads.info/"},
        ),
    ]
    ticket = re.search(r'name="ticket" value="([^"]+)"', asked[2].text).group(1)
    shown = "; ".join(each.partition(";")[0] for each in asked[2].headers.get_list("set-cookie"))
    event = confirmation.rpartition("/")[2]
    asked.append(
        await client.post("/privacy-choices/proof", data={"event": event, "ticket": ticket}, headers={"Cookie": shown})
    )
    cookies = [parsed(each) for answer in asked for each in answer.headers.get_list("set-cookie")]
    for name, said in cookies:
        guarded(name, said)
    assert {name for name, _ in cookies} == OURS


def guarded(name, said):
    assert name.startswith("__Host-"), name
    assert {"secure", "httponly", "samesite", "path", "max-age"} >= set(said), name
    assert (said["path"], said["secure"], said["httponly"]) == ("/", "", ""), name
    allowed = {"None"} if name == adchoices.BOUND else {"Lax", "Strict"}  # the DAA's page is another site
    assert said["samesite"] in allowed, name


async def test_the_cookie_of_a_code_has_every_guard_from_the_sending_to_the_end(tmp_path):
    async with standing(tmp_path / "coded") as site:
        browser = site.browser()
        sent = {"action": "send", "use": "access", "email": email(1)}
        asked = await browser.calling.post("/privacy-choices/code", data=sent, headers=browser.headers)
        cookies = [parsed(each) for each in asked.headers.get_list("set-cookie")]
        assert own_cookies.CODE_COOKIE in {name for name, _ in cookies}
        for name, said in [*cookies, parsed(own_cookies.CODE_COOKIE_GONE)]:
            guarded(name, said)
            assert name != own_cookies.CODE_COOKIE or said["samesite"] == "Strict"


def test_the_ad_tools_cookies_go_to_other_sites_and_are_guarded_as_far_as_that_allows():
    """The DAA's tools read them from their own pages: SameSite=None, and no more than that."""
    attributes = parsed(f"{adchoices.BOUND}=x; {adchoices.THIRD_PARTY}")[1]
    assert (attributes["samesite"], attributes["secure"], attributes["path"]) == ("None", "", "/")
    assert "httponly" in attributes
    assert "domain" not in attributes


# --- V12: nothing of a person in an address, a redirect or a log
# -------------------------------------------------------


MARKS = {"phone": "+14155550177", "email": "marked-person@example.com", "gaid": "38400000-8cf0-11bd-b23e-1badcafe0000"}
EVERYWHERE = [
    "MARKINQUERY",
    "MARKINPATH",
    "MARKINAGENT",
    "MARKINCOOKIE",
    "MARKINREFERER",
    "MARKINKEY",
    "MARKINREPEAT",
    "203.0.113.99",
]


def send(running, method, path, body=None, headers=()):
    request = urllib.request.Request(running.url + path, method=method, data=body, headers=dict(headers))
    opener = urllib.request.build_opener(StopAtRedirects)
    with contextlib.suppress(urllib.error.HTTPError), opener.open(request) as answer:
        return answer.status, answer.headers.get_all("location") or []
    return 0, []


class StopAtRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, request, file, code, message, headers, url):
        LED_TO.append(url)


LED_TO: list[str] = []


@pytest.mark.slow
def test_the_log_of_a_running_service_has_nothing_of_anybody(tmp_path):
    marked = {
        "User-Agent": "MARKINAGENT",
        "Cookie": "id=MARKINCOOKIE",
        "Referer": "https://x.example/MARKINREFERER",
        "Idempotency-Key": "MARKINREPEAT",
    }
    form = f"action=opt_out&phone=%2B14155550177&email={MARKS['email']}".encode()
    person = {"identifiers": [{"type": kind, "value": value} for kind, value in MARKS.items()]}
    LED_TO.clear()
    with service(tmp_path) as running:
        paths = [
            "/privacy-choices",
            "/privacy-choices/status",
            "/privacy-choices/done/MARKINPATH",
            "/v1/check",
            "/privacy-choices/unsubscribe/MARKINPATH",
            "/v1/receipts/MARKINPATH",
            "/MARKINPATH",
            "/v1/choices",
            "/v1/texts",
            "/v1/observe",
            "/privacy-choices/data",
        ]
        for path in paths:
            for key in ("Bearer dev.dev", "Bearer dev.MARKINKEY", "Basic MARKINKEY"):
                headers = {**marked, "Authorization": key}
                send(running, "GET", f"{path}?q=MARKINQUERY&email={MARKS['email']}", headers=headers.items())
                send(running, "POST", f"{path}?q=MARKINQUERY", form, {**headers, "Content-Type": FORM}.items())
                body = json.dumps({**person, "choice": "opt_out", "recipient": "teemo", "ip": "203.0.113.99"}).encode()
                send(running, "POST", path, body, {**headers, "Content-Type": "application/json"}.items())
                send(running, "POST", path, body[:-9], {**headers, "Content-Type": "application/json"}.items())
        send(running, "MARKINPATH", "/MARKINPATH", headers=marked.items())
        with urllib.request.urlopen(f"http://127.0.0.1:{running.port + 1}/metrics") as answer:
            metrics = answer.read().decode()
    log = running.log.read_text()
    assert log.count('"request"') > 50, "the harness asked, and the log was written"
    assert LED_TO, "redirects were seen"
    for mark in [*MARKS.values(), *EVERYWHERE, "4155550177", "dev.dev"]:
        for place in (log, metrics, *LED_TO):
            assert mark not in place, mark


async def test_the_harness_would_see_a_mark_in_the_log():
    """The control."""
    with structlog.testing.capture_logs() as lines:
        structlog.get_logger("gateway").info("request", path="/MARKINPATH")
    assert "MARKINPATH" in repr(lines)


# --- V14 and V15 ------------------------------------------------------------------------------------------------------


OWN = ["Gateway-Consent", "Gateway-Browser", "Gateway-Place", "Gateway-Request", "gateway_consent", "GATEWAY_BROWSER"]


@pytest.mark.parametrize("name", OWN)
async def test_no_door_of_ours_believes_a_header_that_only_we_may_write(client, name):
    """A browser that said nothing is shown as such whatever it claims, and one that opted out stays out."""
    yes = "sale=?1, sharing=?1, targeted_ads=?1, status=none"
    forged = await client.get("/privacy-choices/status", headers={name: yes, "Sec-GPC": "1"})
    assert forged.json()["status"] == "opted_out"
    claimed = await client.get("/privacy-choices/status", headers={name: "sale=?0, status=honored"})
    assert claimed.json()["status"] == "not_opted_out"
    assert "FORGED" not in repr((await client.get("/demo", headers={name: "FORGED"})).text)


TWICE = [
    ([("Sec-GPC", "1"), ("Sec-GPC", "0")], "opted_out"),
    ([("Sec-GPC", "0"), ("Sec-GPC", "1")], "opted_out"),
    ([("Sec-GPC", "0"), ("Sec-GPC", "0")], "not_opted_out"),
    ([("Sec-GPC", "1, 1")], "opted_out"),
    ([("Sec-GPC", "0, 1")], "opted_out"),
    ([("Sec-GPC", "0, 0")], "not_opted_out"),
    ([("Cookie", "usprivacy=1YNN"), ("Cookie", "usprivacy=1YYN")], "opted_out"),
    ([("Cookie", "usprivacy=1YYN; usprivacy=1YNN")], "opted_out"),
    ([("Cookie", "usprivacy=1YNN; usprivacy=1YYN")], "opted_out"),
]


@pytest.mark.parametrize(("headers", "status"), TWICE)
async def test_of_two_signals_the_no_holds_in_any_order(client, headers, status):
    assert (await client.get("/privacy-choices/status", headers=headers)).json()["status"] == status


@pytest.mark.parametrize(("query", "status"), [("us_privacy=1YNN&us_privacy=1YYN", "opted_out"),
                                               ("us_privacy=1YYN&us_privacy=1YNN", "opted_out"),
                                               ("us_privacy=1YNN&us_privacy=1YNN", "not_opted_out")])  # fmt: skip
async def test_of_two_signals_in_an_address_the_no_holds_in_any_order(client, query, status):
    assert (await client.get(f"/privacy-choices/status?{query}")).json()["status"] == status


@pytest.mark.parametrize("name", ["Origin", "Sec-Fetch-Site"])
async def test_a_form_whose_sender_is_named_twice_is_not_ours(tmp_path, client, name):
    good = {"Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "same-origin"}[name]
    before = head(tmp_path / "data")
    answer = await client.post("/privacy-choices", data={"action": "opt_out"}, headers=[(name, good), (name, good)])
    assert (answer.status_code, head(tmp_path / "data")) == (403, before)
