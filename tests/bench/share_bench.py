"""What leaves: bid requests, batches of checks, rows to a receiver; and a check among few and among many people.

    python tests/bench/share_bench.py            IDENTIFIERS=10000000 for ten million people instead of one

Through one connection of this process to a real service, so a figure holds both; the filter alone in microseconds
beside one `orjson.loads` of 1 kB of the same run.
"""

import contextlib
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import many
import orjson
from many import FEW, MANY
from processor import spent
from signals_bench import BASELINE, micro, table
from support import endless, example
from support.bids import cut_down
from support.people import gaid, named
from support.ports import free_port
from support.receiver import Receiver
from support.service import service

from gateway.choice.downstream import Outcome, strings
from gateway.choice.openrtb.filtering import Leave
from gateway.terms import SIGNAL_PURPOSES, Answer, DataClass

BIDDERS, CHECKS, ROWS, PEOPLE, CALLS = 15, 1000, 10_000, 500, 400
# name, how many, of what, and microseconds of the service's processor for each (0: not measured)
Figure = tuple[str, float, str, float]
CALIFORNIA = frozenset({"US-CA"})
HEADERS = {"Authorization": "Bearer dev.dev", "Content-Type": "application/json"}


def bid() -> dict:
    """A request of about 2 kB, as an exchange sends one."""
    imps = [
        {
            "id": str(n),
            "banner": {"w": 300, "h": 250, "format": [{"w": 300, "h": 250}, {"w": 320, "h": 50}]},
            "bidfloor": 0.5,
            "secure": 1,
            "ext": {"tid": f"{n:032x}", "gpid": f"/slot/{n}"},
        }
        for n in range(4)
    ]
    return {
        "id": "1",
        "imp": imps,
        "tmax": 200,
        "at": 1,
        "cur": ["USD"],
        "app": {
            "id": "a",
            "name": "calls",
            "bundle": "com.example.calls",
            "cat": ["IAB19"],
            "publisher": {"id": "p"},
            "content": {"language": "en", "keywords": "news"},
            "keywords": "x" * 200,
        },
        "device": {
            "ua": "Mozilla/5.0 (Linux; Android 14) " + "x" * 120,
            "ifa": gaid(2),
            "ip": "203.0.113.77",
            "os": "android",
            "geo": {"lat": 37.774929, "lon": -122.419416, "country": "USA", "region": "CA", "zip": "94103"},
            "didsha1": "a" * 40,
            "ext": {"atts": 3},
        },
        "user": {
            "id": "u" * 32,
            "buyeruid": "b" * 32,
            "yob": 1980,
            "keywords": "news,sports",
            "eids": [{"source": f"s{n}.example", "uids": [{"id": "e" * 32}]} for n in range(4)],
        },
        "regs": {"ext": {"us_privacy": "1YNN"}},
        "source": {"tid": "t" * 32},
    }


def rows() -> list[tuple[str, float]]:
    """(name, microseconds), the baseline first."""
    text, request = orjson.dumps({"text": "x" * 560, "numbers": list(range(120))}), bid()
    size = len(orjson.dumps(request))
    out = Leave({}, strings(Outcome(frozenset(SIGNAL_PURPOSES), CALIFORNIA)))
    free = Leave(dict.fromkeys(DataClass, Answer.ALLOW), strings(Outcome(frozenset(), CALIFORNIA)))
    return [
        (f"{BASELINE} ({len(text)} B)", micro(lambda: orjson.loads(text))),
        (f"bid request of {size} B, contextual", micro(lambda: cut_down(request, out))),
        (f"bid request of {size} B, everything may go", micro(lambda: cut_down(request, free))),
    ]


@contextlib.contextmanager
def calling(port: int) -> Iterator:
    """post(path, body, kind) through one connection that is kept."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=600)) as connection:

        def post(path: str, body: object, **more: str) -> bytes:
            content = body if isinstance(body, bytes) else orjson.dumps(body)
            connection.request("POST", path, content, HEADERS | more)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
            return text

        yield post


def measured(
    name: str, unit: str, pid: int, job: Callable[[], object], number: int = CALLS, of_each: int = 1
) -> Figure:
    """So many calls of the job, each of which does so many of the unit."""
    job()
    began, before = time.perf_counter(), spent(pid)
    for _ in range(number):
        job()
    seconds, processor = time.perf_counter() - began, spent(pid) - before
    many_done = number * of_each
    return name, many_done / seconds, unit, processor / many_done * 1e6


def figures() -> list[Figure]:
    """Of a real service."""
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        receiver = Receiver(free_port(), Path(folder) / "rows.ndjson").start()
        config = Path(folder) / "config.toml"
        more = "".join(
            f'[recipients.bidder{n}]\nrole = "third_party"\npurposes = ["targeted_ads"]\ndata = ["ad_id", "coarse_geo"]\n'
            for n in range(BIDDERS)
        )
        config.write_text(
            example.over(
                f'{more}[delivery]\nnetworks = ["127.0.0.1"]\n[recipients.teemo]\nendpoint = "http://127.0.0.1:{receiver.port}/rows"\n'
            )
        )
        with contextlib.closing(contextlib.ExitStack()) as stack:
            stack.callback(receiver.kill)
            running = stack.enter_context(service(Path(folder), "--config", str(config)))
            endless.link_all(running.url, PEOPLE)
            with calling(running.port) as post:
                found += _calls(post, running.process.pid)
            before = spent(running.process.pid)
            summary, seconds = endless.post(running.port, range(ROWS), PEOPLE)
            assert summary["sent"] == ROWS
            took = (spent(running.process.pid) - before) / ROWS * 1e6
            found.append(("NDJSON rows forwarded and recorded", ROWS / seconds, "rows/s", took))
            found += _among(running)
    return found


def _calls(post, pid: int) -> list[Figure]:
    names = [f"bidder{n}" for n in range(BIDDERS)]
    check = {"identifiers": [named("gaid", gaid(2))], "place": "US-CA"}
    path = "/v1/openrtb?" + "&".join(f"recipient={name}" for name in names)
    lines = b"\n".join(
        json.dumps({**check, "recipient": "advertisers", "identifiers": [named("gaid", gaid(n % PEOPLE))]}).encode()
        for n in range(CHECKS)
    )
    kind = {"Content-Type": "application/x-ndjson"}
    one, all_, request = check | {"recipient": "bidder1"}, check | {"recipients": names}, bid()
    return [
        measured("/v1/check, one recipient", "calls/s", pid, lambda: post("/v1/check", one)),
        measured(f"/v1/check, {BIDDERS} recipients", "calls/s", pid, lambda: post("/v1/check", all_)),
        measured("/v1/openrtb, one bidder", "calls/s", pid, lambda: post("/v1/openrtb?recipient=bidder1", request)),
        measured(f"/v1/openrtb, {BIDDERS} bidders", "calls/s", pid, lambda: post(path, request)),
        measured(
            f"/v1/checks, {CHECKS} a call", "decisions/s", pid, lambda: post("/v1/checks", lines, **kind), 5, CHECKS
        ),
    ]


def _among(running) -> list[Figure]:
    """The same check among few people and among many."""
    found = []
    check = {"identifiers": [named("gaid", gaid(2))], "place": "US-CA", "recipient": "advertisers"}
    for size in (FEW, MANY):
        running.stop()
        many.fill(running.data, size)
        running.start()
        with calling(running.port) as post:
            name, pid = f"/v1/check among {size:,}", running.process.pid
            found.append(measured(name, "calls/s", pid, lambda: post("/v1/check", check), 1000))
    return found


def line(figure: Figure) -> str:
    name, value, unit, took = figure
    return f"{name:44}{value:>12,.0f}  {unit:12}{f'{took:>10,.1f} us' if took else '':14}"


def printed() -> list[str]:
    return [*table(rows()), "", *map(line, figures())]


if __name__ == "__main__":
    print("\n".join(printed()))
