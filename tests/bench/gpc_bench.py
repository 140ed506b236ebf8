"""What GPC costs a site of whose visits 5, 20 and 50 % carry it, half of those without our cookie: rows in the ledger,
and processor time a visit in times of a bare ASGI application's, where all of them are written and where only those
are of whom more is known (`[signals] record_gpc`).

    python tests/bench/gpc_bench.py        VISITS=2000 TURNS=3 for a look on a machine that does much else

In process, no socket. Processor time is of all threads, so what writes, signs and folds is in it. The modes go in
turns with the bare application, each on a ledger of its own that is new; of each turn the ratio, of which the median is
told. `AT_ONCE` visits are on their way together, so that the writer has some in a batch, as it has them behind a
server. Whoever comes back with our cookie comes for `PAGES` pages; with one page each the rows are the most that there
can be.
"""

import asyncio
import gc
import math
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from middleware_bench import HEADERS, bare, jar, nobody, scope

from gateway.app.composition import migrate, open_house
from gateway.keys import seals
from gateway.keys.seals import BrowserCookie
from gateway.settings import load
from gateway.terms import SIGNAL_PURPOSES
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.own_cookies import BROWSER_COOKIE, day
from gateway.web.shell.visitor import Visitors
from gateway.web.site.middleware import ConsentMiddleware
from gateway.web.site.shared_caches import SAME
from gateway.web.site.visit import Options, Visits

VISITS = int(os.environ.get("VISITS", "4000"))
TURNS = int(os.environ.get("TURNS", "5"))
SHARES = (5, 20, 50)  # % of the visits
PAGES = (5, 1)  # of one browser that comes back
MODES = ("all", "known")
AT_ONCE = 32
Request = list[tuple[bytes, bytes]]


class GpcRun(NamedTuple):
    """Rows that the visits left, and seconds of the processor that one took."""

    rows: int
    seconds: float


def requests(keys: Any, share: int, pages: int, mode: str) -> list[Request]:
    """The visits, mixed as they come. Who comes back has the cookie that the first page set in this mode."""
    today, gpc, found = day(datetime.now(UTC)), (b"sec-gpc", b"1"), list[Request]()
    with_gpc = VISITS * share // 100
    for _ in range(with_gpc // 2 // pages):
        unwritten = mode == "known"
        cookie = BrowserCookie(seals.new_browser(), today, frozenset(SIGNAL_PURPOSES), unwritten=unwritten)
        ours = f"{BROWSER_COOKIE}={seals.seal_cookie(keys, cookie)}"
        found += [[*HEADERS, gpc, (b"cookie", jar(ours))]] * pages
    found += [[*HEADERS, gpc, (b"cookie", jar())]] * (with_gpc - len(found))
    found += [[*HEADERS, (b"cookie", jar())]] * (VISITS - len(found))
    step = next(each for each in range(VISITS // 3, VISITS) if math.gcd(each, VISITS) == 1)
    return [found[number * step % VISITS] for number in range(VISITS)]


async def visited(app: Any, asked: list[Request]) -> float:
    """Seconds of the processor, of all threads, a visit."""
    scopes = [scope(headers) for headers in asked]
    gc.collect()
    began = time.process_time()
    for start in range(0, len(scopes), AT_ONCE):
        await asyncio.gather(*(app(each, nobody, nobody) for each in scopes[start : start + AT_ONCE]))
    await asyncio.sleep(0.1)  # what is folded and signed behind the last batch
    return (time.process_time() - began) / len(scopes)


def run(share: int, pages: int, mode: str) -> GpcRun:
    """One mode, on a new ledger; mode `bare`: the application alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        migrate(folder)
        with open_house(folder, load.load_settings(load.example_file(), {}), dev=True) as house:
            options = Options(gpc_of_known=mode == "known", place_in_key=SAME)
            visitors = Visitors(house.consent, place=lambda _: "US-CA")
            app: Any = ConsentMiddleware(bare, Visits(house.consent, visitors, Metrics(), options))
            asked = requests(house.consent.secrets.seals, share, pages, mode)
            before = house.consent.checks.position()
            seconds = asyncio.run(visited(bare if mode == "bare" else app, asked))
            after = house.consent.checks.position()
            assert before is not None
            assert after is not None
            return GpcRun(after - before, seconds)


def main() -> None:
    print(f"{VISITS} visits, medians of {TURNS} turns; a bare request is 1")
    print(
        f"{'visits with GPC':>16} {'pages each':>11} {'record_gpc':>11} {'rows of 1000':>13} {'processor a visit':>18}"
    )
    for pages in PAGES:
        for share in SHARES:
            ratios: dict[str, list[float]] = {mode: [] for mode in MODES}
            rows = dict.fromkeys(MODES, 0)
            for _ in range(TURNS):
                base = run(share, pages, "bare").seconds
                for mode in MODES:
                    rows[mode], seconds = run(share, pages, mode)
                    ratios[mode].append(seconds / base)
            for mode in MODES:
                told = f"{rows[mode] * 1000 / VISITS:13.1f} {statistics.median(ratios[mode]):18.1f}"
                spread = f"({min(ratios[mode]):.1f} to {max(ratios[mode]):.1f})"
                print(f"{share:>14} % {pages:>11} {mode:>11} {told} {spread}", flush=True)


if __name__ == "__main__":
    main()
