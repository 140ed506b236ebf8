"""Reading signals, in microseconds and as a multiple of one `orjson.loads` of 1 kB in the same run."""

import statistics
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
        (f"{BASELINE} ({len(body)} B)", _micro(lambda: orjson.loads(body))),
        ("usnat, whole GPP string", _micro(lambda: gpp.read(USNAT))),
        ("TC string, no vendors", _micro(lambda: tcf.read_eu("CQuSqEAQuSqEAyafkqNLBNE1IMa_kALYDowIF5QDgAJwAAAA"))),
        ("request without cookies", _micro(lambda: hear.from_web(headers))),
        (f"request, {len(plain)} B of cookies, no tool", _micro(lambda: hear.from_web([*headers, (b"cookie", plain)]))),
        (f"request, {len(jar)} B of cookies, OneTrust", _micro(lambda: hear.from_web([*headers, (b"cookie", jar)]))),
        ("downstream strings, kept", _micro(lambda: strings(outcome))),
        ("downstream strings, made", _micro(lambda: strings.__wrapped__(outcome))),
    ]


def _padded(tools: str) -> str:
    """The tools' cookies among what analytics and sessions leave behind, to `COOKIES` bytes."""
    jar = "; ".join(f"visit_{n}={n:032x}" for n in range(COOKIES // 42))
    return jar[: COOKIES - len(tools) - 2] + (f"; {tools}" if tools else "")


def _micro(job: Callable[[], object]) -> float:
    """The median of seven runs."""
    timer = timeit.Timer(job)
    number, _ = timer.autorange()
    number = max(1, number // 4)
    return statistics.median(timer.repeat(7, number)) / number * 1e6


def table() -> list[str]:
    found = rows()
    base = found[0][1]
    return [f"{name:45} {micro:9.2f} us {micro / base:7.1f}x" for name, micro in found]


if __name__ == "__main__":
    print("\n".join(table()))
