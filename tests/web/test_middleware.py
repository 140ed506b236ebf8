import asyncio
import base64
import dataclasses
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.adchoices import write_adchoices
from support.door import Door, today, value_of
from support.people import GAID, named, phone

from gateway.app.composition import migrate, open_house
from gateway.choice.downstream import Outcome, strings
from gateway.consent.asked import Ask
from gateway.consent.site import SiteAnswer
from gateway.keys import api_keys
from gateway.ledger.acts.links import Span
from gateway.signals import adchoices
from gateway.terms import AD_CHOICE_PURPOSES, ALL_PURPOSES, SIGNAL_PURPOSES, Purpose
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.visitor import Visitors
from gateway.web.site.middleware import ConsentMiddleware
from gateway.web.site.visit import Visits

pytestmark = pytest.mark.anyio
ALL_NO = "sale=?0, sharing=?0, targeted_ads=?0"
ALL_YES = "sale=?1, sharing=?1, targeted_ads=?1"
NAVIGATE = {"Sec-Fetch-Mode": "navigate"}
GPC = {"Sec-GPC": "1"}
ACT = "OptanonConsent=isGpcEnabled=0&groups=C0001%3A1%2CSPD_BG%3A0"
UNTOLD = "OptanonConsent=isGpcEnabled=0&groups=C0001%3A1%2CC0004%3A0"  # off, and nobody can tell by whom
UNTOLD_YES = UNTOLD.replace("C0004%3A0", "C0004%3A1") + "&interactionCount=1"  # the same tool, by an act
OTHER_TOOL = "cmplz_marketing=deny"  # off as well, and nobody can tell by whom
ANOTHERS_YES = "cookieyes-consent=consent:yes,action:yes,advertisement:yes"
SITE_IDS = {"site_ids": ["uid"]}
DEFAULT = "cookieyes-consent=consent:no,action:,necessary:yes,advertisement:no"  # the tool's own, before any answer


@pytest.fixture
def door(house):
    return Door(house)


def typed(value: str) -> dict[str, str]:
    """A site's own cookie id, which anybody can send."""
    return {**named("cookie", value), "source": "uid"}


def verdict(house, *identifiers, recipient="teemo"):
    return house.consent.checks.check(Ask((recipient,), list(identifiers), place="US-CA")).verdicts[recipient]


async def link(house, account, *identifiers):
    people = house.consent.people
    subjects = people.name(list(identifiers)).subjects
    await house.consent.link(people.account(account), subjects, Span(int(time.time() * 1000)))


# --- what the site is told ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["Gateway-Consent", "gateway_consent", "GATEWAY-Browser", "Gateway_Place", "Gateway-Request", "Gateway-Anything",
     "gateway-", "Gateway_-x"],
)  # fmt: skip
async def test_a_visitor_cannot_tell_the_site_what_the_gateway_would_say(door, name):
    await door.send([("Sec-GPC", "1"), (name, f"FORGED {ALL_YES}")])
    assert "FORGED" not in repr(door.site.asked[-1]["headers"])
    for ours in ("gateway-consent", "gateway-browser", "gateway-place", "gateway-request"):
        assert len(door.site.got(ours)) == 1, ours


@pytest.mark.parametrize("headers", [{}, GPC, {"Cookie": "usprivacy=1YYN"}, {"Sec-GPC": "rubbish"}])
async def test_the_site_always_reads_every_key(door, headers):
    await door.send(list(headers.items()))
    said = dict(part.split("=", 1) for part in door.site.consent.split(", "))
    assert list(said) == ["sale", "sharing", "targeted_ads", "status"]
    assert set(said.values()) <= {"?0", "?1", "none", "honored", "unknown"}


async def test_a_visitor_who_said_nothing_may_be_shown_ads(door):
    await door.get()
    assert door.site.consent == f"{ALL_YES}, status=none"
    assert door.site.got("gateway-place") == ["US-CA"]


@pytest.mark.parametrize("headers", [[("Sec-GPC", "1")], [("sec-gpc", "1")], [("Sec-GPC", "0"), ("Sec-GPC", "1")],
                                     [("Sec-GPC", "1"), ("Sec-GPC", "rubbish")]])  # fmt: skip
async def test_a_visitor_with_gpc_is_honored_and_the_signal_goes_on_unchanged(door, headers):
    await door.send(headers)
    assert door.site.consent == f"{ALL_NO}, status=honored"
    assert door.site.got("sec-gpc") == [value for _, value in headers]


@pytest.mark.parametrize("value", ["0", "true", '"1"', "01", "1;q=1", "?1", "yes", "", "1\t1"])
async def test_a_value_that_is_not_the_signal_is_no_signal(door, value):
    await door.get(Sec_GPC=value)
    assert door.site.consent == f"{ALL_YES}, status=none"
    assert door.site.got("sec-gpc") == [value]


async def test_a_visitor_of_no_known_place_is_not_tracked_but_has_not_opted_out(house):
    door = Door(house, place=None, enforce=True)
    answer = await door.get()
    assert door.site.consent == f"{ALL_NO}, status=none"
    assert door.site.got("gateway-place") == ["unknown"]
    assert "default-src 'self'" in answer.headers["content-security-policy"]


async def test_the_site_never_sees_the_sealed_cookie_and_keeps_its_own(door):
    sealed = door.sealed()
    await door.get(cookie=f"a=1; {sealed}; b=2;c=3; __Host-gateway-proof=sealed")
    (cookie,) = door.site.got("cookie")
    assert "__Host-gateway" not in cookie
    assert [part.strip() for part in cookie.split(";")] == ["a=1", "b=2", "c=3"]
    await door.get(cookie=sealed)
    assert door.site.got("cookie") == []


async def test_a_site_in_the_same_process_reads_the_answer_as_a_value(door):
    await door.get(**GPC)
    told = door.site.asked[-1]["state"]["gateway"]
    assert told == SiteAnswer(status="honored", place="US-CA", gpc=True)
    assert told.opted_out
    with pytest.raises(dataclasses.FrozenInstanceError):
        told.sale = True
    await door.get()
    assert door.site.asked[-1]["state"]["gateway"] == SiteAnswer(True, True, True, "none", "US-CA")


# --- the browser's token and cookie ------------------------------------------------------------------------------


async def test_no_two_requests_of_one_person_carry_the_same_browser_token(house):
    door = Door(house)
    tokens = []
    for person in (door.sealed(), door.sealed()):
        for _ in range(3):
            await door.get(cookie=person)
            tokens += door.site.got("gateway-browser")
    assert len(set(tokens)) == 6
    assert len({len(token) for token in tokens}) == 1
    assert len({token[:8] for token in tokens}) == 6  # no common beginning either


async def test_the_browser_token_names_the_person_to_the_gateway_and_to_nobody_else(door):
    browser = bytes(range(16))
    await door.get(cookie=door.sealed(browser=browser), **GPC)
    (token,) = door.site.got("gateway-browser")
    assert browser.hex() not in token
    found = verdict(door.house, named("browser", token))
    assert (found.allowed, found.partly, found.reason) == (False, False, "opted_out")


async def test_a_visitor_without_our_cookie_has_no_browser_token(door):
    await door.get(**GPC)
    assert door.site.got("gateway-browser") == [""]


async def test_gpc_sets_a_cookie_at_a_navigation_with_every_guard_on_it(door):
    answer = await door.get(**GPC, **NAVIGATE)
    (cookie,) = answer.headers.get_list("set-cookie")
    attributes = [part.strip() for part in cookie.split(";")[1:]]
    assert cookie.startswith("__Host-gateway=")
    assert attributes == ["Path=/", "Secure", "HttpOnly", "SameSite=Lax", f"Max-Age={400 * 86_400}"]
    opened = door.opened(cookie)
    assert opened.denied == set(SIGNAL_PURPOSES)
    assert opened.value
    assert opened.value not in cookie


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("GET", {"Sec-Fetch-Mode": "navigate"}, True),
        ("GET", {"Accept": "text/html,*/*;q=0.8"}, True),
        ("GET", {"Sec-Fetch-Mode": "no-cors", "Accept": "text/html"}, False),
        ("GET", {"Sec-Fetch-Mode": "cors"}, False),
        ("GET", {"Accept": "image/avif,*/*"}, False),
        ("POST", {"Accept": "text/html"}, False),
        ("POST", {"Sec-Fetch-Mode": "navigate"}, True),
    ],
)
async def test_a_picture_or_a_script_call_gets_no_cookie(door, method, headers, expected):
    answer = await door.send([("Sec-GPC", "1"), *headers.items()], method=method)
    assert ("set-cookie" in answer.headers) is expected
    assert door.site.consent.startswith(ALL_NO)


async def test_a_visitor_who_said_nothing_gets_no_cookie(door):
    assert "set-cookie" not in (await door.get(**NAVIGATE)).headers


@pytest.mark.usefixtures("noon")
async def test_a_remembered_visitor_gets_no_new_cookie_at_each_navigation(door):
    cookie = door.sealed(days_ago=29)
    for _ in range(3):
        assert "set-cookie" not in (await door.get(cookie=cookie, **GPC, **NAVIGATE)).headers


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize("signal", [GPC, {}])
async def test_after_thirty_days_the_cookie_is_renewed_for_the_same_browser_with_a_new_nonce(door, signal):
    browser = bytes(range(16))
    cookie = door.sealed(days_ago=30, browser=browser)
    first, second = [await door.get(cookie=cookie, **signal, **NAVIGATE) for _ in range(2)]
    old, new, newer = value_of(cookie), value_of(first.headers["set-cookie"]), value_of(second.headers["set-cookie"])
    assert len({old[:16], new[:16], newer[:16]}) == 3
    renewed = door.opened(first.headers["set-cookie"])
    assert (renewed.browser, renewed.day, renewed.denied) == (browser, today(), set(SIGNAL_PURPOSES))
    assert "set-cookie" not in (await door.get(cookie=cookie, Sec_Fetch_Mode="cors")).headers


async def test_a_cookie_that_knew_less_is_told_what_was_said_now(door):
    answer = await door.get(cookie=door.sealed(denied=frozenset()), **GPC, **NAVIGATE)
    assert door.opened(answer.headers["set-cookie"]).denied == set(SIGNAL_PURPOSES)


async def test_the_cookie_still_denies_after_the_signal_is_gone(door):
    set_cookie = (await door.get(**GPC, **NAVIGATE)).headers["set-cookie"]
    await door.get(cookie=set_cookie.partition(";")[0])
    assert door.site.consent == f"{ALL_NO}, status=honored"


async def test_a_flag_remembers_the_choice_and_no_id(house):
    door = Door(house, remember_gpc="flag")
    before = door.entries
    set_cookie = (await door.get(**GPC, **NAVIGATE)).headers["set-cookie"]
    assert door.opened(set_cookie).value == ""
    await door.get(cookie=set_cookie.partition(";")[0], **GPC)
    assert door.site.got("gateway-browser") == [""]
    await door.get(cookie=set_cookie.partition(";")[0])
    assert door.site.consent == f"{ALL_NO}, status=honored"
    assert door.entries == before


async def test_where_nothing_is_remembered_gpc_is_honored_all_the_same(house):
    door = Door(house, remember_gpc="off")
    answer = await door.get(**GPC, **NAVIGATE)
    assert "set-cookie" not in answer.headers
    assert door.site.consent == f"{ALL_NO}, status=honored"


async def test_a_no_that_a_cookie_remembers_lapses_by_no_setting(house):
    """Each page of 400 days and more: the setting stops what is new, and takes back nothing that was said."""
    door = Door(house, remember_gpc="off")
    old = door.sealed(days_ago=31, denied=frozenset({Purpose.SALE}))
    assert (
        "set-cookie"
        not in (await door.get(cookie=door.sealed(days_ago=29, denied=frozenset({Purpose.SALE})), **NAVIGATE)).headers
    )
    answer = await door.get(cookie=old, **GPC, **NAVIGATE)
    renewed = door.opened(answer.headers["set-cookie"])
    assert (renewed.day, renewed.value) == (today(), door.opened(old).value)
    assert renewed.denied == {Purpose.SALE}  # the signal of now is honored and not remembered
    assert "Max-Age=34560000" in answer.headers["set-cookie"]


# --- what is written ---------------------------------------------------------------------------------------------


async def test_sixty_requests_of_one_browser_with_gpc_leave_one_entry(door):
    before, cookie = door.entries, door.sealed(denied=frozenset())
    for _ in range(60):
        await door.get(cookie=cookie, **GPC)
        assert door.site.consent.startswith(ALL_NO)
    assert door.entries == before + 1


async def test_sixty_requests_of_one_browser_at_once_leave_one_entry(door):
    before, cookie = door.entries, door.sealed(denied=frozenset())
    await asyncio.gather(*(door.get(cookie=cookie, **GPC) for _ in range(60)))
    assert door.entries == before + 1


async def test_sixty_requests_without_cookies_leave_no_entry_and_each_is_honored(door):
    before = door.entries
    for _ in range(60):
        await door.get(**GPC, **NAVIGATE)
        assert door.site.consent == f"{ALL_NO}, status=honored"
    assert door.entries == before


async def test_a_script_that_forges_cookies_writes_nothing(door):
    before = door.entries
    for number in range(20):
        await door.get(cookie=f"__Host-gateway=forged{number}", **GPC)
    assert door.entries == before


@pytest.mark.parametrize(
    ("cookie", "honored", "remembered"),
    [
        ("usprivacy=1YYN", True, True),
        ("usprivacy=1yyn", True, True),
        ('us_privacy="1YYN"', True, True),
        ("us-privacy=1Y%59N", True, True),
        ("usprivacy=1YNN; usprivacy=1YYN", True, True),
        ("usprivacy=1YNN", False, False),
        ("usprivacy=1---", False, False),
        ("usprivacy=rubbish", False, False),
        (ACT, True, True),
        ("OptanonConsent=isGpcEnabled=1&groups=", True, True),
        ("cookieyes-consent=consent:no,action:yes,advertisement:no", True, True),
        ("optout=1", True, True),
        (DEFAULT, True, False),
        ("_tracking_consent=3.AMP_USCA_f_t_AAAA", True, False),
        ("OptanonConsent=isGpcEnabled=0&groups=C0004%3A1", False, False),
        ("odd=\x80\xff; broken; =; usprivacy=1YYN", True, True),
    ],
)
async def test_a_consent_tools_cookie_is_heard_and_an_act_is_remembered_but_a_default_is_not(
    door, cookie, honored, remembered
):
    before = door.entries
    answer = await door.send([("Sec-Fetch-Mode", "navigate"), ("Cookie", cookie.encode("latin-1"))])
    assert door.site.consent.endswith("status=honored") is honored
    assert ("set-cookie" in answer.headers) is remembered
    known = door.sealed(denied=frozenset())
    await door.send([("Cookie", f"{cookie}; {known}".encode("latin-1"))])
    assert door.entries == before + remembered


@pytest.mark.parametrize("cookie", [DEFAULT, UNTOLD, "optout=1"], ids=["default", "untold", "industry"])
async def test_ads_that_are_off_in_a_tool_are_a_no_to_all_three_on_the_page(door, cookie):
    """R3, R25: what a page does with an ad id is one thing."""
    await door.get(cookie=cookie)
    assert door.site.consent == f"{ALL_NO}, status=honored"


@pytest.mark.parametrize("purpose", SIGNAL_PURPOSES)
async def test_a_sealed_cookie_that_remembers_a_no_to_one_is_a_no_to_all_three(door, purpose):
    await door.get(cookie=door.sealed(denied={purpose}))
    assert door.site.consent == f"{ALL_NO}, status=honored"


async def test_what_nobody_can_be_shown_to_have_done_is_the_browsers_state_and_ends_with_it(door):
    before, known = door.entries, door.sealed(denied=frozenset())
    for _ in range(3):
        await door.get(cookie=f"{UNTOLD}; {known}")
    assert door.entries == before + 1
    await door.get(cookie=known)
    assert door.site.consent == f"{ALL_NO}, status=honored"  # silence ends nothing
    await door.get(cookie=f"{UNTOLD_YES}; {known}")
    await door.get(cookie=known)
    assert door.site.consent == f"{ALL_YES}, status=none"
    assert door.entries == before + 2


async def test_two_tools_of_one_page_are_two_states_and_each_tool_ends_its_own(house):
    for first, second in ((UNTOLD, OTHER_TOOL), (OTHER_TOOL, UNTOLD)):
        door = Door(house)
        before, known = door.entries, door.sealed(denied=frozenset())
        await door.get(cookie=f"{first}; {known}")
        for _ in range(2):
            await door.get(cookie=f"{first}; {second}; {known}")
        assert door.entries == before + 2
        await door.get(cookie=f"{UNTOLD_YES}; {known}")
        await door.get(cookie=known)
        assert door.site.consent == f"{ALL_NO}, status=honored", "the other tool is silent"
        await door.get(cookie=f"{OTHER_TOOL.replace('deny', 'allow')}; cmplz_banner-status=dismissed; {known}")
        await door.get(cookie=known)
        assert door.site.consent == f"{ALL_YES}, status=none"


async def test_a_tools_state_is_named_in_the_ledger_by_the_tool_and_by_what_it_is_of(door):
    sale = base64.b64encode(b'{"data_sales": {"status": "denied"}}').decode()
    await door.get(cookie=f"{UNTOLD}; {OTHER_TOOL}; _ketch_consent_v1_={sale}; {door.sealed(denied=frozenset())}")
    sql = "SELECT body FROM entry ORDER BY seq"
    rows = await door.house.writer.commit(lambda tx: tx.db.execute(sql).fetchall())
    said = [json.loads(body) for (body,) in rows]
    sources = sorted(each["src"] for each in said if each["e"] == "state_began")
    assert sources == ["cmp_cookie:complianz:ads", "cmp_cookie:ketch:sale", "cmp_cookie:onetrust:ads"]


@pytest.mark.parametrize("account", [None, "a1"], ids=["visitor", "signed in"])
@pytest.mark.parametrize(
    "said",
    [UNTOLD, f"{UNTOLD}; {ANOTHERS_YES}", ACT, DEFAULT, UNTOLD_YES, "a=b"],
    ids=["state", "state and another's yes", "act", "default", "yes", "silent"],
)
async def test_pages_that_say_nothing_new_cost_no_transaction(house, monkeypatch, account, said):
    door = Door(house, account=lambda _: account)
    known = door.sealed(denied=frozenset())
    for first in (UNTOLD, said):
        await door.get(cookie=f"{first}; {known}")
    commits = []
    commit = house.writer.commit
    monkeypatch.setattr(
        house.writer, "commit", lambda job, *given, **more: commits.append(job) or commit(job, *given, **more)
    )
    for _ in range(5):
        await door.get(cookie=f"{said}; {known}")
    assert commits == []
    await door.get(cookie=known, **GPC)
    assert len(commits) == (said != ACT), "the counter counts"


async def test_an_id_that_anybody_can_type_begins_a_state_and_never_ends_one(house):
    """What a visitor's cookies merely claim tightens; the sealed cookie alone proves a browser."""
    door, person = Door(house, visitors=SITE_IDS), typed("4711")
    for stranger in (door.sealed(denied=frozenset()), ""):
        await door.get(cookie=f"uid=4711; {UNTOLD}; {door.sealed(denied=frozenset())}")
        assert verdict(house, person).reason == "opted_out"
        await door.get(cookie=f"uid=4711; {UNTOLD_YES}; {stranger}")
        assert verdict(house, person).reason == "opted_out"
    owner = door.sealed(denied=frozenset())
    await door.get(cookie=f"uid=815; {UNTOLD}; {owner}")
    await door.get(cookie=f"uid=815; {UNTOLD_YES}; {owner}")
    await door.get(cookie=owner)
    assert door.site.consent == f"{ALL_YES}, status=none"  # the browser's own ended
    assert verdict(house, typed("815")).reason == "opted_out"


async def test_an_id_that_a_signed_in_stranger_types_ends_no_state_either(house):
    person = typed("4711")
    await Door(house, visitors=SITE_IDS).get(cookie=f"uid=4711; {UNTOLD}; {Door(house).sealed(denied=frozenset())}")
    stranger = Door(house, visitors=SITE_IDS, account=lambda _: "a1")
    await stranger.get(cookie=f"uid=4711; {UNTOLD_YES}")
    assert verdict(house, person).reason == "opted_out"


FILL = "; ".join(f"t{number}={'x' * 4000}" for number in range(5))  # 20 kB of a tracker's


async def test_an_opt_out_cookie_behind_a_full_jar_is_honored_and_so_is_what_nobody_can_read(door):
    await door.get(cookie=f"{FILL}; {door.sealed()}")
    assert door.site.consent == f"{ALL_NO}, status=honored"
    before = door.entries
    await door.get(cookie=FILL)
    assert door.site.consent.startswith(ALL_NO)
    await door.get(cookie=FILL[:16_000])
    assert door.site.consent == f"{ALL_YES}, status=none"  # control
    assert door.entries == before


async def test_a_state_does_not_end_by_a_jar_that_was_cut(door):
    known = door.sealed(denied=frozenset())
    await door.get(cookie=f"{UNTOLD}; {known}")
    await door.get(cookie=f"{UNTOLD_YES}; {FILL}; {known}")
    await door.get(cookie=known)
    assert door.site.consent == f"{ALL_NO}, status=honored"


@pytest.mark.parametrize("how", ["id", "flag", "off"])
async def test_a_cookie_that_nothing_opens_is_replaced_by_one_that_says_no_to_everything(house, how):
    door = Door(house, remember_gpc=how)
    lost = f"__Host-gateway={'A' * 74}"
    await door.get(cookie=lost)
    assert door.site.consent == f"{ALL_NO}, status=honored"
    answer = await door.get(cookie=lost, **NAVIGATE)
    opened = door.opened(answer.headers["set-cookie"])
    assert (opened.denied, opened.day) == (frozenset(ALL_PURPOSES), today())
    assert bool(opened.value) is (how != "flag")
    assert answer.headers["cache-control"].startswith("private")
    again = await door.get(cookie=f"__Host-gateway={value_of(answer.headers['set-cookie'])}", **NAVIGATE)
    assert door.site.consent == f"{ALL_NO}, status=honored"
    assert "set-cookie" not in again.headers
    await door.get(cookie="__Host-gateway=A")
    assert door.site.consent == f"{ALL_YES}, status=none"  # never ours


async def test_a_no_of_any_browser_that_a_request_names_holds_for_what_the_site_asks_afterwards(house):
    door = Door(house)
    first, second = (door.sealed(denied=frozenset(), browser=letter * 16) for letter in (b"1", b"2"))
    await door.get(cookie=second, **GPC)
    await door.get(cookie=first)
    assert door.site.consent == f"{ALL_YES}, status=none"  # control
    await door.get(cookie=f"{first}; {second}")
    assert door.site.consent == f"{ALL_NO}, status=honored"
    (token,) = door.site.got("gateway-browser")
    assert verdict(house, named("browser", token)).reason == "opted_out"
    before = door.entries
    await door.get(cookie=f"{first}; {second}")
    assert door.entries == before  # once


async def test_a_no_of_any_account_that_a_request_names_is_honored_and_tied(house):
    door, now = Door(house), int(time.time())
    one, two = (api_keys.assert_account(house.secrets.accounts[-1], each, now + 60) for each in ("a1", "a2"))
    await door.send([("Gateway-Account", two), *GPC.items()])
    await door.send([("Gateway-Account", one)])
    assert door.site.consent == f"{ALL_YES}, status=none"  # control
    known = door.sealed(denied=frozenset())
    await door.send([("Gateway-Account", one)], cookie=f"Gateway-Account={two}; {known}")
    assert door.site.consent == f"{ALL_NO}, status=honored"
    await door.send([], cookie=known)
    assert door.site.consent == f"{ALL_NO}, status=honored"  # the browser is tied to both


async def test_a_tool_that_says_yes_ends_no_choice(door):
    known = door.sealed(denied=frozenset())
    await door.get(cookie=f"{ACT}; {known}")
    await door.get(cookie=f"{ACT.replace('SPD_BG%3A0', 'SPD_BG%3A1')}; {known}")
    assert door.site.consent == f"{ALL_NO}, status=honored"


async def test_a_browser_without_an_id_gets_one_for_a_state_and_the_state_is_not_in_the_cookie(door):
    answer = await door.get(cookie=UNTOLD, **NAVIGATE)
    assert door.opened(answer.headers["set-cookie"]).denied == frozenset()
    assert "set-cookie" not in (await door.get(cookie=DEFAULT, **NAVIGATE)).headers


async def test_where_no_id_is_kept_a_state_holds_while_it_is_said(house):
    for how in ("flag", "off"):
        door = Door(house, remember_gpc=how)
        assert "set-cookie" not in (await door.get(cookie=UNTOLD, **NAVIGATE)).headers, how
        assert door.site.consent.endswith("status=honored"), how


@pytest.mark.parametrize(
    ("query", "consent"),
    [
        ("us_privacy=1YYN", f"{ALL_NO}, status=honored"),
        ("a=b&us_privacy=1YNN&us_privacy=1YYN", f"{ALL_NO}, status=honored"),
        (f"gpp={strings(Outcome(frozenset(SIGNAL_PURPOSES))).gpp}&gpp_sid=7", f"{ALL_NO}, status=honored"),
        ("addtl_consent=1~", f"{ALL_NO}, status=honored"),
        ("us_privacy=1YNN", f"{ALL_YES}, status=none"),
        ("gpp=${GPP_STRING_123}&us_privacy=rubbish&gpp_sid=x", f"{ALL_YES}, status=none"),
        ("utm_source=1YYN&USP=1YYN", f"{ALL_YES}, status=none"),
    ],
)
async def test_what_an_address_carries_was_said_elsewhere_and_holds_for_this_request_alone(door, query, consent):
    before = door.entries
    answer = await door.send([("Sec-Fetch-Mode", "navigate")], cookie=door.sealed(denied=frozenset()), query=query)
    assert door.site.consent == consent
    assert "set-cookie" not in answer.headers
    assert door.entries == before


async def test_do_not_track_is_no_global_privacy_control_and_no_consent(door):
    before = door.entries
    answer = await door.get(cookie=door.sealed(denied=frozenset()), DNT="1", **NAVIGATE)
    assert door.site.consent == f"{ALL_NO}, status=honored"
    assert "set-cookie" not in answer.headers
    for silent in ("0", "", "null", "yes"):
        await door.get(DNT=silent)
        assert door.site.consent == f"{ALL_YES}, status=none", silent
    assert door.entries == before
    await door.get(DNT="0", **GPC)
    assert door.site.consent == f"{ALL_NO}, status=honored"
    assert b'kind="dnt"} 1.0' in door.metrics.text()


@pytest.mark.parametrize("values", [["1"], ["0", "1"], ["1", "0"], ["junk", "1"]], ids=repr)
@pytest.mark.parametrize("name", ["Sec-GPC", "sec-gpc", "SEC-GPC"])
async def test_one_field_of_several_is_enough_in_any_case_and_goes_on_as_it_came(door, name, values):
    await door.send([(name, value) for value in values])
    assert door.site.consent == f"{ALL_NO}, status=honored"
    assert door.site.got("sec-gpc") == values


@pytest.mark.parametrize("value", ["0", "", "true", '"1"', "01", "1.0", "1;p=2", "11, 0", "?1"], ids=repr)
async def test_any_other_value_is_as_if_the_header_were_not_there_and_an_odd_one_is_counted(door, value):
    await door.send([("Sec-GPC", value)])
    assert door.site.consent == f"{ALL_YES}, status=none"
    counted = b'malformed_signals_total{channel="gpc",reason="value"} 1.0' in door.metrics.text()
    assert counted is (value not in {"0", ""})


@pytest.mark.parametrize("value", ["1, 1", "0, 1", "1 ", "\t1"], ids=repr)
async def test_a_visitor_whose_value_was_folded_or_has_blanks_around_it_is_honored(door, value):
    for name in ("Sec-GPC", "DNT"):
        await door.send([(name, value)])
        assert door.site.consent == f"{ALL_NO}, status=honored"
    await door.send([("Sec-GPC", "0, 0"), ("DNT", " ")])
    assert door.site.consent == f"{ALL_YES}, status=none"  # control


async def test_a_page_load_with_blanks_around_its_mode_is_remembered(door):
    assert await remembered_by(door, "navigate ")
    assert not await remembered_by(door, "cors ")


async def remembered_by(door, mode):
    answer = await door.send([("Sec-GPC", "1"), ("Sec-Fetch-Mode", mode)])
    return "set-cookie" in answer.headers


@pytest.mark.slow
async def test_a_thousand_requests_with_the_signal_leave_one_entry_and_each_is_honored(door):
    before, cookie = door.entries, door.sealed(denied=frozenset())
    for _ in range(1000):
        await door.get(cookie=cookie, **GPC)
        assert door.site.consent == f"{ALL_NO}, status=honored"
    assert door.entries == before + 1


@pytest.mark.parametrize("dest", ["document", "iframe", "script", "image", "worker", "empty"])
async def test_every_part_of_a_page_is_heard_like_the_page(door, dest):
    await door.get(Sec_Fetch_Dest=dest, Sec_Fetch_Mode="no-cors", **GPC)
    assert door.site.consent == f"{ALL_NO}, status=honored"


async def test_the_signal_is_never_made_up_for_the_site(door):
    known = door.sealed(denied=frozenset())
    await door.get(cookie=known, **GPC)
    await door.get(cookie=known)
    assert door.site.consent == f"{ALL_NO}, status=honored"
    assert door.site.got("sec-gpc") == []


async def test_an_operator_may_have_the_site_told_by_header_what_is_on_record_and_nothing_else(house):
    door = Door(house, add_gpc=True)
    known = door.sealed(denied=frozenset())
    for silent in ({}, {"cookie": known}, {"DNT": "1"}, {"cookie": DEFAULT}, {"Sec_GPC": "0"}):
        await door.get(**silent)
        assert "1" not in door.site.got("sec-gpc"), silent
    for _ in range(2):
        await door.get(cookie=known, **GPC)
        assert door.site.got("sec-gpc") == ["1"]  # its own, and not twice
    for other in ([], [("Sec-GPC", "0")], [("Sec-GPC", "0"), ("sec-gpc", "?1")], [("Sec_GPC", "0")]):
        await door.send(other, cookie=known)
        assert door.site.got("sec-gpc") == ["1"], "in place of what was said instead"
        assert door.site.got("sec_gpc") == []


@pytest.mark.parametrize("header", ["X-AdChoices", "Cookie2"])
async def test_what_a_persons_adchoices_extension_sends_is_remembered(door, header):
    signal = write_adchoices(1_764_000_000, preference=0)
    answer = await door.send([(header, signal), ("Sec-Fetch-Mode", "navigate")])
    assert door.site.consent == f"{ALL_NO}, status=honored"
    assert door.opened(answer.headers["set-cookie"]).denied == set(AD_CHOICE_PURPOSES)


async def test_a_do_not_sell_cookie_stops_the_share_of_that_browser_and_its_account(house):
    door = Door(house, account=lambda _: "a1")
    await link(house, "a1", named("gaid", GAID))
    await door.get(cookie=f"usprivacy=1YYN; {door.sealed(denied=frozenset())}")
    for person in (named("account", "a1"), named("gaid", GAID)):
        found = verdict(house, person)
        assert (found.allowed, found.partly, found.reason) == (False, False, "opted_out"), person


# --- who is signed in --------------------------------------------------------------------------------------------


def by_callable(house):
    return Door(house, account=lambda _: "a1"), []


def by_state(house):
    door = Door(house)
    site = door.app

    async def framework(scope, receive, send):
        await site({**scope, "state": {"gateway_account": "a1"}}, receive, send)

    door.app = framework
    return door, []


def by_header(house):
    return Door(house), [("Gateway-Account", signed(house))]


def by_cookie(house):
    return Door(house), [("Cookie", f"gateway-account={signed(house)}")]


def signed(house, account="a1", seconds=60):
    return api_keys.assert_account(house.secrets.accounts[-1], account, int(time.time()) + seconds)


@pytest.mark.parametrize("way", [by_callable, by_state, by_header, by_cookie])
async def test_gpc_of_a_signed_in_person_denies_the_account_and_all_it_has(house, way):
    door, headers = way(house)
    await link(house, "a1", named("phone", phone(1)), named("gaid", GAID))
    before = door.entries
    for _ in range(3):
        await door.send([("Sec-GPC", "1"), *headers])
    assert door.entries == before + 1
    for person in (named("account", "a1"), named("phone", phone(1)), named("gaid", GAID)):
        found = verdict(house, person)
        assert (found.allowed, found.partly, found.reason) == (False, False, "opted_out"), person
    assert verdict(house, named("account", "a2")).reason != "opted_out"


async def test_a_second_browser_of_an_opted_out_person_is_told_no_without_gpc(house):
    door = Door(house, account=lambda _: "a1", enforce=True)
    await door.get(**GPC)
    answer = await door.get(cookie="other=browser", **NAVIGATE)
    assert door.site.consent == f"{ALL_NO}, status=honored"
    assert "content-security-policy" in answer.headers
    assert answer.headers["cache-control"] == "private, no-cache"


async def test_who_was_signed_in_until_a_moment_ago_gets_nothing_that_an_opt_out_forbids(house):
    """On a browser that we never saw: all that tells who it is there is the word that ran out."""
    door = Door(house, enforce=True)
    await door.get(Gateway_Account=signed(house), **GPC)
    for word in (signed(house), signed(house, seconds=-1)):
        answer = await door.get(Gateway_Account=word, **NAVIGATE)
        assert door.site.consent.startswith(ALL_NO)
        assert "content-security-policy" in answer.headers
        assert answer.headers["cache-control"] == "private, no-cache"
    before = door.entries
    await door.get(Gateway_Account=signed(house, "a2", -1), **GPC)
    assert door.entries == before
    assert verdict(house, named("account", "a2")).reason != "opted_out"


async def test_what_a_browser_said_before_sign_in_reaches_the_account_at_sign_in(house):
    anonymous, signed_in = Door(house), Door(house, account=lambda _: "a1")
    cookie = anonymous.sealed(denied=frozenset())
    await link(house, "a1", named("gaid", GAID))
    await anonymous.get(cookie=cookie, **GPC)
    assert verdict(house, named("gaid", GAID)).reason != "opted_out"
    await signed_in.get(cookie=cookie)
    assert verdict(house, named("gaid", GAID)).reason == "opted_out"


@pytest.mark.parametrize("forged", ["a1", "v1.a1.9999999999.", "v1.a1.9999999999." + "0" * 64])
async def test_an_unsigned_word_about_who_is_signed_in_opts_nobody_out_and_is_counted(house, forged):
    door = Door(house)
    before = door.entries
    await door.send([("Sec-GPC", "1"), ("Gateway-Account", forged)])
    assert door.site.consent.startswith(ALL_NO)  # this request is still honored
    assert door.entries == before
    assert verdict(house, named("account", "a1")).reason != "opted_out"
    assert b'malformed_signals_total{channel="account",reason="unsigned"} 1.0' in door.metrics.text()


# --- caches and the policy of delivery ---------------------------------------------------------------------------


def varies(answer) -> set[str]:
    return {name.strip() for value in answer.headers.get_list("vary") for name in value.split(",")}


async def test_every_page_varies_by_the_signal_and_keeps_what_the_site_said(house):
    door = Door(house, (b"vary", b"Accept-Encoding"), (b"cache-control", b"public, max-age=60"))
    for headers in ({}, GPC):
        answer = await door.get(**headers)
        assert {"Accept-Encoding", "Sec-GPC"} <= varies(answer)
        assert answer.headers["cache-control"] == "public, max-age=60"


@pytest.mark.parametrize(
    "way",
    [{"cookie": "usprivacy=1YYN"}, {"DNT": "1"}, *({name.decode(): write_adchoices(0, preference=0)} for name in adchoices.HEADERS)],
    ids=repr,
)  # fmt: skip
async def test_a_page_of_nobodys_is_kept_for_nobody_who_would_have_been_heard_by_another_header(house, way):
    door = Door(house)
    page = await door.get()
    assert (door.site.consent.endswith("status=none"), "private" in page.headers.get("cache-control", "")) == (
        True,
        False,
    )
    await door.get(**way)
    assert door.site.consent.endswith("status=honored")
    assert {name.lower() for name in way} <= {name.lower() for name in varies(page)}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ([], "private, no-cache"),
        ([(b"cache-control", b"public, max-age=60")], "private, no-cache"),
        ([(b"Cache-Control", b"s-maxage=60")], "private, no-cache"),
        ([(b"cache-control", b"no-store")], "no-store"),
        ([(b"cache-control", b"private, max-age=9")], "private, max-age=9"),
        ([(b"cache-control", b"private"), (b"cache-control", b"public")], "private, no-cache"),
    ],
)
async def test_no_shared_cache_keeps_a_page_that_one_persons_cookie_account_or_signal_made(house, said, kept):
    door = Door(house, *said)
    for way in ({"cookie": door.sealed()}, {**GPC, **NAVIGATE}):
        assert (await door.get(**way)).headers["cache-control"] == kept, way
    signed_in = Door(house, *said, account=lambda _: "a9")
    assert (await signed_in.get()).headers["cache-control"] == kept


@pytest.mark.parametrize(
    "way",
    [{"cookie": "usprivacy=1YYN"}, {"cookie": DEFAULT}, {"DNT": "1"}, {"X_AdChoices": write_adchoices(0, preference=0)}],
    ids=repr,
)  # fmt: skip
async def test_no_shared_cache_keeps_a_page_that_a_signal_beyond_the_header_had_a_part_in(house, way):
    door = Door(house, (b"cache-control", b"public, max-age=60"))
    assert (await door.get(**way)).headers["cache-control"] == "private, no-cache"
    for plain in ({}, GPC, {"cookie": "usprivacy=1YNN"}):
        assert (await door.get(**plain)).headers["cache-control"] == "public, max-age=60", plain


async def test_a_page_of_an_opted_out_person_may_talk_to_the_site_and_its_providers_only(house):
    door = Door(house, (b"content-security-policy", b"img-src *"), enforce=True, hosts=("pay.example",))
    for way in (GPC, {"cookie": door.sealed()}, {"cookie": "usprivacy=1YYN"}):
        own, ours = (await door.get(**way)).headers.get_list("content-security-policy")
        assert own == "img-src *"
        assert "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob: pay.example;" in ours
        assert "form-action 'self' pay.example" in ours


async def test_a_page_of_somebody_who_said_nothing_is_delivered_as_it_is(house):
    door = Door(house, enforce=True)
    assert "content-security-policy" not in (await door.get()).headers
    assert "content-security-policy" not in (await Door(house).get(**GPC)).headers


FAR = b"https://far.example.net/r"
SPEAKING = [
    (
        b"content-security-policy",
        b"img-src *; report-uri " + FAR + b" ; font-src *, Report-To far; media-src *;report-uri x",
    ),
    (b"Content-Security-Policy-Report-Only", b"img-src 'none'; report-uri " + FAR),
    (b"reporting-endpoints", b'default="' + FAR + b'"'),
    (b"report-to", b'{"group":"far","max_age":9,"endpoints":[]}'),
    (b"nel", b'{"report_to":"far","max_age":9}'),
    (b"speculation-rules", b'"' + FAR + b'"'),
    (b"x-dns-prefetch-control", b"on"),
    (b"link", b'<https://far.example.net>; rel="PreConnect", </x>;rel=canonical;title="a, b"'),
    (b"Link", b"<//far.example.net>;rel=dns-prefetch"),
]


@pytest.mark.parametrize("way", ["signal", "cookie"])
async def test_no_header_of_the_site_has_an_opted_out_persons_browser_speak_past_the_policy(house, way):
    door = Door(house, *SPEAKING, enforce=True)
    answer = await door.get(**(GPC if way == "signal" else {"cookie": door.sealed()}))
    assert b"far" not in b"".join(value for _, value in answer.headers.raw)
    own, ours = answer.headers.get_list("content-security-policy")
    assert own == "img-src *; font-src *, media-src *"
    assert "webrtc 'block'" in ours
    assert answer.headers.get_list("link") == ['</x>;rel=canonical;title="a, b"']
    assert (answer.headers["nel"], answer.headers["x-dns-prefetch-control"]) == ('{"max_age":0}', "off")
    assert answer.headers["report-to"] == '{"group":"default","max_age":0,"endpoints":[]}'
    for gone in ("content-security-policy-report-only", "reporting-endpoints", "speculation-rules"):
        assert gone not in answer.headers


async def test_what_the_site_says_to_others_browsers_is_left_alone(house):
    """Control, and whoever opted out where nothing is enforced."""
    for door, way in ((Door(house, *SPEAKING, enforce=True), {}), (Door(house, *SPEAKING), GPC)):
        said = (await door.get(**way)).headers.raw
        assert [(name, value) for name, value in said if (name, value) in SPEAKING] == SPEAKING


async def test_an_opted_out_persons_browser_is_given_no_early_hints(house):
    """They come before any policy does (RFC 8297)."""

    async def site(scope, receive, send):
        await send({"type": "http.response.early_hint", "links": [b"<https://far.example.net>; rel=preconnect"]})
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def told(*headers):
        heard = []

        async def send(message):
            heard.append(message["type"])

        door = Door(house, enforce=True)
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [*headers]}
        await ConsentMiddleware(site, door.visits)(scope, None, send)
        return heard

    assert await told((b"sec-gpc", b"1")) == ["http.response.start"]
    assert await told() == ["http.response.early_hint", "http.response.start"]


async def test_the_site_cannot_speak_in_the_gateways_name(house):
    door = Door(house, (b"gateway-request", b"1"), (b"Gateway_Consent", b"sale=?1"), (b"x-own", b"1"))
    answer = await door.get(**GPC)
    assert [name for name in answer.headers if name.startswith("gateway")] == []
    assert answer.headers["x-own"] == "1"


# --- everything that a site may do -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_request_of_any_method_is_heard(door, method):
    answer = await door.send([("Sec-GPC", "1")], method=method, content=b"body" if method == "POST" else None)
    assert answer.status_code == 200
    assert door.site.consent == f"{ALL_NO}, status=honored"
    assert "Sec-GPC" in varies(answer)


async def test_bodies_stream_through_untouched_in_both_directions(door):
    sent, received = [], []
    chunks = [b"a" * 10, b"", b"b" * 70_000, b"c"]

    async def receive():
        body = chunks[len(received)]
        received.append(body)
        return {"type": "http.request", "body": body, "more_body": len(received) < len(chunks)}

    async def send(message):
        sent.append((message, len(received)))

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"sec-gpc", b"1")]}
    await door.app(scope, receive, send)
    bodies = [(message["body"], at) for message, at in sent if message["type"] == "http.response.body"]
    assert bodies == [(chunks[0], 1), (chunks[1], 2), (chunks[2], 3), (chunks[3], 4), (b"", 4)]


async def test_a_websocket_of_a_person_with_gpc_is_heard_and_not_disturbed(house):
    seen = {}

    async def site(scope, receive, send):
        seen.update(scope)
        await send({"type": "websocket.accept", "headers": [(b"x-own", b"1")]})

    sent = []

    async def send(message):
        sent.append(message)

    visits = Visits(house.consent, Visitors(house.consent, place=lambda _: "US-CA"), Metrics())
    app = ConsentMiddleware(site, visits)
    await app(
        {"type": "websocket", "path": "/", "headers": [(b"sec-gpc", b"1"), (b"gateway-consent", b"x")]}, None, send
    )
    told = [value for name, value in seen["headers"] if name == b"gateway-consent"]
    assert told == [f"{ALL_NO}, status=honored".encode()]
    assert sent == [{"type": "websocket.accept", "headers": [(b"x-own", b"1")]}]


async def test_the_sites_own_start_and_stop_pass_through(house):
    seen = []

    async def site(scope, receive, send):
        seen.append(scope)

    scope = {"type": "lifespan"}
    await ConsentMiddleware(site, Visits(house.consent, Visitors(house.consent), Metrics()))(scope, None, None)
    assert seen == [scope]


# --- the store is away -------------------------------------------------------------------------------------------


async def test_while_the_store_is_away_every_visitor_counts_as_opted_out_and_the_site_answers(house, folder):
    door = Door(house, enforce=True)
    with inside.ledger_away(folder):
        deadline = time.monotonic() + 30
        while door.entries is not None and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        for way in ({}, GPC, {"cookie": door.sealed(denied=frozenset())}, {**GPC, "cookie": door.sealed()}):
            answer = await door.get(**way)
            assert answer.status_code == 200
            assert door.site.consent == f"{ALL_NO}, status=unknown", way
            assert "content-security-policy" in answer.headers, way
        found = verdict(house, named("gaid", GAID))
        assert (found.allowed, found.partly) == (False, False)
        assert found.reason in {"stale", "store_unavailable"}
    assert b'gateway_forms_refused_total{why="signal_not_kept"}' in door.metrics.text()


async def test_a_signal_that_could_not_be_kept_is_kept_at_the_next_request(house, folder):
    door = Door(house)
    cookie, before = door.sealed(denied=frozenset()), door.entries
    with inside.ledger_away(folder):
        await door.get(cookie=cookie, **GPC)
        assert (await door.get(cookie=cookie, **GPC)).status_code == 200
    deadline = time.monotonic() + 30
    while door.entries is None and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    await door.get(cookie=cookie, **GPC)
    assert door.entries == before + 1


async def test_a_browser_token_is_good_for_a_day_and_no_longer(folder):
    at = [datetime(2026, 6, 1, tzinfo=UTC)]
    migrate(folder)
    with open_house(folder, inside.settings(), dev=True, clock=lambda: at[0]) as house:
        door = Door(house)
        await door.get(cookie=door.sealed(), **GPC)
        (token,) = door.site.got("gateway-browser")
        at[0] += timedelta(hours=23)
        assert verdict(house, named("browser", token)).reason == "opted_out"
        at[0] += timedelta(hours=2)
        assert verdict(house, named("browser", token)).reason == "malformed"
