"""What leaves: bid requests, batches of checks, rows to a receiver; and a check among few and among many people.

    python tests/bench/share_bench.py            IDENTIFIERS=10000000 for ten million people instead of one

Through one connection of this process to a real service, so a figure holds both; the filter alone in microseconds
beside one `orjson.loads` of 1 kB of the same run.
"""

import contextlib
import http.client
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import orjson
from signals_bench import BASELINE, micro, table
from support import endless
from support.people import gaid, named
from support.ports import free_port
from support.receiver import Receiver
from support.service import service

from gateway.choice import openrtb
from gateway.choice.downstream import Outcome, strings
from gateway.choice.openrtb import Leave
from gateway.terms import SIGNAL_PURPOSES, Answer, DataClass

FEW, MANY = 10_000, int(os.environ.get("IDENTIFIERS", "1000000"))
BIDDERS, CHECKS, ROWS, PEOPLE, CALLS = 15, 1000, 10_000, 500, 400
CALIFORNIA = frozenset({"US-CA"})
HEADERS = {"Authorization": "Bearer dev.dev", "Content-Type": "application/json"}


def bid() -> dict:
    """A request of about 2 kB, as an exchange sends one."""
    imps = [{"id": str(n), "banner": {"w": 300, "h": 250, "format": [{"w": 300, "h": 250}, {"w": 320, "h": 50}]},
             "bidfloor": 0.5, "secure": 1, "ext": {"tid": f"{n:032x}", "gpid": f"/slot/{n}"}} for n in range(4)]  # fmt: skip
    return {
        "id": "1", "imp": imps, "tmax": 200, "at": 1, "cur": ["USD"],
        "app": {"id": "a", "name": "calls", "bundle": "com.example.calls", "cat": ["IAB19"], "publisher": {"id": "p"},
                "content": {"language": "en", "keywords": "news"}, "keywords": "x" * 200},
        "device": {"ua": "Mozilla/5.0 (Linux; Android 14) " + "x" * 120, "ifa": gaid(2), "ip": "203.0.113.77", "os": "android",
                   "geo": {"lat": 37.774929, "lon": -122.419416, "country": "USA", "region": "CA", "zip": "94103"},
                   "didsha1": "a" * 40, "ext": {"atts": 3}},
        "user": {"id": "u" * 32, "buyeruid": "b" * 32, "yob": 1980, "keywords": "news,sports",
                 "eids": [{"source": f"s{n}.example", "uids": [{"id": "e" * 32}]} for n in range(4)]},
        "regs": {"ext": {"us_privacy": "1YNN"}}, "source": {"tid": "t" * 32},
    }  # fmt: skip


def rows() -> list[tuple[str, float]]:
    """(name, microseconds), the baseline first."""
    text, request = orjson.dumps({"text": "x" * 560, "numbers": list(range(120))}), bid()
    size = len(orjson.dumps(request))
    out = Leave({}, strings(Outcome(frozenset(SIGNAL_PURPOSES), CALIFORNIA)))
    free = Leave(dict.fromkeys(DataClass, Answer.ALLOW), strings(Outcome(frozenset(), CALIFORNIA)))
    return [
        (f"{BASELINE} ({len(text)} B)", micro(lambda: orjson.loads(text))),
        (f"bid request of {size} B, contextual", micro(lambda: openrtb.lawful(request, out))),
        (f"bid request of {size} B, everything may go", micro(lambda: openrtb.lawful(request, free))),
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


def a_second(job, number: int = CALLS) -> float:
    job()
    began = time.perf_counter()
    for _ in range(number):
        job()
    return number / (time.perf_counter() - began)


def fill(data: Path, size: int) -> None:
    """Standings that are not asked about."""
    with contextlib.closing(sqlite3.connect(data / "ledger.sqlite3")) as db, db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO standing (key, own, seq) SELECT randomblob(16), 682, 0 FROM n",
            (size,),
        )


def figures() -> list[tuple[str, float, str]]:
    """(name, value, unit) of a real service."""
    found: list[tuple[str, float, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        receiver = Receiver(free_port(), Path(folder) / "rows.ndjson").start()
        config = Path(folder) / "config.toml"
        more = "".join(
            f'[recipients.bidder{n}]\nrole = "third_party"\npurposes = ["targeted_ads"]\ndata = ["ad_id", "coarse_geo"]\n'
            for n in range(BIDDERS)
        )
        config.write_text(f'{more}[recipients.teemo]\nendpoint = "http://127.0.0.1:{receiver.port}/rows"\n')
        with contextlib.closing(contextlib.ExitStack()) as stack:
            stack.callback(receiver.kill)
            running = stack.enter_context(service(Path(folder), "--config", str(config)))
            endless.link_all(running.url, PEOPLE)
            with calling(running.port) as post:
                found += _calls(post)
            summary, seconds = endless.post(running.port, range(ROWS), PEOPLE)
            assert summary["sent"] == ROWS
            found.append(("NDJSON rows forwarded and recorded", ROWS / seconds, "rows/s"))
            found += _among(running)
    return found


def _calls(post) -> list[tuple[str, float, str]]:
    names = [f"bidder{n}" for n in range(BIDDERS)]
    check = {"identifiers": [named("gaid", gaid(2))], "place": "US-CA"}
    path = "/v1/openrtb?" + "&".join(f"recipient={name}" for name in names)
    lines = b"\n".join(
        json.dumps({**check, "recipient": "advertisers", "identifiers": [named("gaid", gaid(n % PEOPLE))]}).encode()
        for n in range(CHECKS)
    )
    batch = a_second(lambda: post("/v1/checks", lines, **{"Content-Type": "application/x-ndjson"}), 5)
    return [
        ("/v1/check, one recipient", a_second(lambda: post("/v1/check", check | {"recipient": "bidder1"})), "calls/s"),
        (
            f"/v1/check, {BIDDERS} recipients",
            a_second(lambda: post("/v1/check", check | {"recipients": names})),
            "calls/s",
        ),
        ("/v1/openrtb, one bidder", a_second(lambda: post("/v1/openrtb?recipient=bidder1", bid())), "calls/s"),
        (f"/v1/openrtb, {BIDDERS} bidders", a_second(lambda: post(path, bid())), "calls/s"),
        (f"/v1/checks, {CHECKS} a call", batch * CHECKS, "decisions/s"),
    ]


def _among(running) -> list[tuple[str, float, str]]:
    """The same check among few people and among many."""
    found = []
    check = {"identifiers": [named("gaid", gaid(2))], "place": "US-CA", "recipient": "advertisers"}
    for size, more in ((FEW, FEW - PEOPLE), (MANY, MANY - FEW)):
        running.stop()
        fill(running.data, more)
        running.start()
        with calling(running.port) as post:
            found.append((f"/v1/check among {size:,}", a_second(lambda: post("/v1/check", check), 1000), "calls/s"))
    return found


def printed() -> list[str]:
    return [*table(rows()), "", *(f"{name:44}{value:>12,.0f}  {unit}" for name, value, unit in figures())]


if __name__ == "__main__":
    print("\n".join(printed()))
