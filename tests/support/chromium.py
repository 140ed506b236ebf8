"""How a test starts the Chromium that the system packages, and how it looks at a page."""

import contextlib
import os
import time

from playwright import sync_api as playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


def program() -> str | None:
    """Where Chromium is installed."""
    return next((p for p in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if os.access(p, os.X_OK)), None)


@contextlib.contextmanager
def saying_gpc(driver):
    """A Chromium that says Global Privacy Control in its own way, as one whose person switched it on does: no test puts
    a header or a property there. Debian's 156 has it behind a feature's name and no switch that people see.
    """
    from conftest import missing

    path = program() or missing("chromium")
    browser = driver.launch(executable_path=path, args=[*FLAGS, "--enable-features=GlobalPrivacyControlForce"])
    try:
        page = browser.new_page()
        if page.evaluate("navigator.globalPrivacyControl") is not True:
            missing(f"GPC of Chromium's own: {browser.version} has none")
        page.close()
        yield browser
    finally:
        browser.close()


def visit(page, url: str) -> None:
    """Opens a page and waits until its trackers have had their turn."""
    page.goto(url)
    page.wait_for_load_state("networkidle")
    time.sleep(0.3)  # a beacon is sent after load and nobody waits for it


ITS_OWN = ("interrupted by another navigation", "net::ERR_ABORTED")


def go_again(page, url: str | None = None) -> None:
    """To a page from one that was told of a no, or `url` None: that one anew. Its own script may load it anew at the
    same moment, and then the browser drops whichever came first.
    """
    for _ in range(5):
        try:
            page.goto(url) if url else page.reload()
        except playwright.Error as error:
            if not any(said in str(error) for said in ITS_OWN):
                raise
            page.wait_for_load_state()
        else:
            return
    raise AssertionError(f"{url}: five times another navigation came before it")


def comes_to(found, expected, seconds: float = 60.0):
    """What `found()` is, once it is what is expected or the time is over: a beacon of a busy machine comes later."""
    ends = time.monotonic() + seconds
    while (now := found()) != expected and time.monotonic() < ends:
        time.sleep(0.05)
    return now


def within_a_second(opens, script: str):
    """A page that `opens()`, of which something holds within a second: of five the first, for the rest of the machine
    may hold up another one.
    """
    for _ in range(5):
        page = opens()
        with contextlib.suppress(playwright.TimeoutError):
            page.wait_for_function(script, timeout=1000)
            return page
    raise AssertionError("five pages took longer")


def look(page, url: str) -> None:
    """A visit that waits by the clock: Chromium's protocol never says that a `keepalive` fetch has ended."""
    page.goto(url)
    time.sleep(0.7)
