"""Reading signals, in microseconds and as a multiple of one `orjson.loads` of 1 kB in the same run."""

import statistics
import time
import timeit
from collections.abc import Callable

import orjson

from gateway.choice.downstream import Outcome, strings
from gateway.signals import gpp, hear, tcf
from gateway.terms import SIGNAL_PURPOSES

BASELINE = "orjson.loads of 1 kB"
USNAT = "DBABLA~CVVVkkkkkpFY.YA"  # made-up values
TC = {"Created": "2026-03-02T00:00:00.000Z", "LastUpdated": "2026-03-02T00:00:00.000Z"}
COOKIES = 1500  # bytes of a typical site's Cookie header
TOOLS = {
    "OptanonConsent": "isGpcEnabled=0&datestamp=Tue+Nov+24+2026+10%3A00%3A00+GMT%2B0000&version=202509.1.0"
    "&browserGpcFlag=0&isIABGlobal=false&hosts=&consentId=11111111-2222-4333-8444-555555555555&interactionCount=1"
    "&isAnonUser=1&landingPath=NotLandingPage&groups=C0001%3A1%2CC0002%3A1%2CC0003%3A1%2CC0004%3A1&intType=1"
    "&geolocation=US%3BCA&AwaitingReconsent=false",
    "OptanonAlertBoxClosed": "2026-11-24T10:00:02.201Z",
    "usprivacy": "1YNN",
    "OTGPPConsent": "DBABLA~BVQqAAAACgA.QA",
}


def rows() -> list[tuple[str, float]]:
    """(name, microseconds), the baseline first."""
    body = orjson.dumps({"text": "x" * 560, "numbers": list(range(120))})
    tools = "; ".join(f"{name}={value}" for name, value in TOOLS.items())
    jar = _padded(tools).encode()
    plain = _padded("").encode()
    headers = [(b"host", b"www.example.com"), (b"accept", b"text/html"), (b"user-agent", b"x" * 110)]
    headers += [(f"sec-fetch-{n}".encode(), b"none") for n in ("site", "mode", "user", "dest")]
    outcome = Outcome(frozenset(SIGNAL_PURPOSES), frozenset({"US-CA"}), gpc=True)
    return [
        (f"{BASELINE} ({len(body)} B)", micro(lambda: orjson.loads(body))),
        ("usnat, whole GPP string", micro(lambda: gpp.read_gpp_string(USNAT))),
        ("TC string, no vendors", micro(lambda: tcf.read_eu("CQuSqEAQuSqEAyafkqNLBNE1IMa_kALYDowIF5QDgAJwAAAA"))),
        ("request without cookies", micro(lambda: hear.from_web(headers))),
        (f"request, {len(plain)} B of cookies, no tool", micro(lambda: hear.from_web([*headers, (b"cookie", plain)]))),
        (f"request, {len(jar)} B of cookies, OneTrust", micro(lambda: hear.from_web([*headers, (b"cookie", jar)]))),
        ("downstream strings, kept", micro(lambda: strings(outcome))),
        ("downstream strings, made", micro(lambda: strings.__wrapped__(outcome))),
    ]


def _padded(tools: str) -> str:
    """The tools' cookies among what analytics and sessions leave behind, to `COOKIES` bytes."""
    jar = "; ".join(f"visit_{n}={n:032x}" for n in range(COOKIES // 42))
    return jar[: COOKIES - len(tools) - 2] + (f"; {tools}" if tools else "")


def micro(job: Callable[[], object], runs: int = 7, number: int = 0) -> float:
    """The median of some runs; without a number of calls as many as give a steady figure."""
    timer = timeit.Timer(job, timer=time.thread_time)
    calls = number or max(1, timer.autorange()[0] // 4)
    return statistics.median(timer.repeat(runs, calls)) / calls * 1e6


def table(found: list[tuple[str, float]]) -> list[str]:
    """Rows whose first is the baseline of the others."""
    base = found[0][1]
    return [f"{name:58} {time:9.2f} us {time / base:7.1f}x" for name, time in found]


if __name__ == "__main__":
    print("\n".join(table(rows())))
