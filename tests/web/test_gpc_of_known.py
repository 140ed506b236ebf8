"""`[signals] record_gpc = "known"`: GPC of a browser that nothing but our sealed cookie names is left unwritten, and
every door denies by what cookie and tokens carry.
"""

import asyncio
import base64
import contextlib
import dataclasses
import json
import re
import time
from datetime import UTC, date, datetime

import pytest
from support import inside, opting_in
from support.door import Door, value_of
from support.people import gaid, named

from gateway.app.replica import _secrets as replica_secrets
from gateway.consent.asked import Ask
from gateway.consent.people import People
from gateway.keys import api_keys, seals
from gateway.settings.load import SettingsRefused
from gateway.signals.heard import Heard, Said
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Purpose, Source

pytestmark = pytest.mark.anyio
ALL_NO = "sale=?0, sharing=?0, targeted_ads=?0"
GPC, NAVIGATE = {"Sec-GPC": "1"}, {"Sec-Fetch-Mode": "navigate"}
VISIT = {**GPC, **NAVIGATE}
COOKIE = "__Host-gateway"
PLACE = "US-TX"  # nobody need be asked there
UID = {"site_ids": ["uid"]}


@pytest.fixture
def door(house):
    return Door(house, gpc_of_known=True)


@pytest.fixture
def sealing():
    return inside.secrets().seals


def cookie_of(answer) -> str:
    return value_of(answer.headers["set-cookie"])


def reason(house, *identifiers, **more):
    asked = Ask(("advertisers",), list(identifiers), "targeted_ads", ("ad_id",), place=PLACE, **more)
    return house.consent.checks.check(asked).verdicts["advertisers"].reason


def signs_in(house):
    return {"Gateway-Account": api_keys.assert_account(house.secrets.accounts[-1], "a1", int(time.time()) + 60)}


async def comes(door, cookie="", **headers):
    """A page load; the cookie that the browser has afterwards."""
    answer = await door.get(cookie=f"{COOKIE}={cookie}" if cookie else "", **{**NAVIGATE, **headers})
    return cookie_of(answer) if "set-cookie" in answer.headers else cookie


# --- a visit -------------------------------------------------------------------------------------------------------


async def test_no_visit_of_a_browser_that_our_cookie_alone_names_leaves_a_row_and_each_is_honored(door, house):
    before, cookie = door.entries, await comes(door, **GPC)
    for headers in (GPC, {}, GPC, GPC, {}):
        cookie = await comes(door, cookie, **headers)
        assert door.site.consent == f"{ALL_NO}, status=honored"
        (token,) = door.site.got("gateway-browser")
        assert reason(house, named("browser", token)) == "opted_out"
    assert reason(house, named("browser", cookie)) == "opted_out"
    assert door.entries == before
    assert door.metrics.counted()["honored_unwritten"] == {"gpc": 4}  # the first visit had no cookie


async def test_a_site_that_is_told_by_a_signal_of_ours_is_told_of_it_on_a_quiet_visit_too(house):
    told = {}
    for known in (True, False):
        door = Door(house, gpc_of_known=known, add_gpc=True)
        cookie = await comes(door, await comes(door, **GPC), **GPC)
        await comes(door, cookie)
        told[known] = door.site.got("sec-gpc")
    assert told == {True: ["1"], False: ["1"]}
    await comes(door, door.sealed(denied=frozenset()).partition("=")[2])
    assert door.site.got("sec-gpc") == []  # control


async def test_where_all_are_written_the_same_visits_leave_one_row(house):
    """Control of the one above."""
    door = Door(house)
    before, cookie = door.entries, await comes(door, **GPC)
    for headers in (GPC, {}, GPC):
        cookie = await comes(door, cookie, **headers)
    assert door.entries == before + 1
    assert not door.opened(f"x={cookie}").unwritten
    assert door.metrics.counted()["honored_unwritten"] == {"gpc": 1}


async def test_the_control_a_token_without_the_bits_is_found(door, house, monkeypatch):
    """What the first test asserts of each token does not hold where a token forgets what its cookie knew."""
    honest = seals.seal_browser
    monkeypatch.setattr(seals, "seal_browser", lambda *args, **_: honest(*args))
    cookie = await comes(door, **GPC)
    await comes(door, cookie, **GPC)
    (token,) = door.site.got("gateway-browser")
    assert reason(house, named("browser", token)) != "opted_out"


@pytest.mark.parametrize("headers", [VISIT, GPC], ids=["page", "fetch"])
async def test_an_id_that_was_handed_out_without_the_no_gets_it_written_so_that_no_older_name_of_it_allows(
    door, house, headers
):
    cookie = door.sealed(denied=frozenset())
    await door.get(cookie=cookie)
    (older,) = door.site.got("gateway-browser")
    before = door.entries
    await door.get(cookie=cookie, **headers)
    assert door.entries == before + 1
    for name in (older, cookie.partition("=")[2]):
        assert reason(house, named("browser", name)) == "opted_out"


async def test_pages_that_a_cache_keeps_leave_it_to_the_script_and_no_row(house):
    door = Door(house, gpc_of_known=True, cached=True)
    before, cookie = door.entries, await comes(Door(house, gpc_of_known=True), **GPC)
    assert await comes(door, cookie, **GPC) == cookie
    assert door.entries == before


async def test_what_was_set_before_the_option_is_brought_back_as_it_was(door):
    before = door.entries
    await door.get(cookie=door.sealed(), **NAVIGATE)
    assert door.entries == before + 1


@pytest.mark.parametrize(
    "cookie",
    ["usprivacy=1YYN", "OptanonConsent=isGpcEnabled=0&groups=C0001%3A1%2CC0004%3A0"],
)
async def test_another_signal_beside_it_is_written(door, cookie):
    mine, before = await comes(door, **GPC), door.entries
    await door.get(cookie=f"{cookie}; {COOKIE}={mine}", **VISIT)
    assert door.entries > before


async def test_a_browser_of_which_something_stands_on_record_is_written(door, house):
    """It may be somebody's account's: then the no is theirs, too."""
    cookie = await comes(door, **GPC)
    people = house.consent.people
    await house.consent.tie(people.account("a1"), people.name([named("browser", cookie)]).subjects)
    await comes(door, cookie, **GPC)
    assert reason(house, named("account", "a1")) == "opted_out"


async def test_where_browsers_are_remembered_by_a_flag_the_account_that_comes_with_it_is_written(house):
    door = Door(house, gpc_of_known=True, remember_gpc="flag")
    cookie = await comes(door, **GPC)
    await comes(door, cookie, **signs_in(house), **GPC)
    assert reason(house, named("account", "a1")) == "opted_out"


async def test_of_two_cookies_an_older_one_gets_no_mark_from_the_other(door, house, sealing):
    """Each of them renewed: the first one's browser may be known by names that say nothing."""
    older, left = door.sealed(days_ago=40, denied=frozenset()), await comes(door, **GPC)
    answer = await door.get(cookie=f"{older}; {COOKIE}={left}", **VISIT)
    renewed = seals.open_cookie(sealing, cookie_of(answer))
    assert (renewed.browser, renewed.unwritten) == (door.opened(older).browser, False)
    assert renewed.denied >= OUT


# --- whoever joins -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", [GPC, {}], ids=["gpc", "quiet"])
async def test_a_sign_in_gets_it_written_once_for_the_account_as_well(door, house, signal):
    cookie, before = await comes(door, **GPC), door.entries
    await comes(door, cookie, **GPC)
    assert door.entries == before
    assert reason(house, named("account", "a1")) != "opted_out"
    signed_in = {**signs_in(house), **signal}
    await comes(door, cookie, **signed_in)
    assert reason(house, named("account", "a1")) == "opted_out"
    written = door.entries
    for _ in range(3):
        await comes(door, cookie, **signed_in)
    assert door.entries == written


@pytest.mark.parametrize("signal", [GPC, {}], ids=["gpc", "quiet"])
async def test_an_id_of_the_site_gets_it_written_for_itself(house, signal):
    door = Door(house, gpc_of_known=True, visitors=UID)
    cookie, before = await comes(door, **GPC), door.entries
    await door.get(cookie=f"uid=u1; {COOKIE}={cookie}", **NAVIGATE, **signal)
    assert reason(house, {**named("cookie", "u1"), "source": "uid"}) == "opted_out"
    assert door.entries == before + 2


async def test_where_it_cannot_be_written_at_once_the_token_denies_and_the_next_visit_writes(door, house, folder):
    cookie, signed_in = await comes(door, **GPC), signs_in(house)
    with inside.ledger_away(folder):
        await comes(door, cookie, **signed_in)
    while house.consent.checks.position() is None:
        await asyncio.sleep(0.01)
    assert reason(house, named("browser", cookie)) == "opted_out"
    await comes(door, cookie, **signed_in)
    assert reason(house, named("account", "a1")) == "opted_out"


# --- the doors -----------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def site(folder, **more):
    configured = inside.settings(signals__record_gpc="known", **more)
    async with inside.application(folder, configured) as app, inside.client(app, **inside.DEV) as calling:
        yield calling


async def entries(calling):
    return (await calling.get("/readyz")).json()["ledger"]["entries"]


async def names_of(calling):
    """What a browser with GPC is named by: its cookie, the `ad_token` of the page, and the token that a site gets."""
    cookie = cookie_of(await calling.get("/privacy-choices/status", headers=GPC))
    sent = {"Cookie": f"{COOKIE}={cookie}"}
    status = await calling.get("/privacy-choices/status", headers={**sent, **GPC})
    handed = await calling.get("/authz/nginx", headers={**sent, **VISIT, "X-Original-URI": "/"})
    quiet = await calling.get("/authz/nginx", headers={**sent, **NAVIGATE, "X-Original-URI": "/"})
    return [cookie, status.json()["ad_token"], handed.headers["gateway-browser"], quiet.headers["gateway-browser"]]


async def reasons_of(calling, *identifiers):
    """By each door that takes a browser, why it says no."""
    check = {"recipient": "advertisers", "purpose": "targeted_ads", "data": ["ad_id"], "place": PLACE}
    asked = {**check, "identifiers": list(identifiers)}
    row = {"id": "r1", "identifiers": list(identifiers), "data": {"ad_id": gaid(9)}, "place": PLACE}
    batch = {"defaults": {**check, "identifiers": list(identifiers)}, "checks": [{"identifiers": []}]}
    observed = await calling.post("/v1/observe", json={"identifiers": list(identifiers), "place": PLACE})
    stands = {"identifiers": list(identifiers), "proof": {"kind": "desk", "note": "seen"}}
    shared = json.loads((await calling.post("/v1/shares/teemo?dry_run=1", json=row)).text.splitlines()[0])
    return {
        "check": (await calling.post("/v1/check", json=asked)).json()["reason"],
        "checks": (await calling.post("/v1/checks", json=[asked])).json()[0]["reason"],
        "defaults": (await calling.post("/v1/checks", json=batch)).json()[0]["reason"],
        "share": shared.get("reason"),
        "observe": observed.json()["standing"]["sale"],
        "standing": (await calling.post("/v1/standing", json=stands)).json()["standing"]["sale"],
    }


async def test_every_door_that_takes_a_browser_denies_by_its_token_alone_and_no_row_is_there(tmp_path):
    async with site(tmp_path / "data") as calling:
        before = await entries(calling)
        for name in await names_of(calling):
            found = await reasons_of(calling, named("browser", name))
            assert set(found.values()) == {"opted_out"}, found
            spelled = await calling.post("/v1/check", json={
                "identifiers": [named(" Browser ", name)], "recipient": "advertisers", "place": PLACE,
            })  # fmt: skip
            assert not spelled.json()["allowed"]
        assert await entries(calling) == before


async def test_the_control_a_browser_that_says_nothing_is_denied_by_none_of_them(tmp_path):
    async with site(tmp_path / "data") as calling:
        new = {**named("browser", "new"), "host": "www.example.com"}
        cookie = (await calling.post("/v1/observe", json={"identifiers": [new]})).json()["cookie"]["value"]
        found = await reasons_of(calling, named("browser", cookie))
        assert "opted_out" not in found.values(), found


async def test_a_check_of_somebody_else_is_denied_by_the_token_beside_them_and_writes_nothing(tmp_path):
    async with site(tmp_path / "data") as calling:
        name, before = (await names_of(calling))[1], await entries(calling)
        asked = {"identifiers": [named("gaid", gaid(1)), named("browser", name)], "recipient": "advertisers",
                 "purpose": "targeted_ads", "data": ["ad_id"], "place": PLACE}  # fmt: skip
        assert (await calling.post("/v1/check", json=asked)).json()["reason"] == "opted_out"
        alone = {**asked, "identifiers": [named("gaid", gaid(1))]}
        assert (await calling.post("/v1/check", json=alone)).json()["reason"] != "opted_out"  # control
        assert await entries(calling) == before


@pytest.mark.parametrize("path", ["/v1/observe", "/v1/links", "/v1/choices"])
async def test_the_first_call_that_names_anybody_beside_it_gets_it_written_for_all_of_them_once(tmp_path, path):
    async with site(tmp_path / "data") as calling:
        cookie, _, token, _ = await names_of(calling)
        account, browser, other = named("account", "a1"), named("browser", token), named("gaid", gaid(1))
        body = {
            "/v1/observe": {"identifiers": [account, browser, other]},
            "/v1/links": {"account": "a1", "identifiers": [browser, other]},
            "/v1/choices": {"identifiers": [account, browser, other], "choice": "limit"},
        }[path]
        before = await entries(calling)
        assert (await calling.post(path, json=body)).is_success
        for each in (account, other, browser):
            assert (await reasons_of(calling, each))["check"] == "opted_out", each
        written = await entries(calling)
        assert written > before
        again = {"identifiers": [account, named("browser", cookie)]}
        assert (await calling.post("/v1/observe", json=again)).is_success
        assert (await calling.post("/v1/observe", json=again)).is_success
        assert await entries(calling) == written


async def test_observed_alone_it_stays_unwritten_and_without_the_bits_it_is_written(tmp_path):
    async with site(tmp_path / "data") as calling:
        name, before = (await names_of(calling))[1], await entries(calling)
        body = {"identifiers": [named("browser", name)], "signals": {"gpc": "1"}}
        assert (await calling.post("/v1/observe", json=body)).json()["standing"]["sale"] == "opted_out"
        new = {**named("browser", "new"), "host": "www.example.com"}
        made = await calling.post("/v1/observe", json={"identifiers": [new], "signals": {"gpc": "1"}})
        assert (await reasons_of(calling, named("browser", made.json()["cookie"]["value"])))["check"] == "opted_out"
        assert await entries(calling) == before
        plain = (await calling.post("/v1/observe", json={"identifiers": [new]})).json()["cookie"]["value"]
        assert (await calling.post("/v1/observe", json={**body, "identifiers": [named("browser", plain)]})).is_success
        assert await entries(calling) == before + 1


async def test_a_choice_that_is_kept_takes_the_token_s_no_along_to_whom_it_names(tmp_path):
    async with site(tmp_path / "data") as calling:
        cookie, account = (await names_of(calling))[0], named("account", "a1")
        body = {"identifiers": [account, named("browser", cookie)], "choice": "limit"}
        with inside.ledger_away(tmp_path / "data"):
            assert (await calling.post("/v1/choices", json=body)).status_code == 202
        for _ in range(200):
            if (await reasons_of(calling, account))["check"] not in {"store_unavailable", "stale"}:
                break
            await asyncio.sleep(0.05)
        assert (await reasons_of(calling, account))["check"] == "opted_out"


async def test_an_explanation_of_another_moment_obeys_the_token_as_the_check_did(tmp_path):
    async with site(tmp_path / "data") as calling:
        cookie = (await names_of(calling))[0]
        asked = {"identifiers": [named("browser", cookie)], "recipient": "advertisers", "purpose": "targeted_ads",
                 "data": ["ad_id"], "place": PLACE}  # fmt: skip
        for more in ({}, {"at": datetime.now(UTC).isoformat()}):
            assert (await calling.post("/v1/explain", json=asked | more)).json()["reason"] == "opted_out"


# --- the person ----------------------------------------------------------------------------------------------------


async def test_the_page_says_that_it_is_honored_and_offers_no_receipt(tmp_path):
    async with site(tmp_path / "data") as calling:
        cookie = (await names_of(calling))[0]
        page = await calling.get("/privacy-choices", headers={"Cookie": f"{COOKIE}={cookie}"})
        assert "Opt-Out Request Honored" in page.text
        assert "receipt" not in page.text.lower()
        status = (await calling.get("/privacy-choices/status", headers={"Cookie": f"{COOKIE}={cookie}"})).json()
        assert status["status"] == "opted_out"
        assert re.fullmatch(r"2027-\d\d-\d\dT00:00:00Z", status["may_ask_from"]["sale"])
        assert status["may_ask_from"]["sensitive"] is None


async def test_a_yes_on_the_page_afterwards_opens_as_it_does_where_it_was_written(tmp_path):
    """R9: what the browser did not say yes to stays closed, and GPC that is heard later is written."""
    answers = {}
    for mode in ("all", "known"):
        async with opting_in.standing(tmp_path / mode, signals__record_gpc=mode) as there:
            browser = there.browser()
            for headers in (GPC, GPC, {}):
                browser.headers |= headers
                await browser.get("/privacy-choices/status")
            browser.headers.pop("Sec-GPC")
            assert (await browser.opts_in(what="targeted_ads")).status_code == 200
            before = await there.entries()
            asked = [
                await there.sale(named("browser", browser.jar[COOKIE]), purpose=purpose, recipient=recipient)
                for purpose, recipient in (("targeted_ads", "advertisers"), ("sale", "teemo"))
            ]
            status = (await browser.get("/privacy-choices/status")).json()
            answers[mode] = (asked, status["purposes"], status["status"])
            browser.headers |= GPC
            await browser.get("/privacy-choices/status")
            answers[mode] += (await there.entries() - before,)
            assert await there.sale(named("browser", browser.jar[COOKIE])) == "opted_out"
    assert answers["known"] == answers["all"]
    assert answers["all"][0][0] != "opted_out"


async def test_a_yes_by_a_call_puts_on_record_what_the_token_alone_said_before_it(tmp_path):
    """Else a second yes, after which the cookie is a new one, would leave the third purpose denied by nothing."""
    answers = {}
    for mode in ("all", "known"):
        async with opting_in.standing(tmp_path / mode, signals__record_gpc=mode) as there:
            browser = there.browser()
            for headers in (GPC, GPC):
                browser.headers |= headers
                await browser.get("/privacy-choices/status")
            browser.headers.pop("Sec-GPC")
            cookie = browser.jar[COOKIE]
            first, second = [
                {"sha256": item["sha256"]}
                for kind in ("opt-in", "confirm")
                for item in (await there.calling.get("/v1/self", headers=inside.DEV)).json()["notices"]
                if (item["kind"], item["language"]) == (kind, "en")
            ]
            proof = {"proof": {"kind": "browser", "cookie": cookie}}
            act = {"choice": "opt_in", "purposes": ["sale"], "identifiers": [named("browser", cookie)]}
            asked = await there.call("/v1/choices", **act, **proof, notice=first)
            await there.call("/v1/choices", choice="confirm", confirm=asked["confirm"], **proof, notice=second)
            assert (await browser.opts_in(what="sharing")).status_code == 200
            mine = named("browser", browser.jar[COOKIE])
            answers[mode] = [
                await there.sale(mine, purpose=purpose, recipient=to)
                for purpose, to in (("targeted_ads", "advertisers"), ("sale", "teemo"))
            ]
    assert answers["known"] == answers["all"]
    assert answers["all"][0] == "opted_out"


async def test_a_form_that_is_kept_leaves_the_no_in_the_cookie_until_it_is_entered(tmp_path, sealing):
    async with site(tmp_path / "data") as calling:
        cookie = (await names_of(calling))[0]
        sent = {"Cookie": f"{COOKIE}={cookie}", "Sec-Fetch-Site": "same-origin"}
        with inside.ledger_away(tmp_path / "data"):
            done = await calling.post("/privacy-choices", data={"action": "opt_out"}, headers=sent)
        assert done.status_code == 202
        assert seals.open_cookie(sealing, cookie_of(done)).unwritten


async def test_a_form_that_limits_leaves_the_no_in_the_cookie_and_one_that_opts_out_is_on_record(tmp_path, sealing):
    async with site(tmp_path / "data") as calling:
        cookie = (await names_of(calling))[0]
        for action, unwritten in (("limit", True), ("opt_out", False)):
            sent = {"Cookie": f"{COOKIE}={cookie}", "Sec-Fetch-Site": "same-origin"}
            done = await calling.post("/privacy-choices", data={"action": action}, headers=sent)
            cookie = cookie_of(done)
            assert seals.open_cookie(sealing, cookie).unwritten is unwritten
            assert (await reasons_of(calling, named("browser", cookie)))["check"] == "opted_out"


async def test_what_we_hold_of_it_says_that_it_is_out(tmp_path):
    async with site(tmp_path / "data") as calling:
        cookie = (await names_of(calling))[0]
        proof = {"kind": "browser", "cookie": cookie}
        told = await calling.post("/v1/standing", json={"identifiers": [named("browser", cookie)], "proof": proof})
        assert told.json()["standing"]["sale"] == "opted_out"
        mine = [each for each in told.json()["still_out"] if each["purpose"] == "sale"]
        assert mine == [{"purpose": "sale", "where": "this", "ends_by": "browser"}]
        assert told.json()["may_ask_from"]["sale"]
        asked = {"identifiers": [named("browser", cookie)], "proof": proof}
        report = (await calling.post("/v1/access", json=asked)).json()
        assert '"sale":"opted_out"' in str(report).replace("'", '"').replace(" ", "")


def test_beside_a_site_that_remembers_nothing_the_start_refuses_it_and_says_why():
    today = date(2026, 11, 30)
    with pytest.raises(SettingsRefused, match=r"(?i)record_gpc.*leaves it to our cookie"):
        inside.settings(signals__record_gpc="known", browser__remember_gpc="off").refuse_on(today)
    for how in ("id", "flag"):
        inside.settings(signals__record_gpc="known", browser__remember_gpc=how).refuse_on(today)


def test_a_replica_which_opens_no_token_names_nobody_by_it_and_so_denies():
    token = seals.seal_browser(KEYS, b"b" * 16, 2**40, unwritten=True)
    people = People(replica_secrets((b"p" * 32,)), lambda: datetime.now(UTC))
    named_ = people.name([named("browser", token)])
    assert (named_.malformed, named_.limited) == (True, True)


# --- seals ---------------------------------------------------------------------------------------------------------


KEYS = [b"k" * 32]
OUT = frozenset(SIGNAL_PURPOSES)


def test_what_was_sealed_before_opens_and_says_nothing_of_its_own():
    assert seals.open_browser(KEYS, seals.seal_browser(KEYS, b"b" * 16, 10), 1) == ((b"b" * 16).hex(), False)
    before = seals.COOKIE_FORM.pack(1, 20_000, 0b010101, b"b" * 16)
    opened = seals.open_cookie(KEYS, seals.seal_text(KEYS, seals.COOKIE, before))
    assert (opened.denied >= {Purpose.SALE}, opened.unwritten) == (True, False)


@pytest.mark.parametrize("denied", [frozenset(), frozenset({Purpose.SALE}), OUT, OUT | {Purpose.SENSITIVE}], ids=len)
@pytest.mark.parametrize("unwritten", [True, False])
def test_a_cookie_and_a_token_bring_it_back_in_the_size_that_they_had(denied, unwritten):
    kept = seals.BrowserCookie(b"b" * 16, 20_000, denied | (OUT if unwritten else frozenset()), unwritten=unwritten)
    sealed = seals.seal_cookie(KEYS, kept)
    assert seals.open_cookie(KEYS, sealed) == kept
    assert seals.SHAPE.fullmatch(sealed)
    token = seals.seal_browser(KEYS, b"b" * 16, 10, unwritten=unwritten)
    assert seals.open_browser(KEYS, token, 1).unwritten is unwritten
    assert len(token) == len(seals.seal_browser(KEYS, b"b" * 16, 10))


def test_a_version_that_knew_no_such_cookie_reads_the_no_and_brings_it_back():
    """Its way to read: either of a purpose's two bits is a no."""
    sealed = seals.seal_cookie(KEYS, seals.BrowserCookie(b"b" * 16, 20_000, OUT, unwritten=True))
    _, _, bits, _ = seals.open_form(KEYS, seals.COOKIE, sealed, seals.COOKIE_FORM)
    assert {purpose for index, purpose in enumerate(CHOOSABLE) if bits >> 2 * index & 3} == OUT


def test_a_token_of_which_one_bit_is_another_is_nobodys():
    token = seals.seal_browser(KEYS, b"b" * 16, 10, unwritten=True)
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for at in range(len(raw)):
        turned = bytes([*raw[:at], raw[at] ^ 1, *raw[at + 1 :]])
        with pytest.raises(seals.OpeningFailed):
            seals.open_browser(KEYS, base64.urlsafe_b64encode(turned).rstrip(b"=").decode(), 1)


async def test_a_token_that_was_altered_never_allows(door, house):
    await comes(door, await comes(door, **GPC), **GPC)
    (token,) = door.site.got("gateway-browser")
    for altered in (token[:-1] + ("A" if token[-1] != "A" else "B"), token[1:], "A" * len(token)):
        assert reason(house, named("browser", altered)) in {"malformed", "limited"}


def test_what_is_gpc_alone():
    gpc = Heard((Said(Source.GPC, OUT),))
    assert gpc.is_gpc_alone
    assert not gpc.beside(Heard((Said(Source.US_PRIVACY, OUT),))).is_gpc_alone
    assert not dataclasses.replace(gpc, ended=frozenset({"x"})).is_gpc_alone
    assert not Heard().is_gpc_alone
