"""`python tests/bench/desk_bench.py [SECONDS [CHECKS]]`: what checks wait while the desk is read, 60 pages a minute, beside
what they wait without: the 99th percentile, in rounds that take turns.

An open loop: each check has its moment, `CHECKS` a second, whatever became of those before, and its wait is counted from
that moment. So one that stands behind a slow one counts with all it waited. Pages come likewise, one a second.
"""

import http.client
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode, urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent))
from support.at_the_desk import FORM, desk_service, form_of_text, signed_in
from support.people import email, gaid, named, phone

from gateway.desk.office.cases import Cases
from gateway.desk.office.desk_log import DeskLog
from gateway.desk.office.request_law import RequestKind
from gateway.keys import secret_files

ROUNDS, PAGES_A_SECOND, LANES = 3, 1.0, 16  # lanes: how many connections the checks' moments go round
PEOPLE, CASES, LINES = 2_000, 300, 2_000
MOST = 2.0  # times what checks wait while nobody is at the desk
JSON = {"Content-Type": "application/json", "Authorization": "Bearer dev.dev"}
PAGES = (
    "",
    "/requests",
    "/numbers",
    "/numbers?days=365",
    "/report",
    "/person",
    "/deliveries",
    "/rehearsal",
    "/requests/7",
)


def moments(begin: float, a_second: float, seconds: float, lane: int = 0, lanes: int = 1) -> Iterator[float]:
    """Those of one lane, each waited for; of one that is over already the wait is none."""
    for number in range(lane, int(a_second * seconds), lanes):
        due = begin + number / a_second
        time.sleep(max(due - time.monotonic(), 0))
        yield due


def asked(host: str, calls: Iterator[tuple[str, str, bytes, dict[str, str]]], due: Iterator[float]) -> list[float]:
    """Seconds from the moment of each call to the end of its answer, by one connection."""
    calling, waits = http.client.HTTPConnection(host, timeout=60), []
    for at, (method, path, body, headers) in zip(due, calls, strict=False):
        calling.request(method, path, body, headers)
        answer = calling.getresponse()
        answer.read()
        waits.append(time.monotonic() - at)
        assert answer.status in {200, 201}, (path, answer.status)
    return waits


def checks(lane: int) -> Iterator[tuple[str, str, bytes, dict[str, str]]]:
    """Each about another person, every second of them one who opted out."""
    for number in itertools.count(lane, LANES):
        body = {
            "recipient": "advertisers",
            "identifiers": [named("gaid", gaid(number % (2 * PEOPLE)))],
            "place": "US-NY",
        }
        yield "POST", "/v1/check", json.dumps(body).encode(), JSON


def pages(running: object, host: str) -> Iterator[tuple[str, str, bytes, dict[str, str]]]:
    """The desk's pages in turns, a look at a person among them; another officer before an hour's look-ups are over."""
    for number in itertools.count():
        if number % 400 == 0:
            officer = {"Cookie": f"__Host-desk={signed_in(running, f'ada{time.monotonic_ns()}')['value']}"}
            calling = http.client.HTTPConnection(host, timeout=60)
            calling.request("GET", "/desk/person", headers=officer)
            form = form_of_text(calling.getresponse().read().decode())
        at = number % (len(PAGES) + 1)
        if at < len(PAGES):
            yield "GET", f"/desk{PAGES[at]}", b"", officer
        else:
            said = urlencode({"form": form, "identifiers": f"gaid = {gaid(number % PEOPLE)}"}).encode()
            here = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
            yield "POST", "/desk/person", said, {**officer, **FORM, **here}


def lived_in(running: object) -> None:
    """People who said no, open and answered cases, and lines of the desk's log."""
    host = urlsplit(running.url).netloc

    def choices(lane: int) -> Iterator[tuple[str, str, bytes, dict[str, str]]]:
        for number in range(lane, PEOPLE, LANES):
            no = {"choice": "opt_out", "identifiers": [named("gaid", gaid(number)), named("email", email(number))]}
            yield "POST", "/v1/choices", json.dumps({**no, "place": "US-CA", "source": "letter"}).encode(), JSON

    with ThreadPoolExecutor(LANES) as lanes:
        now = itertools.repeat(time.monotonic())
        list(lanes.map(lambda lane: asked(host, choices(lane), now), range(LANES)))
    keys = secret_files.load_secrets(running.data).desk
    cases, log = Cases(running.data, keys, lambda: datetime.now(UTC)), DeskLog(running.data, keys)
    for number in range(CASES):
        said = {"lines": phone(number), "unread": []}
        case = cases.open_case(datetime.now(UTC), RequestKind.KNOW, "US-CA", "letter", said)
        if number % 3:
            cases.answer_case(case, "complied")
    for _ in range(LINES):
        log.note(datetime.now(UTC), {"who": "ada", "role": "officer", "what": "looked at today"})


def waited(running: object, a_second: float, seconds: float, read: Callable[[float], None] | None) -> list[float]:
    """What each check of a round waited. `read`: what goes on at the desk beside them, from a moment on."""
    host, begin = urlsplit(running.url).netloc, time.monotonic() + 0.2
    beside = Thread(target=read, args=(begin,)) if read else None
    if beside:
        beside.start()
    with ThreadPoolExecutor(LANES) as lanes:
        job = lambda lane: asked(host, checks(lane), moments(begin, a_second, seconds, lane, LANES))  # noqa: E731
        found = [wait for lane in lanes.map(job, range(LANES)) for wait in lane]
    if beside:
        beside.join()
    return found


def main(seconds: float = 60.0, a_second: float = 200.0) -> None:
    quiet, loaded, read = list[float](), list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder, desk_service(Path(folder)) as running:
        lived_in(running)
        host = urlsplit(running.desk).netloc
        looks = pages(running, host)

        def reading(begin: float) -> None:
            read.extend(asked(host, looks, moments(begin, PAGES_A_SECOND, seconds)))

        waited(running, a_second, min(seconds, 5), reading)  # what is compiled and remembered at first
        read.clear()
        for _ in range(ROUNDS):
            quiet += waited(running, a_second, seconds, None)
            loaded += waited(running, a_second, seconds, reading)
    print(time.strftime("%d %B %Y, %H:%M"), f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    print(f"{a_second:g} checks a second, {ROUNDS} rounds of {seconds:g} s each way, {len(read)} pages")
    p99 = []
    for name, waits in (("nobody at the desk", quiet), ("60 pages a minute", loaded), ("the pages themselves", read)):
        cuts = statistics.quantiles(waits, n=100, method="inclusive")
        p99.append(cuts[98])
        print(f"{name:20} p50 {cuts[49] * 1e3:7.2f} ms, p99 {cuts[98] * 1e3:7.2f} ms, most {max(waits) * 1e3:7.2f} ms")
    times = p99[1] / p99[0]
    print(f"checks beside the desk: {times:.2f} times the p99 of the quiet ones; at most {MOST:g}")
    sys.exit(times > MOST)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
