"""What axe-core finds on a page. Its script, half a megabyte, is put into a page once, however often that is looked at."""

import os

from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from axe_playwright_python.sync_playwright import DEFAULT_OPTIONS, Axe

# The rules of WCAG 2.2 AA alone.
AA = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}


def looked_through(page, options=None) -> AxeResults:
    """By every rule, or those of the options."""
    there = page.evaluate("typeof axe === 'object'")
    return Axe("0" if there else AXE_SCRIPT).run(page, options=options or DEFAULT_OPTIONS)


def picture(page, name: str, **how) -> None:
    """Keeps one where SCREENSHOTS says, for somebody to look at; else nobody would."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", **how)
