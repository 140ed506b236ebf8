"""Every way from a page to another host (`ways.toml`), in a real Chromium behind nginx, Caddy and `in_front_of` (R1).

For a person who opted out before a page was opened, while it is open, or elsewhere after it was left, by header, cookie
or account: requests and connections are counted at the other host. The control is the person who said nothing.
"""

import contextlib
import re
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import pytest
from playwright.sync_api import sync_playwright
from support import chromium as installed
from support import inside, proxies
from support.chromium import comes_to, go_again
from support.elsewhere import Elsewhere
from support.examples import SOAK
from support.ports import free_port
from support.service import HERE
from support.ways_site import WAYS

from gateway.keys import api_keys, secret_files

pytestmark = [pytest.mark.slow, pytest.mark.browser]
NAMES = list(WAYS)
OPEN = {name for name, way in WAYS.items() if "left_open" in way}
BEFORE = [name for name in NAMES if WAYS[name].get("before")]
WORKERS = {"worker-from-before", "shared-worker-from-before", "service-worker-from-before"}
ALONE = [name for name in NAMES if WAYS[name].get("own")]
TOGETHER = [name for name in NAMES if name not in {*BEFORE, *ALONE}]
OF_HEADERS = {name for name in TOGETHER if "headers" in WAYS[name]}  # which a page that is there has, until it goes
AT_ONCE = {name for name in OF_HEADERS if not set(WAYS[name]) & {"html", "js"}}
# A real profile (a window without a history makes no connections ahead), with its page cache and its connections ahead.
NOT_WANTED = ["--disable-background-networking", "--disable-back-forward-cache"]
FLAGS = [flag for flag in installed.FLAGS if flag not in NOT_WANTED]
TIME_TO_SPEAK = 1.5  # seconds; what comes later fails the next test
PAGES = 3  # a browser may leave a connection ahead out while the machine is busy; nobody is harmed by that
HONORED = "Opt-Out Request Honored"
SIGNALS = {"Sec-GPC": "1"}
ENFORCED = {"GATEWAY_SITE__ENFORCE": "true"}


@pytest.fixture(scope="module")
def far():
    with Elsewhere(len(NAMES)).running() as counting:
        yield counting


@pytest.fixture(scope="module")
def playwright():
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def program():
    from conftest import missing

    return installed.program() or missing("chromium")


@dataclass
class Mount:
    """A site with a gateway. `folder`: of the gateway's data."""

    url: str
    folder: object
    used: list[str] = field(default_factory=list)

    def account(self) -> dict[str, str]:
        """The cookie of somebody new who is signed in."""
        self.used.append(f"person-{len(self.used)}")
        secret = secret_files.load_secrets(self.folder).accounts[0]
        value = api_keys.assert_account(secret, self.used[-1], int(time.time()) + 600)
        return {"name": "gateway-account", "value": value, "url": self.url}

    def opt_out(self, account: dict[str, str]) -> None:
        """By the signal of another browser of theirs."""
        cookie = ("Cookie", f"gateway-account={account['value']}")
        assert proxies.ask(self.url, "/page", cookie, ("Sec-GPC", "1"), by="127.0.0.1").status == 200


def test_the_table_has_every_kind_of_way_and_the_manual_names_those_that_stay_open():
    manual = (resources.files("gateway") / "manual" / "trackers.md").read_text()
    table = manual.partition("## What no header closes")[2]
    named = [
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([a-z-]+)`", row)
    ]
    assert sorted(named) == sorted(OPEN)
    assert len(NAMES) >= 90
    for name in OPEN:
        assert WAYS[name]["left_open"], name
        assert WAYS[name]["leaves"] in {"connection", "request"}, name


def site(folder, far, *more: str, **environment: str):
    port = free_port()
    command = [sys.executable, "-m", "support.ways_site", "--port", str(port), "--trackers", str(far.first), *more]
    url = f"http://127.0.0.1:{port}"
    return proxies.program(command, folder / "site.log", f"{url}/up.txt", PYTHONPATH=HERE, **environment), url


def seen_from_california(text: str) -> str:
    """Chromium comes from this machine, whose address is nobody's place."""
    uri, says = "header_up X-Forwarded-Uri {uri}", f"header_up X-Forwarded-For {proxies.CALIFORNIA}"
    if uri not in text:
        return text.replace("X-Forwarded-For $remote_addr", f"X-Forwarded-For {proxies.CALIFORNIA}")
    told = re.sub(r"(handle @gateway \{\s+reverse_proxy \S+)", rf"\1 {{\n{says}\n}}", text)
    return told.replace(uri, f"{uri}\n{says}")


MOUNTS = ["in_front_of", "nginx", "caddy"]
REASONS = ["header", "cookie", "account"]


def told_by(turn: int, *reasons: str):
    """Each mount with each of a test's reasons in `make soak`; else with one of them, by the test's turn with another
    one, so that a test meets each mount and each reason, and these meet each other in three tests whose turns differ.
    """
    pairs = [
        (mount, how)
        for at, mount in enumerate(MOUNTS)
        for number, how in enumerate(reasons)
        if SOAK or (at + number + turn) % len(reasons) == 0
    ]
    return pytest.mark.parametrize(("mount", "how"), pairs, indirect=["mount"])


@pytest.fixture(scope="module")
def mounted(far, tmp_path_factory, started, gateway):
    """Starts a site with a gateway, each kind once."""
    with contextlib.ExitStack() as stack:

        @cache
        def start(kind: str) -> Mount:
            folder = tmp_path_factory.mktemp("ways")
            if kind == "in_front_of":
                data = inside.install(folder / "data")
                process, url = site(folder, far, "--data", str(data), **ENFORCED)
                stack.enter_context(process)
                return Mount(url, data)
            process, behind = site(folder, far)
            stack.enter_context(process)
            proxied = started(kind, seen_from_california, site=behind.removeprefix("http://"))
            return Mount(proxied.url, gateway.folder / "data")

        yield start


@pytest.fixture(params=MOUNTS)
def mount(request, mounted):
    return mounted(request.param)


@pytest.fixture
def browser(playwright, program, tmp_path):
    """A browser with a profile of its own."""
    context = playwright.chromium.launch_persistent_context(
        tmp_path / "profile", executable_path=program, args=FLAGS, ignore_default_args=NOT_WANTED
    )
    yield context
    context.close()


@pytest.fixture
def arrived(far):
    """What arrived since the test began: (connections, requests) by way."""
    start = far.arrived()

    def since(*, again: bool = False) -> dict[str, tuple[int, int]]:
        nonlocal start
        if again:
            start = far.arrived()
        now = {}
        for at, (connections, requests, packets) in far.arrived().items():
            before = start.get(at, (0, 0, 0))
            if gained := (connections - before[0] + packets - before[2], requests - before[1]):
                now[NAMES[at]] = gained
        return {name: gained for name, gained in now.items() if any(gained)}

    return since


def opened(mount, browser, *names: str, wait: bool = False):
    """A page with these ways; `wait`: which does nothing until it is told to."""
    page = browser.new_page()
    page.goto(f"{mount.url}/page?ways={','.join(names)}{'&wait=1' if wait else ''}", wait_until="commit")
    if not set(names) & set(ALONE):  # those that stay
        page.wait_for_selector("#here")
    return page


def silent(found: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """What arrived of all that must not: nothing but what the table names, and of a connection no request."""
    return {
        name: gained
        for name, gained in found.items()
        if name not in OPEN or (gained[1] and WAYS[name]["leaves"] == "connection")
    }


def test_a_person_who_said_nothing_is_told_of_by_every_way(mount, browser, arrived):
    """The control of every other test here."""
    opened(mount, browser, *TOGETHER)
    for name in ALONE:
        opened(mount, browser, name)
    wanted = {*TOGETHER, *ALONE}
    for _ in range(4):  # what Chromium fetches ahead, it may leave when it has much else to do
        if missing := comes_to(lambda: wanted - set(arrived()), set(), seconds=5):
            opened(mount, browser, *missing)
    assert comes_to(lambda: wanted - set(arrived()), set()) == set()


def says_no(mount, browser, how: str, account=None) -> None:
    """By another tab where the browser itself has to say it."""
    if how == "header":
        browser.set_extra_http_headers(SIGNALS)
    elif how == "account":
        mount.opt_out(account)
        browser.add_cookies([account])
    else:
        tab = browser.new_page()
        tab.goto(f"{mount.url}/privacy-choices")
        tab.get_by_role("switch", name="Opt out on this browser").click()
        tab.wait_for_url("**/privacy-choices/done/*")
        tab.get_by_role("heading", name=HONORED).wait_for()


@told_by(0, *REASONS)
def test_who_opted_out_before_is_told_of_by_none(mount, browser, arrived, how):
    says_no(mount, browser, how, mount.account())
    page = opened(mount, browser, *TOGETHER)
    page.get_by_text(HONORED).wait_for()
    opened(mount, browser, "base")
    time.sleep(TIME_TO_SPEAK)
    assert silent(arrived()) == {}


def waiting(mount, browser, arrived):
    """A page of somebody who said nothing, on which all ways are still to come but for those of its own headers."""
    for _ in range(PAGES):
        page = opened(mount, browser, *TOGETHER, wait=True)
        missing = comes_to(lambda: AT_ONCE - set(arrived()), set(), seconds=20)
        if not missing:
            break
        page.close()
    assert missing == set()
    page.wait_for_load_state("networkidle")
    while arrived():  # what the browser sets going ahead by itself may come a moment later, on a busy machine
        arrived(again=True)
        time.sleep(1)
    return page


def in_the_dialog(page) -> None:
    page.get_by_role("link", name="Your Privacy Choices").click()
    inside_it = page.frame_locator("dialog iframe")
    inside_it.get_by_role("switch", name="Opt out on this browser").click()
    inside_it.get_by_role("heading", name=HONORED).wait_for()


@told_by(1, *REASONS)
def test_who_opts_out_while_a_page_is_open_is_told_of_by_none(mount, browser, arrived, how):
    """By the page's own dialog; by a signal or a sign-in that the next route of the page brings along."""
    page = waiting(mount, browser, arrived)
    if how == "cookie":
        in_the_dialog(page)
        page.evaluate("fire()")  # the page behind the dialog, which is still there
        time.sleep(TIME_TO_SPEAK / 3)
        assert set(silent(arrived())) <= OF_HEADERS
        arrived(again=True)
        page.keyboard.press("Escape")
    else:
        says_no(mount, browser, how, mount.account())
        page.evaluate("history.pushState({}, '', '/page/next' + location.search)")
    page.get_by_role("switch", name=HONORED).wait_for()
    page.evaluate("fire()")
    time.sleep(TIME_TO_SPEAK)
    assert silent(arrived()) == {}


@told_by(2, *REASONS)
def test_who_opts_out_elsewhere_is_told_of_by_no_page_from_before(mount, browser, arrived, how):
    """By the form in a second tab; by a signal or a sign-in, before coming back to a page that was kept whole."""
    page = waiting(mount, browser, arrived)
    account = mount.account()
    if how == "cookie":
        says_no(mount, browser, how)
    else:
        page.evaluate("self.kept = true")
        page.goto(f"{mount.url}/page/other")
        says_no(mount, browser, how, account)
        page.go_back(wait_until="commit")
    page.get_by_role("switch", name=HONORED).wait_for()
    page.evaluate("fire()")
    time.sleep(TIME_TO_SPEAK)
    # What the page's own headers set going may have opened a second connection, over which nothing is asked.
    assert {name: gained for name, gained in silent(arrived()).items() if gained[1] or name not in AT_ONCE} == {}


def loud_again(arrived, pages) -> dict[str, tuple[int, int]]:
    """What comes while these are loaded anew, and in the time after."""
    before = arrived()
    for each in pages:
        go_again(each)
        each.get_by_role("switch", name=HONORED).wait_for()
    time.sleep(TIME_TO_SPEAK)
    return {name: gained for name, gained in arrived().items() if gained != before.get(name)}


@told_by(1, "dialog", "form", "account")
def test_what_was_set_going_before_ends_with_the_no(mount, browser, far, arrived, how):
    page = opened(mount, browser, *BEFORE)
    assert comes_to(lambda: set(BEFORE) - {"service-worker-from-before"} - set(arrived()), set()) == set()
    page.wait_for_function("() => navigator.serviceWorker.controller")
    other = opened(mount, browser)
    assert comes_to(lambda: "service-worker-from-before" in arrived(), expected=True)
    if how == "dialog":
        in_the_dialog(page)
        for _ in range(PAGES):  # what was on its way on a busy machine arrives still
            arrived(again=True)
            time.sleep(0.5)
            if set(arrived()) <= WORKERS:
                break
        assert set(arrived()) <= WORKERS
        page.keyboard.press("Escape")
    else:
        says_no(mount, browser, {"form": "cookie"}.get(how, how), mount.account())
        go_again(page, f"{mount.url}/page?ways={','.join(BEFORE)}")
    for each in (page, other):
        if each is other and how == "account":
            go_again(each)
        each.get_by_role("switch", name=HONORED).wait_for()
    time.sleep(0.5)
    for _ in range(PAGES):  # a worker ends with its last page, which a busy machine puts off
        if not (still := loud_again(arrived, (page, other))):
            break
    assert still == {}


FULL = """for (const kept of [localStorage, sessionStorage])
  for (let size = 1 << 22; size; size >>= 1)
    try { for (let at = 0; ; at++) kept.setItem(`${size} ${at}`, "x".repeat(size)) } catch {}"""
SHUT = """const shut = () => { throw new DOMException("", "SecurityError") };
  for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(self, name, { get: () => null });
  self.BroadcastChannel = shut;
  if (navigator.serviceWorker) navigator.serviceWorker.getRegistrations = async () => shut()"""


@pytest.mark.parametrize("storage", ["full", "shut"])
def test_where_a_browser_keeps_nothing_an_open_page_is_loaded_anew_all_the_same(mounted, browser, storage):
    """Full, as a tracker can make it; shut as in an app's own browser without storage, and in Firefox without cookies."""
    if storage == "shut":
        browser.add_init_script(SHUT)
    page = opened(mounted("in_front_of"), browser)
    page.wait_for_function("() => self.__gpp")
    page.evaluate(FULL if storage == "full" else "0")
    page.evaluate("self.before = true")
    in_the_dialog(page)
    page.keyboard.press("Escape")
    page.get_by_role("switch", name=HONORED).wait_for()
    assert page.evaluate("self.before") is None


@pytest.mark.parametrize("named", [True, False])
def test_a_service_worker_that_the_site_names_stays_and_no_other(far, browser, tmp_path, named):
    worker = "service-worker-from-before"
    more = {"GATEWAY_SITE__SERVICE_WORKERS": f"/own/{worker}/worker.js"} if named else {}
    process, url = site(tmp_path, far, "--data", str(inside.install(tmp_path / "data")), **ENFORCED, **more)
    with process:
        page = opened(Mount(url, tmp_path / "data"), browser, worker)
        page.wait_for_function("() => navigator.serviceWorker.controller")
        page.evaluate("caches.open('pages').then((kept) => kept.put('/page', new Response('from before')))")
        in_the_dialog(page)
        go_again(page, f"{url}/page")  # which registers none
        page.get_by_role("switch", name=HONORED).wait_for()
        left = "navigator.serviceWorker.getRegistrations().then((found) => found.length)"
        kept = "caches.keys().then((names) => names.length)"
        expected = [1, 1] if named else [0, 0]
        assert comes_to(lambda: [page.evaluate(left), page.evaluate(kept)], expected) == expected
