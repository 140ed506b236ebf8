"""Reading signals, in microseconds and as a multiple of one `orjson.loads` of 1 kB in the same run.

What a request says is read twice over: as the middleware reads it, whose sieve lets through what somebody reads and who
knows again what another browser said alike; and with nothing remembered, by the reader of signals alone.
"""

import itertools
import statistics
import time
import timeit
from collections.abc import Callable

import orjson
from middleware_bench import installation, scope

from gateway.choice.downstream import Outcome, strings
from gateway.signals import gpp, hear, tcf
from gateway.terms import SIGNAL_PURPOSES
from gateway.web.shell.visitor import Visitors

BASELINE = "orjson.loads of 1 kB"
USNAT = "DBABLA~CVVVkkkkkpFY.YA"  # made-up values
TC = {"Created": "2026-03-02T00:00:00.000Z", "LastUpdated": "2026-03-02T00:00:00.000Z"}
COOKIES = 1500  # bytes of a typical site's Cookie header
BROWSERS = 2000
AS_READ = "request as the middleware reads it, OneTrust, another browser each time"  # no browser twice
UNREMEMBERED = "the same sifted, and nothing remembered"
TOOLS = {
    "OptanonConsent": "isGpcEnabled=0&datestamp=Tue+Nov+24+2026+10%3A00%3A00+GMT%2B0000&version=202509.1.0"
    "&browserGpcFlag=0&isIABGlobal=false&hosts=&consentId=11111111-2222-4333-8444-555555555555&interactionCount=1"
    "&isAnonUser=1&landingPath=NotLandingPage&groups=C0001%3A1%2CC0002%3A1%2CC0003%3A1%2CC0004%3A1&intType=1"
    "&geolocation=US%3BCA&AwaitingReconsent=false",
    "OptanonAlertBoxClosed": "2026-11-24T10:00:02.201Z",
    "usprivacy": "1YNN",
    "OTGPPConsent": "DBABLA~BVQqAAAACgA.QA",
}


def browsers() -> list[bytes]:
    """Cookie fields of 1.5 kB, each with its own ids and times, of people who chose one of some sixty ways."""
    found = []
    for number in range(BROWSERS):
        mine, groups = dict(TOOLS), f"C0004%3A{number % 2}%2CC0005%3A{number // 2 % 2}"
        mine["OptanonConsent"] = (
            TOOLS["OptanonConsent"]
            .replace("11111111-2222", f"{number:08x}-2222")
            .replace("10%3A00%3A00", f"10%3A{number // 60 % 60:02}%3A{number % 60:02}")
            .replace("C0004%3A1", groups)
            .replace("interactionCount=1", f"interactionCount={1 + number % 15}")
        )
        mine["OptanonAlertBoxClosed"] = f"2026-11-24T10:{number // 60 % 60:02}:{number % 60:02}.201Z"
        tools = "; ".join(f"{name}={value}" for name, value in mine.items())
        found.append(_padded(tools).replace("=0000", f"={number:04x}").encode())
    return found


def requests() -> list[tuple[str, float]]:
    """What a request of somebody with OneTrust's cookies costs, as it comes in production."""
    plain = [(b"host", b"www.example.com"), (b"accept", b"text/html"), (b"user-agent", b"x" * 110)]
    plain += [(f"sec-fetch-{n}".encode(), b"none") for n in ("site", "mode", "user", "dest")]
    jars = browsers()
    with installation() as (consent, _):
        asked = [scope([*plain, (b"cookie", jar)]) for jar in jars]

        def each_once() -> None:
            visitors = Visitors(consent)  # which has met none of them
            for each in asked:
                visitors.read(each)

        read = micro(each_once, number=1) / BROWSERS
        hearing, cookies = consent.checks.hearing, itertools.cycle(jars)

        def unremembered() -> object:
            sifted = hearing.sieve.sift((next(cookies),)).signals
            return hear.from_web([*plain, *[(b"cookie", each) for each in sifted]], hearing)

        return [(AS_READ, read), (UNREMEMBERED, micro(unremembered))]


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
        *requests(),
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
