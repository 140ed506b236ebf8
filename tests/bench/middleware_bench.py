"""What the middleware adds to a request, in microseconds over the bare app of the same run.

In process, no socket: the coroutine of one ASGI call is driven to its end, as a server's loop does, with the scope that
a server would make. What `await`s for real (a write) is none of these cases, and would fail the bench.
"""

import contextlib
import gc
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.app.composition import migrate, open_house
from gateway.keys import seals
from gateway.keys.seals import BrowserCookie
from gateway.settings import load
from gateway.terms import SIGNAL_PURPOSES
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.own_cookies import BROWSER_COOKIE, day
from gateway.web.shell.visitor import Visitors
from gateway.web.site.middleware import ConsentMiddleware
from gateway.web.site.visit import Visits

BASELINE = "bare ASGI app, in process"
BARS = {
    "no Cookie header": 4.0,
    "1.5 kB of cookies, no signal": 15.0,
    "GPC, known browser": 15.0,
}  # us over the bare app
COOKIES = 1500  # bytes of a typical site's Cookie header
AT_ONCE = 20
# What Chromium sends with a navigation.
HEADERS = [
    (b"host", b"www.example.com"), (b"connection", b"keep-alive"), (b"user-agent", b"Mozilla/5.0 " + b"x" * 100),
    (b"sec-ch-ua", b'"Chromium";v="141"'), (b"sec-ch-ua-mobile", b"?0"), (b"sec-ch-ua-platform", b'"Linux"'),
    (b"upgrade-insecure-requests", b"1"), (b"accept", b"text/html,application/xhtml+xml,*/*;q=0.8"),
    (b"sec-fetch-site", b"none"), (b"sec-fetch-mode", b"navigate"), (b"sec-fetch-user", b"?1"),
    (b"sec-fetch-dest", b"document"), (b"accept-encoding", b"gzip, br"), (b"accept-language", b"en-US,en;q=0.9"),
]  # fmt: skip
PAGE = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"5")]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [*PAGE]})
    await send({"type": "http.response.body", "body": b"hello"})


async def nobody(_: Any) -> None:
    """A client that takes everything."""


def jar(*ours: str) -> bytes:
    """What analytics and sessions leave behind, to `COOKIES` bytes, and ours at its end."""
    plain = "; ".join(f"visit_{n}={n:032x}" for n in range(COOKIES // 42))
    return "; ".join([plain[: COOKIES - sum(map(len, ours))], *ours]).encode()


def rows() -> list[tuple[str, float]]:
    """(name, microseconds of the whole call), the bare app first."""
    with installation() as (consent, app):
        known = BrowserCookie(seals.new_browser(), day(datetime.now(UTC)), frozenset(SIGNAL_PURPOSES))
        sealed = f"{BROWSER_COOKIE}={seals.seal_cookie(consent.secrets.seals, known)}"
        gpc = (b"sec-gpc", b"1")
        cases = {
            BASELINE: (bare, [*HEADERS]),
            "no Cookie header": (app, [*HEADERS]),
            "no Cookie header, GPC": (app, [*HEADERS, gpc]),
            "1.5 kB of cookies, no signal": (app, [*HEADERS, (b"cookie", jar())]),
            "1.5 kB of cookies, known browser": (app, [*HEADERS, (b"cookie", jar(sealed))]),
            "GPC, known browser": (app, [*HEADERS, gpc, (b"cookie", sealed.encode())]),
            "GPC, known browser, 1.5 kB of cookies": (app, [*HEADERS, gpc, (b"cookie", jar(sealed))]),
        }
        write(app, cases["GPC, known browser"][1])
        return measured(cases)


@contextlib.contextmanager
def installation() -> Iterator[tuple[Any, ConsentMiddleware]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        migrate(folder)
        with open_house(folder, load.load_settings(load.example_file(), {}), dev=True) as house:
            visitors = Visitors(house.consent, place=lambda _: "US-CA")
            yield house.consent, ConsentMiddleware(bare, Visits(house.consent, visitors, Metrics()))


def write(app: Any, headers: list[tuple[bytes, bytes]]) -> None:
    """The known browser's choice is on record before anything is measured."""
    import asyncio

    asyncio.run(app(scope(headers), nobody, nobody))


def scope(headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """As a server makes it, anew for each request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": "/page",
        "raw_path": b"/page",
        "query_string": b"",
        "root_path": "",
        "headers": [(bytes(bytearray(name)), bytes(bytearray(value))) for name, value in headers],  # hashed anew
        "client": ("127.0.0.1", 5000),
        "server": ("127.0.0.1", 443),
        "state": {},
    }


def measured(cases: dict[str, tuple[Any, list[tuple[bytes, bytes]]]], runs: int = 600) -> list[tuple[str, float]]:
    """Cases in turns, so that a busy machine slows all of them alike; the tenth percentile of the runs, for others on
    the machine only add. Time of this thread, and without the collector, as timeit has it; few requests at a time, so
    that each is in the cache, as one is that was read just now.
    """
    found: dict[str, list[float]] = {name: [] for name in cases}
    gc.disable()
    for _ in range(runs):
        for name, (app, headers) in cases.items():
            scopes = [scope(headers) for _ in range(AT_ONCE)]
            began = time.thread_time()
            for each in scopes:
                finish(app(each, nobody, nobody))
            found[name].append((time.thread_time() - began) / AT_ONCE * 1e6)
        gc.collect(0)
        time.sleep(
            0.001
        )  # the proof of the ledger comes to its turn, as where an event loop waits: it lasts five seconds
    gc.enable()
    return [(name, statistics.quantiles(times, n=10)[0]) for name, times in found.items()]


def finish(call: Any) -> None:
    try:
        call.send(None)
    except StopIteration:
        return
    raise AssertionError("a page that says nothing new waits for nobody")


def table(found: list[tuple[str, float]]) -> list[str]:
    """Each row with what it adds to the bare app, and the bar it is held to."""
    base = found[0][1]
    lines = [f"{BASELINE:42} {base:8.2f} us"]
    for name, whole in found[1:]:
        bar = f"  (bar: {BARS[name]:.0f})" if name in BARS else ""
        lines.append(f"{'  middleware: ' + name:55} +{whole - base:7.2f} us  {whole / base:6.1f}x{bar}")
    return lines


if __name__ == "__main__":
    print("\n".join(table(rows())))
