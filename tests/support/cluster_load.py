"""Opt-outs and checks through a gateway's door while its database fails over, and what was promised meanwhile."""

import contextlib
import itertools
import json
import random
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

from support.people import gaid, named

NEVER = 2**40  # people who say nothing
WRITERS, CHECKERS = 3, 2
PATIENCE = 30  # seconds of one call


def call(url, path, body, **headers):
    """(status, members) of an answer; status 0: none came."""
    headers = {"Authorization": "Bearer dev.dev", "Content-Type": "application/json", **headers}
    asked = urllib.request.Request(f"{url}{path}", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, {}
    except (OSError, ValueError):
        return 0, {}


def opt_out(url, number):
    body = {"identifiers": [named("gaid", gaid(number))], "choice": "opt_out"}
    return call(url, "/v1/choices", body, **{"Idempotency-Key": f"ha-{number:012}"})


def check(url, number):
    body = {"identifiers": [named("gaid", gaid(number))], "recipient": "teemo", "place": "US-CA", "data": ["ad_id"]}
    return call(url, "/v1/check", body)[1]


@dataclass
class Acknowledged:
    """One no, as its caller was answered. `answer`: with seq and receipt where it was in the ledger by then."""

    number: int
    asked: float
    at: float
    answer: dict

    @property
    def effective(self):
        return self.answer.get("effective_at") is not None


@dataclass
class Load:
    """`inside`: a context in which the gateway is reached."""

    url: str
    inside: object
    first: int = 1
    acknowledged: list = field(default_factory=list)
    refused: int = 0
    allowed: list = field(default_factory=list)  # when somebody who never said no was allowed
    wrong: list = field(default_factory=list)  # (number, acknowledged at, asked at) of a check that was allowed
    checks: int = 0

    def __post_init__(self):
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._numbers = itertools.count(self.first)
        parts = [self._say] * WRITERS + [self._ask] * CHECKERS
        self._threads = [threading.Thread(target=self._within, args=(each,), daemon=True) for each in parts]

    def __enter__(self):
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for each in self._threads:
            each.join(2 * PATIENCE)

    def _within(self, part):
        with self.inside():
            while not self._stop.is_set():
                part()
                time.sleep(0.01)

    def _say(self):
        """One no, until it is acknowledged."""
        number = next(self._numbers)
        asked = time.monotonic()
        while not self._stop.is_set():
            status, answer = opt_out(self.url, number)
            if status in {200, 201, 202}:
                self.acknowledged.append(Acknowledged(number, asked, time.monotonic(), answer))
                return
            self.refused += 1
            time.sleep(0.1)

    def _ask(self):
        """Of somebody who said no, most often lately; and of somebody who never did."""
        known = len(self.acknowledged)
        if known:
            one = self.acknowledged[random.choice([known - 1, random.randrange(known)])]
            asked = time.monotonic()
            if check(self.url, one.number).get("allowed"):
                self.wrong.append((one.number, one.at, asked))
        asked = time.monotonic()
        if check(self.url, NEVER + random.randrange(2**20)).get("allowed"):
            self.allowed.append(asked)
        with self._lock:
            self.checks += 2

    def pause(self, since, moments):
        """The longest time without one of these, from a moment on."""
        later = [since, *sorted(moment for moment in moments if moment > since)]
        return max((after - before for before, after in itertools.pairwise(later)), default=float("inf"))

    def effective_again(self, since):
        """Whether a no that was said later is in the ledger, and somebody is allowed again."""
        said = any(each.effective and each.asked > since for each in reversed(self.acknowledged[-1000:]))
        return said and bool(self.allowed) and self.allowed[-1] > since


def until(look, seconds=90.0):
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)
    return found


def not_denied(url, numbers):
    """Of people who said no, those whom a check now does not deny for that."""
    left = []
    for number in numbers:
        with contextlib.suppress(AssertionError):
            until(lambda number=number: "opted_out" in str(check(url, number).get("reason")), 5)
            continue
        left.append(number)
    return left
