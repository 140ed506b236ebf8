"""What leaves a page with Prebid.js, four bidders of the market and ids of a person, once the person said no: no id, in
whichever state, for the strings say so in sections that Prebid.js reads. The browser's own Global Privacy Control says
the no; the bidders' hosts are stood in for, over TLS, and keep what comes. The site's own policy is off: here the
string alone has to do it.
"""

import contextlib
import json
import os
import shutil
import sys
import time
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support import chromium as installed
from support import forked, inside, node
from support.bidders import bidders
from support.chromium import comes_to
from support.pages_with_script import PATIENT, PING
from support.ports import free_port
from support.prebid_site import TAG
from support.service import HERE

from gateway.choice.downstream import READERS, Outcome, strings
from gateway.cli.recipe import filled
from gateway.terms import SIGNAL_PURPOSES

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PREBID, ESBUILD = "prebid.js@11.36.0", "esbuild@0.28.2"
ENTRY = Path(__file__).parent.parent / "support" / "bidders_page.mjs"
PERSON = {
    "eid": "eid-of-a-person", "buyeruid": "buyeruid-of-a-person", "user": "user-id-of-a-person",
    "userId": "user-id-module-of-a-person", "ifa": "d3a7b1c2-0f4e-4a7b-9c1d-5e6f70819293",
    "_pubcid": "0f9a1b2c-3d4e-4f50-8a6b-7c8d9e0f1a2b",
}  # fmt: skip
HOSTS = (
    "ib.adnxs.com",
    "htlb.casalemedia.com",
    "rtb.openx.net",
    "fastlane.rubiconproject.com",
)
# One place for each class of section: one that all read, Utah's, which not all read, two of 13 to 23, one that nobody
# reads, and a state without one.
PLACES = ("US-CA", "US-UT", "US-TX", "US-FL", "US-MD", "US-NY")
GPC = "--enable-features=GlobalPrivacyControlForce"
COOKIE = "own-cookie-of-a-bidder"


@pytest.fixture(scope="module")
def script(request, tmp_path_factory):
    """The page's ad stack; beside it, as poor.js, one without the module that the recipe's rules want."""
    folder = node.packages(request.config.cache, PREBID, ESBUILD)
    made = tmp_path_factory.mktemp("bidders") / "ads.js"
    whole = ENTRY.read_text()
    poor = whole.replace('import "prebid.js/modules/allowActivities";\n', "")
    assert poor != whole
    for name, text in (("ads", whole), ("poor", poor)):
        shutil.copyfile(node.bundled(folder, text), made.with_stem(name))
    return made


@contextlib.contextmanager
def site(folder, script, **options):
    """The address of a site of a gateway with these options, without --dev."""
    data, port = inside.install(folder / "data"), free_port()
    command = [
        sys.executable,
        "-m",
        "support.prebid_site",
        "--port",
        str(port),
        "--data",
        str(data),
        "--script",
        str(script),
        "--person",
        json.dumps(PERSON),
    ]
    environment = os.environ | {"PYTHONPATH": HERE, "GATEWAY_SITE__ENFORCE": "false"} | options
    process = forked.start(command, folder / "log", environment)
    url, ends = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/.well-known/gpc.json", timeout=10).close()
                break
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < ends
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def url(tmp_path_factory, script):
    with site(tmp_path_factory.mktemp("site"), script) as address:
        yield address


@pytest.fixture(scope="module")
def url_of_the_states_section_alone(tmp_path_factory, script):
    with site(tmp_path_factory.mktemp("state"), script, GATEWAY_SIGNALS__GPP_SECTIONS="state") as address:
        yield address


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    with bidders(tmp_path_factory.mktemp("hosts")) as running:
        yield running


@pytest.fixture(scope="module")
def profiles(driver, program, hosts, tmp_path_factory):
    """A browser that says nothing, and one whose Global Privacy Control is on; every foreign name is a bidder's. Both
    let third parties have cookies, as most people's browsers do and Debian's does not: they are what is counted here.
    """
    port, _ = hosts
    flags = [*installed.FLAGS, "--ignore-certificate-errors"]
    flags.append(f"--host-resolver-rules=MAP * 127.0.0.1:{port}, EXCLUDE 127.0.0.1")
    folders = (tmp_path_factory.mktemp("profile") for _ in range(2))
    with contextlib.ExitStack() as stack:
        both = []
        for folder, more in zip(folders, ([], [GPC]), strict=True):
            (folder / "Default").mkdir()
            (folder / "Default" / "Preferences").write_text('{"profile": {"cookie_controls_mode": 0}}')
            opened = driver.launch_persistent_context(folder, executable_path=program, args=[*flags, *more])
            stack.callback(opened.close)
            opened.add_init_script(PATIENT)  # a busy machine may answer behind the deadline, and then a no is presumed
            both.append(opened)
        yield both


ANSWERED = "() => new Promise((done) => __gpp('ping', (said) => done(said.cmpStatus === 'loaded' && said.signalStatus === 'ready')))"
AUCTIONS = 3  # at the most, until what must leave a page has left it


@dataclass(frozen=True)
class Left:
    """What left a page in one auction."""

    ids: frozenset[str]
    cookies: frozenset[str]  # hosts that were sent a cookie of their own
    hosts: frozenset[str]
    gpp: dict


@pytest.fixture
def left(hosts):
    """What left every page since the list was cleared."""
    _, asked = hosts

    def found():
        came = tuple(asked)
        text = "\n".join(each.text for each in came)
        return Left(
            frozenset(name for name, value in PERSON.items() if value in text),
            frozenset(each.host for each in came if COOKIE in each.cookies),
            frozenset(each.host for each in came),
            {},
        )

    return found


@pytest.fixture
def opened(profiles, hosts):
    """A page of somebody there, with an ad stack that can start. `page`: which; `gateway`: answers in its place."""
    _, asked = hosts
    pages = []

    def page_of(url, place, *, out, page="news", gateway=None):
        context = profiles[out]
        context.clear_cookies()
        kept = [("127.0.0.1", "place", place), ("127.0.0.1", "_pubcid", PERSON["_pubcid"])]
        context.add_cookies([{"domain": d, "name": n, "value": v, "path": "/"} for d, n, v in kept])
        context.add_cookies(
            [
                {"domain": host, "name": "uid", "value": COOKIE, "path": "/", "secure": True, "sameSite": "None"}
                for host in HOSTS
            ]
        )
        asked.clear()
        tab = context.new_page()
        pages.append(tab)
        if gateway:
            tab.route(f"{url}/privacy-choices/{{status,observe}}", gateway)
        tab.goto(f"{url}/{page}")
        assert tab.evaluate("navigator.globalPrivacyControl") is (True if out else None)
        tab.wait_for_function("() => window.auction")
        return tab

    yield page_of
    for page in pages:
        page.close()


@pytest.fixture
def auction(opened, left):
    def held(url, place, *, out, restrict=None, page="news", wants=lambda left: left.hosts.issuperset(HOSTS)):
        """`wants`: what must be there at the end; on a busy machine it comes later, or an auction is over without it."""
        for _ in range(AUCTIONS):
            tab = opened(url, place, out=out, page=page)
            tab.wait_for_function(ANSWERED)
            tab.evaluate("(restrict) => auction(restrict)", restrict)
            comes_to(lambda: bool(wants(left())), expected=True, seconds=20)
            tab.wait_for_timeout(500)  # syncs start behind the auction
            said = tab.evaluate(PING)
            tab.close()
            found = replace(left(), gpp=said)
            if wants(found):
                break
        return found

    return held


def heard(place):
    """What holds for somebody there whose browser says no."""
    return Outcome(frozenset(SIGNAL_PURPOSES), frozenset({place}), gpc=True)


@pytest.mark.parametrize("place", PLACES)
def test_who_said_no_leaves_no_id_in_any_bid_request_and_who_did_not_does(auction, url, place, figure):
    free = auction(url, place, out=False, wants=lambda left: left.hosts.issuperset(HOSTS) and left.ids == set(PERSON))
    out = auction(url, place, out=True)
    figure(
        f"ids in bid requests, {place}",
        f"said nothing {len(free.ids)} of {len(PERSON)}, opted out {len(out.ids)}; gpp_sid {out.gpp['applicableSections']}",
    )
    for left, said in ((free, Outcome(frozenset(), frozenset({place}))), (out, heard(place))):
        told = strings(said)
        assert (left.gpp["gppString"], left.gpp["applicableSections"]) == (told.gpp, told.gpp_sid)
        assert left.gpp["sectionList"] == told.gpp_sid
    assert free.ids == set(PERSON)
    assert set(HOSTS) - free.hosts == set()
    assert out.ids == set()
    assert set(HOSTS) - out.hosts == set()


@pytest.mark.parametrize(("place", "read"), [("US-CA", True), ("US-UT", True), ("US-TX", False), ("US-FL", False)])
def test_with_the_states_section_alone_the_ids_of_whoever_said_no_leave_where_prebid_does_not_read_it(
    auction, url_of_the_states_section_alone, place, read
):
    """Control: it is the national section that keeps them in."""
    wanted = set() if read else set(PERSON)
    out = auction(
        url_of_the_states_section_alone,
        place,
        out=True,
        wants=lambda left: left.hosts.issuperset(HOSTS) and left.ids >= wanted,
    )
    [section] = out.gpp["applicableSections"]
    [prebid] = [reader for reader in READERS if reader.name == "Prebid.js"]
    assert (section in prebid.reads) is read
    assert out.ids == wanted


@pytest.mark.parametrize("place", ["US-CA", "US-TX", "US-NY"])
def test_the_bidders_own_cookies_stay_at_home_only_where_the_operator_restricts_credentials(
    auction, url, place, figure
):
    """Prebid.js #14955: a no by itself does not keep them, so `gateway recipe prebid` has the line that does."""
    free, plain = (auction(url, place, out=out, wants=lambda left: left.cookies) for out in (False, True))
    restricted = auction(url, place, out=True, restrict=["accessRequestCredentials"])
    figure(
        f"bidders' own cookies, {place}",
        f"said nothing {len(free.cookies)} hosts, opted out {len(plain.cookies)}, restricted {len(restricted.cookies)}",
    )
    assert len(free.cookies) > 0
    assert len(plain.cookies) > 0, "the line in the recipe is needed no more"
    assert restricted.cookies == set()
    assert restricted.ids == set()
    assert restricted.hosts >= set(HOSTS)


# --- with what `gateway recipe prebid` prints ------------------------------------------------------------------------


PRINTED = filled("prebid", inside.settings(), host="www.example.com", site="127.0.0.1:9000").replace(
    'PREBID = "/prebid.js"', 'PREBID = "/ads.js"'
)
DEADLINE = 800
LISTED = {"ib.adnxs.com", "rtb.openx.net"}


BOTH_LISTED = 'WITHOUT_PERSON = ["appnexus", "openx"]'
END = "() => auction()"


@pytest.fixture(scope="module")
def recipe(script):
    """The pages of an operator who filled the recipe in: as it is; with two bidders who may be asked after a no; with a
    build that lacks a module; behind a tag that loads Prebid.js.
    """
    listed = PRINTED.replace("WITHOUT_PERSON = []", BOTH_LISTED)
    assert BOTH_LISTED in listed
    poor, behind = PRINTED.replace("/ads.js", "/poor.js"), TAG + PRINTED
    for name, text in (("recipe", PRINTED), ("listed", listed), ("poor", poor), ("behind", behind)):
        script.with_name(f"{name}.html").write_text(text)


def of(left):
    """The bidders that were asked."""
    return left.hosts & set(HOSTS)


def everything(left):
    return left.ids == set(PERSON)


@pytest.mark.parametrize("place", ["US-CA", "US-TX"])
def test_with_the_recipe_nobody_is_asked_for_who_said_no_though_the_string_says_so_where_prebid_does_not_read_it(
    auction, recipe, url_of_the_states_section_alone, place, figure
):
    """The same place and string as in the control above, where the ids leave."""
    site = url_of_the_states_section_alone
    free = auction(site, place, out=False, page="recipe", wants=everything)
    out = auction(site, place, out=True, page="recipe", wants=lambda _: True)
    figure(f"bidders asked with the recipe, {place}", f"said nothing {len(of(free))}, opted out {len(of(out))}")
    assert (free.ids, of(free)) == (set(PERSON), set(HOSTS))
    assert (out.ids, of(out), out.cookies) == (set(), set(), set())


def test_who_may_be_asked_after_a_no_hears_nothing_of_the_person(auction, recipe, url_of_the_states_section_alone):
    out = auction(
        url_of_the_states_section_alone, "US-TX", out=True, page="listed", wants=lambda left: left.hosts >= LISTED
    )
    assert (out.ids, of(out), out.cookies) == (set(), LISTED, set())


def test_rules_that_the_site_has_besides_open_nothing_and_may_deny(opened, left, recipe, url):
    yes = {"rules": [{"allow": True, "priority": -1_000_000}]}
    tab = opened(url, "US-CA", out=True, page="recipe")
    tab.evaluate("(yes) => pbjs.setConfig({allowActivities: {fetchBids: yes, transmitEids: yes}})", yes)
    tab.evaluate(END)
    assert (left().ids, of(left())) == (set(), set())
    no = {"rules": [{"allow": False}]}
    tab = opened(url, "US-CA", out=False, page="recipe")
    tab.evaluate("(no) => pbjs.setConfig({allowActivities: {fetchBids: no}})", no)
    tab.evaluate(END)
    assert of(left()) == set()


@pytest.mark.parametrize(
    "gateway", [lambda route: route.abort("connectionrefused"), lambda _: None], ids=["gone", "silent"]
)
def test_while_the_gateway_does_not_answer_nobody_is_asked_and_the_auction_ends(opened, left, recipe, url, gateway):
    tab = opened(url, "US-CA", out=False, page="recipe", gateway=gateway)
    tab.evaluate(END)
    assert (left().ids, of(left())) == (set(), set())


def test_a_gateway_that_goes_away_while_a_page_is_open_is_a_no_to_its_next_auction(opened, left, recipe, url, hosts):
    tab = opened(url, "US-CA", out=False, page="recipe")
    tab.evaluate(END)
    assert comes_to(lambda: everything(left()), expected=True)
    tab.route(f"{url}/privacy-choices/status", lambda _: None)
    tab.wait_for_timeout(500)  # behind the syncs of the first auction, and the time that its answer is good for
    hosts[1].clear()
    tab.evaluate(END)
    assert (left().ids, of(left())) == (set(), set())


def test_a_build_without_the_module_of_the_rules_has_no_auction_after_a_no(auction, opened, left, recipe, url):
    free = auction(url, "US-CA", out=False, page="poor", wants=everything)
    assert (free.ids, of(free)) == (set(PERSON), set(HOSTS))
    opened(url, "US-CA", out=True, page="poor").evaluate(END)
    assert of(left()) == set()


def test_where_silence_is_a_no_nobody_is_asked_for_who_said_nothing(opened, left, recipe, url):
    opened(url, "DE", out=False, page="recipe").evaluate(END)
    assert (left().ids, of(left())) == (set(), set())


def test_behind_a_tag_that_loads_prebid_the_recipe_holds_all_the_same(auction, opened, left, recipe, url):
    assert of(auction(url, "US-CA", out=False, page="behind")) == set(HOSTS)
    opened(url, "US-CA", out=True, page="behind").evaluate(END)
    assert (left().ids, of(left())) == (set(), set())


def elsewhere_while_open(opened, left, url, page, asked):
    """What a page's next auction sends after the person opted out in another tab."""
    tab = opened(url, "US-CA", out=False, page=page)
    tab.wait_for_function(ANSWERED)
    tab.evaluate(END)
    assert comes_to(lambda: everything(left()), expected=True)
    other = tab.context.new_page()
    other.goto(f"{url}/privacy-choices")
    other.get_by_role("switch").click()
    other.wait_for_url("**/privacy-choices/done/*")
    other.close()
    tab.wait_for_timeout(500)  # syncs of the first auction
    asked.clear()
    tab.evaluate(END)
    return left()


def test_a_no_that_was_said_in_another_tab_holds_for_the_next_auction_of_a_page_that_stays_open(
    opened, left, recipe, url, hosts
):
    after = elsewhere_while_open(opened, left, url, "recipe", hosts[1])
    assert (after.ids, of(after)) == (set(), set())


def test_the_control_without_the_recipe_a_page_that_stays_open_goes_on_by_its_first_answer(opened, left, url, hosts):
    elsewhere_while_open(opened, left, url, "news", hosts[1])
    assert comes_to(lambda: everything(left()), expected=True)


AT_A_YES = """(act) => new Promise((done) => {
  document.addEventListener("gateway-status", () => { done(auction()); eval(act) }, {once: true});
  dispatchEvent(new Event("gateway-ask"));
})"""
DIALOG = "document.querySelector('[data-gateway-choices]').click()"
SIGNAL = "Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})"


@pytest.mark.parametrize("act", [DIALOG, SIGNAL], ids=["dialog", "signal"])
def test_an_auction_that_began_by_a_yes_asks_nobody_once_the_dialog_is_open_or_the_browser_says_no(
    opened, left, recipe, url, hosts, act
):
    tab = opened(url, "US-CA", out=False, page="recipe")
    tab.wait_for_function(ANSWERED)
    tab.evaluate(AT_A_YES, act)
    assert (left().ids, of(left())) == (set(), set())


def test_syncs_that_wait_while_the_person_opens_the_dialog_never_start(opened, left, recipe, url):
    tab = opened(url, "US-CA", out=False, page="recipe")
    tab.evaluate(END)
    assert comes_to(lambda: everything(left()), expected=True)
    tab.evaluate(f"() => {DIALOG}")
    enabled = "() => pbjs.getConfig('userSync').syncEnabled"
    assert tab.evaluate(enabled) is False
    tab.evaluate("() => pbjs.setConfig({userSync: {syncEnabled: true}})")
    assert tab.evaluate(enabled) is False, "nor by what the site sets later"


def test_a_yes_that_was_long_under_way_opens_no_auction(opened, left, recipe, url, hosts):
    """It may be from before a no."""
    tab = opened(url, "US-CA", out=False, page="recipe")
    tab.wait_for_function(ANSWERED)
    held = []
    tab.route(f"{url}/privacy-choices/status", lambda route: held.append((route, route.fetch())))
    tab.evaluate("() => dispatchEvent(new Event('gateway-ask'))")
    tab.wait_for_timeout(DEADLINE + 500)
    [(route, yes)] = held
    tab.evaluate("() => { auction().then(() => { self.ended = true }) }")
    route.fulfill(response=yes)
    tab.wait_for_function("() => self.ended")
    assert (left().ids, of(left())) == (set(), set())
