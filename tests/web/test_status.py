"""The doors of the page's own script: `GET /privacy-choices/status` and keyless `POST /privacy-choices/observe`."""

import contextlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from support import inside
from support.people import GAID, named

from gateway.choice.downstream import Outcome, strings
from gateway.keys import api_keys, seals, secret_files
from gateway.keys.seals import BrowserCookie
from gateway.signals import gpp
from gateway.terms import ALL_PURPOSES, SIGNAL_PURPOSES
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.visitor import Visitors
from gateway.web.site.status import Status
from gateway.web.site.visit import Visits

pytestmark = pytest.mark.anyio
STATUS, OBSERVE = "/privacy-choices/status", "/privacy-choices/observe"
HERE = frozenset({"US-CA"})
OUT, YES = (strings(Outcome(denied, HERE)).gpp for denied in (frozenset(SIGNAL_PURPOSES), frozenset()))
GPC = {"Sec-GPC": "1"}
OPTED_OUT = ("opted_out", "Opt-Out Request Honored")
NOT_OPTED_OUT = ("not_opted_out", None)


async def status(client, *, cookie="", **headers):
    headers |= {"Cookie": cookie} if cookie else {}
    return await client.get(STATUS, headers=headers)


async def observe(client, said, *, cookie="", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers |= {"Cookie": cookie} if cookie else {}
    return await client.post(OBSERVE, json=said, headers=headers)


async def entries(client) -> int:
    return (await client.get("/readyz")).json()["ledger"]["entries"]


async def reason(keyed, value):
    body = {"identifiers": [named("browser", value)], "recipient": "teemo", "place": "US-CA"}
    return (await keyed.post("/v1/check", json=body)).json()["reason"]


def shown(answer) -> tuple:
    assert answer.status_code == 200, answer.text
    return answer.json()["status"], answer.json()["display"]


def value_of(answer) -> str:
    return answer.headers["set-cookie"].partition(";")[0].partition("=")[2]


@pytest.fixture
def known(app, tmp_path):
    """The cookie of a browser that has an id here and said nothing."""
    sealed = seals.seal_cookie(
        secret_files.load_secrets(tmp_path / "data").seals, BrowserCookie(seals.new_browser(), 20_781, frozenset())
    )
    return f"__Host-gateway={sealed}"


@pytest.fixture
def signed(app, tmp_path):
    """The site's signed word that account a1 is signed in."""
    return api_keys.assert_account(secret_files.load_secrets(tmp_path / "data").accounts[-1], "a1", 4_000_000_000)


# --- what holds for this browser -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "shows", "signal"),
    [
        ({}, NOT_OPTED_OUT, False),
        (GPC, OPTED_OUT, True),
        ({"Sec-GPC": "0"}, NOT_OPTED_OUT, False),
        ({"Sec-GPC": "true"}, NOT_OPTED_OUT, False),
        ({"Cookie": "usprivacy=1YYN"}, OPTED_OUT, False),
        ({"Cookie": "optout=1"}, OPTED_OUT, False),
        ({"Cookie": f"gpp={OUT}"}, OPTED_OUT, False),
        ({"Cookie": f"gpp={YES}"}, NOT_OPTED_OUT, False),
        ({"DNT": "1"}, OPTED_OUT, False),
        ({"Cookie": "__Host-gateway=forged"}, NOT_OPTED_OUT, False),
    ],
    ids=repr,
)
async def test_the_pages_script_reads_what_the_request_itself_says(client, headers, shows, signal):
    before = await entries(client)
    answer = await client.get(STATUS, headers=headers)
    assert (shown(answer), answer.json()["gpc"], answer.json()["place"]) == (shows, signal, "US-CA")
    assert await entries(client) == before


async def test_signals_are_of_selling_and_ads_and_say_nothing_of_sensitive_information(client):
    purposes = (await status(client, **GPC)).json()["purposes"]
    assert purposes == dict.fromkeys(("sale", "sharing", "targeted_ads"), "opted_out") | dict.fromkeys(
        ("profiling", "sensitive"), "none"
    )
    ads = (await status(client, cookie="optout=1")).json()["purposes"]
    assert (ads["sale"], ads["sharing"], ads["targeted_ads"]) == ("opted_out",) * 3, "as the site is told"


async def test_every_answer_about_a_browser_is_kept_by_no_cache(client):
    for answer in (await status(client, **GPC), await observe(client, {"gpc": True})):
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert {"Sec-GPC", "Cookie"} <= {name.strip() for name in answer.headers["vary"].split(",")}
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_tag_manager_is_given_the_strings_of_a_person_who_is_out(client):
    told = (await status(client, **GPC)).json()["strings"]
    fields = gpp.read_gpp_string(told["gpp"]).sections["usca"]
    assert (fields["SaleOptOut"], fields["SharingOptOut"], fields["Gpc"]) == (1, 1, True)
    assert [*told.pop("parsed")] == ["usca"]
    assert told | {"gpp": ""} == {
        "gpp": "",
        "gpp_sid": [8],
        "us_privacy": "1YYN",
        "rdp": 1,
        "npa": 1,
        "consent_mode": {"ad_storage": "denied", "ad_user_data": "denied", "ad_personalization": "denied"},
    }


async def test_a_tag_manager_is_given_the_strings_of_a_person_who_said_nothing(client):
    told = (await status(client)).json()["strings"]
    assert gpp.read_gpp_string(told["gpp"]).sections["usca"]["SaleOptOut"] == 2
    assert (told["us_privacy"], told["rdp"], told["npa"]) == ("1YNN", 0, 0)
    assert set(told["consent_mode"].values()) == {"granted"}


async def test_a_form_choice_and_a_limit_are_shown_in_strings_and_purposes(client):
    done = await client.post("/privacy-choices", data={"action": "opt_out"})
    answer = await status(client, cookie=f"__Host-gateway={value_of(done)}")
    assert shown(answer) == OPTED_OUT
    assert set(answer.json()["purposes"].values()) == {"opted_out"}
    assert answer.json()["strings"]["us_privacy"] == "1YYN"
    limited = await client.post("/privacy-choices", data={"action": "limit"})
    body = (await status(client, cookie=f"__Host-gateway={value_of(limited)}")).json()
    assert (body["purposes"]["sensitive"], body["purposes"]["sale"]) == ("opted_out", "none")


async def test_a_browser_that_says_no_is_remembered_and_the_next_answer_does_not_need_the_signal(client):
    first = await status(client, **GPC)
    sealed = f"__Host-gateway={value_of(first)}"
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= {
        part.strip() for part in first.headers["set-cookie"].split(";")
    }
    again = await status(client, cookie=sealed)
    assert (shown(again), again.json()["gpc"]) == (OPTED_OUT, False)
    assert "set-cookie" not in again.headers
    assert "set-cookie" not in (await status(client)).headers


@pytest.mark.parametrize(("how", "remembered"), [("id", True), ("flag", True), ("off", False)])
async def test_the_operator_decides_how_a_browser_is_remembered(tmp_path, how, remembered):
    configured = inside.settings(browser__remember_gpc=how)
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as client:
        for answer in (await status(client, **GPC), await observe(client, {"gpc": True})):
            assert shown(answer) == OPTED_OUT
            assert ("set-cookie" in answer.headers) is remembered


async def test_while_the_store_is_away_everybody_counts_as_out_and_nothing_is_said_to_be_honored(client, tmp_path):
    with inside.ledger_away(tmp_path / "data"):
        await client.post("/privacy-choices", data={"action": "opt_out"})  # the writer finds out at once
        answers = [await status(client), await observe(client, {}), await observe(client, {"gpc": True})]
    for answer in answers:
        assert shown(answer) == ("opted_out", None)
        assert (answer.json()["strings"]["us_privacy"], answer.json()["strings"]["rdp"]) == ("1YYN", 1)


async def test_an_app_of_ads_is_told_from_when_a_purpose_may_be_asked_about_again(client):
    """Null: the person never opted out of it."""
    assert set((await status(client)).json()["may_ask_from"].values()) == {None}
    limited = await client.post("/privacy-choices", data={"action": "limit"})
    told = (await status(client, cookie=f"__Host-gateway={value_of(limited)}")).json()["may_ask_from"]
    assert datetime.fromisoformat(told["sensitive"]) > datetime.now(UTC) + timedelta(days=364)
    assert (told["sale"], set(told)) == (None, {*ALL_PURPOSES})


@pytest.mark.parametrize("path", [STATUS, OBSERVE])
async def test_whoever_sends_somebodys_cookie_id_is_not_told_when_they_opted_out(tmp_path, path):
    """R6, R16. A site's own ids anybody can send: they hold the page back, and tell nothing of the past."""
    clock = [datetime(2026, 6, 1, 12, tzinfo=UTC)]

    async def asks(calling, **headers):
        told = calling.get(path, headers=headers) if path == STATUS else calling.post(path, json={}, headers=headers)
        return (await told).json()

    configured = inside.settings(browser__site_ids="uid")
    async with (
        inside.application(tmp_path / "data", configured, clock=lambda: clock[0]) as app,
        inside.client(app, **inside.DEV) as desk,
        inside.client(app) as calling,
    ):
        theirs = {"type": "cookie", "source": "uid", "value": "u-7"}
        out = {"identifiers": [theirs], "choice": "opt_out", "purposes": ["sale"]}
        assert (await desk.post("/v1/choices", json=out)).status_code == 201
        own = value_of(await calling.post("/privacy-choices", data={"action": "limit"}))
        older = value_of(await calling.post("/privacy-choices", data={"action": "opt_out"}))
        clock[0] += timedelta(days=100)
        year_on = clock[0].replace(year=clock[0].year + 1)
        told = await asks(calling, Cookie="uid=u-7")
        assert (told["status"], datetime.fromisoformat(told["may_ask_from"]["sale"])) == ("opted_out", year_on)
        assert told["may_ask_from"]["sensitive"] is None
        beside = (await asks(calling, Cookie=f"uid=u-7; __Host-gateway={own}"))["may_ask_from"]
        assert datetime.fromisoformat(beside["sale"]) == year_on
        assert datetime.fromisoformat(beside["sensitive"]) == year_on - timedelta(days=100)  # their own browser's
        later = (await asks(calling, Cookie=f"uid=u-7; __Host-gateway={older}"))["may_ask_from"]
        assert datetime.fromisoformat(later["sale"]) == year_on, "the later of both: who said no again is not asked"


async def test_a_page_that_knows_no_cache_and_one_that_does_remember_alike(client, keyed, known):
    """A page from a cache never reaches the middleware: the script's question is all that is heard (I12)."""
    before = await entries(client)
    for _ in range(2):
        await status(client, cookie=known, **GPC)
    assert await entries(client) == before + 1
    assert await reason(keyed, known.partition("=")[2]) == "opted_out"


async def test_what_a_first_answer_set_in_a_cookie_is_on_record_from_the_second_one_on(client, keyed):
    sealed = value_of(await status(client, cookie="usprivacy=1YYN"))
    assert await reason(keyed, sealed) != "opted_out"
    await status(client, cookie=f"__Host-gateway={sealed}")
    assert await reason(keyed, sealed) == "opted_out"


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize(
    ("headers", "signal"), [(GPC, True), ({}, False), ({"Cookie": "usprivacy=1YYN"}, False)], ids=repr
)
async def test_only_a_signal_that_is_honored_makes_a_visit_frictionless_where_the_site_says_so(
    house, folder, mode, headers, signal
):
    """11 CCR 7025(f) is about the signal, not about other opt-outs."""
    visitors, metrics = Visitors(house.consent), Metrics()
    visits = Visits(house.consent, visitors, metrics)
    door = Status(house.consent, visitors, metrics, visits, folder=folder, origins=(), frictionless=mode)
    async with inside.client(Starlette(routes=[Route(STATUS, door.show)])) as client:
        assert (await status(client, **headers)).json()["frictionless"] is (mode and signal)


# --- what only script sees -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [{"gpc": True}, {"gpc": 1}, {"gpc": "1"}, {"us_privacy": "1YYN"}, {"us_privacy": "1yyn"}, {"gpp": OUT},
     {"gpp": OUT, "gpp_sid": [8]}, {"gpp": YES, "us_privacy": "1YYN"}, {"gpc": True, "unknown": {}, "gpp": 7}],
    ids=repr,
)  # fmt: skip
async def test_a_page_whose_script_sees_a_no_remembers_it_like_the_header(client, keyed, known, said):
    before = await entries(client)
    stranger = await observe(client, said)
    assert shown(stranger) == OPTED_OUT
    assert await entries(client) == before  # a client without our cookie never writes
    sealed = value_of(stranger)
    assert shown(await status(client, cookie=f"__Host-gateway={sealed}")) == OPTED_OUT
    for cookie, value in ((f"__Host-gateway={sealed}", sealed), (known, known.partition("=")[2])):
        for _ in range(3):
            await observe(client, said, cookie=cookie)
        assert await reason(keyed, value) == "opted_out"
    assert await entries(client) == before + 2


@pytest.mark.parametrize("said", [{}, {"gpc": False}, {"gpc": None}, {"gpc": "0"}, {"gpp": YES}, {"gpp": ""},
                                  {"us_privacy": "1YNN"}, {"us_privacy": "1---"}, {"unknown": True}], ids=repr)  # fmt: skip
async def test_a_script_that_sees_nothing_writes_nothing(client, keyed, known, said):
    before = await entries(client)
    for cookie in ("", known):
        answer = await observe(client, said, cookie=cookie)
        assert (shown(answer), answer.json()["gpc"]) == (NOT_OPTED_OUT, False)
    assert await entries(client) == before
    assert await reason(keyed, known.partition("=")[2]) != "opted_out"


@pytest.mark.parametrize("said", [{"gpc": False}, {"gpp": YES}, {"us_privacy": "1YNN"}, {"tc": "", "gdpr": 0},
                                  {"gpc": False, "gpp": YES, "gpp_sid": [8], "us_privacy": "1YNN"}], ids=repr)  # fmt: skip
async def test_a_script_can_only_tighten(client, keyed, known, said):
    await observe(client, {"gpc": True}, cookie=known)
    before = await entries(client)
    assert shown(await observe(client, said, cookie=known)) == OPTED_OUT
    assert shown(await observe(client, said, **GPC)) == OPTED_OUT  # beside the header
    assert shown(await observe(client, said, cookie="usprivacy=1YYN")) == OPTED_OUT
    assert await reason(keyed, known.partition("=")[2]) == "opted_out"
    assert await entries(client) == before


@pytest.mark.parametrize(
    ("header", "script"), [({}, {"gpc": True}), (GPC, {}), (GPC, {"gpc": False}), (GPC, {"gpc": True})], ids=repr
)
async def test_header_or_script_alone_is_enough(client, header, script):
    answer = await observe(client, script, **header)
    assert (shown(answer), answer.json()["gpc"]) == (OPTED_OUT, True)


async def test_what_the_script_saw_reaches_the_account_of_a_signed_in_person(client, keyed, signed):
    await keyed.post("/v1/links", json={"account": "a1", "identifiers": [named("gaid", GAID)]})
    await observe(client, {"gpc": True}, Gateway_Account=signed)
    body = {"identifiers": [named("gaid", GAID)], "recipient": "teemo", "place": "US-CA"}
    assert (await keyed.post("/v1/check", json=body)).json()["reason"] == "opted_out"


@pytest.mark.parametrize("member", ["cookies", "lmt", "att", "dnt", "stored"])
async def test_what_the_request_and_the_app_say_a_script_is_not_asked_for(client, member):
    said = {"cookies": "usprivacy=1YYN", "lmt": 1, "att": 2, "dnt": 1, "stored": {"gad_rdp": 1}}[member]
    assert shown(await observe(client, {member: said})) == NOT_OPTED_OUT


@pytest.mark.parametrize(
    ("channel", "said"),
    [("gpc", "yes"), ("gpc", {}), ("gpp", 7), ("gpp", "rubbish"), ("us_privacy", []), ("gpp_sid", {}),
     ("adchoices", "*"), ("tc", "C"), ("ac", "9~")],
)  # fmt: skip
async def test_what_a_script_says_unreadably_is_counted_and_costs_the_rest_nothing(client, channel, said):
    assert shown(await observe(client, {channel: said})) == NOT_OPTED_OUT
    assert f'malformed_signals_total{{channel="{channel}"' in (await client.get("/metrics")).text
    beside = {"gpc": True} if channel == "us_privacy" else {"us_privacy": "1YYN"}
    assert shown(await observe(client, beside | {channel: said})) == OPTED_OUT


async def test_the_counters_tell_the_script_from_the_header(client):
    await observe(client, {"gpc": True}, **GPC)
    await status(client, **GPC)
    text = (await client.get("/metrics")).text
    assert 'gateway_signals_total{channel="script",kind="gpc"} 1.0' in text
    assert 'gateway_signals_total{channel="status",kind="gpc"} 1.0' in text


# --- who may say it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({}, True),  # no browser
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://127.0.0.1:8080"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, False),
    ],
    ids=repr,
)
async def test_another_site_cannot_speak_for_a_visitor(client, known, headers, taken):
    before = await entries(client)
    answer = await client.post(OBSERVE, json={"gpc": True}, headers={**headers, "Cookie": known})
    assert answer.status_code == (200 if taken else 403)
    assert (await entries(client) > before) is taken
    if not taken:
        assert answer.json()["type"].endswith(":cross_site")
        assert "set-cookie" not in answer.headers


async def test_the_operators_other_site_may_tell(tmp_path):
    configured = inside.settings(site__origins="https://www.example.com")
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as client:
        headers = {"Origin": "https://www.example.com", "Sec-Fetch-Site": "same-site"}
        assert (await client.post(OBSERVE, json={"gpc": True}, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("media", "taken"),
    [("application/json", True), ("Application/JSON; charset=utf-8", True), ("text/plain", False),
     ("application/x-www-form-urlencoded", False), ("multipart/form-data; boundary=x", False),
     ("application/x-ndjson", False)],
)  # fmt: skip
async def test_a_form_that_any_site_can_send_is_no_observation(client, known, media, taken):
    before = await entries(client)
    headers = {"Content-Type": media, "Cookie": known}
    answer = await client.post(OBSERVE, content=b'{"gpc":true}', headers=headers)
    assert answer.status_code == (200 if taken else 415)
    assert (await entries(client) > before) is taken


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", 400), (b"{", 400), (b"[]", 400), (b"null", 400), (b'"gpc"', 400), (b"\xff", 400), (b"[" * 3000, 400),
     (b'{"gpp":"' + b"A" * 40_000 + b'"}', 413)],
    ids=lambda value: repr(value)[:12],
)  # fmt: skip
async def test_a_body_that_is_no_observation_is_refused_and_writes_nothing(client, known, body, code):
    before = await entries(client)
    answer = await client.post(OBSERVE, content=body, headers={"Content-Type": "application/json", "Cookie": known})
    assert (answer.status_code, answer.headers["content-type"]) == (code, "application/problem+json")
    assert await entries(client) == before


async def test_an_observation_needs_no_key_and_a_wrong_key_does_no_harm(client):
    answer = await client.post(OBSERVE, json={"gpc": True}, headers={"Authorization": "Bearer nobody.nothing"})
    assert shown(answer) == OPTED_OUT
    assert (await client.get(OBSERVE)).status_code == 405


async def test_what_was_observed_stands_in_the_ledger_under_its_own_source(client, known, tmp_path):
    await observe(client, {"gpp": OUT}, cookie=known)
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite3")) as db:
        (body,) = db.execute("SELECT body FROM entry ORDER BY seq DESC").fetchone()
    leaf = json.loads(body)
    assert (leaf["e"], leaf["src"], leaf["p"]) == ("opt_out", "gpp", ["sale", "sharing", "targeted_ads"])
    assert "n" not in leaf


async def test_a_script_is_told_what_to_enforce_only_where_the_site_enforces(tmp_path):
    configured = inside.settings(site__enforce="true", site__service_workers="/sw.js,/push/worker.js")
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as client:
        for headers, now in (({}, False), ({"Sec-GPC": "1"}, True)):
            told = (await client.get("/privacy-choices/status", headers=headers)).json()["enforced"]
            assert told["policy"].startswith("default-src 'self'")
            assert (told["now"], told["service_workers"]) == (now, ["/sw.js", "/push/worker.js"])
    async with inside.application(tmp_path / "other") as app, inside.client(app) as client:
        assert "enforced" not in (await client.get("/privacy-choices/status", headers={"Sec-GPC": "1"})).json()
