"""Somebody stands on the feed between a replica and its gateway, and has the replica's API key."""

import contextlib
import json
import re
import time

import httpx2
import pytest
from support import inside
from support.people import gaid, named
from support.service import service
from support.wire import call

from gateway.app import replica as replica_of
from gateway.app.replica import Replica
from gateway.cli import main
from gateway.consent.asked import Ask
from gateway.keys import seals
from gateway.replica.feed import FORGED, Tags

pytestmark = pytest.mark.slow


class Between(httpx2.BaseTransport):
    """Hands on what it is asked and what is answered, each changed as it likes."""

    def __init__(self, asks=lambda request: request, lines=lambda lines: lines, lease=lambda told: told):
        self._inner = httpx2.HTTPTransport()
        self._asks, self._lines, self._lease = asks, lines, lease

    def handle_request(self, request):
        answer = self._inner.handle_request(self._asks(request))
        if request.url.path == "/v1/changes":
            return httpx2.Response(answer.status_code, headers=answer.headers, stream=Changed(answer, self._lines))
        if request.url.path == "/v1/leases":
            told = self._lease(json.loads(answer.read()))
            return httpx2.Response(answer.status_code, json=told)
        return answer

    def close(self):
        self._inner.close()


class Changed(httpx2.SyncByteStream):
    def __init__(self, answer, change):
        self._answer, self._change = answer, change

    def __iter__(self):
        begun = b""
        for chunk in self._answer.stream:
            begun += chunk
            *events, begun = begun.split(b"\n\n")
            for event in self._change(events):
                yield event + b"\n\n"

    def close(self):
        self._answer.close()


def without_rows(events):
    """Nobody's no comes."""
    return [event for event in events if event.startswith(b"event: head")]


def changed(events):
    """Everybody's no is somebody else's: one letter of each key."""
    return [
        re.sub(rb'"place":"(.)', lambda found: b'"place":"' + (b"B" if found[1] == b"A" else b"A"), event)
        for event in events
    ]


def said_yes(events):
    """Rows say that nothing stands: all but the head of each is nothing."""
    return [
        re.sub(rb'"row":"([^"]{24})([^"]*)', lambda found: b'"row":"' + found[1] + b"A" * len(found[2]), event)
        for event in events
    ]


def repeated(events):
    return [each for event in events for each in (event, event)]


def reordered(events):
    rows = [event for event in events if not event.startswith(b"event: head")]
    return [*reversed(rows), *(event for event in events if event.startswith(b"event: head"))]


def ahead(events):
    """It has more than it got: then it would get a lease while it lacks a no."""
    return [
        event.replace(b'"more":false,"seq":', b'"more":false,"seq":9') if event.startswith(b"event: head") else event
        for event in events
    ]


def older(request):
    """Begins later than the replica asked."""
    return request if request.url.path != "/v1/changes" else edited(request, params={"after": "1"})


def edited(request, **more):
    headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
    url = request.url.copy_merge_params(more.pop("params")) if "params" in more else request.url
    return httpx2.Request(request.method, url, headers=headers, **more)


def up_to_date(request):
    """Tells the gateway that everything was applied."""
    if request.url.path != "/v1/leases":
        return request
    return edited(request, json=json.loads(request.read()) | {"applied": 10**6})


def for_ever(told):
    return told | {"granted": True, "seconds": 1e9}


def without_time(told):
    """As an older gateway answers: nobody's clock is looked at."""
    return {name: value for name, value in told.items() if name != "time"}


def of_long_ago(told):
    return told | {"time": "2020-01-01T00:00:00.000Z"}


WAYS = {
    "drops": {"lines": without_rows},
    "changes keys": {"lines": changed},
    "says yes": {"lines": said_yes},
    "repeats": {"lines": repeated},
    "reorders": {"lines": reordered},
    "says there is more": {"lines": ahead},
    "begins later": {"asks": older},
    "says that all was applied": {"asks": up_to_date},
    "lengthens the lease": {"lease": for_ever},
    "takes the time out": {"lease": without_time},
    "changes the time": {"lease": of_long_ago},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with service(tmp_path_factory.mktemp("gateway")) as running:
        for number in range(3):
            opts_out(running.url, number)
        yield running


def opts_out(url, number):
    status, _ = call(f"{url}/v1/choices", {"identifiers": [named("gaid", gaid(number))], "choice": "opt_out"})
    assert status == 201


@pytest.fixture
def opened(gateway, tmp_path, capsys):
    file = tmp_path / "bidder.enrolment"
    name = f"bidder-{time.monotonic_ns()}"
    with contextlib.suppress(SystemExit):
        main(["replica", "enrol", name, "--data", str(gateway.data), "--out", str(file)])
    return seals.open_enrolment(file.read_text(), capsys.readouterr().out.strip())


@pytest.fixture
def between(monkeypatch):
    """The replica's client goes through it."""

    def put(**ways):
        client = httpx2.Client
        monkeypatch.setattr(
            replica_of.httpx2,
            "Client",
            lambda **said: client(**{k: v for k, v in said.items() if k != "verify"}, transport=Between(**ways)),
        )

    return put


def allowed(made, number):
    ask = Ask(("teemo",), (named("gaid", gaid(number)),), data=("ad_id",), place="US-NY")
    verdict = made.check(ask).verdicts["teemo"]
    return verdict.allowed, verdict.reason


def until(holds, seconds=60.0):
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not come"
        time.sleep(0.02)


def test_without_anybody_between_the_replica_answers(gateway, opened, tmp_path, between):
    between()
    with Replica(gateway.url, tmp_path / "copy", opened, inside.settings(), dev=True) as made:
        until(made.follower.fresh)
        assert allowed(made, 0) == (False, "opted_out")
        assert allowed(made, 99)[0]


@pytest.mark.parametrize("way", WAYS)
def test_whoever_is_between_makes_nobodys_data_go(gateway, opened, tmp_path, between, way):
    between(**WAYS[way])
    with Replica(gateway.url, tmp_path / "copy", opened, inside.settings(), dev=True) as made:
        until(lambda: made.follower.why == FORGED or FORGED in made.follower.why or "403" in made.follower.why)
        ends = time.monotonic() + 1.0
        while time.monotonic() < ends:
            for number in (0, 1, 2, 99):
                assert allowed(made, number)[0] is False
            time.sleep(0.02)


def test_without_the_tags_somebody_is_let_go(gateway, opened, tmp_path, between, monkeypatch):
    """The control: the same harness finds a replica that believes whatever comes."""
    monkeypatch.setattr("gateway.replica.feed.holds", lambda *_: True)
    between(lines=without_rows)
    with Replica(gateway.url, tmp_path / "copy", opened, inside.settings(), dev=True) as made:
        until(made.follower.fresh)
        assert allowed(made, 0)[0], "who said no is let go"


def test_a_lease_that_is_held_back_ends_and_the_replica_says_why(gateway, opened, tmp_path, between):
    held = []

    def keeps(request):
        if request.url.path == "/v1/leases" and held:
            raise httpx2.ReadTimeout("held back")
        return request

    between(asks=keeps)
    with Replica(gateway.url, tmp_path / "copy", opened, inside.settings(), dev=True) as made:
        until(made.follower.fresh)
        held.append(True)
        until(lambda: not made.follower.fresh(), 6.0)
        assert allowed(made, 99) == (False, "stale")
        assert made.follower.why.startswith("no lease")


def test_tags_of_one_replica_say_nothing_for_another():
    mine, other = Tags(b"m" * 32, ()), Tags(b"o" * 32, ())
    assert mine.follows("c", 1) != other.follows("c", 1)
    assert mine.follows("c", 1) != mine.follows("d", 1)
    assert mine.renews("c", "h", 1, "", leave=False) != mine.renews("c", "h", 1, "", leave=True)
