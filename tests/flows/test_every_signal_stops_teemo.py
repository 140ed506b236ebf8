"""Through the running service: each tool's opt-out cookie and each string stops a Teemo row of that browser (R25).

Twice each: said beside a check, it denies that check; said by a browser on its visits, it stops the share of a row that
names the browser and carries no signal at all. Beside every case stands its control, which goes.
"""

import base64
import itertools
import json
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from support import inside
from support.adchoices import write_adchoices
from support.people import gaid, named
from support.signals import TC_CONSENT, TC_NOT_PRECISE

from gateway.choice.downstream import Outcome, strings
from gateway.keys import seals, secret_files
from gateway.keys.seals import BrowserCookie
from gateway.signals import gpp
from gateway.signals.cmp_cookies import EXACT, PREFIXES, forms
from gateway.terms import SIGNAL_PURPOSES

pytestmark = pytest.mark.anyio
HARMLESS = "theme=dark"
GPP = strings(Outcome(frozenset(SIGNAL_PURPOSES), frozenset({"US-CA"}))).gpp
TEXTS = {"us_privacy": "1YYN", "gpp": GPP, "tc": "CPzvOIAPzvOIAAAAAAENBdCAAAAAAAAAAAAAAAAAAAAA.IAAA", "ac": "1~"}
REASONS = {"us_privacy": "us_privacy", "gpp": "gpp", "tc": "tcf", "ac": "additional_consent"}
ADCHOICES = write_adchoices(1_764_000_000, preference=0)
# Purposes that the site numbers itself; the operator names them.
CONFIG = '[consent_tools]\ntypo3 = {group-2 = "ads"}\nconsentmanager = {3 = "sale"}\n'
# Ids and ciphertexts, which nobody but the tool's own server can read: their presence is no opt-out.
OPAQUE = {
    "osano_consentmanager", "osano_consentmanager_uuid", "consentUUID", "ccpaUUID", "usnatUUID", "_sp_su", "_swb",
    "_swb_consent_", "_cmpRepromptHash", "__cmpcvc", "__cmpccc",
}  # fmt: skip


def uri(value) -> str:
    return quote(json.dumps(value, separators=(",", ":")))


def packed(value) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


# A person's act in each tool's own form: it reaches the account too.
ACTS = [
    "OptanonConsent=isGpcEnabled=0&groups=C0001%3A1%2CSPD_BG%3A0",
    "OptanonConsent=isGpcEnabled=1&browserGpcFlag=1&groups=C0001%3A1%2CC0004%3A1",
    "OptanonConsent=isGpcEnabled=0&groups=C0001%3A1%2CSSPD_BG%3A0",
    "OptanonConsent=isGpcEnabled=0&browserGpcFlag=1&groups=C0001%3A1",
    "OptanonConsent=groups=C0001%3A1%2CC0004%3A0; OptanonAlertBoxClosed=2026-11-24T07:10:02.201Z",
    "OneTrustWPCCPAGoogleOptOut=true",
    "notice_preferences=0:; notice_behavior=implied,us",
    "notice_gdpr_prefs=0::implied,us",
    "cmapi_cookie_privacy=permit 1,2; notice_behavior=implied,us",
    "gpcishonored=true",
    "CookieConsent={necessary:true%2Cmarketing:false%2Cmethod:%27explicit%27}",
    "cookieyes-consent=consent:no,action:yes,necessary:yes,advertisement:no",
    r'cookieyes-consent="consent:no\054action:yes\054advertisement:no"',
    "cmplz_marketing=deny; cmplz_banner-status=dismissed",
    f"didomi_token={packed({'purposes': {'enabled': ['cookies'], 'disabled': ['data_sharing']}})}",
    f"didomi_token={packed({'purposes': {'disabled': ['advertising']}})}",
    f"uc_settings={uri({'services': [{'id': 'marketing', 'status': False}]})}; uc_user_interaction=true",
    f"fides_consent={uri({'consent': {'data_sales_and_sharing': False}, 'fides_meta': {'consentMethod': 'reject'}})}",
    "c15t=c.necessary:1,c.functionality:1,i.t:1764000000000",
    f"privacy-consent-storage={uri({'consents': {'necessary': True}})}",
    f"klaro={uri({'session': True, 'marketing': False})}",
    f"cc_cookie={uri({'categories': ['necessary'], 'services': {'necessary': [], 'ads': []}})}",
    "gpcsignal=true",
    f"tcm={uri({'purposes': {'SaleOfInfo': False}, 'confirmed': True})}",
    f"tcmConsent={uri({'purposes': {'SaleOfInfo': 'Auto', 'Advertising': False}, 'confirmed': True})}",
    f"_iub_cs-1234-uspr={uri({'s': False, 'sh': True, 'adv': True})}",
    "tarteaucitron=!gtag=true!facebookpixel=false",
    "_tracking_consent=3s.AMP_USCA_f_t_AAAA",
    f"_tracking_consent={uri({'con': {'CMP': {'a': '1', 'm': '1', 's': '0'}}, 'v': '2.1'})}",
    f"_cmp_a={uri({'con': {'CMP': {'m': '0', 's': ''}}})}",
    "omCookieConsent=group-1.1,dismiss",
]
# Off, and nobody can tell by whom: the browser's own state, which no account gets.
STATES = [
    "OptanonConsent=isGpcEnabled=0&groups=C0001%3A1%2CC0004%3A0",
    "notice_preferences=1:",
    r'klaro="{\"adtracker\":false}"',
    "cmplz_marketing=deny",
    f"ucData={uri({'gcm': {'adStorage': 'denied'}})}",
    f"_ketch_consent_v1_={packed({'data_sales': {'status': 'denied'}})}",
    f"_iub_cs-1234={uri({'purposes': {'1': True, '5': False}})}",
    "CONSENTMGR=c1:0|c3:0|ts:1721686992938|consent:true",
    f"cookiefirst-consent={uri({'necessary': True, 'advertising': False})}",
    f"cc_cookie={json.dumps({'level': ['necessary'], 'revision': 0})}",
    "__cmpcpc=__1_2__",
]
# Strings of the IAB's formats in every cookie that carries them.
CARRIED = [
    *((f"{name}={TEXTS[channel]}", channel) for name, channel in forms.CARRIERS.items()),
    (f"OTGPPConsent={GPP}", "gpp"),
    (f"gpp={GPP}; gpp_sid=8", "gpp"),
    (f"__gpp={quote(GPP, safe='')}", "gpp"),
    (f"IABGPP_HDR_GppString={GPP}; IABGPP_GppSID=8", "gpp"),
    ("cmp=t=1691869618&j=0&u=1YYN", "us_privacy"),
    (f"uc_ccpa={uri({'ccpaString': '1YYN'})}", "us_privacy"),
    (f"uc_usprivacy={uri({'uspString': '1YYN'})}", "us_privacy"),
    (f"uc_tcf={uri({'tcString': TEXTS['tc']})}", "tc"),
    (f"__cmpconsentx36865={TEXTS['tc']}", "tc"),
    (f"FCCDCF={uri([None, None, None, [TEXTS['tc'], '1~', 'an-id'], None])}", "tc"),
    (f"fides_consent={uri({'consent': {}, 'fides_string': f',,{GPP}'})}", "gpp"),
]
# What a tool wrote before anybody answered, or after a region's own rule.
DEFAULTS = [
    "cookieyes-consent=consent:no,action:,necessary:yes,advertisement:no",
    "CookieConsent={necessary:true%2Cmarketing:false%2Cmethod:%27implied%27}",
    "OptanonConsent=isGpcEnabled=0&interactionCount=0&groups=C0001%3A1%2CC0004%3A0",
    "_tracking_consent=3.AMP_USCA_f_t_AAAA",
    f"_cmp_a={uri({'purposes': {'a': True, 'p': True, 'm': False, 't': True}})}",
    f"_tracking_consent={uri({'con': {'CMP': {'m': '', 's': ''}}, 'purposes': {'m': True, 't': False}})}",
    f"tcm={uri({'purposes': {'SaleOfInfo': False}, 'confirmed': False})}",
    f"fides_consent={uri({'consent': {'data_sales': False}, 'fides_meta': {'consentMethod': 'script'}})}",
    f"uc_settings={uri({'services': [{'id': 'ads', 'status': False}]})}; uc_user_interaction=false",
]
SILENT = [
    "CookieConsent=-1",
    "cookieyes-consent=consent:yes,action:,advertisement:yes",
    "_tracking_consent=3.AMPS_USCA_f_f_AAAA",
    "usprivacy=1YNN",
    "usprivacy=1---",
    "gpp=DBAA; gpp_sid=-1",
    "optout=0",
    "optimizelyOptOut=true; _hjOptOut=true; ga_optout=1; textOptOut=1",
    "klaro={}; gpcishonored=false",
    *(f"{name}=AbCdEf-_0123" for name in sorted(OPAQUE)),
]
HEADERS = [{"Sec-GPC": "1"}, {"X-AdChoices": ADCHOICES}, {"Cookie2": ADCHOICES}, {"Cookie": "optout=1"}]
SIGNALS = [
    ({"gpc": "1"}, "gpc"),
    *(({channel: text}, REASONS[channel]) for channel, text in TEXTS.items()),
    ({"gpp": GPP, "gpp_sid": [8]}, "gpp"),
    ({"adchoices": ADCHOICES}, "ad_choices"),
    ({"cookies": "optout=1"}, "ad_choices"),
    ({"stored": {"IABUSPrivacy_String": "1YYN"}}, "us_privacy"),
    ({"stored": {"IABGPP_HDR_GppString": GPP}}, "gpp"),
    ({"stored": {"IABGPP_8_String": GPP.partition("~")[2], "IABGPP_GppSID": "8"}}, "gpp"),
    ({"gpp": "DBABUYA~BlWg.YA"}, "gpp"),
    ({"gpp": "DBABLA~BVVVVVVVVVU=.YA="}, "gpp"),
    ({"us_privacy": "%221YYN%22"}, "us_privacy"),
    ({"lmt": 1}, "device"),
    ({"att": 2}, "device"),
]


def brief(value) -> str:
    return repr(value)[:48]


def numbered(cases):
    return {"argvalues": cases, "ids": [f"{number}-{brief(case)}" for number, case in enumerate(cases)]}


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("teemo") / "data"


@pytest.fixture(scope="module")
async def keyed(data):
    """One installation for all cases: every case has a browser, an account and an ad id of its own."""
    config = data.parent / "config.toml"
    config.write_text(CONFIG)
    async with inside.application(data, inside.settings(config)) as app, inside.client(app, **inside.DEV) as calling:
        yield calling


@pytest.fixture(scope="module")
def sealing(keyed, data):
    return secret_files.load_secrets(data).seals


@dataclass
class Browser:
    """A browser with its cookie of ours; an account that has it, and another phone of that account."""

    keyed: object
    number: int
    cookie: str = ""

    async def visit(self, **headers):
        jar = "; ".join(part for part in (headers.pop("Cookie", ""), self.cookie) if part)
        sent = {"Sec-Fetch-Mode": "navigate", **headers} | ({"Cookie": jar.encode("latin-1")} if jar else {})
        page = await self.keyed.get("/demo", headers=list(sent.items()))
        if "set-cookie" in page.headers:
            self.cookie = page.headers["set-cookie"].partition(";")[0]
        return page

    async def link(self):
        body = {"account": f"a{self.number}", "identifiers": [self.name, named("gaid", gaid(self.number))]}
        assert (await self.keyed.post("/v1/links", json=body)).json()["linked"] == 2

    @property
    def name(self) -> dict:
        return named("browser", self.cookie.partition("=")[2])

    async def share(self, *identifiers):
        """What becomes of a Teemo row that names this browser, or other ids, and carries no signal."""
        row = {
            "id": f"row-{next(NUMBERS)}",
            "identifiers": list(identifiers) or [self.name],
            "place": "US-CA",
            "data": {"ad_id": gaid(100_000 + self.number)},
        }
        answer = await self.keyed.post("/v1/shares/teemo", json=row)
        first = json.loads(answer.text.splitlines()[0])
        return first["outcome"], first["reason"]

    async def account_share(self):
        return await self.share(named("gaid", gaid(self.number)))


NUMBERS = itertools.count(1)
GOES, STOPS = ("returned", "no_choice"), ("refused", "opted_out")


@pytest.fixture
def newcomer(keyed):
    """A browser that was never here."""
    return Browser(keyed, next(NUMBERS))


@pytest.fixture
def silent(keyed, sealing):
    """A browser that has an id here and said nothing."""
    sealed = seals.seal_cookie(sealing, BrowserCookie(seals.new_browser(), 20_781, frozenset()))
    return Browser(keyed, next(NUMBERS), f"__Host-gateway={sealed}")


async def check(keyed, **signals):
    body = {
        "identifiers": [named("gaid", gaid(99_999))],
        "recipient": "teemo",
        "purpose": "sale",
        "data": ["ad_id"],
        "place": "US-CA",
        "signals": signals,
    }
    answer = (await keyed.post("/v1/check", json=body)).json()
    return answer["allowed"] or answer["partly"], answer["reason"]


async def entries(keyed) -> int:
    return (await keyed.get("/readyz")).json()["ledger"]["entries"]


# --- beside a check ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cookie", **numbered([*ACTS, *STATES, *DEFAULTS]))
async def test_a_tools_no_beside_a_check_denies_that_check(keyed, cookie):
    assert await check(keyed, cookies=f"a=b; {cookie}; c=d") == (False, "cmp_cookie")
    assert await check(keyed, cookies={"b64": base64.b64encode(cookie.encode()).decode()}) == (False, "cmp_cookie")


@pytest.mark.parametrize(("cookie", "channel"), **numbered(CARRIED))
async def test_a_string_in_a_cookie_beside_a_check_denies_that_check(keyed, cookie, channel):
    assert await check(keyed, cookies=cookie) == (False, REASONS[channel])


@pytest.mark.parametrize(("signals", "reason"), **numbered(SIGNALS))
async def test_a_string_beside_a_check_denies_that_check(keyed, signals, reason):
    assert await check(keyed, **signals) == (False, reason)


async def test_the_controls_of_the_checks_are_allowed(keyed):
    assert await check(keyed) == (True, "no_choice")
    for cookie in (HARMLESS, *SILENT):
        assert await check(keyed, cookies=cookie) == (True, "no_choice"), cookie


@pytest.mark.slow
async def test_every_refusal_that_was_seen_in_the_field_denies_a_check_and_is_kept_for_a_browser(
    keyed, sealing, vectors
):
    rows = json.loads((vectors / "cmp_cookies.json").read_text())["rows"]
    refusals = [row for row in rows if row["sale_or_ads_opt_out"]]
    assert len({row["cmp"] for row in refusals}) >= 9
    for row in refusals:
        cookie, browser = f"{row['name']}={row['value']}", Browser(keyed, next(NUMBERS))
        assert await check(keyed, cookies=cookie) == (False, "cmp_cookie"), row
        for _ in range(2):
            await browser.visit(Cookie=cookie)
        await browser.link()
        assert await browser.share() == STOPS, row


# --- on a visit ----------------------------------------------------------------------------------------------------


async def said_on_two_visits(browser, **headers):
    """The first visit brings the browser its cookie, and the second writes what it says."""
    page = await browser.visit(**headers)
    assert "Opt-Out Request Honored" in page.text
    assert "set-cookie" in page.headers
    await browser.link()
    assert "sharing=?0, targeted_ads=?0, status=honored" in (await browser.visit(**headers)).text


@pytest.mark.parametrize("cookie", **numbered(ACTS))
async def test_a_persons_act_in_a_tool_stops_the_row_of_that_browser_and_of_its_account(newcomer, cookie):
    await said_on_two_visits(newcomer, Cookie=f"a=b; {cookie}; c=d")
    assert await newcomer.share() == STOPS
    assert await newcomer.account_share() == STOPS


@pytest.mark.parametrize("cookie", **numbered(STATES))
async def test_a_refusal_of_unknown_hand_stops_the_row_of_that_browser_and_not_of_its_account(newcomer, cookie):
    await said_on_two_visits(newcomer, Cookie=cookie)
    assert await newcomer.share() == STOPS
    assert await newcomer.account_share() == GOES


@pytest.mark.parametrize(("cookie", "channel"), **numbered(CARRIED))
async def test_a_string_in_a_cookie_stops_the_row_of_that_browser(newcomer, cookie, channel):
    await said_on_two_visits(newcomer, Cookie=cookie)
    assert await newcomer.share() == STOPS
    if channel in {"us_privacy", "gpp"}:
        assert await newcomer.account_share() == STOPS


@pytest.mark.parametrize("headers", **numbered(HEADERS))
async def test_a_header_stops_the_row_of_that_browser_and_of_its_account(newcomer, headers):
    await said_on_two_visits(newcomer, **headers)
    assert await newcomer.share() == STOPS
    assert await newcomer.account_share() == STOPS


@pytest.mark.parametrize("headers", **numbered(HEADERS))
async def test_a_browser_whose_row_went_before_it_said_no_is_stopped_after(silent, headers):
    await silent.visit(Cookie=HARMLESS)
    await silent.link()
    assert await silent.share() == GOES
    await silent.visit(**headers)
    assert await silent.share() == STOPS


@pytest.mark.parametrize("cookie", **numbered([HARMLESS, *SILENT]))
async def test_the_controls_of_the_visits_go(silent, cookie):
    for _ in range(2):
        page = await silent.visit(Cookie=cookie)
        assert "sale=?1, sharing=?1, targeted_ads=?1, status=none" in page.text
    await silent.link()
    assert (await silent.share(), await silent.account_share()) == (GOES, GOES)


@pytest.mark.parametrize("cookie", **numbered(DEFAULTS))
async def test_a_tools_evident_default_holds_for_the_page_and_is_recorded_for_nobody(newcomer, silent, cookie):
    before = await entries(newcomer.keyed)
    assert "set-cookie" not in (await newcomer.visit(Cookie=cookie)).headers
    for _ in range(2):
        page = await silent.visit(Cookie=cookie)
        assert "status=honored" in page.text
    assert await entries(newcomer.keyed) == before
    await silent.link()
    assert (await silent.share(), await silent.account_share()) == (GOES, GOES)


async def grants_a_precise_point(browser):
    """An opt-in to Teemo for it, with its confirmation."""
    proof, shown = {"kind": "account", "assertion": "dev"}, (await browser.keyed.get("/v1/self")).json()["notices"]
    english = {item["kind"]: {"sha256": item["sha256"]} for item in shown if item["language"] == "en"}
    first, second = english["opt-in"], english["confirm"]
    await browser.link()
    act = {
        "choice": "opt_in",
        "identifiers": [browser.name],
        "purposes": ["sale"],
        "recipient": "teemo",
        "proof": proof,
        "data": ["precise_geo"],
        "notice": first,
    }
    token = (await browser.keyed.post("/v1/choices", json=act)).json()["confirm"]
    confirm = {"choice": "confirm", "confirm": token, "proof": proof, "notice": second}
    assert (await browser.keyed.post("/v1/choices", json=confirm)).status_code == 201


async def test_a_precise_point_that_a_person_opted_in_to_goes_until_the_browser_says_no(silent):
    await grants_a_precise_point(silent)
    row = {
        "id": "precise-1",
        "identifiers": [silent.name],
        "place": "US-CA",
        "data": {"lat": 37.774929, "lon": -122.419416},
    }
    sent = json.loads((await silent.keyed.post("/v1/shares/teemo", json=row)).text.splitlines()[0])
    assert (sent["outcome"], sent["row"]["lat"]) == ("returned", 37.774929)
    await silent.visit(**{"Sec-GPC": "1"})
    answer = await silent.keyed.post("/v1/shares/teemo", json=row | {"id": "precise-2"})
    refused = json.loads(answer.text.splitlines()[0])
    assert (refused["outcome"], refused["reason"], set(refused["data"].values())) == ("refused", "opted_out", {"deny"})


@pytest.mark.parametrize("channel", ["tc", "gpp"])
async def test_a_precise_point_that_a_person_opted_in_to_stays_beside_a_consent_that_leaves_it_out(silent, channel):
    await grants_a_precise_point(silent)
    body = {
        "identifiers": [silent.name],
        "recipient": "teemo",
        "purpose": "sale",
        "data": ["precise_geo", "ad_id"],
        "place": "US-CA",
    }
    said = {}
    for word, text in (("all", TC_CONSENT), ("all but the place", TC_NOT_PRECISE)):
        signals = {channel: text if channel == "tc" else gpp.write_gpp_string({"tcfeuv2": text})}
        answer = await silent.keyed.post("/v1/check", json=body | {"signals": signals})
        said[word] = answer.json()["data"]
    assert (said["all"]["precise_geo"], said["all but the place"]["precise_geo"]) == ("allow", "deny")
    assert said["all"]["ad_id"] == said["all but the place"]["ad_id"] == "allow"


@pytest.mark.parametrize("channel", ["ac", "tc"])
async def test_a_string_without_any_consent_may_be_a_tools_own_and_reaches_no_account(newcomer, channel):
    await said_on_two_visits(
        newcomer, Cookie=f"{'addtl_consent' if channel == 'ac' else 'euconsent-v2'}={TEXTS[channel]}"
    )
    assert (await newcomer.share(), await newcomer.account_share()) == (STOPS, GOES)


OFF, ON = "OptanonConsent=groups=C0001%3A1%2CC0004%3A0", "OptanonConsent=groups=C0001%3A1%2CC0004%3A1"


@pytest.mark.parametrize(
    "later",
    [
        f"{ON}&interactionCount=0",
        "OptanonConsent=groups=C0001%3A1",
        "cmplz_marketing=allow",
        "CookieConsent=-1",
        HARMLESS,
    ],
    ids=brief,
)
async def test_a_tools_off_holds_through_what_is_not_its_own_on(newcomer, later):
    await said_on_two_visits(newcomer, Cookie=OFF)
    await newcomer.visit(Cookie=later)
    assert await newcomer.share() == STOPS
    await newcomer.visit(Cookie=ON)
    assert await newcomer.share() == GOES


async def test_a_broken_adchoices_header_holds_for_the_page_and_is_recorded_for_nobody(silent):
    for headers in ({"X-AdChoices": ADCHOICES + "=="}, {"Cookie2": ADCHOICES + "=="}):
        assert "status=honored" in (await silent.visit(**headers)).text
    await silent.link()
    assert (await silent.share(), await silent.account_share()) == (GOES, GOES)


async def test_a_no_that_was_said_on_the_first_page_alone_is_kept_when_the_browser_comes_back(newcomer):
    await newcomer.visit(**{"Sec-GPC": "1"})
    assert "status=honored" in (await newcomer.visit()).text
    await newcomer.link()
    assert await newcomer.share() == STOPS


def test_every_cookie_that_the_gateway_reads_is_tried_here_but_the_opaque_ones():
    cookies = [*ACTS, *STATES, *(cookie for cookie, _ in CARRIED)]
    tried = {part.partition("=")[0] for cookie in cookies for part in cookie.split("; ")}
    read = {*EXACT, *PREFIXES} - OPAQUE
    assert {name for name in read if not any(cookie.startswith(name) for cookie in tried)} == set()
    assert {*EXACT, *PREFIXES} >= OPAQUE
