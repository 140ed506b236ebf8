"""The ad server's side against the real service: asked, killed, stopped, slow, and against what is no gateway at
all."""

import contextlib
import json
import signal
import socket
import threading
import time
from collections import Counter

import httpx2
import pytest
from support.people import GAID, gaid, named
from support.service import service

from gateway.client import Client, Expired, NothingMayGo, NotReady
from gateway.client.connection import Response
from gateway.web.api import answering_clock

pytestmark = pytest.mark.slow
ASK = {"identifiers": [named("gaid", GAID)], "recipient": "advertisers", "place": "US-NY"}
ME = {"identifiers": ASK["identifiers"]}
HOLDS = 2.0  # seconds
PATIENCE = 30_000  # milliseconds: of whoever is not to wait for a time-out


@pytest.fixture(scope="module", autouse=True)
def _long():
    """The longest that an answer may hold: a busy machine does not use it up between two lines of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATEWAY_SHARE__SEND_WINDOW_MS", str(int(HOLDS * 1000)))
        yield


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with service(tmp_path_factory.mktemp("client")) as running:
        yield running


@pytest.fixture
def gateway(tmp_path):
    """One that a test may hurt."""
    with service(tmp_path) as running:
        yield running


@pytest.fixture
def client(shared):
    with Client(shared.url, key="dev.dev", timeout_ms=PATIENCE) as asking:
        yield asking


@pytest.fixture
def keyed(shared):
    with httpx2.Client(base_url=shared.url, headers={"Authorization": "Bearer dev.dev"}) as calling:
        yield calling


def received(keyed, person):
    answer = keyed.post("/v1/access", json={"identifiers": [person]}).json()
    return Counter({each["outcome"]: each["count"] for each in answer["disclosures"]})


def settled(keyed, person, expected):
    """What is on record once the reports of this second were said."""
    deadline = time.monotonic() + 60
    while (found := received(keyed, person)) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


# --- answers ---------------------------------------------------------------------------------------------------------


def test_a_yes_is_a_yes_and_a_no_is_a_no(client):
    assert client.check(**ASK, data=["ad_id"]).allowed
    found = client.check(**ASK, data=["ad_id"], signals={"gpc": "1"})
    assert (found.allowed, found.reason, dict(found.data)) == (False, "gpc", {"ad_id": "deny"})
    assert client.failures == {}


def test_many_are_answered_in_their_order(client):
    asked = [ASK | {"data": ["ad_id"], "signals": {"gpc": "1"} if index % 3 else {}} for index in range(50)]
    assert [each.allowed for each in client.checks(asked)] == [index % 3 == 0 for index in range(50)]


def test_every_answer_that_holds_until_a_time_says_by_which_clock_as_self_does(keyed):
    asked, kinds = ASK | {"data": ["ad_id"]}, {"headers": {"Content-Type": "application/x-ndjson"}}

    def words():
        yield keyed.get("/v1/self")
        yield keyed.post("/v1/checks", json=[asked])
        yield keyed.post("/v1/checks", content=json.dumps(asked), **kinds)
        yield keyed.post("/v1/shares/teemo", content=json.dumps({"id": "r", **ME, "data": {}}), **kinds)

    # A clock that is corrected just now changes its word between two of them.
    assert 1 in [len({each.headers["gateway-clock"] for each in words()}) for _ in range(3)]


@pytest.mark.parametrize(("moved", "another"), [(-3600, True), (-0.02, True), (0, False), (0.02, True), (3600, True)])
def test_a_clock_that_is_set_is_another_one(monkeypatch, moved, another):
    monkeypatch.setattr("time.clock_gettime", lambda _: 1000.0)
    monkeypatch.setattr("time.time", lambda: 2e9)
    before = answering_clock.said_now()
    monkeypatch.setattr("time.clock_gettime", lambda _: 1060.0)
    monkeypatch.setattr("time.time", lambda: 2e9 + 60 + moved)
    assert (answering_clock.said_now() != before) is another


def test_a_question_that_the_gateway_refuses_is_a_no_and_counted(client):
    assert not client.check(**ASK, signalz={"gpc": "1"}).allowed
    assert not client.check(recipient="advertisers", identifiers=[{"type": object()}]).allowed
    assert client.failures == {"status_400": 1, "question_unreadable": 1}


def test_a_key_that_is_not_ours_is_a_no(shared):
    with Client(shared.url, key="dev.wrong", timeout_ms=PATIENCE) as stranger:
        assert stranger.check(**ASK).reason == "no_answer"
        assert stranger.failures == {"status_401": 1}
        with pytest.raises(NotReady, match="status_401"):
            stranger.ready()


def test_a_bid_request_comes_back_as_it_may_be_sent(client):
    bid = {"id": "b1", "imp": [{"id": "1", "banner": {}}], "device": {"os": "Android", "ifa": gaid(3)}}
    found = client.openrtb(bid, recipient="advertisers", place="US-NY")
    assert (found.verdict, found.bid["device"]["ifa"]) == ("allow", gaid(3))
    quiet = client.openrtb(bid | {"regs": {"gpc": 1}}, recipient="advertisers", place="US-NY")
    assert (quiet.verdict, "ifa" in quiet.bid["device"]) == ("contextual", False)
    with_point = bid | {"device": bid["device"] | {"geo": {"lat": 40.7128, "lon": -74.006}}}
    less = client.openrtb(with_point, recipient="advertisers", place="US-NY")
    assert (less.verdict, less.bid["device"]["ifa"]) == ("reduced", gaid(3))
    assert client.openrtb(bid, recipient="nobody").bid is None
    assert client.openrtb({}, recipient="advertisers", nonsense="1").verdict == "no_answer"
    time.sleep(HOLDS)
    assert found.bid is None


def test_threads_get_their_own_answers(client):
    wrong = []

    def ask(number):
        for turn in range(40):
            denied = (number + turn) % 2
            found = client.check(**ASK, data=["ad_id"], signals={"gpc": "1"} if denied else {})
            if found.said_allowed == bool(denied):
                wrong.append(found.reason)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert wrong == []


# --- checking and sending as one ------------------------------------------------------------------------------------


@pytest.mark.parametrize("announced", [False, True])
def test_what_was_taken_was_sent_and_what_was_not_taken_was_not(client, keyed, announced):
    people = [named("gaid", gaid(100 + 10 * announced + index)) for index in range(4)]
    asked = {"recipient": "advertisers", "place": "US-NY", "data": {"ad_id": "x"}, "will_send": announced}
    with client.disclosure(identifiers=[people[0]], **asked) as sent:
        assert sent.allowed
        assert sent.data == {"ad_id": "x"}
    with client.disclosure(identifiers=[people[1]], **asked):
        pass
    with pytest.raises(OSError, match="reset"), client.disclosure(identifiers=[people[2]], **asked) as broken:
        assert broken.data
        raise OSError("reset")
    with client.disclosure(identifiers=[people[3]], **asked) as stopped:
        assert stopped.data
        stopped.not_sent()
    expected = [{"sent": 1}, {}, {"unknown": 1}, {}]
    assert [settled(keyed, each, Counter(then)) for each, then in zip(people, expected, strict=True)] == expected


def test_a_no_hands_out_nothing(client):
    with client.disclosure(**ASK, data={"ad_id": GAID}, signals={"gpc": "1"}) as denied:
        assert (denied.allowed, denied.reason) == (False, "gpc")
        with pytest.raises(NothingMayGo, match="gpc"):
            _ = denied.data


def test_what_may_not_go_as_it_stands_is_not_among_what_is_handed_out(client):
    values = {"ad_id": GAID, "precise_geo": [37.7793, -122.4193]}
    with client.disclosure(identifiers=ASK["identifiers"], recipient="teemo", place="US-CA", data=values) as part:
        assert (part.allowed, part.partly) == (False, True)
        assert part.data == {"ad_id": GAID}


def test_an_answer_that_is_over_hands_out_nothing_and_was_not_sent(client, keyed):
    person = named("gaid", gaid(140))
    with client.disclosure(**ASK | {"identifiers": [person]}, data=["ad_id"]) as slow:
        assert slow.allowed
        time.sleep(HOLDS)
        assert not slow.allowed
        with pytest.raises(Expired):
            _ = slow.data
    assert settled(keyed, person, Counter()) == Counter()


# --- before the first bid --------------------------------------------------------------------------------------------


def test_a_caller_that_fits_is_ready(client):
    told = client.ready({"advertisers": {"purposes": ["targeted_ads"], "data": ["ad_id"]}}, environment="dev")
    assert told["api"].startswith("1.")


@pytest.mark.parametrize(
    ("wants", "why"),
    [({"recipients": ["advertiser"]}, "advertiser is not configured"),
     ({"recipients": {"advertisers": {"purposes": ["cpni_marketing"]}}}, "no purposes cpni_marketing"),
     ({"recipients": {"advertisers": {"data": ["content", "ad_id"]}}}, "no data content"),
     ({"environment": "production"}, "environment is dev")],
)  # fmt: skip
def test_a_caller_that_does_not_fit_is_told_before_the_first_bid(client, wants, why):
    with pytest.raises(NotReady, match=why):
        client.ready(**wants)


# --- a gateway that is away ------------------------------------------------------------------------------------------


def test_a_killed_gateway_is_a_no_at_once_and_one_that_is_back_is_asked_again_without_a_lost_check(gateway):
    with Client(gateway.url, key="dev.dev", timeout_ms=PATIENCE) as client:
        assert client.check(**ASK, data=["ad_id"]).allowed
        gateway.kill()
        began = time.monotonic()
        assert client.check(**ASK, data=["ad_id"]).reason == "no_answer"
        assert time.monotonic() - began < PATIENCE / 1000 / 2, "it waits for nothing"
        with pytest.raises(NotReady):
            client.ready(timeout_ms=200)
        gateway.start()
        assert client.check(**ASK, data=["ad_id"]).allowed


def test_connections_that_broke_meanwhile_cost_no_check(gateway):
    with Client(gateway.url, key="dev.dev", timeout_ms=PATIENCE) as client:
        threads = [threading.Thread(target=client.check, kwargs=ASK) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        gateway.kill()
        gateway.start()
        assert all(client.check(**ASK, data=["ad_id"]).allowed for _ in range(10))
        assert client.failures == {}


def soonest(act, seconds, tries=10):
    """Whether one of some calls took no longer: the rest of the machine may hold up another one."""
    for _ in range(tries):
        began = time.monotonic()
        act()
        if time.monotonic() - began < seconds:
            return True
    return False


def disclosed(client):
    with client.disclosure(**ASK, data=["ad_id"]) as away:
        assert away.reason == "no_answer"


def test_a_stopped_gateway_is_a_no_within_the_time_and_nobody_is_sent_on_its_late_answer(gateway):
    with Client(gateway.url, key="dev.dev", timeout_ms=50) as client:
        client.check(**ASK)
        gateway.process.send_signal(signal.SIGSTOP)
        try:
            for _ in range(3):
                assert soonest(lambda: disclosed(client), 0.15)
        finally:
            gateway.process.send_signal(signal.SIGCONT)
        time.sleep(0.2)
        late = client.check(**ASK, data=["ad_id"], signals={"gpc": "1"})
        assert not late.said_allowed


def test_reports_wait_while_the_gateway_is_away_and_are_said_once_it_is_back(gateway):
    person = named("gaid", gaid(150))
    with Client(gateway.url, key="dev.dev", timeout_ms=PATIENCE) as client:
        with client.disclosure(**ASK | {"identifiers": [person]}, data=["ad_id"], will_send=True) as sent:
            assert sent.data
            gateway.kill()
        time.sleep(1.2)
        gateway.start()
        with httpx2.Client(base_url=gateway.url, headers={"Authorization": "Bearer dev.dev"}) as keyed:
            assert settled(keyed, person, Counter(sent=1)) == {"sent": 1}
        assert client.unreported == 0


# --- what is no gateway ----------------------------------------------------------------------------------------------

BODY = b'{"allowed":true,"partly":false,"data":{"ad_id":"allow"},"reason":"no_choice","valid_for_ms":250}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def whole(body, head=HEAD):
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@contextlib.contextmanager
def impostor(answer):
    """Answers every connection with what `answer` does to it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stopping = threading.Event()

        def serve():
            while not stopping.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = listening.accept()
                    threading.Thread(target=one, args=(connection,), daemon=True).start()

        def one(connection):
            with contextlib.suppress(OSError), connection:
                connection.recv(65536)
                answer(connection, stopping)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            stopping.set()
            listening.shutdown(socket.SHUT_RDWR)


def says(*parts, pause=0.0):
    def answer(connection, stopping):
        for part in parts:
            if stopping.wait(pause):
                return
            connection.sendall(part)
        stopping.wait(PATIENCE / 1000)

    return answer


def resets(connection, _):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def drips(connection, stopping):
    for byte in whole(BODY):
        if stopping.wait(0.05):
            return
        connection.sendall(bytes([byte]))


STRANGERS = {
    "resets": (resets, "broken"),
    "hangs up": (lambda *_: None, "broken"),
    "drips": (drips, "time_out"),
    "silence": (says(), "time_out"),
    "late": (says(whole(BODY), pause=10), "time_out"),
    "another protocol": (says(b"SSH-2.0-OpenSSH_9\r\n"), "unreadable"),
    "tls": (says(b"\x16\x03\x01" * 50), "unreadable"),
    "html": (says(whole(b"<html>")), "unreadable"),
    "nothing": (says(whole(b"")), "unreadable"),
    "deep": (says(whole(b"[" * 5000)), "unreadable"),
    "somebody else's yes": (says(whole(BODY)), "unreadable"),
    "half": (says(whole(BODY)[:-3]), "time_out"),
    "500": (says(whole(BODY, b"HTTP/1.1 500 No\r\n")), "status_500"),
    "202": (says(whole(BODY, b"HTTP/1.1 202 Later\r\n")), "status_202"),
    "204": (says(b"HTTP/1.1 204 None\r\n\r\n"), "status_204"),
    "302": (says(whole(BODY, b"HTTP/1.1 302 Found\r\nLocation: /\r\n")), "status_302"),
    "bad chunks": (says(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "unreadable"),
    "an endless head": (says(HEAD + b"A: " + b"b" * 200_000), "time_out"),
    "two answers": (says(whole(BODY) + whole(BODY)), "unreadable"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_whatever_else_answers_is_a_no_within_the_time(name):
    answer, why = STRANGERS[name]
    time_out = 100 if why == "time_out" else PATIENCE  # whatever else it is said to be is seen without one
    with impostor(answer) as url, Client(url, key="k.k", timeout_ms=time_out) as client:
        asked = []

        def check():
            asked.append(client.check(**ASK, data=["ad_id"]))

        assert soonest(check, 0.25)
        assert {(found.allowed, found.reason) for found in asked} == {(False, "no_answer")}
        assert dict(client.failures) == {why: len(asked)}
    with impostor(answer) as url, Client(url, key="k.k", timeout_ms=100) as client:
        assert client.openrtb({"id": "1"}, recipient="advertisers").bid is None
        assert [each.allowed for each in client.checks([ASK, ASK])] == [False, False]


def test_a_port_that_nobody_listens_on_is_a_no_at_once():
    with Client("http://127.0.0.1:1", key="k.k") as client:
        assert client.check(**ASK).reason == "no_answer"
        assert client.failures == {"unreachable": 1}


def test_a_client_that_believes_any_yes_would_be_taken_in(monkeypatch):
    """The control: without reading strictly, somebody else's yes allows."""
    from gateway.client import asking
    from gateway.client.verdict import ClientVerdict

    monkeypatch.setattr(
        asking.reading,
        "read_verdict",
        lambda stated, *_: ClientVerdict(said_allowed=stated["allowed"], until=float("inf")),
    )
    with impostor(says(whole(BODY))) as url, Client(url, key="k.k", timeout_ms=PATIENCE) as client:
        assert client.check(**ASK, data=["ad_id"]).allowed


def test_the_socket_of_the_host_answers_the_same(tmp_path):
    path = str(tmp_path / "g.sock")
    with service(tmp_path, "--unix", path), Client(unix=path, key="dev.dev", timeout_ms=PATIENCE) as client:
        assert client.check(**ASK, data=["ad_id"]).allowed


@pytest.mark.parametrize("wrong", [{}, {"url": "ftp://x"}, {"url": "http://x", "unix": "/y"}, {"url": "x"}])
def test_an_address_that_is_none_is_refused_at_once(wrong):
    with pytest.raises(ValueError, match="one of url"):
        Client(**wrong)


@pytest.mark.parametrize("word", ["deny", "Contextual", "limited", "", "reduced "])
def test_a_word_about_a_bid_request_that_is_not_known_sends_nothing(word):
    """A later gateway's word may mean that somebody is in it."""

    class Later:
        def told(self, body):
            return None

        def answer(self, path, body):
            headers = {"gateway-verdict": word, "gateway-valid-for-ms": "250", "gateway-reason": "opted_out"}
            return Response(200, headers, b'{"id": "1", "device": {"ifa": "x"}}')

    found = Client.over(Later()).openrtb({"id": "1"}, recipient="advertisers")
    assert (found.verdict, found.bid) == ("block", None)
