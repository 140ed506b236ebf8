"""A replica answers as the gateway does, from a copy, and only while it may."""

import contextlib
import http.client
import io
import json
import random
import socket
import time
from datetime import timedelta
from hashlib import md5
from itertools import count

import msgspec
import pytest
from support import inside
from support.asked_again import CLINIC, SIGNALS
from support.examples import SOAK
from support.people import email, gaid, named, phone
from support.service import service
from support.sidecar import Sidecar
from support.wire import call

from gateway import disk
from gateway.app.composition import now
from gateway.app.replica import Replica
from gateway.choice.downstream import downstream
from gateway.choice.law import AGES
from gateway.cli import main
from gateway.client import Client
from gateway.consent.asked import Ask
from gateway.keys import seals, secret_files
from gateway.keys.seals import EnrolmentRefused
from gateway.replica.follower import ReplicaRefused
from gateway.state.environment import StateMap
from gateway.terms import DataClass, Purpose, Reason

pytestmark = pytest.mark.slow
PLACE = "US-NY"


def until(holds, seconds=40.0):
    ends = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < ends, "it did not come"
        time.sleep(0.01)
    return found


@pytest.fixture
def gateway(tmp_path):
    with service(tmp_path) as running:
        yield running


def enrol(gateway, folder, name="bidder"):
    """The file of a new replica, and its secret."""
    file, secret = folder / f"{name}.enrolment", io.StringIO()
    with contextlib.redirect_stdout(secret), contextlib.suppress(SystemExit):
        main(["replica", "enrol", name, "--data", str(gateway.data), "--out", str(file)])
    return file, secret.getvalue().strip()


@pytest.fixture
def enrolled(gateway, tmp_path):
    return enrol(gateway, tmp_path)


@pytest.fixture
def opened(enrolled):
    return seals.open_enrolment(enrolled[0].read_text(), enrolled[1])


def replica(gateway, opened, folder, **more):
    return Replica(gateway.url, folder, opened, inside.settings(), dev=True, **more)


def opts_out(url, number, choice="opt_out"):
    status, answer = call(f"{url}/v1/choices", {"identifiers": [named("gaid", gaid(number))], "choice": choice})
    assert status == 201
    return answer


def ask(number, place=PLACE, **more):
    return Ask(("teemo",), (named("gaid", gaid(number)),), data=("ad_id",), place=place, **more)


def reason(made, number):
    return made.check(ask(number)).verdicts["teemo"].reason


def test_a_replica_tells_a_no_in_the_sections_in_which_the_gateway_tells_it(gateway, opened, tmp_path):
    opts_out(gateway.url, 1)
    with replica(gateway, opened, tmp_path / "copy") as made:
        until(lambda: reason(made, 1) is Reason.OPTED_OUT)
        for place, sections in (("US-CA", [8]), ("US-TX", [7, 16]), ("US-MD", [7]), ("US-NY", [7])):
            said = {"identifiers": [named("gaid", gaid(1))], "recipient": "teemo", "data": ["ad_id"], "place": place}
            _, there = call(f"{gateway.url}/v1/check", said)
            assert there["downstream"] == downstream(made.check(ask(1, place)).outcome_for("teemo"))
            assert there["downstream"]["gpp_sid"] == sections


def test_a_replica_hears_that_a_digest_was_named_alone_with_the_no_that_names_it(gateway, opened, tmp_path):
    opts_out(gateway.url, 1)
    with replica(gateway, opened, tmp_path / "copy") as made:
        until(lambda: reason(made, 1) is Reason.OPTED_OUT)
        checks = made.checks
        met = checks.meet(ask(2), ask(2).identifiers, briefly=True)
        assert (met.standings, len(met.own)) == ((), 2)  # nobody was named so yet
        digest = named("ad_id_md5", md5(gaid(2).upper().encode()).hexdigest())
        assert call(f"{gateway.url}/v1/choices", {"identifiers": [digest], "choice": "opt_out"})[0] == 201
        assert checks.meet(ask(2), ask(2).identifiers, briefly=True).standings  # acknowledged: it has it


def test_a_replica_says_what_the_gateway_says(gateway, opened, tmp_path):
    for number in range(5):
        opts_out(gateway.url, number)
    with replica(gateway, opened, tmp_path / "copy") as made:
        until(made.follower.fresh)
        for number in range(8):
            for place in (PLACE, "US-CA", "DE", None):
                body = {
                    "identifiers": [named("gaid", gaid(number))],
                    "recipient": "teemo",
                    "data": ["ad_id"],
                    "place": place,
                }
                _, there = call(f"{gateway.url}/v1/check", body)
                here = made.check(ask(number, place)).verdicts["teemo"]
                assert (there["allowed"], there["reason"], there["data"]) == (
                    here.allowed,
                    here.reason,
                    dict(here.data),
                )
        assert reason(made, 7) is not Reason.STALE
        answer = opts_out(gateway.url, 7)
        assert reason(made, 7) is Reason.OPTED_OUT  # acknowledged: it has it
        assert answer["effective_at"]


def test_what_went_to_a_recipient_that_the_gateway_has_under_another_name_is_on_record(gateway, opened, tmp_path):
    """R18, R22: one was renamed in one configuration before the other."""
    settings = inside.settings()
    renamed = {("adco" if name == "teemo" else name): item for name, item in settings.recipients.items()}
    configured = msgspec.structs.replace(settings, recipients=renamed)
    with Replica(gateway.url, tmp_path / "copy", opened, configured, dev=True) as made:
        until(made.follower.fresh)
        assert made.check(ask(1)._replace(recipients=("adco",))).verdicts["adco"].allowed
        until(lambda: not made.spool.waiting)
    answer = call(f"{gateway.url}/v1/access", {"identifiers": [named("gaid", gaid(1))]})[1]
    assert [(each["recipient"], each["count"]) for each in answer["disclosures"]] == [("adco", 1)]


def test_a_replica_that_is_not_told_anything_stops_answering_within_a_term(gateway, opened, tmp_path):
    with replica(gateway, opened, tmp_path / "copy") as made:
        until(made.follower.fresh)
        assert made.check(ask(1)).verdicts["teemo"].allowed
        gateway.kill()
        time.sleep(2.1)
        assert reason(made, 1) is Reason.STALE
        assert made.send_window.total_seconds() == 0
        gateway.start()
        until(made.follower.fresh)
        assert made.check(ask(1)).verdicts["teemo"].allowed


def test_a_clock_that_counts_a_suspended_machine_ends_the_lease(gateway, opened, tmp_path):
    slept = [0.0]

    def boot_clock():
        return time.clock_gettime(time.CLOCK_BOOTTIME) + slept[0]

    with replica(gateway, opened, tmp_path / "copy", boot_clock=boot_clock) as made:
        until(made.follower.fresh)
        slept[0] = 5.0  # in between the two looks at the clock of one check, for all that it knows
        assert reason(made, 1) is Reason.STALE


@pytest.mark.parametrize("days", [-40, 40])
def test_a_replica_whose_wall_clock_is_far_from_the_gateways_answers_nobody_until_it_is_set(
    gateway, opened, tmp_path, days
):
    """By it contracts end, and laws begin: one that is behind would let go what the gateway denies."""
    wrong, said = [timedelta(hours=2)], []
    clock = lambda: now() + wrong[0]  # noqa: E731 - what it adds changes
    with replica(gateway, opened, tmp_path / "copy", clock=clock, tell=said.append) as made:
        until(made.follower.fresh)
        assert made.check(ask(1)).verdicts["teemo"].allowed  # two hours are no reason
        wrong[0] = timedelta(days=days)
        until(lambda: not made.follower.fresh(), 6.0)
        opts_out(gateway.url, 3)  # an asking of its own, after what comes
        ends = time.monotonic() + 1.5
        while time.monotonic() < ends:
            assert reason(made, 1) is Reason.STALE
            time.sleep(0.05)
        assert sum("960 hours" in each for each in said) == 1
    with replica(gateway, opened, tmp_path / "copy", clock=clock) as made:  # goes on from what it left
        until(lambda: "960 hours" in made.follower.why)
        assert reason(made, 1) is Reason.STALE
        wrong[0] = timedelta(hours=-2)
        until(made.follower.fresh)
        assert made.check(ask(1)).verdicts["teemo"].allowed


def test_a_verdict_is_good_for_a_window_from_before_it_was_looked_up(gateway, opened, tmp_path, monkeypatch):
    """Who was stopped behind the look-up reads no window of now: the gateway waited for none that begins there."""
    with replica(gateway, opened, tmp_path / "copy") as made:
        until(made.follower.fresh)
        check = made.checks.check
        monkeypatch.setattr(made.checks, "check", lambda ask: (check(ask), time.sleep(0.3))[0])
        began = time.clock_gettime(time.CLOCK_BOOTTIME)
        found = made.check(ask(1))
        assert found.verdicts["teemo"].allowed
        assert began < found.until <= time.clock_gettime(time.CLOCK_BOOTTIME) - 0.05


@pytest.mark.parametrize("synced", [True, False])
def test_a_replica_goes_on_where_it_left_off_and_begins_anew_after_a_boot_that_came_unexpectedly(
    gateway, opened, tmp_path, monkeypatch, synced
):
    if not synced:
        monkeypatch.setattr(StateMap, "sync", lambda _: None)
    opts_out(gateway.url, 1)
    with replica(gateway, opened, tmp_path / "copy") as made:
        until(made.follower.fresh)
        first = made.follower.state.folder
    opts_out(gateway.url, 2)
    with replica(gateway, opened, tmp_path / "copy") as made:
        until(made.follower.fresh)
        assert made.follower.state.folder == first
        assert reason(made, 1) is reason(made, 2) is Reason.OPTED_OUT
    other = tmp_path / "boot"
    other.write_text("0" * 32)
    monkeypatch.setattr(disk, "BOOT", other)
    with replica(gateway, opened, tmp_path / "copy") as made:
        until(made.follower.fresh)
        assert (made.follower.state.folder == first) is synced
        assert reason(made, 1) is reason(made, 2) is Reason.OPTED_OUT


def test_somebody_who_is_unlinked_is_gone_from_the_copy_too(gateway, opened, tmp_path):
    opts_out(gateway.url, 1)
    key = secret_files.load_secrets(gateway.data).key(("gaid", gaid(1)))
    with replica(gateway, opened, tmp_path / "copy") as made:
        until(made.follower.fresh)
        with made.follower.moment() as moment:
            assert moment.packed(key)
        first = made.follower.state.folder
        status, _ = call(f"{gateway.url}/v1/erasures", {"identifiers": [named("gaid", gaid(1))], "mode": "unlink"})
        assert status in {200, 201}
        until(lambda: (state := made.follower.state) and state.folder != first)  # made anew without them
        until(lambda: not first.exists())
        assert key not in (made.follower.state.folder / "data.mdb").read_bytes()
        with made.follower.moment() as moment:
            assert moment.packed(key) is None
        until(made.follower.fresh)


def test_a_folder_is_one_replicas(gateway, opened, tmp_path):
    with (
        replica(gateway, opened, tmp_path / "copy"),
        pytest.raises(ReplicaRefused, match="folder of its own"),
        replica(gateway, opened, tmp_path / "copy"),
    ):
        pass


def test_the_pepper_is_in_the_file_alone_and_opens_with_its_secret_alone(gateway, enrolled, opened):
    path, secret = enrolled
    pepper = secret_files.load_secrets(gateway.data).peppers[0]
    assert opened.peppers == (pepper,)
    assert pepper.hex() not in path.read_text()
    assert opened.key not in path.read_text()
    assert pepper.hex() not in repr(opened)
    assert path.stat().st_mode & 0o777 == 0o600
    for wrong in ("", secret[:-1], secret + "x"):
        with pytest.raises(EnrolmentRefused):
            seals.open_enrolment(path.read_text(), wrong)
    for text in ("", "[]", "{}", '{"replica": 1}', '{"replica": "a", "box": "!"}', '{"replica": "a", "box": 5}'):
        with pytest.raises(EnrolmentRefused):
            seals.open_enrolment(text, secret)


def test_a_replica_whose_key_was_revoked_stops(gateway, opened, tmp_path):
    with replica(gateway, opened, tmp_path / "copy") as made:
        until(made.follower.fresh)
        with contextlib.suppress(SystemExit):
            main(["keys", "revoke", "bidder", "--data", str(gateway.data)])
        until(lambda: not made.follower.fresh())
        assert "403" in made.follower.why or "401" in made.follower.why


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """A gateway with a sidecar that no test hurts."""
    folder = tmp_path_factory.mktemp("beside")
    with service(folder) as there:
        made = Sidecar(there.url, folder / "beside", enrol(there, folder), ("--unix", str(folder / "socket")))
        try:
            yield there, made.start()
        finally:
            made.stop()


BODIES = [
    ("/v1/check", {"identifiers": [named("gaid", gaid(1))], "recipient": "teemo", "place": PLACE}),
    ("/v1/check", {"identifiers": [named("gaid", gaid(2))], "recipients": ["teemo", "advertisers"], "place": PLACE}),
    ("/v1/check", {"identifiers": [named("gaid", gaid(2))], "recipient": "nobody"}),
    ("/v1/check", {"identifiers": [{"type": "browser", "value": "x"}], "recipient": "teemo"}),
    ("/v1/check", {"identifiers": [], "recipient": "teemo", "signals": {"gpc": "1"}, "place": "US-CA"}),
    ("/v1/check", {"identifiers": [], "recipient": "teemo", "misspelt": 1}),
    ("/v1/checks", [{"identifiers": [named("gaid", gaid(n))], "recipient": "teemo", "place": PLACE} for n in range(4)]),
    ("/v1/openrtb?recipient=advertisers", {"id": "1", "imp": [{"id": "1"}], "device": {"ifa": gaid(1)}}),
]
OF_THE_MOMENT = {"because", "valid_until", "valid_for_ms", "decision", "instance", "position"}


def plain(answer):
    if isinstance(answer, list):
        return [plain(each) for each in answer]
    if isinstance(answer, dict):
        return {name: plain(value) for name, value in answer.items() if name not in OF_THE_MOMENT}
    return answer


@pytest.mark.parametrize(("path", "body"), BODIES, ids=range(len(BODIES)))
def test_the_sidecar_has_the_gateways_own_shapes(beside, path, body):
    gateway, sidecar = beside
    opts_out(gateway.url, 1)
    there, here = call(f"{gateway.url}{path}", body), call(f"{sidecar.url}{path}", body)
    assert here[0] == there[0]
    assert plain(here[1]) == plain(there[1])


QUESTIONS, PEOPLE, TENTH = 1_000 if SOAK else 200, 24, 10
PLACES = ("US-CA", "US-NY", "US-CO", "US-TX", "DE", ["US-CA", "US-NY"], None)
ASKED = ("allowed", "partly", "data", "reason", "rule", "place", "downstream")


def names_of(person):
    return [named("gaid", gaid(person)), named("email", email(person)), named("phone", phone(person))]


def many_stand_differently(url):
    """Some said no to all or to one purpose, by one of their names; some are in an account with a second phone."""
    for person in range(0, PEOPLE, 2):
        body = {"identifiers": names_of(person)[person % 3 :][:1], "choice": "opt_out"}
        body |= {"purposes": ["targeted_ads"]} if person % 4 else {}
        assert call(f"{url}/v1/choices", body)[0] == 201
    for person in range(0, PEOPLE, 5):
        members = [*names_of(person)[:2], named("gaid", gaid(person + PEOPLE))]
        assert call(f"{url}/v1/links", {"account": f"a{person}", "identifiers": members})[0] in {200, 201}


def any_question(rng, names):
    """Of one recipient, with what the client takes too; about whoever."""
    body = {
        "recipient": rng.choice(names),
        "identifiers": rng.sample(names_of(rng.randrange(2 * PEOPLE)), rng.choice([1, 1, 2, 3])),
        "place": rng.choice(PLACES),
    }
    members = {
        "data": lambda: rng.sample([*DataClass], 2),
        "purpose": lambda: rng.choice([*Purpose]),
        "age": lambda: rng.choice([*AGES]),
        "signals": lambda: rng.choice(SIGNALS),
        "geo": lambda: CLINIC,
        "count": lambda: rng.choice([0, 40]),
    }
    return body | {name: make() for name, make in members.items() if rng.random() < 0.25}


def by_client(client, body):
    """What its verdict has of `ASKED`, however late it is looked at here."""
    one = client.check(**body)
    return one.said_allowed, one.said_partly, dict(one.answers), one.stated, one.rule, one.place, dict(one.downstream)


def of(answer):
    return tuple(answer[name] for name in ASKED)


def explained(url, body):
    status, answer = call(f"{url}/v1/explain", body)
    assert status == 200
    return tuple(answer[name] for name in ASKED if name in answer)


@pytest.fixture
def questions(beside):
    """Some, and the gateway's answers to them one by one."""
    url, rng = beside[0].url, random.Random(22)
    many_stand_differently(url)
    names = [*call(f"{url}/v1/self")[1]["recipients"]]
    asked = [any_question(rng, names) for _ in range(QUESTIONS)]
    return asked, [of(call(f"{url}/v1/check", body)[1]) for body in asked]


def test_a_question_has_one_answer_wherever_it_is_asked(beside, questions, tmp_path):
    (there, sidecar), (asked, told) = beside, questions
    assert len({answer[3] for answer in told}) >= 5, "reasons"
    assert 0.1 < sum(answer[0] for answer in told) / len(told) < 0.9
    for at in (there, sidecar):
        for start in range(0, len(asked), 1000):
            together = call(f"{at.url}/v1/checks", asked[start : start + 1000])[1]
            assert [of(each) for each in together] == told[start : start + 1000]
    assert [of(call(f"{sidecar.url}/v1/check", body)[1]) for body in asked] == told
    file, secret = enrol(there, tmp_path, "inside")
    opened = seals.open_enrolment(file.read_text(), secret)
    with replica(there, opened, tmp_path / "copy") as made:
        until(made.follower.fresh)
        over = Client.over(made.checker), Client(sidecar.url, key="dev.dev", timeout_ms=20_000)
        for client in over:
            with client:
                assert [by_client(client, body) for body in asked] == told
    tenths = [(answer[:6], explained(there.url, body)) for body, answer in zip(asked, told, strict=True)][::TENTH]
    assert all(ours == theirs for ours, theirs in tenths)


def test_the_control_a_question_about_somebody_else_has_another_answer(beside, questions):
    asked, told = questions
    others = [{**body, "identifiers": names_of(next(numbers))} for numbers in [count(1)] for body in asked]
    assert [of(call(f"{beside[1].url}/v1/check", body)[1]) for body in others] != told


def test_the_sidecar_wants_a_key_and_answers_on_its_socket(beside):
    _, sidecar = beside
    body = {"identifiers": [named("gaid", gaid(1))], "recipient": "teemo"}
    assert call(f"{sidecar.url}/v1/check", body, key="")[0] == 401
    assert call(f"{sidecar.url}/v1/self", key="")[0] == 401
    assert "teemo" in call(f"{sidecar.url}/v1/self")[1]["recipients"]
    until(lambda: "gateway_replica_spool_bytes 0.0" in call(f"{sidecar.url}/metrics")[1])  # it is handed over
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(sidecar.folder.parent / "socket"))
    connection.request("GET", "/livez", headers={"Host": "localhost"})
    assert json.loads(connection.getresponse().read()) == {"status": "up"}
    connection.close()
