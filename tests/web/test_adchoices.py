"""The DAA's participant endpoints: an opt-out in its tools is kept, and nobody is led anywhere else."""

import asyncio
import hashlib
import json
import string
import tomllib
from dataclasses import fields, replace
from importlib import resources
from urllib.parse import quote, urlencode

import httpx2
import msgspec
import pytest
import time_machine
from starlette.applications import Starlette
from starlette.routing import Route
from support import inside
from support.people import GAID, ZERO, email, named

from gateway.keys import seals
from gateway.keys.seals import BrowserCookie
from gateway.ledger.errors import StoreUnavailable
from gateway.settings.load import SettingsRefused
from gateway.signals import cookies, industry_cookies
from gateway.terms import AD_CHOICE_PURPOSES, ALL_PURPOSES, SIGNAL_PURPOSES
from gateway.web.pages.adchoices import AdChoices, AdChoicesOptions
from gateway.web.shell import problem
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.visitor import Visitors

pytestmark = pytest.mark.anyio
DAA = "https://optout.aboutads.info"
OTHER_DAA = "https://www.aboutads.info"
OURS = 7
BROWSER = bytes(range(16))
OUT = {purpose: "opted_out" if purpose in SIGNAL_PURPOSES else "none" for purpose in ALL_PURPOSES}
NONE = dict.fromkeys(ALL_PURPOSES, "none")


class Browser:
    """A browser in the DAA's page: it keeps the cookies that it is given, but those that it `drops`."""

    def __init__(self, app, drops=(), **kept) -> None:
        self._app = app
        self._drops = drops
        self.kept = dict(kept)

    async def get(self, path, *, referer=f"{DAA}/choices", method="GET", content=b"", kind=None):
        headers = {"Referer": referer, "Cookie": "; ".join(f"{name}={value}" for name, value in self.kept.items())}
        headers |= {"Content-Type": kind} if kind else {}
        transport = httpx2.ASGITransport(app=self._app)
        async with httpx2.AsyncClient(transport=transport, base_url="https://ads.example.com") as client:
            answer = await client.request(method, path, headers=headers, content=content)
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if "Max-Age=0;" in line:
                self.kept.pop(name, None)
            elif name not in self._drops:
                self.kept[name] = value
        return answer

    async def asks(self, action, rd=DAA, **more):
        query = {"action_id": action, "participant_id": OURS, "rd": rd, "nocache": "4711", **more}
        return await self.get(f"/adchoices?{urlencode(query)}")

    async def token(self, rd=DAA):
        return location(await self.asks(3, rd)).rpartition("/")[2]

    async def opts_out(self, token, rd=DAA):
        """Where an opt-out leads in the end."""
        answer = await self.asks(4, rd, token=token)
        if location(answer).startswith("/adchoices/verify?"):
            answer = await self.get(location(answer))
        return location(answer)


def location(answer):
    assert answer.status_code == 302, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.headers["location"]


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def served(house, metrics):
    """Makes the application of an operator who configured `changed`."""
    configured = AdChoicesOptions(**msgspec.structs.asdict(inside.settings().ad_choices))

    def make(**changed):
        options = replace(configured, **{"participant": OURS, "iba_cookies": ("uid",), **changed})
        doors = AdChoices(house.consent, Visitors(house.consent), metrics, options)
        routes = [
            Route("/adchoices", doors.ask),
            Route("/adchoices/verify", doors.verify),
            Route("/adchoices/pr.png", doors.token, methods=["GET", "POST"]),
            Route("/adchoices/app", doors.app, methods=["GET", "POST"]),
        ]
        return Starlette(routes=routes, exception_handlers=dict.fromkeys(problem.HANDLED, problem.handle_problem))

    return make


@pytest.fixture
def ads(served):
    return served()


@pytest.fixture
def known(house):
    """The sealed cookie of a browser that the gateway knows."""
    return seals.seal_cookie(house.consent.secrets.seals, BrowserCookie(BROWSER, 1, frozenset()))


@pytest.fixture
def standing(house):
    def of(*identifiers):
        people = house.consent.people
        subjects = people.name(identifiers).subjects if identifiers else [people.browser(BROWSER.hex())]
        return house.consent.checks.read_back(subjects, ALL_PURPOSES)

    return of


async def said(house):
    """The purposes that the last entry of the ledger names: an opt-out denies more than these (R3, R25)."""
    sql = "SELECT body FROM entry ORDER BY seq DESC LIMIT 1"
    [(body,)] = await house.writer.commit(lambda tx: tx.db.execute(sql).fetchall())
    return json.loads(body)["p"]


# --- WebChoices ----------------------------------------------------------------------------------------------------


async def test_a_person_who_opts_out_in_the_daas_tool_is_told_success_and_stays_opted_out(ads):
    browser = Browser(ads, uid="4711")
    assert location(await browser.asks(3)).startswith(f"{DAA}/token/7/2-0/")
    assert await browser.opts_out(await browser.token()) == f"{DAA}/finish/7/4/1-0/opted_out"
    assert browser.kept == {"ad_choices_optout": "1"}
    assert location(await browser.asks(3)).startswith(f"{DAA}/token/7/3-0/")


@pytest.mark.parametrize(
    ("kept", "status"),
    [({}, "1-0"), ({"other": "1"}, "1-0"), ({"uid": "x"}, "2-0"), ({"ad_choices_optout": "1", "uid": "x"}, "3-0"),
     ({"ad_choices_optout": "0"}, "1-0")],
    ids=str,
)  # fmt: skip
async def test_a_person_sees_in_the_tool_whether_they_are_targeted_here(ads, kept, status):
    assert location(await Browser(ads, **kept).asks(3)).startswith(f"{DAA}/token/7/{status}/")


async def test_success_is_said_only_of_a_cookie_that_came_back(ads, known, standing):
    browser = Browser(ads, drops=["ad_choices_optout"], **{"__Host-gateway": known})
    assert await browser.opts_out(await browser.token()) == f"{DAA}/finish/7/4/2-0/cookie_not_kept"
    assert standing() == OUT


async def test_an_opt_out_reaches_the_ledger_where_the_browser_is_known(ads, known, standing, house):
    browser = Browser(ads, **{"__Host-gateway": known})
    await browser.opts_out(await browser.token())
    assert standing() == OUT
    assert await said(house) == [*AD_CHOICE_PURPOSES]
    written = house.consent.checks.position()
    stranger = Browser(ads)
    await stranger.opts_out(await stranger.token())
    assert house.consent.checks.position() == written


async def test_the_opt_out_cookie_is_generic_asks_for_five_years_and_travels_to_third_parties(served):
    browser = Browser(served(cookie_domain="ads.example.com"))
    answer = await browser.asks(4, token=await browser.token())
    optout, alone, shared, bound = answer.headers.get_list("set-cookie")
    attributes = "Path=/; Secure; HttpOnly; SameSite=None"
    assert optout == f"ad_choices_optout=1; Max-Age=157852800; {attributes}; Domain=ads.example.com"
    assert (alone, shared) == (
        f"uid=; Max-Age=0; {attributes}",
        f"uid=; Max-Age=0; {attributes}; Domain=ads.example.com",
    )
    assert bound == f"__Host-adchoices=; Max-Age=0; {attributes}"


async def test_the_cookie_that_binds_a_token_ends_with_the_session_and_stays_on_this_host(ads):
    (line,) = (await Browser(ads).asks(3)).headers.get_list("set-cookie")
    assert line.startswith("__Host-adchoices=")
    assert line.endswith("; Path=/; Secure; HttpOnly; SameSite=None")
    assert "Max-Age" not in line


async def test_every_server_of_the_operator_hears_the_opt_out_cookie():
    table = industry_cookies.table(
        tomllib.loads((resources.files("gateway.signals") / "industry_cookies.toml").read_text())
    )
    jar, _ = cookies.parse_cookies([f"{inside.settings().ad_choices.cookie}=1".encode()])
    assert industry_cookies.read_industry_cookies(jar, table)


async def test_while_the_store_is_away_the_cookie_is_set_and_success_is_not_said(ads, house):
    browser = Browser(ads)
    token = await browser.token()
    await asyncio.to_thread(house.writer.close)
    assert await browser.opts_out(token) == f"{DAA}/finish/7/4/2-0/not_kept"
    assert browser.kept["ad_choices_optout"] == "1"


async def test_session_trust_sets_a_cookie_and_leads_nowhere(ads):
    answer = await Browser(ads).asks(5)
    assert (answer.status_code, answer.content, "location" in answer.headers) == (200, b"", False)
    assert answer.headers["set-cookie"] == "FPtrust=1; Path=/; Secure; HttpOnly; SameSite=None"


# --- the token -----------------------------------------------------------------------------------------------------

MISMATCH = "/finish/7/4/3-0/token"


async def test_a_token_is_good_for_one_opt_out_however_it_is_spelled(ads, metrics):
    browser = Browser(ads)
    token = await browser.token()
    bound = browser.kept["__Host-adchoices"]
    assert "/1-0/" in await browser.opts_out(token)
    for last in string.ascii_letters + string.digits + "-_":  # base64 spells the end of a signature in several ways
        browser.kept["__Host-adchoices"] = bound
        assert await browser.opts_out(token[:-1] + last) == DAA + MISMATCH
    assert 'gateway_forms_refused_total{why="token"} 64.0' in metrics.text().decode()


async def test_a_token_of_another_browser_is_refused_and_nothing_is_set(ads, known, standing):
    token = await Browser(ads).token()
    for victim in (Browser(ads, **{"__Host-gateway": known}), Browser(ads)):
        await victim.token()
        before = dict(victim.kept)
        assert await victim.opts_out(token) == DAA + MISMATCH
        assert victim.kept == before
    assert standing() == NONE


async def test_a_token_for_one_way_back_or_participant_is_none_for_another(ads, served):
    browser = Browser(ads)
    token = await browser.token()
    assert await browser.opts_out(token, OTHER_DAA) == OTHER_DAA + MISMATCH
    elsewhere = Browser(served(participant=8), **browser.kept)
    assert location(await elsewhere.asks(4, participant_id=8, token=token)) == f"{DAA}/finish/8/4/3-0/token"


async def test_two_open_pages_of_the_tool_do_not_end_each_others_token(ads):
    browser = Browser(ads)
    first, _ = await browser.token(), await browser.token()
    assert "/1-0/" in await browser.opts_out(first)


async def test_a_token_is_over_after_ten_minutes(ads):
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        browser = Browser(ads)
        token = await browser.token()
        clock.shift(601)
        assert await browser.opts_out(token) == DAA + MISMATCH


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "é", "\x00", "A" * 5000, "null", "../../x"], ids=lambda text: text[:9]
)
async def test_a_token_that_is_not_ours_leads_back_as_a_mismatch(ads, token):
    browser = Browser(ads)
    await browser.token()
    assert await browser.opts_out(token) == DAA + MISMATCH


async def test_without_a_token_an_opt_out_leads_back_as_a_mismatch(ads):
    assert location(await Browser(ads).asks(4)) == DAA + MISMATCH


async def test_a_check_of_our_own_is_no_token_and_a_token_is_no_check(ads):
    browser = Browser(ads)
    check = location(await browser.asks(4, token=await browser.token())).partition("check=")[2]
    assert await browser.opts_out(check) == DAA + MISMATCH
    assert (await browser.get(f"/adchoices/verify?check={await browser.token()}")).status_code == 400


# --- the way back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", [DAA, "http://optout.aboutads.info", "optout.aboutads.info"])
async def test_the_way_back_is_https_however_the_tool_names_its_host(ads, spelling):
    browser = Browser(ads)
    assert location(await browser.asks(3, spelling)).startswith(f"{DAA}/token/")
    assert await browser.opts_out(await browser.token(spelling), spelling) == f"{DAA}/finish/7/4/1-0/opted_out"


ELSEWHERE = [
    "https://evil.example",
    "//evil.example",
    "https://optout.aboutads.info@evil.example",
    "https://optout.aboutads.info:pass@evil.example",
    "https://evil.example#https://optout.aboutads.info",
    "https://evil.example?optout.aboutads.info",
    "https://optout.aboutads.info.evil.example",
    "https://optout.aboutads.infoevil.example",
    "https://eviloptout.aboutads.info",
    "https://optout.aboutads.info\\@evil.example",
    "https:\\\\optout.aboutads.info",
    "https:/optout.aboutads.info",
    "https:optout.aboutads.info",
    "https:///optout.aboutads.info",
    "https://optout.aboutads.info:443",
    "https://optout.aboutads.info:8443",
    "https://optout.aboutads.info.",
    "https://optout.aboutads.info/",
    "https://optout.aboutads.info/..//evil.example",
    "HTTPS://OPTOUT.ABOUTADS.INFO",
    "https://Optout.aboutads.info",
    "https://optout.about\u00e0ds.info",
    "https://\u043eptout.aboutads.info",
    "https://xn--ptout-qve.aboutads.info",
    "https://optout\u3002aboutads.info",
    quote(DAA, safe=""),
    quote(quote(DAA, safe=""), safe=""),
    " https://optout.aboutads.info",
    "https://optout.aboutads.info\r\nSet-Cookie: a=b",
    "https://optout.aboutads.info\x00",
    "https://optout.aboutads.info\t",
    "javascript:alert(1)",
    "ftp://optout.aboutads.info",
    "https://aboutads.info",
    "/",
    "",
    "x" * 20_000,
]


@pytest.mark.parametrize("rd", ELSEWHERE, ids=lambda text: ascii(text)[:60])
@pytest.mark.parametrize("action", [3, 4])
async def test_nobody_is_led_to_a_place_that_is_not_configured(ads, action, rd):
    browser = Browser(ads)
    answer = await browser.asks(action, rd, token=await browser.token())
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (400, "malformed")
    assert "location" not in answer.headers
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    "referer",
    [
        "",
        "https://evil.example/",
        "http://optout.aboutads.info/",
        "https://optout.aboutads.info.evil.example/",
        "https://optout.aboutads.info@evil.example/",
        "https://evil.example/https://optout.aboutads.info/",
        "https://OPTOUT.aboutads.info/",
        "https://optout.aboutads.info:444/",
        "https://optout.aboutads.info",
    ],
)
async def test_only_the_daas_own_pages_may_ask(ads, metrics, referer):
    query = urlencode({"action_id": 3, "participant_id": OURS, "rd": DAA})
    answer = await Browser(ads).get(f"/adchoices?{query}", referer=referer)
    assert answer.status_code == 403
    assert 'gateway_forms_refused_total{why="cross_site"} 1.0' in metrics.text().decode()


@pytest.mark.parametrize(
    "query",
    [
        "",
        "action_id=3",
        f"action_id=3&participant_id=7&rd={DAA}&rd=https://evil.example",
        f"action_id=3&participant_id=8&rd={DAA}",
        f"action_id=3&participant_id=07&rd={DAA}",
        f"action_id=3&participant_id=7%2F..%2F..&rd={DAA}",
        f"action_id=3&participant_id=7&participant_id=7&rd={DAA}",
        f"action_id=2&participant_id=7&rd={DAA}",
        f"action_id=&participant_id=7&rd={DAA}",
        f"action_id=%FF&participant_id=7&rd={DAA}",
        f"action_id=3&action_id=4&participant_id=7&rd={DAA}",
        "action_id=4&participant_id=7&token=x",
        "%00=%00&;;&=&&",
    ],
)
async def test_hostile_parameters_are_the_callers_fault(ads, query):
    answer = await Browser(ads).get(f"/adchoices?{query}")
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize("query", ["", "check=", "check=x", "check=a.b.c", "check=%00", "check=x&check=x"])
async def test_a_look_that_no_opt_out_led_to_is_refused(ads, query):
    assert (await Browser(ads, ad_choices_optout="1").get(f"/adchoices/verify?{query}")).status_code == 400


async def test_a_way_back_that_is_no_longer_configured_is_closed_at_once(ads, served):
    browser = Browser(ads)
    verify = location(await browser.asks(4, token=await browser.token()))
    changed = Browser(served(redirect_hosts=("www.aboutads.info",)), **browser.kept)
    assert (await changed.get(verify)).status_code == 400


# --- TokenChoices, AppChoices --------------------------------------------------------------------------------------

MAIL = email(1)
DIGESTS = {name: getattr(hashlib, name)(MAIL.encode()).hexdigest() for name in ("md5", "sha1", "sha256", "sha512")}
TOKENS = "/adchoices/pr.png"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@pytest.fixture
def tool(ads):
    """A call of the DAA's server, which has no page and no cookie."""

    async def call(query, path=TOKENS, content=None, kind=JSON):
        method = "GET" if content is None else "POST"
        url = f"{path}?{query if isinstance(query, str) else urlencode(query)}"
        return await Browser(ads).get(url, referer="", method=method, content=content or b"", kind=kind)

    return call


@pytest.mark.parametrize("names", [["md5"], ["sha1"], ["sha256"], list(DIGESTS)], ids=str)
async def test_a_person_who_opts_an_address_out_is_opted_out_whatever_hash_the_tool_sent(tool, standing, names):
    sent = {name: DIGESTS[name] for name in names}
    answer = await tool({"action": "opt-out", "idt": "email", **sent, "pref": "null"})
    assert (answer.status_code, answer.json()) == (200, {"taken": True})
    (kind,) = {f"email_{names[-1]}"} if len(names) == 1 else {"email_sha256"}
    assert standing(named(kind, DIGESTS[kind.removeprefix("email_")])) == OUT
    assert standing(named("email", email(2))) == NONE


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"sha256": "%s", "pref": null}' % DIGESTS["sha256"].encode(), JSON),
        (b'{"sha256": "%s"}' % DIGESTS["sha256"].encode(), "text/plain"),
        (urlencode({"sha256": DIGESTS["sha256"], "pref": "null"}).encode(), FORM),
    ],
    ids=["json", "json without its type", "form"],
)
async def test_a_posted_request_is_taken_too(tool, standing, content, kind):
    assert (await tool("action=opt-out&idt=email", content=content, kind=kind)).status_code == 200
    assert standing(named("email", MAIL)) == OUT


async def test_a_wish_to_limit_a_category_is_an_opt_out_and_a_wish_to_allow_is_nothing(tool, standing, house):
    asked = {"action": "prefString", "idt": "email", "sha256": DIGESTS["sha256"]}
    before = house.consent.checks.position()
    assert (await tool({**asked, "pref": "11-"})).status_code == 200
    assert house.consent.checks.position() == before
    assert (await tool({**asked, "pref": "110"})).status_code == 200
    assert standing(named("email", MAIL)) == OUT
    assert (await tool({**asked, "pref": "111"})).status_code == 200
    assert standing(named("email", MAIL)) == OUT


async def test_an_app_users_advertising_id_is_opted_out(tool, standing):
    assert (await tool({"os": "android", "adid": GAID}, "/adchoices/app")).status_code == 200
    assert standing(named("gaid", GAID)) == OUT


async def test_a_withheld_id_is_taken_and_nothing_is_written_for_everybody_who_has_it(tool, house):
    before = house.consent.checks.position()
    assert (await tool({"os": "ios", "adid": ZERO}, "/adchoices/app")).status_code == 200
    assert house.consent.checks.position() == before


@pytest.mark.parametrize(
    ("query", "content", "kind", "status"),
    [
        ("", None, None, 400),
        ("action=opt-in&idt=email&md5=x", None, None, 400),
        ("action=opt-out&idt=email", None, None, 400),
        ("action=opt-out&idt=email&md5=%25md5-ID", None, None, 400),
        ("action=opt-out&idt=email&md5=x", None, None, 422),
        ("action=opt-out&idt=email&sha256=" + "%F0%9F%98%80" * 32, None, None, 422),
        ("action=opt-out&idt=email", b"[]", JSON, 400),
        ("action=opt-out&idt=email", b"{", JSON, 400),
        ("action=opt-out&idt=email", b"\xff", JSON, 400),
        ("action=opt-out&idt=email", b'{"md5": {"md5": 1}}', JSON, 400),
        ("action=opt-out&idt=email", b"\xff&&=;", FORM, 400),
        ("action=opt-out&idt=email", b" " * 17_000, JSON, 413),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_a_request_that_cannot_be_taken_is_refused_plainly(tool, query, content, kind, status):
    assert (await tool(query, content=content, kind=kind)).status_code == status


async def test_while_nothing_can_be_kept_the_tool_is_told_to_come_again(tool, house, monkeypatch):
    async def full(*_):
        raise StoreUnavailable("the disk is full")

    await asyncio.to_thread(house.writer.close)
    assert (await tool({"action": "opt-out", "idt": "email", **DIGESTS})).status_code == 200, "it is kept beside"
    monkeypatch.setattr(house.consent.emergency, "keep_beside", full)
    answer = await tool({"action": "opt-out", "idt": "email", **DIGESTS})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_the_doors_options_are_those_of_the_settings():
    assert tuple(field.name for field in fields(AdChoicesOptions)) == inside.settings().ad_choices.__struct_fields__
    assert inside.settings().ad_choices.participant == 0


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("participant", "4096"),
        ("purposes", "targeted_ads"),
        ("purposes", "targeted_ads,sharing,profiling"),
        ("redirect_hosts", "https://optout.aboutads.info"),
        ("redirect_hosts", "optout.aboutads.info,optout.aboutads.info@evil.example"),
        ("referers", "OPTOUT.aboutads.info"),
        ("cookie", "uid"),
        ("cookie", "optout=1; a"),
        ("cookie_domain", ".example.com"),
        ("iba_cookies", "uid;x"),
    ],
)
def test_a_slip_in_the_settings_refuses_to_start(option, text):
    with pytest.raises(SettingsRefused, match=f"GATEWAY_AD_CHOICES__{option.upper()}: "):
        inside.settings(**{f"ad_choices__{option}": text})


def test_an_operator_may_let_an_industry_opt_out_stop_sale():
    assert len(inside.settings(ad_choices__purposes="sale,targeted_ads,sharing").ad_choices.purposes) == 3
