"""How a test starts the Chromium that the system packages, and how it looks at a page."""

import os
import time

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


def program() -> str | None:
    """Where Chromium is installed."""
    return next((p for p in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if os.access(p, os.X_OK)), None)


def visit(page, url: str) -> None:
    """Opens a page and waits until its trackers have had their turn."""
    page.goto(url)
    page.wait_for_load_state("networkidle")
    time.sleep(0.3)  # a beacon is sent after load and nobody waits for it


def look(page, url: str) -> None:
    """A visit that waits by the clock: Chromium's protocol never says that a `keepalive` fetch has ended."""
    page.goto(url)
    time.sleep(0.7)
