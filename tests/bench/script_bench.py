"""What the page's script costs the main thread of a real Chromium: task time of a cached page with it and without it.

Milliseconds of one core of this machine, the median of `RUNS` pages each, in turns. consent.js has a bound of 10. What
the stub costs are the two empty frames by which ads in frames find the page's API; a page with nothing but these two
stands beside it.
"""

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from playwright.sync_api import sync_playwright
from support import chromium
from support.pages_with_script import SCRIPT, STUB, html, serve
from support.service import service

RUNS, BOUND = 15, 10.0
GPC = {"Sec-GPC": "1"}
LOCATORS = """<script>for (const name of ["__gppLocator", "__uspapiLocator"]) {
  const frame = document.createElement("iframe"); frame.name = name; document.head.append(frame) }</script>"""
PLAIN, FRAMES, BEFORE, WITH = "the page alone", "with two empty frames", "with the stub", "with stub and script"
PAGES = {PLAIN: html(""), FRAMES: html(LOCATORS), BEFORE: html(STUB), WITH: html(STUB + SCRIPT)}


def task_ms(browser, url: str, text: str) -> float:
    """Main-thread task time until nothing more happens."""
    context = browser.new_context(extra_http_headers=GPC)
    serve(context, f"{url}/cached", text)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(f"{url}/cached")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)
    measured = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    context.close()
    return measured["TaskDuration"] * 1000


def rows() -> list[tuple[str, float]]:
    """(page, milliseconds); nothing where Chromium is not installed."""
    program = chromium.program()
    if program is None:
        return []
    with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as running, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=chromium.FLAGS)
        measured: dict[str, list[float]] = {name: [] for name in PAGES}
        for turn in range(RUNS + 2):
            for name, text in PAGES.items():
                took = task_ms(browser, running.url, text)
                if turn >= 2:  # the first two warm the browser up
                    measured[name].append(took)
        browser.close()
    return [(name, statistics.median(took)) for name, took in measured.items()]


def main() -> None:
    found = rows()
    for name, took in found:
        print(f"{name:24}{took:8.2f} ms   + {took - found[0][1]:5.2f}")
    by_name = dict(found)
    if found:
        added = by_name[WITH] - by_name[BEFORE]
        print(f"consent.js adds {added:.2f} ms of main-thread time; the bound is {BOUND:.0f}")
        raise SystemExit(added > BOUND)


if __name__ == "__main__":
    main()
