"""One evening of a shop that is nobody's example, by the commands of README and `gateway help` alone: a configuration of
its own, nginx in front with a CDN's word of where visitors are, a no from a browser, a receipt that is verified
elsewhere, a backup that is put back, the next release and the way back from it.
"""

import contextlib
import functools
import itertools
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import missing
from playwright.sync_api import sync_playwright
from support import blue_door, chromium, mailbox, proxies, typed
from support.next_release import NUMBER, ROOT, VERSION, next_release
from support.people import email, gaid, named
from support.ports import free_port

from gateway.cli.root import group

pytestmark = [pytest.mark.slow, pytest.mark.browser]
CDN = "127.0.0.1"  # as which the browser of the test comes, and says what a CDN would
FROM_CALIFORNIA = {"CF-IPCountry": "US", "CF-Region-Code": "CA"}
INIT = ("--name", blue_door.NAME, "--site", "https://www.bluedoor.example", "--place", "US", "--front", "nginx",
        "--mail", "127.0.0.1", "--mail-from", "privacy@bluedoor.example",
        "--recipient", "adnet:third_party:targeted_ads,sharing:ad_id,device_id,ip")  # fmt: skip
# What the owner fills in: an option as the file has it, and what is written in its place.
FILLED = (
    (r"# contract = \"\"", 'contract = "C-2026-17"'),
    (r"# announced = \S+", "announced = 2026-06-01"),
    (r"# transfer_basis = \"\"", 'transfer_basis = "scc"'),
    (r"# told_everyone = \S+", "told_everyone = 2026-07-01"),
    (r"# policy_url = \"\S+\"", ('policy_url = "/our-privacy-policy"\nlogo = "logo.svg"\nenforce = true\n'
     f'accent = "{blue_door.ACCENT}"\naccent_dark = "{blue_door.ACCENT_DARK}"\nhas = ["account", "email"]')),
    (r"# floor = YEARS", "floor = 0"),
    (r'from_address = "\S+"', 'from_address = "privacy@bluedoor.example"\nport = {mail}\nsecurity = "none"'),
    (r"trusted_proxies = \[.*\]", ('trusted_proxies = ["127.0.0.1", "203.0.113.4/32"]\npublic = "127.0.0.1:{public}"\n'
     'internal = "127.0.0.1:{internal}"\nmetrics = "127.0.0.1:{metrics}"')),
)  # fmt: skip
MORE = """
[places]
header = "CF-IPCountry"
region_header = "CF-Region-Code"
"""
PAGE = """<!doctype html><html lang="en"><head><title>Books</title><script src="{tracker}/ad.js" async></script></head>
<body><h1>Books</h1><img src="{tracker}/pixel.gif" width="1" height="1" alt=""></body></html>"""
PAGES = ("", "?reach=1", "/data", "/erase", "/opt-in", "/marketing", "/nowhere")
ACCENTS = {"light": "rgb(18, 63, 140)", "dark": "rgb(158, 193, 255)"}  # as Chromium writes the shop's own
BODY = {"recipient": "adnet", "purpose": "targeted_ads", "place": "US-CA", "data": ["ad_id"]}


class Shop:
    """The owner at a terminal, in a folder of their own; what the commands and the service say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.release = ROOT  # where the package lies that is installed
        self.ports = {name: free_port() for name in ("public", "internal", "metrics")}
        self.said: list[str] = []
        self.service: proxies.Program | None = None

    def run(self, *words: object, code: int = 0) -> str:
        """What a command prints; nothing of ours is in its environment."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        gateway = [typed.program()] if self.release == ROOT else [sys.executable, "-m", "gateway"]
        command = [*gateway, *map(str, words)]
        done = subprocess.run(
            command,
            cwd=self.folder,
            capture_output=True,
            text=True,
            env={**clean, "PYTHONPATH": str(self.release)},
            check=False,
        )
        assert done.returncode == code, (words, done.stdout, done.stderr)
        self.said.append(done.stdout + done.stderr)
        return done.stdout or done.stderr

    def write(self, mail_port: int) -> None:
        """`gateway init`, and then by hand what it says is missing."""
        self.run("init", "shop.toml", *INIT)
        (self.folder / "logo.svg").write_text(blue_door.DRAWING)
        text = (self.folder / "shop.toml").read_text()
        for option, written in FILLED:
            text, times = re.subn(option, written.format(mail=mail_port, **self.ports), text, count=1)
            assert times == 1, option
        (self.folder / "shop.toml").write_text(text + MORE + blue_door.IN_EACH_LANGUAGE)

    def start(self) -> None:
        # By `env`, in no folder of a release: what is forked of another process has that one's.
        command = ["env", "-C", str(self.folder), sys.executable, "-m", "gateway", "serve", "--data", "data"]
        command += ["--config", "shop.toml"]
        sign = f"http://127.0.0.1:{self.ports['internal']}/readyz"
        plain = {"GATEWAY_CONFIG": "", "GATEWAY_LISTEN__LEVEL_ANSWERS": "false", "PYTHONPATH": str(self.release)}
        self.service = proxies.Program(command, self.folder / "log", sign, plain)
        self.service.start()

    def stop(self) -> None:
        if self.service:
            self.service.stop()

    def call(self, path: str, key: str, body: object = None) -> dict:
        """The service as a backend of the shop asks it."""
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['internal']}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            text = answer.read().decode()
        self.said.append(text)
        return json.loads(text)

    def page(self, path: str, **fields: str) -> None:
        """A page of it as a browser asks for it; with `fields`, what a form there sends."""
        own = {"Accept": "text/html,*/*", "Sec-Fetch-Site": "same-origin"} if fields else {"Accept": "text/html,*/*"}
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['public']}{path}",
            data=urllib.parse.urlencode(fields).encode() if fields else None,
            headers=own,
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                self.said.append(answer.read().decode())
        except urllib.error.HTTPError as error:  # a page too
            self.said.append(error.read().decode())

    def opt_out(self, who: dict) -> dict:
        return self.call("/v1/choices", self.key, {"identifiers": [who], "choice": "opt_out"})

    def shares(self, *whom: dict) -> list[bool]:
        """Of each whether the shop may share them with its ad network."""
        return [self.call("/v1/check", self.key, {"identifiers": [each], **BODY})["allowed"] for each in whom]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """As it stands once its configuration is written and it serves; mails arrive in a mailbox of the test."""
    with mailbox.mailbox() as (letters, port):
        made = Shop(tmp_path_factory.mktemp("shop"))
        made.letters = letters
        made.write(port)
        checked = made.run("config", "check", "shop.toml")
        assert "shut until" not in checked, checked
        made.run("migrate", "--data", "data", "--config", "shop.toml", "--origin", "www.bluedoor.example/log")
        made.key = made.run("keys", "add", "--name", "shop", "--scope", "check", "--scope", "choose", "--scope", "desk",
                            "--data", "data", "--config", "shop.toml").split()[-1]  # fmt: skip
        try:
            made.start()
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="module")
def front(shop, tracker, programs, tmp_path_factory):
    """nginx by the recipe that the shop's own file makes, before the shop's pages."""
    nginx = programs["nginx"] or missing("nginx")

    def page(_, told):
        return "text/html; charset=utf-8", PAGE.format(tracker=tracker[0]).encode()

    with proxies.site(type("Pages", (proxies.Site,), {"page": page})) as behind:
        text = shop.run("recipe", "nginx", "--config", "shop.toml", "--host", "127.0.0.1", "--site", behind)
        assert "203.0.113.4" in text
        text = proxies.patient(text.replace("203.0.113.4", CDN))
        with proxies.nginx(nginx, tmp_path_factory.mktemp("nginx"), text) as url:
            yield url


@pytest.fixture
def browser():
    """Opens a page of a visitor in California; `gpc`: who switched Global Privacy Control on."""
    path = chromium.program() or missing("chromium")
    with sync_playwright() as playwright, contextlib.ExitStack() as stack:

        @functools.cache
        def started(gpc):
            if gpc:
                return stack.enter_context(chromium.saying_gpc(playwright.chromium))
            running = playwright.chromium.launch(executable_path=path, args=chromium.FLAGS)
            stack.callback(running.close)
            return running

        yield lambda *, gpc=False: started(gpc).new_context(extra_http_headers=FROM_CALIFORNIA).new_page()


def test_every_page_is_the_shops_own_behind_nginx_and_knows_where_its_visitor_is(shop, front, browser):
    page = browser()
    for path, (language, footer) in itertools.product(PAGES, blue_door.FOOTER.items()):
        page.goto(f"{front}/privacy-choices{path}{'&' if '?' in path else '?'}lang={language}")
        assert page.locator("html").get_attribute("lang") == language, path
        assert page.title().endswith(f" – {blue_door.NAME}"), path
        assert page.get_by_text(footer).is_visible(), path
        assert page.get_by_role("img", name=blue_door.NAME).is_visible(), path
        for scheme, accent in ACCENTS.items():
            page.emulate_media(color_scheme=scheme)
            assert page.locator("footer a").first.evaluate("link => getComputedStyle(link).color") == accent, path
        shop.said.append(page.content())
    page.goto(f"{front}/privacy-choices/status")
    assert json.loads(page.inner_text("body"))["place"] == "US-CA"


def test_the_signal_of_a_browser_silences_the_trackers(front, browser, tracker):
    before = Counter(tracker[1])
    chromium.visit(browser(), f"{front}/page")
    assert chromium.comes_to(lambda: set(tracker[1] - before), {"/ad.js", "/pixel.gif"}) == {"/ad.js", "/pixel.gif"}
    before = Counter(tracker[1])
    quiet = browser(gpc=True)
    chromium.visit(quiet, f"{front}/page")
    assert quiet.get_by_role("heading", name="Books").is_visible()
    assert tracker[1] == before


def test_an_opt_out_is_shared_with_nobody_its_receipt_is_proved_and_a_backup_brings_it_back(shop):
    out, other = named("gaid", gaid(1)), named("gaid", gaid(2))
    assert shop.shares(out, other) == [True, True]
    made = shop.opt_out(out)
    assert shop.shares(out, other) == [False, True]
    [event] = [each["event"] for each in made["events"]]
    (shop.folder / "receipt").write_text(shop.run("receipt", "show", event, "--data", "data", "--config", "shop.toml"))
    key = shop.run("ledger", "key", "--data", "data", "--config", "shop.toml").strip()
    shop.run("receipt", "verify", "receipt", "--log", key)
    true = (shop.folder / "receipt").read_text()
    forged, times = re.subn(r"^index \d+$", "index 99", true, flags=re.MULTILINE)
    assert times == 1
    (shop.folder / "forged").write_text(forged)
    shop.run("receipt", "verify", "forged", "--log", key, code=1)

    shop.run("backup", "copy", "--keys", "keys", "--secrets", "secrets", "--data", "data", "--config", "shop.toml")
    shop.service.stop()
    (shop.folder / "data").rename(shop.folder / "broken")
    [vault] = (shop.folder / "keys").glob("vault-*.sqlite3")
    shop.run("restore", "copy", "--keys", vault, "--secrets", "secrets", "--data", "data", "--config", "shop.toml")
    shop.run("restore", "--new-log", "--data", "data", "--config", "shop.toml")  # the day's counts were newer
    shop.start()
    assert shop.shares(out, other) == [False, True]
    shop.run("receipt", "verify", "receipt", "--log", key)
    shop.run("verify", "--data", "data", "--config", "shop.toml")


def test_the_next_release_and_the_way_back_from_it_keep_every_opt_out_made_before_and_since(shop, tmp_path):
    """By the lines of `gateway help upgrade`; its rehearsal has tests of its own."""
    ours, later = ("--data", "data", "--config", "shop.toml"), next_release(tmp_path)
    before, since, other = (named("gaid", gaid(number)) for number in (4, 5, 6))
    shop.opt_out(before)
    shop.run("backup", "before", *ours)
    shop.release = later
    assert NUMBER in shop.run("--version")
    shop.run("config", "check", "shop.toml")
    shop.stop()
    assert f"ledger version {VERSION}" in shop.run("migrate", *ours)
    shop.start()
    shop.run("verify", *ours)
    assert shop.shares(before, since, other) == [False, True, True]
    shop.opt_out(since)
    shop.stop()

    shop.release = ROOT
    back = shop.run("verify", *ours, code=3).rpartition(" gateway ")[2].split()
    assert back[:2] == ["migrate", "--back-to"]
    shop.release = later
    shop.run(*back)
    shop.release = ROOT
    shop.start()
    assert shop.shares(before, since, other) == [False, False, True]
    shop.run("verify", *ours)


def test_nothing_that_it_serves_names_anybody_elses_company(shop):
    for path in ("/openapi.json", "/v1/self"):
        shop.call(path, shop.key)
    shop.page("/privacy-choices/code", action="send", use="access", email=email(3))
    assert chromium.comes_to(lambda: len(shop.letters.letters), 1) == 1
    shop.said += [str(shop.letters.letters[0][1])]
    assert blue_door.NAME in shop.said[-1]
    for recipe in shop.run("recipe").split():
        printed = CliRunner().invoke(group, ["recipe", recipe, "--config", str(shop.folder / "shop.toml")])
        assert printed.exit_code == 0, printed.output
        shop.said.append(printed.output)
    shop.run("export", "report", "2026", "--data", "data")
    shop.run("export", "requests", "--from", "2026-01-01", "--to", "2026-12-31", "--data", "data")
    shop.run("access", "--gaid", gaid(1), "--json", "--data", "data", "--config", "shop.toml")
    assert len(shop.said) > 30
    assert [name for text in shop.said for name in blue_door.others_in(text)] == []
    assert blue_door.others_in("recipients.Teemo, Q2xpY2tOOmA1dG5vdw0KX1") == ["teemo"], "control"
