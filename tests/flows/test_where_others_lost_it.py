"""Where others lost a person's no in public: what happened to somebody there does not happen here. Each test names the
thread it is from. Through the whole application; where another process is what mattered there, through another process.
"""

import asyncio
import json
import re
from datetime import UTC, datetime
from importlib import resources

import pytest
import time_machine
from support import inside
from support.door import Door
from support.opting_in import standing
from support.people import gaid, named
from support.service import service
from support.wire import call

from gateway.app.replica import Replica
from gateway.choice.downstream import Outcome, strings
from gateway.cli import main
from gateway.consent.asked import Ask
from gateway.keys import seals
from gateway.terms import SIGNAL_PURPOSES
from gateway.web.shell.own_cookies import BROWSER_COOKIE

pytestmark = pytest.mark.anyio
GPC = {"Sec-GPC": "1"}
PLACE = "US-NY"  # where whoever said nothing may be sent to
EID, ANOTHER = "id-of-a-person-at-a-partner", "id-of-another-person"
NATIONAL = "DBABLA~CVVVAAEAAACA.QA"


def bid(*ids, regs=None, at="ext", place=("USA", "NY")):
    """A bid request with a person's ids at a partner: in 2.6's place, or in 2.5's."""
    eids = [{"source": "pubcid.org", "uids": [{"id": each, "atype": 1}]} for each in ids]
    user = {"eids": eids} if at == "user" else {"ext": {"eids": eids}}
    country, region = place
    return {
        "id": "1",
        "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}],
        "site": {"page": "https://example.com/"},
        "device": {"ua": "UA", "geo": {"country": country, "region": region}},
        "user": user,
        "regs": regs or {},
    }


async def auction(keyed, body):
    """What leaves, as text."""
    headers = {"Content-Type": "application/json"}
    answer = await keyed.post("/v1/openrtb?recipient=advertisers", content=json.dumps(body), headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


async def opt_out(keyed, *identifiers):
    answer = await keyed.post("/v1/choices", json={"identifiers": list(identifiers), "choice": "opt_out"})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def may_go(keyed, *identifiers, **more):
    """Whether an ad id may be sent with somebody's data."""
    body = {"identifiers": list(identifiers), "recipient": "advertisers", "data": ["ad_id"], "place": PLACE, **more}
    answer = (await keyed.post("/v1/check", json=body)).json()
    return answer["allowed"] or answer["partly"]


async def entries(client):
    return (await client.get("/readyz")).json()["ledger"]["entries"]


async def new_browser(keyed):
    """The cookie of a browser that the site's server asked for."""
    body = {"identifiers": [{**named("browser", "new"), "host": "www.example.com"}], "place": PLACE}
    return (await keyed.post("/v1/observe", json=body)).json()["cookie"]["value"]


# --- an auction that passed ids on (IABTechLab/trusted-server #680, prebid/Prebid.js #14942) ------------------------


@pytest.mark.parametrize("at", ["user", "ext"])
@pytest.mark.parametrize(
    "regs", [{"ext": {"gpc": "1"}}, {"gpc": 1}, {"us_privacy": "1YYN"}, {"ext": {"us_privacy": "1YYN"}}, None], ids=repr
)
async def test_ids_that_a_page_sent_along_do_not_leave_in_the_auction_of_somebody_who_said_no(keyed, regs, at):
    """trusted-server #680: `/auction` denied the identity of its own and forwarded the client's EIDs all the same."""
    if regs is None:
        await opt_out(keyed, {"type": "eid", "source": "pubcid.org", "value": EID})
    assert EID not in await auction(keyed, bid(EID, ANOTHER, regs=regs, at=at))
    assert ANOTHER not in await auction(keyed, bid(EID, ANOTHER, regs=regs, at=at)), (
        "the other's is hers too, in this request"
    )
    assert ANOTHER in await auction(keyed, bid(ANOTHER, at=at)), "control: whoever said nothing"


@pytest.mark.parametrize("at", ["user", "ext"])
@pytest.mark.parametrize("state", ["CA", "UT", "TX", "FL", "MN", "NY"])
async def test_ids_that_an_older_prebid_left_in_do_not_leave(keyed, state, at):
    """Prebid.js #14942: until May 2026 its control modules read the no in the string and never asked it about EIDs."""
    out = strings(Outcome(frozenset(SIGNAL_PURPOSES), frozenset({f"US-{state}"})))
    free = strings(Outcome(frozenset(), frozenset({"US-NY"})))
    for regs in (
        {"gpp": out.gpp, "gpp_sid": out.gpp_sid},
        {"ext": {"gpp": out.gpp, "gpp_sid": out.gpp_sid}},
        {"gpp": out.gpp},
    ):
        assert EID not in await auction(keyed, bid(EID, regs=regs, at=at, place=("USA", state)))
    allowed = bid(EID, regs={"gpp": free.gpp, "gpp_sid": free.gpp_sid}, at=at)
    assert EID in await auction(keyed, allowed), "control: a string that says no to nothing"


# --- bidders' own cookies (prebid/Prebid.js #14955) -----------------------------------------------------------------


async def test_a_page_of_somebody_who_said_no_asks_no_bidder_that_knows_her_by_its_cookie(house):
    """Where the site enforces, whatever Prebid.js does: the browser sends nothing to hosts of third parties."""
    door = Door(house, enforce=True)
    policy = (await door.get(**GPC)).headers["content-security-policy"]
    sources = dict(part.split(" ", 1) for part in policy.split("; "))
    assert re.fullmatch(r"'self'[^*]*", sources["default-src"])
    assert not re.search(r"https?:|//|\*", sources["default-src"])
    assert "connect-src" not in sources or "https:" not in sources["connect-src"]
    assert "content-security-policy" not in (await door.get()).headers, "control: whoever said nothing"


def test_the_operator_without_that_policy_is_told_how_to_keep_the_cookies_back():
    """What the line does is looked at in tests/browser/test_bidders_in_chromium.py."""
    text = (resources.files("gateway") / "recipes" / "prebid.html").read_text()
    [restricted] = re.findall(r"const (\w+) = \[[^\]]*\"accessRequestCredentials\"", text)
    assert f"mspa: {{ restrictActivities: {restricted} }}" in text
    assert "gateway recipe prebid" in (resources.files("gateway") / "manual" / "script.md").read_text()


# --- a withdrawal that was looked up and not found (IABTechLab/trusted-server #885) ----------------------------------


async def test_a_no_of_somebody_whom_a_look_a_moment_ago_did_not_find_is_kept(client, keyed):
    """#885: a request that had read `Missing` took it for final, dropped the cookie and wrote nothing."""
    people = [named("account", f"a{number}") for number in range(20)]
    assert all(await asyncio.gather(*(may_go(keyed, person) for person in people))), (
        "nobody is known here, all are looked for"
    )

    async def one(person):
        looked = asyncio.create_task(may_go(keyed, person))
        await opt_out(keyed, person)
        denied = not await may_go(keyed, person)
        await looked
        return denied

    assert all(await asyncio.gather(*map(one, people)))
    assert not any(await asyncio.gather(*(may_go(keyed, person) for person in people)))


async def test_a_no_from_a_browser_that_was_given_its_id_a_moment_ago_is_kept(client, keyed):
    """The id was issued and handed to a partner, and nobody had read it yet."""
    cookie = await new_browser(keyed)
    browser = named("browser", cookie)
    assert await may_go(keyed, browser)
    answer = await client.post(
        "/privacy-choices", data={"action": "opt_out"}, headers={"Cookie": f"{BROWSER_COOKIE}={cookie}"}
    )
    assert answer.status_code == 303
    assert not await may_go(keyed, browser)


@pytest.mark.slow
def test_a_copy_that_looked_and_found_nobody_denies_from_the_acknowledgement_on(tmp_path, capsys):
    """#885 with the eventually consistent copy in it: a process beside the ad server that has just said "may go"."""
    with service(tmp_path) as gateway:
        file = tmp_path / "bidder.enrolment"
        with pytest.raises(SystemExit):
            main(["replica", "enrol", "bidder", "--data", str(gateway.data), "--out", str(file)])
        enrolled = seals.open_enrolment(file.read_text(), capsys.readouterr().out.strip())
        with Replica(gateway.url, tmp_path / "copy", enrolled, inside.settings(), dev=True) as copy:

            def goes(number):
                ask = Ask(("advertisers",), (named("gaid", gaid(number)),), data=("ad_id",), place=PLACE)
                return copy.check(ask).verdicts["advertisers"].allowed

            for number in range(8):
                looked = [goes(number) for _ in range(200)]  # until the copy is fresh, nobody may go
                status, _ = call(
                    f"{gateway.url}/v1/choices", {"identifiers": [named("gaid", gaid(number))], "choice": "opt_out"}
                )
                assert (status, goes(number)) == (201, False)
            assert looked[-1], "control: the copy lets go whom it does not know"


# --- ids that were never given out (IABTechLab/trusted-server #1113, #1116) ------------------------------------------


async def test_a_strangers_made_up_browsers_are_nobodys_no_and_leave_no_trace(client, keyed):
    """#1116: a withdrawal wrote a row for whatever id the request's cookie named; each variation was another row."""
    cookie = await new_browser(keyed)
    before = await entries(client)
    forged = [cookie[:-6] + f"{number:06d}" for number in range(30)] + ["forged", "0" * len(cookie), cookie[:40]]
    for value in forged:
        answer = await client.get("/privacy-choices/status", headers={"Cookie": f"{BROWSER_COOKIE}={value}"})
        assert answer.status_code == 200
    assert await entries(client) == before
    assert await may_go(keyed, named("browser", cookie)), "whose cookie it is made like has said nothing"


async def test_a_strangers_opt_outs_of_invented_ids_stop_nobody_elses_and_cost_one_entry_each(client, keyed):
    """#1113. They are kept, for the reason of the next test; that is what a flood costs (gateway help speed)."""
    friend = named("gaid", gaid(1000))
    before = await entries(client)
    for number in range(20):
        await opt_out(keyed, named("gaid", gaid(number)))
    assert await entries(client) == before + 20
    assert await may_go(keyed, friend)


async def test_a_no_for_an_id_that_nobody_here_had_ever_seen_holds_once_it_is_seen(client, keyed):
    """#1113: what is ignored as unknown may be somebody's real one, of yesterday, or of another of the operator's
    apps."""
    told = await opt_out(keyed, named("gaid", gaid(7)))
    assert told["standing"]["sale"] == "opted_out"
    seen = {"identifiers": [named("gaid", gaid(7)), named("account", "a7")], "place": PLACE}
    assert (await keyed.post("/v1/observe", json=seen)).status_code in {200, 201}
    assert not await may_go(keyed, named("gaid", gaid(7)))


# --- the same no, many times (IABTechLab/trusted-server #901) ---------------------------------------------------------


@pytest.mark.slow
async def test_a_page_that_asks_for_forty_things_at_once_says_one_no(client, keyed):
    """#901: each request of a burst rewrote the withdrawal, and began its time anew."""
    cookie = await new_browser(keyed)
    asked = {"Cookie": f"{BROWSER_COOKIE}={cookie}", **GPC}
    before = await entries(client)
    answers = await asyncio.gather(*(client.get("/privacy-choices/status", headers=asked) for _ in range(40)))
    assert {answer.json()["status"] for answer in answers} == {"opted_out"}
    assert await entries(client) == before + 1
    quiet = {"Cookie": f"{BROWSER_COOKIE}={cookie}"}
    first = (await client.get("/privacy-choices/status", headers=quiet)).json()
    await asyncio.gather(*(client.get("/privacy-choices/status", headers=asked) for _ in range(40)))
    assert (await client.get("/privacy-choices/status", headers=quiet)).json()["may_ask_from"] == first["may_ask_from"]
    assert not await may_go(keyed, named("browser", cookie))


async def test_a_no_does_not_run_out(tmp_path):
    """There a withdrawal was forgotten after 24 hours, so that to write it anew seemed of use."""
    async with standing(tmp_path / "data") as site:
        browser = site.browser()
        await browser.opts_out()
        person = named("browser", browser.jar[BROWSER_COOKIE])
        for days in (1, 2, 366):
            site.clock.later = site.clock.later.__class__(days=days)
            assert await site.sale(person) == "opted_out"


# --- an identity that scripts must not read (IABTechLab/trusted-server #997) -----------------------------------------


def words(text):
    """Whatever in a text is long enough to be somebody's id."""
    return set(re.findall(r"[A-Za-z0-9_+/=.~-]{12,}", text))


async def test_nothing_that_a_pages_script_can_read_is_the_same_at_two_visits_of_one_browser_only(
    client, keyed, tmp_path, app
):
    """#997: the id of the HttpOnly cookie stood in the page as the auction's id, the same at every auction."""
    one, other = [await new_browser(keyed) for _ in range(2)]

    async def readable(cookie):
        headers = {"Cookie": f"{BROWSER_COOKIE}={cookie}"}
        seen = [
            await client.get(path, headers=headers) for path in ("/privacy-choices/status", "/privacy-choices", "/demo")
        ]
        seen.append(
            await client.post(
                "/privacy-choices/observe", json={}, headers={**headers, "Origin": "http://127.0.0.1:8080"}
            )
        )
        return set().union(*(words(answer.text) for answer in seen))

    with time_machine.travel(datetime.now(UTC), tick=False):  # a form's token has its second, whoever looks
        first, second, strangers = await readable(one), await readable(one), await readable(other)
    assert (first & second) - strangers == set(), "what is of this browser alone, and stays"
    assert not any(one in text or text in one for text in first if len(text) > 20)
    assert len(first - second) > 0, "control: the tokens were read"


async def test_an_ad_token_is_not_the_cookie_and_can_do_nothing_in_its_place(client, keyed):
    """#997: what stood in the page could be sent back as the cookie."""
    cookie = await new_browser(keyed)
    headers = {"Cookie": f"{BROWSER_COOKIE}={cookie}"}
    tokens = [(await client.get("/privacy-choices/status", headers=headers)).json()["ad_token"] for _ in range(2)]
    assert tokens[0] != tokens[1]
    for token in tokens:
        thief = {"Cookie": f"{BROWSER_COOKIE}={token}"}
        assert (await client.get("/privacy-choices/status", headers=thief)).json()["ad_token"] is None
        await client.post("/privacy-choices", data={"action": "opt_out"}, headers=thief)
    assert await may_go(keyed, named("browser", cookie)), "nobody but she chooses for her browser"


async def test_an_auctions_ids_are_the_callers_own(keyed):
    """#997: there the request's id was made from the person's."""
    cookie = await new_browser(keyed)
    sent = await auction(keyed, bid(ANOTHER))
    assert json.loads(sent)["id"] == "1"
    assert cookie not in sent


# --- a yes that a page's script made up (FAZ Cookie Manager #285, #283) ----------------------------------------------

MADE_UP = "; ".join(
    [
        "fazcookie-consent=consentid:x%2Cconsent:yes%2Caction:yes%2Cmarketing:yes%2Csvc.ads:yes%2Cgpcx.ads:1",
        "OptanonConsent=groups=C0001:1%2CC0004:1%2CSPD_BG:1&interactionCount=1",
        "usprivacy=1YNN",
        f"gpp={NATIONAL[:-3]}.QA",
        "Gateway-Consent=sale=?1",
        "gateway_opt_in=1",
    ]
)


@pytest.mark.parametrize("how", ["cookies", "observe", "form", "headers", "call"])
async def test_a_script_of_the_page_cannot_say_that_she_accepted_in_spite_of_her_signal(client, keyed, how):
    """#285: two words in a cookie that any script of the page can write let a service through, and the log had her say
    so."""
    cookie = await new_browser(keyed)
    asked = {"Cookie": f"{BROWSER_COOKIE}={cookie}", **GPC}
    yes = {"gpp": strings(Outcome(frozenset(), frozenset({"US-CA"}))).gpp, "us_privacy": "1YNN"}
    if how == "cookies":
        asked["Cookie"] += f"; {MADE_UP}"
    elif how == "headers":
        asked |= {"Gateway-Consent": "sale=?1, sharing=?1, targeted_ads=?1, status=none", "Gateway-Browser": cookie}
    elif how == "observe":
        own = {**asked, "Origin": "http://127.0.0.1:8080"}
        told = (await client.post("/privacy-choices/observe", json={"gpc": False, **yes}, headers=own)).json()
        assert told["status"] == "opted_out"
    elif how == "form":
        for action in ("opt_in", "confirm"):
            await client.post(
                "/privacy-choices", data={"action": action, "purpose": "sale", "confirm": "1"}, headers=asked
            )
    else:
        await client.post(
            "/v1/choices", json={"identifiers": [named("browser", cookie)], "choice": "opt_in"}, headers=asked
        )
    told = (await client.get("/privacy-choices/status", headers=asked)).json()
    assert (told["status"], told["purposes"]["sale"], told["purposes"]["targeted_ads"]) == ("opted_out",) * 3
    await client.get("/demo", headers=asked)
    assert not await may_go(keyed, named("browser", cookie), signals={"gpc": "1", **yes})


async def test_a_yes_that_was_really_given_is_no_excuse_for_a_signal_that_is_said_later(tmp_path):
    """#283: an exception that outlives its signal would pre-excuse a service from a no that is said later."""
    async with standing(tmp_path / "data") as site:
        browser = site.browser()
        await browser.opts_out()
        await browser.opts_in(what="targeted_ads")
        person = named("browser", browser.jar[BROWSER_COOKIE])
        assert await site.sale(person) == "opted_in", "control: her own yes, in two steps, with her signal off"
        for signal, purpose in (({"gpc": "1"}, "gpc"), ({}, "opted_out")):
            browser.headers |= {"Sec-GPC": "1"} if signal else {}
            assert (await browser.get("/privacy-choices/status")).json()["status"] == "opted_out"
            assert await site.sale(named("browser", browser.jar[BROWSER_COOKIE]), signals=signal) in {
                purpose,
                "opted_out",
            }
            browser.headers.pop("Sec-GPC", None)
        assert await site.sale(named("browser", browser.jar[BROWSER_COOKIE])) == "opted_out", (
            "and off again it stays a no"
        )


# --- a visitor who signed in (c15t #868, #940)
# -------------------------------------------------------------------------


async def test_who_said_no_as_a_visitor_and_then_signs_in_is_known_by_both_names(client, keyed):
    """c15t #868, #940: to link a consent to the account replaced the visitor's id and kept no alias."""
    cookie = await new_browser(keyed)
    visitor, account = named("browser", cookie), named("account", "a1")
    await opt_out(keyed, visitor)
    tied = await keyed.post("/v1/observe", json={"identifiers": [visitor, account], "place": PLACE})
    assert tied.status_code in {200, 201}
    for name in (visitor, account):
        assert not await may_go(keyed, name)
    [said] = (await keyed.post("/v1/access", json={"identifiers": [visitor]})).json()["entries"]
    assert (said["type"], said["what"]) == ("browser", "opt_out"), "what she said before is in a report still"
    [held] = (await keyed.post("/v1/access", json={"identifiers": [account]})).json()["standing"]
    assert held["purposes"]["sale"] == "opted_out"


async def test_whoever_signs_in_next_at_that_browser_takes_nothing_of_hers_away(client, keyed):
    """The same browser, another account: both names of the first keep what was said, and hers is not his history."""
    cookie = await new_browser(keyed)
    visitor, hers, his = named("browser", cookie), named("account", "a1"), named("account", "a2")
    await keyed.post("/v1/observe", json={"identifiers": [visitor, hers], "place": PLACE})
    await opt_out(keyed, hers)
    await keyed.post("/v1/observe", json={"identifiers": [visitor, his], "place": PLACE})
    for name in (visitor, hers):
        assert not await may_go(keyed, name)
    [said] = (await keyed.post("/v1/access", json={"identifiers": [hers]})).json()["entries"]
    assert (said["type"], said["what"]) == ("account", "opt_out")
    found = (await keyed.post("/v1/access", json={"identifiers": [his]})).json()["entries"]
    assert "account" not in {each["type"] for each in found}
